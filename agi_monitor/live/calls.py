"""Who talks to whom on one PBX, told by its events and lists.

Two rules for every later edit: each event sets what it says and never counts or toggles, so that hearing it twice,
or once more after a list that was newer, ends the same; and nothing is kept that no live channel holds on to.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, fields
from operator import attrgetter
from typing import NamedTuple

from agi_monitor.live import devices
from agi_monitor.live.headers import MAX_TEXT, UNKNOWN, Headers, Outcome, text
from agi_monitor.live.over_agi import MAX_NUMBER_DIGITS
from agi_monitor.live.targets import ChannelState, DeviceChannel, KnownBy
from agi_monitor.model import Direction
from agi_monitor.names import endpoint_of, is_uniqueid

MAX_CHANNELS = 20_000
"""Live channels of one PBX: a large one carries a few thousand. With more, events are not what they seem."""

BEGIN, END = "Newchannel", "Hangup"
LIFE = frozenset({BEGIN, END})
"""Every channel causes both: a server that never receives them is not told of calls."""

HOLDING = "holding_bridge"
"""The technology of a bridge whose members do not hear each other (bridge_holding.c)."""

CONFERENCE = "base"
"""The type of a bridge that is a conference (app_confbridge.c and app_page.c, ast_bridge_base_new)."""

PARKING = "parking"
"""The type of a bridge of parked calls, which is a holding one (res_parking, parking_bridge.c)."""


@dataclass(frozen=True, slots=True)
class Channel:
    """One leg as the PBX tells it.

    The fields after ``bridge_id`` come from events only, never from a list.

    Parameters:
        uniqueid: on this PBX.
        name: such as ``PJSIP/1001-0000002a``.
        endpoint: its device; None for a Local half.
        state: of this leg.
        number: of the party at this channel; may be empty.
        connected_number: of the other party; may be empty.
        linkedid: of the call that it is part of. It changes when calls join, without an event of its own.
        bridge_id: the bridge it is in, or None.
        holds: whether its device has put the other side on hold.
        queue: the queue that this caller waits in, or that gave them to an agent; or empty.
        parking_space: where it is parked, or empty.
        dialed_by: the uniqueid of the channel that is calling it, until it answers, or empty.
    """

    uniqueid: str
    name: str
    endpoint: str | None
    state: ChannelState
    number: str = ""
    connected_number: str = ""
    linkedid: str = ""
    bridge_id: str | None = None
    holds: bool = False
    queue: str = ""
    parking_space: str = ""
    dialed_by: str = ""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where the call of an agent came from.

    Parameters:
        queue: the queue that gave it to the agent, empty for none; None where that is not clear.
        direction: as the agent sees it; None where nothing tells it.
    """

    queue: str | None
    direction: Direction | None


@dataclass(frozen=True, slots=True)
class Bridge:
    """What joins channels.

    Parameters:
        id: on this PBX.
        kind: the type, such as ``basic``, ``base`` (a conference) or ``parking``; empty while untold.
        name: such as the number of a conference; may be empty.
        holding: its members do not hear each other.
        members: uniqueids of the channels in it, without Asterisk's internal ones, of which nothing is told.
    """

    id: str
    kind: str
    name: str
    holding: bool
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Call:
    """Channels that belong together: by a bridge in which people hear each other, by a Local channel, by a dial.

    Parameters:
        channels: in the order of their names.
        queue: the queue that one of them waits in or was given out by, or empty.
    """

    channels: tuple[Channel, ...]
    queue: str


@dataclass(slots=True)
class _Leg:
    uniqueid: str
    name: str
    endpoint: str | None
    state: ChannelState = ChannelState.OTHER
    number: str = ""
    connected_number: str = ""
    linkedid: str = ""
    bridge_id: str | None = None
    holds: bool = False
    queue: str = ""
    parking_space: str = ""
    dialed_by: str = ""
    direction: Direction | None = None
    hold_known: bool = False
    """Every Hold and Unhold of it was heard, or the last one."""

    def forget_told(self) -> None:
        self.hold_known = False
        self.holds, self.queue, self.parking_space, self.dialed_by = False, "", "", ""

    def keep_told(self, before: _Leg, *, missed: bool) -> None:
        self.holds, self.hold_known = before.holds, before.hold_known
        self.parking_space, self.dialed_by = before.parking_space, before.dialed_by
        if missed:
            # The list is newer than what is left of before.
            self.queue = before.queue or self.queue
            self.direction = self.direction or before.direction
        else:
            self.queue = before.queue
            self.direction = before.direction or self.direction


@dataclass(slots=True)
class _Bridge:
    id: str
    kind: str = ""
    name: str = ""
    holding: bool = False
    members: dict[str, None] = field(default_factory=dict)


class _Names(NamedTuple):
    """The headers of a channel snapshot (manager_channels.c), which may stand behind a prefix."""

    channel: str
    uniqueid: str
    state: str
    number: str
    connected_number: str
    linkedid: str


def _names(prefix: str) -> _Names:
    suffixes = ("Channel", "Uniqueid", "ChannelStateDesc", "CallerIDNum", "ConnectedLineNum", "Linkedid")
    return _Names(*(prefix + suffix for suffix in suffixes))


PLAIN = _names("")
DEST = _names("Dest")
CALLED = frozenset({"AppDial", "AppDial2", "AppQueue"})
"""What a list names as the application of a channel that was called, as long as it runs none itself (app_dial.c,
dial.c, app_queue.c)."""

QUEUE = "Queue"
"""The application of a caller, from the first moment in a queue to the end of the talk with an agent."""

CALLING = frozenset({"Dial", QUEUE})
"""Applications of a channel that calls another party."""

LOCAL_HALVES = (_names("LocalOne"), _names("LocalTwo"))


Facts = dict[str, tuple[str, tuple[str, ...]]]
"""Channels by their uniqueid: the name, and what ``FACTS`` names."""

FACTS = ("state", "bridge", "number", "connected number")


def differences(told: Facts, listed: Facts) -> Iterator[str]:
    """Return where events and lists disagree, a line for each; numbers are personal and left out."""
    for uniqueid, (name, facts) in told.items():
        if uniqueid not in listed:
            yield f"channel {name}: no list has it"
            continue
        listed_name, listed_facts = listed[uniqueid]
        if listed_name != name:
            yield f"channel {name}: the list says {listed_name}"
        for what, known, found in zip(FACTS, facts, listed_facts, strict=True):
            if known == found:
                continue
            if what.endswith("number"):
                yield f"channel {name}: another {what} in the list"
            else:
                yield f"channel {name}: {what} {known or 'none'}, the list says {found or 'none'}"
    for uniqueid, (name, _) in listed.items():
        if uniqueid not in told:
            yield f"channel {name}: no event told of it"


class NodeCalls:
    """Every channel and every bridge of one PBX now."""

    def __init__(self) -> None:
        self._legs: dict[str, _Leg] = {}
        self._by_name: dict[str, _Leg] = {}
        self._by_endpoint: dict[str, dict[str, _Leg]] = {}
        self._bridges: dict[str, _Bridge] = {}

    def __len__(self) -> int:
        """Count the live channels."""
        return len(self._legs)

    # ---- what is told ----------------------------------------------------------------------------------

    def apply(self, event: Headers) -> Outcome:
        """Take in one event. Never raises, whatever it holds."""
        event_name = event.get("Event")
        taker = _TAKERS.get(event_name) if event_name else None
        return Outcome.IGNORED if taker is None else taker(self, event)

    def replace(
        self,
        channels: Iterable[Headers],
        bridges: Iterable[Headers],
        queues: Iterable[Headers] = (),
        *,
        missed: bool = True,
    ) -> bool:
        """Put a list in the place of everything that was known; what lists do not tell stays.

        Who is in which bridge is taken from the channels alone: that list is one moment, while each BridgeInfo is
        asked for later, when channels may have moved on. The bridges tell what they are.

        Parameters:
            channels: the items of CoreShowChannels (or of Status).
            bridges: the items of BridgeList, or the BridgeInfoComplete of each BridgeInfo; others are passed over.
            queues: the items of QueueStatus, which has those who wait.
            missed: whether events were, since the last list.

        Returns:
            False: there are more than ``MAX_CHANNELS``, and those above are left out.
        """
        legs_before, bridges_before = self._legs, self._bridges
        self._legs, self._by_name, self._by_endpoint, self._bridges = {}, {}, {}, {}
        complete = True
        for item in channels:
            leg = self._made(item, PLAIN)
            if isinstance(leg, Outcome):
                complete = complete and leg is not Outcome.TOO_MANY
                continue
            _take_application(leg, item)
            if (before := legs_before.get(leg.uniqueid)) is not None:
                leg.keep_told(before, missed=missed)
            bridge_id = _bridge_id(item)
            if bridge_id is None:
                self._leave(leg)
            else:
                bridge = self._enter(leg, bridge_id)
                if (bridge_before := bridges_before.get(bridge_id)) is not None:
                    bridge.kind, bridge.name, bridge.holding = _nature(bridge_before)
        for item in bridges:
            bridge_id = _bridge_id(item)
            if bridge_id in self._bridges:
                _describe(self._bridges[bridge_id], item)
        for item in queues:
            waiting = self._legs.get(item.get("Uniqueid") or "")
            if waiting is not None and item.get("Event") == "QueueEntry":
                waiting.queue = text(item, "Queue")
        return complete

    def facts(self) -> Facts:
        """Return what lists tell of each channel, to be compared; other than the linked id, which changes untold."""
        return {
            leg.uniqueid: (leg.name, (leg.state, leg.bridge_id or "", leg.number, leg.connected_number))
            for leg in self._legs.values()
        }

    def forget_told(self) -> None:
        """Forget what only events tell: some were missed."""
        for leg in self._legs.values():
            leg.forget_told()

    # ---- what is asked ---------------------------------------------------------------------------------

    def channel(self, uniqueid: str) -> Channel | None:
        """Return a channel; None when there is no such one."""
        leg = self._legs.get(uniqueid)
        return None if leg is None else _value(leg)

    def has_channel(self, name: str) -> bool:
        """Return whether there is a channel of this name."""
        return name in self._by_name

    def endpoints(self) -> tuple[str, ...]:
        """Return the devices that have a channel."""
        return tuple(self._by_endpoint)

    def channels_of(self, endpoint: str) -> tuple[Channel, ...]:
        """Return the legs of one device, in the order of their names."""
        return tuple(_value(leg) for leg in self._legs_of(endpoint))

    def peers_of(self, uniqueid: str) -> tuple[Channel, ...]:
        """Return who hears a channel, in the order of their names; Local channels are followed to their far end."""
        leg = self._legs.get(uniqueid)
        peers = [] if leg is None else sorted(self._peers(leg), key=lambda peer: peer.name)
        return tuple(_value(peer) for peer in peers)

    def origin_of(self, uniqueid: str) -> Origin | None:
        """Return where an agent's call came from, by the agent's channel; None when there is no such channel."""
        leg = self._legs.get(uniqueid)
        if leg is None:
            return None
        ways, peers = self._ways(leg)
        queues = {other.queue.lower(): other.queue for other in (*ways[1:], *peers) if other.queue}
        if leg.queue or len(queues) > 1 or not peers:
            # The agent called a queue, or talks to callers of several queues, or talks to no party now.
            return Origin(None, leg.direction)
        return Origin(next(iter(queues.values()), ""), leg.direction)

    def device_channels(self, endpoint: str, known_by: KnownBy) -> Iterator[DeviceChannel]:
        """Yield the legs of one device that ChanSpy can be told exactly, with whom they talk to."""
        for leg in self._legs_of(endpoint):
            if is_uniqueid(leg.uniqueid):
                peers = self._peers(leg)
                # In a call of two either side may hold; in a conference only a member's own hold parts it from all.
                sides = [leg, *peers] if len(peers) == 1 else [leg]
                on_hold = any(side.holds for side in sides)
                # A party that rings or waits alone is not heard, so there it does not matter.
                hold_known = not peers or on_hold or all(side.hold_known for side in sides)
                names = tuple(sorted(peer.name for peer in peers))
                number = re.sub(r"[^0-9]", "", leg.connected_number)[:MAX_NUMBER_DIGITS]
                bridge = self._bridge(leg)
                in_conference = bridge is not None and bridge.kind == CONFERENCE
                yield DeviceChannel(
                    leg.name, leg.uniqueid, leg.state, names, on_hold, number, known_by, in_conference, hold_known
                )

    def unusable(self, endpoint: str) -> tuple[str, ...]:
        """Return the identifiers of the legs of one device that ChanSpy cannot be told."""
        legs = self._legs_of(endpoint)
        return tuple(leg.uniqueid for leg in legs if not is_uniqueid(leg.uniqueid))

    def bridge_of(self, uniqueid: str) -> Bridge | None:
        """Return the bridge of a channel; None when it is in none, or is not known."""
        leg = self._legs.get(uniqueid)
        bridge = None if leg is None else self._bridge(leg)
        return None if bridge is None else Bridge(bridge.id, *_nature(bridge), tuple(sorted(bridge.members)))

    def calls(self) -> tuple[Call, ...]:
        """Return all calls, in the order of the names of their first channels."""
        found: list[Call] = []
        dialed: dict[str, list[_Leg]] = {}
        for leg in self._legs.values():
            if leg.dialed_by:
                dialed.setdefault(leg.dialed_by, []).append(leg)
        left = dict(self._legs)
        bridges_left = {bridge.id: bridge for bridge in self._bridges.values() if not bridge.holding}
        while left:
            together = [left.popitem()[1]]
            for leg in together:  # grows while it is walked
                bridge = bridges_left.pop(leg.bridge_id or "", None)
                half = self._half(leg)
                joined = [*(() if bridge is None else bridge.members), leg.dialed_by]
                joined += [other.uniqueid for other in dialed.get(leg.uniqueid, ())]
                joined += [] if half is None else [half.uniqueid]
                together += [left.pop(uniqueid) for uniqueid in joined if uniqueid in left]
            channels = tuple(_value(leg) for leg in sorted(together, key=lambda leg: leg.name))
            found.append(Call(channels, next((channel.queue for channel in channels if channel.queue), "")))
        return tuple(sorted(found, key=lambda call: call.channels[0].name))

    def _legs_of(self, endpoint: str) -> list[_Leg]:
        return sorted(self._by_endpoint.get(endpoint, {}).values(), key=lambda leg: leg.name)

    def _peers(self, leg: _Leg) -> list[_Leg]:
        """Who hears this leg: the others in its bridge, with each Local channel followed to its far end."""
        return self._ways(leg)[1]

    def _ways(self, leg: _Leg) -> tuple[list[_Leg], list[_Leg]]:
        """The leg with the Local halves that it is heard through, and who hears it."""
        found: dict[str, _Leg] = {}
        followed = {leg.bridge_id}
        ways, passed = [leg], list[_Leg]()
        for way in ways:  # grows while it is walked
            bridge = self._bridge(way)
            if bridge is None or bridge.holding:
                continue
            for member in bridge.members:
                other = self._legs[member]
                if other is way or other is leg:
                    continue
                far = self._half(other)
                far_bridge = None if far is None else self._bridge(far)
                if far is None or far_bridge is None or far_bridge.holding:
                    # A device; or a Local channel that ends in an application, which is the party then.
                    found[member] = other
                elif far.bridge_id not in followed:
                    followed.add(far.bridge_id)
                    passed.append(other)
                    ways.append(far)
        return [*ways, *passed], list(found.values())

    def _bridge(self, leg: _Leg) -> _Bridge | None:
        return None if leg.bridge_id is None else self._bridges[leg.bridge_id]

    def _half(self, leg: _Leg) -> _Leg | None:
        # core_unreal.c, ast_unreal_new_channels: both halves have one name, up to ;1 and ;2. LocalBridge says the
        # same later, and no list says it, so the name is all that is needed.
        if not leg.name.startswith("Local/"):
            return None
        name, mark, half = leg.name.rpartition(";")
        return self._by_name.get(name + mark + {"1": "2", "2": "1"}.get(half, ""))

    # ---- channels and bridges --------------------------------------------------------------------------

    def _made(self, headers: Headers, names: _Names) -> _Leg | Outcome:
        """Find the channel that the headers are about, or make it; and take in what they say of it."""
        uniqueid, name = text(headers, names.uniqueid), text(headers, names.channel)
        if not uniqueid or not name:
            return Outcome.MALFORMED
        leg = self._legs.get(uniqueid)
        if leg is None:
            if len(self._legs) >= MAX_CHANNELS:
                return Outcome.TOO_MANY
            leg = self._legs[uniqueid] = _Leg(uniqueid, "", None)
        self._update(leg, headers, names)
        return leg

    def _known(self, headers: Headers, names: _Names) -> _Leg | None:
        """Find the channel that the headers are about, and take in what they say of it."""
        leg = self._legs.get(headers.get(names.uniqueid) or "")
        if leg is not None:
            self._update(leg, headers, names)
        return leg

    def _update(self, leg: _Leg, headers: Headers, names: _Names) -> None:
        name = text(headers, names.channel)
        if name and name != leg.name:
            self._rename(leg, name)
        if (state := headers.get(names.state)) is not None:
            leg.state = _STATES.get(state, ChannelState.OTHER)
            leg.direction = leg.direction or _DIRECTIONS.get(leg.state)
        if (number := headers.get(names.number)) is not None:
            leg.number = _known_text(number)
        if (number := headers.get(names.connected_number)) is not None:
            leg.connected_number = _known_text(number)
        if linkedid := text(headers, names.linkedid):
            leg.linkedid = linkedid

    def _rename(self, leg: _Leg, name: str) -> None:
        self._unname(leg)
        leg.name, leg.endpoint = name, endpoint_of(name)
        self._by_name[name] = leg
        if leg.endpoint is not None:
            self._by_endpoint.setdefault(leg.endpoint, {})[leg.uniqueid] = leg

    def _unname(self, leg: _Leg) -> None:
        if self._by_name.get(leg.name) is leg:
            del self._by_name[leg.name]
        if leg.endpoint is not None:
            legs = self._by_endpoint[leg.endpoint]
            del legs[leg.uniqueid]
            if not legs:
                del self._by_endpoint[leg.endpoint]

    def _enter(self, leg: _Leg, bridge_id: str) -> _Bridge:
        if leg.bridge_id != bridge_id:
            self._leave(leg)
        bridge = self._bridges.get(bridge_id)
        if bridge is None:
            bridge = self._bridges[bridge_id] = _Bridge(bridge_id)
        bridge.members[leg.uniqueid] = None
        leg.bridge_id = bridge_id
        return bridge

    def _leave(self, leg: _Leg) -> None:
        bridge = self._bridge(leg)
        if bridge is not None:
            del bridge.members[leg.uniqueid]
            leg.bridge_id = None
            if not bridge.members:
                # Every BridgeEnter describes its bridge, so an empty one needs no memory.
                del self._bridges[bridge.id]

    # ---- one method for each kind of event -------------------------------------------------------------

    def _take_channel(self, event: Headers) -> Outcome:
        leg = self._made(event, PLAIN)
        if isinstance(leg, Outcome):
            return leg
        if event.get("Event") == BEGIN:
            leg.hold_known = True
        return Outcome.TAKEN

    def _take_update(self, event: Headers) -> Outcome:
        return Outcome.LATE if self._known(event, PLAIN) is None else Outcome.TAKEN

    def _take_rename(self, event: Headers) -> Outcome:
        leg, name = self._legs.get(event.get("Uniqueid") or ""), text(event, "Newname")
        if leg is None:
            return Outcome.LATE
        if not name:
            return Outcome.MALFORMED
        if name != leg.name:
            self._rename(leg, name)
        return Outcome.TAKEN

    def _take_hangup(self, event: Headers) -> Outcome:
        leg = self._legs.pop(event.get("Uniqueid") or "", None)
        if leg is None:
            return Outcome.LATE
        self._leave(leg)
        self._unname(leg)
        return Outcome.TAKEN

    def _take_hold(self, event: Headers) -> Outcome:
        # bridge_channel.c, ast_bridge_channel_write_hold: the channel of the event is the one that holds the other.
        leg = self._known(event, PLAIN)
        if leg is None:
            return Outcome.LATE
        leg.holds, leg.hold_known = event.get("Event") == "Hold", True
        return Outcome.TAKEN

    def _take_dial(self, event: Headers) -> Outcome:
        # An Originate dials without a caller: then only the Dest headers are there (manager_channels.c).
        caller, dest = self._known(event, PLAIN), self._known(event, DEST)
        if event.get("Event") == "DialBegin":
            # A party that was called by an Originate and then calls the customer has called.
            for leg, direction in ((caller, Direction.OUT), (dest, Direction.IN)):
                if leg is not None:
                    leg.direction = direction
        if dest is None:
            return Outcome.LATE if caller is None else Outcome.TAKEN
        event_name = event.get("Event")
        if event_name == "DialEnd":
            dest.dialed_by = ""
            if event.get("DialStatus") == "ANSWER":
                # A phone that picked a call up has dialled the code for it, and answers for the one that was called.
                dest.direction = Direction.IN
        elif event_name == "DialBegin":
            dest.dialed_by = text(event, PLAIN.uniqueid)
        return Outcome.TAKEN

    def _take_local(self, event: Headers) -> Outcome:
        # After LocalOptimizationEnd too there is nothing to unstitch: what took the place of the halves came
        # with BridgeLeave and BridgeEnter, as in a merge; the halves themselves hang up.
        known = [self._known(event, names) for names in LOCAL_HALVES]
        return Outcome.TAKEN if any(known) else Outcome.LATE

    def _take_enter(self, event: Headers) -> Outcome:
        bridge_id = _bridge_id(event)
        if bridge_id is None:
            return Outcome.MALFORMED
        leg = self._made(event, PLAIN)
        if isinstance(leg, Outcome):
            return leg
        _describe(self._enter(leg, bridge_id), event)
        # The BridgeLeave of a channel whose place it takes (SwapUniqueid) has come just before.
        return Outcome.TAKEN

    def _take_leave(self, event: Headers) -> Outcome:
        leg, bridge_id = self._known(event, PLAIN), _bridge_id(event)
        if leg is None:
            return Outcome.LATE
        if bridge_id is None:
            return Outcome.MALFORMED
        if leg.bridge_id == bridge_id:
            self._leave(leg)
        if _is_holding(event):
            # A list may have told already that it is elsewhere, but not that its space is free.
            leg.parking_space = ""
        return Outcome.TAKEN

    def _take_destroy(self, event: Headers) -> Outcome:
        bridge = self._bridges.get(_bridge_id(event) or "")
        if bridge is None:
            return Outcome.LATE
        for member in list(bridge.members):
            self._leave(self._legs[member])
        return Outcome.TAKEN

    def _take_report(self, event: Headers) -> Outcome:
        # A transfer and a merge move channels by BridgeLeave and BridgeEnter. Their own event only reports it:
        # the channels in it are as they were before (bridge.c), and a merge may leave some of them behind.
        return Outcome.TAKEN

    def _take_queue(self, event: Headers) -> Outcome:
        # app_queue.c: the plain headers are the caller's. They are not taken over: the report of an agent who
        # hung up is written later than it was made.
        leg, queue = self._legs.get(event.get("Uniqueid") or ""), text(event, "Queue")
        if leg is None:
            return Outcome.LATE
        if not queue:
            return Outcome.MALFORMED
        if event.get("Event") in ("QueueCallerJoin", "AgentConnect"):
            leg.queue = queue
        elif leg.queue == queue:  # and not another one that has the caller now
            leg.queue = ""
        return Outcome.TAKEN

    def _take_parking(self, event: Headers) -> Outcome:
        # res_parking: the parked channel stands behind Parkee, and ParkedCall comes before its BridgeEnter.
        leg, space = self._legs.get(event.get("ParkeeUniqueid") or ""), text(event, "ParkingSpace")
        if leg is None:
            return Outcome.LATE
        leg.parking_space = space if event.get("Event") in ("ParkedCall", "ParkedCallSwap") else ""
        return Outcome.TAKEN


def _take_application(leg: _Leg, item: Headers) -> None:
    """Take from a list what only events tell otherwise: who called, and out of which queue."""
    application = item.get("Application") or ""
    if application in CALLED or application in CALLING:
        leg.direction = Direction.IN if application in CALLED else Direction.OUT
    if application == QUEUE:
        # No list tells of a caller who was transferred by an agent meanwhile.
        leg.queue = text(item, "ApplicationData").partition(",")[0]


_DIRECTIONS = {ChannelState.RINGING: Direction.IN, ChannelState.RING: Direction.OUT}
"""What the state of a channel that is not answered yet tells (chan_pjsip.c, chan_sip.c)."""

_STATES = {state.value: state for state in ChannelState if state is not ChannelState.OTHER}

_TAKERS: dict[str, Callable[[NodeCalls, Headers], Outcome]] = {
    # Those that make a channel known. A dead one is never told of in them: AgentComplete, by contrast, may
    # come after the Hangup of the agent's leg, and would leave a channel that nothing removes.
    "Newchannel": NodeCalls._take_channel,
    "Newstate": NodeCalls._take_channel,
    "BridgeEnter": NodeCalls._take_enter,
    # Those that need one.
    "NewCallerid": NodeCalls._take_update,
    "NewConnectedLine": NodeCalls._take_update,
    "NewAccountCode": NodeCalls._take_update,
    "HangupRequest": NodeCalls._take_update,
    "SoftHangupRequest": NodeCalls._take_update,
    "MusicOnHoldStart": NodeCalls._take_update,
    "MusicOnHoldStop": NodeCalls._take_update,
    "Rename": NodeCalls._take_rename,
    "Hangup": NodeCalls._take_hangup,
    "Hold": NodeCalls._take_hold,
    "Unhold": NodeCalls._take_hold,
    "DialBegin": NodeCalls._take_dial,
    "DialState": NodeCalls._take_dial,
    "DialEnd": NodeCalls._take_dial,
    "LocalBridge": NodeCalls._take_local,
    "LocalOptimizationBegin": NodeCalls._take_local,
    "LocalOptimizationEnd": NodeCalls._take_local,
    "BridgeLeave": NodeCalls._take_leave,
    "BridgeDestroy": NodeCalls._take_destroy,
    "BridgeCreate": NodeCalls._take_report,
    "BridgeMerge": NodeCalls._take_report,
    "BlindTransfer": NodeCalls._take_report,
    "AttendedTransfer": NodeCalls._take_report,
    "QueueCallerJoin": NodeCalls._take_queue,
    "QueueCallerLeave": NodeCalls._take_queue,
    "AgentConnect": NodeCalls._take_queue,
    "AgentComplete": NodeCalls._take_queue,
    "ParkedCall": NodeCalls._take_parking,
    "ParkedCallSwap": NodeCalls._take_parking,
    "UnParkedCall": NodeCalls._take_parking,
    "ParkedCallTimeOut": NodeCalls._take_parking,
    "ParkedCallGiveUp": NodeCalls._take_parking,
}

EVENTS = frozenset(_TAKERS) | devices.EVENTS
"""The names of all events that a picture of a PBX is made of, those of its devices too."""


_fields = attrgetter(*(each.name for each in fields(Channel)))


def _value(leg: _Leg) -> Channel:
    return Channel(*_fields(leg))


def _nature(bridge: _Bridge) -> tuple[str, str, bool]:
    return bridge.kind, bridge.name, bridge.holding


def _describe(bridge: _Bridge, headers: Headers) -> None:
    # All three stay the same as long as the bridge lives. Its technology does not: the third party changes it.
    bridge.kind = text(headers, "BridgeType")
    bridge.name = text(headers, "BridgeName")
    bridge.holding = _is_holding(headers)


def _is_holding(headers: Headers) -> bool:
    return headers.get("BridgeType") == PARKING or headers.get("BridgeTechnology") == HOLDING


def _bridge_id(headers: Headers) -> str | None:
    # Events, CoreShowChannels and Status write it in three ways (manager_bridges.c, manager.c).
    return text(headers, "BridgeUniqueid") or text(headers, "BridgeId") or text(headers, "BridgeID") or None


def _known_text(found: str) -> str:
    return "" if found == UNKNOWN else found[:MAX_TEXT]
