"""``calls --watch`` and ``spies --watch`` as processes, with a server that does what it is told."""

from __future__ import annotations

import fcntl
import json
import os
import re
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from contrib.lab.waiting import wait_until
from tests.shell.live_house import CALL, GRANTED
from tests.shell.live_server import WAIT_SECONDS, LiveServer

COLUMNS, LINES = 80, 24


@pytest.fixture
def server(tmp_path: Path) -> Iterator[LiveServer]:
    """A server of this test's own."""
    with LiveServer(tmp_path / "control.sock") as server:
        yield server


@contextmanager
def watching(server: LiveServer, *command: str) -> Iterator[subprocess.Popen[str]]:
    """A command whose output is a pipe."""
    words = [sys.executable, "-m", "agi_monitor", *command, "--watch", "--socket", str(server.path)]
    environment = {**os.environ, "TZ": "UTC"}
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def ends_by_interrupt(process: subprocess.Popen[str]) -> None:
    """Ctrl-C is not a failure, and leaves no word behind."""
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=WAIT_SECONDS) == ("", "")
    assert process.returncode == 0


def test_for_machines_one_object_a_line(server: LiveServer) -> None:
    """The whole list, at once and with each change."""
    with watching(server, "calls", "--json") as process:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline()) == {"calls": [CALL.row()]}
        held = replace(CALL, state="held")
        server.order("set", calls=[held.row()])
        assert json.loads(process.stdout.readline()) == {"calls": [held.row()]}
        server.send("break the picture is lost")
        assert json.loads(process.stdout.readline()) == {"unavailable": "the picture is lost"}
        ends_by_interrupt(process)


def test_in_a_pipe_a_line_for_each_change(server: LiveServer) -> None:
    """What came, changed and went; what others wrote is shown and not obeyed."""
    with watching(server, "spies") as process:
        assert process.stdout is not None
        lines = [re.sub(r"^\S+ ", "", process.stdout.readline()) for _ in range(2)]
        assert lines == [
            "new pbx=pbx id=a1b2.1 kind=granted supervisor=anna mode=listen hears=1001 rule=leads duration=1:01:40\n",
            "new pbx=pbx id=1700000000.30 kind=rogue supervisor=Local/x@y-00000001;2 hears=PJSIP/1001-00000002 "
            "duration=0:05\n",
        ]
        server.order("set", spies=[replace(GRANTED, mode="barge", rule="a\x1b[2Jb").row()])
        over, changed = process.stdout.readline(), process.stdout.readline()
        assert " over pbx=pbx id=1700000000.30 " in over
        assert " changed pbx=pbx id=a1b2.1 " in changed
        assert r"rule=a\x1b[2Jb" in changed
        ends_by_interrupt(process)


def test_a_server_that_stops_ends_it(server: LiveServer) -> None:
    """With exit code 1: the list that is shown is no longer true."""
    with watching(server, "calls", "--json") as process:
        assert process.stdout is not None
        process.stdout.readline()
        server.stop()
        assert process.communicate(timeout=WAIT_SECONDS) == ("", "the server is stopping\n")
    assert process.returncode == 1


class Terminal:
    """A terminal of 80 columns, and what a program has written on it."""

    def __init__(self) -> None:
        self.leader, self.follower = os.openpty()
        fcntl.ioctl(self.follower, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
        os.set_blocking(self.leader, False)
        self.written = ""

    def shows(self, text: str) -> bool:
        """Whether this was written until now."""
        try:
            while part := os.read(self.leader, 65_536):
                self.written += part.decode()
        except (BlockingIOError, OSError):
            pass
        return text in self.written

    def waits_for(self, text: str) -> None:
        """Wait until it is written."""
        wait_until(lambda: self.shows(text), WAIT_SECONDS, f"{text!r} on the terminal", describe=lambda: self.written)


def test_on_a_terminal_the_table_is_drawn_in_place(server: LiveServer) -> None:
    """Durations grow by themselves, no line is wider than the terminal, and Ctrl-C gives the cursor back."""
    terminal = Terminal()
    # A session of its own, whose terminal it is: Ctrl-C is typed, not sent.
    program = (
        "import fcntl, termios\nfcntl.ioctl(0, termios.TIOCSCTTY, 0)\n"
        "from agi_monitor.commands.main import main\nmain()"
    )
    words = [sys.executable, "-c", program, "calls", "--watch", "--socket", str(server.path)]
    environment = {**os.environ, "TERM": "xterm-256color"}
    for name in ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR"):
        environment.pop(name, None)
    with subprocess.Popen(
        words,
        stdin=terminal.follower,
        stdout=terminal.follower,
        stderr=terminal.follower,
        env=environment,
        start_new_session=True,
    ) as process:
        try:
            for text in ("1:15", "1:16", "1:17"):
                terminal.waits_for(text)
            assert "\x1b[?25l" in terminal.written
            server.order("set", calls=[])
            terminal.waits_for("no calls")
            many = [replace(CALL, id=f"{number}.1", queue="q" * 60, numbers=(str(number),)) for number in range(50)]
            server.order("set", calls=[call.row() for call in many])
            terminal.waits_for("qqqqq")
            os.write(terminal.leader, b"\x03")
            assert process.wait(WAIT_SECONDS) == 0
        finally:
            process.kill()
    terminal.waits_for("\x1b[?25h")
    # The terminal itself shows what was typed.
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", terminal.written).replace("^C", "")
    assert max(len(line) for line in re.split(r"[\r\n]+", plain)) <= COLUMNS
    assert "Traceback" not in plain
    os.close(terminal.leader)
    os.close(terminal.follower)
