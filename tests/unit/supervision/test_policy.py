"""Who may do what: people, agents, rules and notices, asked at every decision."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from agi_monitor.model import Agent, Identity, Mode, Reason, Refusal, Supervisor
from agi_monitor.pins.records import make_hash
from agi_monitor.supervision.policy import Notice, Permitted
from tests.doubles.desk import AGENTS, ANNA, ANNA_HERE, BERT, BERT_HERE, PIN, POLICY


def test_permits_what_a_rule_allows() -> None:
    """With the person, the agent and the name of the rule."""
    assert POLICY.permitted("PJSIP/2001", ANNA_HERE, "1001", Mode.TAKE_OVER) == Permitted(
        ANNA, AGENTS[0], "leads-supervise", ANNA.endpoints
    )


@pytest.mark.parametrize(
    ("endpoint", "who", "extension", "mode", "reason"),
    [
        ("PJSIP/2001", ANNA_HERE, "5555", Mode.LISTEN, Reason.AGENT_UNKNOWN),
        ("PJSIP/2001", ANNA_HERE, "1003", Mode.LISTEN, Reason.MODE_DENIED),
        ("PJSIP/2002", BERT_HERE, "1001", Mode.WHISPER, Reason.MODE_DENIED),
        ("PJSIP/2001", BERT_HERE, "1001", Mode.LISTEN, Reason.IDENTITY_CHANGED),
        ("PJSIP/2001", None, "1001", Mode.LISTEN, Reason.IDENTITY_CHANGED),
        ("PJSIP/2001", Identity("anna", ""), "1001", Mode.LISTEN, Reason.IDENTITY_CHANGED),
        ("PJSIP/6666", ANNA_HERE, "1001", Mode.LISTEN, Reason.IDENTITY_CHANGED),
        ("", Identity("", ""), "", Mode.LISTEN, Reason.IDENTITY_CHANGED),
    ],
)
def test_permits_nothing_else(
    endpoint: str, who: Identity | None, extension: str, mode: Mode, reason: Reason
) -> None:
    """No agent, no rule, another's phone, an unknown PIN, an unassigned phone."""
    found = POLICY.permitted(endpoint, who, extension, mode)
    assert isinstance(found, Refusal)
    assert found.reason is reason


def test_somebody_elses_phone_now_is_nobodys_right() -> None:
    """The phone was given to another supervisor after the PIN."""
    policy = replace(POLICY, supervisors={"PJSIP/2001": BERT})
    found = policy.permitted("PJSIP/2001", ANNA_HERE, "1001", Mode.LISTEN)
    assert found == Refusal(Reason.IDENTITY_CHANGED, "the phone is assigned to another supervisor")


@pytest.mark.parametrize(
    ("anna", "detail"),
    [
        (replace(ANNA, pin_hash=make_hash("73946182")), "the PIN was changed"),
        (replace(ANNA, pin_hash=make_hash(PIN)), "the PIN was changed"),
        (replace(ANNA, pin_hash=None), "the PIN was changed"),
    ],
    ids=["another", "the-same-digits", "taken-away"],
)
def test_another_pin_is_another_identity(anna: Supervisor, detail: str) -> None:
    """Whenever it was made: the time of both is the same."""
    policy = replace(POLICY, supervisors={"PJSIP/2001": anna})
    found = policy.permitted("PJSIP/2001", ANNA_HERE, "1001", Mode.LISTEN)
    assert found == Refusal(Reason.IDENTITY_CHANGED, detail)


@pytest.mark.parametrize(
    "changes",
    [{"pin_set": 1.0}, {"pin_must_change": True}, {"groups": frozenset({"leads", "new"})}, {"language": "de"}],
)
def test_what_else_changes_of_a_supervisor_leaves_the_identity(changes: dict[str, Any]) -> None:
    """The time of a PIN says nothing of which it is."""
    policy = replace(POLICY, supervisors={"PJSIP/2001": replace(ANNA, **changes)})
    assert isinstance(policy.permitted("PJSIP/2001", ANNA_HERE, "1001", Mode.LISTEN), Permitted)


@pytest.mark.parametrize(("digits", "kept"), [("1001", "1001"), ("47110815", None), ("", None), (None, None)])
def test_keeps_only_an_agents_digits(digits: str | None, kept: str | None) -> None:
    """Anything else might be a PIN."""
    assert POLICY.agents_digits(digits) == kept


@pytest.mark.parametrize(
    ("agents", "concerned"),
    [
        ({"all"}, {"1001", "1003", "1009"}),
        ({"sales"}, {"1001", "1003"}),
        ({"1003"}, {"1003"}),
        ({"protected", "1009"}, {"1003", "1009"}),
        ({"nobody"}, set()),
        (set(), set()),
    ],
)
def test_a_notice_concerns_agents(agents: set[str], concerned: set[str]) -> None:
    """By group, by extension, or all of them."""
    people = (AGENTS[0], AGENTS[2], Agent("1009", frozenset()))
    notice = Notice(frozenset({Mode.LISTEN}), frozenset(agents))
    assert {agent.extension for agent in people if notice.concerns(agent, Mode.LISTEN)} == concerned


@pytest.mark.parametrize("mode", Mode)
def test_a_notice_concerns_modes(mode: Mode) -> None:
    """Before whispering perhaps, but not before listening."""
    notice = Notice(frozenset({Mode.WHISPER, Mode.BARGE}), frozenset({"all"}))
    assert notice.concerns(AGENTS[0], mode) is (mode in (Mode.WHISPER, Mode.BARGE))
