"""Lock-outs in the database, shared by all servers that use it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence

from sqlalchemy import Connection, delete, insert, select

from agi_monitor.model import Locked
from agi_monitor.storage.database import Database
from agi_monitor.storage.schema import lock_out
from agi_monitor.supervision.lock_outs import FORGET_SECONDS, MAX_STRANGERS, LockOut, key


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

    def _take(self, connection: Connection, who: Sequence[str]) -> None:
        """Let nobody else near these names until the end, whether they have a row or not."""
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
