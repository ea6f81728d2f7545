"""Which rule allows or denies."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from agi_monitor.model import Agent, Direction, Mode, Reason, Refusal, Supervisor
from agi_monitor.rights.authorization import Allowed, Calls, Effect, Rights, Rule, SpyAsk, Terms, decide
from agi_monitor.rights.hours import When, dates, hours, zone

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
@pytest.mark.parametrize("agents", ["1001", "sales", "night", "all", "_10XX", "_1."])
def test_a_rule_names_people_in_several_ways(supervisors: str, agents: str) -> None:
    """A person is named by id or extension, by any of their groups, by ``all``, an agent also by a pattern."""
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
        ("anna", "_10X"),
        ("anna", "_20XX"),
        ("anna", "10XX"),
    ],
)
def test_a_rule_about_others_says_nothing(supervisors: str, agents: str) -> None:
    """Names are compared whole, and a supervisor's group is not a group of agents."""
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


# ---- conditions ----------------------------------------------------------------------------------------

DAY = When(zone("Europe/Berlin"), (hours("mon-fri 08:00-18:00"),))
MONDAY_NOON = datetime(2026, 11, 23, 11, tzinfo=UTC)
MONDAY_NIGHT = datetime(2026, 11, 23, 23, tzinfo=UTC)
LISTEN = frozenset({Mode.LISTEN})
NONE: frozenset[Mode] = frozenset()


def granting(**conditions: Any) -> Rule:
    """A rule that lets leads listen to sales."""
    return replace(rule("r", modes=LISTEN), **conditions)


def listening(**facts: Any) -> SpyAsk:
    """Anna wants to listen to Ben."""
    return SpyAsk(ANNA, BEN, **{"mode": Mode.LISTEN, **facts})


@pytest.mark.parametrize(
    ("conditions", "facts", "allowed", "denied"),
    [
        # the columns: what the rule says, what is known, does it allow when it allows, does it deny when it denies
        ({}, {}, True, True),
        ({"when": DAY}, {}, False, True),
        ({"when": DAY}, {"at": MONDAY_NOON}, True, True),
        ({"when": DAY}, {"at": MONDAY_NIGHT}, False, False),
        ({"when": replace(DAY, not_on=(dates("11-23"),))}, {"at": MONDAY_NOON}, False, False),
        ({"calls": Calls(frozenset({"Help"}))}, {}, False, True),
        ({"calls": Calls(frozenset({"Help"}))}, {"queue": "help"}, True, True),
        ({"calls": Calls(frozenset({"help"}))}, {"queue": "HELP"}, True, True),
        ({"calls": Calls(frozenset({"help", "sales"}))}, {"queue": "sales"}, True, True),
        ({"calls": Calls(frozenset({"help"}))}, {"queue": "help2"}, False, False),
        ({"calls": Calls(frozenset({"help"}))}, {"queue": ""}, False, False),
        ({"calls": Calls(direction=Direction.IN)}, {}, False, True),
        ({"calls": Calls(direction=Direction.IN)}, {"direction": Direction.IN}, True, True),
        ({"calls": Calls(direction=Direction.IN)}, {"direction": Direction.OUT}, False, False),
        ({"calls": Calls(frozenset({"a"}), Direction.IN)}, {"queue": "a", "direction": Direction.OUT}, False, False),
        # what is certain outweighs what is not known
        ({"calls": Calls(frozenset({"a"}), Direction.IN)}, {"queue": "b"}, False, False),
        ({"calls": Calls(frozenset({"a"}), Direction.IN)}, {"queue": "a"}, False, True),
        # the scan
        ({"modes": NONE, "scan": True}, {}, False, True),
        ({"modes": NONE, "scan": True}, {"scan": True}, True, True),
        ({"modes": NONE, "scan": True}, {"scan": False}, False, False),
        ({"modes": NONE, "scan": True}, {"scan": True, "mode": Mode.BARGE}, False, True),
        ({"modes": NONE, "scan": True}, {"scan": False, "mode": Mode.BARGE}, False, False),
        ({"modes": LISTEN, "scan": True}, {"scan": False}, True, True),
        ({"modes": LISTEN}, {"scan": True}, True, True),
        # terms; one that denies has none
        ({"terms": Terms(reason_required=True)}, {}, False, True),
        ({"terms": Terms(reason_required=True)}, {"reason": True}, True, True),
        ({"terms": Terms(reason_required=True)}, {"reason": False}, False, True),
        ({"terms": Terms(max_minutes=10)}, {}, False, True),
        ({"terms": Terms(max_minutes=10)}, {"heard_seconds": 599.9}, True, True),
        ({"terms": Terms(max_minutes=10)}, {"heard_seconds": 600.0}, False, True),
        ({"terms": Terms(max_minutes=10)}, {"heard_seconds": float("nan")}, False, True),
        ({"terms": Terms(max_listeners=2)}, {}, False, True),
        ({"terms": Terms(max_listeners=2)}, {"listeners": 1}, True, True),
        ({"terms": Terms(max_listeners=2)}, {"listeners": 2}, False, True),
    ],
)
def test_decides_by_conditions(
    conditions: dict[str, Any], facts: dict[str, Any], allowed: bool, denied: bool
) -> None:
    """What is not known does not allow, and does deny."""
    always = rule("always")
    asked = listening(**facts)
    assert isinstance(Rights([granting(**conditions)]).decide(asked), Allowed) is allowed
    denying = granting(**conditions, effect=Effect.DENY)
    assert isinstance(Rights([always, denying]).decide(asked), Refusal) is denied


@pytest.mark.parametrize(
    ("rules", "facts", "detail"),
    [
        ([granting(when=DAY)], {"at": MONDAY_NIGHT}, "no rule allows it; rule r: not at this hour"),
        ([granting(when=DAY)], {}, "no rule allows it; rule r: the time is not known"),
        ([granting(when=DAY)], {"mode": Mode.BARGE}, "no rule allows it"),
        (
            [granting(calls=Calls(frozenset({"a"}), Direction.IN))],
            {"queue": "b"},
            "no rule allows it; rule r: the call is of another queue, or of none",
        ),
        (
            [rule("yes"), granting(name="no", effect=Effect.DENY, calls=Calls(frozenset({"a"})))],
            {},
            "rule no: the queue of the call is not known",
        ),
        ([rule("yes"), granting(name="no", effect=Effect.DENY, when=DAY)], {"at": MONDAY_NOON}, "rule no"),
        ([granting(modes=NONE, scan=True)], {"scan": False}, "no rule allows it; rule r: it is about the scan only"),
    ],
)
def test_a_refusal_says_why(rules: list[Rule], facts: dict[str, Any], detail: str) -> None:
    """For the audit: the rule that denied, or the one that nearly allowed."""
    assert Rights(rules).decide(listening(**facts)) == Refusal(Reason.MODE_DENIED, detail)


@pytest.mark.parametrize(
    ("terms", "facts", "reason"),
    [
        (Terms(True), {"reason": False}, Reason.REASON_MISSING),
        (Terms(True), {}, Reason.MODE_DENIED),
        (Terms(max_minutes=1), {"heard_seconds": 60}, Reason.TIME_IS_UP),
        (Terms(True, max_minutes=1), {"heard_seconds": 60}, Reason.TIME_IS_UP),
        (Terms(True, max_minutes=1), {"heard_seconds": 60, "reason": False}, Reason.TIME_IS_UP),
        (Terms(max_listeners=1), {"listeners": 1}, Reason.TOO_MANY_LISTENERS),
        (Terms(True, 1, 1), {"reason": False, "heard_seconds": 60, "listeners": 1}, Reason.TIME_IS_UP),
        # a reason alone would not help
        (Terms(True, max_listeners=1), {"reason": False}, Reason.MODE_DENIED),
    ],
)
def test_whoever_only_lacks_the_terms_is_told_which(terms: Terms, facts: dict[str, Any], reason: Reason) -> None:
    """The reason says what the supervisor can do about it; a rule that does not apply for anything else says no."""
    refused = Rights([granting(when=DAY), granting(name="near", terms=terms)]).decide(listening(**facts))
    assert isinstance(refused, Refusal)
    assert refused.reason is reason
    elsewhere = Rights([granting(when=DAY, terms=terms)]).decide(listening(**facts, at=MONDAY_NIGHT))
    assert isinstance(elsewhere, Refusal)
    assert elsewhere.reason is Reason.MODE_DENIED


def test_a_reason_is_asked_for_where_it_alone_helps() -> None:
    """Whatever stands against the other rules: with a reason this one allows."""
    rights = Rights([granting(terms=Terms(max_minutes=1)), granting(name="why", terms=Terms(True))])
    asked = {"heard_seconds": 60.0, "at": MONDAY_NOON}
    refused = rights.decide(listening(**asked, reason=False))
    assert refused == Refusal(Reason.REASON_MISSING, "no rule allows it; rule why: no reason was given")
    assert rights.decide(listening(**asked, reason=True)) == Allowed("why")


def test_rules_that_allow_add_up() -> None:
    """Where one no longer applies, another one may."""
    rights = Rights([granting(name="short", terms=Terms(max_minutes=1)), granting(name="by-day", when=DAY)])
    assert rights.decide(listening(heard_seconds=0.0, at=MONDAY_NIGHT)) == Allowed("short")
    assert rights.decide(listening(heard_seconds=60.0, at=MONDAY_NOON)) == Allowed("by-day")
    assert isinstance(rights.decide(listening(heard_seconds=60.0, at=MONDAY_NIGHT)), Refusal)


def test_whoever_knows_only_the_people_meets_no_condition() -> None:
    """A caller that tells nothing of the call, the time or the terms is refused wherever that matters."""
    denying = granting(name="no", effect=Effect.DENY, calls=Calls(frozenset({"help"})))
    assert isinstance(decide([granting(when=DAY)], ANNA, BEN, Mode.LISTEN), Refusal)
    assert isinstance(decide([rule("yes"), denying], ANNA, BEN, Mode.LISTEN), Refusal)
    assert decide([granting(when=DAY), rule("yes")], ANNA, BEN, Mode.LISTEN) == Allowed("yes")


@pytest.mark.parametrize(
    ("rules", "depend"),
    [
        ([], False),
        ([rule("a"), granting(calls=Calls(frozenset({"a"})), terms=Terms(True, None, 2))], False),
        ([rule("a"), granting(when=DAY)], True),
        ([rule("a"), granting(effect=Effect.DENY, when=DAY)], True),
        ([granting(terms=Terms(max_minutes=3))], True),
    ],
)
def test_tells_whether_time_may_take_a_right_away(rules: list[Rule], depend: bool) -> None:
    """Hours, dates and minutes do; nothing else does by itself."""
    assert Rights(rules).depend_on_time is depend
