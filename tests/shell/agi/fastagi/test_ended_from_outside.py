"""A session that is ended from outside, and a server that stops."""

from __future__ import annotations

from structlog.testing import capture_logs
from twisted.python.failure import Failure

from agi_monitor.agi.end_reason import EndReason
from agi_monitor.agi.session import Session
from agi_monitor.errors import CallEnded
from tests.shell.agi.fastagi.conversation import ENVIRONMENT, SET, Server, waits_for_data


# -- ended from outside --
def test_ended_from_outside_the_channel_is_alive() -> None:
    """The story sees CallEnded; its clean-up may use every verb, after the reply that is out."""

    async def story(session: Session, seen: list[str]) -> None:
        try:
            await session.get_data("x")
        except CallEnded:
            await session.stream_file("sorry")
            seen.append("played")

    server = Server(story)
    line = server.call()
    line.transport.clear()  # type: ignore[no-untyped-call]  # Twisted's own
    server.sessions[0].end()
    server.sessions[0].end(EndReason.REVOKED)
    assert line.sent == b""
    assert line.says(b"200 result= (timeout)\n") == b'STREAM FILE "sorry" "" "0"\n'
    line.says(b"200 result=0 endpos=1\n")
    assert server.seen == ["played"]
    assert line.closed
    assert server.sessions[0].ended is EndReason.SHUTDOWN


def test_a_story_may_end_itself() -> None:
    """end() from inside is seen where it waits next, and that wait is cancelled."""

    async def story(session: Session, seen: list[str]) -> None:
        session.end(EndReason.REVOKED)
        try:
            await session.answer()
        except CallEnded:
            seen.append("ended")

    server = Server(story)
    line = server.call()
    assert server.seen == ["ended"]
    assert line.closed


def test_hangup_after_end_from_outside() -> None:
    """HANGUP during the clean-up does not cancel it; from then on the channel is dead."""
    server = Server(waits_for_data)
    line = server.call()
    server.factory.end_all()
    assert line.says(b"HANGUP\n200 result=-1\n") == SET
    line.says(b"200 result=1\n")
    assert server.seen == ["ended", "cleaned"]
    assert server.sessions[0].ended is EndReason.SHUTDOWN


def test_drain() -> None:
    """New calls are refused with failure, running ones continue, idle fires when the last is over."""
    server = Server(waits_for_data)
    early = server.connect()
    assert early is not None
    line = server.call()
    server.factory.drain()
    idle: list[None] = []
    server.factory.idle().addCallback(idle.append)
    with capture_logs() as logs:
        assert early.says(ENVIRONMENT) == b"failure\n"
        refused = server.call()
    assert refused.sent == b"failure\n"
    assert refused.closed
    assert early.closed
    assert [log["reason"] for log in logs] == ["draining", "draining"]
    assert list(server.factory.sessions) == ["t-1"]
    line.says(b"200 result=1\n")
    assert idle == []
    line.says(b"200 result=1\n")
    assert idle == [None]
    assert server.factory.idle().called
    cancelled = Server(waits_for_data)
    cancelled.call()
    waiting = cancelled.factory.idle()
    waiting.cancel()
    assert isinstance(waiting.result, Failure)
    waiting.addErrback(lambda _: None)
