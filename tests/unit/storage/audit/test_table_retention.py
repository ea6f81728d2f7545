"""Old records go from the database in one step, what is held stays, and the chain continues through what is gone."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete
from structlog.testing import capture_logs

from agi_monitor.audit.chain import Signer, body_of, removed
from agi_monitor.audit.selection import Selection
from agi_monitor.errors import AuditUnavailable
from agi_monitor.storage.audit import retention, table_reading
from agi_monitor.storage.audit import seen as audit_seen
from agi_monitor.storage.audit.reading import Line
from agi_monitor.storage.audit.retention import Order, Outcome, retain_stored, signed_by
from agi_monitor.storage.audit.seen import Seen
from agi_monitor.storage.audit.table_reading import stored
from agi_monitor.storage.database import Database
from agi_monitor.storage.schema import audit_record
from tests.doubles.audit_desk import Desk
from tests.doubles.audit_lines import BEGIN, record

NOW = datetime(2026, 6, 1, tzinfo=UTC)
NAMES = itertools.count(1)


def order(second: float, *holds: Selection) -> Order:
    """Remove what happened before this second of the audit."""
    return Order(BEGIN + timedelta(seconds=second), holds, "root", "older than 90 days", NOW, lambda record: False)


def retain(desk: Desk, order: Order, signer: Signer | None) -> Outcome:
    """Remove what is to be removed, from an audit that was not changed since it was verified."""
    order = replace(order, is_signed=signed_by([desk.key.public]))
    return retain_stored(desk.database, desk.node, order, signer, seen(desk))


def seen(desk: Desk) -> Seen:
    """What is in the tables."""
    found = Seen(desk.node)
    for row in stored(desk.database, desk.node):
        found.take(Line(row.seq, row.line, finished=True))
    return found


def audit(database: Database, folder: Path, count: int) -> Desk:
    """This number of records, one each second, of a node of their own."""
    desk = Desk(database, folder, f"node{next(NAMES)}")
    for number in range(count):
        desk.sink.write(body_of(record(number)), BEGIN + timedelta(seconds=number))
    return desk


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """What is logged is kept out of the output."""
    with capture_logs():
        yield


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, 14), st.sets(st.sampled_from(["s0", "s1", "s2"]))), max_size=4))
def test_any_row_of_removals_leaves_a_good_chain(
    database: Database, tmp_path: Path, steps: list[tuple[int, set[str]]]
) -> None:
    """Whatever is removed and held, again and again: nothing is found, and nothing but old records is gone."""
    desk = audit(database, tmp_path, 12)
    gone = 0
    for second, held in steps:
        chosen = [Selection(supervisors=frozenset({one})) for one in sorted(held)]
        gone += retain(desk, order(second, *chosen), desk.key).removed
        verdict = desk.verify()
        assert (verdict.findings, verdict.removed) == ((), gone)
        assert verdict.records + gone == 12


def test_much_goes_in_several_steps(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that nobody waits long for the database; the next time they become one line."""
    monkeypatch.setattr(retention, "AT_ONCE", 3)
    monkeypatch.setattr(table_reading, "PAGE", 2)
    desk = audit(database, tmp_path, 10)
    assert retain(desk, order(8), desk.key).removed == 8
    assert [(seq, fact) for seq, fact, _ in desk.rows()] == [
        (3, "removed"),
        (6, "removed"),
        (8, "removed"),
        (9, "refused"),
        (10, "refused"),
    ]
    assert desk.found() == []
    monkeypatch.setattr(retention, "AT_ONCE", 30)
    assert retain(desk, order(9), desk.key).removed == 1
    assert [seq for seq, *_ in desk.rows()] == [9, 10]
    assert (desk.found(), desk.verify().removed) == ([], 9)


def test_a_dry_run_changes_nothing(database: Database, tmp_path: Path) -> None:
    """And counts the same."""
    desk = audit(database, tmp_path, 10)
    before = desk.rows()
    assert retain(desk, order(6), None).removed == 6
    assert desk.rows() == before


def test_somebody_else_at_the_same_time_changes_nothing(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was read is no longer there: nobody gets a signature for it."""
    desk = audit(database, tmp_path, 10)

    def slow(*arguments: Any) -> bytes:
        with database.transaction() as connection:
            connection.execute(delete(audit_record).where(audit_record.c.node == desk.node, audit_record.c.seq == 3))
        return removed(*arguments)

    monkeypatch.setattr(retention, "removed", slow)
    with pytest.raises(AuditUnavailable, match="another command removed records at the same time"):
        retain(desk, order(6), desk.key)
    assert desk.count() == 9


def test_records_that_do_not_fit_are_not_signed_away(database: Database, tmp_path: Path) -> None:
    """Nobody gets a signature over a change."""
    desk = audit(database, tmp_path, 6)
    rows = desk.rows()
    desk.put([*rows[:2], *rows[3:]])
    with pytest.raises(AuditUnavailable, match="record 4 does not fit the one before it"):
        retain(desk, order(6), desk.key)
    assert desk.count() == 5


def test_only_what_was_verified_is_signed_away(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows that were exchanged since stop it, also where their chain fits; those that came since are left alone."""
    monkeypatch.setattr(audit_seen, "BLOCK_LINES", 4)
    desk, other = audit(database, tmp_path, 10), audit(database, tmp_path, 10)
    verified = seen(desk)
    desk.sink.write(body_of(record(10)), BEGIN + timedelta(seconds=10))
    wanted = replace(order(20), is_signed=signed_by([desk.key.public]))
    assert retain_stored(database, desk.node, wanted, None, verified).records == 10
    rows, others = desk.rows(), other.rows()
    forged = [(seq, fact, line.replace('"detail":"', '"detail":"x')) for seq, fact, line in others]
    for changed in ([*rows[:5], *forged[5:]], forged, rows[:9], [*rows[:6], *rows[7:]]):
        desk.put(changed)
        with pytest.raises(AuditUnavailable, match="was changed since it was verified"):
            retain_stored(database, desk.node, wanted, desk.key, verified)
        assert all(row in changed for row in desk.rows() if row[1] != "removed")


def test_a_forged_line_for_removed_records_is_not_signed_away(database: Database, tmp_path: Path) -> None:
    """It has the right place in the chain and no good signature."""
    desk = audit(database, tmp_path, 10)
    retain(desk, order(6), desk.key)
    (seq, fact, line), *rest = desk.rows()
    desk.put([(seq, fact, line[:-130] + "0" * 128 + line[-2:]), *rest])
    with pytest.raises(AuditUnavailable, match="has no good signature"):
        retain(desk, order(8), desk.key)
    assert desk.count() == 5
