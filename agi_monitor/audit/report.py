"""What the audit says of people: how long each agent was heard, how long each supervisor listened, and whether
anyone is heard far more often than chance explains.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace

from agi_monitor.audit.facts import End
from agi_monitor.audit.selection import Row
from agi_monitor.model import Locked, Mode

RARE = 0.01
"""What equal chance brings about less often than this is far from it."""

UNUSUAL = 0.05
"""What it brings about less often than this is worth a second look."""


@dataclass(slots=True)
class Heard:
    """The spies on one agent, or of one supervisor.

    Parameters:
        who: the agent's extension, or the supervisor's id.
        spies: how many began.
        seconds: how long they were, by mode.
        others: the supervisors of an agent, or the agents of a supervisor.
        told: how many the agent was told of before.
        unended: how many have no end on record: they are on, or a crash took it.
        refused: how many requests were refused.
        locked_out: how often there was a wrong PIN too many.
    """

    who: str
    spies: int = 0
    seconds: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    others: set[str] = field(default_factory=set)
    told: int = 0
    unended: int = 0
    refused: int = 0
    locked_out: int = 0

    @property
    def minutes(self) -> float:
        """All of it, in minutes."""
        return sum(self.seconds.values()) / 60.0

    def row(self) -> Row:
        """For machines."""
        return {
            "who": self.who,
            "spies": self.spies,
            "minutes": round(self.minutes, 2),
            "minutes_by_mode": {mode.value: round(self.seconds[mode.value] / 60.0, 2) for mode in Mode},
            "others": sorted(self.others),
            "told": self.told,
            "unended": self.unended,
            "refused": self.refused,
            "locked_out": self.locked_out,
        }


@dataclass(frozen=True, slots=True)
class _Open:
    """A spy whose last end is not on record.

    Parameters:
        agent: the extension.
        supervisor: the id.
        counted: seconds that are counted already: a server stopped, or lost the connection, while the spy was on.
        is_on: as far as the records say, it continues.
    """

    agent: str
    supervisor: str
    counted: float = 0.0
    is_on: bool = True


MAY_GO_ON = frozenset({End.LEFT_RUNNING, End.CONNECTION_LOST})
"""Ends of what a server knows of a spy, and not of the spy. A later end counts its seconds from the start again."""


class Minutes:
    """Adds up who heard whom, and for how long. A change of mode ends one spy and begins the next.

    Takes records that ``rows.misfit`` has found nothing wrong with.
    """

    def __init__(self) -> None:
        self._agents: dict[str, Heard] = {}
        self._supervisors: dict[str, Heard] = {}
        self._open: dict[tuple[str, object], _Open] = {}

    def add(self, record: Row) -> None:
        """Take in the next record."""
        match record.get("fact"):
            case "spy_started" | "spy_adopted":
                self._begin(record)
            case "spy_ended":
                self._end(record)
            case "refused":
                for heard in self._concerned(record):
                    heard.refused += 1
            case "locked_out" if record.get("kind") == Locked.SUPERVISOR:
                for heard in self._concerned(record):
                    heard.locked_out += 1

    def agents(self) -> list[Heard]:
        """Every agent, the one that was heard longest first."""
        return _longest_first(self._counted(self._agents, 0))

    def supervisors(self) -> list[Heard]:
        """Every supervisor, the one that listened longest first."""
        return _longest_first(self._counted(self._supervisors, 1))

    def _begin(self, record: Row) -> None:
        key = _spy(record)
        known = self._open.get(key)
        if known is None:
            self._count(record)
            known = _Open(str(record.get("extension")), str(record.get("supervisor")))
        # Otherwise adopted by a server that came back: the same spy.
        self._open[key] = replace(known, is_on=True)

    def _end(self, record: Row) -> None:
        key = _spy(record)
        known = self._open.pop(key, None)
        if known is None:
            self._count(record)  # it began before what was read
            known = _Open(str(record.get("extension")), str(record.get("supervisor")))
        seconds = record.get("seconds")
        length = float(seconds) if isinstance(seconds, int | float) else 0.0
        for heard in self._concerned(record):
            heard.seconds[str(record.get("mode"))] += max(0.0, length - known.counted)
        if record.get("why") in MAY_GO_ON:
            is_on = record.get("why") == End.LEFT_RUNNING
            self._open[key] = replace(known, counted=max(length, known.counted), is_on=is_on)

    def _count(self, record: Row) -> None:
        for heard in self._concerned(record):
            heard.spies += 1
            heard.told += record.get("told") is True
        agent, supervisor = str(record.get("extension")), str(record.get("supervisor"))
        self._of(self._agents, agent).others.add(supervisor)
        self._of(self._supervisors, supervisor).others.add(agent)

    def _concerned(self, record: Row) -> list[Heard]:
        extension, supervisor = record.get("extension"), record.get("supervisor")
        found = [] if extension is None else [self._of(self._agents, str(extension))]
        return found if supervisor is None else [*found, self._of(self._supervisors, str(supervisor))]

    def _counted(self, people: dict[str, Heard], which: int) -> list[Heard]:
        on = [one for one in self._open.values() if one.is_on]
        unended = Counter((one.agent, one.supervisor)[which] for one in on)
        for heard in people.values():
            heard.unended = unended[heard.who]
        return list(people.values())

    @staticmethod
    def _of(people: dict[str, Heard], who: str) -> Heard:
        return people.setdefault(who, Heard(who))


def _spy(record: Row) -> tuple[str, object]:
    return str(record.get("call")), record.get("grant")


def _longest_first(people: list[Heard]) -> list[Heard]:
    return sorted(people, key=lambda one: (-one.minutes, -one.spies, one.who))


# ---- chance --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Share:
    """How often one agent was chosen, compared with an equal chance.

    Parameters:
        agent: the extension.
        visits: how often supervisors began to hear them; changes of mode and following calls count once.
        expected: how often it would be if the visits were spread evenly over the agents.
        chance: how likely it is that an equal chance gives any of the agents this many visits or more.
    """

    agent: str
    visits: int
    expected: float
    chance: float

    @property
    def verdict(self) -> str:
        """The same in words."""
        if self.chance < RARE:
            return "far more often than equal chance explains"
        return "more often than usual" if self.chance < UNUSUAL else "within equal chance"

    def row(self) -> Row:
        """For machines."""
        return {
            "agent": self.agent,
            "visits": self.visits,
            "expected": round(self.expected, 3),
            "chance": self.chance,
            "verdict": self.verdict,
        }


class Sampling:
    """Counts who was chosen, and holds it against equal chance."""

    def __init__(self) -> None:
        self._visits: defaultdict[str, set[str]] = defaultdict(set)

    def add(self, record: Row) -> None:
        """Take in the next record."""
        if record.get("fact") == "spy_started":
            self._visits[str(record.get("extension"))].add(str(record.get("call")))

    def shares(self, agents: Collection[str]) -> list[Share]:
        """Every agent's share, the most unlikely first.

        Parameters:
            agents: everyone who could have been chosen; visits to others are left out.
        """
        everybody = sorted(set(agents))
        counts = {agent: len(self._visits.get(agent, ())) for agent in everybody}
        visits = sum(counts.values())
        found = [
            Share(
                agent,
                count,
                visits / len(everybody),
                _any_of(len(everybody), at_least(count, visits, len(everybody))),
            )
            for agent, count in counts.items()
        ]
        return sorted(found, key=lambda one: (one.chance, -one.visits, one.agent))

    def heard(self) -> Sequence[str]:
        """Everyone who was chosen at all."""
        return sorted(self._visits)


def at_least(count: int, visits: int, agents: int) -> float:
    """Return how likely it is that one given agent gets this many visits or more, if each agent is equally likely
    each time.

    Parameters:
        count: visits to this agent.
        visits: visits to all.
        agents: how many there are.
    """
    if count <= 0 or agents == 1:
        return 1.0
    one, others = math.log(1.0 / agents), math.log1p(-1.0 / agents)
    ways = math.lgamma(visits + 1) - math.lgamma(count + 1) - math.lgamma(visits - count + 1)
    term = math.exp(ways + count * one + (visits - count) * others)
    total = 0.0
    for number in range(count, visits + 1):
        total += term
        if number > visits / agents and term <= total * 1e-17:
            break
        term *= (visits - number) / (number + 1) / (agents - 1)
    return min(1.0, total)


def _any_of(agents: int, chance: float) -> float:
    """One of many is bound to be first: how likely it is that any of them gets there."""
    return 1.0 if chance >= 1.0 else -math.expm1(agents * math.log1p(-chance))
