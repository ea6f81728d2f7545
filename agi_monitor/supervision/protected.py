"""Calls that may not be heard, whichever agent has them."""

from __future__ import annotations

from dataclasses import dataclass

from agi_monitor.live.targets import DeviceChannel
from agi_monitor.model import Reason, Refusal
from agi_monitor.names import endpoint_of

VARIABLE = "AGI_MONITOR_PROTECTED"
"""The channel variable by which the dialplan protects a call."""

_NO = frozenset({"", "0", "no", "false"})


@dataclass(frozen=True, slots=True)
class Protected:
    """What protects a call.

    Parameters:
        endpoints: devices; a call that one of them takes part in is protected.
        numbers: numbers of the other party; one that ends with ``*`` means every number that begins so.
    """

    endpoints: frozenset[str] = frozenset()
    numbers: tuple[str, ...] = ()

    def refusal(self, channel: DeviceChannel) -> Refusal | None:
        """Return what protects the call that this channel is in, or None."""
        for name in (channel.name, *channel.peers):
            endpoint = endpoint_of(name)
            if endpoint in self.endpoints:
                return Refusal(Reason.PROTECTED, f"{endpoint} takes part")
        for number in self.numbers:
            wanted = number.removeprefix("+")
            if channel.number == wanted or (wanted.endswith("*") and channel.number.startswith(wanted[:-1])):
                return Refusal(Reason.PROTECTED, f"the number {number}")
        return None


def marked(variable: str | None) -> bool:
    """Return whether the value of the channel variable protects the call."""
    return (variable or "").strip().lower() not in _NO
