"""A channel -> the arguments of the applications that join the supervisor to a call. The only place that writes them.

Both take the beginning of a name as well (app_bridgeaddchan.c, features.c): only a whole name of a device is written,
whose eight digits at the end make it the only one of its kind.
"""

from __future__ import annotations

from agi_monitor.names import DeviceChannel

JOIN = "BridgeAdd"
"""Joins the bridge that a channel is in, whatever the number of its parties."""

TAKE = "Bridge"
"""Takes a channel out of its bridge and talks to it."""


def join(channel: DeviceChannel) -> str:
    """Return the arguments of ``BridgeAdd`` for the bridge that one exact channel is in."""
    return channel


def take(channel: DeviceChannel) -> str:
    """Return the arguments of ``Bridge`` for one exact channel. Option ``x``: when the supervisor hangs up, the
    customer is hung up as well; without it a customer who had called continues in the dialplan. With it that happens
    only where the site wants it behind the agent, too: ``Dial`` with option ``g``.
    """
    return f"{channel},x"
