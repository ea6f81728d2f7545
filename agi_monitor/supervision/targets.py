"""Extension -> the one spyee channel, from what the PBX says of the agent's devices."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from agi_monitor.model import Agent, Mode, Reason, Refusal

_AGE = re.compile(r"(?:^|-)([0-9]{1,20})\.([0-9]{1,20})\Z")
"""When a channel began and which one it was, at the end of its uniqueid (channel.c)."""


class ChannelState(StrEnum):
    """What ``CHANNEL(state)`` says, as far as it matters here."""

    UP = "Up"
    RINGING = "Ringing"
    """The device is being called."""
    RING = "Ring"
    """The device calls somebody who has not answered yet."""
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class DeviceChannel:
    """One leg of an agent's device.

    Parameters:
        name: such as ``PJSIP/1001-0000002a``.
        uniqueid: what ChanSpy is given.
        state: of this leg.
        peers: the channels that share its bridge; none while nobody talks.
        on_hold: one side of the conversation is hearing music instead of the other.
        number: the other party's number as the PBX shows it, for people; may be empty.
    """

    name: str
    uniqueid: str
    state: ChannelState
    peers: tuple[str, ...] = ()
    on_hold: bool = False
    number: str = ""

    @property
    def talking(self) -> bool:
        """Whether somebody is on the line with the device."""
        return self.state is ChannelState.UP and bool(self.peers)


@dataclass(frozen=True, slots=True)
class AgentDevices:
    """Everything that the PBX knows of one agent at this moment.

    Parameters:
        endpoints: the agent's devices.
        channels: the legs of these devices, and of no other.
        reachable: at least one device is known and registered.
    """

    endpoints: tuple[str, ...]
    channels: tuple[DeviceChannel, ...]
    reachable: bool


class DeviceLookup(Protocol):
    """Who can answer what an agent's devices are doing: AGI on this call, or a live index."""

    async def devices_of(self, agent: Agent) -> AgentDevices:
        """Look the agent up; devices that cannot be found make it unreachable, not an error."""
        ...


def candidates(devices: AgentDevices, own: frozenset[str]) -> tuple[DeviceChannel, ...] | Refusal:
    """Return the calls that may be meant, the most likely one first, or say why there is none.

    The order is the same every time: calls that are not on hold first, then the older one.

    Parameters:
        devices: the agent's devices at this moment.
        own: the supervisor's own devices: nobody spies on themselves, from whichever phone.
    """
    if not own.isdisjoint(devices.endpoints):
        return Refusal(Reason.SELF_SPY)
    talking = sorted((channel for channel in devices.channels if channel.talking), key=_order)
    if talking:
        return tuple(talking)
    if any(channel.state in (ChannelState.RINGING, ChannelState.RING) for channel in devices.channels):
        return Refusal(Reason.RINGING)
    if devices.channels or devices.reachable:
        return Refusal(Reason.NO_CALL)
    return Refusal(Reason.UNAVAILABLE)


def possible(channel: DeviceChannel, mode: Mode) -> Refusal | None:
    """Say what stands against this mode on this very call, or None."""
    if mode is Mode.BARGE and len(channel.peers) > 1:
        # app_chanspy.c, attach_barge: the peer is found in a bridge of exactly two channels only.
        return Refusal(Reason.CONFERENCE)
    return None


def _order(channel: DeviceChannel) -> tuple[bool, Sequence[int], str]:
    age = _AGE.search(channel.uniqueid)
    # An identifier that somebody chose tells no age: behind those that do.
    return channel.on_hold, (int(age[1]), int(age[2])) if age else (sys.maxsize, 0), channel.name
