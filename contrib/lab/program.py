"""The command `agi-monitor`, started as a user starts it, or forked from a process that has imported it already.

Importing the product takes longer than most commands run. Tests that are about a call, not about how the program
starts, fork it; what a start is about (the container, an install, a plug-in, another clock) starts it.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path
from typing import Protocol, TypeVarTuple

from agi_monitor import commands
from contrib.lab.errors import LabError

Given = TypeVarTuple("Given")

COMMAND_SECONDS = 120.0
NOTHING: Mapping[str, str] = {}
IMPORTED = (
    *sorted(f"agi_monitor.commands.{path.stem}" for path in Path(commands.__path__[0]).glob("[a-z]*.py")),
    # What commands import only when they come to it.
    "agi_monitor.doctor.gathering",
    "agi_monitor.doctor.sample_calls",
    "agi_monitor.server.people_plugin",
    "agi_monitor.server.service",
    "agi_monitor.storage.people_table",
    "alembic.command",
    "contrib.lab.program",
)
"""What a process imports before it is forked: what the server and most commands import, without the reactor."""


@dataclass(frozen=True)
class Ended:
    """What a command left behind.

    :param code: its exit code
    :param output: what it printed
    :param complaint: what it printed as errors
    """

    code: int
    output: str
    complaint: str


class Running(Protocol):
    """A program that was started."""

    @property
    def pid(self) -> int:
        """The number of its process."""

    def poll(self) -> int | None:
        """Return its exit code, or None while it runs."""

    def wait(self, timeout: float) -> int:
        """Wait for the end and return the exit code.

        :raises LabError: it did not end in time
        """

    def kill(self) -> None:
        """End it at once (SIGKILL)."""

    def terminate(self) -> None:
        """Ask it to end (SIGTERM)."""


class Program(Protocol):
    """A way of starting `agi-monitor`."""

    def run(self, *arguments: str, given: str = "", environment: Mapping[str, str] = NOTHING) -> Ended:
        """Run a command to its end.

        :param given: its standard input
        :param environment: variables that it has besides ours
        :raises LabError: it did not end in time
        """

    def start(self, *arguments: str, log: Path) -> Running:
        """Start a command that keeps running.

        :param log: what it prints is appended to this file; it may be a pipe that has a name
        """


class Started:
    """As a user starts it: a new Python.

    :param command: starts it
    :param pass_fds: files that stay open in what goes on
    """

    command: tuple[str, ...] = (sys.executable, "-m", "agi_monitor")

    def __init__(self, command: Sequence[str] = command, pass_fds: Sequence[int] = ()) -> None:
        self.command = tuple(command)
        self._pass_fds = pass_fds

    def run(self, *arguments: str, given: str = "", environment: Mapping[str, str] = NOTHING) -> Ended:
        """Run a command to its end."""
        done = subprocess.run(
            [*self.command, *arguments],
            input=given,
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
            env={**os.environ, **environment},
        )
        return Ended(done.returncode, done.stdout, done.stderr)

    def start(self, *arguments: str, log: Path) -> Running:
        """Start a command that keeps running."""
        with log.open("ab") as file:
            command = [*self.command, *arguments]
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, pass_fds=self._pass_fds
            )
            return _Popen(process)


class _Popen:
    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self.pid = process.pid
        self.poll = process.poll
        self.kill = process.kill
        self.terminate = process.terminate

    def wait(self, timeout: float) -> int:
        try:
            return self._process.wait(timeout)
        except subprocess.TimeoutExpired as error:
            raise LabError(f"agi-monitor did not end in {timeout:g} s") from error


class Forked:
    """A fork of one process for each test process: see ``forked``."""

    def run(self, *arguments: str, given: str = "", environment: Mapping[str, str] = NOTHING) -> Ended:
        """Run a command to its end."""
        with tempfile.TemporaryDirectory(prefix="agi-monitor-") as folder:
            stdin, stdout, stderr = (Path(folder, name) for name in ("stdin", "stdout", "stderr"))
            stdin.write_text(given)
            code = self._begin(arguments, environment, stdin, stdout, stderr).wait(COMMAND_SECONDS)
            return Ended(code, stdout.read_text(), stderr.read_text())

    def start(self, *arguments: str, log: Path) -> Running:
        """Start a command that keeps running."""
        return self._begin(arguments, NOTHING, Path(os.devnull), log, log)

    def _begin(self, arguments: tuple[str, ...], environment: Mapping[str, str], *streams: Path) -> Running:
        files = tuple(map(str, streams))
        return forked(_be_agi_monitor, arguments, files, {**os.environ, **environment}, str(Path.cwd()))


def forked(work: Callable[[*Given], None], *given: *Given) -> Running:
    """Do something in a fork of a process that has imported the product, but neither begun anything in it nor
    imported the reactor. There is one for each test process. The fork ends with the tests.

    :param work: a function of a module, which the fork imports by its name
    :param given: what it is called with; a socket is handed over
    """
    context: ForkServerContext = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(IMPORTED))
    process = context.Process(target=_be, args=(work, given), daemon=True)
    process.start()
    return _Fork(process)


class _Fork:
    def __init__(self, process: ForkServerProcess) -> None:
        self._process = process
        self.kill = process.kill
        self.terminate = process.terminate

    @property
    def pid(self) -> int:
        assert self._process.pid is not None  # noqa: S101 (it was started)
        return self._process.pid

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, timeout: float) -> int:
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise LabError(f"agi-monitor did not end in {timeout:g} s")
        return self._process.exitcode


def _be(work: Callable[[*Given], None], given: tuple[*Given]) -> None:
    """In the fork: do the work."""
    threading.Thread(target=_end_with_the_tests, daemon=True).start()
    # What was imported is nothing for the collector of this process; looking at it would copy every page of it.
    gc.freeze()
    work(*given)


def _be_agi_monitor(
    arguments: tuple[str, ...], streams: tuple[str, ...], environment: Mapping[str, str], folder: str
) -> None:
    """In the fork: be the command, with its own standard streams and the environment of the test."""
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    for number, path in enumerate(streams):
        how = os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_CREAT | os.O_APPEND
        opened = os.open(path, how, 0o644)
        os.dup2(opened, number)
        os.close(opened)
    sys.stdin = os.fdopen(0, closefd=False)
    sys.argv = ["agi-monitor", *arguments]
    from agi_monitor.commands.main import main  # here, as only the fork needs it

    main(prog_name="agi-monitor")


def _end_with_the_tests() -> None:
    """A test run that is killed ends nothing; what it has started must not hold its ports for the next one."""
    tests = multiprocessing.parent_process()
    if tests is not None:
        tests.join()
        os._exit(1)
