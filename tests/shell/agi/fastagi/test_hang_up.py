"""The caller hangs up, or the connection breaks: where the story sees it, and what it may still do."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs
from twisted.internet.defer import Deferred, ensureDeferred

from agi_monitor.agi.end_reason import EndReason
from agi_monitor.agi.log_events import LogEvent
from agi_monitor.agi.protocol import Count
from agi_monitor.agi.session import Session
from agi_monitor.errors import CallEnded
from tests.shell.agi.fastagi.conversation import ENVIRONMENT, LIMITS, SET, Server, waits_for_data


# -- hang-up --
def test_hangup_while_a_command_runs() -> None:
    """The story sees CallEnded at once; its clean-up waits for the reply that is still out."""
    server = Server(waits_for_data)
    line = server.call()
    assert line.says(b"HANGUP\n") == b""
    assert server.seen == ["ended"]
    assert server.sessions[0].hung_up
    assert line.says(b"200 result=-1\n") == SET
    line.says(b"200 result=1\n")
    assert server.seen == ["ended", "cleaned"]
    assert line.closed
    assert server.sessions[0].ended is EndReason.HANGUP
    assert server.factory.counters[Count.HANGUPS] == 1
    line.breaks()
    assert server.idle()


@pytest.mark.parametrize("data", [b"200 result=-1\nHANGUP\n", b"HANGUP\n200 result=-1\n"])
def test_hangup_together_with_the_reply(data: bytes) -> None:
    """In one chunk, in either order, it is a hang-up and the connection is in step."""
    server = Server(waits_for_data)
    line = server.call()
    assert line.says(data) == SET
    assert server.seen == ["ended"]


def test_hangup_behind_the_reply() -> None:
    """-1 alone makes the session ask; the HANGUP that follows ends the story."""
    server = Server(waits_for_data)
    line = server.call()
    assert line.says(b"200 result=-1\n") == b"CHANNEL STATUS\n"
    assert line.says(b"HANGUP\n") == b""
    assert line.says(b"511 Command Not Permitted on a dead channel\n") == SET
    assert server.seen == ["ended"]


def test_511_is_a_hangup_even_without_the_word() -> None:
    """With AGISIGHUP off Asterisk never says HANGUP."""
    server = Server(waits_for_data)
    line = server.call()
    assert line.says(b"511 Command Not Permitted on a dead channel\n") == SET
    assert server.seen == ["ended"]
    assert server.sessions[0].hung_up
    line.says(b"200 result=1\n")
    assert server.factory.counters[Count.HANGUPS] == 1
    line.breaks()
    assert server.idle()


def test_a_second_hangup_does_not_disturb_the_clean_up() -> None:
    """HANGUP twice cancels once."""
    server = Server(waits_for_data)
    line = server.call()
    line.says(b"HANGUP\n")
    line.says(b"200 result=-1\nHANGUP\n")
    line.says(b"HANGUP\n")
    line.says(b"HANGUP\n200 result=1\n")
    assert server.seen == ["ended", "cleaned"]


def test_half_a_hangup_behind_a_reply_holds_the_next_command_back() -> None:
    """A command is not sent between the halves of a line; it goes out when the rest was read."""

    async def story(session: Session, seen: list[str]) -> None:
        await session.noop()
        await session.set_variable("A", "b")
        seen.append("set")

    server = Server(story)
    line = server.call()
    assert line.says(b"200 result=0\n200 re") == b""
    server.clock.advance(LIMITS.command_seconds)
    assert line.closed

    server = Server(story)
    line = server.call()
    assert line.says(b"200 result=0\nHANG") == b""
    line.says(b"UP\n")
    assert server.sessions[0].hung_up


def test_a_reply_that_never_comes_after_hangup() -> None:
    """The clean-up waits this long for it and no longer; then its commands are over as well."""
    server = Server(waits_for_data)
    line = server.call()
    line.says(b"HANGUP\n")
    server.clock.advance(LIMITS.hangup_reply_seconds - 0.1)
    assert not line.closed
    server.clock.advance(0.2)
    assert server.seen == ["ended"]  # set_variable raised CallEnded
    assert line.closed
    line.breaks()
    assert server.idle()


def test_a_late_reply_brings_the_conversation_back_into_step() -> None:
    """Given up and then come after all, it is dropped, and the next clean-up command is sent again."""
    later: Deferred[None] = Deferred()

    async def story(session: Session, seen: list[str]) -> None:
        try:
            await session.get_data("x")
        finally:
            with pytest.raises(CallEnded):
                await session.noop()
            await later
            seen.append(str(await session.get_variable("A")))

    server = Server(story)
    line = server.call()
    line.says(b"HANGUP\n")
    server.clock.advance(LIMITS.hangup_reply_seconds)
    line.says(b"200 result=999\n")
    later.callback(None)
    assert line.sent == b'GET VARIABLE "A"\n'
    line.says(b"200 result=1 (b)\n")
    assert server.seen == ["b"]


def test_hangup_between_commands_cancels_what_the_story_waits_for() -> None:
    """A foreign Deferred is cancelled, and the story sees CallEnded, not CancelledError."""
    cancelled: list[bool] = []

    async def story(session: Session, seen: list[str]) -> None:
        foreign: Deferred[None] = Deferred(lambda _: cancelled.append(True))
        try:
            await foreign
        except CallEnded:
            seen.append("ended")
            with pytest.raises(CallEnded):
                await session.answer()
            await session.noop()
            raise

    server = Server(story)
    line = server.call()
    assert line.says(b"HANGUP\n") == b"NOOP\n"
    assert cancelled == [True]
    assert server.seen == ["ended"]
    line.says(b"200 result=0\n")
    assert line.closed


def test_hangup_reaches_a_nested_task() -> None:
    """A verb inside another coroutine's Deferred is released too."""

    async def inner(session: Session, seen: list[str]) -> None:
        try:
            await session.get_data("x")
        except CallEnded:
            seen.append("inner")
            raise

    async def story(session: Session, seen: list[str]) -> None:
        try:
            await ensureDeferred(inner(session, seen))
        except CallEnded:
            seen.append("outer")

    server = Server(story)
    server.call().says(b"HANGUP\n")
    assert server.seen == ["inner", "outer"]


def test_hangup_together_with_the_environment() -> None:
    """The story begins and is told where it first waits."""
    server = Server(waits_for_data)
    line = server.call(ENVIRONMENT + b"HANGUP\n")
    assert server.seen == ["ended"]
    assert line.says(b"511 dead\n") == SET


def test_a_story_that_catches_the_end_goes_on_with_what_is_legal() -> None:
    """CallEnded is raised once; afterwards only commands that need a live channel raise it."""

    async def story(session: Session, seen: list[str]) -> None:
        try:
            await session.get_data("x")
        except CallEnded:
            seen.append("caught")
        seen.append(str(await session.get_variable("A")))
        with pytest.raises(CallEnded):
            await session.stream_file("beep")

    server = Server(story)
    line = server.call()
    line.says(b"HANGUP\n200 result=-1\n")
    line.says(b"200 result=1 (b)\n")
    assert server.seen == ["caught", "b"]
    assert line.closed


def test_the_connection_breaks() -> None:
    """Lost connection: CallEnded where it waits, and every verb after it."""
    server = Server(waits_for_data)
    line = server.call()
    line.breaks()
    assert server.seen == ["ended"]
    assert server.sessions[0].ended is EndReason.CONNECTION_LOST
    assert not server.sessions[0].hung_up
    assert server.idle()


def test_the_connection_breaks_during_clean_up() -> None:
    """A clean-up command in flight is released."""
    server = Server(waits_for_data)
    line = server.call()
    line.says(b"HANGUP\n200 result=-1\n")
    line.breaks()
    assert server.seen == ["ended"]
    assert server.idle()


def test_a_clean_up_that_hangs_is_left_behind() -> None:
    """After cleanup_seconds its session is over, whatever it still waits for."""
    never: Deferred[None] = Deferred()

    async def story(session: Session, seen: list[str]) -> None:
        try:
            await session.get_data("x")
        finally:
            await never

    server = Server(story)
    with capture_logs() as logs:
        line = server.call()
        line.says(b"HANGUP\n")
        server.clock.advance(LIMITS.cleanup_seconds)
        assert line.closed
        line.breaks()
        assert server.idle()
        never.callback(None)
    assert server.factory.counters[Count.LEFT_BEHIND] == 1
    assert [log["event"] for log in logs if log["log_level"] == "warning"] == [LogEvent.CLEANUP_LEFT_BEHIND]
    assert [log["event"] for log in logs].count(LogEvent.SESSION_ENDED) == 1
