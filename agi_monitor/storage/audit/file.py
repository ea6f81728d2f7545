"""The audit as JSON lines: one object a line, chained, appended, never changed."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import structlog

from agi_monitor.audit.chain import GENESIS, Chain, Head, Linked, Record, Signer, read
from agi_monitor.errors import AuditUnavailable
from agi_monitor.files.folder import MAX_ATTEMPTS, Folder, Unfit
from agi_monitor.storage.audit.head_file import HEAD_FILE, HeadFile, KnownHead

TAIL_BYTES = 1_048_576
"""How much of the end of a file is read to find where the chain continues. A record has less than 2 KiB."""

log = structlog.get_logger()


class AuditFile:
    """``audit_sinks.AuditSink`` on disk, each record with an fsync, all of them in one chain.

    The file is opened for each fact, so that logrotate may move it away at any moment.

    Parameters:
        path: the file; made when it is not there, its folder must be.
        state: the folder that the end of the chain is remembered in. Without it, the file itself says where the chain
            continues, and a new file begins a new one.
        signer: signs checkpoints; without it there are none.
    """

    slow = False

    def __init__(self, path: Path, *, state: Path | None = None, signer: Signer | None = None) -> None:
        self.where = str(path)
        self._path = path
        self._signer = signer
        self._head_file = None if state is None else HeadFile(state / HEAD_FILE)
        self._chain: Chain | None = None
        self._left = (0, 0, 0)
        """Device, inode and size of the file as it was left."""
        self._half_written = False
        """What a failed write left behind could not be taken back."""
        self._lock = AuditLock(path)
        self._is_refused = False
        """Another server writes to it: not one record of ours may come between its records."""

    def take(self) -> None:
        """Keep other servers from this file until ``close``.

        Raises:
            AuditUnavailable: one has it, or its folder cannot be written.
        """
        self._is_refused = True
        self._lock.take()
        self._is_refused = False

    def write(self, body: bytes, at: datetime) -> None:
        """Put a record on disk; see ``audit_sinks.AuditSink``."""
        self._write(lambda chain, torn: chain.link(body, at, torn))

    def checkpoint(self, at: datetime, *, due: bool) -> None:
        """Sign what is not signed; see ``audit_sinks.AuditSink``."""
        if self._chain is not None and self._chain.checkpoint(at, due=due) is not None:
            self._write(lambda chain, torn: chain.checkpoint(at, torn, due=due))

    def close(self, at: datetime) -> None:
        """Sign what is not signed, and note that nothing comes after it. Raises nothing: the records are on disk.

        Parameters:
            at: the time of day.
        """
        with contextlib.suppress(AuditUnavailable):
            self.checkpoint(at, due=False)
        if self._chain is not None:
            self._remember(KnownHead(self._chain.head, closed=True))
        self._lock.release()

    # ---- inside ----------------------------------------------------------------------------------------

    def _write(self, make: Callable[[Chain, bytes], Linked | None]) -> None:
        if self._is_refused:
            raise AuditUnavailable(f"{self._path}: this server may not write to it")
        try:
            with Folder.at(self._path.parent) as folder:
                handle = folder.open(self._path.name, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o640)
                try:
                    linked = self._write_to(folder, handle, make)
                finally:
                    os.close(handle)
        except OSError as error:
            raise AuditUnavailable(f"{self._path}: the audit cannot be written: {error.strerror}") from error
        if linked is not None:
            self._remember(KnownHead(linked.head, closed=False))
            if not linked.unsigned:
                log.info("audit_checkpoint", where=self.where, seq=linked.head.seq, hash=linked.head.hash)

    def _write_to(self, folder: Folder, handle: int, make: Callable[[Chain, bytes], Linked | None]) -> Linked | None:
        status = os.fstat(handle)
        size = self._as_it_was_left(handle, status)
        torn = _unfinished(handle, size)
        chain = self._chain or self._resumed(handle, size, torn)
        linked = make(chain, torn)
        if linked is None:
            return None
        # A crash tore the last line: the next fact must not be glued to it.
        content = b"\n" + linked.content if torn else linked.content
        try:
            if os.write(handle, content) != len(content):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(handle)
            if size == 0:
                folder.sync()
        except OSError:
            # A full disk takes half a line: take it back, so that the fact is not there twice later.
            self._left, self._half_written = (status.st_dev, status.st_ino, size), True
            with contextlib.suppress(OSError):
                os.ftruncate(handle, size)
                self._half_written = False
            raise
        chain.accept(linked)
        self._chain = chain
        self._left = (status.st_dev, status.st_ino, size + len(content))
        return linked

    def _as_it_was_left(self, handle: int, status: os.stat_result) -> int:
        """Return the size of the file without what a failed write left in it."""
        found = (status.st_dev, status.st_ino, status.st_size)
        if self._half_written and found[:2] == self._left[:2]:
            os.ftruncate(handle, self._left[2])
            found = self._left
        self._half_written = False
        if self._chain is not None and status.st_size and found != self._left:
            log.error("audit_file_changed", path=str(self._path), size=found[2], expected=self._left[2])
        return found[2]

    def _resumed(self, handle: int, size: int, torn: bytes) -> Chain:
        """The chain as an earlier run left it.

        What is remembered counts more than what the file says: if the file was cut, the gap remains visible.
        """
        known = None if self._head_file is None else self._head_file.read()
        tail = _records_at_end(handle, size)
        last = tail[-1].head if tail else Head()
        if known is None:
            head = last if tail else Head(0, _hash_of_old_lines(handle, size - len(torn)))
        elif last.seq > known.head.seq and not known.closed and _lead_on(known.head, tail):
            head = last  # it was on disk, and remembering it was not
        else:
            head = known.head
            if size and last != head:
                log.error("audit_file_changed", path=str(self._path), record=last.seq, expected=head.seq)
        if self._head_file is not None:
            # From now on records may come after it.
            self._head_file.replace(KnownHead(head, closed=False))
        return Chain(head, self._signer)

    def _remember(self, known: KnownHead) -> None:
        if self._head_file is None:
            return
        try:
            if known.closed:
                self._head_file.replace(known)
            else:
                self._head_file.update(known.head)
        except OSError as error:
            # The record itself is on disk.
            log.error("audit_head_unwritten", seq=known.head.seq, error=error.strerror)


class AuditLock:
    """Keeps a second writer from an audit file.

    Parameters:
        path: the audit file; the lock is a file beside it.
    """

    def __init__(self, path: Path) -> None:
        self._audit = path
        self._path = path.with_name(f"{path.name}.lock")
        self._handle = -1

    def take(self) -> None:
        """Lock it.

        Raises:
            AuditUnavailable: another process has it, or it cannot be made.
        """
        if not self.try_to_take():
            raise AuditUnavailable(f"{self._audit}: another agi-monitor writes to this file")

    def try_to_take(self) -> bool:
        """Lock it. Returns False if another process has it.

        Raises:
            AuditUnavailable: it cannot be made.
        """
        try:
            # For reading, so that it does not matter which user made it.
            with Folder.at(self._path.parent) as folder:
                for _ in range(MAX_ATTEMPTS):
                    self._handle = folder.open(self._path.name, os.O_RDONLY | os.O_CREAT, 0o644)
                    fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    # A file that was removed or replaced since it was opened locks no one out.
                    found, mine = folder.status(self._path.name), os.fstat(self._handle)
                    if found is not None and (found.st_dev, found.st_ino) == (mine.st_dev, mine.st_ino):
                        return True
                    self.release()
            raise Unfit(self._path, "is made and removed again all the time; find out by whom")
        except BlockingIOError:
            self.release()
            return False
        except OSError as error:
            self.release()
            raise AuditUnavailable(f"{self._audit}: the audit cannot be written: {error.strerror}") from error

    def release(self) -> None:
        """Let another process have it."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1


def _unfinished(handle: int, size: int) -> bytes:
    """The last line when it has no line end."""
    if not size or os.pread(handle, 1, size - 1) == b"\n":
        return b""
    return _tail(handle, size).rpartition(b"\n")[2]


def _records_at_end(handle: int, size: int) -> list[Record]:
    """The records at the end of the file, back to the last line that is not one."""
    found: list[Record] = []
    for line in reversed(_tail(handle, size).split(b"\n")[:-1]):
        record = read(line)
        if record is None and found:
            break
        if record is not None:
            found.append(record)
    return found[::-1]


def _lead_on(head: Head, tail: list[Record]) -> bool:
    """Whether the records continue after this one without a gap."""
    for record in tail:
        if record.first > head.seq:
            if record.first != head.seq + 1 or record.prev != head.hash:
                return False
            head = record.head
    return True


def _hash_of_old_lines(handle: int, size: int) -> str:
    """What the first record of a chain names as the one before it: all lines that stood in the file."""
    if not size:
        return GENESIS
    hashed = hashlib.sha256()
    for start in range(0, size, TAIL_BYTES):
        hashed.update(os.pread(handle, min(TAIL_BYTES, size - start), start))
    return hashed.hexdigest()


def _tail(handle: int, size: int) -> bytes:
    start = max(0, size - TAIL_BYTES)
    return os.pread(handle, size - start, start)
