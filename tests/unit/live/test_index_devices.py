"""Which devices an agent is at: what the configuration, hints, queue members and device states come to."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agi_monitor.live import devices as devices_module
from agi_monitor.live.calls import EVENTS
from agi_monitor.live.devices import NodeDevices
from agi_monitor.live.headers import Outcome
from agi_monitor.live.index import ChannelIndex, Lists, Stale
from agi_monitor.live.over_agi import MAX_DEVICES
from agi_monitor.live.targets import AgentDevices, KnownBy
from agi_monitor.model import Agent
from tests.unit.live.test_index_pbx import SmallPbx

NODE = "pbx-1"
DESK, MOBILE, OTHER = "PJSIP/1001", "PJSIP/1001-mobile", "PJSIP/1002"
BEN = Agent("1001", frozenset())


STATUSES = itertools.count()


def hint(devices: str, extension: str = "1001", context: str = "hints", status: str = "") -> dict[str, str]:
    """An event, with another status than the one before; or an item of ExtensionStateList."""
    status = status or str(next(STATUSES) * 16)
    return {"Event": "ExtensionStatus", "Exten": extension, "Context": context, "Hint": devices, "Status": status}


def state(device: str, of: str) -> dict[str, str]:
    """An event, or an item of DeviceStateList."""
    return {"Event": "DeviceStateChange", "Device": device, "State": of}


def member(
    interface: str, state_interface: str, name: str = "Ben", queue: str = "500", event: str = "QueueMemberAdded"
) -> dict[str, str]:
    """An event about a queue member, or with ``QueueMember`` an item of QueueStatus, which has other names for it."""
    names = ("Location", "Name") if event == "QueueMember" else ("Interface", "MemberName")
    return {"Event": event, "Queue": queue, names[0]: interface, names[1]: name, "StateInterface": state_interface}


def told(*events: dict[str, str]) -> ChannelIndex:
    """An index that has heard these events after empty lists."""
    index = ChannelIndex()
    assert index.snapshot(NODE, Lists([], []), index.resync(NODE)) == ()
    for event in events:
        assert index.apply(NODE, event) is Outcome.TAKEN
    return index


def listed(*items: dict[str, str]) -> ChannelIndex:
    """An index that has seen the same as items of lists."""
    index = ChannelIndex()
    kinds = {"DeviceStateChange": 0, "ExtensionStatus": 1}
    lists: list[list[dict[str, str]]] = [[], [], []]
    for item in items:
        kind = kinds.get(item["Event"], 2)
        if kind == 2:
            interface, name = item["Interface"], item["MemberName"]
            item = {**item, "Event": "QueueMember", "Location": interface, "Name": name}
            del item["Interface"], item["MemberName"]
        lists[kind].append(item)
    assert index.snapshot(NODE, Lists([], [], *lists), index.resync(NODE)) == ()
    return index


def endpoints(index: ChannelIndex, agent: Agent = BEN, context: str = "hints") -> tuple[str, ...]:
    """The agent's devices."""
    found = index.devices_of(NODE, agent, context)
    assert isinstance(found, AgentDevices)
    return found.endpoints


WAYS = (told, listed)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("tells", "found"),
    [
        ([], ()),
        ([hint(DESK)], (DESK,)),
        ([hint(f"{DESK}&{MOBILE}")], (DESK, MOBILE)),
        ([hint(f"{DESK}&Custom:DND1001,CustomPresence:1001")], (DESK,)),
        ([hint("Custom:DND1001")], ()),
        ([hint(OTHER, context="desks")], ()),
        ([hint(OTHER, extension="1002")], ()),
        ([hint(DESK, extension="_1XXX")], ()),
        ([member("Local/1001@agents/n", OTHER)], (OTHER,)),
        ([member("Local/1001@agents", OTHER)], (OTHER,)),
        ([member("local/1001@agents/n", OTHER)], (OTHER,)),
        ([member("Local/10011@agents", OTHER)], ()),
        ([member("Local/1001", OTHER)], ()),
        ([member(OTHER, OTHER, name="1001")], (OTHER,)),
        ([member(OTHER, "", name="1001")], (OTHER,)),
        ([member(OTHER, OTHER, name="Agent 1001")], ()),
        ([member("Local/1001@agents", "Local/1001@agents")], ()),
        ([member("Local/1001@agents", "")], ()),
        ([member("Local/1001@agents", "Custom:1001")], ()),
        (
            [member("Local/1001@agents", "hint:1002@desks"), hint(f"{OTHER}&{MOBILE}", "1002", "desks")],
            (OTHER, MOBILE),
        ),
        ([member("Local/1001@agents", "hint:1002@desks")], ()),
        (
            [hint(DESK), member("Local/1001@agents", OTHER), member("Local/1001@agents", DESK, queue="501")],
            (DESK, OTHER),
        ),
        ([member("Local/1001@agents", OTHER), member("Local/1001@agents", DESK)], (DESK,)),
    ],
)
def test_knows_where_an_agent_is(way: object, tells: list[dict[str, str]], found: tuple[str, ...]) -> None:
    """The hint in its context, and every device that a queue watches for this extension; lists and events agree."""
    assert callable(way)
    assert endpoints(way(*tells)) == found


@pytest.mark.parametrize("event", ["QueueMemberRemoved", "QueueMemberStatus"])
def test_a_member_that_is_removed_is_forgotten(event: str) -> None:
    """Its status, by contrast, says again where it is."""
    index = told(member("Local/1001@agents", OTHER), member("Local/1001@agents", OTHER, event=event))
    assert endpoints(index) == (() if event == "QueueMemberRemoved" else (OTHER,))
    assert index.apply(NODE, member("Local/1001@agents", OTHER, event="QueueMemberRemoved")) is Outcome.TAKEN
    assert endpoints(index) == ()


def test_configured_devices_need_no_hint() -> None:
    """The hint is not looked at; a queue login counts all the same."""
    index = told(hint(MOBILE), member("Local/1001@agents", OTHER))
    assert endpoints(index, Agent("1001", frozenset(), (DESK,))) == (DESK, OTHER)


def test_each_channel_says_why_its_device_is_the_agents() -> None:
    """A device that is known in two ways is known by the stronger one."""
    pbx = SmallPbx()
    for endpoint in (DESK, OTHER):
        pbx.call("PJSIP/trunk", endpoint)
    index = told(
        *pbx.wire, member("Local/1001@agents", OTHER), member("Local/1001@agents", DESK, queue="501"), hint(DESK)
    )

    def known(agent: Agent) -> list[tuple[str, KnownBy]]:
        found = index.devices_of(NODE, agent, "hints")
        assert isinstance(found, AgentDevices)
        return [(channel.name.rpartition("-")[0], channel.known_by) for channel in found.channels]

    assert known(BEN) == [(DESK, KnownBy.HINT), (OTHER, KnownBy.QUEUE)]
    assert known(Agent("1001", frozenset(), (OTHER,))) == [(OTHER, KnownBy.CONFIGURED), (DESK, KnownBy.QUEUE)]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("of", "reachable"),
    [("NOT_INUSE", True), ("ONHOLD", True), ("UNAVAILABLE", False), ("INVALID", False), ("UNKNOWN", False)],
)
def test_one_reachable_device_is_enough(way: object, of: str, reachable: bool) -> None:
    """A device without a known state is not reachable, nor is one that is not registered."""
    assert callable(way)
    index = way(hint(f"{DESK}&{MOBILE}"), state(MOBILE, of))
    found = index.devices_of(NODE, BEN, "hints")
    assert found.reachable is reachable


def talks_of(index: ChannelIndex) -> tuple[object, bool]:
    """What is said of an agent who is known by hint, and whether lists are wanted."""
    return index.devices_of(NODE, BEN, "hints"), index.wants_lists(NODE)


def test_hints_are_doubted_when_the_dialplan_was_loaded_again() -> None:
    """All hints are told again with their text of before; until the next lists no device is known by hint."""
    before, other = hint(DESK, status="0"), hint(OTHER, extension="1002", status="1")
    index = listed(before, other)
    assert endpoints(index) == (DESK,)
    assert not index.wants_lists(NODE)
    index.apply(NODE, other)
    assert talks_of(index) == (Stale.RELOADED, True)
    assert endpoints(index, Agent("1001", frozenset(), (DESK,))) == (DESK,)
    assert index.stale(NODE) is None
    listing = index.resync(NODE)
    assert talks_of(index) == (Stale.RELOADED, True)
    assert index.snapshot(NODE, Lists([], [], hints=[hint(MOBILE, status="0"), other]), listing) == ()
    assert endpoints(index) == (MOBILE,)
    assert not index.wants_lists(NODE)


def test_a_hint_that_is_new_is_doubted() -> None:
    """Its event comes before it has a text."""
    index = listed(hint(DESK))
    index.apply(NODE, {"Event": "ExtensionStatus", "Exten": "1003", "Context": "hints", "Hint": "", "Status": "4"})
    assert talks_of(index) == (Stale.RELOADED, True)


def test_what_is_told_while_the_lists_come_is_doubted_still() -> None:
    """Whether the list of hints was made before or after the dialplan is not known."""
    item = hint(DESK, status="0")
    index = listed(item)
    listing = index.resync(NODE)
    index.apply(NODE, item)
    assert index.snapshot(NODE, Lists([], [], hints=[item]), listing) == ()
    assert talks_of(index) == (Stale.RELOADED, True)
    assert index.snapshot(NODE, Lists([], [], hints=[item]), index.resync(NODE)) == ()
    assert endpoints(index) == (DESK,)


@pytest.mark.parametrize("status", ["²", "9" * 5_000], ids=["another digit", "many digits"])
def test_a_status_that_is_no_number_rings_nowhere(status: str) -> None:
    """Told twice it is a hint that was loaded again, as with any status that does not ring."""
    index = listed(hint(DESK, status=status))
    index.apply(NODE, hint(DESK, status=status))
    assert talks_of(index) == (Stale.RELOADED, True)


def test_a_change_is_not_doubted() -> None:
    """Neither when a list knows it already, nor when it rings once more."""
    index = listed(hint(DESK, status="0"))
    for status in ("8", "8", "9", "9", "1", "0"):
        index.apply(NODE, hint(DESK, status=status))
        assert not index.wants_lists(NODE)
    listing = index.resync(NODE)
    index.apply(NODE, hint(DESK, status="1"))
    assert index.snapshot(NODE, Lists([], [], hints=[hint(DESK, status="1")]), listing) == ()
    assert endpoints(index) == (DESK,)
    assert not index.wants_lists(NODE)


@pytest.mark.parametrize("when", ["before the lists", "while they come", "behind them"])
def test_other_devices_than_were_known_are_doubted(when: str) -> None:
    """A reload tells each hint with the devices of before, maybe late and with another status."""
    index = listed(hint(DESK, status="0"))
    late = hint(DESK, status="1")
    if when == "before the lists":
        index.apply(NODE, hint(MOBILE, status="1"))
        assert talks_of(index) == (Stale.RELOADED, True)
    listing = index.resync(NODE)
    if when == "while they come":
        index.apply(NODE, late)
        assert not index.wants_lists(NODE)
    assert index.snapshot(NODE, Lists([], [], hints=[hint(MOBILE, status="4")]), listing) == ()
    if when == "behind them":
        assert endpoints(index) == (MOBILE,)
        index.apply(NODE, late)
    if when != "before the lists":
        assert talks_of(index) == (Stale.RELOADED, True)
        assert index.snapshot(NODE, Lists([], [], hints=[hint(MOBILE, status="1")]), index.resync(NODE)) == ()
    assert endpoints(index) == (MOBILE,)
    assert not index.wants_lists(NODE)


def test_a_list_replaces_what_was_known() -> None:
    """Hints, members and devices that the list does not have are gone; what came meanwhile is not."""
    index = told(hint(DESK, context="desks"), member("Local/1001@agents", OTHER), state(DESK, "INUSE"))
    listing = index.resync(NODE)
    index.apply(NODE, hint(MOBILE))
    assert index.snapshot(NODE, Lists([], []), listing) == ()
    assert endpoints(index) == (MOBILE,)
    assert endpoints(index, context="desks") == ()


def test_not_more_devices_than_one_person_has() -> None:
    """A hint or a login with endless devices is cut, as it is over AGI."""
    many = [member("Local/1001@agents", f"PJSIP/{number}", queue=str(number)) for number in range(40)]
    assert endpoints(told(*many)) == tuple(f"PJSIP/{number}" for number in range(MAX_DEVICES))


@pytest.mark.parametrize("device", ["Queue:500_avail", "Local/1001@agents", "Custom:1001", "park:701@parkedcalls"])
def test_devices_that_nobody_talks_on_are_not_kept(device: str) -> None:
    """Queues, Local channels and the like have states as well."""
    index = told()
    assert index.apply(NODE, state(device, "INUSE")) is Outcome.IGNORED


@pytest.mark.parametrize(
    "event",
    [
        {"Event": "DeviceStateChange", "Device": DESK},
        {"Event": "DeviceStateChange", "State": "INUSE"},
        {"Event": "ExtensionStatus", "Exten": "1001", "Hint": DESK},
        {"Event": "ExtensionStatus", "Context": "hints", "Hint": DESK},
        hint("x" * 100_000),
        {"Event": "QueueMemberAdded", "Queue": "500"},
        {"Event": "QueueMemberAdded", "Interface": DESK},
    ],
    ids=lambda event: ",".join(event),
)
def test_junk_changes_nothing(event: dict[str, str]) -> None:
    """Events that lack what they are about, or are endless."""
    index = told(hint(DESK))
    assert index.apply(NODE, event) is Outcome.MALFORMED
    assert endpoints(index) == (DESK,)


@pytest.mark.parametrize("limit", ["MAX_DEVICE_STATES", "MAX_HINTS", "MAX_MEMBERS"])
@pytest.mark.parametrize("way", ["told", "listed"])
def test_more_than_is_kept_is_not_trusted(monkeypatch: pytest.MonkeyPatch, limit: str, way: str) -> None:
    """Some would be missing, so nothing is said until the lists fit; what is known already may change."""
    monkeypatch.setattr(devices_module, limit, 2)
    numbers = range(3)
    items = {
        "MAX_DEVICE_STATES": [state(f"PJSIP/{number}", "INUSE") for number in numbers],
        "MAX_HINTS": [hint(DESK, str(number)) for number in numbers],
        "MAX_MEMBERS": [member(f"Local/{number}@agents", DESK) for number in numbers],
    }[limit]
    index = told(*items[:2], *items[:2])
    assert not index.is_stale(NODE)
    if way == "told":
        assert index.apply(NODE, items[2]) is Outcome.TOO_MANY
    else:
        index = listed(*items)
    assert index.devices_of(NODE, BEN, "hints") is Stale.TOO_MANY


@pytest.mark.parametrize("way", ["members", "hints"])
def test_what_was_before_is_bounded(monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    """An account that logs in to queues under ever new names fills no memory; and that some are not known is told."""
    monkeypatch.setattr(devices_module, "MAX_BEFORE", 3)
    index = told()
    for number in range(8):
        assert index.doubtful_at(NODE, DESK).is_whole is (number < 5)
        changed = member(DESK, DESK, f"{number}") if way == "members" else hint(f"{DESK}{number}")
        assert index.apply(NODE, changed) is Outcome.TAKEN
    assert len(index._nodes[NODE].devices._members_before) + len(index._nodes[NODE].devices._hinted_before) == 1
    index.snapshot(NODE, Lists([], []), index.resync(NODE))
    assert index.doubtful_at(NODE, DESK).is_whole


def test_more_doubts_about_a_device_than_can_be_asked_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is a question to the PBX; one device has few."""
    monkeypatch.setattr(devices_module, "MAX_DOUBTFUL", 3)
    members = [member(f"Local/{number}@agents", DESK) for number in range(4)]
    index = told(*members, member("PJSIP/1002", OTHER))
    for number, each in enumerate(members):
        assert index.apply(NODE, {**each, "Event": "QueueMemberRemoved"}) is Outcome.TAKEN
        doubtful = index.doubtful_at(NODE, DESK)
        assert (doubtful.is_whole, len(doubtful.members)) == ((True, number + 1) if number < 3 else (False, 0))
    assert index.doubtful_at(NODE, OTHER).is_whole


def test_the_events_that_are_wanted_are_those_that_are_taken() -> None:
    """Anyone who passes on only these loses nothing."""
    assert {"Newchannel", "BridgeEnter", "DeviceStateChange", "ExtensionStatus", "QueueMemberAdded"} <= EVENTS
    index = told()
    for name in sorted(EVENTS):
        assert index.apply(NODE, {"Event": name}) is not Outcome.IGNORED


VALUES = st.sampled_from(
    [DESK, OTHER, "Local/1001@agents/n", "hint:1001@hints", "1001", "hints", "500", "-1", "x" * 400]
)
GARBAGE = st.builds(
    lambda name, headers: {"Event": name, **headers},
    st.sampled_from([*sorted(devices_module.EVENTS), "QueueMember"]) | st.text(),
    st.dictionaries(
        st.sampled_from(
            [
                *("Device", "State", "Exten", "Context", "Hint", "Status", "Queue"),
                *("Interface", "Location", "StateInterface", "MemberName", "Name"),
            ]
        ),
        VALUES | st.text(),
    ),
)


@given(st.lists(GARBAGE), st.lists(GARBAGE))
def test_no_garbage_raises(items: list[dict[str, str]], events: list[dict[str, str]]) -> None:
    """Whatever lists and events hold, every extension can be asked for; and a member that goes leaves nothing."""
    devices = NodeDevices()
    devices.replace(items, items, items)
    for event in events:
        devices.apply(event)
    for event in (*items, *events):
        for extension in (event.get("MemberName", ""), event.get("Name", ""), "1001"):
            assert all(isinstance(device, str) for device in devices.logged_in(Agent(extension, frozenset())))
            assert all(isinstance(device, str) for device in devices.hinted(extension, "hints"))
        devices.apply({**event, "Event": "QueueMemberRemoved"})
    assert (devices._members, devices._members_of) == ({}, {})
