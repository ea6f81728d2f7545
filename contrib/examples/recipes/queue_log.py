"""A queue log: each visit of a caller to a queue, followed over the manager interface, in a database."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass

import aiosqlite

from agi_monitor import Account, Disconnected, Event, ManagerClient, News, NoAnswer, Up

TABLES = """
CREATE TABLE IF NOT EXISTS visit (
    id INTEGER PRIMARY KEY,
    queue TEXT NOT NULL,
    uniqueid TEXT NOT NULL,
    caller TEXT NOT NULL,
    joined REAL NOT NULL,
    agent TEXT, waited REAL, talked REAL,
    outcome TEXT NOT NULL DEFAULT 'waiting'
);
CREATE INDEX IF NOT EXISTS visit_of_a_call ON visit (uniqueid);
"""
JOINED = "INSERT INTO visit (queue, uniqueid, caller, joined) VALUES (:queue, :uniqueid, :caller, :now)"
CHANGED = """
UPDATE visit
SET outcome = :outcome, agent = :agent, waited = coalesce(:waited, :now - joined), talked = :talked
WHERE id = (SELECT max(id) FROM visit WHERE queue = :queue AND uniqueid = :uniqueid)
AND (:outcome != 'left' OR outcome = 'waiting')
"""
OPEN = "SELECT id, uniqueid FROM visit WHERE outcome IN ('waiting', 'talking')"
LOST = "UPDATE visit SET outcome = 'unknown' WHERE id = ? AND outcome IN ('waiting', 'talking')"
OUTCOMES = {
    "QueueCallerJoin": "waiting",
    "AgentConnect": "talking",
    "AgentComplete": "answered",
    "QueueCallerAbandon": "abandoned",
    "QueueCallerLeave": "left",
}
"""Event -> what becomes of the visit. Every caller leaves, also after the call was put through or abandoned."""


@dataclass(frozen=True)
class QueueLog:
    """The table ``visit``.

    Parameters:
        database: open, with the tables.
        now: seconds since 1970.
    """

    database: aiosqlite.Connection
    now: Callable[[], float] = time.time

    async def take(self, event: Event) -> None:
        """Write what has happened, to the last visit of this call to this queue: a call may come again."""
        said, outcome = event.message, OUTCOMES[event.name]
        values = {
            "queue": said.text("Queue"),
            "uniqueid": said.text("Uniqueid"),
            "caller": said.text("CallerIDNum"),
            "agent": said.get("Interface"),
            "waited": said.get("HoldTime"),
            "talked": said.get("TalkTime"),
            "outcome": outcome,
            "now": self.now(),
        }
        await self.database.execute(JOINED if outcome == "waiting" else CHANGED, values)
        await self.database.commit()

    async def going_on(self) -> dict[int, str]:
        """The visits that are not over, each with its call."""
        rows = await self.database.execute_fetchall(OPEN)
        return {int(row[0]): str(row[1]) for row in rows}

    async def lose(self, visits: Collection[int]) -> None:
        """Mark visits whose end was not seen, unless it was meanwhile."""
        await self.database.executemany(LOST, [(visit,) for visit in visits])
        await self.database.commit()


async def write(events: News[Event], log: QueueLog) -> None:
    """Write events until the client is stopped."""
    async for event in events:
        await log.take(event)


async def settle(manager: ManagerClient, log: QueueLog) -> None:
    """Now, and whenever the connection is back: a visit whose call is gone has ended unseen."""
    states = manager.states()
    while True:
        with suppress(Disconnected, NoAnswer):
            open_visits = await log.going_on()
            listed = await manager.action_list("CoreShowChannels")
            there = {item.message.text("Uniqueid") for item in listed.items}
            await log.lose([visit for visit, uniqueid in open_visits.items() if uniqueid not in there])
        async for state in states:
            if isinstance(state, Up):
                break
        else:
            return


async def main(host: str, path: str, secret: str) -> None:
    """Follow the queues of a PBX."""
    async with aiosqlite.connect(path) as database:
        await database.executescript(TABLES)
        log = QueueLog(database)
        async with ManagerClient(host, Account("queue-log", secret)) as manager:
            events = manager.events(*OUTCOMES, max_waiting=10_000)
            await asyncio.gather(write(events, log), settle(manager, log))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], os.environ["QUEUE_LOG_SECRET"]))
