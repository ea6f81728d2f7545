"""Whatever is done to the tables of the audit is found, and the record is named."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, insert
from structlog.testing import capture_logs

from agi_monitor.audit.chain import digest
from agi_monitor.storage.database import Database
from agi_monitor.storage.schema import audit_record
from tests.doubles.audit_desk import Desk
from tests.doubles.audit_writer import refusal, spy

Rows = list[tuple[int, str, str]]

RECORDS = 9
position = st.integers(0, RECORDS - 1)
same_database = settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def new(database: Database, tmp_path: Path) -> Iterator[Callable[[], Desk]]:
    """Make audits of nine records, each of a node of its own."""
    names = itertools.count(1)

    def make() -> Desk:
        desk = Desk(database, tmp_path, f"node{next(names)}")
        for number in range(RECORDS - 1):
            desk.append(spy(f"{number}") if number % 3 else refusal(f"{number}"))
        desk.close()
        return desk

    with capture_logs():
        yield make


def test_an_untouched_audit_is_right(new: Callable[[], Desk]) -> None:
    """With and without what the state folder remembers."""
    desk = new()
    desk.put(desk.rows())
    assert desk.found() == desk.found(with_state=False) == []
    assert (desk.verify().records, desk.verify().checkpoints) == (RECORDS, 1)


@same_database
@given(position, st.integers(0, 10**6), st.sampled_from('0x"}ä'))
def test_a_changed_letter_is_found(new: Callable[[], Desk], which: int, where: int, letter: str) -> None:
    """And the record is named, whatever the letter stands for."""
    desk = new()
    rows = desk.rows()
    seq, fact, line = rows[which]
    where %= len(line)
    rows[which] = (seq, fact, line[:where] + letter + line[where + 1 :])
    desk.put(rows)
    found = desk.found(with_state=False)
    assert bool(found) == (rows[which][2] != line)
    assert all(first is not None and last is not None and first <= seq <= last for _, first, last in found)


@same_database
@given(position, st.integers(1, RECORDS))
def test_removed_rows_are_found(new: Callable[[], Desk], which: int, count: int) -> None:
    """In the middle, at the beginning and at the end."""
    desk = new()
    rows = desk.rows()
    count = min(count, RECORDS - which)
    del rows[which : which + count]
    desk.put(rows)
    assert desk.found(with_state=False) == [("missing", which + 1, which + count)]


@same_database
@given(position, position)
def test_swapped_rows_are_found(new: Callable[[], Desk], one: int, other: int) -> None:
    """Two records in each other's place."""
    desk = new()
    rows = desk.rows()
    lines = [line for *_, line in rows]
    lines[one], lines[other] = lines[other], lines[one]
    desk.put([(seq, fact, line) for (seq, fact, _), line in zip(rows, lines, strict=True)])
    found = desk.verify(with_state=False).findings
    assert bool(found) == (one != other)
    assert {finding.place.line for finding in found if finding.place} <= {one + 1, other + 1}


@same_database
@given(position, st.sampled_from(["nothing", '{"fact":"refused"}', "copy"]))
def test_inserted_rows_are_found(new: Callable[[], Desk], which: int, line: str) -> None:
    """The rows behind get other numbers, so that there is room; their lines do not."""
    desk = new()
    rows = desk.rows()
    put = rows[which][2] if line == "copy" else line
    shifted = [(seq + (seq > which + 1), fact, line) for seq, fact, line in rows]
    desk.put([*shifted, (which + 2, "refused", put)])
    assert desk.found(with_state=False) != []


def test_columns_that_say_something_else_are_found(new: Callable[[], Desk], database: Database) -> None:
    """By them records are found: a record that is hidden so is named."""
    for column, value in (("fact", "server_started"), ("at", "2020-01-01T00:00:00.000+00:00"), ("seq", 99)):
        desk = new()
        seq, fact, line = desk.rows()[4]
        row = {"node": desk.node, "seq": seq, "at": line[line.index("20") :][:29], "fact": fact, "line": line}
        with database.transaction() as connection:
            where = (audit_record.c.node == desk.node, audit_record.c.seq == seq)
            connection.execute(delete(audit_record).where(*where))
            connection.execute(insert(audit_record).values({**row, column: value}))
        assert [found for found in desk.found(with_state=False) if found[1] == 5] != []


def test_an_end_that_was_set_back_is_found(new: Callable[[], Desk]) -> None:
    """With the records after it left or removed, as far as the state folder knows better."""
    desk = new()
    rows = desk.rows()
    desk.set_chain(5, digest(rows[4][2].encode()))
    assert desk.found(with_state=False) == [("inserted", 6, 9)]
    desk.put(rows[:5])
    assert desk.found() == [("missing", 6, 9)]


def test_an_end_that_is_another_one_is_found(new: Callable[[], Desk]) -> None:
    """Its hash, its number, or the whole row."""
    desk = new()
    (seq, hash_) = desk.chain() or (0, "")
    desk.set_chain(seq, "0" * 64)
    assert ("rewritten", 9, 9) in desk.found()
    assert desk.found(with_state=False) == [("changed", 9, 9)]
    desk.set_chain(seq + 1, hash_)
    assert desk.found(with_state=False) == [("missing", 10, 10)]
    desk.set_chain(0, "0" * 64)
    assert desk.found(with_state=False) != []
    desk.forget_chain()
    assert desk.found(with_state=False) == [("missing", None, None)]


@same_database
@given(st.lists(st.tuples(st.sampled_from("cdisl"), position, position), min_size=1, max_size=5))
def test_several_changes_are_found(new: Callable[[], Desk], changes: list[tuple[str, int, int]]) -> None:
    """Any mixture of changes, removals, insertions, swaps and a chain set back is not a good audit."""
    desk = new()
    before = desk.rows()
    lines = [line for *_, line in before]
    chain = desk.chain()
    for kind, one, other in changes:
        one, other = one % max(1, len(lines)), other % max(1, len(lines))
        if kind == "c" and lines:
            lines[one] = lines[one].replace("PJSIP/2001", "PJSIP/2002", 1)
        elif kind == "d" and lines:
            del lines[one]
        elif kind == "i" and lines:
            lines.insert(one, lines[other])
        elif kind == "s" and lines:
            lines[one], lines[other] = lines[other], lines[one]
        elif kind == "l" and lines:
            desk.set_chain(one + 1, digest(lines[one].encode()))
    desk.put([(seq, "refused", line) for seq, line in enumerate(lines, 1)])
    untouched = lines == [line for *_, line in before] and desk.chain() == chain
    desk.put(before) if untouched else None
    assert (desk.found() == []) == untouched
