"""Makes sure that what is read again is what was verified: between the two readings others may write there."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator

from agi_monitor.errors import AuditUnavailable
from agi_monitor.storage.audit.reading import Line

BLOCK_LINES = 1_000
BLOCK_BYTES = 4_194_304
"""So much is held in memory until it is known to be what was verified."""


class Seen:
    """What the first reading of a file, or of a node in the database, has found, as hashes of blocks of its lines.

    Parameters:
        where: the file or the node, for errors.
    """

    def __init__(self, where: str) -> None:
        self._where = where
        self._blocks: list[tuple[int, bytes]] = []
        """How many lines each has, and the hash of all lines up to its end."""
        self._hash = hashlib.sha256()
        self._lines = self._bytes = 0

    def take(self, line: Line) -> None:
        """Take in the next line of the first reading.

        Parameters:
            line: as it was verified.
        """
        self._hash.update(_content(line))
        self._lines += 1
        self._bytes += len(line.content)
        if self._lines == BLOCK_LINES or self._bytes >= BLOCK_BYTES:
            self._end_block()

    def again(self, lines: Iterable[Line], *, grows: bool) -> Iterator[Line]:
        """Yield the lines of a second reading, each only when it is known to be the one that was verified.

        Parameters:
            lines: of the second reading.
            grows: whether lines may have been added meanwhile. They were not verified, and are left out.

        Raises:
            AuditUnavailable: they are not the same.
        """
        if self._lines:
            self._end_block()
        rest, hashed = iter(lines), hashlib.sha256()
        for count, expected in self._blocks:
            block: list[Line] = []
            size = 0
            for line in rest:
                hashed.update(_content(line))
                block.append(line)
                size += len(line.content)
                # A block of other lines may be much longer.
                if len(block) == count or size > 2 * BLOCK_BYTES:
                    break
            if len(block) != count or hashed.digest() != expected:
                raise self._changed()
            yield from block
        if not grows and next(rest, None) is not None:
            raise self._changed()

    def _end_block(self) -> None:
        self._blocks.append((self._lines, self._hash.digest()))
        self._lines = self._bytes = 0

    def _changed(self) -> AuditUnavailable:
        return AuditUnavailable(
            f"{self._where}: was changed since it was verified, a moment ago, and what was changed was not removed. "
            "Find out who writes there, and come again"
        )


def _content(line: Line) -> bytes:
    return line.content + b"\n" if line.finished else line.content
