"""Which rule allows or denies."""

from __future__ import annotations

import pytest

from agi_monitor.model import Agent, Mode, Reason, Refusal, Supervisor
from agi_monitor.supervision.authorization import Allowed, Effect, Rule, decide

ANNA = Supervisor("anna", frozenset({"PJSIP/2001"}), frozenset({"leads", "evening"}), "")
BEN = Agent("1001", frozenset({"sales", "night"}))


def rule(
    name: str,
    effect: Effect = Effect.ALLOW,
    modes: frozenset[Mode] = frozenset(Mode),
    supervisors: str = "leads",
    agents: str = "sales",
) -> Rule:
    """A rule about one group of each kind."""
    return Rule(name, effect, modes, frozenset({supervisors}), frozenset({agents}))


@pytest.mark.parametrize("supervisors", ["anna", "leads", "evening", "all"])
@pytest.mark.parametrize("agents", ["1001", "sales", "night", "all"])
def test_a_rule_names_people_in_three_ways(supervisors: str, agents: str) -> None:
    """A person is named by id or extension, by any of their groups, or by ``all``."""
    assert decide([rule("r", supervisors=supervisors, agents=agents)], ANNA, BEN, Mode.LISTEN) == Allowed("r")


@pytest.mark.parametrize(
    ("supervisors", "agents"),
    [
        ("ann", "1001"),
        ("annas", "1001"),
        ("Anna", "1001"),
        ("lead", "1001"),
        ("sales", "1001"),
        ("1001", "1001"),
        ("PJSIP/2001", "1001"),
        ("anna", "100"),
        ("anna", "10011"),
        ("anna", "leads"),
        ("anna", "anna"),
    ],
)
def test_a_rule_about_others_says_nothing(supervisors: str, agents: str) -> None:
    """Names are compared whole, and a supervisor's group is no group of agents."""
    rules = [rule("r", supervisors=supervisors, agents=agents)]
    assert decide(rules, ANNA, BEN, Mode.LISTEN) == Refusal(Reason.MODE_DENIED, "no rule allows it")


@pytest.mark.parametrize("mode", Mode)
def test_a_mode_allows_no_other(mode: Mode) -> None:
    """The right to one mode is the right to no other, not even to a quieter one."""
    rules = [rule("r", modes=frozenset({mode}))]
    assert [asked for asked in Mode if isinstance(decide(rules, ANNA, BEN, asked), Allowed)] == [mode]


def test_tells_the_first_rule_that_allows() -> None:
    """The audit names the first of several allowing rules."""
    assert decide([rule("first"), rule("second")], ANNA, BEN, Mode.LISTEN) == Allowed("first")


def test_tells_the_rule_that_denies() -> None:
    """A refusal says which rule denied, for the administrator."""
    rules = [rule("yes"), rule("no", Effect.DENY)]
    assert decide(rules, ANNA, BEN, Mode.LISTEN) == Refusal(Reason.MODE_DENIED, "rule no")


def test_a_deny_holds_for_its_modes_only() -> None:
    """Who may not barge may still listen."""
    rules = [rule("yes"), rule("no-barge", Effect.DENY, frozenset({Mode.BARGE}))]
    assert decide(rules, ANNA, BEN, Mode.LISTEN) == Allowed("yes")
    assert decide(rules, ANNA, BEN, Mode.BARGE) == Refusal(Reason.MODE_DENIED, "rule no-barge")
