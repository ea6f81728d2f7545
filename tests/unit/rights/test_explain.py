"""An explanation says what is decided, and leaves out no rule about the supervisor and the agent."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from agi_monitor.model import Agent, Direction, Mode, Refusal, Supervisor
from agi_monitor.rights.authorization import Allowed, Calls, Effect, Obstacle, Rights, Rule, SpyAsk, Standing
from agi_monitor.rights.explain import explain, lines, record
from agi_monitor.rights.hours import When, hours, zone
from tests.doubles.drawn_rules import requests, rules

ANNA = Supervisor("anna", frozenset({"PJSIP/2001"}), frozenset({"leads"}), "")
BEN = Agent("1001", frozenset({"sales"}))
LEADS, SALES, ALL = frozenset({"leads"}), frozenset({"sales"}), frozenset({"all"})

RULES = (
    Rule("others", Effect.ALLOW, frozenset(Mode), frozenset({"bert"}), ALL),
    Rule("barge", Effect.ALLOW, frozenset({Mode.BARGE}), LEADS, SALES),
    Rule(
        "by-day",
        Effect.ALLOW,
        frozenset(Mode),
        LEADS,
        SALES,
        when=When(zone("Europe/Berlin"), (hours("08:00-18:00"),)),
    ),
    Rule("helpline", Effect.DENY, frozenset(Mode), ALL, ALL, calls=Calls(frozenset({"helpline"}))),
)
RIGHTS = Rights(RULES)
NOON = datetime(2026, 12, 1, 11, tzinfo=UTC)
NIGHT = datetime(2026, 12, 1, 23, tzinfo=UTC)


@given(st.lists(rules, max_size=8), requests)
def test_agrees_with_the_decision(permissions: list[Rule], request: SpyAsk) -> None:
    """The same verdict in the same words, and the rule that it names is among those that were near."""
    rights = Rights(permissions)
    explanation = explain(rights, request)
    assert explanation.verdict == rights.decide(request)
    assert explanation.by is None or any(one.rule is explanation.by for one in explanation.near)
    if isinstance(explanation.verdict, Allowed):
        assert explanation.by is not None
        assert explanation.by.name == explanation.verdict.rule


@given(st.lists(rules, max_size=8), requests)
def test_something_is_missing_when_it_depends(permissions: list[Rule], request: SpyAsk) -> None:
    """What would have to be known is named exactly when it may come to be allowed and is not."""
    rights = Rights(permissions)
    depends = isinstance(rights.decide(request), Refusal) and isinstance(rights.possible(request), Allowed)
    assert bool(explain(rights, request).missing) is depends


@given(st.lists(rules, max_size=8), requests)
def test_every_near_rule_is_there_with_its_standing(permissions: list[Rule], request: SpyAsk) -> None:
    """In the order of the file; the others are not about these two."""
    near = explain(Rights(permissions), request).near
    about = [
        rule for rule in permissions if rule.names_supervisor(request.supervisor) and rule.names_agent(request.agent)
    ]
    assert [one.rule for one in near] == about
    assert [one.standing for one in near] == [rule.standing(request) for rule in about]


@given(st.lists(rules, max_size=4), requests)
def test_can_be_told_to_people_and_machines(permissions: list[Rule], request: SpyAsk) -> None:
    """One line a rule at least, and plain JSON."""
    explanation = explain(Rights(permissions), request)
    told = "\n".join(lines(explanation))
    assert all(one.rule.name in told for one in explanation.near)
    again = json.loads(json.dumps(record(explanation)))
    assert again["allowed"] is isinstance(explanation.verdict, Allowed)
    assert [one["rule"] for one in again["near"]] == [one.rule.name for one in explanation.near]


def test_tells_an_allowed_request() -> None:
    """The rule that allows, and why the others do not matter."""
    found = explain(RIGHTS, SpyAsk(ANNA, BEN, Mode.LISTEN, at=NOON, queue="sales"))
    assert list(lines(found)) == [
        "anna, listen, 1001: allowed by rule by-day",
        "Rules about them:",
        "  allow  barge: does not apply: it is about other modes",
        "  allow  by-day: applies",
        "  deny   helpline: does not apply: the call is of another queue, or of none",
    ]


def test_tells_a_denied_request() -> None:
    """The rule that nearly allowed, and why it did not."""
    found = explain(RIGHTS, SpyAsk(ANNA, BEN, Mode.LISTEN, at=NIGHT, queue=""))
    assert next(lines(found)) == "anna, listen, 1001: denied: no rule allows it; rule by-day: not at this hour"
    assert found.by is None
    assert found.missing == ()


def test_tells_what_it_depends_on() -> None:
    """Where the queue is not known, the deny about a queue denies, and the explanation says so."""
    found = explain(RIGHTS, SpyAsk(ANNA, BEN, Mode.LISTEN, at=NOON))
    assert list(lines(found))[:2] == [
        "anna, listen, 1001: it depends: rule helpline: the queue of the call is not known",
        "Denied as long as this is so: the queue of the call is not known.",
    ]
    assert list(lines(found))[-1] == "  deny   helpline: denies, because the queue of the call is not known"
    assert found.missing == (Obstacle.QUEUE_UNKNOWN,)


def test_tells_people_whom_no_rule_is_about() -> None:
    """There is nothing to list."""
    found = explain(Rights([RULES[0]]), SpyAsk(ANNA, BEN, Mode.LISTEN))
    assert list(lines(found)) == ["anna, listen, 1001: denied: no rule allows it"]


def test_the_record_has_the_request_and_the_rules() -> None:
    """Everything that a machine needs to ask the same again."""
    found = record(explain(RIGHTS, SpyAsk(ANNA, BEN, Mode.BARGE, at=NOON, queue="helpline", listeners=0)))
    assert (found["allowed"], found["rule"], found["reason"]) == (False, "helpline", "mode_denied")
    assert found["detail"] == "rule helpline"
    assert found["request"] == {
        "supervisor": "anna",
        "mode": "barge",
        "agent": "1001",
        "scan": None,
        "at": "2026-12-01T11:00:00+00:00",
        "queue": "helpline",
        "direction": None,
        "reason": None,
        "listeners": 0,
        "heard_seconds": None,
    }
    assert found["near"][0] == {
        "rule": "barge",
        "effect": "allow",
        "standing": Standing.APPLIES,
        "obstacles": [],
    }


def test_what_other_rules_would_need_is_not_missing() -> None:
    """Where one rule allows already, only what may deny it is asked for."""
    unsure = Rule("unsure", Effect.ALLOW, frozenset(Mode), LEADS, SALES, calls=Calls(direction=Direction.IN))
    found = explain(Rights([*RULES, unsure]), SpyAsk(ANNA, BEN, Mode.LISTEN, at=NOON))
    assert found.missing == (Obstacle.QUEUE_UNKNOWN,)
    night = explain(Rights([*RULES, unsure]), SpyAsk(ANNA, BEN, Mode.LISTEN, at=NIGHT))
    assert night.missing == (Obstacle.QUEUE_UNKNOWN, Obstacle.DIRECTION_UNKNOWN)
