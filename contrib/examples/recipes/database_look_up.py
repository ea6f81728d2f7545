"""A database look-up: the caller's name from SQLite, with an asyncio driver."""

from __future__ import annotations

import sqlite3
import sys
from dataclasses import dataclass

import aiosqlite

from agi_monitor import Session, serve

SECONDS = 1.0


@dataclass(frozen=True)
class CallerName:
    """A handler that sets the caller's name. Without an entry, or a database, the call continues as it is.

    Parameters:
        path: of the database; it has a table ``people`` with ``number`` and ``name``.
    """

    path: str

    async def __call__(self, session: Session) -> None:
        try:
            name = await self._look_up(session.request.caller_id or "")
        except sqlite3.Error as error:
            await session.verbose(f"no caller name: {error}")
            return
        if name:
            # No line break can be sent, and a quotation mark is escaped on the way.
            await session.set_variable("CALLERID(name)", " ".join(name.split())[:80])

    async def _look_up(self, number: str) -> str:
        async with aiosqlite.connect(f"file:{self.path}?mode=ro", uri=True, timeout=SECONDS) as database:
            found = await database.execute_fetchall("SELECT name FROM people WHERE number = ?", (number,))
            return next((str(row[0]) for row in found), "")


if __name__ == "__main__":
    serve(CallerName(sys.argv[1]), use_asyncio=True)
