"""What the caller says, for a handler that Asterisk started with ``EAGI()``: file descriptor 3, to be read only.

Asterisk writes the caller's sound there, 16 bits a sample, while AGI waits or plays; nothing comes while an
application runs (run_agi, res_agi.c). It never waits for us: what does not fit into the pipe is lost. So nothing is
read ahead here, and a handler that begins to listen late may want to ``discard`` first.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Awaitable, Callable
from typing import Any

from twisted.internet.abstract import FileDescriptor
from twisted.internet.defer import Deferred, fail, succeed
from twisted.python.failure import Failure

from agi_monitor.errors import LocalProtocolError

DESCRIPTOR = 3
SAMPLE_RATE = 8_000
"""Of signed linear, which Asterisk sends when the variable EAGI_AUDIO_FORMAT names nothing else."""

MAX_READ = 1_048_576
"""Bytes that may be asked for at once: more than a minute."""

CHUNK = 65_536
"""A pipe holds as much."""


class Audio(FileDescriptor):
    """The caller's sound.

    Parameters:
        reactor: Twisted's.
        descriptor: to read from; it is closed with the session.
    """

    def __init__(self, reactor: Any, descriptor: int = DESCRIPTOR) -> None:
        super().__init__(reactor)
        self.connected = 1
        self._descriptor = descriptor
        self._buffer = bytearray()
        self._wanted = 0
        self._waiting: Deferred[bytes] | None = None
        self._ended = False
        self._awaitable: Callable[[Deferred[bytes]], Awaitable[bytes]] = lambda deferred: deferred
        os.set_blocking(descriptor, False)

    def awaiting(self, convert: Callable[[Deferred[bytes]], Awaitable[bytes]]) -> None:
        """Await something else than Twisted's Deferred from now on.

        Parameters:
            convert: makes it of a Deferred.
        """
        self._awaitable = convert

    async def read(self, size: int) -> bytes:
        """Wait for this number of bytes; fewer come only at the end of the call, and then none.

        Parameters:
            size: bytes; two are one sample.

        Raises:
            LocalProtocolError: another read is waiting, or the size is invalid.
            CallEnded: as every other method of the session.
        """
        return await self._awaitable(self._read(size))

    def discard(self) -> int:
        """Forget what was said so far. Returns its bytes."""
        dropped = len(self._buffer)
        self._buffer.clear()
        while not self._ended:
            try:
                data = os.read(self._descriptor, CHUNK)
            except BlockingIOError:
                break
            if not data:
                break  # the end is noticed by the next read
            dropped += len(data)
        return dropped

    def close(self) -> None:
        """Read nothing more."""
        if not self._ended:
            self._end()
            os.close(self._descriptor)

    def _read(self, size: int) -> Deferred[bytes]:
        if self._waiting is not None or not 0 < size <= MAX_READ:
            return fail(LocalProtocolError("one read of the audio at a time, of a size from 1 to 1,048,576"))
        if len(self._buffer) >= size or self._ended:
            return succeed(self._taken(size))
        self._wanted = size
        waiting: Deferred[bytes] = Deferred(self._cancelled)
        self._waiting = waiting
        self.startReading()  # type: ignore[no-untyped-call]  # Twisted's own
        return waiting

    def _taken(self, size: int) -> bytes:
        data = bytes(self._buffer[:size])
        del self._buffer[:size]
        return data

    def _cancelled(self, _: Deferred[bytes]) -> None:
        self._waiting = None
        self.stopReading()  # type: ignore[no-untyped-call]  # Twisted's own

    def _end(self) -> None:
        self._ended = True
        self.stopReading()  # type: ignore[no-untyped-call]  # Twisted's own
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.callback(self._taken(self._wanted))

    # -- what Twisted calls --

    def fileno(self) -> int:
        return self._descriptor

    def doRead(self) -> None:  # noqa: N802 (Twisted's name)
        try:
            data = os.read(self._descriptor, CHUNK)
        except OSError as error:
            if error.errno in (errno.EAGAIN, errno.EINTR):
                return
            data = b""
        if not data:
            self._end()
            return
        self._buffer += data
        if len(self._buffer) >= self._wanted and self._waiting is not None:
            self.stopReading()  # type: ignore[no-untyped-call]  # Twisted's own
            waiting, self._waiting = self._waiting, None
            waiting.callback(self._taken(self._wanted))

    def connectionLost(self, reason: Failure) -> None:  # noqa: N802 (Twisted's name)
        if not self._ended:
            self._end()

    def logPrefix(self) -> str:  # noqa: N802 (Twisted's name)
        return "agi-audio"
