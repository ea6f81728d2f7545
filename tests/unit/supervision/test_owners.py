"""A device that is several agents': one who hears it may hear a call of any of them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agi_monitor.live.calls import Channel, Origin
from agi_monitor.live.devices import AtDevice, Login
from agi_monitor.live.index import ChannelIndex, Lists, Stale
from agi_monitor.live.port import LivePbx
from agi_monitor.live.targets import AgentDevices, Source
from agi_monitor.model import Agent, Mode, Reason, Refusal
from agi_monitor.rights.authorization import Effect, Rule
from agi_monitor.supervision.grant_watch import NO_MANAGER
from agi_monitor.supervision.owners import agent_shown_at, other_owner_refuses
from agi_monitor.supervision.policy import Policy
from tests.doubles.desk import ANNA_HERE, POLICY
from tests.unit.live.test_devices_machine import CONTEXTS, DEVICES, EVENTS, EXTENSIONS, TENANTS, Event

SALES = Agent("1001", frozenset({"sales"}), ("PJSIP/1001",))
BOARD = Agent("1003", frozenset({"protected"}), ("PJSIP/1003",))
SPYEE = "PJSIP/1001-0000000a"


def login(text: str) -> Login:
    """A queue member: such as ``1001``, or ``1001@beta``."""
    extension, _, context = text.partition("@")
    return Login(extension, frozenset({context} - {""}))


class Live:
    """A live picture that knows who is at the phone of 1001, or one that is not to be trusted."""

    def __init__(self, *, stale: Stale | None = None, hinted: str = "", logged_in: str = "") -> None:
        self._stale = stale
        self._at = AtDevice(
            frozenset(("default", extension) for extension in hinted.split()),
            frozenset(login(one) for one in logged_in.split()),
        )

    async def is_fresh(self) -> bool:
        return True

    async def hides_owner(self, device: str) -> bool:
        """No event has taken anybody away."""
        return False

    async def is_member(self, agent: Agent, device: str) -> bool:
        return False

    def stale(self) -> Stale | None:
        return self._stale

    def devices_of(self, agent: Agent) -> AgentDevices | Stale:
        return self._stale or AgentDevices((), (), reachable=True, source=Source.INDEX)

    def channel(self, uniqueid: str) -> Channel | Stale | None:
        return None

    def partners_of(self, uniqueid: str) -> tuple[Channel, ...] | Stale:
        return ()

    def origin_of(self, uniqueid: str) -> Origin | Stale | None:
        return None

    def at_device(self, device: str) -> AtDevice | Stale:
        assert device == "PJSIP/1001"
        return self._stale or self._at

    def endpoints(self) -> tuple[str, ...] | Stale:
        return ("PJSIP/1001",)


def refusal(*agents: Agent, live: LivePbx = NO_MANAGER.live, mode: Mode = Mode.LISTEN) -> Refusal | None:
    """What stands against Anna hearing 1001 when these are the agents."""
    policy = replace(POLICY, agents={agent.extension: agent for agent in agents})
    return refused_by(policy, live, mode)


def refused_by(policy: Policy, live: LivePbx, mode: Mode) -> Refusal | None:
    """What stands against Anna hearing 1001."""
    return other_owner_refuses(
        policy, live, "1001", SPYEE, lambda extension: policy.permitted("PJSIP/2001", ANNA_HERE, extension, mode)
    )


@pytest.mark.parametrize(
    ("other", "live"),
    [
        (replace(BOARD, endpoints=("PJSIP/1003", "PJSIP/1001")), NO_MANAGER.live),
        (replace(BOARD, endpoints=("PJSIP/1003", "PJSIP/1001")), Live(stale=Stale.LOST)),
        (replace(BOARD, endpoints=("PJSIP/1001",)), Live()),
        (replace(BOARD, endpoints=()), Live(hinted="1001 1003")),
        (BOARD, Live(logged_in="1003")),
    ],
    ids=["configured", "configured-and-lost", "configured-and-logged-in-elsewhere", "hint", "logged-in"],
)
def test_the_right_for_every_owner_is_needed(other: Agent, live: LivePbx) -> None:
    """By the configuration, by a hint, by a login, also of an agent who has a phone of their own."""
    refused = refusal(SALES, other, live=live)
    assert refused is not None
    assert refused.reason is Reason.MODE_DENIED
    assert refused.detail.startswith("PJSIP/1001 is also the phone of 1003: ")


@pytest.mark.parametrize(
    "live",
    [
        NO_MANAGER.live,
        Live(hinted="1001", logged_in="1001"),
        Live(hinted="1003 1777", logged_in="1778"),
        Live(stale=Stale.LOST),
    ],
)
def test_another_phone_is_no_matter(live: LivePbx) -> None:
    """An agent who may not be heard protects their own phones, not those of others.

    For an agent with configured phones a hint counts for nothing, and an extension without an agent belongs to none.
    """
    assert refusal(SALES, BOARD, live=live) is None


def test_who_may_hear_both_hears_the_device_of_both() -> None:
    """A shared phone of two colleagues is heard by anyone who has both rights, and no longer without one of them."""
    colleague = replace(SALES, extension="1002")
    assert refusal(SALES, colleague) is None
    assert refusal(SALES, replace(colleague, groups=frozenset({"support"}))) is not None


def test_the_right_is_for_the_mode() -> None:
    """Who may only listen to the other owner does not whisper into their phone."""
    support = Agent("1002", frozenset({"support"}), ("PJSIP/1001",))
    listen = Rule("hear", Effect.ALLOW, frozenset({Mode.LISTEN}), frozenset({"leads"}), frozenset({"support"}))
    policy = replace(POLICY, agents={"1001": SALES, "1002": support}, rules=(*POLICY.rules, listen))
    refused = [refused_by(policy, NO_MANAGER.live, mode) for mode in Mode]
    assert [found is not None for found in refused] == [mode is not Mode.LISTEN for mode in Mode]


# ---- whom a call is shown with -----------------------------------------------------------------------------

OWN = ((), ("PJSIP/1001",), ("PJSIP/1002", "SIP/1001"))
AGENTS = (
    *(st.builds(Agent, st.just(digits), st.just(frozenset[str]()), st.sampled_from(OWN)) for digits in EXTENSIONS),
    *(
        st.builds(
            Agent,
            st.just(f"beta-{digits}"),
            st.just(frozenset[str]()),
            st.sampled_from(OWN),
            dialled=st.just(digits),
            tenant=st.just("beta"),
            hint_context=st.sampled_from((None, *CONTEXTS)),
            contexts=st.sampled_from(TENANTS),
        )
        for digits in EXTENSIONS
    ),
)


class Indexed(Live):
    """A live picture with hints, queues and states."""

    def __init__(self, events: list[Event], doubts: list[Event]) -> None:
        super().__init__()
        self._index = ChannelIndex()
        for event in events:
            self._index.apply("pbx", event)
        hinted = [event for event in events if event["Event"] == "ExtensionStatus"]
        queues = [{**event, "Event": "QueueMember"} for event in events if "Queue" in event]
        self._index.snapshot("pbx", Lists((), (), (), hinted, queues), self._index.resync("pbx"))
        for event in doubts:
            self._index.apply("pbx", event)

    def devices_of(self, agent: Agent) -> AgentDevices | Stale:
        return self._index.devices_of("pbx", agent, "hints")

    def at_device(self, device: str) -> AtDevice | Stale:
        return self._index.at_device("pbx", device)


@given(
    st.permutations(AGENTS).flatmap(lambda each: st.tuples(*each)),
    st.lists(EVENTS, max_size=12),
    st.lists(EVENTS, max_size=4),
)
def test_a_device_is_shown_with_the_first_agent_who_has_it(
    agents: tuple[Agent, ...], events: list[Event], doubts: list[Event]
) -> None:
    """As going through all agents finds it, whatever hints and queues say, and with hints in doubt."""
    live = Indexed(events, doubts)
    policy = replace(POLICY, agents={agent.extension: agent for agent in agents}, hint_context="hints")
    for device in (*DEVICES, "PJSIP/trunk"):
        having = (
            agent
            for agent in agents
            if not isinstance(devices := live.devices_of(agent), Stale) and device in devices.endpoints
        )
        assert agent_shown_at(policy, live, device) == next(having, None)
