"""What a decision costs: with 100, 1,000 and 10,000 people, and with 50, 500 and 5,000 rules.

    python benchmarks/decisions.py [--decisions 20000] [--repeat 5]

Everything is measured in this process, in one run, in CPU time; each number is the median of the repeats, after one
that does not count. Half of the people are supervisors and half are agents, ten to a group. One rule in a hundred
denies, one in five has hours, one in ten a pattern, and every rule names a group or a person on each side. Each
decision is about another pair. ``near`` is how many rules are about a pair on average: all of them may have to be
weighed. The ratios are those to the first line. Going through the rules one by one is measured beside it.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from itertools import product
from statistics import median

from processes import save

from agi_monitor.model import Agent, Mode, Supervisor
from agi_monitor.rights.authorization import Allowed, Effect, Rights, Rule, SpyAsk, decide
from agi_monitor.rights.hours import When, hours, zone

PEOPLE = (100, 1_000, 10_000)
RULES = (50, 500, 5_000)
AT = datetime(2026, 11, 23, 11, tzinfo=UTC)
DAY = When(zone("Europe/Berlin"), (hours("mon-fri 08:00-18:00"), hours("sat 10:00-14:00")))


def requests(people: int, draw: random.Random, number: int) -> list[SpyAsk]:
    """This number of requests of some of this number of people."""
    supervisors = [
        Supervisor(f"s{one}", frozenset(), frozenset({f"leads{one // 10}", "everybody"}), "")
        for one in range(people // 2)
    ]
    agents = [Agent(str(100_000 + one), frozenset({f"team{one // 10}", "staff"})) for one in range(people // 2)]
    return [
        SpyAsk(
            draw.choice(supervisors), draw.choice(agents), draw.choice(list(Mode)), False, AT, "", None, False, 0, 0
        )
        for _ in range(number)
    ]


def rules(people: int, number: int, draw: random.Random) -> list[Rule]:
    """This number of rules about this number of people."""

    def one(position: int) -> Rule:
        who, whom = draw.randrange(people // 2), draw.randrange(people // 2)
        agent = f"team{whom // 10}" if position % 2 else str(100_000 + whom)
        return Rule(
            f"r{position}",
            Effect.DENY if position % 100 == 99 else Effect.ALLOW,
            frozenset(draw.sample(list(Mode), 2)),
            frozenset({f"leads{who // 10}" if position % 3 else f"s{who}"}),
            frozenset({f"_{str(100_000 + whom)[:4]}XX" if position % 10 == 7 else agent}),
            when=DAY if position % 5 == 3 else None,
        )

    return [
        Rule("all", Effect.ALLOW, frozenset({Mode.LISTEN}), frozenset({"everybody"}), frozenset({"staff"})),
        *(one(position) for position in range(1, number)),
    ]


def cpu(work: Callable[[], object], done: int) -> float:
    """CPU seconds for each of the things that the work does."""
    started = time.process_time()
    work()
    return (time.process_time() - started) / done


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--decisions", type=int, default=20_000)
    parser.add_argument("--repeat", type=int, default=5)
    options = parser.parse_args()
    draw = random.Random(1)  # noqa: S311 - the same rules every time
    first: list[float] = []
    results: list[dict[str, float]] = []
    heads = ("people", "rules", "near", "decide", "ratio", "one by one", "ratio", "built in")
    print("".join(f"{head:>12}" for head in heads))  # noqa: T201
    for people, number in product(PEOPLE, RULES):
        permissions = rules(people, number, draw)
        asked = requests(people, draw, options.decisions)
        rights = Rights(permissions)
        few = asked[: max(1, 200_000 // number)]

        def indexed(rights: Rights = rights, asked: Sequence[SpyAsk] = asked) -> object:
            return [rights.decide(request) for request in asked]

        def one_by_one(permissions: Sequence[Rule] = permissions, few: Sequence[SpyAsk] = few) -> object:
            return [decide(permissions, request.supervisor, request.agent, request.mode) for request in few]

        found = [
            median([cpu(work, done) for _ in range(options.repeat + 1)][1:])
            for work, done in ((indexed, len(asked)), (one_by_one, len(few)), (lambda p=permissions: Rights(p), 1))
        ]
        if not any(isinstance(rights.decide(request), Allowed) for request in asked):
            raise SystemExit("nothing is allowed: this measures nothing")
        first = first or found
        near = sum(len(list(rights.near(one.supervisor, one.agent))) for one in asked[:1_000]) / len(asked[:1_000])
        row = (
            f"{people:,}",
            f"{number:,}",
            f"{near:.1f}",
            f"{found[0] * 1e6:.1f} us",
            f"{found[0] / first[0]:.2f}",
            f"{found[1] * 1e6:.1f} us",
            f"{found[1] / first[1]:.2f}",
            f"{found[2] * 1e3:.1f} ms",
        )
        print("".join(f"{cell:>12}" for cell in row))  # noqa: T201
        results.append({"people": people, "rules": number, "decide_us": found[0] * 1e6, "ratio": found[0] / first[0]})
    save("decisions", results)


if __name__ == "__main__":
    main()
