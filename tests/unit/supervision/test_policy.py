"""Who may do what: people, agents, rules and notices, asked at every decision."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agi_monitor.model import Agent, Mode, Reason, Refusal
from agi_monitor.supervision.policy import Notice, Permitted
from tests.doubles.desk import AGENTS, ANNA, BERT, POLICY


def test_permits_what_a_rule_allows() -> None:
    """With the person, the agent and the name of the rule."""
    assert POLICY.permitted("PJSIP/2001", "anna", "1001", Mode.TAKE_OVER) == Permitted(
        ANNA, AGENTS[0], "leads-supervise"
    )


@pytest.mark.parametrize(
    ("endpoint", "who", "extension", "mode", "reason"),
    [
        ("PJSIP/2001", "anna", "5555", Mode.LISTEN, Reason.AGENT_UNKNOWN),
        ("PJSIP/2001", "anna", "1003", Mode.LISTEN, Reason.MODE_DENIED),
        ("PJSIP/2002", "bert", "1001", Mode.WHISPER, Reason.MODE_DENIED),
        ("PJSIP/2001", "bert", "1001", Mode.LISTEN, Reason.MODE_DENIED),
        ("PJSIP/2001", None, "1001", Mode.LISTEN, Reason.MODE_DENIED),
        ("PJSIP/6666", "anna", "1001", Mode.LISTEN, Reason.MODE_DENIED),
        ("", "", "", Mode.LISTEN, Reason.MODE_DENIED),
    ],
)
def test_permits_nothing_else(endpoint: str, who: str | None, extension: str, mode: Mode, reason: Reason) -> None:
    """No agent, no rule, somebody else's phone, nobody's PIN, nobody's phone."""
    found = POLICY.permitted(endpoint, who, extension, mode)
    assert isinstance(found, Refusal)
    assert found.reason is reason


def test_somebody_elses_phone_now_is_nobodys_right() -> None:
    """The phone was given to another supervisor after the PIN."""
    policy = replace(POLICY, supervisors={"PJSIP/2001": BERT})
    found = policy.permitted("PJSIP/2001", "anna", "1001", Mode.LISTEN)
    assert found == Refusal(Reason.MODE_DENIED, "the supervisor is no longer configured")


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
