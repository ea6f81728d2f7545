"""agi_monitor.pbx.hangup_command with real programs, in a process whose reactor runs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from contrib.lab.waiting import wait_until

CHANNEL = "PJSIP/2001-00000003"

PROGRAM = """
import json, sys
from structlog.testing import capture_logs
from twisted.internet import task
from twisted.internet.defer import Deferred
from agi_monitor.pbx import hangup_command

hangup_command.MAX_SECONDS = float(sys.argv[1])

def main(reactor):
    async def run():
        with capture_logs() as logs:
            did = await hangup_command.hang_up(sys.argv[3:], sys.argv[2], reactor)
        print(json.dumps([did, logs]))
    return Deferred.fromCoroutine(run())

task.react(main)
"""


def hang_up(*command: str, seconds: float = 60.0) -> tuple[bool, list[dict[str, object]]]:
    """Run the command for the channel. Returns whether it did, and what was logged."""
    arguments = [sys.executable, "-c", PROGRAM, str(seconds), CHANNEL, *command]
    done = subprocess.run(arguments, capture_output=True, text=True, check=True, timeout=120)
    did, logs = json.loads(done.stdout)
    return did, logs


def runs(pid: int) -> bool:
    """Whether a process still runs; one that only waits for its parent to take note does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_the_channel_stands_where_the_command_wants_it(tmp_path: Path) -> None:
    """As one argument, whatever is in it."""
    told = tmp_path / "told"
    assert hang_up("sh", "-c", 'echo "$0" > "$1"', "hangup {channel}", str(told)) == (True, [])
    assert told.read_text() == f"hangup {CHANNEL}\n"


def test_without_a_command_nothing_is_done() -> None:
    """And nothing is logged: it is the site's choice."""
    assert hang_up() == (False, [])


@pytest.mark.parametrize(
    ("command", "code", "error"),
    [
        (("sh", "-c", "echo 'no such channel' >&2; exit 3"), 3, "no such channel\n"),
        (("sh", "-c", "kill -9 $$"), 9, ""),
        (("/nowhere/asterisk",), None, "No such file or directory"),
    ],
    ids=["says-no", "is-killed", "is-missing"],
)
def test_a_command_that_fails_is_logged(command: tuple[str, ...], code: int | None, error: str) -> None:
    """With what it said, and the channel that is still on."""
    did, (line,) = hang_up(*command)
    assert not did
    assert (line["event"], line["channel"], line["code"]) == ("hangup_command_failed", CHANNEL, code)
    assert error in str(line["error"])


def test_a_command_that_does_not_end_is_not_waited_for() -> None:
    """What it was to do may be done later; nothing depends on it."""
    did, (line,) = hang_up("sh", "-c", "read never", seconds=0.2)
    assert (did, line["error"]) == (False, "no end within 0.2 s")


def test_a_command_that_does_not_end_is_killed(tmp_path: Path) -> None:
    """Left alone it would end a channel of that name hours later, or fill the machine with its like."""
    told = tmp_path / "pid"
    hang_up("sh", "-c", 'echo $$ > "$0"; exec sleep 600', str(told), seconds=2.0)
    wait_until(lambda: not runs(int(told.read_text())), 10.0, "the command to be gone")


def test_what_a_killed_command_has_started_is_not_waited_for() -> None:
    """It may hold the pipe on which the command said something."""
    did, (line,) = hang_up("sh", "-c", "sleep 5 & read never; wait", seconds=0.5)
    assert (did, line["error"]) == (False, "no end within 0.5 s")
