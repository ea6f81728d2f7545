"""A hang-up that the story asked for interrupts nothing."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs
from twisted.internet.defer import Deferred

from agi_monitor.agi.end_reason import EndReason
from agi_monitor.agi.log_events import LogEvent
from agi_monitor.agi.protocol import Count
from agi_monitor.agi.session import Session
from agi_monitor.errors import CallEnded
from tests.shell.agi.fastagi.conversation import LIMITS, Server


# -- a hang-up that the story asked for --
async def hangs_up_and_works(session: Session, seen: list[str]) -> None:
    """Hang up, work for a while, ask for one more thing, and clean up."""
    seen.append(f"hangup {await session.hangup()}")
    working: Deferred[None] = Deferred()
    WORKING.append(working)
    await working
    seen.append("worked")
    try:
        await session.answer()
    except CallEnded:
        seen.append("ended")
    await session.set_variable("RESULT", "over")


WORKING: list[Deferred[None]] = []


@pytest.mark.parametrize("together", [True, False])
def test_its_own_hang_up_interrupts_nothing(together: bool) -> None:
    """Whether HANGUP comes with the reply or after it: the work is done, and the next command raises."""
    WORKING.clear()
    server = Server(hangs_up_and_works)
    line = server.call()
    assert line.sent == b"HANGUP\n"
    for said in [b"200 result=1\nHANGUP\n"] if together else [b"200 result=1\n", b"HANGUP\n"]:
        line.says(said)
    assert server.seen == ["hangup True"]
    assert server.sessions[0].hung_up
    WORKING[0].callback(None)
    assert server.seen == ["hangup True", "worked", "ended"]
    assert line.sent.endswith(b'SET VARIABLE "RESULT" "over"\n')
    line.says(b"200 result=1\n")
    assert server.sessions[0].ended is EndReason.HANGUP
    assert server.factory.counters[Count.HANGUPS] == 0
    line.breaks()
    assert server.idle()


def test_what_follows_its_own_hang_up_is_timed() -> None:
    """As any other clean-up."""
    WORKING.clear()
    server = Server(hangs_up_and_works)
    line = server.call()
    line.says(b"200 result=1\nHANGUP\n")
    with capture_logs() as logs:
        server.clock.advance(LIMITS.cleanup_seconds)
    assert [log["event"] for log in logs if log["log_level"] == "warning"] == [LogEvent.CLEANUP_LEFT_BEHIND]
    assert line.closed
    WORKING[0].callback(None)
    assert server.seen == ["hangup True", "worked", "ended"]


@pytest.mark.parametrize("own", ["PJSIP/1-1", "pjsip/1-1", "1.1"])
def test_its_own_name_is_this_call_too(own: str) -> None:
    """Asterisk finds a channel by its name in any letters, and by its uniqueid."""

    async def story(session: Session, seen: list[str]) -> None:
        await session.hangup(own)
        seen.append("on")
        await Deferred()

    server = Server(story)
    line = server.call()
    line.says(b"200 result=1\nHANGUP\n")
    assert server.seen == ["on"]


def test_somebody_elses_hang_up_is_no_own_one() -> None:
    """A story that hangs up another channel is told when its own caller goes."""

    async def story(session: Session, seen: list[str]) -> None:
        await session.hangup("PJSIP/2-1")
        seen.append("on")
        try:
            await Deferred()
        except CallEnded:
            seen.append("ended")
            raise

    server = Server(story)
    line = server.call()
    line.says(b"200 result=1\n")
    line.says(b"HANGUP\n")
    assert server.seen == ["on", "ended"]
