"""May this supervisor use this mode on this agent, and which rule says so.

Deny beats allow; nothing without a rule. What is not known about a request counts against it: a rule that allows
does not allow then, and one that denies does deny.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from agi_monitor.model import Agent, Direction, Mode, Reason, Refusal, Supervisor
from agi_monitor.rights.hours import Timing, When
from agi_monitor.rights.patterns import PatternTable, fits, is_pattern

ALL = "all"
"""In a rule: every supervisor, or every agent."""


class Effect(StrEnum):
    """What a rule does with the modes it names."""

    ALLOW = "allow"
    DENY = "deny"


class Obstacle(StrEnum):
    """Why a rule about this supervisor and this agent does not apply, or why that is not known."""

    OTHER_MODE = "other_mode"
    NO_SCAN = "no_scan"
    OTHER_HOUR = "other_hour"
    OTHER_DATE = "other_date"
    OTHER_QUEUE = "other_queue"
    OTHER_DIRECTION = "other_direction"
    NO_REASON = "no_reason"
    TIME_IS_UP = "time_is_up"
    TOO_MANY_LISTENERS = "too_many_listeners"
    SCAN_UNKNOWN = "scan_unknown"
    TIME_UNKNOWN = "time_unknown"
    QUEUE_UNKNOWN = "queue_unknown"
    DIRECTION_UNKNOWN = "direction_unknown"
    REASON_UNKNOWN = "reason_unknown"
    DURATION_UNKNOWN = "duration_unknown"
    LISTENERS_UNKNOWN = "listeners_unknown"


WORDS: Mapping[Obstacle, str] = {
    Obstacle.OTHER_MODE: "it is about other modes",
    Obstacle.NO_SCAN: "it is about the scan only",
    Obstacle.OTHER_HOUR: "not at this hour",
    Obstacle.OTHER_DATE: "not on this date",
    Obstacle.OTHER_QUEUE: "the call is of another queue, or of none",
    Obstacle.OTHER_DIRECTION: "the call goes the other way",
    Obstacle.NO_REASON: "no reason was given",
    Obstacle.TIME_IS_UP: "the time for one call is up",
    Obstacle.TOO_MANY_LISTENERS: "as many as may hear the call already",
    Obstacle.SCAN_UNKNOWN: "whether it is a scan is not known",
    Obstacle.TIME_UNKNOWN: "the time is not known",
    Obstacle.QUEUE_UNKNOWN: "the queue of the call is not known",
    Obstacle.DIRECTION_UNKNOWN: "the direction of the call is not known",
    Obstacle.REASON_UNKNOWN: "whether there is a reason is not known",
    Obstacle.DURATION_UNKNOWN: "how long the call was heard already is not known",
    Obstacle.LISTENERS_UNKNOWN: "how many hear the call already is not known",
}
"""For the audit and the administrator."""

UNKNOWN = frozenset(obstacle for obstacle in Obstacle if obstacle.endswith("_unknown"))
"""If these are the only obstacles, it is not known whether a rule applies."""


class Standing(StrEnum):
    """Whether a rule applies to a request."""

    APPLIES = "applies"
    UNKNOWN = "unknown"
    """It may; something about the request is not known."""
    DOES_NOT = "does_not"


@dataclass(frozen=True, slots=True)
class SpyAsk:
    """What is asked, and what is known about it. None means not known.

    Parameters:
        supervisor: who asks.
        agent: whose call.
        mode: the mode of the spy.
        scan: whether the scan reached this agent, rather than the supervisor's own choice.
        at: when, with its offset.
        queue: that gave the call to the agent; empty for a call of no queue.
        direction: of the call, as the agent sees it.
        reason: whether the supervisor gave a reason.
        listeners: how many others already hear the call.
        heard_seconds: how long this supervisor has been hearing this call; 0 at the start.
    """

    supervisor: Supervisor
    agent: Agent
    mode: Mode
    scan: bool | None = None
    at: datetime | None = None
    queue: str | None = None
    direction: Direction | None = None
    reason: bool | None = None
    listeners: int | None = None
    heard_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Calls:
    """Which calls a rule speaks of.

    Parameters:
        queues: that gave the call to the agent; none means all calls.
        direction: as the agent sees it; None for both.
    """

    queues: frozenset[str] = frozenset()
    direction: Direction | None = None


@dataclass(frozen=True, slots=True)
class Terms:
    """On which terms a rule allows.

    Parameters:
        reason_required: whether the supervisor must give a reason.
        max_minutes: how long one supervisor may hear one call; None for no limit.
        max_listeners: how many may hear one call, this supervisor included; None for any number.
    """

    reason_required: bool = False
    max_minutes: float | None = None
    max_listeners: int | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of the permissions.

    Parameters:
        name: how the audit calls it.
        effect: allow or deny.
        modes: the modes it speaks of.
        supervisors: supervisor groups, supervisor ids, or ``all``.
        agents: agent groups, extensions, patterns of dialled digits such as ``_10XX``, or ``all``.
        scan: it speaks of the scan as well: one that allows lets the scan come to these agents to listen; one that
            denies keeps it from them in every mode.
        when: at which times it holds; None for always.
        calls: which calls it speaks of; None for all.
        terms: on which terms it allows; a rule that denies has none.
    """

    name: str
    effect: Effect
    modes: frozenset[Mode]
    supervisors: frozenset[str]
    agents: frozenset[str]
    scan: bool = False
    when: When | None = None
    calls: Calls | None = None
    terms: Terms | None = None

    @property
    def speaks_of(self) -> frozenset[Mode]:
        """The modes it may allow or deny, the scan included: it may allow to listen, and deny any."""
        if not self.scan:
            return self.modes
        return self.modes | {Mode.LISTEN} if self.effect is Effect.ALLOW else frozenset(Mode)

    def names_supervisor(self, supervisor: Supervisor) -> bool:
        """Return whether the rule applies to this supervisor."""
        return not self.supervisors.isdisjoint({ALL, supervisor.id, *supervisor.groups})

    def names_agent(self, agent: Agent) -> bool:
        """Return whether the rule applies to this agent."""
        return not self.agents.isdisjoint({ALL, agent.extension, *agent.groups}) or any(
            fits(name, agent.digits) for name in self.agents if is_pattern(name)
        )

    def obstacles(self, request: SpyAsk) -> tuple[Obstacle, ...]:
        """Return every reason why this rule does not, or may not, apply to a request.

        The supervisor and the agent are those it speaks of.
        """
        terms = self.terms if self.effect is Effect.ALLOW else None
        found = (
            self._about_mode(request),
            None if self.when is None else _about_time(self.when, request.at),
            *(() if self.calls is None else _about_call(self.calls, request)),
            *(() if terms is None else _about_terms(terms, request)),
        )
        return tuple(obstacle for obstacle in found if obstacle is not None)

    def standing(self, request: SpyAsk) -> Standing:
        """Return whether this rule applies to a request by a supervisor, and for an agent, that it names."""
        if self.when is None and self.calls is None and self.terms is None and request.mode in self.modes:
            return Standing.APPLIES
        return standing(self.obstacles(request))

    def _about_mode(self, request: SpyAsk) -> Obstacle | None:
        if request.mode in self.modes:
            return None
        if request.mode not in self.speaks_of:
            return Obstacle.OTHER_MODE
        if request.scan is None:
            return Obstacle.SCAN_UNKNOWN
        return None if request.scan else Obstacle.NO_SCAN


def standing(obstacles: Iterable[Obstacle]) -> Standing:
    """Return what obstacles amount to: a certain one outweighs all uncertain ones."""
    found = set(obstacles)
    if not found:
        return Standing.APPLIES
    return Standing.UNKNOWN if found <= UNKNOWN else Standing.DOES_NOT


def _about_time(when: When, at: datetime | None) -> Obstacle | None:
    return Obstacle.TIME_UNKNOWN if at is None else _TIMINGS[when.timing(at)]


_TIMINGS = {
    Timing.WITHIN: None,
    Timing.OTHER_HOUR: Obstacle.OTHER_HOUR,
    Timing.OTHER_DATE: Obstacle.OTHER_DATE,
}


def _about_call(calls: Calls, request: SpyAsk) -> Iterator[Obstacle]:
    if calls.queues and request.queue is None:
        yield Obstacle.QUEUE_UNKNOWN
    # app_queue.c finds a queue whether its name is written small or large.
    elif calls.queues and (request.queue or "").lower() not in {queue.lower() for queue in calls.queues}:
        yield Obstacle.OTHER_QUEUE
    if calls.direction is not None and request.direction is not calls.direction:
        yield Obstacle.DIRECTION_UNKNOWN if request.direction is None else Obstacle.OTHER_DIRECTION


def _about_terms(terms: Terms, request: SpyAsk) -> Iterator[Obstacle]:
    if terms.reason_required and not request.reason:
        yield Obstacle.REASON_UNKNOWN if request.reason is None else Obstacle.NO_REASON
    if terms.max_minutes is not None:
        if request.heard_seconds is None:
            yield Obstacle.DURATION_UNKNOWN
        elif not request.heard_seconds < terms.max_minutes * 60.0:
            yield Obstacle.TIME_IS_UP
    if terms.max_listeners is not None:
        if request.listeners is None:
            yield Obstacle.LISTENERS_UNKNOWN
        elif request.listeners >= terms.max_listeners:
            yield Obstacle.TOO_MANY_LISTENERS


@dataclass(frozen=True, slots=True)
class Allowed:
    """A yes, and the rule that said so."""

    rule: str


class Rights:
    """All rules, found by whom they speak of. It never changes.

    A set of rules is a number with one bit for each, the first rule the lowest: two lookups and an ``and`` find
    the rules about a supervisor and an agent among any number.

    Parameters:
        rules: in the order of the file.
    """

    def __init__(self, rules: Iterable[Rule]) -> None:
        self.rules = tuple(rules)
        self._supervisors: dict[str, int] = {}
        self._agents: dict[str, int] = {}
        self._modes = dict.fromkeys(Mode, 0)
        self._denies = 0
        patterns: dict[str, int] = {}
        for position, rule in enumerate(self.rules):
            bit = 1 << position
            for name in rule.supervisors:
                self._supervisors[name] = self._supervisors.get(name, 0) | bit
            for name in rule.agents:
                table = patterns if is_pattern(name) else self._agents
                table[name] = table.get(name, 0) | bit
            for mode in rule.speaks_of:
                self._modes[mode] |= bit
            if rule.effect is Effect.DENY:
                self._denies |= bit
        self._patterns = PatternTable(patterns.items())

        self.depend_on_time = any(
            rule.when is not None or (rule.terms is not None and rule.terms.max_minutes is not None)
            for rule in self.rules
        )
        """Whether the passing of time alone may take a right away."""
        self.depend_on_calls = any(rule.calls is not None for rule in self.rules)
        """Whether a right may go with the queue or the direction of a call."""
        self.depend_on_listeners = any(
            rule.terms is not None and rule.terms.max_listeners is not None for rule in self.rules
        )
        """Whether a right may go with who else hears a call."""

    def near(self, supervisor: Supervisor, agent: Agent) -> Iterator[Rule]:
        """Yield the rules about this supervisor and this agent, whatever else they say."""
        return self._those(self._near(supervisor, agent))

    def decide(self, request: SpyAsk) -> Allowed | Refusal:
        """Decide one request.

        Returns:
            ``Allowed`` with the first rule that allows it, or a ``Refusal`` whose detail names the rule that
            denies it. None does where nothing allows it; the detail then names a rule that nearly did. Where that
            one lacks nothing but its terms, the reason says which.
        """
        return self._decide(request, Standing.APPLIES)

    def possible(self, request: SpyAsk) -> Allowed | Refusal:
        """Decide whether a request may come to be allowed, once what is not known of it is known.

        For the question whether to look further, never for the last word.
        """
        return self._decide(request, Standing.UNKNOWN)

    def _decide(self, request: SpyAsk, enough: Standing) -> Allowed | Refusal:
        near = self._near(request.supervisor, request.agent) & self._modes[request.mode]
        for rule in self._those(near & self._denies):
            found = rule.standing(request)
            if found is Standing.APPLIES or (found is Standing.UNKNOWN and enough is Standing.APPLIES):
                return denied_by(rule, request)
        allows = near & ~self._denies
        for rule in self._those(allows):
            found = rule.standing(request)
            if found is Standing.APPLIES or found is enough:
                return Allowed(rule.name)
        return allowed_by_none(self._those(allows), request)

    def _near(self, supervisor: Supervisor, agent: Agent) -> int:
        if supervisor.tenant != agent.tenant:
            # No rule reaches across, not even one about all.
            return 0
        by_supervisor = self._supervisors.get(ALL, 0) | self._supervisors.get(supervisor.id, 0)
        for group in supervisor.groups:
            by_supervisor |= self._supervisors.get(group, 0)
        if not by_supervisor:
            return 0
        by_agent = self._agents.get(ALL, 0) | self._agents.get(agent.extension, 0)
        for group in agent.groups:
            by_agent |= self._agents.get(group, 0)
        return by_supervisor & (by_agent | self._patterns.fitting(agent.digits))

    def _those(self, bits: int) -> Iterator[Rule]:
        while bits:
            lowest = bits & -bits
            yield self.rules[lowest.bit_length() - 1]
            bits ^= lowest


def denied_by(rule: Rule, request: SpyAsk) -> Refusal:
    """Return the refusal by a rule that denies, or would if more were known."""
    return Refusal(Reason.MODE_DENIED, f"rule {rule.name}{_because(rule, request)}")


def allowed_by_none(missed: Iterable[Rule], request: SpyAsk) -> Refusal:
    """Return the refusal where no rule allows.

    Parameters:
        missed: those that would allow the mode and do not apply, in the order of the file.
        request: what was asked.
    """
    weighed = [(rule, frozenset(rule.obstacles(request))) for rule in missed]
    if request.supervisor.tenant != request.agent.tenant:
        return Refusal(Reason.MODE_DENIED, "the agent is of another tenant")
    if not weighed:
        return Refusal(Reason.MODE_DENIED, "no rule allows it")
    # A rule that asks for a reason and nothing else: with one it would allow.
    by_reason = next((rule for rule, obstacles in weighed if obstacles == _ONLY_A_REASON), None)
    if by_reason is not None:
        return _missed_by(by_reason, Reason.REASON_MISSING, request)
    for rule, obstacles in weighed:
        reason = next((reason for obstacle, reason in _SPOKEN.items() if obstacle in obstacles), None)
        if reason is not None and obstacles <= _OF_TERMS:
            return _missed_by(rule, reason, request)
    return _missed_by(weighed[0][0], Reason.MODE_DENIED, request)


def _missed_by(rule: Rule, reason: Reason, request: SpyAsk) -> Refusal:
    return Refusal(reason, f"no rule allows it; rule {rule.name}{_because(rule, request)}")


_SPOKEN = {
    Obstacle.TIME_IS_UP: Reason.TIME_IS_UP,
    Obstacle.TOO_MANY_LISTENERS: Reason.TOO_MANY_LISTENERS,
    Obstacle.NO_REASON: Reason.REASON_MISSING,
}
"""What a supervisor is told who may hear the call, and only lacks the terms."""

_OF_TERMS = frozenset({*_SPOKEN, Obstacle.REASON_UNKNOWN})
_ONLY_A_REASON = frozenset({Obstacle.NO_REASON})


def _because(rule: Rule, request: SpyAsk) -> str:
    obstacles = rule.obstacles(request)
    return f": {in_words(obstacles)}" if obstacles else ""


def in_words(obstacles: Iterable[Obstacle]) -> str:
    """Return obstacles as text: those that are certain, or else what is not known."""
    found = tuple(obstacles)
    certain = [obstacle for obstacle in found if obstacle not in UNKNOWN]
    return ", ".join(WORDS[obstacle] for obstacle in certain or found)


def decide(rules: Iterable[Rule], supervisor: Supervisor, agent: Agent, mode: Mode) -> Allowed | Refusal:
    """Decide a request about which nothing more is known. To decide often, keep ``Rights``.

    Returns:
        As ``Rights.decide``.
    """
    near = [rule for rule in rules if rule.names_supervisor(supervisor) and rule.names_agent(agent)]
    return Rights(near).decide(SpyAsk(supervisor, agent, mode))
