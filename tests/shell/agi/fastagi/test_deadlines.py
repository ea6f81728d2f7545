"""Deadlines of commands, and one command at a time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from structlog.testing import capture_logs
from twisted.internet.defer import CancelledError, Deferred, ensureDeferred
from twisted.internet.task import deferLater

from agi_monitor.agi.end_reason import EndReason
from agi_monitor.agi.log_events import LogEvent
from agi_monitor.agi.protocol import Count
from agi_monitor.agi.session import Session
from agi_monitor.errors import CallEnded, LocalProtocolError
from tests.shell.agi.fastagi.conversation import LIMITS, Server


# -- deadlines --
def test_a_peer_that_says_nothing() -> None:
    """After environment_seconds it is closed; nothing is left."""
    server = Server()
    line = server.connect()
    assert line is not None
    server.clock.advance(LIMITS.environment_seconds)
    assert line.closed
    assert server.factory.counters[Count.ENVIRONMENT_DEADLINES] == 1
    server.clock.advance(LIMITS.hangup_reply_seconds)
    assert line.transport.aborted
    line.breaks()
    assert server.idle()
    assert server.factory.counters[Count.DROPPED] == 0


@pytest.mark.parametrize(
    ("verb", "seconds"),
    [
        (lambda session: session.noop(), LIMITS.command_seconds),
        (lambda session: session.stream_file("x"), LIMITS.playback_seconds),
        (lambda session: session.get_data("x", 5, 3), LIMITS.prompt_seconds + 5 * 4),
        (lambda session: session.wait_for_digit(7), LIMITS.prompt_seconds + 7),
        (lambda session: session.wait_for_digit(), LIMITS.execute_seconds),
        (lambda session: session.execute("ChanSpy", "x"), LIMITS.execute_seconds),
    ],
)
def test_each_command_has_its_deadline(verb: Callable[[Session], Awaitable[Any]], seconds: float) -> None:
    """A reply that does not come ends the session, not earlier and not later."""

    async def story(session: Session, seen: list[str]) -> None:
        await session.noop()
        try:
            await verb(session)
        except CallEnded:
            seen.append("ended")
            with pytest.raises(CallEnded):
                await session.noop()
            raise

    server = Server(story)
    with capture_logs() as logs:
        line = server.call()
        server.clock.advance(1)
        line.says(b"200 result=0\n")
        server.clock.pump([seconds / 2, seconds / 2 - 0.01])
        assert not line.closed
        server.clock.advance(0.02)
    assert line.closed
    assert server.seen == ["ended"]
    assert server.sessions[0].ended is EndReason.DEADLINE
    assert [log["event"] for log in logs if log["log_level"] == "warning"] == [LogEvent.DEADLINE_PASSED]
    line.breaks()
    assert server.idle()


def test_an_idle_story_has_no_deadline() -> None:
    """Between commands a story may take its time."""
    waiting: Deferred[None] = Deferred()

    async def story(session: Session, seen: list[str]) -> None:
        await session.noop()
        await waiting

    server = Server(story)
    line = server.call()
    line.says(b"200 result=0\n")
    server.clock.pump([3600.0] * 3)
    assert not line.closed
    waiting.callback(None)
    assert line.closed


def test_a_cancelled_verb_keeps_the_conversation_in_step() -> None:
    """When a story stops waiting for a reply, the next command waits for it and gets its own."""

    async def story(session: Session, seen: list[str]) -> None:
        waiting = ensureDeferred(session.get_data("x", 5, 3))
        deferLater(server.clock, 1, waiting.cancel)
        with pytest.raises(CancelledError):
            await waiting
        seen.append(str(await session.get_variable("A")))

    server = Server(story)
    line = server.call()
    server.clock.advance(1)
    assert line.says(b"200 result=999\n") == b'GET VARIABLE "A"\n'
    line.says(b"200 result=1 (b)\n")
    assert server.seen == ["b"]


def test_one_command_at_a_time() -> None:
    """A second command while one is in flight is refused before anything is sent."""

    async def story(session: Session, seen: list[str]) -> None:
        first = ensureDeferred(session.noop())
        with pytest.raises(LocalProtocolError):
            await session.noop()
        await first
        seen.append("first")

    server = Server(story)
    line = server.call()
    assert line.sent == b"NOOP\n"
    line.says(b"200 result=0\n")
    assert server.seen == ["first"]
