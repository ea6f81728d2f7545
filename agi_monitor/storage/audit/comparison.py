"""Compares two places that keep the same audit: which records are in one of them only.

Each place has a chain of its own, so numbers and hashes differ; what a record says is the same in both. The records
are counted in a temporary database on disk, whatever their order and number: memory stays the same.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from types import TracebackType

from agi_monitor.audit.chain import CHECKPOINT, REMOVED, RESERVED
from agi_monitor.audit.selection import Row
from agi_monitor.errors import AuditUnavailable

CACHE_KIB = 16_384
"""Memory of the temporary database; what is more goes to disk, about 200 bytes a record."""

BATCH = 1_000
"""Records that are written in one go."""

SHOWN = ("at", "fact", "supervisor", "extension", "call")
"""What is kept of a record besides its identity, to be shown."""

_TABLE = """
CREATE TABLE seen (
    identity BLOB PRIMARY KEY, more INTEGER, seq INTEGER,
    at TEXT, fact TEXT, supervisor TEXT, extension TEXT, call TEXT
) WITHOUT ROWID
"""

_COUNT = """
INSERT INTO seen (identity, more, seq, at, fact, supervisor, extension, call) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET
    seq = CASE WHEN abs(more + excluded.more) > abs(more) THEN excluded.seq ELSE seq END,
    more = more + excluded.more
"""
"""The number that is kept is that of the place that has more of them."""

_DIFFERENT = """
SELECT identity, more, seq, at, fact, supervisor, extension, call FROM seen
WHERE more != 0 ORDER BY at, seq, identity LIMIT ?
"""


@dataclass(frozen=True, slots=True)
class Difference:
    """A record that one place has more often than the other.

    Parameters:
        place: that has it: 0 or 1.
        more: how many times more often.
        seq: its number there; None when it has none.
        identity: the SHA-256 of what it says.
        shown: parts of it, by name; empty where it has none.
    """

    place: int
    more: int
    seq: int | None
    identity: str
    shown: dict[str, str]


@dataclass
class Counts:
    """What was read of one place.

    Parameters:
        records: how many.
        strange: lines that are not records.
        removed: records that ``agi-monitor audit retain`` removed there.
    """

    records: int = 0
    strange: int = 0
    removed: int = 0


def identity(row: Row) -> bytes:
    """Return what a record is known by wherever it is kept: a hash of what it says, without its place in a chain."""
    said = {name: value for name, value in row.items() if name not in RESERVED}
    return hashlib.sha256(json.dumps(said, sort_keys=True, separators=(",", ":")).encode()).digest()


class Comparison:
    """Two places, counted. Use it with ``with``: the temporary database goes at the end."""

    def __init__(self) -> None:
        # Without a name it is a file of its own that no other program can open, and is removed when it is closed.
        self._database = sqlite3.connect("", isolation_level=None)
        self.counts = (Counts(), Counts())

    def __enter__(self) -> Comparison:
        for pragma in ("journal_mode = OFF", "synchronous = OFF", "temp_store = FILE", f"cache_size = -{CACHE_KIB}"):
            self._database.execute(f"PRAGMA {pragma}")
        self._database.execute(_TABLE)
        self._database.execute("BEGIN")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._database.close()

    def read(self, place: int, rows: Iterable[Row | None]) -> None:
        """Count the records of one place.

        Parameters:
            place: 0 or 1.
            rows: the records; None for a line that is not one. Checkpoints belong to the chain and are left out.

        Raises:
            AuditUnavailable: there is no room for the temporary database.
        """
        try:
            counted = self._counted(place, rows)
            while some := list(islice(counted, BATCH)):
                self._database.executemany(_COUNT, some)
        except sqlite3.Error as error:
            raise AuditUnavailable(f"the temporary folder: {error}") from None

    def _counted(self, place: int, rows: Iterable[Row | None]) -> Iterator[tuple[object, ...]]:
        counts, sign = self.counts[place], 1 if place == 0 else -1
        for row in rows:
            if row is None:
                counts.strange += 1
            elif row.get("fact") == REMOVED and "signature" in row:
                counts.removed += _removed(row)
            elif not (row.get("fact") == CHECKPOINT and "signature" in row):
                counts.records += 1
                yield (identity(row), sign, _number(row.get("seq")), *(_text(row.get(name)) for name in SHOWN))

    def totals(self) -> tuple[int, int]:
        """Return how many records are in the first place only, and in the second."""
        first, second = self._database.execute(
            "SELECT coalesce(sum(max(more, 0)), 0), coalesce(sum(max(-more, 0)), 0) FROM seen"
        ).fetchone()
        return int(first), int(second)

    def differences(self, most: int) -> Iterator[Difference]:
        """Return what is in one place only, by time.

        Parameters:
            most: how many are wanted.
        """
        found = self._database.execute(_DIFFERENT, (most,))
        for name, more, seq, *shown in found:
            yield Difference(int(more < 0), abs(more), seq, name.hex(), dict(zip(SHOWN, shown, strict=True)))


def _removed(row: Row) -> int:
    first, last = _number(row.get("first")), _number(row.get("seq"))
    return 0 if first is None or last is None else max(0, last - first + 1)


def _number(value: object) -> int | None:
    return value if isinstance(value, int) and abs(value) < 2**63 else None


def _text(value: object) -> str:
    return "" if value is None else str(value).encode(errors="replace").decode()
