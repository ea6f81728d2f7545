"""The shared secret, and no digit in a log."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from agi_monitor.agi.log_events import LogEvent
from agi_monitor.agi.protocol import Count
from agi_monitor.agi.session import Session
from tests.shell.agi.fastagi.conversation import ENVIRONMENT, GET_DATA, Server, waits_for_data


# -- the secret and the logs --
@pytest.mark.parametrize(
    ("arguments", "accepted"),
    [
        (b"agi_arg_1: s3cr3t\nagi_arg_2: more\n", True),
        (b"agi_arg_1: wrong\nagi_arg_2: more\n", False),
        (b"agi_arg_1: s3cr3t \n", False),
        (b"agi_arg_1: \xff\n", False),
        (b"", False),
    ],
)
def test_the_shared_secret(arguments: bytes, accepted: bool) -> None:
    """The first argument must be it; nobody sees it afterwards, in the request or in a log."""
    server = Server(waits_for_data, secret="s3cr3t", transcript=True)
    with capture_logs() as logs:
        line = server.call(ENVIRONMENT[:-1] + arguments + b"\n")
    assert (line.sent == GET_DATA) is accepted
    assert "s3cr3t" not in str(logs)
    if accepted:
        assert server.sessions[0].request.arguments == ("more",)
        assert "s3cr3t" not in str(server.sessions[0].request)
    else:
        assert line.sent == b"failure\n"
        assert line.closed
        assert server.factory.counters[Count.WRONG_SECRET] == 1


def test_an_empty_secret_is_a_mistake() -> None:
    """It would let in every call that has an empty argument."""
    with pytest.raises(ValueError, match="empty"):
        Server(secret="")


def test_the_transcript_holds_no_digits() -> None:
    """Commands and replies are logged at debug level, keys are not, and nothing at all when it is off."""

    async def story(session: Session, seen: list[str]) -> None:
        await session.get_data("agent-pass", 5, 8)
        await session.get_variable("A")
        await session.wait_for_digit(5)
        await session.stream_file("x", "123")

    for transcript in (True, False):
        server = Server(story, transcript=transcript)
        with capture_logs() as logs:
            line = server.call()
            line.says(b"200 result=4711 (timeout)\n")
            line.says(b"200 result=1 (value)\n")
            line.says(b"200 result=4712\n")
            line.says(b"200 result=4713 endpos=1\n")
        lines = [log for log in logs if log["event"] in (LogEvent.SENT, LogEvent.RECEIVED)]
        assert "471" not in str(logs)
        assert len(lines) == (8 if transcript else 0)
        if transcript:
            assert lines[0]["line"] == GET_DATA.decode().strip()
            assert lines[1]["reply"] == "(secret)"
            assert lines[3]["reply"] == "200 result=1 (value)"
            assert {(log["log_level"], log["session"]) for log in lines} == {("debug", "t-1")}


def test_digits_are_not_in_a_repr() -> None:
    """An assertion message or a traceback shows how many, not which."""

    async def story(session: Session, seen: list[str]) -> None:
        seen.append(repr(await session.get_data("x")))

    server = Server(story)
    server.call().says(b"200 result=4711\n")
    assert server.seen == ["Digits(<4>, timed_out=False)"]
