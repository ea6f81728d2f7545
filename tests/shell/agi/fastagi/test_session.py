"""A whole session."""

from __future__ import annotations

from structlog.testing import capture_logs

from agi_monitor.agi.end_reason import EndReason
from agi_monitor.agi.log_events import LogEvent
from agi_monitor.agi.protocol import Count
from tests.shell.agi.fastagi.conversation import ENVIRONMENT, GET_DATA, SET, Server, waits_for_data


def test_a_whole_session() -> None:
    """Request, commands, replies, and the connection is closed when the story is over."""
    server = Server(waits_for_data)
    with capture_logs() as logs:
        line = server.call()
        assert line.sent == GET_DATA
        assert line.says(b"200 result=1234\n") == SET
        line.says(b"200 result=1\n")
        assert line.closed
        line.breaks()
    assert server.seen == ["1234", "cleaned"]
    assert server.idle()
    assert server.sessions[0].ended is EndReason.FINISHED
    assert server.sessions[0].id == "t-1"
    assert server.sessions[0].peer == "127.0.0.1"
    assert [(log["event"], log["log_level"]) for log in logs] == [
        (LogEvent.SESSION_STARTED, "debug"),
        (LogEvent.SESSION_ENDED, "info"),
    ]
    assert server.factory.counters[Count.COMMANDS] == 2


def test_bytes_one_by_one() -> None:
    """The same session in single bytes."""
    server = Server(waits_for_data)
    line = server.call(b"")
    for byte in ENVIRONMENT:
        sent = line.says(bytes([byte]))
    assert sent == GET_DATA
    for byte in b"200 result=12 (timeout)\n":
        sent = line.says(bytes([byte]))
    assert sent == SET
