"""The places that the audit is kept in, behind one port: the same records in each of them, in the same order.

::

    append(fact) --> arrived --> waits for the database --> the database
                         \\-----> waits for the file -----> the file

What has happened waits where it cannot be written. A fact that gates is in every place, or nothing has begun: if one
place has it and another refuses it, both get it, followed by a record that says so.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

import structlog

from agi_monitor.audit.chain import body_of
from agi_monitor.audit.facts import Fact
from agi_monitor.errors import AuditInDoubt, AuditUnavailable
from agi_monitor.pins.guard import InThread

MAX_WAITING = 10_000
"""Facts that wait, 4 MiB. Beyond this many the server takes no more calls, so few more can come."""

log = structlog.get_logger()


class AuditSink(Protocol):
    """One place that records are kept in. Everything in here blocks, and one thread at a time calls it."""

    @property
    def where(self) -> str:
        """The name of the place, for people."""
        ...

    @property
    def slow(self) -> bool:
        """Whether it may take seconds until it is known that it cannot be written: not every fact tries it again."""
        ...

    def take(self) -> None:
        """Keep others from writing there, where two writers would spoil it.

        Raises:
            AuditUnavailable: another server has it, or it cannot be written.
        """
        ...

    def write(self, body: bytes, at: datetime) -> None:
        """Put a record on disk, as the next one of the chain.

        Parameters:
            body: from ``audit_chain.body_of``.
            at: when the fact happened.

        Raises:
            AuditInDoubt: it may be there or not. Written again, it is there once.
            AuditUnavailable: it is not there.
        """
        ...

    def checkpoint(self, at: datetime, *, due: bool) -> None:
        """Sign what is not signed.

        Parameters:
            at: the time of day.
            due: only when it is time.

        Raises:
            AuditUnavailable: it cannot be written.
        """
        ...

    def close(self, at: datetime) -> None:
        """Sign what is not signed, and let others write there. Raises nothing: the records are on disk.

        Parameters:
            at: the time of day.
        """
        ...


@dataclass(frozen=True, slots=True, eq=False)
class _Entry:
    """A fact on its way."""

    body: bytes
    at: datetime


@dataclass(frozen=True, slots=True, eq=False)
class _Place:
    """A sink, and what waits for it, in order."""

    sink: AuditSink
    waiting: deque[_Entry] = field(default_factory=deque)


class AuditSinks:
    """``audit.AuditLog`` in one or more places.

    Parameters:
        sinks: what gates is written to one after the other. The one that is more likely to fail comes first: then
            the others know nothing of what it refuses.
        in_thread: runs one function at a time and in order.
    """

    def __init__(self, sinks: Sequence[AuditSink], in_thread: InThread) -> None:
        self._places = [_Place(sink) for sink in sinks]
        self._in_thread = in_thread
        self._arrived: deque[_Entry] = deque()

    @property
    def waiting(self) -> int:
        """How many facts have happened and are not on disk everywhere."""
        return len(self._longest()) + len(self._arrived)

    def unwritten(self) -> list[str]:
        """Return the facts that have happened and are not on disk everywhere, without their places in a chain."""
        return [entry.body.decode() for entry in (*self._longest(), *self._arrived)]

    async def append(self, fact: Fact) -> None:
        """Put the fact on disk; see ``audit.AuditLog``."""
        entry = _Entry(body_of(fact.record()), fact.at)
        if fact.gates:
            # In one go: who is interrupted while waiting here has the record on disk all the same.
            await self._in_thread(lambda: self._write_gating(fact, entry))
        else:
            self._arrived.append(entry)
            await self._in_thread(self._write_arrived)

    async def write_waiting(self) -> None:
        """Write the facts that could not be written before.

        Raises:
            AuditUnavailable: one of them still cannot be, somewhere; all that are left are kept.
        """
        await self._in_thread(self._write_waiting)

    async def checkpoint(self, at: datetime) -> None:
        """Sign what is not signed, when it is time, wherever nothing waits.

        Parameters:
            at: the time of day.
        """
        await self._in_thread(lambda: self._checkpoint(at))

    def take(self) -> None:
        """Keep other servers away until ``close``, where two would spoil it.

        Raises:
            AuditUnavailable: there is another one, or it cannot be written.
        """
        for place in self._places:
            place.sink.take()

    async def close(self, at: datetime) -> None:
        """Sign what is not signed, and note that nothing comes after it. Raises nothing: the records are on disk.

        Parameters:
            at: the time of day.
        """
        await self._in_thread(lambda: self._close(at))

    def _longest(self) -> deque[_Entry]:
        # What waits in one place is the end of what waits in another.
        return max((place.waiting for place in self._places), key=len)

    # ---- in the thread ---------------------------------------------------------------------------------

    def _take_arrived(self) -> None:
        """Give every place what has arrived. Here, not on arrival, so that no fact gets between what gates."""
        while self._arrived:
            for place in self._places:
                place.waiting.append(self._arrived[0])
            self._arrived.popleft()

    def _write_arrived(self) -> None:
        behind = [bool(place.waiting) for place in self._places]
        self._take_arrived()
        for place, was_behind in zip(self._places, behind, strict=True):
            if not (was_behind and place.sink.slow):
                with contextlib.suppress(AuditUnavailable):
                    self._catch_up(place)

    def _write_waiting(self) -> None:
        self._take_arrived()
        failed: AuditUnavailable | None = None
        for place in self._places:
            try:
                self._catch_up(place)
            except AuditUnavailable as error:
                failed = failed or error
        if failed is not None:
            raise failed

    def _write_gating(self, fact: Fact, entry: _Entry) -> None:
        self._take_arrived()
        done: list[_Place] = []
        for place in self._places:
            try:
                self._catch_up(place)
            except AuditUnavailable:
                self._withdraw(fact, entry, done)
                raise
            try:
                self._write(place, entry)
            except AuditInDoubt:
                self._withdraw(fact, entry, done, in_doubt=True)
                raise
            except AuditUnavailable:
                self._withdraw(fact, entry, done)
                raise
            done.append(place)

    def _withdraw(self, fact: Fact, entry: _Entry, done: list[_Place], *, in_doubt: bool = False) -> None:
        """A fact that gates was refused. If a place has it, or may have it, all get it, and a record that it came to
        nothing."""
        if not done and not in_doubt:
            return
        over = fact.withdrawn()
        for place in self._places:
            if place not in done:
                place.waiting.append(entry)
            if over is not None:
                place.waiting.append(_Entry(body_of(over.record()), over.at))
        for place in done:
            with contextlib.suppress(AuditUnavailable):
                self._catch_up(place)

    def _catch_up(self, place: _Place) -> None:
        while place.waiting:
            self._write(place, place.waiting[0])
            place.waiting.popleft()

    def _write(self, place: _Place, entry: _Entry) -> None:
        try:
            place.sink.write(entry.body, entry.at)
        except AuditUnavailable as error:
            log.error("audit_write_failed", error=str(error), waiting=self.waiting)
            raise

    def _checkpoint(self, at: datetime) -> None:
        for place in self._places:
            if not place.waiting:
                with contextlib.suppress(AuditUnavailable):
                    place.sink.checkpoint(at, due=True)

    def _close(self, at: datetime) -> None:
        for place in self._places:
            place.sink.close(at)
