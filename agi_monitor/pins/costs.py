"""What it costs to check a PIN: the parameters of an argon2id record, and their limits.

Pure: nothing is hashed here. A record is text that others wrote, into a configuration file, a spreadsheet or a
database, and argon2 does what it says: one with ``m=9999999`` would take the memory of the machine at the first call.
"""

from __future__ import annotations

import base64
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

MAX_MEMORY = 262_144
"""KiB that one look may take: 256 MiB, four times what a new record takes. Two looks run at once."""

MAX_WORK = 1_048_576
"""KiB times passes: about five times the work of a new record, which is under a second on a slow machine."""

MAX_PASSES = 16
"""Passes, however little memory they go over: each has a price of its own, see ``MAX_LANE_PASSES``."""

MAX_PARALLELISM = 8
"""Lanes, each a thread for a quarter of a pass."""

MAX_LANE_PASSES = 64
"""Lanes times passes: argon2 starts four threads for each (src/core.c, fill_memory_blocks_mt)."""

MAX_KINDS = 8
"""Kinds of records side by side: each look takes the work of one of every kind. A site has one or two, and some more
while it moves here from elsewhere."""

MAX_WORK_OF_ALL = 2_097_152
"""KiB times passes of all kinds together: about ten times the work of a new record."""

SALT_BYTES = range(8, 65)
HASH_BYTES = range(16, 65)
"""argon2 takes no shorter salt; a random PIN could match a shorter hash."""

_RECORD = re.compile(
    r"\$argon2id\$v=19\$m=([1-9][0-9]{0,9}),t=([1-9][0-9]{0,9}),p=([1-9][0-9]{0,9})"
    r"\$([A-Za-z0-9+/]{1,100})\$([A-Za-z0-9+/]{1,100})"
)
"""No zero before a number: argon2 itself reads none (src/encoding.c, decode_decimal)."""


@dataclass(frozen=True, slots=True, order=True)
class Cost:
    """What one look takes. Two records of the same cost cannot be told apart by time.

    Parameters:
        memory: in KiB.
        passes: over that memory.
        parallelism: lanes.
    """

    memory: int
    passes: int
    parallelism: int

    def dummy(self) -> str:
        """Return a record of this cost that no PIN fits."""
        return f"$argon2id$v=19$m={self.memory},t={self.passes},p={self.parallelism}${_SALT}${_HASH}"


_SALT = "cO5bpQtg7ZBsZeYjz+irjw"
_HASH = "LxlByVciaeiZZh+iU/oO9ef9ZmwwCbEq0g4H26+uOD0"
"""Random bytes; what they would be the hash of is not known to anyone."""

USUAL = Cost(65_536, 3, 4)
"""The cost of a new record (argon2-cffi, PasswordHasher)."""


def read(record: str) -> Cost:
    """Return the cost of a record.

    Raises:
        ValueError: it is not an argon2id record, or it asks for too much. The message repeats nothing of it but the
            parameter that is out of bounds.
    """
    match = _RECORD.fullmatch(record)
    if match is None:
        raise ValueError("must be an argon2id record; make one with: agi-monitor pin")
    cost = Cost(int(match[1]), int(match[2]), int(match[3]))
    if cost.memory > MAX_MEMORY:
        raise ValueError(f"is an argon2id record with m={cost.memory}: {MAX_MEMORY} (KiB of memory) is the most")
    if cost.passes > MAX_PASSES:
        raise ValueError(f"is an argon2id record with t={cost.passes}: {MAX_PASSES} is the most")
    if cost.parallelism > MAX_PARALLELISM:
        raise ValueError(f"is an argon2id record with p={cost.parallelism}: {MAX_PARALLELISM} is the most")
    if cost.passes * cost.parallelism > MAX_LANE_PASSES:
        raise ValueError(
            f"is an argon2id record with t={cost.passes},p={cost.parallelism}: {MAX_LANE_PASSES} is the most for "
            "their product"
        )
    if cost.memory < 8 * cost.parallelism:
        raise ValueError(f"is an argon2id record with m={cost.memory}: p={cost.parallelism} needs 8 KiB each")
    if cost.memory * cost.passes > MAX_WORK:
        raise ValueError(
            f"is an argon2id record with m={cost.memory},t={cost.passes}: {MAX_WORK} is the most for their product"
        )
    for name, text, allowed in (("salt", match[4], SALT_BYTES), ("hash", match[5], HASH_BYTES)):
        size = _size(text)
        if size is None:
            raise ValueError(f"is an argon2id record whose {name} is not whole")
        if size not in allowed:
            raise ValueError(f"is an argon2id record with a {name} of {size} bytes: {allowed[0]} to {allowed[-1]}")
    return cost


def checked(record: str) -> str:
    """Return the record as it is.

    Raises:
        ValueError: as ``read``.
    """
    read(record)
    return record


def cost_of(record: str | None) -> Cost | None:
    """Return the cost of a record, or None when there is none that may be looked at."""
    try:
        return None if record is None else read(record)
    except ValueError:
        return None


def in_force(records: Iterable[str | None]) -> frozenset[Cost]:
    """Return every cost that occurs. Those that may not be looked at are left out.

    Where there are more than may stand side by side, those that the fewest records have are left out as well, and
    their records count as none.
    """
    found: frozenset[Cost] = frozenset()
    for cost, _ in sorted(_counted(records).items(), key=lambda counted: (-counted[1], counted[0])):
        found = with_one_more(found, cost)
    return found


def with_one_more(costs: frozenset[Cost], cost: Cost) -> frozenset[Cost]:
    """Return the costs with one more, or as they are where that would be too much for one look."""
    more = costs | {cost}
    return more if len(more) <= MAX_KINDS and _work(more) <= MAX_WORK_OF_ALL else costs


def too_many(records: Iterable[str | None]) -> str | None:
    """Return why these records may not all exist side by side, or None.

    Parameters:
        records: each of them is allowed by itself.
    """
    costs = _counted(records)
    if len(costs) > MAX_KINDS:
        return f"there are argon2id records of {len(costs)} kinds (m, t, p): {MAX_KINDS} is the most"
    if _work(costs) > MAX_WORK_OF_ALL:
        together = f"the kinds of argon2id records ask for {_work(costs)} (m times t) together"
        return f"{together}: {MAX_WORK_OF_ALL} is the most"
    return None


def _counted(records: Iterable[str | None]) -> Counter[Cost]:
    # Ten thousand records have one or two costs: only those are read.
    kinds = Counter("$".join(record.split("$", 4)[:4]) for record in records if record is not None)
    costs: Counter[Cost] = Counter()
    for kind, number in kinds.items():
        cost = cost_of(f"{kind}${_SALT}${_HASH}")
        if cost is not None:
            costs[cost] += number
    return costs


def _work(costs: Iterable[Cost]) -> int:
    return sum(cost.memory * cost.passes for cost in costs)


def _size(text: str) -> int | None:
    """How many bytes a text is in base64 without its padding, or None when it is not exactly that."""
    if len(text) % 4 == 1:
        return None
    decoded = base64.b64decode(text + "=" * (-len(text) % 4))
    # The bits that are left over must be 0: argon2 refuses anything else (src/encoding.c, from_base64).
    return len(decoded) if base64.b64encode(decoded).rstrip(b"=").decode() == text else None
