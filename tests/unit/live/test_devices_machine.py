"""Random logins, hints and states: what is known of devices is what a list of all that was told says."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from agi_monitor.live.devices import AtDevice, Login, NodeDevices
from agi_monitor.live.headers import Outcome
from agi_monitor.model import Agent

EXTENSIONS = ("1001", "1002", "1003")
TENANTS = (None, frozenset({"agents"}), frozenset({"agents", "hints"}), frozenset({"other"}), frozenset[str]())
CONTEXTS = ("hints", "other")
DEVICES = ("PJSIP/1001", "PJSIP/1002", "SIP/1001")
QUEUES = ("sales", "support")
STATES = ("NOT_INUSE", "INUSE", "UNAVAILABLE", "INVALID", "")
HINTS = ("", *DEVICES, "PJSIP/1001&PJSIP/1002", "PJSIP/1001,CustomPresence:1001", "Custom:night&SIP/1001")
INTERFACES = (*DEVICES, "Local/1001@agents/n", "Local/1002@agents")
STATE_INTERFACES = ("", *DEVICES, "hint:1001@hints", "Hint:1002@other", "Local/1003@agents")

Event = dict[str, str]

hints = st.builds(
    lambda extension, context, text, status: {
        "Event": "ExtensionStatus",
        "Exten": extension,
        "Context": context,
        "Hint": text,
        "Status": status,
    },
    st.sampled_from(EXTENSIONS),
    st.sampled_from(CONTEXTS),
    st.sampled_from(HINTS),
    st.sampled_from(("0", "1", "8")),
)
states = st.builds(
    lambda device, state: {"Event": "DeviceStateChange", "Device": device, "State": state},
    st.sampled_from((*DEVICES, "Custom:night")),
    st.sampled_from(STATES),
)
members = st.builds(
    lambda event, queue, interface, name, state_interface: {
        "Event": event,
        "Queue": queue,
        "Interface": interface,
        "MemberName": name,
        "StateInterface": state_interface,
    },
    st.sampled_from(("QueueMemberAdded", "QueueMemberStatus", "QueueMemberRemoved")),
    st.sampled_from(QUEUES),
    st.sampled_from(INTERFACES),
    st.sampled_from(("", *EXTENSIONS)),
    st.sampled_from(STATE_INTERFACES),
)

EVENTS = st.one_of(hints, states, members)


@dataclass
class Told:
    """All that was told, without any index: each question walks through everything."""

    hints: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    members: dict[tuple[str, str], tuple[set[str], frozenset[str], str]] = field(default_factory=dict)
    states: dict[str, str] = field(default_factory=dict)

    def take(self, event: Event) -> None:
        """Take in one event."""
        if event["Event"] == "ExtensionStatus":
            if event["Hint"]:
                named = event["Hint"].split(",")[0].split("&")
                self.hints[event["Context"], event["Exten"]] = [one for one in named if one in DEVICES]
        elif event["Event"] == "DeviceStateChange":
            if event["State"]:
                self.states[event["Device"]] = event["State"]
        elif event["Event"] == "QueueMemberRemoved":
            self.members.pop((event["Queue"], event["Interface"]), None)
        else:
            interface = event["Interface"]
            local, _, rest = interface.removeprefix("Local/").partition("@") if "@" in interface else ("", "", "")
            state_of = event["StateInterface"] or interface
            hint = state_of.partition("@")[2] if state_of.lower().startswith("hint:") else ""
            contexts = frozenset({rest.partition("/")[0], hint} - {""})
            self.members[event["Queue"], interface] = {event["MemberName"], local} - {""}, contexts, state_of

    def hinted(self, extension: str, context: str) -> list[str]:
        """The devices of a hint."""
        return self.hints.get((context, extension), [])

    def logged_in(self, agent: Agent) -> set[str]:
        """Where an agent is logged in."""
        found: set[str] = set()
        for names, contexts, state_of in self.members.values():
            ours = agent.contexts is None or (contexts and all(one in agent.contexts for one in contexts))
            if agent.digits in names and ours:
                if state_of.lower().startswith("hint:"):
                    found |= set(self.hinted(*state_of[5:].split("@")))
                elif state_of in DEVICES:
                    found.add(state_of)
        return found

    def at(self, device: str) -> AtDevice:
        """Whose a device is."""
        watching = [
            (names, contexts)
            for names, contexts, state_of in self.members.values()
            if device
            in (self.hinted(*state_of[5:].split("@")) if state_of.lower().startswith("hint:") else [state_of])
        ]
        return AtDevice(
            frozenset(key for key, devices in self.hints.items() if device in devices),
            frozenset(Login(name, contexts) for names, contexts in watching for name in names),
        )


def assert_same(known: NodeDevices, told: Told) -> None:
    """Every question has the same answer."""
    for extension in EXTENSIONS:
        for contexts in TENANTS:
            agent = Agent("somebody", frozenset(), dialled=extension, contexts=contexts)
            assert set(known.logged_in(agent)) == told.logged_in(agent)
        for context in CONTEXTS:
            assert list(known.hinted(extension, context)) == told.hinted(extension, context)
    for device in DEVICES:
        reachable = told.states.get(device, "UNKNOWN") not in ("UNAVAILABLE", "INVALID", "UNKNOWN")
        assert known.is_reachable(device) == reachable
        assert known.at(device) == told.at(device)


@given(st.lists(EVENTS, max_size=40))
def test_knows_what_was_told(events: list[Event]) -> None:
    """After each event, and the same when it comes twice."""
    known, told = NodeDevices(), Told()
    for event in events:
        told.take(event)
        assert known.apply(event) in (Outcome.TAKEN, Outcome.IGNORED, Outcome.MALFORMED)
        assert_same(known, told)
        known.apply(event)
        assert_same(known, told)


@given(st.lists(EVENTS, max_size=20), st.lists(EVENTS, max_size=20))
def test_a_list_takes_the_place_of_all_that_was_told(before: list[Event], after: list[Event]) -> None:
    """What was told before leaves no trace in it, however much that was."""
    known, told = NodeDevices(), Told()
    for event in before:
        known.apply(event)
    for event in after:
        told.take(event)
    known.replace(
        [{"Device": device, "State": state} for device, state in told.states.items()],
        [
            {"Exten": extension, "Context": context, "Hint": "&".join(devices), "Status": "0"}
            for (context, extension), devices in told.hints.items()
        ],
        [
            {
                "Event": "QueueMember",
                "Queue": queue,
                "Location": interface,
                "Name": name,
                "StateInterface": state_of,
            }
            for (queue, interface), (names, _, state_of) in told.members.items()
            for name in [next(iter(names - {interface.removeprefix("Local/").partition("@")[0]}), "")]
        ],
    )
    assert_same(known, told)
