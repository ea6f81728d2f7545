"""A channel -> the arguments of the applications that join the supervisor to a call. The only place that writes them.

Both take the beginning of a name as well (app_bridgeaddchan.c, features.c): only a whole name of a device is written,
whose eight digits at the end make it the only one of its kind.
"""

from __future__ import annotations

import re

JOIN = "BridgeAdd"
"""Joins the bridge that a channel is in, whatever the number of its parties."""

TAKE = "Bridge"
"""Takes a channel out of its bridge and talks to it."""

_DEVICE = re.compile(r"(?!Local/)[A-Za-z0-9]{1,20}/[A-Za-z0-9_.+@\-]{1,120}-[0-9a-f]{8}")


def is_device_channel(name: str) -> bool:
    """Say whether the text can be nothing but the whole name of one device's channel."""
    return _DEVICE.fullmatch(name) is not None


def join(channel: str) -> str:
    """Return the arguments of ``BridgeAdd`` for the bridge that one exact channel is in.

    Raises:
        ValueError: it is not the whole name of a device's channel.
    """
    return _exact(channel)


def take(channel: str) -> str:
    """Return the arguments of ``Bridge`` for one exact channel. Option ``x``: when the supervisor hangs up, the
    customer is hung up as well; without it a customer who had called goes on in the dialplan. With it that happens
    only where the site wants it behind the agent, too: ``Dial`` with option ``g``.

    Raises:
        ValueError: it is not the whole name of a device's channel.
    """
    return f"{_exact(channel)},x"


def _exact(channel: str) -> str:
    if not is_device_channel(channel):
        raise ValueError("not the name of a device's channel")
    return channel
