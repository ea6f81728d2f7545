"""Names and identifiers of the PBX, each form once. What is handed to Asterisk has one of these types.

A text that came from outside becomes one of them by its constructor, which refuses everything that could be more
than one channel or one bridge: a pattern (``/./``), a list, ``all``, an argument after a comma. Functions that speak
to Asterisk take these types and no plain ``str``, so the type checker finds every way around them.
"""

from __future__ import annotations

import re
from typing import Self

MAX_UNIQUEID_BYTES = 151
"""Asterisk keeps no more of a uniqueid (AST_MAX_UNIQUEID without its final NUL, channel.h)."""

SYSTEM_NAME_MARKS = frozenset(" _.-+@:#=~!%*'")
"""The marks that may stand in a system name, besides letters and digits. Each of the others is structure somewhere: a
comma, brackets, quotes and a backslash in an application's arguments (app.c, __ast_app_separate_args), ``$`` in what
is substituted, ``;`` in files, ``&`` and ``|`` in lists, ``/`` in the name of a channel and around a regular
expression (manager.c, action_hangup)."""

_CHOSEN = re.compile(r"(?!(?i:all)\Z)(?=.*[0-9])[A-Za-z0-9_.\-]{1,150}")
_OWN = re.compile(r"(?P<system>\S.*)-[0-9]{1,20}\.[0-9]{1,20}")
_CHANNEL = re.compile(r"[A-Za-z0-9]{1,20}/(?!\Z)[A-Za-z0-9_.+@;:\-*#/]{1,150}")
_DEVICE_CHANNEL = re.compile(r"(?!Local/)[A-Za-z0-9]{1,20}/[A-Za-z0-9_.+@\-]{1,120}-[0-9a-f]{8}")
_BRIDGE = re.compile(r"[A-Za-z0-9_.\-]{1,150}")


def is_uniqueid(text: str) -> bool:
    """Return whether the text can be nothing but one channel's uniqueid.

    That is ``[systemname-]epoch.sequence`` (channel_internal_api.c), or up to 149 characters that ARI or AMI
    Originate chose as the ``ChannelId``. Never empty, never ``all``: Asterisk compares it as a whole.

    A system name is up to 127 bytes of anything (options.c), such as ``Call Center 1``. Letters of every alphabet,
    digits, spaces and ``SYSTEM_NAME_MARKS`` are taken; see ``unusable_characters`` for the rest.
    """
    if _CHOSEN.fullmatch(text) is not None:
        return True
    own = _OWN.fullmatch(text)
    return own is not None and is_system_name(own["system"]) and len(text.encode()) <= MAX_UNIQUEID_BYTES


def is_system_name(text: str) -> bool:
    """Return whether the uniqueids of a PBX with this system name can be handed to Asterisk."""
    return bool(text) and text == text.strip() and not unusable_characters(text)


def unusable_characters(text: str) -> str:
    """Return the characters of a system name or a uniqueid that must not reach an application, each once, sorted.

    A character that is not printable is one of them, and so is what stands for bytes that are not UTF-8.
    """
    return "".join(sorted({one for one in text if not _is_plain(one)}))


def _is_plain(character: str) -> bool:
    if character.isascii():
        return character.isalnum() or character in SYSTEM_NAME_MARKS
    return character.isprintable() and character != "\N{REPLACEMENT CHARACTER}"


def is_device_channel(text: str) -> bool:
    """Return whether the text can be nothing but the whole name of one device's channel."""
    return _DEVICE_CHANNEL.fullmatch(text) is not None


class _Name(str):
    """A text of a checked form.

    Raises:
        ValueError: it has another form.
    """

    __slots__ = ()
    _form: re.Pattern[str]
    _what: str

    def __new__(cls, text: str) -> Self:
        if not cls._fits(text):
            raise ValueError(f"not {cls._what}")
        return super().__new__(cls, text)

    @classmethod
    def _fits(cls, text: str) -> bool:
        return cls._form.fullmatch(text) is not None

    @classmethod
    def read(cls, text: str) -> Self | None:
        """Return the text with this type, or None where it has another form."""
        return cls(text) if cls._fits(text) else None


class Uniqueid(_Name):
    """The identifier of one channel: it stays with the device when Asterisk moves an application to another one."""

    __slots__ = ()
    _what = "the uniqueid of a channel"

    @classmethod
    def _fits(cls, text: str) -> bool:
        return is_uniqueid(text)


class ChannelName(_Name):
    """The whole name of one channel, a Local half too; never a pattern."""

    __slots__ = ()
    _form = _CHANNEL
    _what = "the name of a channel"


class DeviceChannel(ChannelName):
    """The whole name of a device's channel: eight digits at its end make it the only one that begins like this."""

    __slots__ = ()
    _form = _DEVICE_CHANNEL
    _what = "the name of a device's channel"


class BridgeId(_Name):
    """The identifier of one bridge."""

    __slots__ = ()
    _form = _BRIDGE
    _what = "the identifier of a bridge"
