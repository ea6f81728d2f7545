"""A story that keeps all others waiting is named."""

from __future__ import annotations

from structlog.testing import capture_logs

from agi_monitor.agi.log_events import LogEvent
from agi_monitor.agi.protocol import Count
from agi_monitor.agi.session import Session
from tests.shell.agi.fastagi.conversation import Server


# -- a story that keeps everybody waiting --
def test_a_story_that_holds_the_reactor_is_named() -> None:
    """Between two waits, at its beginning and at its end, and only when it was long."""
    now = [0.0]
    steps = iter((0.4, 4.0, 0.6))

    async def story(session: Session, seen: list[str]) -> None:
        for _ in range(2):
            now[0] += next(steps)
            await session.noop()
        now[0] += next(steps)

    server = Server(story)
    server.factory.monotonic = lambda: now[0]
    with capture_logs() as logs:
        line = server.call()
        for _ in range(2):
            line.says(b"200 result=0\n")
    held = [log for log in logs if log["event"] == LogEvent.REACTOR_HELD]
    assert [(log["seconds"], log["script"], log["log_level"]) for log in held] == [
        (4.0, "spy", "warning"),
        (0.6, "spy", "warning"),
    ]
    assert all(log["handler"].endswith("serve") for log in held)
    assert server.factory.counters[Count.REACTOR_HELD] == 2
