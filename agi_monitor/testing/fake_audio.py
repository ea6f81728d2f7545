"""What the caller says, for handlers of EAGI: a real pipe, read by the real ``Audio``."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any


class FakeAudio:
    """Asterisk's end of file descriptor 3, and the reactor that says when there is something to read.

    Parameters:
        later: takes a step when its turn has come.
    """

    def __init__(self, later: Callable[[Callable[[], None]], None]) -> None:
        self._later = later
        self._readers: list[Any] = []
        self.descriptor, self._writing = os.pipe()
        os.set_blocking(self._writing, False)
        self._open = True

    def say(self, samples: bytes) -> int:
        """Write what the caller says. Returns how many bytes of it fit: Asterisk does not wait either."""
        if not self._open:
            return 0
        try:
            taken = os.write(self._writing, samples)
        except BlockingIOError:
            taken = 0
        self._later(self._tell)
        return taken

    def close(self) -> None:
        """The call is over. A waiting read is told; nothing is left open."""
        if self._open:
            self._open = False
            os.close(self._writing)
            self._later(self._tell)

    def _tell(self) -> None:
        for reader in list(self._readers):
            reader.doRead()

    # -- what the reader calls of a reactor --

    def addReader(self, reader: Any) -> None:  # noqa: N802 (Twisted's name)
        """Tell this reader when there is something."""
        if reader not in self._readers:
            self._readers.append(reader)
            self._later(self._tell)

    def removeReader(self, reader: Any) -> None:  # noqa: N802 (Twisted's name)
        """Tell it no longer."""
        if reader in self._readers:
            self._readers.remove(reader)

    def removeWriter(self, writer: Any) -> None:  # noqa: N802 (Twisted's name)
        """Nothing is written here."""
