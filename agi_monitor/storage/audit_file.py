"""The audit as JSON lines: one object a line, appended, never changed."""

from __future__ import annotations

import contextlib
import errno
import json
import os
from collections import deque
from pathlib import Path

import structlog

from agi_monitor.errors import AuditUnavailable
from agi_monitor.storage import durable
from agi_monitor.supervision.audit import Fact
from agi_monitor.supervision.pins import InThread

MAX_WAITING = 10_000
"""Facts that wait for the disk, 4 MiB. With so many the server takes no more calls, so few more can come."""

log = structlog.get_logger()


class AuditFile:
    """``audit.AuditLog`` on disk, each fact with an fsync.

    The file is opened for each fact, so that logrotate may move it away at any moment.

    Parameters:
        path: the file; made when it is not there, its folder must be.
        in_thread: runs one write at a time and in order.
    """

    def __init__(self, path: Path, in_thread: InThread) -> None:
        self._path = path
        self._in_thread = in_thread
        self._waiting: deque[bytes] = deque()

    @property
    def waiting(self) -> int:
        """How many facts have happened and are not on disk."""
        return len(self._waiting)

    def unwritten(self) -> list[str]:
        """Return the facts that have happened and are not on disk, as they would stand there."""
        return [line.decode().rstrip() for line in self._waiting]

    async def append(self, fact: Fact) -> None:
        """Put the fact on disk; see ``audit.AuditLog``."""
        line = json.dumps(fact.record(), ensure_ascii=False, separators=(",", ":")).encode(errors="replace") + b"\n"
        if not fact.gates:
            self._waiting.append(line)
            with contextlib.suppress(AuditUnavailable):
                await self.write_waiting()
            return
        # In one go: who is interrupted while waiting here has the record on disk all the same.
        await self._in_thread(lambda: self._write_after_waiting(line))

    async def write_waiting(self) -> None:
        """Write the facts that could not be written before.

        Raises:
            AuditUnavailable: the first of them still cannot be; all that are left are kept.
        """
        await self._in_thread(self._write_waiting)

    def _write_waiting(self) -> None:
        while self._waiting:
            self._append(self._waiting[0])
            self._waiting.popleft()

    def _write_after_waiting(self, line: bytes) -> None:
        self._write_waiting()
        self._append(line)

    def _append(self, line: bytes) -> None:
        try:
            self._append_to_file(line)
        except OSError as error:
            log.error("audit_write_failed", path=str(self._path), error=error.strerror, waiting=len(self._waiting))
            raise AuditUnavailable(f"{self._path}: the audit cannot be written: {error.strerror}") from error

    def _append_to_file(self, line: bytes) -> None:
        handle = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
        try:
            size = os.fstat(handle).st_size
            if size and os.pread(handle, 1, size - 1) != b"\n":
                # A crash tore the last line: the next fact must not be glued to it.
                line = b"\n" + line
            try:
                if os.write(handle, line) != len(line):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                os.fsync(handle)
                if size == 0:
                    durable.sync_folder(self._path.parent)
            except OSError:
                # A full disk takes half a line: take it back, so that the fact is not there twice later.
                with contextlib.suppress(OSError):
                    os.ftruncate(handle, size)
                raise
        finally:
            os.close(handle)
