"""How often a PIN may be wrong, and what survives."""

from __future__ import annotations

import re
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import replace
from typing import Any, TypeVar

import pytest
from argon2 import PasswordHasher, extract_parameters
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred

from agi_monitor.errors import StateUnavailable
from agi_monitor.model import Reason, Refusal, Supervisor
from agi_monitor.supervision import pins
from agi_monitor.supervision.pins import FORGET_SECONDS, MAX_STRANGERS, LockOut, PinGuard, PinPolicy
from tests.unit.supervision.desk import ANNA, BERT, NOW, PIN, PIN_HASH, at_once

Result = TypeVar("Result")

POLICY = PinPolicy(attempts=3, lock_after=3, lock_seconds=60.0, max_lock_seconds=1000.0)
HERE = "PJSIP/2001"


class Memory:
    """A store in memory that can fail."""

    def __init__(self) -> None:
        self.kept: Mapping[str, LockOut] = {}
        self.fails = False

    def load(self) -> Mapping[str, LockOut]:
        """Return what was saved."""
        return self.kept

    def save(self, lock_outs: Mapping[str, LockOut]) -> None:
        """Keep it, or fail."""
        if self.fails:
            raise StateUnavailable("the disk is full")
        self.kept = lock_outs


class Later:
    """Runs functions when it is told to."""

    def __init__(self) -> None:
        self.waiting: list[tuple[Callable[[], Any], Deferred[None]]] = []

    async def __call__(self, function: Callable[[], Result], /) -> Result:
        turn: Deferred[None] = Deferred()
        self.waiting.append((function, turn))
        await turn
        return function()

    def release(self) -> None:
        """Run all that wait, the last first."""
        while self.waiting:
            self.waiting.pop()[1].callback(None)


class Room:
    """A guard with its store and its clock."""

    def __init__(self, policy: PinPolicy = POLICY) -> None:
        self.now = NOW
        self.store = Memory()
        self.policy = policy
        self.guard = self.restart()

    def restart(self) -> PinGuard:
        """Start again with what the store holds."""
        self.guard = PinGuard(self.policy, self.store, lambda: self.now, at_once, at_once)
        return self.guard

    def key_in(self, digits: str = "0000", supervisor: Supervisor | None = ANNA, endpoint: str = HERE) -> object:
        """One attempt."""
        return finish(self.guard.verify(supervisor, endpoint, digits))

    def locked_for(self, who: str = "supervisor:anna") -> float | None:
        """For how many seconds somebody is locked out."""
        until = self.guard.locked_until(who)
        return None if until is None else until - self.now


@pytest.fixture
def room() -> Room:
    """Nobody has been wrong yet."""
    return Room()


@pytest.fixture(autouse=True)
def cheap_stranger(monkeypatch: pytest.MonkeyPatch) -> None:
    """Strangers cost a moment instead of 50 ms."""
    monkeypatch.setattr(pins, "_NOBODY", PIN_HASH)


def finish(story: Coroutine[Any, Any, Result]) -> Result:
    """Run a coroutine that waits for nothing."""
    try:
        story.send(None)
    except StopIteration as end:
        result: Result = end.value
        return result
    raise AssertionError("it waits")


WRONG = Refusal(Reason.PIN_WRONG)
LOCKED = Refusal(Reason.PIN_LOCKED)


# ---- records -----------------------------------------------------------------------------------------------


def test_makes_a_record_that_matches_its_pin_only() -> None:
    """The record is argon2id with a salt of its own."""
    record = pins.make_hash("0123")
    assert record.startswith("$argon2id$v=19$")
    assert record != pins.make_hash("0123")
    assert pins.matches(record, "0123")
    assert not pins.matches(record, "0124")


@pytest.mark.parametrize("pin", ["", "123", "1" * 17, "12a4", "12 4", "1234\n", " 1234", "١٢٣٤", "12*4", "１２３４"])
def test_makes_no_record_of_what_is_no_pin(pin: str) -> None:
    """A PIN is 4 to 16 digits; the message does not repeat what was given."""
    with pytest.raises(ValueError, match=r"^a PIN is 4 to 16 digits$"):
        pins.make_hash(pin)


@given(st.text().filter(lambda text: text != PIN))
def test_no_other_text_is_the_pin(digits: str) -> None:
    """Whatever is keyed in, only the PIN matches, and nothing raises."""
    assert not pins.matches(PIN_HASH, digits)


@pytest.mark.parametrize("record", ["$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$AAAA", "$argon2id$v=19$broken"])
def test_a_broken_record_matches_nothing(record: str) -> None:
    """Nobody gets in by a record that argon2 cannot read."""
    assert not pins.matches(record, PIN)


@pytest.mark.parametrize("digits", ["", "abcd", "123"])
def test_a_record_of_nothing_lets_nobody_in(digits: str) -> None:
    """Keying in nothing, or no PIN, is wrong even where the record is one of an empty text."""
    empty = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash("")
    assert not pins.matches(empty, digits)


def test_a_stranger_waits_as_long_as_a_supervisor(monkeypatch: pytest.MonkeyPatch) -> None:
    """The record for phones of nobody costs what a fresh record costs."""
    monkeypatch.undo()
    assert extract_parameters(pins._NOBODY) == extract_parameters(pins.make_hash("0000"))
    assert not pins.matches(pins._NOBODY, "0000")


# ---- counting ----------------------------------------------------------------------------------------------


def test_the_right_pin_is_right(room: Room) -> None:
    """No refusal, and nothing is left in the store."""
    assert room.key_in(PIN) is None
    assert room.store.kept == {}


def test_locks_after_so_many_wrong_ones(room: Room) -> None:
    """The third wrong PIN locks; from then on not even the right one is looked at."""
    assert [room.key_in() for _ in range(3)] == [WRONG] * 3
    assert room.locked_for() == 60.0
    assert [room.key_in(PIN), room.key_in()] == [LOCKED] * 2


def test_a_locked_attempt_is_not_counted(room: Room) -> None:
    """Trying while locked out does not make it longer."""
    for _ in range(20):
        room.key_in()
    assert room.locked_for() == 60.0


def test_the_lock_ends(room: Room) -> None:
    """To the second; the right PIN then takes everything back."""
    for _ in range(3):
        room.key_in()
    room.now += 59.999
    assert room.key_in(PIN) == LOCKED
    room.now += 0.001
    assert room.key_in(PIN) is None
    assert room.store.kept == {}


def test_every_further_wrong_pin_doubles_the_lock_up_to_the_longest(room: Room) -> None:
    """60, 120, 240 … and never longer than the maximum, however often."""
    locks = []
    for _ in range(10):
        while room.locked_for() is None:
            room.key_in()
        locks.append(room.locked_for())
        room.now += room.locked_for() or 0.0
    assert locks == [60.0, 120.0, 240.0, 480.0, 960.0, 1000.0, 1000.0, 1000.0, 1000.0, 1000.0]


@given(st.integers(0, 10**6))
def test_no_number_of_failures_is_too_many(failures: int) -> None:
    """The lock is a number between the first and the longest, however many came before."""
    lock = LockOut(failures, NOW, 0.0).failed(NOW, POLICY)
    assert lock.failures == failures + 1
    assert lock.until == 0.0 if failures < 2 else NOW + 60.0 <= lock.until <= NOW + 1000.0


def test_old_mistakes_are_forgotten(room: Room) -> None:
    """Two wrong PINs of yesterday and one of today are no lock-out; within a day they are."""
    room.key_in()
    room.key_in()
    room.now += FORGET_SECONDS - 1
    room.key_in()
    assert room.locked_for() == 60.0
    other = Room()
    other.key_in()
    other.key_in()
    other.now += FORGET_SECONDS
    other.key_in()
    assert other.locked_for() is None


def test_counts_per_supervisor_not_per_phone(room: Room) -> None:
    """Trying from two phones of the same supervisor doubles nothing, and does not concern anybody else."""
    for endpoint in (HERE, "PJSIP/2001-mobile", HERE):
        room.key_in(endpoint=endpoint)
    assert room.key_in(PIN, endpoint="PJSIP/2001-mobile") == LOCKED
    assert room.key_in(PIN, BERT, "PJSIP/2002") is None


def test_a_supervisor_is_no_strangers_phone(room: Room) -> None:
    """A supervisor whose id looks like a phone's name shares no count with that phone."""
    liar = replace(ANNA, id="endpoint:PJSIP/6666")
    for _ in range(3):
        room.key_in(supervisor=None, endpoint="PJSIP/6666")
    assert room.key_in(PIN, liar) is None


def test_fifty_calls_at_once_get_no_more_tries_than_one() -> None:
    """An attempt is counted before it is looked at, so no concurrent call slips through."""
    hashing, saving = Later(), Later()
    verified: list[bool] = []
    guard = PinGuard(POLICY, Memory(), lambda: NOW, _counting(hashing, verified), saving)
    outcomes: list[Refusal | None] = []
    for number in range(50):
        attempt = Deferred.fromCoroutine(guard.verify(ANNA, HERE, f"{number:04}"))
        attempt.addCallback(outcomes.append)
    while saving.waiting or hashing.waiting:
        saving.release()
        hashing.release()

    assert verified == [False] * POLICY.lock_after
    assert sorted(outcome.reason for outcome in outcomes if outcome) == ["pin_locked"] * 47 + ["pin_wrong"] * 3


def _counting(inner: Later, verified: list[bool]) -> Later:
    class Counting(Later):
        async def __call__(self, function: Callable[[], Result], /) -> Result:
            result = await inner(function)
            verified.append(bool(result))
            return result

    return Counting()


# ---- what survives -----------------------------------------------------------------------------------------


def test_a_restart_gives_no_further_tries(room: Room) -> None:
    """Counts and locks are in the store before an attempt is answered."""
    room.key_in()
    room.restart()
    room.key_in()
    room.restart()
    room.key_in()
    room.restart()
    assert room.locked_for() == 60.0
    assert room.key_in(PIN) == LOCKED


def test_without_a_store_no_pin_is_looked_at(room: Room) -> None:
    """An attempt that cannot be put on record fails, counts all the same, and locks in the end."""
    room.store.fails = True
    for _ in range(3):
        with pytest.raises(StateUnavailable, match="the disk is full"):
            room.key_in(PIN)
    assert room.key_in(PIN) == LOCKED
    assert room.store.kept == {}


def test_a_broken_store_starts_nothing(room: Room) -> None:
    """Without the lock-outs of before there is no guard."""

    class Broken(Memory):
        def load(self) -> Mapping[str, LockOut]:
            raise StateUnavailable("the file is torn")

    with pytest.raises(StateUnavailable, match="the file is torn"):
        PinGuard(POLICY, Broken(), lambda: NOW, at_once, at_once)


@pytest.mark.parametrize("strangers", [1, 501, MAX_STRANGERS - 1, MAX_STRANGERS])
def test_remembers_strangers_up_to_a_number(room: Room, strangers: int) -> None:
    """Nobody is forgotten before there are too many."""
    for number in range(strangers):
        room.key_in(supervisor=None, endpoint=f"PJSIP/{number}")
    assert len(room.store.kept) == strangers


def test_forgets_the_strangers_who_tried_longest_ago(room: Room) -> None:
    """Another phone's attempt pushes out the oldest, never a supervisor."""
    room.key_in()
    for number in range(MAX_STRANGERS):
        room.key_in(supervisor=None, endpoint=f"PJSIP/{number}")
    room.key_in(supervisor=None, endpoint="PJSIP/0")
    room.key_in(supervisor=None, endpoint="PJSIP/new")
    kept = room.store.kept
    assert len(kept) == MAX_STRANGERS + 1
    assert {"supervisor:anna", "endpoint:PJSIP/0", "endpoint:PJSIP/new"} <= set(kept)
    assert "endpoint:PJSIP/1" not in kept


# ---- a PIN that is remembered ------------------------------------------------------------------------------

REMEMBERING = replace(POLICY, remember_seconds=600.0)


def test_remembers_a_right_pin_for_a_while() -> None:
    """For this supervisor, this phone and so long, and not at all unless it is wanted."""
    room = Room(REMEMBERING)
    room.key_in(PIN)
    assert room.guard.remembered(ANNA, HERE)
    assert not room.guard.remembered(ANNA, "PJSIP/2001-mobile")
    assert not room.guard.remembered(BERT, HERE)
    room.now += 600.0
    assert not room.guard.remembered(ANNA, HERE)


def test_remembers_nothing_by_default(room: Room) -> None:
    """Every call asks."""
    room.key_in(PIN)
    assert not room.guard.remembered(ANNA, HERE)


def test_a_wrong_pin_is_not_remembered() -> None:
    """Only a right one counts."""
    room = Room(REMEMBERING)
    room.key_in()
    assert not room.guard.remembered(ANNA, HERE)


def test_a_changed_pin_is_asked_for_at_once() -> None:
    """With another record in the configuration the remembered PIN is the old one."""
    room = Room(REMEMBERING)
    room.key_in(PIN)
    changed = replace(ANNA, pin_hash=re.sub(r"..$", "xx", ANNA.pin_hash))
    assert not room.guard.remembered(changed, HERE)


def test_who_is_locked_out_is_not_remembered() -> None:
    """A lock-out from another phone ends what is remembered."""
    room = Room(REMEMBERING)
    room.key_in(PIN)
    for _ in range(3):
        room.key_in(endpoint="PJSIP/2001-mobile")
    assert not room.guard.remembered(ANNA, HERE)


def test_a_restart_remembers_nothing() -> None:
    """What is remembered is in memory only."""
    room = Room(REMEMBERING)
    room.key_in(PIN)
    assert not room.restart().remembered(ANNA, HERE)
