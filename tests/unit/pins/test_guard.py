"""How often a PIN may be wrong, and what is remembered of a right one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Literal

import pytest
from argon2 import PasswordHasher
from structlog.testing import capture_logs

from agi_monitor.errors import StateUnavailable
from agi_monitor.model import Locked, PinDue, Reason, Refusal, Supervisor
from agi_monitor.pins import records as pin_records
from agi_monitor.pins.costs import MAX_KINDS, Cost, in_force
from agi_monitor.pins.guard import Attempt, Claim, PinGuard, PinPolicy
from agi_monitor.pins.lock_outs import FORGET_SECONDS, Limit, Limits, LockOut
from agi_monitor.pins.records import PinRecord, is_old, make_hash, matches
from tests.doubles.coroutines import Pause, at_once, finish
from tests.doubles.desk import ANNA, BERT, NOW, PIN, PIN_HASH

POLICY = PinPolicy(
    attempts=3,
    limits=Limits(Limit(3, 60.0, 1000.0), Limit(5, 60.0, 1000.0), Limit(20, 10.0, 100.0)),
    costs=in_force([PIN_HASH]),
)
HERE, THERE = "PJSIP/2001", "PJSIP/2001-mobile"
PBX, OTHER_PBX = "192.0.2.1", "192.0.2.2"


class Memory:
    """A store in memory that can fail."""

    def __init__(self) -> None:
        self.kept: dict[str, LockOut] = {}
        self.fails = False

    def change(
        self, who: Sequence[str], decide: Callable[[Mapping[str, LockOut]], Mapping[str, LockOut]]
    ) -> Mapping[str, LockOut]:
        """Do it, or fail."""
        if self.fails:
            raise StateUnavailable("the disk is full")
        before = {one: self.kept[one] for one in who if one in self.kept}
        for one in who:
            self.kept.pop(one, None)
        self.kept.update(decide(before))
        return before


class Records:
    """PINs in memory, as people in a database have them."""

    def __init__(self, **kept: PinRecord) -> None:
        self.kept = kept
        self.asked: list[str] = []

    def read(self, supervisor_id: str) -> PinRecord | None:
        """What is kept."""
        self.asked.append(supervisor_id)
        return self.kept.get(supervisor_id)

    def replace(self, supervisor_id: str, before: PinRecord, after: PinRecord, by: str, at: float) -> bool:
        """Keep another one, unless it is no longer the same."""
        same = self.kept.get(supervisor_id) == before
        if same:
            self.kept[supervisor_id] = after
        return same


class Room:
    """A guard with its store and its clock."""

    def __init__(self, policy: PinPolicy = POLICY, records: Records | None = None) -> None:
        self.now = NOW
        self.set_by = 0.0
        """By how much the time of day was set."""
        self.store = Memory()
        self.policy = policy
        self.records = records
        self.guard = self.restart()

    @property
    def seconds(self) -> float:
        """Of the clock that only runs forward."""
        return self.now - self.set_by

    def set_clock(self, seconds: float) -> None:
        """Set the clock on the wall forward, or back."""
        self.now += seconds
        self.set_by += seconds

    def restart(self) -> PinGuard:
        """Start again with what the store holds."""
        self.guard = PinGuard(
            self.policy, self.store, lambda: self.now, lambda: self.seconds, at_once, at_once, Pause, self.records
        )
        return self.guard

    def key_in(
        self, digits: str = "0000", supervisor: Supervisor | None = ANNA, endpoint: str = HERE, peer: str = PBX
    ) -> object:
        """One attempt: what came of it, as a reason or the word ``right``."""
        claim = Claim(supervisor, endpoint, peer)
        attempt = finish(self.guard.count(claim))
        if isinstance(attempt, Refusal):
            return attempt.reason
        record = finish(self.guard.look(attempt, digits))
        if record is None:
            return WRONG
        self.guard.remember(claim, record)
        return RIGHT

    def locked_for(
        self, supervisor: Supervisor | None = ANNA, endpoint: str = HERE, peer: str = PBX
    ) -> dict[Locked, float]:
        """What is locked out, and for how many seconds."""
        found = finish(self.guard.locked(Claim(supervisor, endpoint, peer)))
        return {kind: until - self.now for kind, until in found.items()}

    def remembers(self, supervisor: Supervisor = ANNA, endpoint: str = HERE, peer: str = PBX) -> bool:
        """Whether no PIN is asked for."""
        return finish(self.guard.remembered(Claim(supervisor, endpoint, peer))) is not None


@pytest.fixture
def room() -> Room:
    """Nobody has been wrong yet."""
    return Room()


@pytest.fixture(autouse=True)
def cheap_records(monkeypatch: pytest.MonkeyPatch) -> None:
    """New records cost a moment instead of 100 ms; strangers cost what the others do."""
    monkeypatch.setattr(pin_records, "_hasher", PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))


RIGHT, WRONG, LOCKED = "right", Reason.PIN_WRONG, Reason.PIN_LOCKED


# ---- one supervisor ----------------------------------------------------------------------------------------


def test_the_right_pin_is_right(room: Room) -> None:
    """No refusal, and nothing is left in the store."""
    assert room.key_in(PIN) == RIGHT
    assert room.store.kept == {}


def test_locks_after_so_many_wrong_ones(room: Room) -> None:
    """The third wrong PIN locks; from then on not even the right one is looked at."""
    assert [room.key_in() for _ in range(3)] == [WRONG] * 3
    assert room.locked_for() == {Locked.SUPERVISOR: 60.0}
    assert [room.key_in(PIN), room.key_in()] == [LOCKED] * 2


def test_a_locked_attempt_is_not_counted(room: Room) -> None:
    """Trying while locked out does not make it longer."""
    for _ in range(20):
        room.key_in()
    assert room.locked_for() == {Locked.SUPERVISOR: 60.0}


def test_an_attempt_says_what_it_locks(room: Room) -> None:
    """Before its PIN is looked at, and only the one that sets it off."""
    locks: list[object] = []
    for _ in range(4):
        attempt = finish(room.guard.count(Claim(ANNA, HERE, PBX)))
        locks.append(attempt.locks if isinstance(attempt, Attempt) else attempt.reason)
        if isinstance(attempt, Attempt):
            finish(room.guard.look(attempt, "0000"))
    assert locks == [{}, {}, {Locked.SUPERVISOR: NOW + 60.0}, LOCKED]


def test_the_lock_ends(room: Room) -> None:
    """To the second; the right PIN then takes everything back."""
    for _ in range(3):
        room.key_in()
    room.now += 59.999
    assert room.key_in(PIN) == LOCKED
    room.now += 0.001
    assert room.key_in(PIN) == RIGHT
    assert room.store.kept == {}


def test_every_further_wrong_pin_doubles_the_lock_up_to_the_longest(room: Room) -> None:
    """60, 120, 240 … and never longer than the maximum, however often."""
    room.guard.policy = replace(POLICY, limits=replace(POLICY.limits, peer=Limit(1000, 10.0, 100.0)))
    locks = []
    for _ in range(10):
        while not room.locked_for():
            room.key_in()
        locks.append(max(room.locked_for().values()))
        room.now += locks[-1]
    assert locks == [60.0, 120.0, 240.0, 480.0, 960.0, 1000.0, 1000.0, 1000.0, 1000.0, 1000.0]


@pytest.mark.parametrize("jump", [30.0, 3_600.0, 2 * FORGET_SECONDS])
def test_a_clock_that_is_set_forward_shortens_no_lock_out(room: Room, jump: float) -> None:
    """As long as the server runs, it lasts its seconds, and the next wrong PIN doubles it."""
    for _ in range(3):
        room.key_in()
    room.now += 10.0
    room.set_clock(jump)
    assert room.locked_for() == {Locked.SUPERVISOR: 50.0}
    room.now += 49.0
    assert room.key_in(PIN) == LOCKED
    room.set_clock(jump)
    assert room.locked_for() == {Locked.SUPERVISOR: 1.0}
    room.now += 1.0
    assert room.key_in() == WRONG
    assert room.locked_for() == {Locked.SUPERVISOR: 120.0}


def test_a_clock_that_is_set_forward_forgets_no_wrong_pin(room: Room) -> None:
    """Two wrong ones, a day that was not one, and the third locks."""
    room.key_in()
    room.key_in()
    room.set_clock(2 * FORGET_SECONDS)
    room.key_in()
    assert room.locked_for() == {Locked.SUPERVISOR: 60.0}


def test_a_lock_out_that_is_ended_is_over_whatever_the_clock_says(room: Room) -> None:
    """The lock-out is lifted, on whatever server: the row is gone."""
    for _ in range(3):
        room.key_in()
    room.set_clock(30.0)
    room.store.kept.clear()
    assert room.key_in(PIN) == RIGHT


def test_a_clock_that_is_set_back_lengthens_a_lock_out(room: Room) -> None:
    """That is the safe way round; ``agi-monitor pin unlock`` ends it."""
    for _ in range(3):
        room.key_in()
    room.set_clock(-3_600.0)
    assert room.locked_for() == {Locked.SUPERVISOR: 3_660.0}


def test_old_mistakes_are_forgotten(room: Room) -> None:
    """Two wrong PINs of yesterday and one of today are not a lock-out; within a day they are."""
    room.key_in()
    room.key_in()
    room.now += FORGET_SECONDS - 1
    room.key_in()
    assert room.locked_for() == {Locked.SUPERVISOR: 60.0}
    other = Room()
    other.key_in()
    other.key_in()
    other.now += FORGET_SECONDS
    other.key_in()
    assert other.locked_for() == {}


def test_counts_for_the_supervisor_on_all_phones_and_servers(room: Room) -> None:
    """Trying from two phones, and over two PBXs, doubles nothing, and does not concern anybody else."""
    for endpoint, peer in ((HERE, PBX), (THERE, PBX), (HERE, OTHER_PBX)):
        room.key_in(endpoint=endpoint, peer=peer)
    assert room.key_in(PIN, endpoint=THERE) == LOCKED
    assert room.key_in(PIN, BERT, "PJSIP/2002") == RIGHT


def test_a_supervisor_is_no_strangers_phone(room: Room) -> None:
    """A supervisor whose id looks like a phone's name shares no count with that phone."""
    liar = replace(ANNA, id="endpoint:PJSIP/6666")
    for _ in range(3):
        room.key_in(supervisor=None, endpoint="PJSIP/6666")
    assert room.key_in(PIN, liar) == RIGHT


def test_without_a_pin_nobody_is_right() -> None:
    """Not even with the one of the record for unassigned phones."""
    nobody = replace(ANNA, pin_hash=None)
    assert Room().key_in(PIN, nobody) == WRONG
    assert Room(records=Records(anna=PinRecord(None))).key_in(PIN) == WRONG
    assert Room(records=Records()).key_in(PIN) == WRONG


# ---- a phone, and a PBX ------------------------------------------------------------------------------------


def test_a_right_pin_on_another_phone_does_not_let_this_one_go_on(room: Room) -> None:
    """Somebody at Anna's second phone guesses twice whenever she has been on her first one."""
    outcomes = []
    for _ in range(3):
        outcomes += [room.key_in(endpoint=THERE) for _ in range(2)]
        assert room.key_in(PIN) == RIGHT
    assert outcomes == [WRONG] * 5 + [LOCKED]
    assert room.locked_for(endpoint=THERE) == {Locked.ENDPOINT: 60.0}


@pytest.mark.parametrize("order", [(3, 5), (5, 3), (4, 4)])
def test_a_phone_of_nobody_is_locked_as_early_as_a_supervisors(order: tuple[int, int]) -> None:
    """And for as long: nobody learns from the lock-out whose phone it is."""
    supervisor, endpoint = order
    limits = Limits(Limit(supervisor, 60.0, 1000.0), Limit(endpoint, 60.0, 1000.0), Limit(1000, 10.0, 100.0))
    room = Room(replace(POLICY, limits=limits))
    for _ in range(12):
        known, unknown = room.key_in(), room.key_in(supervisor=None, endpoint="PJSIP/6666")
        assert known == unknown
        theirs = room.locked_for(None, "PJSIP/6666").values()
        assert max(room.locked_for().values(), default=None) == max(theirs, default=None)
        room.now += max(theirs, default=0.0)


def test_guessing_everybodys_pin_locks_the_pbx(room: Room) -> None:
    """One try at each of many phones: the twentieth locks all that come over this PBX, for a short while."""
    outcomes = [room.key_in(supervisor=None, endpoint=f"PJSIP/{number}") for number in range(25)]
    assert outcomes == [WRONG] * 20 + [LOCKED] * 5
    assert room.locked_for() == {Locked.PEER: 10.0}
    assert room.key_in(PIN) == LOCKED
    assert room.key_in(PIN, peer=OTHER_PBX) == RIGHT
    room.now += 10.0
    assert room.key_in(PIN) == RIGHT
    assert room.key_in(supervisor=None, endpoint="PJSIP/new") == WRONG
    assert room.locked_for() == {}


def test_the_lock_of_a_pbx_doubles_up_to_its_own_longest(room: Room) -> None:
    """While no call has a correct PIN."""
    locks = []
    for number in range(25):
        room.key_in(supervisor=None, endpoint=f"PJSIP/{number}")
        if room.locked_for():
            locks.append(room.locked_for()[Locked.PEER])
            room.now += locks[-1]
    assert locks == [10.0, 20.0, 40.0, 80.0, 100.0, 100.0]


def test_people_who_mistype_now_and_then_do_not_lock_a_busy_pbx(room: Room) -> None:
    """One right PIN in twenty takes the count of the PBX back."""
    for _ in range(10):
        for number in range(19):
            assert room.key_in(supervisor=None, endpoint=f"PJSIP/{number % 7}-{room.now}") == WRONG
        assert room.key_in(PIN) == RIGHT
        room.now += 1.0


# ---- what survives -----------------------------------------------------------------------------------------


def test_a_restart_gives_no_further_tries(room: Room) -> None:
    """Counts and locks are in the store before an attempt is answered."""
    for _ in range(3):
        room.key_in()
        room.restart()
    assert room.locked_for() == {Locked.SUPERVISOR: 60.0}
    assert room.key_in(PIN) == LOCKED


def test_without_a_store_no_pin_is_looked_at(room: Room) -> None:
    """An attempt that cannot be put on record fails; with the store everything continues as before."""
    room.key_in()
    room.store.fails = True
    for _ in range(3):
        with pytest.raises(StateUnavailable, match="the disk is full"):
            room.key_in(PIN)
        with pytest.raises(StateUnavailable, match="the disk is full"):
            room.locked_for()
    room.store.fails = False
    assert [room.key_in(), room.key_in(), room.key_in(PIN)] == [WRONG, WRONG, LOCKED]


def test_a_count_that_cannot_be_taken_back_lets_nobody_in(room: Room) -> None:
    """The store fails while the PIN is looked at."""
    attempt = finish(room.guard.count(Claim(ANNA, HERE, PBX)))
    assert isinstance(attempt, Attempt)
    room.store.fails = True
    with pytest.raises(StateUnavailable, match="the disk is full"):
        finish(room.guard.look(attempt, PIN))


# ---- records that are hashed again -------------------------------------------------------------------------

OLD = PinRecord(PasswordHasher(time_cost=2, memory_cost=8, parallelism=1).hash(PIN), NOW - 1_000.0, must_change=False)


def test_a_right_pin_with_an_old_record_is_hashed_again() -> None:
    """It is the same PIN, of the same age, in a record as a new one would be; the next time nothing is done."""
    records = Records(anna=OLD)
    room = Room(records=records)
    assert room.key_in() == WRONG
    assert records.kept["anna"] is OLD
    with capture_logs() as logs:
        assert [room.key_in(PIN), room.key_in(PIN)] == [RIGHT, RIGHT]
    renewed = records.kept["anna"]
    assert renewed.hash is not None
    assert (matches(renewed.hash, PIN), is_old(renewed.hash), renewed.hash == OLD.hash) == (True, False, False)
    assert (renewed.made, renewed.must_change) == (OLD.made, OLD.must_change)
    assert [(line["event"], line["supervisor"]) for line in logs] == [("pin_record_renewed", "anna")]


def test_a_pin_that_is_reset_while_its_record_is_renewed_stays_reset() -> None:
    """The administrator's record is not overwritten by one of the old PIN."""
    reset = PinRecord(make_hash("73946182"), NOW, must_change=True)

    class Reset(Records):
        def replace(self, supervisor_id: str, before: PinRecord, after: PinRecord, by: str, at: float) -> bool:
            self.kept["anna"] = reset
            return super().replace(supervisor_id, before, after, by, at)

    records = Reset(anna=OLD)
    assert Room(records=records).key_in(PIN) == WRONG
    assert records.kept["anna"] == reset


def test_a_record_that_another_call_has_renewed_is_the_one_that_counts() -> None:
    """Two calls with an old record at once: both are the supervisor's, by the record that is kept in the end."""
    other = PinRecord(make_hash(PIN), OLD.made)

    class Renewed(Records):
        def replace(self, supervisor_id: str, before: PinRecord, after: PinRecord, by: str, at: float) -> bool:
            self.kept["anna"] = other
            return super().replace(supervisor_id, before, after, by, at)

    room = Room(records=Renewed(anna=OLD))
    attempt = finish(room.guard.count(Claim(ANNA, HERE, PBX)))
    assert isinstance(attempt, Attempt)
    assert finish(room.guard.look(attempt, PIN)) == other


def test_an_old_record_in_the_configuration_is_told_once(room: Room) -> None:
    """It can be changed by the administrator only."""
    old = replace(ANNA, pin_hash=OLD.hash)
    with capture_logs() as logs:
        assert [room.key_in(PIN, old) for _ in range(3)] == [RIGHT] * 3
    assert [(line["event"], line["supervisor"]) for line in logs] == [("pin_record_old", "anna")]


def test_a_strangers_phone_is_looked_up_like_a_supervisors() -> None:
    """The store is asked as often for everyone."""
    asked = []
    for supervisor in (ANNA, None):
        records = Records(anna=PinRecord(PIN_HASH))
        room = Room(records=records)
        room.key_in(supervisor=supervisor)
        asked.append(len(records.asked))
    assert asked == [1, 1]


# ---- the work of a look --------------------------------------------------------------------------------------

NEWER = PinRecord(PasswordHasher(time_cost=1, memory_cost=16, parallelism=2).hash(PIN), NOW)


class Counting(PasswordHasher):
    """argon2 itself, that notes what it was asked to do."""

    def __init__(self) -> None:
        super().__init__(time_cost=1, memory_cost=8, parallelism=1)
        self.work: list[str] = []

    def verify(self, hash: str | bytes, password: str | bytes) -> Literal[True]:
        """Note the parameters of the record, and compare."""
        self.work.append(str(hash).split("$")[3])
        return super().verify(hash, password)


@pytest.mark.parametrize("in_store", [False, True])
def test_everybody_takes_the_same_work(monkeypatch: pytest.MonkeyPatch, in_store: bool) -> None:
    """An unassigned phone, a supervisor without a PIN, and supervisors whose records have other parameters: every
    wrong PIN is compared as often, with the same parameters, so time tells no callers apart."""
    people = {
        "usual": PinRecord(PIN_HASH, NOW),
        "old": OLD,
        "newer": NEWER,
        "without": PinRecord(None),
        "broken": PinRecord("$argon2id$v=19$m=9999999,t=999,p=1$c29tZXNhbHQ$" + "a" * 43, NOW),
    }
    policy = replace(POLICY, costs=in_force(record.hash for record in people.values()))
    hasher = Counting()
    monkeypatch.setattr(pin_records, "_hasher", hasher)
    room = Room(policy, Records(**people) if in_store else None)
    done = {}
    for name in [*people, None]:
        hasher.work.clear()
        pin_hash = None if name is None or in_store else people[name].hash
        supervisor = None if name is None else replace(ANNA, id=name, pin_hash=pin_hash)
        assert room.key_in(supervisor=supervisor, endpoint=f"PJSIP/{name}") == WRONG
        done[name] = sorted(hasher.work)
    assert set(map(tuple, done.values())) == {("m=16,t=1,p=2", "m=8,t=1,p=1", "m=8,t=2,p=1")}


def test_a_record_that_is_newer_than_the_policy_is_matched_by_everybody() -> None:
    """A PIN was set in the store a moment ago: from the first look on others take its work as well."""
    hasher = Counting()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pin_records, "_hasher", hasher)
        room = Room(records=Records(anna=NEWER))
        room.key_in()
        theirs, hasher.work = sorted(hasher.work), []
        room.key_in(supervisor=None)
        assert sorted(hasher.work) == theirs == ["m=16,t=1,p=2", "m=8,t=1,p=1"]
        room.guard.policy = replace(POLICY, costs=frozenset())
        hasher.work = []
        room.key_in(supervisor=None)
        assert hasher.work == ["m=65536,t=3,p=4"]


def test_records_of_ever_new_kinds_do_not_make_a_look_longer() -> None:
    """Records that were written into the store do not make all calls wait; a kind too many counts as none."""
    room = Room(replace(POLICY, costs=in_force(Cost(8 + number, 1, 1).dummy() for number in range(MAX_KINDS))))
    room.records = Records(anna=NEWER)
    room.restart()
    hasher = Counting()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pin_records, "_hasher", hasher)
        assert room.key_in(PIN) == WRONG
    assert len(hasher.work) == MAX_KINDS


# ---- a PIN that has to be changed --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("record", "due"),
    [
        (PinRecord(PIN_HASH, NOW - 86_399.0), None),
        (PinRecord(PIN_HASH, NOW - 86_400.0), PinDue.EXPIRED),
        (PinRecord(PIN_HASH, None), PinDue.EXPIRED),
        (PinRecord(PIN_HASH, NOW, must_change=True), PinDue.ASKED),
        (PinRecord(PIN_HASH, None, must_change=True), PinDue.ASKED),
    ],
)
def test_a_pin_is_due_when_it_is_old_or_somebody_asks(record: PinRecord, due: PinDue | None) -> None:
    """To the second; one of an unknown age is as old as can be."""
    assert replace(POLICY, max_age=86_400.0).due(record, NOW) == due


@pytest.mark.parametrize(("ahead", "due"), [(86_399.0, None), (86_401.0, PinDue.EXPIRED)])
def test_a_pin_of_the_future_has_no_known_age(ahead: float, due: PinDue | None) -> None:
    """It was made by a clock that was wrong by more than a day, and would be good for so much longer."""
    assert replace(POLICY, max_age=86_400.0).due(PinRecord(PIN_HASH, NOW + ahead), NOW) == due


def test_a_clock_that_is_set_back_makes_no_pin_younger() -> None:
    """As long as the server runs."""
    room = Room(replace(POLICY, max_age=86_400.0))
    record = PinRecord(PIN_HASH, NOW)
    room.now += 86_399.0
    room.set_clock(-3_600.0)
    assert room.guard.due(record) is None
    room.now += 1.0
    assert room.guard.due(record) is PinDue.EXPIRED
    room.set_clock(7_200.0)
    assert room.guard.due(record) is PinDue.EXPIRED


def test_without_a_longest_age_no_pin_is_too_old() -> None:
    """Another one may still be asked for."""
    assert POLICY.due(PinRecord(PIN_HASH, 0.0), NOW) is None
    assert POLICY.due(PinRecord(PIN_HASH, NOW, must_change=True), NOW) is PinDue.ASKED


# ---- a PIN that is remembered ------------------------------------------------------------------------------

REMEMBERING = replace(POLICY, remember_seconds=600.0)


def test_remembers_a_right_pin_for_a_while() -> None:
    """For this supervisor, this phone and this time, and not at all unless it is wanted."""
    room = Room(REMEMBERING)
    room.key_in(PIN)
    assert room.remembers()
    assert not room.remembers(endpoint=THERE)
    assert not room.remembers(BERT)
    room.now += 600.0
    assert not room.remembers()


def test_a_pin_is_remembered_for_one_pbx() -> None:
    """Another one may have a phone of the same name, and another program can claim it."""
    room = Room(REMEMBERING)
    room.key_in(PIN)
    assert not room.remembers(peer=OTHER_PBX)


def test_all_addresses_of_one_pbx_are_one() -> None:
    """As for attempts: the loopback, and a network that one machine has."""
    room = Room(REMEMBERING)
    room.key_in(PIN, peer="127.0.0.1")
    assert room.remembers(peer="::1")


@pytest.mark.parametrize("jump", [-3_600.0, -600.0, 300.0, 3_600.0])
def test_no_clock_lengthens_what_is_remembered(jump: float) -> None:
    """Set back by an hour, or forward: it never counts for longer than it would have."""
    room = Room(REMEMBERING)
    room.key_in(PIN)
    room.set_clock(jump)
    assert room.remembers() == (jump < 600.0)
    room.now += 599.0
    assert room.remembers() == (jump < 0.0)
    room.now += 1.0
    assert not room.remembers()


def test_a_shorter_time_holds_at_once() -> None:
    """Also for PINs that were given before the reload."""
    room = Room(REMEMBERING)
    room.key_in(PIN)
    room.now += 60.0
    room.guard.policy = replace(REMEMBERING, remember_seconds=60.0)
    assert not room.remembers()


def test_remembers_nothing_by_default(room: Room) -> None:
    """Every call asks."""
    room.key_in(PIN)
    assert not room.remembers()


def test_a_wrong_pin_is_not_remembered() -> None:
    """Only a right one counts."""
    room = Room(REMEMBERING)
    room.key_in()
    assert not room.remembers()


def test_a_changed_pin_is_asked_for_at_once() -> None:
    """With another record in the configuration, or in the store, the remembered PIN is the old one."""
    room = Room(REMEMBERING)
    room.key_in(PIN)
    assert not room.remembers(replace(ANNA, pin_hash=make_hash(PIN)))
    records = Records(anna=PinRecord(PIN_HASH, NOW))
    other = Room(REMEMBERING, records)
    other.key_in(PIN)
    assert other.remembers()
    records.kept["anna"] = PinRecord(make_hash(PIN), NOW)
    assert not other.remembers()


def test_a_pin_that_became_due_is_asked_for() -> None:
    """It does not last longer because it is remembered."""
    records = Records(anna=PinRecord(PIN_HASH, NOW))
    room = Room(REMEMBERING, records)
    room.key_in(PIN)
    records.kept["anna"] = PinRecord(PIN_HASH, NOW, must_change=True)
    assert not room.remembers()


def test_who_is_locked_out_is_not_remembered() -> None:
    """A lock-out from another phone ends what is remembered."""
    room = Room(REMEMBERING)
    room.key_in(PIN)
    for _ in range(3):
        room.key_in(endpoint=THERE)
    assert not room.remembers()


def test_a_restart_remembers_nothing() -> None:
    """What is remembered is in memory only."""
    room = Room(REMEMBERING)
    room.key_in(PIN)
    room.restart()
    assert not room.remembers()
