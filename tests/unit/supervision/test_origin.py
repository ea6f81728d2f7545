"""Where an agent's call came from, as events and lists tell it; and whose a device is."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agi_monitor.live.calls import Origin
from agi_monitor.live.devices import AtDevice
from agi_monitor.live.index import ChannelIndex, Lists, Stale
from agi_monitor.live.targets import AgentDevices
from agi_monitor.model import Agent, Direction

NODE = "pbx"
BEN, TRUNK, CARA = "PJSIP/1001-00000001", "PJSIP/trunk-00000002", "PJSIP/1002-00000003"
IN, OUT = Direction.IN, Direction.OUT


def item(name: str, application: str = "", data: str = "", bridge: str = "b-1", state: str = "Up") -> dict[str, str]:
    """A channel in a list; its uniqueid is the end of its name."""
    return {
        "Channel": name,
        "Uniqueid": name[-1],
        "ChannelStateDesc": state,
        "Application": application,
        "ApplicationData": data,
        "BridgeId": bridge,
    }


def listed(index: ChannelIndex, *channels: Mapping[str, str]) -> None:
    """A list comes."""
    assert index.snapshot(NODE, Lists(channels, []), index.resync(NODE)) is not None


def origin(*channels: Mapping[str, str]) -> Origin | Stale | None:
    """Where the call of Ben came from, by a list alone."""
    index = ChannelIndex()
    listed(index, *channels)
    return index.origin_of(NODE, "1")


@pytest.mark.parametrize(
    ("channels", "found"),
    [
        ([item(BEN, "AppDial"), item(TRUNK, "Dial")], Origin("", IN)),
        ([item(BEN, "AppQueue"), item(TRUNK, "Queue", "help,tT,,,60")], Origin("help", IN)),
        ([item(BEN, "Dial"), item(TRUNK, "AppDial")], Origin("", OUT)),
        # an Originate that called the agent's phone first
        ([item(BEN, "AppDial2"), item(TRUNK, "")], Origin("", IN)),
        ([item(BEN, "AGI"), item(TRUNK, "Wait")], Origin("", None)),
        # an agent who calls a queue, as a customer does
        ([item(BEN, "Queue", "help"), item(CARA, "AppQueue")], Origin(None, OUT)),
        # callers of two queues in one conference, and of one that is written in two ways
        ([item(BEN), item(TRUNK, "Queue", "help"), item(CARA, "Queue", "sales")], Origin(None, None)),
        ([item(BEN), item(TRUNK, "Queue", "help"), item(CARA, "Queue", "HELP")], Origin("HELP", None)),
        # with nobody now
        ([item(BEN, "AppDial", bridge="")], Origin(None, IN)),
        ([item(BEN, bridge="", state="Ring")], Origin(None, OUT)),
        ([item(TRUNK)], None),
        # the customer came to the queue over a Local channel
        (
            [
                item(BEN, "AppQueue"),
                item("Local/500@in-00000000;2", "Queue", "help"),
                item("Local/500@in-00000000;1", bridge="b-2"),
                item(TRUNK, bridge="b-2"),
            ],
            Origin("help", IN),
        ),
    ],
)
def test_a_list_tells_the_origin(channels: list[Mapping[str, str]], found: Origin | None) -> None:
    """The application of a channel tells who called, and out of which queue; what is not clear is None."""
    assert origin(*channels) == found


def test_nothing_is_said_without_a_picture() -> None:
    """Before the first list, and after the connection is lost."""
    index = ChannelIndex()
    assert index.origin_of(NODE, "1") is Stale.NEVER_LISTED
    assert index.at_device(NODE, "PJSIP/1001") is Stale.NEVER_LISTED
    listed(index, item(BEN))
    index.lost(NODE)
    assert index.origin_of(NODE, "1") is Stale.LOST


@pytest.mark.parametrize("doubt", [ChannelIndex.lost, ChannelIndex.forged])
def test_whose_device_it_is_is_known_while_in_doubt(
    doubt: Callable[[ChannelIndex, str], None],
) -> None:
    """The rights of anyone who is logged in there are asked for all the same."""
    index = ChannelIndex()
    listed(index, item(BEN))
    before = index.at_device(NODE, "PJSIP/1001")
    doubt(index, NODE)
    assert index.at_device(NODE, "PJSIP/1001") == before
    assert isinstance(before, AtDevice)


def test_events_are_believed_before_lists_as_long_as_none_is_missed() -> None:
    """A list still names the queue of a caller whom the agent has transferred; the event has said otherwise."""
    index = ChannelIndex()
    caller = item(TRUNK, "Queue", "help")
    listed(index, item(BEN, "AppQueue"), caller)
    index.apply(NODE, {"Event": "AgentComplete", "Uniqueid": "2", "Queue": "help"})
    assert index.origin_of(NODE, "1") == Origin("", IN)
    listed(index, item(BEN, "AppQueue"), caller)
    assert index.origin_of(NODE, "1") == Origin("", IN)
    # Nobody knows what was missed: the list is all there is.
    index.lost(NODE)
    listed(index, item(BEN, "AppQueue"), caller)
    assert index.origin_of(NODE, "1") == Origin("help", IN)


def test_a_direction_outlives_a_loss() -> None:
    """Who called whom does not change meanwhile, where the list says nothing of it."""
    index = ChannelIndex()
    listed(index, item(BEN, "AppDial"), item(TRUNK))
    index.lost(NODE)
    listed(index, item(BEN, "AGI"), item(TRUNK))
    assert index.origin_of(NODE, "1") == Origin("", IN)


def test_a_call_that_is_picked_up_comes_in() -> None:
    """The phone that picks it up dials a code, takes the place of the one that rings, and answers in it."""
    index = ChannelIndex()
    listed(index)
    caller = {"Channel": TRUNK, "Uniqueid": "2"}
    for event in (
        {"Event": "Newchannel", **caller, "ChannelStateDesc": "Ring"},
        {"Event": "DialBegin", **caller, "DestChannel": "PJSIP/100-00000009", "DestUniqueid": "9"},
        {"Event": "Newchannel", "Channel": BEN, "Uniqueid": "1", "ChannelStateDesc": "Ring"},
        {"Event": "DialEnd", **caller, "DestChannel": BEN, "DestUniqueid": "1", "DialStatus": "ANSWER"},
    ):
        index.apply(NODE, event)
    assert index.origin_of(NODE, "1") == Origin(None, IN)


def test_whoever_was_called_and_then_calls_has_called() -> None:
    """The phone of the agent rings first, and then the customer is called."""
    index = ChannelIndex()
    listed(index)
    for event in (
        {"Event": "Newchannel", "Channel": BEN, "Uniqueid": "1", "ChannelStateDesc": "Down"},
        {"Event": "DialBegin", "DestChannel": BEN, "DestUniqueid": "1", "DestChannelStateDesc": "Ringing"},
    ):
        index.apply(NODE, event)
    assert index.origin_of(NODE, "1") == Origin(None, IN)
    index.apply(NODE, {"Event": "Newchannel", "Channel": TRUNK, "Uniqueid": "2", "ChannelStateDesc": "Down"})
    index.apply(NODE, {"Event": "DialBegin", "Channel": BEN, "Uniqueid": "1", "DestUniqueid": "2"})
    assert index.origin_of(NODE, "1") == Origin(None, OUT)


# ---- whose a device is --------------------------------------------------------------------------------------

DEVICES = ("PJSIP/1001", "PJSIP/1002", "PJSIP/1003")
EXTENSIONS = ("1001", "1002", "1003")

hints = st.builds(
    lambda extension, context, devices: {
        "Event": "ExtensionStatus",
        "Exten": extension,
        "Context": context,
        "Hint": "&".join(devices),
        "Status": "0",
    },
    st.sampled_from(EXTENSIONS),
    st.sampled_from(["hints", "desks"]),
    st.lists(st.sampled_from(DEVICES), max_size=2),
)
members = st.builds(
    lambda event, queue, extension, interface, state_of: {
        "Event": event,
        "Queue": queue,
        "MemberName": extension,
        "Interface": interface,
        "StateInterface": state_of,
    },
    st.sampled_from(["QueueMemberAdded", "QueueMemberRemoved", "QueueMemberStatus"]),
    st.sampled_from(["help", "sales"]),
    st.sampled_from(EXTENSIONS),
    st.sampled_from(["Local/1001@agents/n", "Local/1002@agents", "PJSIP/1003"]),
    st.sampled_from([*DEVICES, "hint:1001@hints", "Hint:1002@desks", "Local/9@x"]),
)


@given(st.lists(st.one_of(hints, members), max_size=12), st.lists(st.one_of(hints, members), max_size=4))
def test_a_device_is_looked_up_as_agents_are(events: list[dict[str, str]], items: list[dict[str, str]]) -> None:
    """Whatever hints and queues tell: a device belongs to exactly those to whom the look-up by agent gives it."""
    index = ChannelIndex()
    queues = [{**one, "Event": "QueueMember"} for one in items if "Queue" in one]
    lists = Lists([], [], [], [one for one in items if "Hint" in one], queues)
    assert index.snapshot(NODE, lists, index.resync(NODE)) == ()
    for event in events:
        index.apply(NODE, event)
    hinted: dict[str, set[str]] = {device: set() for device in DEVICES}
    logged_in: dict[str, set[str]] = {device: set() for device in DEVICES}
    for extension in EXTENSIONS:
        by_hint = index._nodes[NODE].devices.hinted(extension, "hints")
        by_login = index.devices_of(NODE, Agent(extension, frozenset(), ("PJSIP/own",)), "hints")
        assert isinstance(by_login, AgentDevices)
        for device in DEVICES:
            if device in by_hint:
                hinted[device].add(extension)
            if device in by_login.endpoints:
                logged_in[device].add(extension)
    for device in DEVICES:
        at = index.at_device(NODE, device)
        assert isinstance(at, AtDevice)
        assert {extension for context, extension in at.hinted if context == "hints"} == hinted[device]
        assert {login.extension for login in at.logged_in} == logged_in[device]
