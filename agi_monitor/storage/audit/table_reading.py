"""The audit in the database, read in the order of its records, a page at a time: no writer waits for a reader."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Row, Select, literal, select, true, union

from agi_monitor.audit.chain import Head, stamp
from agi_monitor.errors import AuditUnavailable
from agi_monitor.storage.database import Database
from agi_monitor.storage.schema import audit_chain, audit_record

PAGE = 2_000
"""How many records are read in one transaction."""

PAGE_BYTES = 16 * 1024 * 1024
"""Fewer, when they have more bytes than this: what is in the database may be anything."""


@dataclass(frozen=True, slots=True)
class Stored:
    """One row of ``audit_record``.

    Parameters:
        seq: the column.
        at: the column.
        fact: the column.
        line: the record itself, as UTF-8.
    """

    seq: int
    at: str
    fact: str
    line: bytes


@dataclass(frozen=True, slots=True)
class Page:
    """Rows that follow one another, and where the chain ended at the same moment.

    Parameters:
        end: None when ``audit_chain`` does not know the node.
        rows: in the order of their numbers.
        full: there may be more.
    """

    end: Head | None
    rows: tuple[Stored, ...]
    full: bool


@dataclass(frozen=True, slots=True)
class Span:
    """From when to when records are wanted; None is without end.

    Parameters:
        begin: then or later.
        end: before then.
    """

    begin: datetime | None = None
    end: datetime | None = None


ALWAYS = Span()


def nodes(database: Database) -> list[str]:
    """Return the nodes that have an audit in the database.

    Raises:
        StateUnavailable: it cannot be read.
    """
    with database.transaction() as connection:
        found = connection.execute(union(select(audit_chain.c.node), select(audit_record.c.node)))
        return sorted(row.node for row in found)


def page(database: Database, node: str, after: int | None, span: Span = ALWAYS) -> Page:
    """Read the next rows of a node.

    Parameters:
        database: where they are.
        node: the server that wrote them.
        after: the number of the last row that was read; None for the first page.
        span: only records from this time.

    Raises:
        AuditUnavailable: a row is not one of ours.
        StateUnavailable: it cannot be read.
    """
    end: Head | None = None
    rows: list[Stored] = []
    size = 0
    query = _query(node, after, span).execution_options(stream_results=True)
    with database.transaction() as connection, connection.execute(query) as found:
        for row in found:
            end = None if row.hash is None else Head(row.end, row.hash)
            if row.seq is None:
                break
            rows.append(_stored(database, node, row))
            size += len(rows[-1].line)
            if size > PAGE_BYTES:
                return Page(end, tuple(rows), full=True)
    return Page(end, tuple(rows), len(rows) == PAGE)


def _stored(database: Database, node: str, row: Row[tuple[int, str, int, str, str, str]]) -> Stored:
    """SQLite keeps values of any type in a column of any type."""
    if not isinstance(row.seq, int) or not all(isinstance(one, str) for one in (row.at, row.fact, row.line)):
        raise AuditUnavailable(f"{database.shown}: a row of node {node} was not written by agi-monitor")
    return Stored(row.seq, row.at, row.fact, row.line.encode(errors="replace"))


def stored(database: Database, node: str, span: Span = ALWAYS) -> Iterator[Stored]:
    """Read all rows of a node.

    Parameters:
        database: where they are.
        node: the server that wrote them.
        span: only records from this time.

    Raises:
        StateUnavailable: it cannot be read.
    """
    after: int | None = None
    while True:
        found = page(database, node, after, span)
        yield from found.rows
        if not found.full:
            return
        after = found.rows[-1].seq


def _query(node: str, after: int | None, span: Span) -> Select[tuple[int, str, int, str, str, str]]:
    """One statement, so that both are of the same moment."""
    of_node = select(audit_record).where(audit_record.c.node == node)
    if after is not None:
        of_node = of_node.where(audit_record.c.seq > after)
    if span.begin is not None:
        of_node = of_node.where(audit_record.c.at >= stamp(span.begin))
    if span.end is not None:
        of_node = of_node.where(audit_record.c.at < stamp(span.end))
    rows = of_node.order_by(audit_record.c.seq).limit(PAGE).subquery()
    ends = select(audit_chain).where(audit_chain.c.node == node).subquery()
    one = select(literal(1).label("one")).subquery()
    joined = one.outerjoin(ends, true()).outerjoin(rows, true())
    columns = (ends.c.seq.label("end"), ends.c.hash, rows.c.seq, rows.c.at, rows.c.fact, rows.c.line)
    return select(*columns).select_from(joined).order_by(rows.c.seq)
