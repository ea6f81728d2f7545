"""Lock-outs in the database, on SQLite and PostgreSQL: kept, shared between servers, and bounded."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import pytest
from sqlalchemy import Connection, event, func, select, text

from agi_monitor.errors import StateUnavailable
from agi_monitor.model import Locked, Reason, Refusal
from agi_monitor.pins.guard import Attempt, Claim, PinGuard, PinPolicy
from agi_monitor.pins.lock_outs import FORGET_SECONDS, Limit, Limits, LockOut
from agi_monitor.storage import database as database_module
from agi_monitor.storage import lock_out_table
from agi_monitor.storage.database import FILE, Database, file_url
from agi_monitor.storage.lock_out_table import Ended, LockOutTable
from agi_monitor.storage.schema import lock_out
from contrib.lab.postgresql import PostgreSQL
from tests.doubles.coroutines import Pause, at_once, finish
from tests.doubles.desk import ANNA, NOW, PIN

Result = TypeVar("Result")

ANNAS, PHONE, PBX = "supervisor:anna", "endpoint:PJSIP/2001", "peer:192.0.2.1"
ROWS = {ANNAS: LockOut(3, NOW + 0.25, NOW + 60.25), PHONE: LockOut(1, NOW + 1.0, 0.0)}

POLICY = PinPolicy(attempts=3, limits=Limits(Limit(3, 60.0, 1e3), Limit(5, 60.0, 1e3), Limit(30, 10.0, 100.0)))


@pytest.fixture
def table(database: Database) -> LockOutTable:
    """Nobody has been wrong yet."""
    return LockOutTable(database)


@contextmanager
def opened(url: str) -> Iterator[Database]:
    """A database that is closed again."""
    database = Database(url)
    try:
        yield database
    finally:
        database.close()


def put(table: LockOutTable, rows: Mapping[str, LockOut]) -> Mapping[str, LockOut]:
    """Put rows on record, and return those that were there before."""
    return table.change(list(rows), lambda before: rows)


def read(table: LockOutTable, *who: str) -> Mapping[str, LockOut]:
    """What is on record."""
    return table.change(who, lambda before: before)


def count(database: Database) -> int:
    """How many rows there are."""
    with database.transaction() as connection:
        return connection.execute(select(func.count()).select_from(lock_out)).scalar_one()


def again(before: Mapping[str, LockOut]) -> Mapping[str, LockOut]:
    """One more wrong PIN of Anna's."""
    return {ANNAS: LockOut(before.get(ANNAS, LockOut()).failures + 1, NOW, 0.0)}


# ---- rows ----------------------------------------------------------------------------------------------------


def test_keeps_what_was_decided(table: LockOutTable) -> None:
    """To the last digit, and tells what was there before; others are left alone."""
    assert put(table, ROWS) == {}
    assert put(table, {PBX: LockOut(7, NOW, 0.0)}) == {}
    assert read(table, ANNAS, PHONE, "supervisor:bert") == ROWS
    assert table.change([ANNAS], again) == {ANNAS: ROWS[ANNAS]}
    assert read(table, ANNAS, PHONE, PBX) == {
        ANNAS: LockOut(4, NOW, 0.0),
        PHONE: ROWS[PHONE],
        PBX: LockOut(7, NOW, 0.0),
    }


def test_what_is_left_out_is_removed(table: LockOutTable, database: Database) -> None:
    """Of those that were asked for."""
    put(table, {**ROWS, PBX: LockOut(7, NOW, 0.0)})
    assert table.change([ANNAS, PHONE], lambda before: {}) == ROWS
    assert read(table, ANNAS, PHONE, PBX) == {PBX: LockOut(7, NOW, 0.0)}
    assert count(database) == 1


def test_a_decision_that_breaks_changes_nothing(table: LockOutTable) -> None:
    """Nor does it hold up anyone else."""
    put(table, ROWS)

    def broken(_: Mapping[str, LockOut]) -> Mapping[str, LockOut]:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        table.change([ANNAS, PHONE], broken)
    assert read(table, ANNAS, PHONE) == ROWS


def test_nobody_comes_between_reading_and_writing(url: str, table: LockOutTable) -> None:
    """Two servers, each with several threads, count forty wrong PINs as forty, also where there was no row yet and
    others remove it meanwhile."""
    removed: list[int] = []

    def work(number: int) -> None:
        mine = LockOutTable(servers[number % 2])
        if number % 5:
            mine.change([ANNAS, PHONE, f"peer:{number}"], again)
        else:
            removed.append(sum(one.failures for one in mine.change([PHONE, ANNAS], lambda before: {}).values()))

    with opened(url) as one, opened(url) as other:
        servers = (one, other)
        with ThreadPoolExecutor(8) as threads:
            list(threads.map(work, range(50)))
    left = read(table, ANNAS).get(ANNAS, LockOut()).failures
    assert sum(removed) + left == 40


# ---- what is forgotten ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [Locked.ENDPOINT, Locked.PEER])
def test_strangers_are_remembered_up_to_a_number(
    table: LockOutTable, database: Database, monkeypatch: pytest.MonkeyPatch, kind: Locked
) -> None:
    """Another one pushes out the one who tried longest ago, never a supervisor, and none of another kind."""
    monkeypatch.setattr(lock_out_table, "MAX_STRANGERS", 5)
    others = {f"supervisor:{number}": LockOut(1, NOW - 1_000.0, 0.0) for number in range(9)}
    put(table, {**others, PHONE: LockOut(1, NOW - 900.0, 0.0), PBX: LockOut(1, NOW - 900.0, 0.0)})
    for number in range(5):
        put(table, {f"{kind}:{number}": LockOut(1, NOW + number, 0.0)})
    put(table, {f"{kind}:0": LockOut(2, NOW + 10.0, 0.0)})
    put(table, {f"{kind}:new": LockOut(1, NOW + 11.0, 0.0)})
    kept = read(table, *(f"{kind}:{number}" for number in range(5)), f"{kind}:new")
    assert set(kept) == {f"{kind}:{number}" for number in (0, 2, 3, 4)} | {f"{kind}:new"}
    assert count(database) == 9 + 1 + 5


def test_what_no_longer_counts_is_removed(table: LockOutTable, database: Database) -> None:
    """A day after it ended, when another is wrong: those who left are not kept for ever."""
    put(table, {"supervisor:gone": LockOut(9, NOW, NOW + 1.0), ANNAS: LockOut(9, NOW, NOW + 3.0)})
    later = NOW + FORGET_SECONDS + 2.0
    put(table, {"endpoint:PJSIP/1": LockOut(1, later, 0.0)})
    assert set(read(table, "supervisor:gone", ANNAS)) == {ANNAS}
    assert count(database) == 2


# ---- several servers -----------------------------------------------------------------------------------------


def guard(database: Database, looks: list[object] | None = None) -> PinGuard:
    """A server's, that notes every look at a PIN."""

    async def hashing(function: Callable[[], Result], /) -> Result:
        if looks is not None:
            looks.append(None)
        return function()

    return PinGuard(POLICY, LockOutTable(database), lambda: NOW, lambda: 0.0, hashing, at_once, Pause)


def key_in(pins: PinGuard, digits: str, endpoint: str = "PJSIP/2001", peer: str = "192.0.2.1") -> str:
    """One attempt: what came of it."""
    attempt = finish(pins.count(Claim(ANNA, endpoint, peer)))
    if isinstance(attempt, Refusal):
        return attempt.reason
    return Reason.PIN_WRONG if finish(pins.look(attempt, digits)) is None else "right"


def test_two_servers_share_lock_outs(url: str, database: Database) -> None:
    """What one of them counts holds on the other at once, and so does what it takes back."""
    with opened(url) as other:
        one, two = guard(database), guard(other)
        assert [key_in(one, "0000"), key_in(two, "0000")] == [Reason.PIN_WRONG] * 2
        assert key_in(one, PIN) == "right"
        assert [key_in(pins, "0000") for pins in (one, two, one, two)] == [Reason.PIN_WRONG] * 3 + [Reason.PIN_LOCKED]
        assert key_in(one, PIN) == Reason.PIN_LOCKED


def test_fifty_servers_at_once_look_no_more_often_than_one(url: str, database: Database) -> None:
    """All at the same time, over several phones and PBXs: the PIN is looked at as often as for one channel that
    tries fifty times."""
    alone: list[object] = []
    one_channel = [key_in(guard(database, alone), "0000", "PJSIP/1") for _ in range(50)]
    LockOutTable(database).change([ANNAS, "endpoint:PJSIP/1", PBX], lambda before: {})

    looks: list[object] = []
    with opened(url) as first, opened(url) as second, ThreadPoolExecutor(50) as threads:
        databases = first, second
        tries = [
            threads.submit(
                key_in, guard(databases[number % 2], looks), "0000", f"PJSIP/{number % 7}", f"192.0.2.{number % 3}"
            )
            for number in range(50)
        ]
        outcomes = [one.result() for one in tries]
    assert len(looks) == len(alone) == POLICY.limits.supervisor.after
    assert sorted(outcomes) == sorted(one_channel) == [Reason.PIN_LOCKED] * 47 + [Reason.PIN_WRONG] * 3


def test_a_restart_keeps_them(url: str, database: Database) -> None:
    """Another process, with the same database."""
    for _ in range(3):
        key_in(guard(database), "0000")
    database.close()
    with opened(url) as later:
        later.upgrade()
        assert key_in(guard(later), PIN) == Reason.PIN_LOCKED


# ---- what breaks ---------------------------------------------------------------------------------------------


def test_a_database_that_is_locked_accepts_no_pin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another program writes and does not end; when it does, PINs are accepted again and nothing was counted."""
    monkeypatch.setattr(database_module, "BUSY_SECONDS", 0.1)
    looks: list[object] = []
    with opened(file_url(tmp_path)) as database, opened(file_url(tmp_path)) as other:
        database.upgrade()
        pins = guard(database, looks)
        with other.transaction(), pytest.raises(StateUnavailable, match="another program has been writing"):
            key_in(pins, PIN)
        assert looks == []
        assert (key_in(pins, PIN), count(database)) == ("right", 0)


def test_a_lock_out_that_another_server_holds_accepts_no_pin(
    postgresql: PostgreSQL, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It hangs in the middle; the wait has an end, and another's PIN is not concerned."""
    monkeypatch.setattr(database_module, "STATEMENT_SECONDS", 1)
    url = postgresql.database()
    looks: list[object] = []
    with opened(url) as database, opened(url) as other:
        database.upgrade()

        def hangs(before: Mapping[str, LockOut]) -> Mapping[str, LockOut]:
            with pytest.raises(StateUnavailable, match=r"did not answer in time|locked by another program"):
                key_in(guard(database, looks), PIN)
            put(LockOutTable(database), {"supervisor:bert": LockOut(1, NOW, 0.0)})
            return before

        LockOutTable(other).change([ANNAS], hangs)
        assert looks == []
        assert key_in(guard(database), PIN) == "right"


def test_a_full_disk_accepts_no_pin(tmp_path: Path) -> None:
    """SQLite is told that the disk ends here; with room again PINs are accepted."""
    looks: list[object] = []
    with opened(file_url(tmp_path)) as database:
        database.upgrade()
        pins = guard(database, looks)
        full = True

        @event.listens_for(database._engine, "begin")
        def ends_here(connection: Connection) -> None:
            if full:
                pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
                connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")

        filling = 0
        with pytest.raises(StateUnavailable, match="the disk is full; make room"):
            while True:
                # Each on a server of its own: one server counts no more at a time than it hashes.
                attempt = finish(guard(database).count(Claim(None, f"{filling:0180}", f"{filling:0180}")))
                assert isinstance(attempt, Attempt)
                filling += 1
        full = False
        assert looks == []
        assert (key_in(pins, PIN), count(database)) == ("right", 2 * filling)


def test_a_database_that_is_gone_accepts_no_pin(tmp_path: Path) -> None:
    """Its file was moved away; when it is back everything counts as before."""
    looks: list[object] = []
    with opened(file_url(tmp_path)) as database:
        database.upgrade()
        pins = guard(database, looks)
        assert [key_in(pins, "0000") for _ in range(2)] == [Reason.PIN_WRONG] * 2
        away = tmp_path / "away"
        (tmp_path / FILE).rename(away)
        with pytest.raises(StateUnavailable):
            key_in(pins, PIN)
        with pytest.raises(StateUnavailable):
            finish(pins.locked(Claim(ANNA, "PJSIP/2001", "192.0.2.1")))
        assert len(looks) == 2
        away.rename(tmp_path / FILE)
        assert [key_in(pins, "0000"), key_in(pins, PIN)] == [Reason.PIN_WRONG, Reason.PIN_LOCKED]


def test_a_server_that_is_gone_accepts_no_pin() -> None:
    """PostgreSQL ends as in a power cut, and comes back with what it had."""
    looks: list[object] = []
    with PostgreSQL() as cluster, opened(cluster.database()) as database:
        database.upgrade()
        pins = guard(database, looks)
        assert [key_in(pins, "0000") for _ in range(2)] == [Reason.PIN_WRONG] * 2
        cluster.stop()
        for _ in range(2):
            with pytest.raises(StateUnavailable):
                key_in(pins, PIN)
        assert len(looks) == 2
        cluster.start()
        assert [key_in(pins, "0000"), key_in(pins, PIN)] == [Reason.PIN_WRONG, Reason.PIN_LOCKED]


# ---- lifting a lock-out ----------------------------------------------------------------------------------

AT = datetime(2026, 11, 25, 10, 0, tzinfo=UTC)


def test_whoever_lets_somebody_try_again_is_on_record(table: LockOutTable) -> None:
    """With what was forgotten, of each name; where there was nothing there is no row."""
    put(table, ROWS)
    assert table.last_end() == 0
    assert table.end([ANNAS, PHONE, PBX], "eva as root", AT) == ROWS
    assert read(table, ANNAS, PHONE) == {}
    assert table.end([ANNAS, PHONE, PBX], "eva as root", AT) == {}
    first, second = table.ends_since(0)
    assert (first, second) == (Ended(1, AT, "eva as root", PHONE, 1), Ended(2, AT, "eva as root", ANNAS, 3))
    assert (table.ends_since(1), table.last_end()) == ((second,), 2)


def test_an_end_that_cannot_be_kept_is_none(table: LockOutTable, database: Database) -> None:
    """No lock-out is lifted without a record of who did it."""
    put(table, ROWS)
    with database.transaction() as connection:
        connection.execute(text("DROP TABLE lock_out_end"))
    with pytest.raises(StateUnavailable):
        table.end([ANNAS], "root", AT)
    assert read(table, ANNAS) == {ANNAS: ROWS[ANNAS]}


def test_two_who_end_the_same_lock_out(table: LockOutTable) -> None:
    """One of them did, however close they are."""
    put(table, ROWS)
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda number: table.end([ANNAS, PHONE], f"eva {number}", AT), range(4)))
    assert sorted(map(len, found)) == [0, 0, 0, 2]
    assert len({one.by for one in table.ends_since(0)}) == 1
