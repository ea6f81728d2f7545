"""Random lives of calls: the index knows what the PBX knows, however late, twice or stale it is told."""

from __future__ import annotations

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from agi_monitor.live.headers import Outcome
from agi_monitor.live.index import ChannelIndex, Lists, Stale
from agi_monitor.live.targets import AgentDevices, Source
from agi_monitor.model import Agent
from tests.unit.live.test_index_pbx import SmallPbx

NODE = "pbx-1"
ENDPOINTS = ("PJSIP/1001", "PJSIP/1001-mobile", "PJSIP/1002", "PJSIP/trunk")
MAX_LEGS = 12
PICK = st.integers(0, MAX_LEGS - 1)


def assert_same(index: ChannelIndex, pbx: SmallPbx, told: bool = True) -> None:
    """The index answers every question as the PBX would."""
    assert index.stale(NODE) is None
    for endpoint in ENDPOINTS:
        channels = pbx.device_channels(endpoint, told)
        agent = Agent("1001", frozenset(), (endpoint,))
        assert index.devices_of(NODE, agent, "hints") == AgentDevices(
            (endpoint,), channels, bool(channels), Source.INDEX
        )
        expected = [pbx.channel(channel.uniqueid, told) for channel in channels]
        assert index.channels_of(NODE, endpoint) == tuple(expected)
    for uniqueid in pbx.legs:
        assert index.bridge_of(NODE, uniqueid) == pbx.bridge(uniqueid)
    calls = index.calls(NODE)
    assert isinstance(calls, tuple)
    known = [channel for call in calls for channel in call.channels]
    assert sorted(known, key=lambda one: one.uniqueid) == [pbx.channel(one, told) for one in sorted(pbx.legs)]
    groups = [frozenset(channel.uniqueid for channel in call.channels) for call in calls]
    assert len(groups) == len(set(groups))
    assert set(groups) == pbx.together(told)


class Lives(RuleBasedStateMachine):
    """What happens to channels, and how the wire tells it."""

    def __init__(self) -> None:
        super().__init__()
        self.pbx = SmallPbx()
        self.lot = self.pbx.room("parking", "holding_bridge")
        self.index = ChannelIndex()
        self.read = self.connected_at = 0
        self.listing: int | None = None
        self.lists: Lists | None = None
        listing = self.index.resync(NODE)
        assert self.index.snapshot(NODE, Lists([], []), listing) == ()

    def leg(self, pick: int) -> str:
        """One of the live channels."""
        return list(self.pbx.legs)[pick % len(self.pbx.legs)]

    def any_leg(self) -> bool:
        """Whether there is a channel."""
        return bool(self.pbx.legs)

    def space_left(self) -> bool:
        """Whether two more channels may live."""
        return len(self.pbx.legs) <= MAX_LEGS - 2

    def lists_now(self) -> Lists:
        """What the PBX says of itself now."""
        return Lists(self.pbx.channels_list(), self.pbx.bridges_list(), queues=self.pbx.queues_list())

    # ---- calls -----------------------------------------------------------------------------------------

    @precondition(space_left)
    @rule(endpoint=st.sampled_from(ENDPOINTS), number=st.sampled_from(["", "1001", "+49 30 1"]))
    def create(self, endpoint: str, number: str) -> None:
        self.pbx.create(endpoint, number=number)

    @precondition(space_left)
    @rule()
    def create_local(self) -> None:
        self.pbx.create_local()

    @precondition(space_left)
    @rule(caller=st.sampled_from(ENDPOINTS), callee=st.sampled_from(ENDPOINTS))
    def call(self, caller: str, callee: str) -> None:
        self.pbx.call(caller, callee)

    @precondition(any_leg)
    @rule(one=PICK, two=PICK, answered=st.booleans())
    def dial(self, one: int, two: int, answered: bool) -> None:
        caller, dest = self.leg(one), self.leg(two)
        if caller != dest:
            self.pbx.dial(caller, dest)
            if answered:
                self.pbx.answer(caller, dest)

    @precondition(any_leg)
    @rule(one=PICK, two=PICK, conference=st.booleans())
    def bridge(self, one: int, two: int, conference: bool) -> None:
        legs = dict.fromkeys((self.leg(one), self.leg(two)))
        if conference:
            self.pbx.talk(*legs, kind="base", technology="softmix", name="800")
        else:
            self.pbx.talk(*legs)

    @precondition(any_leg)
    @rule(pick=PICK, other=PICK, swapped=st.booleans())
    def join(self, pick: int, other: int, swapped: bool) -> None:
        leg, there = self.leg(pick), self.leg(other)
        room = self.pbx.legs[there].bridge
        if room not in (None, self.lot, self.pbx.legs[leg].bridge):
            assert room is not None
            self.pbx.enter(leg, room, swap=there if swapped else None)

    @precondition(any_leg)
    @rule(pick=PICK)
    def leave(self, pick: int) -> None:
        self.pbx.leave(self.leg(pick))

    @precondition(any_leg)
    @rule(pick=PICK, other=PICK, kicked=PICK)
    def merge(self, pick: int, other: int, kicked: int) -> None:
        to, source = self.pbx.legs[self.leg(pick)].bridge, self.pbx.legs[self.leg(other)].bridge
        if to is not None and source is not None and to != source and self.lot not in (to, source):
            self.pbx.merge(to, source, [self.leg(kicked)])

    @precondition(any_leg)
    @rule(pick=PICK)
    def destroy(self, pick: int) -> None:
        room = self.pbx.legs[self.leg(pick)].bridge
        if room not in (None, self.lot):
            assert room is not None
            self.pbx.destroy(room)

    @precondition(any_leg)
    @rule(pick=PICK)
    def optimise(self, pick: int) -> None:
        leg = self.leg(pick)
        half = self.pbx.half(leg)
        if half is not None:
            one, two = sorted((leg, half.uniqueid), key=lambda uniqueid: self.pbx.legs[uniqueid].name)
            self.pbx.optimise(one, two)

    @precondition(any_leg)
    @rule(pick=PICK, on=st.booleans())
    def hold(self, pick: int, on: bool) -> None:
        self.pbx.hold(self.leg(pick), on)

    @precondition(any_leg)
    @rule(pick=PICK, number=st.sampled_from(["", "1002", "0 30"]))
    def show_number(self, pick: int, number: str) -> None:
        self.pbx.connect_number(self.leg(pick), number)
        self.pbx.caller_number(self.leg(pick), number)

    @precondition(any_leg)
    @rule(pick=PICK, other=PICK)
    def link(self, pick: int, other: int) -> None:
        self.pbx.link(self.leg(pick), self.pbx.legs[self.leg(other)].linkedid)

    @precondition(any_leg)
    @rule(pick=PICK, endpoint=st.sampled_from(ENDPOINTS))
    def rename(self, pick: int, endpoint: str) -> None:
        self.pbx.rename(self.leg(pick), f"{endpoint}-{len(self.pbx.wire) + 0xA000:08x}")

    @precondition(any_leg)
    @rule(caller=PICK, agent=PICK, queue=st.sampled_from(["sales", "help"]), done=st.booleans())
    def queue(self, caller: int, agent: int, queue: str, done: bool) -> None:
        if done:
            self.pbx.complete_queue(self.leg(caller), queue)
        else:
            self.pbx.connect_queue(self.leg(caller), self.leg(agent), queue)

    @precondition(any_leg)
    @rule(caller=PICK, queue=st.sampled_from(["sales", "help", None]))
    def wait_in_queue(self, caller: int, queue: str | None) -> None:
        if queue is None:
            self.pbx.leave_queue(self.leg(caller))
        else:
            self.pbx.wait_in_queue(self.leg(caller), queue)

    @precondition(any_leg)
    @rule(pick=PICK, event=st.sampled_from(["UnParkedCall", "ParkedCallTimeOut", "ParkedCallGiveUp", None]))
    def park(self, pick: int, event: str | None) -> None:
        leg = self.leg(pick)
        if self.pbx.legs[leg].bridge != self.lot:
            self.pbx.park(leg, self.lot, "701")
        elif event is not None:
            self.pbx.unpark(leg, event)

    @precondition(any_leg)
    @rule(pick=PICK)
    def hang_up(self, pick: int) -> None:
        self.pbx.hang_up(self.leg(pick))

    # ---- the wire --------------------------------------------------------------------------------------

    @rule(events=st.integers(1, 8), twice=st.booleans())
    def deliver(self, events: int, twice: bool) -> None:
        for event in self.pbx.wire[self.read : self.read + events]:
            for _ in range(1 + twice):
                assert self.index.apply(NODE, event) in (Outcome.TAKEN, Outcome.LATE)
        self.read = min(self.read + events, len(self.pbx.wire))

    @rule(events=st.integers(1, 20))
    def deliver_the_last_once_more(self, events: int) -> None:
        for event in self.pbx.wire[max(self.connected_at, self.read - events) : self.read]:
            self.index.apply(NODE, event)

    @rule()
    def ask_for_lists(self) -> None:
        self.listing, self.lists = self.index.resync(NODE), None

    @precondition(lambda self: self.listing is not None and self.lists is None)
    @rule()
    def lists_are_made(self) -> None:
        self.lists = self.lists_now()

    @precondition(lambda self: self.lists is not None)
    @rule()
    def lists_come(self) -> None:
        assert self.listing is not None
        assert self.lists is not None
        assert self.index.snapshot(NODE, self.lists, self.listing) is not None
        self.listing = self.lists = None

    @rule()
    def list_at_once(self) -> None:
        """Nothing happens between asking and getting; events may still be on the way."""
        self.ask_for_lists()
        self.lists_are_made()
        self.lists_come()

    @rule()
    def lose_the_connection(self) -> None:
        """Events are lost for good, and so is what only they tell."""
        self.index.lost(NODE)
        assert self.index.is_stale(NODE)
        assert self.index.calls(NODE) == self.index.stale(NODE)
        for leg in self.pbx.legs.values():
            leg.holds, leg.space, leg.dialed_by = False, "", ""
            leg.queue = leg.queue if leg.waits else ""
        # Events that were written without a connection.
        self.read = self.connected_at = len(self.pbx.wire)
        self.listing = self.index.resync(NODE)
        self.lists = self.lists_now()

    @rule()
    def everything_is_told(self) -> None:
        """Once the wire is quiet the index is the PBX, and so is one that has seen nothing but the lists."""
        if self.index.is_stale(NODE) and self.lists is None:
            self.ask_for_lists()
            self.lists_are_made()
        if self.lists is not None:
            self.lists_come()
        self.deliver(len(self.pbx.wire), False)
        if self.index.stale(NODE) is Stale.DEAF:
            # A list was far ahead of the events, or those were lost: the next call is heard to come and go.
            self.pbx.hang_up(self.pbx.create("PJSIP/trunk"))
            self.deliver(len(self.pbx.wire), False)
            assert self.index.wants_lists(NODE)
            self.list_at_once()
        assert_same(self.index, self.pbx)
        fresh = ChannelIndex()
        listing = fresh.resync(NODE)
        assert fresh.snapshot(NODE, self.lists_now(), listing) == ()
        assert_same(fresh, self.pbx, told=False)

    def teardown(self) -> None:
        """Whatever happened last is told too; and nothing is left of channels that are gone."""
        self.everything_is_told()
        for leg in list(self.pbx.legs):
            self.pbx.hang_up(leg)
        self.everything_is_told()
        assert self.index.calls(NODE) == ()


TestLives: Any = Lives.TestCase
TestLives.settings = settings(max_examples=150, stateful_step_count=50, deadline=None)
