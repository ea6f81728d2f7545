"""Bytes to lines, whatever the chunks. What is kept is bounded by the longest line and the last chunk."""

from __future__ import annotations

from agi_monitor.errors import RemoteProtocolError


class Lines:
    """The lines that one peer sends.

    Parameters:
        max_bytes: of one line, without its end.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._buffer = bytearray()

    def receive(self, data: bytes) -> None:
        """Take in what came. Take out all lines before the next chunk."""
        self._buffer += data

    def next_line(self) -> bytes | None:
        """Return the next whole line without its end, or None.

        Raises:
            RemoteProtocolError: the line is too long, whether it has ended or not.
        """
        end = self._buffer.find(b"\n", 0, self._max_bytes + 1)
        if end < 0:
            if len(self._buffer) > self._max_bytes:
                raise RemoteProtocolError(f"a line is longer than {self._max_bytes} bytes")
            return None
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        return line

    def __len__(self) -> int:
        """Count the bytes that are kept."""
        return len(self._buffer)
