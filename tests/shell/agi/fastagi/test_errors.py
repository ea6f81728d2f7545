"""Replies that say failure, peers that break the protocol, stories that fail."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from agi_monitor.agi.end_reason import EndReason
from agi_monitor.agi.log_events import LogEvent
from agi_monitor.agi.protocol import Count
from agi_monitor.agi.session import Session
from agi_monitor.errors import CallEnded, CommandFailed, InvalidCommand, WrongUsage
from tests.shell.agi.fastagi.conversation import Server, waits_for_data


# -- errors --
@pytest.mark.parametrize(
    ("reply", "error"), [(b"510 Invalid\n", InvalidCommand), (b"520-U\nx\n520 End of proper usage.\n", WrongUsage)]
)
def test_error_replies(reply: bytes, error: type[Exception]) -> None:
    """510 and 520 are errors of their command, and the session continues."""

    async def story(session: Session, seen: list[str]) -> None:
        with pytest.raises(error):
            await session.noop()
        await session.noop()
        seen.append("on")

    server = Server(story)
    line = server.call()
    assert line.says(reply) == b"NOOP\n"
    line.says(b"200 result=0\n")
    assert server.seen == ["on"]


@pytest.mark.parametrize("data", [b"junk\n", b"200 result=0\n200 result=0\n", b"x" * 9000])
def test_a_peer_that_breaks_the_protocol(data: bytes) -> None:
    """It is aborted at once; the story sees CallEnded; one warning."""
    server = Server(waits_for_data)
    with capture_logs() as logs:
        line = server.call()
        line.says(data)
        assert line.transport.aborted
        line.says(b"more\n")
        line.breaks()
    assert server.seen == ["ended"]
    assert server.sessions[0].ended is EndReason.PROTOCOL_ERROR
    assert [log["event"] for log in logs if log["log_level"] == "warning"] == [LogEvent.PROTOCOL_ERROR]
    assert server.idle()


def test_a_story_that_fails() -> None:
    """An unexpected error is logged with where it was, Asterisk is told failure, and the connection closed."""

    async def story(session: Session, seen: list[str]) -> None:
        pin = "4711"
        raise RuntimeError(f"a bug of {len(pin)}")

    server = Server(story)
    with capture_logs() as logs:
        line = server.call()
    assert line.sent == b"failure\n"
    assert line.closed
    (log,) = [log for log in logs if log["log_level"] == "error"]
    assert log["event"] == LogEvent.STORY_FAILED
    assert log["error"] == "RuntimeError"
    assert "test_errors.py" in log["traceback"]
    assert "4711" not in str(logs).replace('pin = "4711"', "")
    assert server.factory.counters[Count.STORIES_FAILED] == 1
    assert server.sessions[0].ended is EndReason.FAILED


def test_a_story_that_fails_after_the_hangup_does_not_hide_it() -> None:
    """After HANGUP no failure is sent: AGISTATUS stays HANGUP."""

    async def story(session: Session, seen: list[str]) -> None:
        try:
            await session.noop()
        except CallEnded:
            raise RuntimeError from None

    server = Server(story)
    assert server.call().says(b"HANGUP\n") == b""
    assert server.factory.counters[Count.STORIES_FAILED] == 1


def test_a_refusing_story() -> None:
    """refuse() sends failure when the story is over."""

    async def story(session: Session, seen: list[str]) -> None:
        session.refuse()

    server = Server(story)
    line = server.call()
    assert line.sent == b"failure\n"
    assert line.closed
    assert server.sessions[0].ended is EndReason.REFUSED


def test_gosub_runs_and_a_reply_without_a_meaning_is_a_failed_command() -> None:
    """Asterisk says 100 before a subroutine runs. 503 and unknown codes fail, and the session continues."""

    async def story(session: Session, seen: list[str]) -> None:
        await session.gosub("sub", "s", 1)
        seen.append("ran")
        for _ in range(2):
            try:
                await session.gosub("sub", "s", 1)
            except CommandFailed as error:
                seen.append(str(error.code))
        await session.noop()
        seen.append("on")

    server = Server(story)
    line = server.call()
    line.says(b"100 result=0 Trying...\n")
    line.says(b"200 result=0 Gosub complete\n")
    line.says(b"503 result=-2 Memory allocation failure\n")
    line.says(b"599 what is this\n")
    line.says(b"200 result=0\n")
    assert server.seen == ["ran", "503", "599", "on"]
    assert line.closed
