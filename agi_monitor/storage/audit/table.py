"""The audit in the database: one chain for each node, even with several writers, and no record is ever changed."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import structlog
from sqlalchemy import Connection, bindparam, insert, select, text, update

from agi_monitor.audit.chain import GENESIS, Chain, Head, Linked, Signer, digest, read
from agi_monitor.errors import AuditInDoubt, AuditUnavailable, StateUnavailable
from agi_monitor.storage.audit.head_file import HeadFile, KnownHead
from agi_monitor.storage.database import Database
from agi_monitor.storage.schema import audit_chain, audit_record

log = structlog.get_logger()

_NEW = text(
    "INSERT INTO audit_chain (node, seq, hash, unsigned) VALUES (:node, 0, :hash, 0) ON CONFLICT DO NOTHING"
).bindparams(bindparam("hash", GENESIS))

_CHAIN = select(audit_chain).where(audit_chain.c.node == bindparam("node")).with_for_update()

_LAST = (
    select(audit_record.c.seq, audit_record.c.line)
    .where(audit_record.c.node == bindparam("node"))
    .order_by(audit_record.c.seq.desc())
    .limit(1)
)


@dataclass(frozen=True, slots=True)
class _Doubt:
    """A record whose transaction was not answered.

    Parameters:
        body: of the record.
        seq: its number, when it is there.
        line: the line, when it is there.
    """

    body: bytes
    seq: int
    line: str


class AuditTable:
    """``audit_sinks.AuditSink`` in the database. Several may write the chain of one node at the same time.

    Parameters:
        database: with its tables.
        node: whose chain it is.
        state: the folder that the end of the chain is remembered in as well: who can write the database, and nothing
            here, cannot cut the chain unseen.
        signer: signs checkpoints; without it there are none.
    """

    slow = True

    def __init__(
        self, database: Database, node: str, *, state: Path | None = None, signer: Signer | None = None
    ) -> None:
        self.where = f"{database.shown}, node {node}"
        self._database = database
        self._node = node
        self._signer = signer
        self._head_file = None if state is None else HeadFile(state / head_file_name(database, node))
        self._chain: Chain | None = None
        self._doubt: _Doubt | None = None

    def take(self) -> None:
        """No one is kept away: the lock is in each transaction."""

    def write(self, body: bytes, at: datetime) -> None:
        """Put a record on disk; see ``audit_sinks.AuditSink``."""
        self._write(lambda chain: chain.link(body, at), body)

    def checkpoint(self, at: datetime, *, due: bool) -> None:
        """Sign what is not signed; see ``audit_sinks.AuditSink``."""
        if self._chain is not None and self._chain.checkpoint(at, due=due) is not None:
            self._write(lambda chain: chain.checkpoint(at, due=due))

    def close(self, at: datetime) -> None:
        """Sign what is not signed. Raises nothing: the records are on disk."""
        with contextlib.suppress(AuditUnavailable):
            self.checkpoint(at, due=False)
        if self._head_file is not None and self._chain is not None:
            # The others of this node may continue, so it is not closed; but it is on disk then.
            with contextlib.suppress(OSError):
                self._head_file.replace(KnownHead(self._chain.head, closed=False))

    # ---- inside ----------------------------------------------------------------------------------------

    def _write(self, make: Callable[[Chain], Linked | None], body: bytes = b"") -> None:
        told: _Doubt | None = None
        linked: Linked | None = None
        try:
            remembered = self._remembered()
            with self._database.transaction() as connection:
                chain = self._locked(connection, remembered)
                linked = None if self._is_there(connection, body) else make(chain)
                if linked is not None:
                    self._insert(connection, linked)
                    # From here on it is the database that says whether it was done.
                    told = _Doubt(body, chain.head.seq + 1, linked.content.split(b"\n")[0].decode())
        except OSError as error:
            raise AuditUnavailable(f"the audit cannot be written: {error.filename}: {error.strerror}") from error
        except StateUnavailable as error:
            if told is None:
                raise AuditUnavailable(f"the audit cannot be written: {error}") from error
            self._doubt = told
            raise AuditInDoubt(f"the audit may not have been written: {error}") from error
        self._doubt = None
        if linked is not None:
            chain.accept(linked)
        self._chain = chain
        self._remember(chain.head)
        if linked is not None and not linked.unsigned:
            log.info("audit_checkpoint", where=self.where, seq=linked.head.seq, hash=linked.head.hash)

    def _is_there(self, connection: Connection, body: bytes) -> bool:
        """Whether this record, whose answer was lost before, was written then."""
        doubt = self._doubt
        if doubt is None or doubt.body != body:
            return False
        where = (audit_record.c.node == self._node, audit_record.c.seq == doubt.seq)
        return connection.execute(select(audit_record.c.line).where(*where)).scalar() == doubt.line

    def _locked(self, connection: Connection, remembered: Head) -> Chain:
        """Return the chain as it is now; no one else writes it before the transaction is over."""
        of_node = {"node": self._node}
        row = connection.execute(_CHAIN, of_node).one_or_none()
        if row is None:
            connection.execute(_NEW, of_node)
            row = connection.execute(_CHAIN, of_node).one()
        head = Head(row.seq, row.hash)
        if (row.seq, row.hash) != (remembered.seq, remembered.hash) and row.seq <= remembered.seq:
            self._tell_changed(f"it was set back to record {row.seq} from {remembered.seq}")
            head = remembered
        last = connection.execute(_LAST, of_node).one_or_none()
        if last is not None and last.seq > head.seq:
            self._tell_changed(f"record {last.seq} stands after the last one, {head.seq}")
            # Its number is taken. What it says of the record before stays as it was, so that the break is seen;
            # where nothing at all is remembered, the records are believed.
            head = Head(last.seq, head.hash if head.seq else _hash_of(last.line))
        since = None if row.since is None else datetime.fromtimestamp(row.since, UTC)
        return Chain(head, self._signer, row.unsigned, since)

    def _tell_changed(self, what: str) -> None:
        log.error("audit_table_changed", where=self.where, what=what)

    def _insert(self, connection: Connection, linked: Linked) -> None:
        rows = []
        for line in linked.content.split(b"\n")[:-1]:
            record = read(line)
            assert record is not None  # noqa: S101 - the chain made it
            known = {"node": self._node, "seq": record.seq, "at": record.at, "fact": record.fact}
            rows.append({**known, "line": line.decode()})
        connection.execute(insert(audit_record), rows)
        since = None if linked.since is None else linked.since.timestamp()
        connection.execute(
            update(audit_chain)
            .where(audit_chain.c.node == self._node)
            .values(seq=linked.head.seq, hash=linked.head.hash, unsigned=linked.unsigned, since=since)
        )

    def _remembered(self) -> Head:
        if self._chain is not None:
            return self._chain.head
        known = None if self._head_file is None else self._head_file.read()
        return Head() if known is None else known.head

    def _remember(self, head: Head) -> None:
        if self._head_file is None:
            return
        try:
            self._head_file.update(head)
        except OSError as error:
            # The record itself is on disk.
            log.error("audit_head_unwritten", seq=head.seq, error=error.strerror)


def _hash_of(line: str) -> str:
    record = read(line.encode())
    return digest(line.encode()) if record is None else record.hash


def head_file_name(database: Database, node: str) -> str:
    """Return the name of the file in the state folder that remembers the end of a chain.

    Parameters:
        database: each has its own end.
        node: each has its own end.
    """
    return f"audit-head-{hashlib.sha256(f'{node}@{database.shown}'.encode()).hexdigest()[:12]}.json"
