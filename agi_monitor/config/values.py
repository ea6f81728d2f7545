"""Values of the configuration, checked as they are read: each type says what its text must be."""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field

from agi_monitor import names
from agi_monitor.config.document import matching
from agi_monitor.supervision.prompts import PLACEHOLDERS

MAX_SHOWN = 120
"""How many characters of a value that is not secret are shown."""


MIN_BEEP_SECONDS, MAX_BEEP_SECONDS = 2, 600


def _address(text: str) -> str:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        raise ValueError("must be an IP address; a name would have to be looked up at every call") from None
    return text


def _network(text: str) -> str:
    try:
        ipaddress.ip_network(text)
    except ValueError as error:
        # What was given stands in it, however long it is.
        raise ValueError(str(error)[:MAX_SHOWN]) from None
    return text


def _loopback(text: str) -> str:
    if not ipaddress.ip_address(text).is_loopback:
        raise ValueError("must be an address of the loopback interface, such as 127.0.0.1: there is no login here")
    return text


def _music(value: object) -> object:
    meant = _meant(value)
    if isinstance(meant, bool) or (isinstance(meant, str) and names.MUSIC_CLASS.fullmatch(meant)):
        return meant
    raise ValueError("must be true, false, or the name of a class in musiconhold.conf")


def _beep(value: object) -> object:
    meant = _meant(value)
    if isinstance(meant, bool):
        return meant
    try:
        seconds = float(str(meant))
    except ValueError:
        seconds = 0.0
    if MIN_BEEP_SECONDS <= seconds <= MAX_BEEP_SECONDS:
        return seconds
    raise ValueError(
        f"must be true, false, or the seconds between two beeps, from {MIN_BEEP_SECONDS} to {MAX_BEEP_SECONDS}"
    )


def _meant(value: object) -> object:
    """Take true and false, and refuse every other word for them: YAML 1.2 has only these two."""
    if isinstance(value, str) and value in ("true", "false"):
        return value == "true"
    meant = _WORDS_FOR.get(value.lower()) if isinstance(value, str) else None
    if meant is not None:
        raise ValueError(f"{value!r} is a text, which could be a name: write {meant}")
    return value


_WORDS_FOR = {
    **dict.fromkeys(("off", "no", "none", "never", "false", "silence"), "false"),
    **dict.fromkeys(("on", "yes", "true"), "true"),
}


def _long(secret: re.Pattern[str]) -> str:
    """How long a secret is, is judged where people choose it, and not where it is written."""
    return rf"(?=.{{{names.MIN_SECRET}}}){secret.pattern}"


Code = Annotated[str, matching(names.FEATURE_CODE, "must be 1 to 8 of the keys 0-9, * and #")]
ReasonDigit = Annotated[str, matching(r"[1-9]", "must be a digit from 1 to 9, which is pressed for the reason")]
ReasonSlug = Annotated[
    str, matching(r"[a-z][a-z0-9_-]{0,19}", "must be small letters, digits, - and _, at most 20 of them")
]
ScanNumber = Annotated[str, matching(names.SCAN_NUMBER, "must be a number from 1 to 99, which is dialled for it")]
Address = Annotated[str, AfterValidator(_address)]
Network = Annotated[str, AfterValidator(_network)]
Word = Annotated[
    str,
    matching(
        "|".join((names.SOUND.pattern, *map(re.escape, sorted(PLACEHOLDERS)))),
        "must be a sound file without its ending, such as vm-goodbye, or {extension}, {choice}, {number}",
    ),
]
Words = Annotated[tuple[Word, ...], Field(min_length=1)]
StoreUrl = Annotated[
    str,
    matching(r"(sqlite:///|postgresql://)\S{1,900}", "must be postgresql://user@host/name or sqlite:///path"),
]
NodeName = Annotated[
    str, matching(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", "must be letters, digits, _ . and -, at most 64")
]
PluginName = Annotated[str, matching(r"[A-Za-z0-9_.-]{1,64}", "must be the name of an entry point")]
Secret = Annotated[str, matching(_long(names.SECRET), "must be 16 to 128 letters, digits, - and _")]
Host = Annotated[str, matching(r"[A-Za-z0-9:._-]{1,253}", "must be a host name or an IP address")]
Account = Annotated[str, matching(names.ACCOUNT, "must be letters, digits, - and _, at most 40")]
ManagerSecret = Annotated[
    str, matching(_long(names.MANAGER_SECRET), "must be 16 to 128 visible characters without spaces and semicolons")
]
Loopback = Annotated[Address, AfterValidator(_loopback)]
Sound = Annotated[
    str,
    matching(names.SOUND, "must be a sound file without its ending, such as beep"),
]
Music = Annotated[bool | str, BeforeValidator(_music)]
Beep = Annotated[bool | float, BeforeValidator(_beep)]
NumberPattern = Annotated[
    str, matching(r"\+?[0-9]{1,20}\*?", "must be a number of up to 20 digits, or its beginning followed by a *")
]
