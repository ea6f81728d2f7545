"""The audit in a database, for tests: who writes, who verifies, and what may be done to the tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import delete, event, insert, select, text

from agi_monitor.audit.facts import Fact
from agi_monitor.audit.verification import Verdict
from agi_monitor.storage.audit.key_file import audit_key
from agi_monitor.storage.audit.sinks import AuditSinks
from agi_monitor.storage.audit.source import Table
from agi_monitor.storage.audit.table import AuditTable
from agi_monitor.storage.audit.table_reading import stored
from agi_monitor.storage.database import Database
from agi_monitor.storage.schema import audit_record
from tests.doubles.coroutines import at_once, finish

NODE = "one"


class Desk:
    """A node that writes its audit into a database, and comes and goes.

    Parameters:
        database: with its tables.
        state: the folder of its state.
        node: how it is called.
    """

    def __init__(self, database: Database, state: Path, node: str = NODE) -> None:
        self.database = database
        self.state = state
        self.node = node
        self.key = audit_key(state)
        self.start()

    def start(self) -> None:
        """Another run of the server; the one before, if any, was killed."""
        self.sink = AuditTable(self.database, self.node, state=self.state, signer=self.key)
        self.audit = AuditSinks([self.sink], at_once)

    def append(self, *facts: Fact) -> None:
        """Append facts."""
        for fact in facts:
            finish(self.audit.append(fact))

    def close(self) -> None:
        """The server stops."""
        finish(self.audit.close(datetime.now(UTC)))

    def rows(self) -> list[tuple[int, str, str]]:
        """The number, the fact and the line of every row."""
        return [(row.seq, row.fact, row.line.decode()) for row in stored(self.database, self.node)]

    def facts(self) -> list[str]:
        """The names of all records but the checkpoints."""
        return [fact for _, fact, _ in self.rows() if fact != "checkpoint"]

    def verify(self, *, with_state: bool = True) -> Verdict:
        """The verdict about its chain."""
        state = self.state if with_state else None
        return Table(self.database, [self.node]).verify(self.node, [self.key.public], [], state)

    def found(self, *, with_state: bool = True) -> list[tuple[str, int | None, int | None]]:
        """What is wrong: kind, first and last record."""
        return [(one.kind.value, one.first, one.last) for one in self.verify(with_state=with_state).findings]

    def put(self, rows: Sequence[tuple[int, str, str]]) -> None:
        """Have these rows instead, as one who can write the table would."""
        with self.database.transaction() as connection:
            connection.execute(delete(audit_record).where(audit_record.c.node == self.node))
            if rows:
                values = [
                    {"node": self.node, "seq": seq, "at": _at(line), "fact": fact, "line": line}
                    for seq, fact, line in rows
                ]
                connection.execute(insert(audit_record), values)

    def chain(self) -> tuple[int, str] | None:
        """The row of ``audit_chain``."""
        query = text("SELECT seq, hash FROM audit_chain WHERE node = :node")
        with self.database.transaction() as connection:
            row = connection.execute(query, {"node": self.node}).one_or_none()
        return None if row is None else (row.seq, row.hash)

    def set_chain(self, seq: int, hash_: str) -> None:
        """Change the row of ``audit_chain``."""
        query = text("UPDATE audit_chain SET seq = :seq, hash = :hash WHERE node = :node")
        with self.database.transaction() as connection:
            connection.execute(query, {"node": self.node, "seq": seq, "hash": hash_})

    def forget_chain(self) -> None:
        """Remove the row of ``audit_chain``."""
        with self.database.transaction() as connection:
            connection.execute(text("DELETE FROM audit_chain WHERE node = :node"), {"node": self.node})

    def count(self) -> int:
        """How many rows there are."""
        with self.database.transaction() as connection:
            return len(connection.execute(select(audit_record.c.seq).where(audit_record.c.node == self.node)).all())


def _at(line: str) -> str:
    begin = line.find('"at":"') + len('"at":"')
    return line[begin : begin + 29]


def large(call: str) -> str:
    """The name of a call that fits on no page that is there already."""
    return call.ljust(9_000, "-")


@contextmanager
def full(database: Database) -> Iterator[None]:
    """The disk is full: SQLite's file gets no more pages, so that nothing ``large`` fits; PostgreSQL says so."""
    if database.is_sqlite:

        def ends_here(connection: Any, _: object) -> None:
            connection.execute("PRAGMA max_page_count = 1").close()

        event.listen(database._engine, "connect", ends_here)
        yield
        event.remove(database._engine, "connect", ends_here)
        return
    with database.transaction() as connection:
        connection.exec_driver_sql(
            "CREATE FUNCTION disk_is_full() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE EXCEPTION 'could not extend file: No space left on device' "
            "USING ERRCODE = 'disk_full'; END $$; "
            "CREATE TRIGGER disk_is_full BEFORE INSERT ON audit_record "
            "FOR EACH ROW EXECUTE FUNCTION disk_is_full()"
        )
    yield
    with database.transaction() as connection:
        connection.exec_driver_sql("DROP TRIGGER disk_is_full ON audit_record; DROP FUNCTION disk_is_full()")
