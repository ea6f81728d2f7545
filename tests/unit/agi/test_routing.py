"""agi_monitor.agi.routing: from the script's name to its story."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from agi_monitor.agi.log_events import LogEvent
from agi_monitor.agi.routing import MAX_LOGGED_SCRIPT, Router, script_name
from agi_monitor.agi.session import Session
from agi_monitor.testing import FakeAsterisk


@pytest.mark.parametrize(
    ("script", "name"),
    [
        ("", ""),
        ("spy", "spy"),
        ("spy?a=b/c", "spy"),
        ("spy/1001?x", "spy"),
        ("spyx", "spyx"),
        ("/spy", ""),
        ("Spy", "Spy"),
    ],
)
def test_the_name_ends_at_the_first_slash_or_question_mark(script: str, name: str) -> None:
    """The rest belongs to the story."""
    assert script_name(script) == name


def test_the_exact_name_chooses() -> None:
    """The story of that name runs, no other."""
    router = Router()
    ran: list[str] = []

    @router.route("spy")
    async def spy(session: Session) -> None:
        ran.append(session.request.network_script)

    @router.route("")
    async def root(session: Session) -> None:
        ran.append("root")

    FakeAsterisk(script="spy?mode=listen").run(router)
    FakeAsterisk().run(router)
    assert ran == ["spy?mode=listen", "root"]


def test_an_unknown_script_is_refused() -> None:
    """Asterisk is told failure; the name is logged, cut."""
    fake = FakeAsterisk(script="x" * 500)
    with capture_logs() as logs:
        fake.run(Router())
    assert fake.failed
    assert fake.agi_status == "FAILURE"
    (log,) = [log for log in logs if log["event"] == LogEvent.ROUTE_UNKNOWN]
    assert log["script"] == "x" * MAX_LOGGED_SCRIPT


def test_a_name_is_whole_and_taken_once() -> None:
    """A name that could never match, or matches twice, is a mistake."""
    router = Router()

    async def story(session: Session) -> None:
        await session.noop()

    router.add("spy", story)
    for name in ("spy", "a?b", "a/{b", "{b}/{b}", "a/{b}"):
        with pytest.raises(ValueError, match=r"story|ends|place|takes no b"):
            router.add(name, story)
