"""Many PINs at once: no call with a correct one is refused, and guessing gets no more tries for it."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import replace
from random import Random
from typing import Any, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agi_monitor.errors import CallEnded
from agi_monitor.model import Reason, Refusal, Supervisor
from agi_monitor.pins.costs import in_force
from agi_monitor.pins.guard import AT_ONCE, Claim, PinGuard, PinPolicy
from agi_monitor.pins.lock_outs import Limit, Limits, LockOut
from tests.doubles.coroutines import Pause
from tests.doubles.desk import ANNA, NOW, PIN, PIN_HASH

Result = TypeVar("Result")

RIGHT, WRONG, LOCKED, GONE = "right", "wrong", "locked", "hung up"


def limits(supervisor: int = 3, endpoint: int = 5, peer: int = 30) -> Limits:
    """How often each may be wrong."""
    return Limits(Limit(supervisor, 60.0, 1000.0), Limit(endpoint, 60.0, 1000.0), Limit(peer, 10.0, 100.0))


class Memory:
    """A store in memory that servers share."""

    def __init__(self) -> None:
        self.kept: dict[str, LockOut] = {}

    def change(
        self, who: Sequence[str], decide: Callable[[Mapping[str, LockOut]], Mapping[str, LockOut]]
    ) -> Mapping[str, LockOut]:
        """Read, decide and write."""
        before = {one: self.kept[one] for one in who if one in self.kept}
        after = decide(before)
        for one in who:
            self.kept.pop(one, None)
        self.kept.update(after)
        return before


class Threads:
    """A few threads: what they run, and when its result arrives, is up to the house."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.queued: list[tuple[Callable[[], object], Pause, list[object]]] = []
        self.done: list[Pause] = []

    async def __call__(self, function: Callable[[], Result], /) -> Result:
        """Run it some time."""
        pause, results = Pause(), list[object]()
        self.queued.append((function, pause, results))
        await pause
        result: Result = results.pop()  # type: ignore[assignment]  # it is what the function returned
        return result

    def steps(self) -> list[Callable[[], None]]:
        """What may happen next: one of the first in the queue runs, or a result arrives in the order of the runs."""
        running = self.queued[: self.size]
        return [*(lambda job=job: self._run(job) for job in running), *([self._arrive] if self.done else [])]

    def _run(self, job: tuple[Callable[[], object], Pause, list[object]]) -> None:
        self.queued.remove(job)
        function, pause, results = job
        results.append(function())
        self.done.append(pause)

    def _arrive(self) -> None:
        self.done.pop(0).over()


class House:
    """Servers with one store, and calls on them that continue in any order."""

    def __init__(self, policy: PinPolicy, chance: Random, servers: int = 1) -> None:
        self.chance = chance
        self.store = Memory()
        self.threads: list[Threads] = []
        self.guards = []
        self.looks: list[Claim] = []
        for _ in range(servers):
            hashing, storing = Threads(AT_ONCE), Threads(1)
            self.threads += [hashing, storing]
            self.guards.append(PinGuard(policy, self.store, lambda: NOW, lambda: 0.0, hashing, storing, Pause))
        self.outcomes: dict[int, str] = {}
        self._calls: dict[int, Coroutine[Any, Any, str]] = {}
        self._pauses: dict[int, Pause] = {}

    def calls(self, claim: Claim, digits: str, server: int = 0) -> int:
        """A supervisor calls and keys in a PIN."""
        number = len(self.outcomes) + len(self._calls)
        self._calls[number] = self._key_in(self.guards[server], claim, digits)
        self._go_on(number)
        return number

    async def _key_in(self, guard: PinGuard, claim: Claim, digits: str) -> str:
        if await guard.locked(claim):
            return LOCKED
        attempt = await guard.count(claim)
        if isinstance(attempt, Refusal):
            assert attempt.reason is Reason.PIN_LOCKED
            return LOCKED
        self.looks.append(claim)
        return WRONG if await guard.look(attempt, digits) is None else RIGHT

    def hangs_up(self) -> None:
        """A caller who waits hangs up."""
        if self._calls:
            number = self.chance.choice(sorted(self._calls))
            with pytest.raises(CallEnded):
                self._calls.pop(number).throw(CallEnded("hung up"))
            self.outcomes[number] = GONE
            self._go_on_where_possible()

    def step(self) -> bool:
        """Let one thing happen; False when there is nothing left."""
        steps = [step for threads in self.threads for step in threads.steps()]
        if steps:
            self.chance.choice(steps)()
            self._go_on_where_possible()
        return bool(steps)

    def finish(self) -> list[str]:
        """Continue until nothing more happens, and return what came of each call."""
        while self.step():
            pass
        assert not self._calls, "somebody waits for ever"
        return [self.outcomes[number] for number in sorted(self.outcomes)]

    def _go_on_where_possible(self) -> None:
        while ready := [number for number in self._calls if self._pauses[number].is_over]:
            self._go_on(self.chance.choice(ready))

    def _go_on(self, number: int) -> None:
        try:
            self._pauses[number] = self._calls[number].send(None)
        except StopIteration as end:
            del self._calls[number]
            self.outcomes[number] = end.value


def somebody(number: int) -> Claim:
    """A supervisor at their own phone; all over one PBX."""
    phone = f"PJSIP/{3000 + number}"
    return Claim(Supervisor(f"s{number}", frozenset({phone}), frozenset(), PIN_HASH), phone, "192.0.2.1")


POLICY = PinPolicy(attempts=3, limits=limits(), costs=in_force([PIN_HASH]))
CHANCE = st.randoms(use_true_random=False)


@pytest.mark.parametrize("number", [40, 100])
def test_nobody_is_refused_at_the_start_of_a_shift(number: int) -> None:
    """Everybody keys in the right PIN at the same moment, over one PBX whose limit is 30."""
    house = House(POLICY, Random(7))
    for one in range(number):
        house.calls(somebody(one), PIN)
    assert house.finish() == [RIGHT] * number
    assert house.store.kept == {}


def test_fifty_calls_at_once_get_no_more_tries_than_one() -> None:
    """All are counted before any is looked at, so none slips through."""
    house = House(POLICY, Random(7))
    for phone in range(50):
        house.calls(Claim(ANNA, f"PJSIP/{phone}", "192.0.2.1"), "0000")
    assert sorted(house.finish()) == [LOCKED] * 47 + [WRONG] * 3
    assert len(house.looks) == 3


@given(
    chance=CHANCE,
    people=st.lists(st.integers(0, 5), min_size=1, max_size=25),
    most=st.tuples(st.integers(1, 3), st.integers(1, 5), st.integers(1, 6)),
    before=st.integers(0, 5),
)
def test_right_pins_never_stand_in_each_others_way(
    chance: Random, people: list[int], most: tuple[int, int, int], before: int
) -> None:
    """Whatever the limits, the order in which threads come back, wrong PINs from before, and though some of them are
    the same supervisor twice."""
    house = House(replace(POLICY, limits=limits(*most)), chance)
    if 0 < before < most[2]:
        house.store.kept["peer:192.0.2.1"] = LockOut(before, NOW - 1.0, 0.0)
    for one in people:
        house.calls(somebody(one), PIN)
        if chance.random() < 0.3:
            house.step()
    assert house.finish() == [RIGHT] * len(people)


@given(chance=CHANCE, number=st.integers(1, 30))
def test_two_servers_with_one_pbx_refuse_nobody_either(chance: Random, number: int) -> None:
    """As long as the limit of the PBX is more than what both have in hand at the same time."""
    house = House(replace(POLICY, limits=limits(peer=2 * AT_ONCE + 1)), chance, servers=2)
    for one in range(number):
        house.calls(somebody(one), PIN, server=one % 2)
    assert house.finish() == [RIGHT] * number


@given(
    chance=CHANCE,
    guesses=st.lists(st.integers(0, 3), min_size=1, max_size=30),
    rights=st.integers(0, 8),
    servers=st.integers(1, 2),
    most=st.integers(1, 3),
)
def test_waiting_gives_nobody_another_look(
    chance: Random, guesses: list[int], rights: int, servers: int, most: int
) -> None:
    """Any number of wrong tries at Anna's PIN from four phones, on one server or two, among others who are right:
    as many looks as one call would get."""
    house = House(replace(POLICY, limits=limits(supervisor=most)), chance, servers)
    claims = [(Claim(ANNA, f"PJSIP/{phone}", "192.0.2.1"), "0000") for phone in guesses]
    claims += [(somebody(one), PIN) for one in range(rights)]
    chance.shuffle(claims)
    for number, (claim, digits) in enumerate(claims):
        house.calls(claim, digits, server=number % servers)
        if chance.random() < 0.5:
            house.step()
    outcomes = house.finish()
    assert sum(claim.supervisor is ANNA for claim in house.looks) <= most
    assert outcomes.count(RIGHT) == rights


@given(chance=CHANCE, number=st.integers(1, 40), servers=st.integers(1, 2))
def test_a_pbx_gets_no_more_looks_than_its_limit(chance: Random, number: int, servers: int) -> None:
    """One wrong PIN at each of many phones, all at once."""
    house = House(replace(POLICY, limits=limits(peer=6)), chance, servers)
    for one in range(number):
        house.calls(somebody(one), "0000", server=one % servers)
    outcomes = house.finish()
    assert len(house.looks) == outcomes.count(WRONG) == min(number, 6)


@given(chance=CHANCE, number=st.integers(1, 15), hang_ups=st.integers(1, 15))
def test_who_hangs_up_keeps_nobody_waiting(chance: Random, number: int, hang_ups: int) -> None:
    """At whatever moment: their turn goes to the next, and everybody else comes to theirs."""
    house = House(replace(POLICY, limits=limits(peer=1000)), chance)
    for one in range(number):
        house.calls(somebody(one), PIN)
    for _ in range(hang_ups):
        for _ in range(chance.randrange(6)):
            house.step()
        house.hangs_up()
    for one in range(AT_ONCE + 1):
        house.calls(somebody(100 + one), PIN)
    assert set(house.finish()) <= {RIGHT, GONE}
    assert list(house.outcomes.values()).count(RIGHT) >= AT_ONCE + 1
