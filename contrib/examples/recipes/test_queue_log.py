"""Visits to queues as the manager interface tells them, and what a lost connection leaves open."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiosqlite
import pytest
from queue_log import OUTCOMES, TABLES, QueueLog, settle, write

from agi_monitor import Account, AMILimits, ManagerClient
from agi_monitor.testing import FakeManager

SECRET = "a secret of twelve letters or more"
CALL = {"Queue": "sales", "Uniqueid": "1700000000.1", "CallerIDNum": "2001"}
AGENT = {"Interface": "PJSIP/1001", "HoldTime": "7"}
Story = Callable[[FakeManager, ManagerClient], Awaitable[None]]


def told(fake: FakeManager, *names: str, **headers: str) -> None:
    """Tell events about the call."""
    for name in names:
        fake.event(name, **{**CALL, **AGENT, **headers})  # those that the event does not have are left out


async def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition."""
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.001)


def visits(folder: Path, story: Story) -> list[tuple[object, ...]]:
    """What the table holds after a story."""

    async def follow(fake: FakeManager, host: str, port: int) -> list[tuple[object, ...]]:
        async with aiosqlite.connect(folder / "calls.db") as database:
            await database.executescript(TABLES)
            log = QueueLog(database, lambda: 1_000.0)
            limits = AMILimits(retry_seconds=0.01)
            manager = ManagerClient(host, Account("queue-log", SECRET), port=port, limits=limits)
            async with manager, manager.events(*OUTCOMES) as events:
                tasks = asyncio.gather(write(events, log), settle(manager, log))
                await until(lambda: "CoreShowChannels" in fake.names)
                await story(fake, manager)
                await manager.action("Ping")  # what was told before is there
                await manager.stop()
                await tasks
            rows = await database.execute_fetchall("SELECT caller, agent, waited, talked, outcome FROM visit")
            return [tuple(row) for row in rows]

    fake = FakeManager("queue-log", SECRET)
    with fake.over_tcp() as (host, port):
        return asyncio.run(follow(fake, host, port))


@pytest.mark.parametrize(
    ("events", "visit"),
    [
        ((), ("2001", None, None, None, "waiting")),
        (("QueueCallerLeave", "AgentConnect"), ("2001", "PJSIP/1001", 7, None, "talking")),
        (("QueueCallerLeave", "AgentConnect", "AgentComplete"), ("2001", "PJSIP/1001", 7, 60, "answered")),
        (("QueueCallerAbandon", "QueueCallerLeave"), ("2001", None, 7, None, "abandoned")),  # hung up while waiting
        (("QueueCallerLeave",), ("2001", None, 0, None, "left")),  # a key, or the queue's time-out
    ],
)
def test_a_visit(tmp_path: Path, events: tuple[str, ...], visit: tuple[object, ...]) -> None:
    async def story(fake: FakeManager, manager: ManagerClient) -> None:
        told(fake, "QueueCallerJoin", *events, TalkTime="60")

    assert visits(tmp_path, story) == [visit]


def test_a_call_that_comes_again_is_another_visit(tmp_path: Path) -> None:
    async def story(fake: FakeManager, manager: ManagerClient) -> None:
        told(fake, "QueueCallerJoin", "QueueCallerLeave", "QueueCallerJoin", "QueueCallerAbandon")

    assert [visit[-1] for visit in visits(tmp_path, story)] == ["left", "abandoned"]


def test_what_a_caller_calls_itself_is_a_value(tmp_path: Path) -> None:
    async def story(fake: FakeManager, manager: ManagerClient) -> None:
        told(fake, "QueueCallerJoin", CallerIDNum="'); DROP TABLE visit; --")

    assert visits(tmp_path, story) == [("'); DROP TABLE visit; --", None, None, None, "waiting")]


def test_whose_end_was_not_seen_is_unknown(tmp_path: Path) -> None:
    async def story(fake: FakeManager, manager: ManagerClient) -> None:
        fake.add_channel("PJSIP/2002-00000002", "1700000000.2")
        told(fake, "QueueCallerJoin")
        told(fake, "QueueCallerJoin", Uniqueid="1700000000.2", CallerIDNum="2002")
        await manager.action("Ping")
        fake.lose_connection()
        await until(lambda: fake.names.count("CoreShowChannels") == 2)

    assert [(visit[0], visit[-1]) for visit in visits(tmp_path, story)] == [("2001", "unknown"), ("2002", "waiting")]
