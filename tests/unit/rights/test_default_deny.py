"""Nothing is allowed unless a rule says so, whatever else the rules say."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields, replace
from datetime import datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from agi_monitor.model import Agent, Mode, Refusal, Supervisor
from agi_monitor.rights.authorization import Allowed, Effect, Rights, Rule, SpyAsk, decide
from agi_monitor.rights.hours import Dates, When
from tests.doubles.drawn_rules import agents, modes, plain_rules, requests, rules, supervisors

PATTERNS = {"_10XX": "10", "_1.": "1", "_ZNX2": "no", "_2X": "no"}
"""How the extensions begin that are drawn and that each pattern fits."""

FACTS = ("scan", "at", "queue", "direction", "reason", "listeners", "heard_seconds")


# ---- the meaning of a rule, written a second time ------------------------------------------------------


def names(rule: Rule, supervisor: Supervisor, agent: Agent) -> bool:
    """Whether the rule is about these two."""
    patterns = [name for name in rule.agents if name in PATTERNS]
    return any(name in rule.supervisors for name in ("all", supervisor.id, *supervisor.groups)) and (
        any(name in rule.agents for name in ("all", agent.extension, *agent.groups))
        or any(agent.extension.startswith(PATTERNS[name]) for name in patterns)
    )


def speaks_of(rule: Rule, supervisor: Supervisor, agent: Agent, mode: Mode) -> bool:
    """Whether a rule without a condition is about exactly this."""
    return mode in rule.modes and names(rule, supervisor, agent)


def covers(dates: Iterable[Dates], day: datetime) -> bool:
    """Whether the day is among dates that do not go past New Year."""
    return any(one.first <= (day.year, day.month, day.day)[-len(one.first) :] <= one.last for one in dates)


def holds(when: When, at: datetime) -> bool:
    """Whether the rule holds now: every hour that begins yesterday or today is written out."""
    local = at.astimezone(when.zone).replace(tzinfo=None)
    for days_ago in (0, 1):
        midnight = local.replace(hour=0, minute=0) - timedelta(days=days_ago)
        if covers(when.not_on, midnight) or (when.dates and not covers(when.dates, midnight)):
            continue
        if not when.hours and days_ago == 0:
            return True
        for hours in when.hours:
            begin, end = (midnight + timedelta(minutes=minutes) for minutes in (hours.begin, hours.end))
            end += timedelta(days=1) if hours.end <= hours.begin else timedelta()
            if midnight.weekday() in hours.days and begin <= local < end:
                return True
    return False


def applies(rule: Rule, request: SpyAsk, *, unknown: bool) -> bool:
    """Whether a rule applies to a request.

    Parameters:
        rule: one about the supervisor and the agent.
        request: what is asked.
        unknown: the answer to whatever is not known of it.
    """

    def known(fact: object, answer: bool) -> bool:
        return unknown if fact is None else answer

    allows, mode = rule.effect is Effect.ALLOW, request.mode
    scanned = rule.scan and (not allows or mode is Mode.LISTEN) and known(request.scan, request.scan is True)
    right = [mode in rule.modes or scanned]
    if rule.when is not None:
        right.append(known(request.at, request.at is not None and holds(rule.when, request.at)))
    if rule.calls is not None and rule.calls.queues:
        queues = {queue.lower() for queue in rule.calls.queues}
        right.append(known(request.queue, str(request.queue).lower() in queues))
    if rule.calls is not None and rule.calls.direction is not None:
        right.append(known(request.direction, request.direction == rule.calls.direction))
    if allows and rule.terms is not None:
        if rule.terms.reason_required:
            right.append(known(request.reason, request.reason is True))
        if rule.terms.max_minutes is not None:
            right.append(known(request.heard_seconds, (request.heard_seconds or 0) < rule.terms.max_minutes * 60))
        if rule.terms.max_listeners is not None:
            right.append(known(request.listeners, (request.listeners or 0) + 1 <= rule.terms.max_listeners))
    return all(right)


# ---- rules without conditions --------------------------------------------------------------------------


@given(supervisors, agents, modes)
def test_no_rules_allow_nothing(supervisor: Supervisor, agent: Agent, mode: Mode) -> None:
    """An empty list of rules refuses everybody everything."""
    assert isinstance(decide([], supervisor, agent, mode), Refusal)


@given(st.lists(plain_rules, max_size=6), supervisors, agents, modes)
def test_allowed_only_by_a_rule_and_against_none(
    permissions: list[Rule], supervisor: Supervisor, agent: Agent, mode: Mode
) -> None:
    """A yes needs an allow that names supervisor, agent and mode, and no deny that does."""
    concerned = [rule for rule in permissions if speaks_of(rule, supervisor, agent, mode)]
    allows = [rule.name for rule in concerned if rule.effect is Effect.ALLOW]
    denies = [rule for rule in concerned if rule.effect is Effect.DENY]

    verdict = decide(permissions, supervisor, agent, mode)

    assert verdict == Rights(permissions).decide(SpyAsk(supervisor, agent, mode))
    if allows and not denies:
        assert verdict == Allowed(allows[0])
    else:
        assert isinstance(verdict, Refusal)


# ---- rules of every kind -------------------------------------------------------------------------------


@given(st.lists(rules, max_size=6), requests)
def test_allowed_only_by_a_rule_whose_conditions_are_met(permissions: list[Rule], request: SpyAsk) -> None:
    """What is not known of a request never allows, and never keeps a deny from denying."""
    near = [rule for rule in permissions if names(rule, request.supervisor, request.agent)]
    allows = [rule for rule in near if rule.effect is Effect.ALLOW and applies(rule, request, unknown=False)]
    denies = [rule for rule in near if rule.effect is Effect.DENY and applies(rule, request, unknown=True)]

    verdict = Rights(permissions).decide(request)

    if allows and not denies:
        assert verdict == Allowed(allows[0].name)
    else:
        assert isinstance(verdict, Refusal)
        assert verdict.detail.startswith(f"rule {denies[0].name}" if denies else "no rule allows it")


@given(st.lists(rules, max_size=6), requests)
def test_possible_is_what_the_unknown_may_bring(permissions: list[Rule], request: SpyAsk) -> None:
    """It looks at what is not known with the other eye, and refuses nothing that is allowed."""
    rights = Rights(permissions)
    near = [rule for rule in permissions if names(rule, request.supervisor, request.agent)]
    allows = [rule for rule in near if rule.effect is Effect.ALLOW and applies(rule, request, unknown=True)]
    denies = [rule for rule in near if rule.effect is Effect.DENY and applies(rule, request, unknown=False)]

    possible = rights.possible(request)

    assert possible == Allowed(allows[0].name) if allows and not denies else isinstance(possible, Refusal)
    if isinstance(rights.decide(request), Allowed):
        assert isinstance(possible, Allowed)


@given(st.lists(rules, max_size=6), requests, st.sets(st.sampled_from(FACTS)))
def test_knowing_less_never_allows(permissions: list[Rule], request: SpyAsk, forgotten: set[str]) -> None:
    """Anyone who is refused with all facts is refused without some of them."""
    rights = Rights(permissions)
    unknown: dict[str, Any] = dict.fromkeys(forgotten)
    less = replace(request, **unknown)
    if isinstance(rights.decide(less), Allowed):
        assert isinstance(rights.decide(request), Allowed)


def test_every_fact_may_be_forgotten() -> None:
    """A fact that is added to a request is added to the test above."""
    assert [field.name for field in fields(SpyAsk) if field.default is None] == list(FACTS)


@given(st.lists(rules, max_size=6).flatmap(lambda some: st.tuples(st.just(some), st.permutations(some))), requests)
def test_the_order_of_the_rules_allows_nothing(orders: tuple[list[Rule], list[Rule]], request: SpyAsk) -> None:
    """Deny beats allow wherever it stands."""
    one, other = (isinstance(Rights(order).decide(request), Allowed) for order in orders)
    assert one is other


@given(st.lists(rules, max_size=6), rules, st.integers(0, 6), requests)
def test_one_more_deny_never_allows(permissions: list[Rule], added: Rule, place: int, request: SpyAsk) -> None:
    """Anyone who was refused is refused with one more deny as well."""
    deny = replace(added, effect=Effect.DENY)
    before = Rights(permissions).decide(request)
    after = Rights([*permissions[:place], deny, *permissions[place:]]).decide(request)
    assert not (isinstance(before, Refusal) and isinstance(after, Allowed))


@given(st.lists(rules, max_size=6), requests)
def test_a_deny_that_names_them_lets_nobody_through(permissions: list[Rule], request: SpyAsk) -> None:
    """Whatever the other rules are, and wherever it stands among them."""
    deny = Rule(
        "no",
        Effect.DENY,
        frozenset({request.mode}),
        frozenset({request.supervisor.id}),
        frozenset({request.agent.extension}),
    )
    for place in range(len(permissions) + 1):
        verdict = Rights([*permissions[:place], deny, *permissions[place:]]).decide(request)
        assert isinstance(verdict, Refusal)
