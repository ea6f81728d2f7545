"""Names and identifiers of the PBX, each form once. What is handed to Asterisk has one of these types.

A text that came from outside becomes one of them by its constructor, which refuses everything that could be more
than one channel or one bridge: a pattern (``/./``), a list, ``all``, an argument after a comma. Functions that speak
to Asterisk take these types and no plain ``str``, so the type checker finds every way around them.
"""

from __future__ import annotations

import re
from typing import Self

_UNIQUEID = re.compile(r"(?!(?i:all)\Z)(?=.*[0-9])[A-Za-z0-9_.\-]{1,150}")
_CHANNEL = re.compile(r"[A-Za-z0-9]{1,20}/(?!\Z)[A-Za-z0-9_.+@;:\-*#/]{1,150}")
_DEVICE_CHANNEL = re.compile(r"(?!Local/)[A-Za-z0-9]{1,20}/[A-Za-z0-9_.+@\-]{1,120}-[0-9a-f]{8}")
_BRIDGE = re.compile(r"[A-Za-z0-9_.\-]{1,150}")


def is_uniqueid(text: str) -> bool:
    """Say whether the text can be nothing but one channel's uniqueid.

    That is ``[systemname-]epoch.sequence`` (channel.c), or up to 149 characters that ARI or AMI Originate chose as
    the ``ChannelId``. No comma, no slash, never empty, never ``all``: Asterisk compares it as a whole.
    """
    return _UNIQUEID.fullmatch(text) is not None


def is_device_channel(text: str) -> bool:
    """Say whether the text can be nothing but the whole name of one device's channel."""
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
        if cls._form.fullmatch(text) is None:
            raise ValueError(f"not {cls._what}")
        return super().__new__(cls, text)

    @classmethod
    def read(cls, text: str) -> Self | None:
        """Return the text with this type, or None where it has another form."""
        return cls(text) if cls._form.fullmatch(text) is not None else None


class Uniqueid(_Name):
    """The identifier of one channel: it stays with the device when Asterisk moves an application to another one."""

    __slots__ = ()
    _form = _UNIQUEID
    _what = "the uniqueid of a channel"


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
