"""Hang-ups at every command, and a disk that fails: no spy without a record."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest
from structlog.testing import capture_logs
from twisted.internet.defer import Deferred

from agi_monitor.agi.end_reason import EndReason
from agi_monitor.audit.facts import End
from agi_monitor.model import Reason
from agi_monitor.testing import FakeAsterisk
from tests.doubles.desk import PIN, Desk, spoken
from tests.unit.supervision.story.calls import assert_spies_are_on_record, no_record

Result = TypeVar("Result")

LONG_STORY = f"{PIN}#56*1001*"

COMMANDS_OF_LONG_STORY = 76


def test_the_long_story_has_so_many_commands(desk: Desk) -> None:
    """The tests below go through every command of a story with all keys."""
    desk.run(LONG_STORY)

    assert len(desk.pbx.commands) == COMMANDS_OF_LONG_STORY
    assert len(desk.spies) == 4


@pytest.mark.parametrize("number", range(1, COMMANDS_OF_LONG_STORY + 1))
def test_a_hang_up_at_any_command_leaves_no_open_record(desk: Desk, number: int) -> None:
    """Wherever the supervisor hangs up, no ChanSpy is without a record before it and an end after it."""
    desk.pbx.hang_up_at_command(number)
    with capture_logs() as logs:
        desk.run(LONG_STORY)

    assert desk.pbx.closed
    assert_spies_are_on_record(desk)
    assert [line for line in logs if line["log_level"] == "error"] == []


@pytest.mark.parametrize("number", range(1, COMMANDS_OF_LONG_STORY + 1))
def test_a_lost_connection_at_any_command_leaves_no_open_record(desk: Desk, number: int) -> None:
    """The same when the connection to the PBX breaks."""
    cut_at_command(desk, number)
    with capture_logs() as logs:
        desk.run(LONG_STORY)

    assert desk.pbx.closed
    assert_spies_are_on_record(desk)
    assert [line for line in logs if line["log_level"] == "error"] == []


def cut_at_command(desk: Desk, number: int) -> None:
    """Break the connection when the n-th command arrives."""

    class Commands(list[list[str]]):
        def append(self, words: list[str]) -> None:
            super().append(words)
            if len(self) == number:
                desk.pbx.lose_connection()

    desk.pbx.commands = Commands()


class HangUpAtWrite:
    """Runs the audit's writes; during the n-th the supervisor hangs up, and the disk is slower than that."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.writes = 0
        self.pbx: FakeAsterisk | None = None

    async def __call__(self, function: Callable[[], Result], /) -> Result:
        result = function()
        self.writes += 1
        if self.writes == self.number and self.pbx is not None:
            disk: Deferred[None] = Deferred()
            self.pbx.hang_up()
            await disk
        return result


@pytest.mark.parametrize("number", range(1, 9))
def test_a_hang_up_while_the_disk_is_busy_leaves_no_open_record(tmp_path: Path, number: int) -> None:
    """A record of a grant that was being written when the supervisor hung up gets its end as well."""
    writing = HangUpAtWrite(number)
    desk = Desk(tmp_path, writing=writing)
    writing.pbx = desk.pbx
    desk.run(LONG_STORY)

    assert writing.writes >= number
    begun = [record["grant"] for record in desk.records if record["fact"] == "spy_started"]
    ended = [record["grant"] for record in desk.records if record["fact"] == "spy_ended"]
    assert begun == ended
    assert len(desk.spies) <= len(begun)


@pytest.mark.parametrize("number", range(1, 8))
def test_no_sound_without_a_record(desk: Desk, number: int) -> None:
    """From the append on that fails, ChanSpy is executed no more."""
    desk.audit.fails_from = number
    desk.run(LONG_STORY)

    events = desk.pbx.happened
    failed = next(at for at, event in enumerate(events) if event.startswith("no record of"))
    assert not any("ChanSpy" in event for event in events[failed:])
    assert " ".join(spoken(Reason.AUDIT_UNAVAILABLE)) in " ".join(desk.pbx.played)
    assert len(desk.spies) == number // 2


def test_a_full_disk_is_told_with_what_could_not_be_written(desk: Desk) -> None:
    """The refusal is kept until the disk takes it again, and names the error."""
    no_record(desk)

    assert desk.recorded("fact", "reason") == [("refused", "audit_unavailable")]
    assert "No such file or directory" in str(desk.records[0]["detail"])


@pytest.mark.parametrize("why", [End.SERVER_STOPPING, End.LEFT_RUNNING])
def test_a_server_that_stops_is_no_hang_up(desk: Desk, why: End) -> None:
    """A spy that is on while the server stops ends on record with what the server made of it."""

    def stop() -> int | None:
        assert desk.call is not None
        assert desk.call.spying
        desk.call.ends_by_server(why)
        return None

    desk.when_quiet = stop
    desk.pbx.keys(f"{PIN}#")
    desk.pbx.start(desk.serve)
    assert desk.pbx.session is not None
    desk.pbx.session.end(EndReason.SHUTDOWN)
    desk.pbx.advance(60.0)

    assert desk.recorded("fact", "why") == [("spy_started", None), ("spy_ended", why)]
    assert desk.call is not None
    assert desk.call.spying is False
