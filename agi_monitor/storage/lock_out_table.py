"""Lock-outs in the database, shared by all servers that use it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Connection, delete, func, insert, select

from agi_monitor.model import Locked
from agi_monitor.pins.lock_outs import FORGET_SECONDS, MAX_STRANGERS, LockOut, key
from agi_monitor.storage.database import Database
from agi_monitor.storage.schema import lock_out, lock_out_end

ENDS_LOCK = 4_573_224
"""Names the lock of PostgreSQL that everyone takes who ends lock-outs."""


@dataclass(frozen=True, slots=True)
class Ended:
    """A lock-out was ended by command.

    Parameters:
        number: counts all ends.
        at: when it was ended.
        by: who ended it.
        who: as ``lock_outs.key``.
        failures: how many wrong PINs were forgotten.
    """

    number: int
    at: datetime
    by: str
    who: str
    failures: int


class LockOutTable:
    """``lock_outs.LockOutStore`` in the database.

    Parameters:
        database: with its tables.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def change(
        self, who: Sequence[str], decide: Callable[[Mapping[str, LockOut]], Mapping[str, LockOut]]
    ) -> Mapping[str, LockOut]:
        """Read, decide and write in one transaction, alone with these names.

        Raises:
            StateUnavailable: nothing was changed.
        """
        with self._database.transaction() as connection:
            self._take(connection, who)
            rows = connection.execute(select(lock_out).where(lock_out.c.who.in_(who)))
            before = {row.who: LockOut(row.failures, row.last, row.until) for row in rows}
            after = decide(before)
            if after != before:
                _write(connection, who, after)
                if not after.keys() <= before.keys():
                    self._forget(connection, max(one.last for one in after.values()))
        return before

    def end(self, who: Sequence[str], by: str, at: datetime) -> Mapping[str, LockOut]:
        """Forget the wrong PINs of these names, and record who said so. Returns what was forgotten.

        Parameters:
            who: names, as ``lock_outs.key`` makes them.
            by: who ends the lock-outs.
            at: the time of day.

        Raises:
            StateUnavailable: nothing was changed.
        """
        with self._database.transaction() as connection:
            # Rows become visible in the order of their numbers: a reader who has seen one has seen all before it.
            self._database.lock(connection, ENDS_LOCK)
            self._take(connection, who)
            rows = connection.execute(select(lock_out).where(lock_out.c.who.in_(who)).order_by(lock_out.c.who))
            before = {row.who: LockOut(row.failures, row.last, row.until) for row in rows}
            if before:
                connection.execute(delete(lock_out).where(lock_out.c.who.in_(who)))
                ends = [
                    {"at": at.timestamp(), "by": by, "who": name, "failures": one.failures}
                    for name, one in before.items()
                ]
                connection.execute(insert(lock_out_end), ends)
        return before

    def ends_since(self, number: int) -> tuple[Ended, ...]:
        """Return the lock-outs that were ended after this number.

        Raises:
            StateUnavailable: that cannot be read.
        """
        query = select(lock_out_end).where(lock_out_end.c.id > number).order_by(lock_out_end.c.id)
        with self._database.transaction() as connection:
            return tuple(
                Ended(row.id, datetime.fromtimestamp(row.at, UTC), row.by, row.who, row.failures)
                for row in connection.execute(query)
            )

    def last_end(self) -> int:
        """Return the number of the last end; 0 when there was none.

        Raises:
            StateUnavailable: it cannot be read.
        """
        with self._database.transaction() as connection:
            return int(connection.execute(select(func.coalesce(func.max(lock_out_end.c.id), 0))).scalar_one())

    def _take(self, connection: Connection, who: Sequence[str]) -> None:
        """Lock these names until the end, whether they have a row or not."""
        # In one order, so that two never wait for each other.
        for number in sorted(map(_number, who)):
            self._database.lock(connection, number)

    def _forget(self, connection: Connection, now: float) -> None:
        """Remove what no longer counts, and strangers beyond the most that are remembered."""
        old = now - FORGET_SECONDS
        names = select(lock_out.c.who)
        surplus = [names.where(lock_out.c.last < old, lock_out.c.until < old)]
        for kind in (Locked.ENDPOINT, Locked.PEER):
            of_kind = names.where(lock_out.c.who.startswith(key(kind, ""), autoescape=True))
            surplus.append(of_kind.order_by(lock_out.c.last.desc(), lock_out.c.who).offset(MAX_STRANGERS))
        for query in surplus:
            # Those that another server has at hand just now stay: two that waited for each other would wait forever.
            found = connection.execute(query.with_for_update(skip_locked=True)).scalars().all()
            if found:
                connection.execute(delete(lock_out).where(lock_out.c.who.in_(found)))


def _write(connection: Connection, who: Sequence[str], after: Mapping[str, LockOut]) -> None:
    connection.execute(delete(lock_out).where(lock_out.c.who.in_(who)))
    rows = [
        {"who": one, "failures": found.failures, "last": found.last, "until": found.until}
        for one, found in after.items()
    ]
    if rows:
        connection.execute(insert(lock_out), rows)


def _number(who: str) -> int:
    """A name as PostgreSQL's locks have one. Two names with the same number would only wait for each other."""
    return int.from_bytes(hashlib.sha256(who.encode()).digest()[:8], "big", signed=True)
