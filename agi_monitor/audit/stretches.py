"""The lines of an audit, joined into *stretches*: records each of which fits the one before it.

Untouched records are one stretch, however many they are. Every change breaks it.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import TypeVar

from agi_monitor.audit.chain import Head, Record

REMEMBERED = 4_096
"""How many records are remembered, to find the one that a second chain branches off from."""

KNOWN_RECORDS = 1_000
"""A record that is known from elsewhere counts as much as this many others."""

Key = TypeVar("Key")
Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a line stands.

    Parameters:
        file: its file.
        line: its number in the file, from 1.
    """

    file: str
    line: int


@dataclass(frozen=True, slots=True)
class Spot:
    """A line among all lines.

    Parameters:
        order: as how many-th it was read.
        place: where it stands.
    """

    order: int
    place: Place


@dataclass(slots=True, eq=False)
class Stretch:
    """Records each of which fits the one before it.

    Parameters:
        first: the number of the first record.
        prev: the hash that it has of the record before it.
        begin: where the first record is.
        last: the chain up to the last record.
        end: where the last record is.
        lines: how many there are.
        vouched: whether something other than the next record proves that the last record is genuine.
        known: how many of the records are known from elsewhere.
        copied: whether the first record was read earlier already.
        branch: the stretch and the number of the record that ``prev`` is of, when that was read before.
        other_branch: the record that follows that one in the other stretch.
    """

    first: int
    prev: str
    begin: Spot
    last: Head
    end: Spot
    lines: int = 1
    vouched: bool = False
    known: int = 0
    copied: bool = False
    branch: tuple[Stretch, int] | None = None
    other_branch: Place | None = None

    @property
    def size(self) -> int:
        """How many numbers it has."""
        return self.last.seq - self.first + 1

    def continues(self, other: Stretch) -> bool:
        """Whether it fits behind the other one."""
        return self.first == other.last.seq + 1 and self.prev == other.last.hash


@dataclass(slots=True, eq=False)
class Stray:
    """Lines that are not records.

    Parameters:
        begin: where the first of them is.
        count: how many there are, one after the other.
        unfinished: whether it has no line ending.
        leading: whether they come before the first record of their file.
        content: SHA-256 of them, if they are leading.
    """

    begin: Spot
    count: int = 1
    unfinished: bool = False
    leading: bool = False
    content: hashlib._Hash = field(default_factory=hashlib.sha256)


class Stretches:
    """Puts records together, in the order in which they are read."""

    def __init__(self) -> None:
        self.all: list[Stretch] = []
        self._hashes: OrderedDict[str, tuple[Stretch, int]] = OrderedDict()
        self._places: OrderedDict[tuple[int, int], Place] = OrderedDict()

    def add(self, record: Record, spot: Spot) -> Stretch:
        """Take in the next record. Returns the stretch that it is the last of now."""
        stretch = self.all[-1] if self.all else None
        if stretch is not None and record.first == stretch.last.seq + 1 and record.prev == stretch.last.hash:
            stretch.last, stretch.end = record.head, spot
            stretch.lines += 1
            stretch.vouched = False
        else:
            stretch = self._begin(record, spot)
            self.all.append(stretch)
        _remember(self._hashes, record.hash, (stretch, record.seq))
        _remember(self._places, (stretch.begin.order, record.first), spot.place)
        return stretch

    def _begin(self, record: Record, spot: Spot) -> Stretch:
        stretch = Stretch(record.first, record.prev, spot, record.head, spot)
        stretch.copied = record.hash in self._hashes
        stretch.branch = self._hashes.get(record.prev)
        if stretch.branch is not None:
            other, seq = stretch.branch
            stretch.other_branch = self._places.get((other.begin.order, seq + 1))
        return stretch


def longest_chain(stretches: Sequence[Stretch]) -> list[Stretch]:
    """The stretches that together have the most records, one behind the other by their numbers."""
    by_number = sorted(stretches, key=lambda one: (one.first, one.begin.order))

    def step(one: int, other: int) -> float | None:
        return _step(by_number[one], by_number[other])

    return [by_number[number] for number in _best_way(len(by_number), step, lambda one: _worth(by_number[one]))]


def misplaced(chain: Sequence[Stretch]) -> list[Stretch]:
    """Those that stand elsewhere than their numbers say: the fewest lines without which the others are in order."""

    def step(one: int, other: int) -> float | None:
        return 0.0 if chain[one].begin.order < chain[other].begin.order else None

    as_read = _lines_before(sorted(chain, key=lambda one: one.begin.order))
    in_place = [as_read[id(one)] == before for one, before in zip(chain, _lines_before(chain).values(), strict=True)]
    kept = set(_best_way(len(chain), step, lambda one: chain[one].lines + 0.5 * in_place[one]))
    return [stretch for number, stretch in enumerate(chain) if number not in kept]


def _lines_before(stretches: Sequence[Stretch]) -> dict[int, int]:
    ends = accumulate((one.lines for one in stretches), initial=0)
    return dict(zip(map(id, stretches), ends, strict=False))


def _worth(stretch: Stretch) -> float:
    return stretch.lines + KNOWN_RECORDS * stretch.known - (0.5 if stretch.first != 1 else 0.0)


def _step(one: Stretch, other: Stretch) -> float | None:
    """What it costs to go from one stretch to the other, in records; None where there is no way."""
    if other.first > one.last.seq:
        return 0.0 if other.continues(one) else -0.5
    if other.branch is not None and other.branch[0] is one and other.branch[1] == other.first - 1 >= one.first:
        # What stands behind the branch is lost.
        return other.branch[1] - one.last.seq - 0.5
    return None


def _best_way(count: int, step: Callable[[int, int], float | None], worth: Callable[[int], float]) -> list[int]:
    """The way through 0, 1, 2, ... that is worth most; any of them may be left out."""
    best: list[tuple[float, int]] = []
    for number in range(count):
        gained, before = 0.0, -1
        for earlier in range(number):
            cost = step(earlier, number)
            if cost is not None and best[earlier][0] + cost > gained:
                gained, before = best[earlier][0] + cost, earlier
        best.append((gained + worth(number), before))
    way: list[int] = []
    number = max(range(count), key=lambda one: best[one][0], default=-1)
    while number >= 0:
        way.append(number)
        number = best[number][1]
    return way[::-1]


def _remember(memory: OrderedDict[Key, Value], key: Key, value: Value) -> None:
    memory[key] = value
    if len(memory) > REMEMBERED:
        memory.popitem(last=False)
