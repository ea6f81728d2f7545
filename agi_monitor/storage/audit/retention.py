"""Takes old records out of the audit. A signed line takes their place, so that the chain continues through it."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, NamedTuple, Protocol

from sqlalchemy import delete, insert

from agi_monitor.audit.chain import REMOVED, Record, Signer, digest, read, removed
from agi_monitor.audit.selection import Row, Selection, time_of
from agi_monitor.errors import AuditUnavailable
from agi_monitor.files.folder import Folder, NewFile
from agi_monitor.storage.audit.key_file import verifies
from agi_monitor.storage.audit.reading import Line, lines, lines_of, opened
from agi_monitor.storage.audit.seen import Seen
from agi_monitor.storage.audit.table_reading import stored
from agi_monitor.storage.database import Database
from agi_monitor.storage.schema import audit_record

AT_ONCE = 10_000
"""How many records of the database are removed in one transaction, so that its writers need not wait long."""


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be removed.

    Parameters:
        before: only records from before this time.
        holds: records that match one of these stay, however old.
        by: who removes them.
        why: the reason, in a few words.
        at: the time of day.
        is_signed: whether the signature of a line that stands for removed records counts; see ``signed_by``.
    """

    before: datetime
    holds: Sequence[Selection]
    by: str
    why: str
    at: datetime
    is_signed: Callable[[Record], bool]


def signed_by(keys: Collection[str]) -> Callable[[Record], bool]:
    """Return what says whether a record has a good signature of one of these keys.

    Parameters:
        keys: that are trusted.
    """
    trusted = frozenset(keys)

    def is_signed(record: Record) -> bool:
        one = record.signature
        return one is not None and one.key in trusted and verifies(one.key, one.content, one.text)

    return is_signed


@dataclass(slots=True)
class Outcome:
    """What came of one file, or of one node in the database.

    Parameters:
        where: the file, or the node in the database.
        records: how many it had.
        removed: how many of them go, or are gone.
        held: how many are old enough and are held.
        unchained: old lines from before there was a chain, which are left alone.
    """

    where: str
    records: int = 0
    removed: int = 0
    held: int = 0
    unchained: int = 0


class _Span(NamedTuple):
    """How many records a line stands for, and of what time."""

    records: int
    since: str
    until: str


@dataclass(slots=True)
class _Removed:
    """Records that follow one another and are removed.

    Parameters:
        first: of them.
        last: of them.
        count: how many records there are in it.
        since: when the first of them happened.
        until: when the last one did.
        rows: how many lines they are.
        lines: as written, as long as each stands for records that were removed before.
    """

    first: Record
    last: Record
    count: int
    since: str
    until: str
    rows: int
    lines: list[Line]


def retain(path: Path, order: Order, signer: Signer | None, seen: Seen) -> Outcome:
    """Remove the old records from one file. No other process may write to it at the same time.

    Parameters:
        path: the file; it is replaced as a whole.
        order: what is to be removed.
        signer: None counts only, and changes nothing.
        seen: what was verified.

    Raises:
        AuditUnavailable: the file cannot be read or replaced, is not what was verified, or is not a chain. Nothing
            changed.
    """
    outcome = Outcome(str(path))
    if signer is None:
        _Pass(order, outcome, None, _Nowhere()).run(seen.again(lines(path), grows=False))
        return outcome
    try:
        with Folder.at(path.parent) as folder, folder.new(path.name) as new:
            old = folder.open(path.name, os.O_RDONLY)
            try:
                before = _identity(os.fstat(old))
                # What is open is what is replaced: its name may lead to another file for the time of the reading.
                with os.fdopen(os.dup(old), "rb") as raw, opened(new.file, path, "wb") as file:
                    found = seen.again(lines_of(raw, path), grows=False)
                    _Pass(order, outcome, signer, _NewFile(file)).run(found)
                if outcome.removed:
                    _replace(folder, path, old, before, new)
            finally:
                os.close(old)
    except OSError as error:
        raise AuditUnavailable(f"{path}: cannot be replaced: {error.strerror}") from error
    return outcome


def retain_stored(database: Database, node: str, order: Order, signer: Signer | None, seen: Seen) -> Outcome:
    """Remove the old records from the audit of one node in the database. Its servers may write meanwhile.

    Parameters:
        database: where it is.
        node: the server that wrote them.
        order: what is to be removed.
        signer: None counts only, and changes nothing.
        seen: what was verified. What was written since is left alone.

    Raises:
        AuditUnavailable: it is not what was verified, is not a chain, or another process removed records at the same
            time.
        StateUnavailable: it cannot be read or written. What was removed before is replaced by its signed line.
    """
    outcome = Outcome(f"{database.shown}, node {node}")
    rows = (Line(row.seq, row.line, finished=True) for row in stored(database, node))
    target = _Nowhere() if signer is None else _Table(database, node)
    _Pass(order, outcome, signer, target, AT_ONCE).run(seen.again(rows, grows=True))
    return outcome


class _Target(Protocol):
    """Where the audit goes that is left."""

    def stays(self, line: Line) -> None:
        """It is as it was."""
        ...

    def is_replaced(self, first: Record, last: Record, lines: int, content: bytes) -> None:
        """Records that follow one another are gone; a line stands for them."""
        ...


class _Nowhere:
    """For those who only want to know."""

    def stays(self, line: Line) -> None:
        """Nothing is done."""

    def is_replaced(self, first: Record, last: Record, lines: int, content: bytes) -> None:
        """Nothing is done."""


class _NewFile:
    """Takes the place of the old one.

    Parameters:
        file: is written from its beginning.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def stays(self, line: Line) -> None:
        """Write it."""
        self._file.write(line.content + b"\n" if line.finished else line.content)

    def is_replaced(self, first: Record, last: Record, lines: int, content: bytes) -> None:
        """Write what stands for them."""
        self._file.write(content + b"\n")


class _Table:
    """Rows that go, and the row that comes for them, in one transaction.

    Parameters:
        database: where they are.
        node: the server that wrote them.
    """

    def __init__(self, database: Database, node: str) -> None:
        self._database = database
        self._node = node

    def stays(self, line: Line) -> None:
        """It is there."""

    def is_replaced(self, first: Record, last: Record, lines: int, content: bytes) -> None:
        """Replace them, or nothing."""
        new = read(content)
        assert new is not None  # noqa: S101 - just made
        of_node = audit_record.c.node == self._node
        row = {"node": self._node, "seq": new.seq, "at": new.at, "fact": new.fact, "line": content.decode()}
        with self._database.transaction() as connection:
            between = audit_record.c.seq.between(first.first, last.seq)
            gone = connection.execute(delete(audit_record).where(of_node, between)).rowcount
            if gone != lines:
                raise AuditUnavailable(
                    f"node {self._node}: another command removed records at the same time; run this again"
                )
            connection.execute(insert(audit_record).values(row))


def _identity(status: os.stat_result) -> tuple[int, int, int, int]:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def _replace(folder: Folder, path: Path, old: int, before: tuple[int, int, int, int], new: NewFile) -> None:
    """Put the new file in the place of the old one, which is open still: nothing is said of it by its name alone."""
    status, named = os.fstat(old), folder.status(path.name)
    for attribute in os.listxattr(old):
        with suppress(OSError):
            os.setxattr(new.file.fileno(), attribute, os.getxattr(old, attribute))
    new.belongs(stat.S_IMODE(status.st_mode), *((status.st_uid, status.st_gid) if os.geteuid() == 0 else (-1, -1)))
    new.put_on_disk()
    os.utime(new.file.fileno(), ns=(status.st_atime_ns, status.st_mtime_ns))
    if named is None or not _identity(named) == _identity(status) == before:
        raise AuditUnavailable(f"{path}: was rotated or written to at the same time. Nothing was removed; come again")
    new.take_place()


class _Pass:
    """Goes through one chain.

    Parameters:
        order: what is to be removed.
        outcome: what is counted.
        signer: signs the lines that stand for what is removed; None where nothing is written.
        target: where the audit goes that is left.
        at_once: how many lines at most are replaced by one; None for any number.
    """

    def __init__(
        self, order: Order, outcome: Outcome, signer: Signer | None, target: _Target, at_once: int | None = None
    ) -> None:
        self._order = order
        self._outcome = outcome
        self._signer = signer
        self._target = target
        self._at_once = at_once
        self._removed: _Removed | None = None
        self._before: Line | None = None

    def run(self, all_lines: Iterable[Line]) -> None:
        """All lines."""
        for line in all_lines:
            self._line(line)
        self._stay()

    def _line(self, line: Line) -> None:
        record = read(line.content)
        if record is None:
            self._keep_for_now(line)
            return
        row, span = self._read(record, line)
        self._outcome.records += record.fact != REMOVED
        if self._goes(record, row):
            self._remove(line, record, span)
        else:
            self._stay()
            self._target.stays(line)

    def _read(self, record: Record, line: Line) -> tuple[Row, _Span]:
        """What the record says. Its place in the chain was looked at, not the rest."""
        try:
            row: Row = json.loads(line.content)
            if record.fact != REMOVED:
                return row, _Span(1, record.at, record.at)
            return row, _Span(int(str(row["count"])), str(row["since"]), str(row["until"]))
        except (ValueError, KeyError, RecursionError):
            raise AuditUnavailable(
                f"{self._outcome.where}: record {record.seq} cannot be read, so it was not written here; "
                "'agi-monitor audit verify' finds what else was changed"
            ) from None

    def _goes(self, record: Record, row: Row) -> bool:
        at = time_of({"at": row.get("until")} if record.fact == REMOVED else row)
        if at is None or at >= self._order.before:
            return False
        if record.fact != REMOVED and any(hold.wants(row) for hold in self._order.holds):
            self._outcome.held += 1
            return False
        return True

    def _remove(self, line: Line, record: Record, span: _Span) -> None:
        if self._before is not None:
            if record.torn != digest(self._before.content):
                self._stay()
            # Otherwise it goes with the record that knows what it was.
            self._before = None
        if self._removed is not None and self._removed.rows == self._at_once:
            self._stay()
        again = record.fact == REMOVED
        if again and not self._order.is_signed(record):
            raise AuditUnavailable(
                f"{self._outcome.where}: record {record.seq} stands for removed records, and has no good signature "
                "of a key that is trusted"
            )
        gone, first_time = self._removed, self._removed is None or bool(self._removed.lines)
        if gone is None:
            self._removed = gone = _Removed(record, record, span.records, span.since, span.until, 1, [])
        elif record.first == gone.last.seq + 1 and record.prev == gone.last.hash:
            gone.last, gone.until = record, span.until
            gone.count, gone.rows = gone.count + span.records, gone.rows + 1
        else:
            raise AuditUnavailable(f"{self._outcome.where}: record {record.seq} does not fit the one before it")
        if again and first_time:
            gone.lines.append(line)
        elif not again:
            self._outcome.removed += 1
            gone.lines.clear()

    def _keep_for_now(self, line: Line) -> None:
        """No record: it may be what a crash left before one that goes."""
        if self._before is not None:
            self._stay()
        if self._removed is None and not self._outcome.records:
            self._outcome.unchained += 1
        self._before = line

    def _stay(self) -> None:
        """What comes now stays: put the line for what is removed before it."""
        gone, self._removed = self._removed, None
        before, self._before = self._before, None
        if gone is not None and gone.lines:
            for line in gone.lines:
                self._target.stays(line)
        elif gone is not None and self._signer is not None:
            what = {
                "by": self._order.by,
                "why": self._order.why,
                "count": gone.count,
                "since": gone.since,
                "until": gone.until,
            }
            content = removed(gone.first, gone.last, what, self._order.at, self._signer)
            self._target.is_replaced(gone.first, gone.last, gone.rows, content)
        if before is not None:
            self._target.stays(before)
