"""A small PBX that tells of its calls as Asterisk does, for the tests of the index beside it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from agi_monitor.live.calls import Bridge, Channel
from agi_monitor.live.targets import ChannelState, DeviceChannel
from agi_monitor.names import endpoint_of

STATES = {"Up": ChannelState.UP, "Ring": ChannelState.RING, "Ringing": ChannelState.RINGING}


@dataclass
class Leg:
    """The truth about one channel."""

    uniqueid: str
    name: str
    state: str
    number: str
    connected: str = ""
    linkedid: str = ""
    bridge: str | None = None
    holds: bool = False
    queue: str = ""
    waits: bool = False
    space: str = ""
    dialed_by: str = ""


@dataclass
class Room:
    """The truth about one bridge."""

    id: str
    kind: str
    technology: str
    name: str = ""


class SmallPbx:
    """Channels, bridges, and the events of everything that happens, in ``wire``.

    Parameters:
        prefix: of the uniqueids, as ``systemname`` sets it.
    """

    def __init__(self, prefix: str = "") -> None:
        self.prefix = prefix
        self.legs: dict[str, Leg] = {}
        self.rooms: dict[str, Room] = {}
        self.wire: list[dict[str, str]] = []
        self._made = 0

    # ---- what happens ----------------------------------------------------------------------------------

    def create(self, endpoint: str, state: str = "Ring", number: str = "", linkedid: str = "") -> str:
        """A channel of a device; returns its uniqueid."""
        return self._create(f"{endpoint}-{self._count():08x}", state, number, linkedid)

    def create_local(self, exten: str = "1001") -> tuple[str, str]:
        """Both halves of a Local channel, ``;1`` and ``;2``."""
        name = f"Local/{exten}@agents-{self._count():08x}"
        one, two = self._create(f"{name};1", "Down"), self._create(f"{name};2", "Ring")
        self._tell("LocalBridge", self._headers(one, "LocalOne"), self._headers(two, "LocalTwo"))
        return one, two

    def dial(self, caller: str, dest: str) -> None:
        """One channel calls another."""
        self.legs[dest].dialed_by = caller
        self._tell("DialBegin", self._headers(caller), self._headers(dest, "Dest"), DialString="x")
        self.set_state(dest, "Ringing")

    def answer(self, caller: str, dest: str) -> None:
        """The called one answers."""
        self.set_state(dest, "Up")
        self.legs[dest].dialed_by = ""
        self._tell("DialEnd", self._headers(caller), self._headers(dest, "Dest"), DialStatus="ANSWER")
        self.set_state(caller, "Up")

    def set_state(self, leg: str, state: str) -> None:
        """A channel is up, or rings."""
        self.legs[leg].state = state
        self._tell("Newstate", self._headers(leg))

    def connect_number(self, leg: str, number: str) -> None:
        """The PBX shows a channel another party's number."""
        self.legs[leg].connected = number
        self._tell("NewConnectedLine", self._headers(leg))

    def caller_number(self, leg: str, number: str) -> None:
        """A channel gets another number of its own."""
        self.legs[leg].number = number
        self._tell("NewCallerid", self._headers(leg))

    def link(self, leg: str, linkedid: str) -> None:
        """Calls join: the next event of the channel tells it, here a NewCallerid."""
        self.legs[leg].linkedid = linkedid
        self._tell("NewCallerid", self._headers(leg))

    def rename(self, leg: str, name: str) -> None:
        """A channel gets another name."""
        old, self.legs[leg].name = self.legs[leg].name, name
        self._tell("Rename", {"Channel": old, "Newname": name, "Uniqueid": leg})

    def room(self, kind: str = "basic", technology: str = "simple_bridge", name: str = "") -> str:
        """A bridge; returns its id."""
        room = Room(f"b{self._count():08x}-0000", kind, technology, name)
        self.rooms[room.id] = room
        self._tell("BridgeCreate", self._bridge_headers(room.id))
        return room.id

    def enter(self, leg: str, room: str, swap: str | None = None) -> None:
        """A channel enters a bridge, perhaps in another's place."""
        if self.legs[leg].bridge is not None:
            self.leave(leg)
        self.legs[leg].bridge = room
        swapped = {} if swap is None else {"SwapUniqueid": swap}
        if swap is not None:
            self.leave(swap)
        self._tell("BridgeEnter", self._bridge_headers(room), self._headers(leg), swapped)

    def leave(self, leg: str) -> None:
        """A channel leaves its bridge."""
        room = self.legs[leg].bridge
        if room is not None:
            self.legs[leg].bridge = None
            if self.rooms[room].technology == "holding_bridge":
                self.legs[leg].space = ""
            self._tell("BridgeLeave", self._bridge_headers(room), self._headers(leg))

    def destroy(self, room: str) -> None:
        """A bridge ends, and everybody leaves it first."""
        for leg in self.members(room):
            self.leave(leg.uniqueid)
        self._tell("BridgeDestroy", self._bridge_headers(room))
        del self.rooms[room]

    def merge(self, to: str, source: str, kicked: Iterable[str] = ()) -> None:
        """One bridge's channels go into another; some are left out."""
        self._tell("BridgeMerge", self._bridge_headers(to, "To"), self._bridge_headers(source, "From"))
        for leg in self.members(source):
            if leg.uniqueid in kicked:
                self.leave(leg.uniqueid)
            else:
                self.enter(leg.uniqueid, to)
        self.destroy(source)

    def talk(self, *legs: str, kind: str = "basic", technology: str = "simple_bridge", name: str = "") -> str:
        """Channels enter a new bridge."""
        room = self.room(kind, technology, name)
        for leg in legs:
            self.enter(leg, room)
        return room

    def call(self, caller: str, callee: str) -> tuple[str, str]:
        """A device calls another, which answers."""
        one = self.create(caller)
        two = self.create(callee, "Down", linkedid=one)
        self.dial(one, two)
        self.answer(one, two)
        self.talk(one, two)
        return one, two

    def hold(self, leg: str, on: bool = True) -> None:
        """A device puts the other side on hold, or takes it back."""
        self.legs[leg].holds = on
        self._tell("Hold" if on else "Unhold", self._headers(leg))

    def wait_in_queue(self, caller: str, queue: str) -> None:
        """A caller begins to wait."""
        self.leave_queue(caller)
        self.legs[caller].queue, self.legs[caller].waits = queue, True
        self._tell("QueueCallerJoin", self._headers(caller), Queue=queue)

    def leave_queue(self, caller: str) -> None:
        """A caller who waits gives up, or is about to be given to an agent."""
        leg = self.legs[caller]
        if leg.waits:
            queue, leg.queue, leg.waits = leg.queue, "", False
            self._tell("QueueCallerLeave", self._headers(caller), Queue=queue)

    def connect_queue(self, caller: str, agent: str, queue: str) -> None:
        """A queue gives a caller to an agent."""
        self.leave_queue(caller)
        self.legs[caller].queue = queue
        self._tell("AgentConnect", self._headers(caller), self._headers(agent, "Dest"), Queue=queue)

    def complete_queue(self, caller: str, queue: str) -> None:
        """A queue is done with a caller."""
        self.leave_queue(caller)
        if self.legs[caller].queue == queue:
            self.legs[caller].queue = ""
        self._tell("AgentComplete", self._headers(caller), Queue=queue)

    def park(self, leg: str, lot: str, space: str) -> None:
        """A channel is parked in a bridge of parked calls."""
        self.leave(leg)
        self.legs[leg].space = space
        self._tell("ParkedCall", self._headers(leg, "Parkee"), ParkingSpace=space, Parkinglot="default")
        self.enter(leg, lot)

    def unpark(self, leg: str, event: str = "UnParkedCall") -> None:
        """A parked channel is fetched."""
        self._tell(event, self._headers(leg, "Parkee"), ParkingSpace=self.legs[leg].space)
        self.legs[leg].space = ""
        self.leave(leg)

    def optimise(self, one: str, two: str) -> None:
        """A Local channel steps out: the device beside ``;1`` takes the place of ``;2``, when there is one."""
        near, far = self.legs[one].bridge, self.legs[two].bridge
        if near is None or far is None or near == far:
            return
        beside = [leg.uniqueid for leg in self.members(near) if leg.uniqueid != one]
        if len(beside) != 1 or "holding_bridge" in (self.rooms[near].technology, self.rooms[far].technology):
            return
        halves = self._headers(one, "LocalOne"), self._headers(two, "LocalTwo")
        self._tell("LocalOptimizationBegin", *halves, DestUniqueId=two)
        self.enter(beside[0], far, swap=two)
        self._tell("LocalOptimizationEnd", *halves, Success="Yes")
        for half in (one, two):
            self.hang_up(half)

    def hang_up(self, leg: str) -> None:
        """A channel is gone; a bridge is when no channel is left in it."""
        room = self.legs[leg].bridge
        self._tell("HangupRequest", self._headers(leg))
        for dialed in self.legs.values():
            if dialed.dialed_by == leg:
                dialed.dialed_by = ""
                self._tell("DialEnd", self._headers(leg), self._headers(dialed.uniqueid, "Dest"), DialStatus="CANCEL")
        self.leave(leg)
        self._tell("Hangup", self._headers(leg), Cause="16")
        del self.legs[leg]
        if room is not None and not self.members(room) and self.rooms[room].kind == "basic":
            self.destroy(room)

    # ---- what is true ----------------------------------------------------------------------------------

    def members(self, room: str) -> list[Leg]:
        """The channels of a bridge."""
        return [leg for leg in self.legs.values() if leg.bridge == room]

    def channel(self, uniqueid: str, told: bool = True) -> Channel:
        """What is to be known of a channel; without what only events tell, when not told."""
        leg = self.legs[uniqueid]
        known = Channel(
            uniqueid,
            leg.name,
            endpoint_of(leg.name),
            STATES.get(leg.state, ChannelState.OTHER),
            leg.number,
            leg.connected,
            leg.linkedid,
            leg.bridge,
            queue=leg.queue if leg.waits else "",
        )
        if not told:
            return known
        return replace(known, holds=leg.holds, queue=leg.queue, parking_space=leg.space, dialed_by=leg.dialed_by)

    def bridge(self, uniqueid: str) -> Bridge | None:
        """What is to be known of a channel's bridge."""
        room_id = self.legs[uniqueid].bridge
        if room_id is None:
            return None
        room = self.rooms[room_id]
        members = tuple(sorted(leg.uniqueid for leg in self.members(room_id)))
        return Bridge(room.id, room.kind, room.name, room.technology == "holding_bridge", members)

    def half(self, uniqueid: str) -> Leg | None:
        """The other half of a Local channel, while it lives."""
        name = self.legs[uniqueid].name
        halves = {f"{stem};{a}": f"{stem};{b}" for stem in [name[:-2]] for a, b in ("12", "21")}
        other = halves.get(name)
        return next((leg for leg in self.legs.values() if leg.name == other), None)

    def hears(self, uniqueid: str) -> set[str]:
        """The uniqueids of those whom a device talks to, by trying until nothing is added."""
        own = self.legs[uniqueid].bridge
        rooms: set[str] = {own} if own is not None and self._is_open(own) else set()
        while True:
            inside = [leg for leg in self.legs.values() if leg.bridge in rooms]
            halves = [self.half(leg.uniqueid) for leg in inside]
            far = {half.bridge for half in halves if half is not None and half.bridge is not None}
            more = rooms | {room for room in far if self._is_open(room)}
            if more == rooms:
                break
            rooms = more
        ends = set()
        for leg, half in zip(inside, halves, strict=True):
            if half is None or half.bridge is None or not self._is_open(half.bridge):
                ends.add(leg.uniqueid)
        return ends - {uniqueid}

    def device_channels(self, endpoint: str, told: bool = True) -> tuple[DeviceChannel, ...]:
        """What is to be known of a device."""
        found = []
        for leg in sorted(self.legs.values(), key=lambda leg: leg.name):
            if endpoint_of(leg.name) == endpoint:
                hears = [self.legs[one] for one in self.hears(leg.uniqueid)]
                held = told and (leg.holds or (len(hears) == 1 and hears[0].holds))
                names = tuple(sorted(one.name for one in hears))
                digits = re.sub("[^0-9]", "", leg.connected)
                state = STATES.get(leg.state, ChannelState.OTHER)
                room = self.rooms.get(leg.bridge or "")
                found.append(
                    DeviceChannel(
                        leg.name,
                        leg.uniqueid,
                        state,
                        names,
                        held,
                        digits,
                        in_conference=room is not None and room.kind == "base",
                    )
                )
        return tuple(found)

    def together(self, told: bool = True) -> set[frozenset[str]]:
        """Which channels belong to one call, by joining pairs until nothing changes."""
        groups = {uniqueid: {uniqueid} for uniqueid in self.legs}
        for one, two in self._pairs(told):
            joined = groups[one] | groups[two]
            for uniqueid in joined:
                groups[uniqueid] = joined
        return {frozenset(group) for group in groups.values()}

    def channels_list(self) -> list[dict[str, str]]:
        """The items of CoreShowChannels now."""
        return [
            {"Event": "CoreShowChannel", **self._headers(leg.uniqueid), "BridgeId": leg.bridge or ""}
            for leg in self.legs.values()
        ]

    def bridges_list(self) -> list[dict[str, str]]:
        """The items of BridgeList now."""
        return [{"Event": "BridgeListItem", **self._bridge_headers(room)} for room in self.rooms]

    def queues_list(self) -> list[dict[str, str]]:
        """The items of QueueStatus now, as far as they are about callers."""
        return [
            {"Event": "QueueEntry", "Queue": leg.queue, "Channel": leg.name, "Uniqueid": leg.uniqueid}
            for leg in self.legs.values()
            if leg.waits
        ]

    def _is_open(self, room: str) -> bool:
        return self.rooms[room].technology != "holding_bridge"

    def _pairs(self, told: bool) -> Iterator[tuple[str, str]]:
        for leg in self.legs.values():
            half = self.half(leg.uniqueid)
            if half is not None:
                yield leg.uniqueid, half.uniqueid
            if told and leg.dialed_by in self.legs:
                yield leg.uniqueid, leg.dialed_by
            if leg.bridge is not None and self._is_open(leg.bridge):
                for other in self.members(leg.bridge):
                    yield leg.uniqueid, other.uniqueid

    # ---- how it is written -----------------------------------------------------------------------------

    def _count(self) -> int:
        self._made += 1
        return self._made

    def _create(self, name: str, state: str, number: str = "", linkedid: str = "") -> str:
        uniqueid = f"{self.prefix}1700000000.{self._count()}"
        self.legs[uniqueid] = Leg(uniqueid, name, state, number, linkedid=linkedid or uniqueid)
        self._tell("Newchannel", self._headers(uniqueid))
        return uniqueid

    def _tell(self, event: str, *headers: dict[str, str], **more: str) -> None:
        told = {"Event": event}
        for part in (*headers, more):
            told.update(part)
        self.wire.append(told)

    def _headers(self, uniqueid: str, prefix: str = "") -> dict[str, str]:
        leg = self.legs[uniqueid]
        headers = {
            "Channel": leg.name,
            "ChannelStateDesc": leg.state,
            "CallerIDNum": leg.number or "<unknown>",
            "ConnectedLineNum": leg.connected or "<unknown>",
            "Uniqueid": uniqueid,
            "Linkedid": leg.linkedid,
        }
        return {prefix + name: value for name, value in headers.items()}

    def _bridge_headers(self, room_id: str, prefix: str = "") -> dict[str, str]:
        room = self.rooms[room_id]
        headers = {
            "BridgeUniqueid": room.id,
            "BridgeType": room.kind,
            "BridgeTechnology": room.technology,
            "BridgeName": room.name or "<unknown>",
            "BridgeNumChannels": str(len(self.members(room_id)) + 1),  # an internal one is counted, but never told
        }
        return {prefix + name: value for name, value in headers.items()}


def test_the_small_pbx_writes_what_asterisk_writes() -> None:
    """A call is told by these events in this order, and absent numbers are ``<unknown>``."""
    pbx = SmallPbx()
    pbx.call("PJSIP/1001", "PJSIP/1002")
    assert [event["Event"] for event in pbx.wire] == [
        "Newchannel",
        "Newchannel",
        "DialBegin",
        "Newstate",
        "Newstate",
        "DialEnd",
        "Newstate",
        "BridgeCreate",
        "BridgeEnter",
        "BridgeEnter",
    ]
    assert pbx.wire[2]["DestCallerIDNum"] == "<unknown>"
