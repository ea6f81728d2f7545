"""Where the commands about the audit find its records: in files, or in the database."""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterable, Iterator, MutableMapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from agi_monitor.audit.chain import Head, read
from agi_monitor.audit.rows import row_of
from agi_monitor.audit.selection import Row, Selection
from agi_monitor.audit.stretches import Place
from agi_monitor.audit.verification import MAX_BREAKS, Finding, Kind, Verdict, Verification
from agi_monitor.errors import AuditUnavailable
from agi_monitor.storage.audit import reading
from agi_monitor.storage.audit.head_file import HEAD_FILE, HeadFile, KnownHead
from agi_monitor.storage.audit.key_file import verifies
from agi_monitor.storage.audit.seen import Seen
from agi_monitor.storage.audit.table import head_file_name
from agi_monitor.storage.audit.table_reading import Span, Stored, page, stored
from agi_monitor.storage.database import Database


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of an audit.

    Parameters:
        content: as written.
        row: what it says; None if it is not a record.
    """

    content: bytes
    row: Row | None


class Source(Protocol):
    """Records."""

    def entries(self, selection: Selection, progress: reading.Progress | None = None) -> Iterator[Entry]:
        """Return all wanted records, and all lines that are not records, in order.

        Raises:
            AuditUnavailable, StateUnavailable: they cannot be read.
        """
        ...


@dataclass(frozen=True, slots=True)
class Files:
    """An audit in files.

    Parameters:
        paths: in the order of their records.
        opens: opens them.
    """

    paths: Sequence[Path]
    opens: reading.Opens = reading.regular

    def entries(self, selection: Selection, progress: reading.Progress | None = None) -> Iterator[Entry]:
        """See ``Source``."""
        for line, row in reading.rows(self.paths, progress, opens=self.opens):
            if row is None or selection.wants(row):
                yield Entry(line.content, row)

    def verify(
        self,
        keys: Collection[str],
        expect: Sequence[Head],
        state: Path | None,
        *,
        partial: bool = False,
        progress: reading.Progress | None = None,
        seen: MutableMapping[Path, Seen] | None = None,
    ) -> Verdict:
        """Find out what is wrong with it.

        Parameters:
            keys: that are trusted.
            expect: records that are known from elsewhere.
            state: the folder that the end is remembered in, when it is the audit of the configuration.
            partial: what comes before and behind is elsewhere.
            progress: told now and then.
            seen: gets what was read of each file.

        Raises:
            AuditUnavailable: it cannot be read.
        """
        # Before the files: what is written meanwhile comes after it.
        known = None if state is None else _remembered(state / HEAD_FILE)
        heads = [*expect, *([] if known is None else [known.head])]
        verification = Verification(verifies, keys, heads, partial=partial)
        for path in self.paths:
            found = None if seen is None else seen.setdefault(path, Seen(str(path)))
            for line in reading.lines(path, progress, opens=self.opens):
                verification.take(str(path), line.number, line.content, line.finished)
                if found is not None:
                    found.take(line)
                if verification.gave_up:
                    break
            if verification.gave_up:
                break
        closed = known is not None and known.closed and state is not None and _remembered(state / HEAD_FILE) == known
        return verification.finish(closed)


@dataclass(frozen=True, slots=True)
class Table:
    """The audits of one or more nodes in the database.

    Parameters:
        database: where they are.
        nodes: the servers that wrote them.
    """

    database: Database
    nodes: Sequence[str]

    def entries(self, selection: Selection, progress: reading.Progress | None = None) -> Iterator[Entry]:
        """See ``Source``; those of several nodes by time."""
        span = Span(selection.begin, selection.end)
        for one in heapq.merge(*(stored(self.database, node, span) for node in self.nodes), key=_time):
            row = row_of(one.line)
            if row is None or selection.wants(row):
                yield Entry(one.line, row)

    def verify(
        self,
        node: str,
        keys: Collection[str],
        expect: Sequence[Head],
        state: Path | None,
        *,
        partial: bool = False,
        seen: Seen | None = None,
    ) -> Verdict:
        """Find out what is wrong with the audit of one node.

        Parameters:
            node: the server that wrote them.
            keys: that are trusted.
            expect: records that are known from elsewhere.
            state: the folder that the end is remembered in as well, when the node is that of the configuration.
            partial: what comes before and behind is elsewhere.
            seen: gets what was read.

        Raises:
            AuditUnavailable, StateUnavailable: it cannot be read.
        """
        # Before the rows: what is written meanwhile comes after it.
        kept = None if state is None else _remembered(state / head_file_name(self.database, node))
        found = page(self.database, node, None)
        begun = found.end
        heads = [*expect, *([] if kept is None else [kept.head]), *([] if begun is None else [begun])]
        verification = Verification(verifies, keys, heads, partial=partial)
        columns: list[Finding] = []
        while True:
            for one in found.rows:
                verification.take(node, one.seq, one.line)
                if seen is not None:
                    seen.take(reading.Line(one.seq, one.line, finished=True))
                if len(columns) < MAX_BREAKS:
                    columns += _columns(node, one)
            if verification.gave_up or not found.full:
                break
            found = page(self.database, node, found.rows[-1].seq)
        # The end is in the same transaction as each record: there is none after it.
        verdict = verification.finish(closed=begun is not None and found.end == begun)
        return _with(verdict, columns, [*_of_the_end(verdict, found.end, _clashes(heads))])


def _clashes(heads: Iterable[Head]) -> list[int]:
    """Numbers that are remembered with different hashes: one of them cannot be."""
    known: dict[int, str] = {}
    return [head.seq for head in heads if head.seq and known.setdefault(head.seq, head.hash) != head.hash]


def _with(verdict: Verdict, columns: Sequence[Finding], end: Sequence[Finding]) -> Verdict:
    named = {finding.place for finding in verdict.findings if finding.place is not None}
    added = [finding for finding in columns if finding.place not in named]
    return replace(verdict, findings=(*verdict.findings, *added, *end))


def _columns(node: str, one: Stored) -> Iterator[Finding]:
    """What the columns beside a record say, by which it is found, must be what the record says."""
    record = read(one.line)
    if record is not None and (record.seq, record.at, record.fact) != (one.seq, one.at, one.fact):
        text = f"record {record.seq}: the columns beside it say something else"
        yield Finding(Kind.CHANGED, Place(node, one.seq), record.first, record.seq, text)


def _of_the_end(verdict: Verdict, end: Head | None, clashes: Sequence[int]) -> Iterator[Finding]:
    if end is None and verdict.lines:
        text = "the row of this node in audit_chain is gone: the end of the chain is not known"
        yield Finding(Kind.MISSING, None, None, None, text)
    if verdict.unchained:
        text = f"{verdict.unchained} lines before the chain are not records of it"
        yield Finding(Kind.INSERTED, None, None, None, text)
    if end is not None and not end.seq and verdict.lines:
        yield Finding(Kind.REWRITTEN, None, None, None, "audit_chain says that there is no record")
    for seq in clashes:
        text = f"record {seq}: audit_chain and the state folder, or who expects it, do not remember the same"
        yield Finding(Kind.REWRITTEN, None, seq, seq, text)
    if end is not None and verdict.ok and verdict.head.seq > end.seq > 0:
        text = f"records {end.seq + 1} to {verdict.head.seq}: after the end that audit_chain knows"
        yield Finding(Kind.INSERTED, None, end.seq + 1, verdict.head.seq, text)


def _remembered(path: Path) -> KnownHead | None:
    try:
        return HeadFile(path).read()
    except OSError as error:
        raise AuditUnavailable(f"{path}: cannot be read: {error.strerror}") from None


def _time(one: Stored) -> str:
    return one.at
