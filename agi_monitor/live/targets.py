"""Extension -> the one spyee channel, from what the PBX says of the agent's devices."""

from __future__ import annotations

import sys
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from agi_monitor.model import Agent, Barge, Mode, Reason, Refusal
from agi_monitor.names import BEGUN, is_device_channel


class ChannelState(StrEnum):
    """What ``CHANNEL(state)`` says, as far as it matters here."""

    UP = "Up"
    RINGING = "Ringing"
    """The device is being called."""
    RING = "Ring"
    """The device calls a party that has not answered yet."""
    OTHER = "other"


class KnownBy(StrEnum):
    """Why a device counts as this agent's."""

    CONFIGURED = "configured"
    """The configuration names it."""
    HINT = "hint"
    """The hint of the extension names it."""
    QUEUE = "queue"
    """A queue watches it for this extension: the agent is logged in there."""


class Source(StrEnum):
    """Who answered."""

    INDEX = "index"
    """The live picture of the PBX, over AMI."""
    AGI = "agi"
    """The PBX itself, asked on the supervisor's own call."""


@dataclass(frozen=True, slots=True)
class DeviceChannel:
    """One leg of an agent's device.

    Parameters:
        name: such as ``PJSIP/1001-0000002a``.
        uniqueid: what ChanSpy is given.
        state: of this leg.
        peers: the channels that share its bridge; empty while it talks to no one.
        on_hold: whether one side of the conversation hears music instead of the other.
        number: the other party's number as the PBX shows it, for people; may be empty.
        known_by: why its device is the agent's.
        in_conference: whether its bridge is a conference, even with one peer only.
        hold_known: whether ``on_hold`` is certain. For a call older than the live picture it is not known.
        peers_known: whether ``peers`` are certain to be all who are on the call.
        ways: the channels on the way to the peers, and the peers; empty if the live picture says who they are.
    """

    name: str
    uniqueid: str
    state: ChannelState
    peers: tuple[str, ...] = ()
    on_hold: bool = False
    number: str = ""
    known_by: KnownBy = KnownBy.CONFIGURED
    in_conference: bool = False
    hold_known: bool = field(default=True, compare=False)
    peers_known: bool = field(default=True, compare=False)
    ways: tuple[str, ...] = field(default=(), compare=False)

    @property
    def talking(self) -> bool:
        """Whether another party is on the line with the device."""
        return self.state is ChannelState.UP and bool(self.peers)


@dataclass(frozen=True, slots=True)
class AgentDevices:
    """Everything that the PBX knows of one agent now.

    Parameters:
        endpoints: the agent's devices.
        channels: the legs of these devices only.
        reachable: whether at least one device is known and registered.
        source: who answered.
        stale: why the live picture was not asked, or empty; a ``channels.Stale``.
        unusable: the identifiers of further legs, which ChanSpy cannot be told, such as with a comma in them.
    """

    endpoints: tuple[str, ...]
    channels: tuple[DeviceChannel, ...]
    reachable: bool
    source: Source = Source.AGI
    stale: str = ""
    unusable: tuple[str, ...] = ()


class DeviceLookup(Protocol):
    """Who can answer what an agent's devices are doing: AGI on this call, or a live index."""

    async def devices_of(self, agent: Agent) -> AgentDevices:
        """Look the agent up; devices that cannot be found make it unreachable, not an error."""
        ...

    async def confirmed(self, agent: Agent, channel: DeviceChannel) -> DeviceChannel | None:
        """Ask the PBX itself what a channel is right now; None when it is not the one that was decided on."""
        ...


def candidates(devices: AgentDevices, own: frozenset[str]) -> tuple[DeviceChannel, ...] | Refusal:
    """Return the calls that may be meant, the most likely one first, or why there is none.

    The order is the same every time: calls that are not on hold first, then the older one.

    Parameters:
        devices: the agent's devices now.
        own: the supervisor's own devices: supervisors cannot spy on themselves, from any phone.
    """
    if not own.isdisjoint(devices.endpoints):
        return Refusal(Reason.SELF_SPY)
    talking = sorted((channel for channel in devices.channels if channel.talking), key=_order)
    if talking:
        return tuple(talking)
    if any(channel.state in (ChannelState.RINGING, ChannelState.RING) for channel in devices.channels):
        return Refusal(Reason.RINGING)
    if devices.unusable:
        return Refusal(Reason.NO_CALL, f"{len(devices.unusable)} with an identifier that cannot be used")
    if devices.channels or devices.reachable:
        return Refusal(Reason.NO_CALL)
    return Refusal(Reason.UNAVAILABLE)


def found_again(
    devices: AgentDevices, own: frozenset[str], uniqueid: str, parties: Collection[str] | None
) -> DeviceChannel | Refusal:
    """Return a call that was chosen before, as it is now, or the refusal when it has become another call.

    Parameters:
        devices: the agent's devices now.
        own: the supervisor's own devices.
        uniqueid: of the agent's channel.
        parties: one of them must be on the call still, for it was chosen because of them; None for any.
    """
    if not own.isdisjoint(devices.endpoints):
        return Refusal(Reason.SELF_SPY)
    channel = next((one for one in devices.channels if one.uniqueid == uniqueid), None)
    if channel is None:
        return Refusal(Reason.TARGET_GONE)
    if parties is not None and (not channel.talking or set(channel.peers).isdisjoint(parties)):
        return Refusal(Reason.TARGET_GONE, "the call went on with another party")
    return channel


def possible(channel: DeviceChannel, mode: Mode, barge: Barge = Barge.CHANSPY) -> Refusal | None:
    """Return what forbids this mode on this very call, or None.

    Parameters:
        channel: the agent's.
        mode: how it would be heard.
        barge: what carries a barge.
    """
    if mode is Mode.BARGE and barge is Barge.CHANSPY and (channel.in_conference or len(channel.peers) > 1):
        # app_chanspy.c, attach_barge: the peer is found in a bridge of exactly two channels only, and a conference
        # has its announcer in it as well.
        return Refusal(Reason.CONFERENCE)
    if mode is Mode.BARGE and barge is Barge.CONFERENCE and not is_device_channel(channel.name):
        return Refusal(Reason.CONFERENCE, "its name cannot be told exactly")
    if mode is Mode.TAKE_OVER and not (len(channel.peers) == 1 and is_device_channel(channel.peers[0])):
        return Refusal(Reason.CONFERENCE, f"{len(channel.peers)} other parties")
    return None


def uncertain(channel: DeviceChannel) -> Refusal | None:
    """Refuse a call on which not all parties are known, or return None: one of the others may be protected."""
    return None if channel.peers_known else Refusal(Reason.STALE, "who is on the call is not known for certain")


def because(chosen: DeviceChannel, calls: Sequence[DeviceChannel]) -> str:
    """Return why it is this channel, for the audit: such as ``hint, chosen of 3``.

    Parameters:
        chosen: the channel that is heard.
        calls: what ``candidates`` returned.
    """
    which = "only call" if len(calls) == 1 else f"chosen of {len(calls)}"
    return f"{_DEVICE[chosen.known_by]}, {which}"


_DEVICE = {KnownBy.CONFIGURED: "configured device", KnownBy.HINT: "hint", KnownBy.QUEUE: "queue login"}


def age(uniqueid: str) -> tuple[int, int]:
    """Return what sorts channels by their age, the oldest first. One that tells no age comes last."""
    found = BEGUN.search(uniqueid)
    return (int(found["second"]), int(found["sequence"])) if found else (sys.maxsize, 0)


def _order(channel: DeviceChannel) -> tuple[bool, tuple[int, int], str]:
    return channel.on_hold, age(channel.uniqueid), channel.name
