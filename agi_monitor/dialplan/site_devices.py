"""The devices that a site has in Asterisk's files, and which extension each is of.

::

    pjsip.conf, pjsip_wizard.conf    PJSIP/alice, with its callerid and mailbox
    sip.conf, iax.conf, users.conf   SIP/alice, IAX2/alice
    extensions.conf                  hints, and what Dial() calls by the digits of an extension

A device is called after its extension, or the dialplan, its callerid or its mailbox says whose it is. One that logs
in elsewhere is a trunk.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from agi_monitor import names
from agi_monitor.dialplan.conf_files import Section

TECHNOLOGIES = {one.lower(): one for one in ("PJSIP", "SIP", "IAX2", "DAHDI")}
"""As they are written anywhere -> as channels are called."""

DEVICE = re.compile(r"(?P<technology>PJSIP|SIP|IAX2|DAHDI)/(?P<name>[A-Za-z0-9_.+-]{1,80})", re.IGNORECASE)
"""The device in a dial string. Narrower than ``names.ENDPOINT``: ``@`` ends it, before what it is dialled through."""

LONGEST_INTERNAL = 8
"""Digits. A callerid with more of them is what the outside sees, and tells no extension."""

_EXTEN = re.compile(r"(?P<extension>[0-9]{1,20})\s*,\s*(?P<priority>[^,]*),(?P<rest>.*)", re.DOTALL)
_DIALS = re.compile(r"\s*(?:\([^)]*\)\s*)?Dial\((?P<arguments>[^,)]*)", re.IGNORECASE)


def device_of(text: str) -> str | None:
    """Return the device that a dial string, or the member of a queue, begins with, as channels are called."""
    found = DEVICE.match(text)
    return None if found is None else f"{TECHNOLOGIES[found['technology'].lower()]}/{found['name']}"


@dataclass(frozen=True, slots=True)
class Device:
    """One device.

    Parameters:
        name: technology and name, such as ``PJSIP/alice``.
        where: file and number of its section, for people.
        person: who has it, if that is told.
        number: of its callerid; empty without one.
        mailbox: its own; empty without one.
        is_trunk: whether it logs in elsewhere.
    """

    name: str
    where: str
    person: str = ""
    number: str = ""
    mailbox: str = ""
    is_trunk: bool = False

    @property
    def digits(self) -> str:
        """The extension after which it is called, if its name is one."""
        own = self.name.partition("/")[2]
        return own if names.EXTENSION.fullmatch(own) else ""


@dataclass
class Dialplan:
    """What the dialplan says of devices.

    Parameters:
        hints: by device, the extensions whose hints name it, and how many devices that hint has.
        dials: by device, the extensions that call it and nothing else.
    """

    hints: dict[str, dict[str, int]] = field(default_factory=dict)
    dials: dict[str, set[str]] = field(default_factory=dict)

    def take(self, section: Section) -> None:
        """Take in a context."""
        extension = ""
        for line in section.lines:
            if line.name == "same":
                priority, _, rest = line.value.partition(",")
            elif line.name == "exten" and (found := _EXTEN.fullmatch(line.value)) is not None:
                extension, priority, rest = found["extension"], found["priority"], found["rest"]
            else:
                extension = "" if line.name == "exten" else extension
                continue
            if extension:
                self._take(extension, priority.strip().lower(), rest)

    def _take(self, extension: str, priority: str, rest: str) -> None:
        if priority == "hint":
            devices = [one for part in rest.partition(",")[0].split("&") if (one := device_of(part.strip()))]
            for device in devices:
                self.hints.setdefault(device, {})[extension] = len(devices)
            return
        found = _DIALS.match(rest)
        called = [] if found is None else [device_of(one.strip()) for one in found["arguments"].split("&")]
        if len(called) == 1 and called[0] is not None:
            self.dials.setdefault(called[0], set()).add(extension)


def extension_of(device: Device, dialplan: Dialplan) -> str | None:
    """Return the extension that a device is of, or None where nothing tells it.

    Parameters:
        device: the device.
        dialplan: of the site.
    """
    hints = dialplan.hints.get(device.name, {})
    internal = device.number if len(device.number) <= LONGEST_INTERNAL else ""
    if device.digits:
        # 99200 may be the second device of 200: its callerid or a hint says so, and its name ends that way.
        ends = sorted(
            {one for one in (internal, *hints) if one and one != device.digits and device.digits.endswith(one)}
        )
        return ends[0] if len(ends) == 1 and device.digits not in hints else device.digits
    own = [extension for extension, devices in hints.items() if devices == 1]
    dialled = dialplan.dials.get(device.name, set())
    for found in (own, [internal], list(hints), sorted(dialled), [device.mailbox]):
        told = [one for one in found if names.EXTENSION.fullmatch(one)]
        if len(told) == 1:
            return told[0]
    return None


# ---- sections ------------------------------------------------------------------------------------------------


def pjsip(sections: Iterable[Section]) -> Iterator[Device]:
    """Yield the endpoints of pjsip.conf."""
    for section in sections:
        if section.last("type") == "endpoint":
            yield _device("PJSIP", section, is_trunk=section.last("outbound_auth") is not None)


def pjsip_wizard(sections: Iterable[Section]) -> Iterator[Device]:
    """Yield the endpoints that pjsip_wizard.conf makes (res_pjsip_config_wizard.c)."""
    for section in sections:
        if section.last("type") == "wizard":
            sends = (section.last(name) or "" for name in ("sends_auth", "sends_registrations"))
            yield _device("PJSIP", section, "endpoint/", is_trunk=any(map(_is_true, sends)))


def chan_sip(sections: Iterable[Section]) -> Iterator[Device]:
    """Yield the peers of sip.conf."""
    return _peers("SIP", sections, ("general", "authentication"))


def iax(sections: Iterable[Section]) -> Iterator[Device]:
    """Yield the peers of iax.conf."""
    return _peers("IAX2", sections, ("general",))


def _peers(technology: str, sections: Iterable[Section], others: Sequence[str]) -> Iterator[Device]:
    for section in sections:
        # A user only calls in, as those of the sample of iax.conf do: a phone can be called.
        if section.name not in others and section.last("type") in ("friend", "peer"):
            logs_in = section.last("remotesecret") is not None or section.last("fromuser") is not None
            yield _device(technology, section, is_trunk=logs_in)


def users(sections: Iterable[Section]) -> Iterator[Device]:
    """Yield the devices that users.conf makes for chan_sip and chan_iax2 (build_user_routes of each)."""
    defaults: Mapping[str, bool] = {}
    for section in sections:
        has = {name: _is_true(section.last(name) or "") for name in ("hassip", "hasiax") if section.last(name)}
        if section.name == "general":
            defaults = has
            continue
        for name, technology in (("hassip", "SIP"), ("hasiax", "IAX2")):
            if has.get(name, defaults.get(name, False)):
                person = section.last("fullname") or ""
                number = section.last("cid_number") or ""
                yield Device(f"{technology}/{section.name}", section.where, person.strip(), number.strip())


def _device(technology: str, section: Section, prefix: str = "", *, is_trunk: bool) -> Device:
    person, number = caller(section.last(f"{prefix}callerid") or "")
    mailbox = section.last(f"{prefix}mailboxes") or section.last(f"{prefix}mailbox") or ""
    name = f"{technology}/{section.name}"
    return Device(name, section.where, person, number, mailbox.partition("@")[0].strip(), is_trunk=is_trunk)


def caller(text: str) -> tuple[str, str]:
    """Return the name and the number of ``"name" <number>``; both empty for what is neither.

    Not by one pattern: on a long text of spaces it would try every way to part them.
    """
    told, opening, rest = text.partition("<")
    number, closing, after = rest.partition(">")
    name = told.strip().removeprefix('"').removesuffix('"').strip()
    if '"' in name or after.strip() or bool(opening) is not bool(closing):
        return "", ""
    return name, number.strip()


def _is_true(text: str) -> bool:
    """As ``ast_true`` reads it (utils.c)."""
    return text.strip().lower() in ("yes", "true", "y", "t", "1", "on")
