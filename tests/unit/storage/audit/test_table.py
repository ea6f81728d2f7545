"""The audit in the database: what is written, by how many, and what breaks."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from agi_monitor.audit.chain import CHECKPOINT_RECORDS, CHECKPOINT_SECONDS, body_of
from agi_monitor.errors import AuditInDoubt, AuditUnavailable, StateUnavailable
from agi_monitor.storage import database as module
from agi_monitor.storage.audit import table_reading
from agi_monitor.storage.audit.sinks import AuditSinks
from agi_monitor.storage.audit.table import AuditTable
from agi_monitor.storage.audit.table_reading import nodes
from agi_monitor.storage.database import Database, file_url
from contrib.lab.postgresql import PostgreSQL
from tests.doubles.audit_desk import NODE, Desk, full, large
from tests.doubles.audit_writer import refusal, spy
from tests.doubles.coroutines import at_once, finish

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def desk(database: Database, tmp_path: Path) -> Iterator[Desk]:
    """An empty audit; what it logs is kept out of the output."""
    (tmp_path / "state").mkdir()
    with capture_logs():
        yield Desk(database, tmp_path / "state")


# ---- records -------------------------------------------------------------------------------------------------


def test_a_record_is_the_line_of_the_file(desk: Desk) -> None:
    """Byte for byte, with what it is found by beside it."""
    desk.append(refusal("ü\0\u2028"), spy("2"))
    (one, _, line), *_ = desk.rows()
    assert (one, json.loads(line)["call"], json.loads(line)["prev"]) == (1, "ü\0\u2028", "0" * 64)
    assert desk.facts() == ["refused", "spy_started"]
    assert desk.verify().findings == ()


def test_runs_are_one_chain(desk: Desk) -> None:
    """A server that is killed or stops, and starts again, continues where it was."""
    for number in range(3):
        desk.append(refusal(f"{number}"), spy(f"{number}"))
        if number == 1:
            desk.close()
        desk.start()
    verdict = desk.verify()
    assert (verdict.findings, verdict.notes, verdict.records) == ((), (), 7)


def test_each_node_has_its_chain(database: Database, desk: Desk, tmp_path: Path) -> None:
    """And its numbers, and its end."""
    (tmp_path / "two").mkdir()
    other = Desk(database, tmp_path / "two", "two")
    for number in range(3):
        desk.append(refusal(f"{number}"))
        other.append(spy(f"{number}"))
    assert nodes(database) == [NODE, "two"]
    assert [seq for seq, *_ in desk.rows()] == [seq for seq, *_ in other.rows()] == [1, 2, 3]
    assert (desk.found(), other.found()) == ([], [])


def test_several_writers_of_one_node_keep_one_chain(desk: Desk) -> None:
    """Also without knowing of each other."""

    def write(writer: int) -> None:
        sink = AuditTable(desk.database, NODE, signer=desk.key)
        for number in range(20):
            fact = refusal(f"{writer}.{number}")
            sink.write(body_of(fact.record()), fact.at)

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(write, range(4)))
    calls = [json.loads(line).get("call") for _, fact, line in desk.rows() if fact == "refused"]
    assert sorted(calls) == sorted(f"{writer}.{number}" for writer in range(4) for number in range(20))
    for writer in range(4):
        assert [call for call in calls if call.startswith(f"{writer}.")] == [f"{writer}.{n}" for n in range(20)]
    assert desk.found() == []


def test_checkpoints_come_by_number_and_by_time(desk: Desk) -> None:
    """The table knows how many records are unsigned, so that another run need not sign at once."""
    with capture_logs() as logged:
        desk.append(*(refusal(f"{number}") for number in range(CHECKPOINT_RECORDS - 1)))
        desk.start()
        desk.append(refusal("last"), refusal("first"))
        assert [fact for _, fact, _ in desk.rows()][-3:] == ["refused", "checkpoint", "refused"]
        at = datetime.now(UTC)
        finish(desk.audit.checkpoint(at))
        finish(desk.audit.checkpoint(at + timedelta(seconds=CHECKPOINT_SECONDS)))
        finish(desk.audit.checkpoint(at + timedelta(seconds=CHECKPOINT_SECONDS)))
        assert [fact for _, fact, _ in desk.rows()].count("checkpoint") == 2
        desk.append(refusal("3"))
        desk.close()
    assert [fact for _, fact, _ in desk.rows()].count("checkpoint") == 3
    assert [line["event"] for line in logged] == ["audit_checkpoint"] * 3
    verdict = desk.verify()
    assert (logged[-1]["seq"], logged[-1]["hash"]) == (verdict.head.seq, verdict.head.hash)
    assert logged[-1]["where"] == f"{desk.database.shown}, node {NODE}"


# ---- what breaks ---------------------------------------------------------------------------------------------


@contextmanager
def locked(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Another program holds what is needed, and does not end."""
    url = desk.database.url.render_as_string(hide_password=False).replace("+psycopg", "")
    other = Database(url)
    monkeypatch.setattr(module, "BUSY_SECONDS", 0.1)
    monkeypatch.setattr(module, "STATEMENT_SECONDS", 1)
    desk.database = Database(url)
    desk.start()
    with other.transaction() as connection:
        if not other.is_sqlite:
            connection.exec_driver_sql("LOCK TABLE audit_chain IN ACCESS EXCLUSIVE MODE")
        yield
    other.close()


@pytest.mark.parametrize("trouble", ["full", "locked"])
def test_what_cannot_be_written_waits_or_is_refused(
    desk: Desk, trouble: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk, a locked database: nothing is lost, no spy without a record, and no number is left out."""
    desk.append(refusal("1"))
    with full(desk.database) if trouble == "full" else locked(desk, monkeypatch):
        desk.append(refusal(large("2")), refusal("3"))
        with pytest.raises(AuditUnavailable, match=r"disk is full|did not answer in time|has been writing"):
            desk.append(spy(large("4")))
        assert desk.audit.waiting == 2
        assert [json.loads(line)["call"][0] for line in desk.audit.unwritten()] == ["2", "3"]
        with pytest.raises(AuditUnavailable):
            finish(desk.audit.write_waiting())
    desk.append(spy("5"))
    assert [json.loads(line)["call"][0] for *_, line in desk.rows()] == ["1", "2", "3", "5"]
    assert (desk.audit.waiting, desk.found()) == (0, [])
    if trouble == "locked":
        desk.database.close()


def test_a_server_that_is_gone_comes_back(tmp_path: Path) -> None:
    """As with a full disk; and one that was killed in the middle of a transaction leaves nothing half."""
    with PostgreSQL() as cluster, capture_logs():
        desk = Desk(Database(cluster.database()), tmp_path)
        desk.database.upgrade()
        desk.append(refusal("1"))
        cluster.stop()
        desk.append(refusal("2"), refusal("3"))
        with pytest.raises(AuditUnavailable):
            desk.append(spy("4"))
        cluster.start()
        finish(desk.audit.write_waiting())
        desk.append(spy("5"))
        calls = [json.loads(line).get("call") for _, fact, line in desk.rows() if fact != "checkpoint"]
        assert (calls, desk.found()) == (["1", "2", "3", "5"], [])
        desk.database.close()


def test_not_every_fact_tries_again_what_is_slow_to_fail(desk: Desk) -> None:
    """Each try may take seconds: what waits is tried with the next that gates, or by the clock."""
    with full(desk.database):
        with capture_logs() as logged:
            desk.append(refusal(large("1")), refusal("2"), refusal("3"))
        assert [line["event"] for line in logged] == ["audit_write_failed"]
    desk.append(refusal("4"))
    assert desk.audit.waiting == 4
    finish(desk.audit.write_waiting())
    assert desk.facts() == ["refused"] * 4


@contextmanager
def unanswered(desk: Desk, *, done: bool) -> Iterator[None]:
    """The answer to COMMIT is lost, and what was to be done is done or not."""
    transaction = Database.transaction

    @contextmanager
    def lost(database: Database) -> Iterator[object]:
        with transaction(database) as connection:
            yield connection
            if not done:
                connection.rollback()
        raise StateUnavailable("the connection is gone")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Database, "transaction", lost)
        yield


@pytest.mark.parametrize("done", [True, False])
def test_a_lost_answer_writes_nothing_twice(desk: Desk, done: bool) -> None:
    """The record is looked for before it is written again."""
    desk.append(refusal("1"))
    with unanswered(desk, done=done):
        desk.append(refusal("2"))
        assert desk.audit.waiting == 1
    finish(desk.audit.write_waiting())
    desk.append(refusal("3"))
    assert [json.loads(line)["call"] for *_, line in desk.rows()] == ["1", "2", "3"]
    assert desk.found() == []


@pytest.mark.parametrize("done", [True, False])
def test_a_grant_with_a_lost_answer_is_refused_and_ends(desk: Desk, done: bool) -> None:
    """It may be on record, so it is, with the end of a spy that never began."""
    with unanswered(desk, done=done), pytest.raises(AuditInDoubt):
        desk.append(spy("1"))
    finish(desk.audit.write_waiting())
    assert desk.facts() == ["spy_started", "spy_ended"]
    assert json.loads(desk.rows()[-1][2])["why"] == "never_began"
    assert desk.found() == []


def test_a_lost_answer_and_another_writer(desk: Desk) -> None:
    """Another server of this node has its number already: it gets another one."""
    with unanswered(desk, done=False):
        desk.append(refusal("1"))
    other = AuditSinks([AuditTable(desk.database, NODE)], at_once)
    finish(other.append(refusal("2")))
    finish(desk.audit.write_waiting())
    assert [json.loads(line)["call"] for *_, line in desk.rows()] == ["2", "1"]
    assert desk.found() == []


# ---- what others did -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_new_run", [True, False])
def test_a_cut_chain_stays_missed(desk: Desk, is_new_run: bool) -> None:
    """Records are removed, and the end is set back as well: the state folder knows better."""
    desk.append(*(refusal(f"{number}") for number in range(3)))
    first = desk.verify().head
    desk.append(*(refusal(f"{number}") for number in range(3, 6)))
    desk.put(desk.rows()[:3])
    desk.set_chain(first.seq, first.hash)
    assert desk.found() == [("missing", 4, 6)]
    if is_new_run:
        desk.start()
    with capture_logs() as logged:
        desk.append(spy("7"))
    assert logged[0]["event"] == "audit_table_changed"
    assert desk.found() == [("missing", 4, 6)]
    assert desk.rows()[-1][0] >= 7


def test_a_record_behind_the_end_is_found_and_stays_found(desk: Desk, database: Database) -> None:
    """Someone who knows how the chain is made adds one; the server continues after it, and the break is seen."""
    desk.append(refusal("1"))
    chain = desk.chain()
    assert chain is not None
    AuditTable(database, NODE).write(body_of(refusal("forged").record()), NOW)
    desk.set_chain(*chain)
    assert desk.found() == [("inserted", 2, 2)]
    with capture_logs() as logged:
        desk.append(spy("2"))
    assert logged[0]["event"] == "audit_table_changed"
    assert desk.found() == [("changed", 2, 2)]


def test_a_lost_end_goes_on_where_the_records_end(desk: Desk) -> None:
    """And is missed until then; without the state folder, the records are believed."""
    desk.append(refusal("1"), refusal("2"))
    desk.forget_chain()
    assert desk.found() == [("missing", None, None)]
    sink = AuditSinks([AuditTable(desk.database, NODE, signer=desk.key)], at_once)
    finish(sink.append(spy("3")))
    assert (desk.found(), desk.verify().head.seq) == ([], 3)


def test_all_that_is_gone_is_missed(desk: Desk) -> None:
    """Both tables are emptied: the state folder knows that there was something."""
    desk.append(refusal("1"), refusal("2"))
    desk.put([])
    desk.forget_chain()
    assert desk.found() == [("missing", 1, 2)]
    assert desk.found(with_state=False) == []


def test_a_page_has_a_bound_of_bytes(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows of any length may stand in the table; all are read, some at a time."""
    monkeypatch.setattr(table_reading, "PAGE_BYTES", 2_000)
    desk = Desk(database, tmp_path)
    rows = [(number, "refused", "x" * 900) for number in range(1, 12)]
    desk.put(rows)
    found = table_reading.page(database, desk.node, None)
    assert (len(found.rows), found.full) == (3, True)
    assert desk.rows() == rows


def test_a_row_of_another_type_is_named(tmp_path: Path) -> None:
    """SQLite keeps bytes in a column of text."""
    with closing(Database(file_url(tmp_path))) as database:
        database.upgrade()
        desk = Desk(database, tmp_path)
        desk.put([(1, "refused", "x")])
        with closing(sqlite3.connect(tmp_path / module.FILE)) as other:
            kept = other.execute("SELECT sql FROM sqlite_master WHERE type = 'trigger'").fetchone()[0]
            other.executescript("DROP TRIGGER audit_record_is_never_changed; UPDATE audit_record SET line = x'ff'")
            other.execute(kept)
        with pytest.raises(AuditUnavailable, match="was not written by agi-monitor"):
            desk.rows()
