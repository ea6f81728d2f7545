"""Who talks to whom in each kind of call, and when the index says nothing."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agi_monitor.live import calls as calls_module
from agi_monitor.live import index as channels_module
from agi_monitor.live.calls import Bridge, Channel
from agi_monitor.live.headers import Outcome
from agi_monitor.live.index import ChannelIndex, Lists, Stale
from agi_monitor.live.over_agi import MAX_NUMBER_DIGITS
from agi_monitor.live.targets import AgentDevices, ChannelState, DeviceChannel, Source, candidates
from agi_monitor.model import Agent, Reason, Refusal
from tests.unit.live.test_index_pbx import SmallPbx

NODE = "pbx-1"
BEN, MOBILE, CARA, TRUNK, BOSS = "PJSIP/1001", "PJSIP/1001-mobile", "PJSIP/1002", "PJSIP/trunk", "PJSIP/2001"
SPYER = frozenset({BOSS})
NOTHING = Lists([], [])


def empty_index(*nodes: str) -> ChannelIndex:
    """An index that knows of each PBX that it has no calls."""
    index = ChannelIndex()
    for node in nodes or (NODE,):
        assert index.snapshot(node, NOTHING, index.resync(node)) == ()
    return index


def lists_of(pbx: SmallPbx) -> Lists:
    """What the PBX says of itself now."""
    return Lists(pbx.channels_list(), pbx.bridges_list(), queues=pbx.queues_list())


def told(pbx: SmallPbx) -> ChannelIndex:
    """An index that has heard every event."""
    index = empty_index()
    for event in pbx.wire:
        index.apply(NODE, event)
    return index


def listed(pbx: SmallPbx) -> ChannelIndex:
    """An index that has seen the lists and no event."""
    index = ChannelIndex()
    assert index.snapshot(NODE, lists_of(pbx), index.resync(NODE)) == () == ()
    return index


def told_after_the_list(pbx: SmallPbx) -> ChannelIndex:
    """An index that has seen the lists, and then every event, all of them older."""
    index = listed(pbx)
    for event in pbx.wire:
        index.apply(NODE, event)
    return index


def told_while_listing(pbx: SmallPbx) -> ChannelIndex:
    """An index that was told everything between asking for an empty list and getting it."""
    index = ChannelIndex()
    listing = index.resync(NODE)
    for event in pbx.wire:
        index.apply(NODE, event)
    assert index.snapshot(NODE, NOTHING, listing) == ()
    return index


def told_twice(pbx: SmallPbx) -> ChannelIndex:
    """An index that has heard every event twice in a row."""
    index = empty_index()
    for event in pbx.wire:
        index.apply(NODE, event)
        index.apply(NODE, event)
    return index


WAYS = (told, listed, told_after_the_list, told_while_listing, told_twice)
EVENT_WAYS = (told, told_after_the_list, told_while_listing, told_twice)


def devices(index: ChannelIndex, *endpoints: str) -> AgentDevices:
    """What an agent's devices are doing."""
    found = index.devices_of(NODE, Agent("1001", frozenset(), endpoints), "hints")
    assert isinstance(found, AgentDevices)
    return found


def talks(index: ChannelIndex, *endpoints: str) -> list[tuple[str, ...]]:
    """The devices behind the peers of each leg, in the order of the candidates; none when there is no candidate."""
    found = candidates(devices(index, *endpoints), SPYER)
    legs: Sequence[DeviceChannel] = () if isinstance(found, Refusal) else found
    return [tuple(peer.rpartition("-")[0] for peer in leg.peers) for leg in legs]


# ---- kinds of calls ------------------------------------------------------------------------------------


def incoming(pbx: SmallPbx) -> None:
    pbx.call(TRUNK, BEN)


def outgoing(pbx: SmallPbx) -> None:
    pbx.call(BEN, TRUNK)


def ringing(pbx: SmallPbx) -> None:
    pbx.dial(pbx.create(TRUNK), pbx.create(BEN, "Down"))


def in_an_application(pbx: SmallPbx) -> None:
    pbx.create(BEN, "Up")


def queue_call(pbx: SmallPbx) -> tuple[str, str, str, str]:
    """A caller in a queue is given to an agent behind a Local channel that is not optimised (``/n``)."""
    caller = pbx.create(TRUNK, "Up")
    one, two = pbx.create_local()
    pbx.dial(caller, one)
    agent = pbx.create(BEN, "Down", linkedid=caller)
    pbx.dial(two, agent)
    pbx.answer(two, agent)
    pbx.talk(two, agent)
    pbx.answer(caller, one)
    pbx.connect_queue(caller, one, "sales")
    pbx.talk(caller, one)
    return caller, one, two, agent


def queue_optimised(pbx: SmallPbx) -> None:
    _, one, two, _ = queue_call(pbx)
    pbx.optimise(one, two)


def queue_whose_caller_left(pbx: SmallPbx) -> None:
    pbx.hang_up(queue_call(pbx)[0])


def ring_group(pbx: SmallPbx) -> None:
    caller, ben, cara = pbx.create(TRUNK), pbx.create(BEN, "Down"), pbx.create(CARA, "Down")
    pbx.dial(caller, ben)
    pbx.dial(caller, cara)
    pbx.hang_up(cara)
    pbx.answer(caller, ben)
    pbx.talk(caller, ben)


def second_device(pbx: SmallPbx) -> None:
    caller, desk, mobile = pbx.create(TRUNK), pbx.create(BEN, "Down"), pbx.create(MOBILE, "Down")
    pbx.dial(caller, desk)
    pbx.dial(caller, mobile)
    pbx.answer(caller, mobile)
    pbx.talk(caller, mobile)


def conference(pbx: SmallPbx) -> None:
    legs = [pbx.create(endpoint, "Up") for endpoint in (BEN, CARA, TRUNK)]
    pbx.talk(*legs, kind="base", technology="softmix", name="800")


def conference_through_a_local_channel(pbx: SmallPbx) -> None:
    one, two = pbx.create_local("800")
    pbx.talk(pbx.create(CARA, "Up"), pbx.create(TRUNK, "Up"), two, kind="base", technology="softmix", name="800")
    pbx.talk(pbx.create(BEN, "Up"), one)


def local_into_an_application(pbx: SmallPbx) -> None:
    one, _ = pbx.create_local("voicebot")
    pbx.talk(pbx.create(BEN, "Up"), one)


def local_circle(pbx: SmallPbx) -> None:
    """A Local channel that ends where it began, beside a real party."""
    one, two = pbx.create_local()
    pbx.talk(pbx.create(BEN, "Up"), one, two, pbx.create(TRUNK, "Up"), technology="softmix")


def parked(pbx: SmallPbx) -> None:
    """Two strangers in one parking lot do not hear each other."""
    lot = pbx.room("parking", "holding_bridge", "parking-bridge-default")
    pbx.park(pbx.create(BEN, "Up"), lot, "701")
    pbx.park(pbx.create(TRUNK, "Up"), lot, "702")


def consultation(pbx: SmallPbx) -> tuple[str, str, str, str]:
    """An agent holds a customer and asks a colleague."""
    customer, agent = pbx.call(TRUNK, BEN)
    pbx.hold(agent)
    second, colleague = pbx.call(BEN, CARA)
    return customer, agent, second, colleague


def consultation_at_work(pbx: SmallPbx) -> None:
    consultation(pbx)


def attended_transfer(pbx: SmallPbx) -> None:
    customer, agent, second, colleague = consultation(pbx)
    room = pbx.legs[customer].bridge
    assert room is not None
    pbx.enter(colleague, room, swap=agent)
    pbx.wire.append({"Event": "AttendedTransfer", "Result": "Success", "DestType": "Bridge"})
    pbx.connect_number(colleague, "555")
    for leg in (agent, second):
        pbx.hang_up(leg)


def merged_transfer(pbx: SmallPbx) -> None:
    customer, agent, second, colleague = consultation(pbx)
    to, source = pbx.legs[customer].bridge, pbx.legs[colleague].bridge
    assert to is not None
    assert source is not None
    pbx.merge(to, source, kicked=[second])
    pbx.hang_up(agent)
    pbx.hang_up(second)


def blind_transfer(pbx: SmallPbx) -> None:
    customer, agent = pbx.call(TRUNK, BEN)
    pbx.wire.append({"Event": "BlindTransfer", "Result": "Success", "Extension": "1002"})
    pbx.leave(customer)
    pbx.hang_up(agent)
    colleague = pbx.create(CARA, "Down", linkedid=customer)
    pbx.dial(customer, colleague)
    pbx.answer(customer, colleague)
    pbx.talk(customer, colleague)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("happens", "ben", "cara"),
    [
        (incoming, [(TRUNK,)], []),
        (outgoing, [(TRUNK,)], []),
        (ringing, [], []),
        (in_an_application, [], []),
        (queue_call, [(TRUNK,)], []),
        (queue_optimised, [(TRUNK,)], []),
        (queue_whose_caller_left, [], []),
        (ring_group, [(TRUNK,)], []),
        (second_device, [(TRUNK,)], []),
        (conference, [(CARA, TRUNK)], [(BEN, TRUNK)]),
        (conference_through_a_local_channel, [(CARA, TRUNK)], [(BEN, TRUNK)]),
        (local_into_an_application, [("Local/voicebot@agents",)], []),
        (local_circle, [(TRUNK,)], []),
        (parked, [], []),
        (attended_transfer, [], [(TRUNK,)]),
        (merged_transfer, [], [(TRUNK,)]),
        (blind_transfer, [], [(TRUNK,)]),
    ],
)
def test_knows_who_talks_to_whom(
    way: Callable[[SmallPbx], ChannelIndex],
    happens: Callable[[SmallPbx], object],
    ben: list[tuple[str, ...]],
    cara: list[tuple[str, ...]],
) -> None:
    """Each kind of call, told in each way, comes to the same peers; Local channels are followed to their far end."""
    pbx = SmallPbx("pbx-1-")
    happens(pbx)
    index = way(pbx)
    assert talks(index, BEN, MOBILE) == ben
    assert talks(index, CARA) == cara


@pytest.mark.parametrize("way", EVENT_WAYS)
def test_a_consultation_is_the_first_candidate(way: Callable[[SmallPbx], ChannelIndex]) -> None:
    """While a customer is on hold the agent's other call is the one that is meant, and both are there."""
    pbx = SmallPbx()
    consultation_at_work(pbx)
    index = way(pbx)
    found = candidates(devices(index, BEN), SPYER)
    assert not isinstance(found, Refusal)
    assert [leg.on_hold for leg in found] == [False, True]
    assert talks(index, BEN) == [(CARA,), (TRUNK,)]


def test_gives_what_is_given_over_agi() -> None:
    """Name, uniqueid, state, peers, hold and the digits of the other's number, as ``device_channels`` finds them."""
    pbx = SmallPbx()
    customer, agent = pbx.call(TRUNK, BEN)
    pbx.connect_number(agent, "+49 (30) 12|34")
    channel = DeviceChannel(
        pbx.legs[agent].name, agent, ChannelState.UP, (pbx.legs[customer].name,), on_hold=False, number="49301234"
    )
    assert devices(told(pbx), BEN, MOBILE) == AgentDevices(
        (BEN, MOBILE), (channel,), reachable=True, source=Source.INDEX
    )
    pbx.connect_number(agent, "7" * 4000)
    assert devices(told(pbx), BEN).channels[0].number == "7" * MAX_NUMBER_DIGITS
    pbx.connect_number(agent, "")
    assert devices(told(pbx), BEN).channels[0].number == ""


@pytest.mark.parametrize("holder", [0, 1])
def test_a_call_is_on_hold_from_either_side(holder: int) -> None:
    """Hold and Unhold name the one who holds; the call is on hold for both."""
    pbx = SmallPbx()
    legs = pbx.call(TRUNK, BEN)
    pbx.hold(legs[holder])
    assert devices(told(pbx), BEN).channels[0].on_hold is True
    assert devices(told(pbx), TRUNK).channels[0].on_hold is True
    pbx.hold(legs[holder], on=False)
    assert devices(told(pbx), BEN).channels[0].on_hold is False


def test_one_who_holds_a_conference_holds_nobody_else() -> None:
    """The others keep talking."""
    pbx = SmallPbx()
    conference(pbx)
    cara = next(leg.uniqueid for leg in pbx.legs.values() if leg.name.startswith(CARA))
    pbx.hold(cara)
    index = told(pbx)
    assert devices(index, BEN).channels[0].on_hold is False
    assert devices(index, CARA).channels[0].on_hold is True


def test_hold_is_seen_through_a_local_channel() -> None:
    """A caller who holds the agent at the far end of a Local channel."""
    pbx = SmallPbx()
    caller, *_ = queue_call(pbx)
    pbx.hold(caller)
    assert devices(told(pbx), BEN).channels[0].on_hold is True


@pytest.mark.parametrize("endpoint", ["PJSIP/100", "PJSIP/1001-mobil", "pjsip/1001", "PJSIP/10011", "1001", ""])
def test_another_device_is_another_device(endpoint: str) -> None:
    """A name that begins alike, or differs in case, has none of the channels."""
    pbx = SmallPbx()
    incoming(pbx)
    assert devices(told(pbx), endpoint).channels == ()


def test_a_device_with_a_channel_is_reachable() -> None:
    """Whatever its state is said to be: it is in use."""
    pbx = SmallPbx()
    assert not devices(told(pbx), BEN).reachable
    ringing(pbx)
    found = devices(told(pbx), BEN)
    assert found.reachable
    assert candidates(found, SPYER) == Refusal(Reason.RINGING)


def test_a_device_that_is_named_twice_has_its_calls_once() -> None:
    """Nobody is offered the same call as two."""
    pbx = SmallPbx()
    incoming(pbx)
    found = devices(told(pbx), BEN, BEN)
    assert found.endpoints == (BEN,)
    assert len(found.channels) == 1


def test_a_channel_that_cannot_be_named_exactly_is_no_target() -> None:
    """ChanSpy could not be told a made-up uniqueid; the view has the channel all the same."""
    index = empty_index()
    event = {"Event": "Newchannel", "Uniqueid": "my-own-id", "Channel": f"{BEN}-0000000a", "ChannelStateDesc": "Up"}
    assert index.apply(NODE, event) is Outcome.TAKEN
    assert devices(index, BEN).channels == ()
    assert index.channels_of(NODE, BEN) == (Channel("my-own-id", f"{BEN}-0000000a", BEN, ChannelState.UP),)


def test_a_look_up_does_the_same_work_however_many_calls_there_are() -> None:
    """As many function calls on a busy PBX as on a quiet one: nothing is searched through."""

    def work(others: int) -> int:
        pbx = SmallPbx()
        queue_call(pbx)
        for number in range(others):
            pbx.call(f"PJSIP/5{number:04}", TRUNK)
        index = told(pbx)
        made = 0

        def count(frame: object, event: str, argument: object) -> None:
            nonlocal made
            made += 1

        agent = Agent("1001", frozenset(), (BEN,))
        index.devices_of(NODE, agent, "hints")  # what is done once, such as compiling an expression, is done here
        sys.setprofile(count)
        try:
            found = index.devices_of(NODE, agent, "hints")
        finally:
            sys.setprofile(None)
        assert isinstance(found, AgentDevices)
        assert len(found.channels) == 1
        return made

    assert work(0) == work(300) > 10


# ---- the view ------------------------------------------------------------------------------------------


def test_a_queue_is_told_while_it_has_the_caller() -> None:
    """AgentConnect tells the queue of the whole call, AgentComplete of the same queue takes it back."""
    pbx = SmallPbx()
    caller, *_ = queue_call(pbx)
    assert [call.queue for call in all_calls(told(pbx))] == ["sales"]
    pbx.complete_queue(caller, "help")
    assert [call.queue for call in all_calls(told(pbx))] == ["sales"]
    pbx.complete_queue(caller, "sales")
    assert [call.queue for call in all_calls(told(pbx))] == [""]


@pytest.mark.parametrize("way", WAYS)
def test_a_caller_who_waits_is_in_the_queue(way: Callable[[SmallPbx], ChannelIndex]) -> None:
    """The lists know those who wait as well as the events do; a caller who gave up is in no queue."""
    pbx = SmallPbx()
    waiting, gone = pbx.create(TRUNK, "Up"), pbx.create(TRUNK, "Up")
    for caller in (waiting, gone):
        pbx.wait_in_queue(caller, "sales")
    pbx.leave_queue(gone)
    known = {channel.uniqueid: channel.queue for call in all_calls(way(pbx)) for channel in call.channels}
    assert known == {waiting: "sales", gone: ""}


def test_parked_calls_are_calls_of_their_own() -> None:
    """Each has its space, until it is fetched."""
    pbx = SmallPbx()
    parked(pbx)
    ben = next(iter(pbx.legs))
    spaces = [[channel.parking_space for channel in call.channels] for call in all_calls(told(pbx))]
    assert spaces == [["701"], ["702"]]
    room = pbx.bridge(ben)
    assert room is not None
    assert told(pbx).bridge_of(NODE, ben) == Bridge(room.id, "parking", "parking-bridge-default", True, room.members)
    pbx.unpark(ben)
    assert sorted(channel.parking_space for call in all_calls(told(pbx)) for channel in call.channels) == ["", "702"]


def test_a_call_is_one_from_the_first_ring() -> None:
    """Caller, both Local halves and the agent's phone belong together before anybody has answered."""
    pbx = SmallPbx()
    caller = pbx.create(TRUNK, "Up")
    one, two = pbx.create_local()
    pbx.dial(caller, one)
    pbx.dial(two, pbx.create(BEN, "Down"))
    pbx.call(CARA, BOSS)
    assert [len(call.channels) for call in all_calls(told(pbx))] == [4, 2]


@pytest.mark.parametrize("spelling", ["BridgeUniqueid", "BridgeId", "BridgeID"])
def test_a_bridge_is_spelled_in_three_ways(spelling: str) -> None:
    """Events, CoreShowChannels and Status name it differently."""
    index = ChannelIndex()
    channel = {"Uniqueid": "1700000000.1", "Channel": f"{BEN}-0000000a", "ChannelStateDesc": "Up"}
    assert index.snapshot(NODE, Lists([{**channel, spelling: "b1"}], []), index.resync(NODE)) == ()
    assert index.bridge_of(NODE, "1700000000.1") == Bridge("b1", "", "", False, ("1700000000.1",))
    assert index.bridge_of(NODE, "1700000000.2") is None


def test_a_renamed_channel_belongs_to_its_new_device() -> None:
    """Rename moves a channel from one device to another; a new name in any other event does, too."""
    pbx = SmallPbx()
    _, agent = pbx.call(TRUNK, BEN)
    pbx.rename(agent, f"{CARA}-000000ff")
    index = told(pbx)
    assert (talks(index, BEN), talks(index, CARA)) == ([], [(TRUNK,)])
    pbx.legs[agent].name = f"{MOBILE}-000000fe"
    pbx.set_state(agent, "Up")
    index = told(pbx)
    assert (talks(index, CARA), talks(index, MOBILE)) == ([], [(TRUNK,)])


def all_calls(index: ChannelIndex) -> tuple[calls_module.Call, ...]:
    """Every call of the PBX."""
    found = index.calls(NODE)
    assert not isinstance(found, Stale)
    return found


def test_a_list_leaves_what_only_events_tell() -> None:
    """A list in the middle of everything forgets no hold, queue, parking space, dial or kind of bridge."""
    pbx = SmallPbx()
    caller, _, _, agent = queue_call(pbx)
    pbx.hold(agent)
    ringing(pbx)
    parked(pbx)
    index = told(pbx)
    before = index.calls(NODE), index.bridge_of(NODE, caller)
    assert index.snapshot(NODE, Lists(pbx.channels_list(), []), index.resync(NODE)) == ()
    assert (index.calls(NODE), index.bridge_of(NODE, caller)) == before
    assert {channel.parking_space for call in all_calls(index) for channel in call.channels} == {"", "701", "702"}
    assert any(channel.holds for call in all_calls(index) for channel in call.channels)


def test_leaving_another_bridge_is_nothing() -> None:
    """A channel that has moved on since stays where it is."""
    pbx = SmallPbx()
    customer, agent = pbx.call(TRUNK, BEN)
    first = pbx.legs[agent].bridge
    room = pbx.talk(customer, agent)
    late = next(event for event in pbx.wire if event["Event"] == "BridgeLeave" and event["BridgeUniqueid"] == first)
    index = told(pbx)
    assert index.apply(NODE, late) is Outcome.TAKEN
    found = index.bridge_of(NODE, agent)
    assert isinstance(found, Bridge)
    assert found.id == room
    assert found.members == tuple(sorted((customer, agent)))


# ---- what must not be trusted --------------------------------------------------------------------------


def answers(index: ChannelIndex, node: str) -> set[object]:
    """Everything that the index can be asked, asked of one PBX."""
    return {
        index.stale(node),
        index.devices_of(node, Agent("1001", frozenset(), (BEN,)), "hints"),
        index.channel(node, "1700000000.1"),
        index.peers_of(node, "1700000000.1"),
        index.channels_of(node, BEN),
        index.bridge_of(node, "1700000000.1"),
        index.calls(node),
    }


def test_nothing_is_said_of_an_unknown_pbx() -> None:
    """Neither before anything is heard of it, nor before its first list, whatever the events say."""
    pbx = SmallPbx()
    incoming(pbx)
    index = ChannelIndex()
    assert answers(index, NODE) == {Stale.NEVER_LISTED}
    for event in pbx.wire:
        index.apply(NODE, event)
    index.lost(NODE)
    index.resync(NODE)
    assert answers(index, NODE) == {Stale.NEVER_LISTED}
    assert index.is_stale(NODE)


def test_nothing_is_said_after_a_loss_until_the_next_list() -> None:
    """Events alone do not make it good; a list does, and hold that may have been missed is forgotten."""
    pbx = SmallPbx()
    _, agent = pbx.call(TRUNK, BEN)
    pbx.hold(agent)
    index = told(pbx)
    assert devices(index, BEN).channels[0].on_hold
    index.lost(NODE)
    assert answers(index, NODE) == {Stale.LOST}
    index.apply(NODE, pbx.wire[0])
    listing = index.resync(NODE)
    assert answers(index, NODE) == {Stale.LOST}
    assert index.snapshot(NODE, lists_of(pbx), listing) == ()
    assert not index.is_stale(NODE)
    assert talks(index, BEN) == [(TRUNK,)]
    assert not devices(index, BEN).channels[0].on_hold


def test_one_pbx_that_is_lost_leaves_the_others_alone() -> None:
    """The same uniqueid and the same name on two PBXs are two channels."""
    index = empty_index("pbx-1", "pbx-2")
    pbx = SmallPbx()
    _, agent = pbx.call(TRUNK, BEN)
    for event in pbx.wire:
        index.apply("pbx-1", event)
        index.apply("pbx-2", event)
    index.apply("pbx-2", {"Event": "Hangup", "Uniqueid": agent})
    assert talks(index, BEN) == [(TRUNK,)]
    index.lost("pbx-2")
    assert answers(index, "pbx-2") == {Stale.LOST}
    assert talks(index, BEN) == [(TRUNK,)]


def test_a_list_that_was_given_up_changes_nothing() -> None:
    """One of before a loss, one that another was asked for after, one that has come already, one never asked for."""
    index = empty_index()
    first = index.resync(NODE)
    second = index.resync(NODE)
    assert index.snapshot(NODE, NOTHING, first) is None
    assert index.snapshot(NODE, NOTHING, second) == ()
    assert index.snapshot(NODE, NOTHING, second) is None
    third = index.resync(NODE)
    index.lost(NODE)
    assert index.snapshot(NODE, NOTHING, third) is None
    assert index.stale(NODE) is Stale.LOST
    assert index.snapshot("pbx-2", NOTHING, index.resync(NODE)) is None


def test_asking_twice_keeps_what_came_after_the_first_time() -> None:
    """A channel put on hold before the first list came is on hold after the second one, too."""
    pbx = SmallPbx()
    _, agent = pbx.call(TRUNK, BEN)
    before = len(pbx.wire)
    pbx.hold(agent)
    index = ChannelIndex()
    index.resync(NODE)
    for event in pbx.wire[before:]:
        assert index.apply(NODE, event) is Outcome.LATE
    assert index.snapshot(NODE, lists_of(pbx), index.resync(NODE)) == ()
    assert devices(index, BEN).channels[0].on_hold


def test_a_list_that_too_much_overtook_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Events are not kept without end; the picture is as good as before."""
    monkeypatch.setattr(channels_module, "MAX_KEPT_EVENTS", 3)
    pbx = SmallPbx()
    incoming(pbx)
    index = empty_index()
    listing = index.resync(NODE)
    for event in pbx.wire:
        index.apply(NODE, event)
    assert index.snapshot(NODE, NOTHING, listing) is None
    assert talks(index, BEN) == [(TRUNK,)]
    assert index.snapshot(NODE, lists_of(pbx), index.resync(NODE)) == ()
    assert talks(index, BEN) == [(TRUNK,)]


@pytest.mark.parametrize("by_list", [False, True])
def test_more_channels_than_are_kept_are_not_trusted(monkeypatch: pytest.MonkeyPatch, by_list: bool) -> None:
    """Some would be missing, so nothing is said until a list fits."""
    monkeypatch.setattr(calls_module, "MAX_CHANNELS", 3)
    pbx = SmallPbx()
    legs = [pbx.create(BEN) for _ in range(4)]
    index = listed(pbx) if by_list else told(pbx)
    assert answers(index, NODE) == {Stale.TOO_MANY}
    pbx.hang_up(legs[0])
    index.apply(NODE, pbx.wire[-1])
    assert answers(index, NODE) == {Stale.TOO_MANY}
    assert index.snapshot(NODE, Lists(pbx.channels_list(), []), index.resync(NODE)) == ()
    assert len(devices(index, BEN).channels) == 3


def test_nothing_is_left_of_calls_that_are_over() -> None:
    """After every kind of call has come and gone, no channel, name, device or bridge is kept."""
    pbx = SmallPbx()
    for happens in (queue_call, queue_optimised, conference, parked, consultation, merged_transfer, blind_transfer):
        happens(pbx)
    for leg in list(pbx.legs):
        pbx.hang_up(leg)
    calls = calls_module.NodeCalls()
    for event in pbx.wire:
        calls.apply(event)
    assert len(calls) == 0
    kept = {name: value for name in vars(calls) if (value := getattr(calls, name))}
    assert kept == {}


# ---- where lists and events disagree ---------------------------------------------------------------


def test_no_difference_where_everything_was_told() -> None:
    """Neither hold, queue, parking and dials, which no list tells, nor a linked id that changed untold, is one."""
    pbx = SmallPbx()
    for happens in (queue_call, consultation, conference, parked, ringing, blind_transfer):
        happens(pbx)
    index = told(pbx)
    first = next(iter(pbx.legs))
    pbx.legs[first].linkedid = "another"
    assert index.snapshot(NODE, lists_of(pbx), index.resync(NODE)) == ()
    found = index.channel(NODE, first)
    assert isinstance(found, Channel)
    assert found.linkedid == "another"


LOST = [
    ("Newchannel", "channel AGENT: no event told of it"),
    ("Newstate", "channel AGENT: state other, the list says Up"),
    ("BridgeEnter", "channel AGENT: bridge none, the list says ROOM"),
    ("BridgeLeave", "channel AGENT: bridge ROOM, the list says none"),
    ("NewConnectedLine", "channel AGENT: another connected number in the list"),
    ("NewCallerid", "channel AGENT: another number in the list"),
    ("Rename", "channel AGENT: the list says PJSIP/1001-000000ff"),
    ("Hangup", "channel AGENT: no list has it"),
]


def lost(pbx: SmallPbx, name: str) -> tuple[str, ...]:
    """The differences to the list of an index that never hears this event of the agent's channel."""
    agent = next(event["Uniqueid"] for event in pbx.wire if event.get("Channel", "").startswith(f"{BEN}-"))
    index = empty_index()
    for event in pbx.wire:
        if (event["Event"], event.get("Uniqueid")) != (name, agent):
            index.apply(NODE, event)
    differences = index.snapshot(NODE, lists_of(pbx), index.resync(NODE))
    assert differences is not None
    assert all_calls(index) == all_calls(listed(pbx))
    assert index.snapshot(NODE, lists_of(pbx), index.resync(NODE)) == ()
    return differences


@pytest.mark.parametrize(("name", "difference"), LOST, ids=[name for name, _ in LOST])
def test_an_event_that_was_lost_is_a_difference(name: str, difference: str) -> None:
    """It is said once, with the channel and what differs but without anybody's number; then the list is believed."""
    pbx = SmallPbx()
    customer, agent = pbx.create(TRUNK, "Up"), pbx.create(BEN, "Down")
    if name != "Newchannel":
        pbx.set_state(agent, "Up")
    room = pbx.talk(customer, agent) if name in ("BridgeEnter", "BridgeLeave") else ""
    match name:
        case "BridgeLeave":
            pbx.leave(agent)
        case "NewConnectedLine":
            pbx.connect_number(agent, "49301234")
        case "NewCallerid":
            pbx.caller_number(agent, "49301234")
        case "Rename":
            pbx.rename(agent, f"{BEN}-000000ff")
        case "Hangup":
            pbx.hang_up(agent)
    pbx.hang_up(pbx.create(TRUNK))  # one event is lost, and not every event of its kind
    said = difference.replace("AGENT", f"{BEN}-00000003").replace("ROOM", room)
    assert lost(pbx, name) == (said,)


def hold_is_known(index: ChannelIndex) -> bool:
    """Whether the agent's only call is certain to be on hold or not to be."""
    (channel,) = devices(index, BEN).channels
    return channel.hold_known


def test_hold_is_known_where_every_hold_was_heard() -> None:
    """This is a call whose both sides were told of from their beginning, until the connection is lost."""
    pbx = SmallPbx()
    incoming(pbx)
    index = told(pbx)
    assert hold_is_known(index)
    assert index.snapshot(NODE, lists_of(pbx), index.resync(NODE)) == ()
    assert hold_is_known(index)
    index.lost(NODE)
    assert index.snapshot(NODE, lists_of(pbx), index.resync(NODE)) == ()
    assert not hold_is_known(index)
    assert not hold_is_known(listed(pbx))


def test_hold_is_known_when_it_is_heard() -> None:
    """A call of before the connection: one side that holds is enough, and one that does not is not."""
    pbx = SmallPbx()
    incoming(pbx)
    index = listed(pbx)
    agent, customer = (
        next(leg for leg in pbx.legs if pbx.channel(leg).endpoint == endpoint) for endpoint in (BEN, TRUNK)
    )

    def tell(event: str, leg: str) -> bool:
        index.apply(NODE, {"Event": event, "Uniqueid": leg})
        return hold_is_known(index)

    assert tell("Hold", agent)
    assert not tell("Unhold", agent)
    assert tell("Unhold", customer)


@pytest.mark.parametrize("deaf_for", ["Newchannel", "Hangup"])
def test_a_pbx_that_tells_of_no_call_is_deaf(deaf_for: str) -> None:
    """A list that shows what no event told of ends the trust, also over the next connection, until one is heard."""
    pbx = SmallPbx()
    index = empty_index()

    def deliver() -> None:
        for event in pbx.wire:
            if event["Event"] != deaf_for:
                index.apply(NODE, event)
        pbx.wire.clear()

    def take_lists() -> None:
        assert index.snapshot(NODE, lists_of(pbx), index.resync(NODE)) is not None

    take_lists()
    first = pbx.create(BEN)
    index.apply(NODE, pbx.wire[0] if deaf_for == "Hangup" else {})
    if deaf_for == "Hangup":
        pbx.hang_up(first)
    deliver()
    assert index.stale(NODE) is None
    for _ in range(2):
        take_lists()
        assert index.stale(NODE) is Stale.DEAF
        assert index.unheard(NODE) == {deaf_for}
        assert not index.wants_lists(NODE)
        index.lost(NODE)
    take_lists()
    last = pbx.create(TRUNK)
    pbx.hang_up(last)
    for event in pbx.wire:
        index.apply(NODE, event)
    # What was missed is not made good by what is heard now.
    assert index.stale(NODE) is Stale.DEAF
    assert index.wants_lists(NODE)
    take_lists()
    assert index.stale(NODE) is None
    assert not index.wants_lists(NODE)


def test_what_was_not_trusted_is_compared_with_nothing() -> None:
    """After a loss and before the first list there is nothing to be compared with the list."""
    pbx = SmallPbx()
    incoming(pbx)
    index = empty_index()
    index.lost(NODE)
    assert index.snapshot(NODE, lists_of(pbx), index.resync(NODE)) == ()


def test_events_on_their_way_are_no_difference() -> None:
    """What the list has already, and is told before the list is taken in, is known to both."""
    pbx = SmallPbx()
    index = told(pbx)
    listing = index.resync(NODE)
    incoming(pbx)
    for event in pbx.wire:
        index.apply(NODE, event)
    assert index.snapshot(NODE, lists_of(pbx), listing) == ()


# ---- strange events ------------------------------------------------------------------------------------


def test_a_hangup_before_the_list_and_after_it() -> None:
    """The end of an unknown channel is nothing; the end of one that the list still has is its end."""
    pbx = SmallPbx()
    legs = pbx.call(TRUNK, BEN)
    index = empty_index()
    assert index.apply(NODE, {"Event": "Hangup", "Uniqueid": legs[1]}) is Outcome.LATE
    listing = index.resync(NODE)
    lists = lists_of(pbx)
    before = len(pbx.wire)
    for leg in legs:
        pbx.hang_up(leg)
    for event in pbx.wire[before:]:
        index.apply(NODE, event)
    assert index.snapshot(NODE, lists, listing) == ()
    assert index.calls(NODE) == ()


def test_a_late_report_brings_no_channel_back() -> None:
    """AgentComplete, DialEnd and the like of a channel that is gone are not taken for a new one."""
    pbx = SmallPbx()
    caller, *_ = queue_call(pbx)
    pbx.complete_queue(caller, "sales")
    parked(pbx)
    pbx.hold(caller)
    events = list(pbx.wire)
    for leg in list(pbx.legs):
        pbx.hang_up(leg)
    index = told(pbx)
    for event in events:
        if event["Event"] not in ("Newchannel", "Newstate", "BridgeEnter"):
            assert index.apply(NODE, event) in (Outcome.LATE, Outcome.TAKEN)
    assert index.calls(NODE) == ()


@pytest.mark.parametrize(
    ("event", "outcome"),
    [
        ({}, Outcome.IGNORED),
        ({"Event": ""}, Outcome.IGNORED),
        ({"Event": "VarSet", "Uniqueid": "1700000000.1"}, Outcome.IGNORED),
        ({"Event": "newchannel", "Uniqueid": "1700000000.1", "Channel": "PJSIP/a-1"}, Outcome.IGNORED),
        ({"Event": "Newchannel"}, Outcome.MALFORMED),
        ({"Event": "Newchannel", "Uniqueid": "1700000000.1"}, Outcome.MALFORMED),
        ({"Event": "Newchannel", "Channel": "PJSIP/a-1"}, Outcome.MALFORMED),
        ({"Event": "Newchannel", "Channel": "PJSIP/a-1", "Uniqueid": "1" * 300}, Outcome.MALFORMED),
        ({"Event": "Newchannel", "Channel": "P" * 300, "Uniqueid": "1.1"}, Outcome.MALFORMED),
        ({"Event": "BridgeEnter", "Channel": "PJSIP/a-1", "Uniqueid": "1.1"}, Outcome.MALFORMED),
        ({"Event": "BridgeEnter", "BridgeUniqueid": "b1"}, Outcome.MALFORMED),
        ({"Event": "BridgeDestroy"}, Outcome.LATE),
        ({"Event": "BridgeLeave", "Uniqueid": "1.1"}, Outcome.LATE),
        ({"Event": "DialEnd"}, Outcome.LATE),
        ({"Event": "Rename"}, Outcome.LATE),
    ],
)
def test_junk_is_counted_and_changes_nothing(event: dict[str, str], outcome: Outcome) -> None:
    """Events of no interest, and those that lack what they are about."""
    index = empty_index()
    assert index.apply(NODE, event) is outcome
    assert index.counts(NODE) == {one: int(one is outcome) for one in Outcome}
    assert index.calls(NODE) == ()
    assert index.counts("pbx-2") == dict.fromkeys(Outcome, 0)


@pytest.mark.parametrize("event", ["BridgeLeave", "Rename", "AgentConnect"])
def test_junk_about_a_known_channel_changes_nothing(event: str) -> None:
    """An event that does not say what it is about is left alone."""
    pbx = SmallPbx()
    _, agent = pbx.call(TRUNK, BEN)
    index = told(pbx)
    before = index.calls(NODE)
    assert index.apply(NODE, {"Event": event, "Uniqueid": agent}) is Outcome.MALFORMED
    assert index.calls(NODE) == before


NAMES = (
    "Local/1@a-1;1",
    "Local/1@a-1;2",
    "Local/1@a-1;3",
    "Local/",
    f"{BEN}-0000000a",
    f"{BEN}-0000000b",
    "<unknown>",
)
HEADERS = (
    *("Channel", "DestChannel", "LocalOneChannel", "LocalTwoChannel", "Newname", "ChannelStateDesc"),
    *("Uniqueid", "DestUniqueid", "SwapUniqueid", "LocalOneUniqueid", "LocalTwoUniqueid", "ParkeeUniqueid"),
    *(
        "BridgeUniqueid",
        "BridgeId",
        "BridgeID",
        "BridgeType",
        "BridgeTechnology",
        "Queue",
        "ParkingSpace",
        "Linkedid",
    ),
)
VALUES = st.sampled_from([*NAMES, "1.1", "1.2", "1.3", "b1", "b2", "", "Up", "holding_bridge", "x" * 400]) | st.text()
GARBAGE = st.builds(
    lambda name, headers: {"Event": name, **headers},
    st.sampled_from(sorted(calls_module._TAKERS)) | st.text(),
    st.dictionaries(st.sampled_from(HEADERS) | st.text(), VALUES),
)


@given(st.lists(GARBAGE), st.lists(GARBAGE), st.lists(GARBAGE), st.lists(GARBAGE))
def test_no_garbage_raises(
    before: Sequence[dict[str, str]],
    channels: Sequence[dict[str, str]],
    bridges: Sequence[dict[str, str]],
    after: Sequence[dict[str, str]],
) -> None:
    """Whatever events and lists hold, the index continues, answers, and lets go of everything with the channels."""
    index = ChannelIndex()  # one that was not trusted before: the list finds nothing that no event told of
    listing = index.resync(NODE)
    for event in before:
        index.apply(NODE, event)
    assert index.snapshot(NODE, Lists(channels, bridges), listing) is not None
    for event in after:
        index.apply(NODE, event)
    for call in all_calls(index):
        for channel in call.channels:
            index.bridge_of(NODE, channel.uniqueid)
            devices(index, channel.endpoint or "")
    for call in all_calls(index):
        for channel in call.channels:
            assert index.apply(NODE, {"Event": "Hangup", "Uniqueid": channel.uniqueid}) is Outcome.TAKEN
    calls = index._nodes[NODE].calls
    assert [name for name in vars(calls) if getattr(calls, name)] == []


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_a_bridge_may_be_told_before_its_channels(order: tuple[int, ...]) -> None:
    """BridgeEnter carries the whole channel, so it may come before Newchannel and Newstate."""
    pbx = SmallPbx()
    other, leg = pbx.create(TRUNK, "Up"), pbx.create(BEN, "Up")
    pbx.set_state(leg, "Up")
    room = pbx.talk(other)
    pbx.enter(leg, room)
    late = [event for event in pbx.wire if event.get("Uniqueid") == leg]
    index = empty_index()
    for event in [event for event in pbx.wire if event not in late] + [late[position] for position in order]:
        index.apply(NODE, event)
    assert talks(index, BEN) == [(TRUNK,)]
