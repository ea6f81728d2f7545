"""Several companies on one PBX: nobody hears an agent of another, and the same digits are two people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agi_monitor.live.index import ChannelIndex, Lists
from agi_monitor.live.over_agi import DeviceChannelsOverAgi
from agi_monitor.live.port import LivePbx, NoLivePbx
from agi_monitor.live.targets import AgentDevices
from agi_monitor.model import Agent, Identity, Mode, Reason, Refusal, Supervisor
from agi_monitor.pins.records import pin_id
from agi_monitor.rights.authorization import Allowed, Effect, Rule, SpyAsk, decide
from agi_monitor.rights.circumstances import NOTHING
from agi_monitor.rights.explain import explain
from agi_monitor.supervision.owners import agents_at, other_owner_refuses
from agi_monitor.supervision.policy import Permitted, Policy
from tests.doubles.coroutines import finish
from tests.doubles.desk import ANNA, BERT, CODES, SPYEE, SPYEE_UNIQUEID, Desk, refusals, started
from tests.unit.live.test_over_agi import Answers
from tests.unit.supervision.test_owners import Live

NODE = "pbx"

ACME = replace(ANNA, tenant="acme", groups=frozenset({"leads"}))
BETA = replace(BERT, tenant="beta", groups=frozenset({"leads"}))

ACMES = Agent("1001", frozenset({"sales"}), tenant="acme", hint_context="acme-hints", contexts=frozenset({"acme"}))
BETAS = Agent(
    "beta-1001",
    frozenset({"sales"}),
    dialled="1001",
    tenant="beta",
    hint_context="beta-hints",
    contexts=frozenset({"beta", "beta-hints"}),
)

ALL = Rule("everybody", Effect.ALLOW, frozenset(Mode), frozenset({"all"}), frozenset({"all"}), scan=True)


def site(*agents: Agent) -> Policy:
    """Two companies in which everybody may hear everybody."""
    return Policy(
        codes=CODES,
        supervisors={endpoint: person for person in (ACME, BETA) for endpoint in person.endpoints},
        agents={agent.extension: agent for agent in agents or (ACMES, BETAS)},
        rules=(ALL,),
    )


def member(interface: str, state_of: str = "", name: str = "") -> Mapping[str, str]:
    """A queue member, as QueueStatus lists it."""
    return {"Event": "QueueMember", "Queue": "q", "Name": name, "Location": interface, "StateInterface": state_of}


def hint(context: str, device: str, extension: str = "1001") -> Mapping[str, str]:
    """A hint, as ExtensionStateList lists it."""
    return {"Exten": extension, "Context": context, "Hint": device, "Status": "0"}


def index(*items: Mapping[str, str]) -> ChannelIndex:
    """A picture with these hints and queue members."""
    found = ChannelIndex()
    queues = [item for item in items if "Queue" in item]
    lists = Lists([], [], [], [item for item in items if "Hint" in item], queues)
    assert found.snapshot(NODE, lists, found.resync(NODE)) == ()
    return found


def phones(agent: Agent, *items: Mapping[str, str]) -> tuple[str, ...]:
    """Where an agent is, by these hints and queue members."""
    devices = index(*items).devices_of(NODE, agent, "default")
    assert isinstance(devices, AgentDevices)
    return devices.endpoints


@pytest.mark.parametrize(
    ("item", "acmes", "betas"),
    [
        (member("Local/1001@beta/n", "PJSIP/1002"), (), ("PJSIP/1002",)),
        (member("Local/1001@acme/n", "PJSIP/1002"), ("PJSIP/1002",), ()),
        (member("Local/1001@elsewhere/n", "PJSIP/1002"), (), ()),
        (member("Local/1001@elsewhere/n", "PJSIP/1002", "1001"), (), ()),
        (member("Local/77@beta/n", "PJSIP/1002", "1001"), (), ("PJSIP/1002",)),
        (member("PJSIP/1002", "", "1001"), (), ()),
        (hint("acme-hints", "PJSIP/1001"), ("PJSIP/1001",), ()),
        (hint("beta-hints", "PJSIP/1001"), (), ("PJSIP/1001",)),
        (hint("default", "PJSIP/1001"), (), ()),
    ],
)
def test_a_phone_is_an_agents_by_a_context_of_their_tenant(
    item: Mapping[str, str], acmes: tuple[str, ...], betas: tuple[str, ...]
) -> None:
    """Never by the digits alone: a member that names no context may be anybody's."""
    assert (phones(ACMES, item), phones(BETAS, item)) == (acmes, betas)


def test_every_context_that_a_member_names_must_be_of_the_tenant() -> None:
    """A member of one company that watches a hint of the other is neither's."""
    found = (hint("beta-hints", "PJSIP/1002"), member("Local/1001@acme/n", "hint:1001@beta-hints"))
    assert phones(replace(ACMES, hint_context="none"), *found) == ()
    found = (hint("beta-hints", "PJSIP/1002"), member("Local/1001@beta/n", "hint:1001@beta-hints"))
    assert phones(replace(BETAS, hint_context="none"), *found) == ("PJSIP/1002",)
    found = (hint("beta-hints", "PJSIP/1002"), member("PJSIP/9", "hint:1001@beta-hints", "1001"))
    assert phones(replace(BETAS, hint_context="none"), *found) == ("PJSIP/1002",)


@pytest.mark.parametrize("interface", ["Local/1001@beta/n", "Local/1001@from-internal", "PJSIP/1002"])
def test_one_company_goes_on_as_it_was(interface: str) -> None:
    """Where no tenants are named a login counts whatever context it comes through."""
    only = Agent("1001", frozenset())
    assert phones(only, member(interface, "PJSIP/1002", "1001")) == ("PJSIP/1002",)


def test_the_hint_is_asked_in_the_context_of_the_tenant() -> None:
    """Over AGI as well, by the dialled digits."""
    answers = Answers({"${HINT(1001@beta-hints)}": "PJSIP/2", "${HINT(1001@acme-hints)}": "PJSIP/1"})
    over_agi = DeviceChannelsOverAgi(answers, "default")
    assert finish(over_agi.devices_of(ACMES)).endpoints == ("PJSIP/1",)
    assert finish(over_agi.devices_of(BETAS)).endpoints == ("PJSIP/2",)


# ---- what is dialled ----------------------------------------------------------------------------------------


def test_the_same_digits_are_two_people() -> None:
    """Whom they mean depends on who dials."""
    policy = site()
    assert [policy.tenant_on(f"PJSIP/{number}", None) for number in (2001, 2002, 6666)] == ["acme", "beta", None]
    assert policy.agent_for("acme", "1001") == ACMES
    assert policy.agent_for("beta", "1001") == BETAS
    assert policy.agent_for(None, "1001") is None
    assert policy.agent_for("acme", "beta-1001") is None
    assert policy.agents_digits("1001", "beta") == "beta-1001"
    assert policy.agents_digits("beta-1001", "acme") is None
    assert policy.agents_digits("1001") == "1001"
    assert policy.agents_digits("47110815", "acme") is None
    assert policy.spoken_digits("beta-1001") == "1001"


@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize(
    ("endpoint", "person", "own"), [("PJSIP/2001", ACME, "1001"), ("PJSIP/2002", BETA, "beta-1001")]
)
def test_no_rule_reaches_across(endpoint: str, person: Supervisor, own: str, mode: Mode) -> None:
    """Not even one that says all; to the phone the other company's agent is unknown."""
    policy = site()
    identity = Identity(person.id, pin_id(person.pin_hash))
    for key in policy.agents:
        found = policy.permitted(endpoint, identity, key, mode)
        if key == own:
            assert isinstance(found, Permitted)
        else:
            assert isinstance(found, Refusal)
            assert found.reason is Reason.AGENT_UNKNOWN
        assert policy.possible(endpoint, identity, key, mode, known=NOTHING) == found


def test_the_rules_say_so_by_themselves() -> None:
    """Anyone who asks them without a policy gets the same answer, and explain says why."""
    refused = Refusal(Reason.MODE_DENIED, "the agent is of another tenant")
    assert decide((ALL,), ACME, BETAS, Mode.LISTEN) == refused
    assert decide((ALL,), ACME, ACMES, Mode.LISTEN) == Allowed("everybody")
    explanation = explain(site().rights, SpyAsk(ACME, BETAS, Mode.LISTEN))
    assert (explanation.verdict, explanation.near, explanation.missing) == (refused, (), ())


@given(
    st.sampled_from(["", "acme", "beta"]),
    st.sampled_from(["", "acme", "beta"]),
    st.sampled_from(list(Mode)),
    st.lists(st.sampled_from(["all", "leads", "anna", "1001", "sales", "_10XX"]), min_size=1, max_size=3),
)
def test_whatever_the_rules_name(whose: str, of: str, mode: Mode, names: list[str]) -> None:
    """A supervisor hears agents of the own tenant only."""
    rule = Rule("any", Effect.ALLOW, frozenset(Mode), frozenset({"all", *names}), frozenset(names), scan=True)
    supervisor, agent = replace(ACME, tenant=whose), replace(ACMES, tenant=of)
    if whose != of:
        assert isinstance(decide((rule,), supervisor, agent, mode), Refusal)


def test_a_pattern_fits_what_is_dialled() -> None:
    """The key of an agent may be a name."""
    pattern = replace(ALL, agents=frozenset({"_10XX"}))
    assert decide((pattern,), BETA, BETAS, Mode.LISTEN) == Allowed("everybody")
    assert pattern.names_agent(BETAS)
    assert not pattern.names_agent(replace(BETAS, dialled="2001"))


# ---- whose a device is --------------------------------------------------------------------------------------


def owner_refuses(live: LivePbx, *agents: Agent) -> Refusal | None:
    """What stands against acme's supervisor hearing acme's 1001 on the phone PJSIP/1001."""
    policy = site(*agents)
    allowed = lambda key: policy.permitted("PJSIP/2001", Identity(ACME.id, pin_id(ACME.pin_hash)), key, Mode.LISTEN)  # noqa: E731
    return other_owner_refuses(policy, live, "1001", SPYEE, allowed)


def test_a_phone_of_both_companies_is_heard_by_neither() -> None:
    """By the configuration; it may be a call of either."""
    shared = replace(ACMES, endpoints=("PJSIP/1001",)), replace(BETAS, endpoints=("PJSIP/1001",))
    assert owner_refuses(NoLivePbx(), *shared) == Refusal(
        Reason.AGENT_UNKNOWN, "PJSIP/1001 is also the phone of beta-1001: of the tenant beta"
    )


def test_a_login_of_the_other_company_keeps_everybody_out() -> None:
    """Also of one who is not an agent, at a phone that the configuration gives to this one."""
    own = replace(ACMES, endpoints=("PJSIP/1001",))
    assert owner_refuses(Live(logged_in="1001@acme"), own, BETAS) is None
    assert owner_refuses(Live(logged_in="1001"), own, BETAS) is None
    for text in ("1001@beta", "77@beta", "77@nobodys"):
        refused = owner_refuses(Live(logged_in=text), own, BETAS)
        assert refused is not None
        assert refused.detail == f"PJSIP/1001 is logged in in {text.partition('@')[2]}, which is of another tenant"


def test_hints_and_logins_find_the_agent_of_the_context() -> None:
    """And not the one of the same digits elsewhere."""
    policy = site()
    assert agents_at(policy, Live(logged_in="1001@beta"), "PJSIP/1001") == (BETAS,)
    assert agents_at(policy, Live(logged_in="1001@acme"), "PJSIP/1001") == (ACMES,)
    assert agents_at(policy, Live(logged_in="1001"), "PJSIP/1001") == ()
    assert agents_at(policy, Live(hinted="1001"), "PJSIP/1001") == ()


# ---- the story ----------------------------------------------------------------------------------------------


def desk(folder: Path, dialled: str = "*2221001") -> Desk:
    """Acme's supervisor at the phone 2001, and a call at PJSIP/1001."""
    found = Desk(folder, dialled)
    found.policy = site()
    return found


def test_each_hears_the_own_company(tmp_path: Path) -> None:
    """The digits are the same; records name who it was."""
    for context, expected in (("acme-hints", [("1001",)]), ("beta-hints", [])):
        (tmp_path / context).mkdir()
        one = desk(tmp_path / context)
        one.pbx.hints[f"1001@{context}"] = "PJSIP/1001"
        one.run()
        assert started(one, "extension") == expected
    (tmp_path / "beta").mkdir()
    other = Desk(tmp_path / "beta", channel="PJSIP/2002-00000001")
    other.policy = site()
    other.pbx.hints["1001@beta-hints"] = "PJSIP/1001"
    other.run()
    assert started(other, "extension") == [("beta-1001",)]


def test_the_other_companys_agent_sounds_like_nobody(tmp_path: Path) -> None:
    """And the record says whom the digits would have meant."""
    one = desk(tmp_path)
    one.policy = site(replace(ACMES, extension="1002"), replace(BETAS, extension="1001", dialled=""))
    one.run()
    assert one.spies == []
    assert refusals(one)[0] == "agent_unknown"
    assert one.recorded("extension", "detail")[0] == (None, "of the tenant beta")


def test_a_scan_stays_in_the_company(tmp_path: Path) -> None:
    """Both have a call; one is heard."""
    one = desk(tmp_path, "*222*")
    one.connect()
    one.policy = site(replace(ACMES, endpoints=("PJSIP/1001",)), replace(BETAS, endpoints=("PJSIP/1002",)))
    one.pbx.add_channel("PJSIP/1002-0000000c", "1700000000.5", bridge_peer="PJSIP/trunk-0000000d")
    one.pbx.add_channel("PJSIP/trunk-0000000d", "1700000000.6", bridge_peer="PJSIP/1002-0000000c")
    one.run()
    assert started(one, "extension", "spyee_uniqueid") == [("1001", SPYEE_UNIQUEID)]
