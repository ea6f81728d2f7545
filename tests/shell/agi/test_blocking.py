"""agi_monitor.agi.blocking: blocking functions and whole pyst2 scripts, on the server and in memory."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import asterisk.agi
import pytest
from asterisk.agi import AGIHangup, AGISIGHUPHangup, AGISIGPIPEHangup
from structlog.testing import capture_logs

from agi_monitor.agi.blocking import BlockingStory
from agi_monitor.agi.end_reason import EndReason
from agi_monitor.agi.log_events import LogEvent
from agi_monitor.agi.pyst2 import BlockingAGI
from agi_monitor.agi.script import Script, blocking_script
from agi_monitor.testing import BLOCKS, FakeAsterisk
from agi_monitor.testing.fake_threads import FakeThreads
from tests.doubles.agi_calls import ENVIRONMENT, SECONDS, Call, running

SCRIPT = """\
import sys
from asterisk.agi import AGI, AGIHangup

agi = AGI()
try:
    agi.answer()
    digits = agi.get_data('enter-number', 5000, 4)
    agi.set_variable('NUMBER', digits)
    agi.verbose('called with ' + ' '.join(sys.argv[1:]))
except AGIHangup:
    agi.set_variable('NUMBER', 'none')
    sys.exit(1)
"""


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A script as people have them; afterwards pyst2 and sys.argv are as before."""
    monkeypatch.setattr(asterisk.agi, "AGI", asterisk.agi.AGI)
    monkeypatch.setattr(sys, "argv", sys.argv)
    monkeypatch.setattr(sys, "path", list(sys.path))
    path = tmp_path / "number.py"
    path.write_text(SCRIPT)
    return path


# -- in memory --


def test_a_function_is_given_its_call() -> None:
    """Commands go through the session, one after the other."""
    fake = FakeAsterisk(arguments=["one"])
    fake.keys("12#")
    seen: list[object] = []

    def ask(agi: BlockingAGI) -> None:
        seen.append(agi.env["agi_arg_1"])
        seen.append(agi.get_data("enter-number", 5000, 4))

    fake.run_blocking(ask)
    assert seen == ["one", "12"]
    assert fake.agi_status == "SUCCESS"


def test_a_script_runs_unmodified(script: Path) -> None:
    """``AGI()`` is its call, ``sys.argv`` its arguments."""
    fake = FakeAsterisk(arguments=["Anna", "B"])
    fake.keys("42#")
    fake.run_blocking(Script(script))
    assert fake.channel.variables["NUMBER"] == "42"
    assert fake.commands[-1] == ["VERBOSE", "called with Anna B", "1"]
    assert fake.agi_status == "SUCCESS"
    assert sys.argv[0] != str(script)


def test_a_script_that_exits_with_a_number_has_failed(tmp_path: Path, script: Path) -> None:
    """As Asterisk says of a script that it started: AGISTATUS is FAILURE."""
    path = tmp_path / "exits.py"
    path.write_text("import sys\nfrom asterisk.agi import AGI\nAGI().noop()\nsys.exit(3)\n")
    fake = FakeAsterisk()
    fake.run_blocking(Script(path))
    assert fake.agi_status == "FAILURE"


def test_a_hang_up_in_a_command_is_raised_there() -> None:
    """Once: the clean-up continues."""
    fake = FakeAsterisk()
    fake.hang_up_during("GET DATA")
    seen: list[str] = []

    def ask(agi: BlockingAGI) -> None:
        try:
            agi.get_data("enter-number")
        except AGIHangup as error:
            seen.append(type(error).__name__)
        agi.set_variable("LEFT", "yes")

    fake.run_blocking(ask)
    assert seen == ["SighupHangup"]
    assert fake.channel.variables["LEFT"] == "yes"
    assert fake.session is not None
    assert fake.session.ended is EndReason.HANGUP


class Blocked:
    """A story whose script waits for a test, on the fake reactor."""

    def __init__(
        self, function: Callable[[BlockingAGI], object], *, interrupt: bool = True, threads: int = 5
    ) -> None:
        self.reactor = FakeThreads()
        self.story = BlockingStory(function, interrupt=interrupt, reactor=self.reactor, threads=threads)
        self.fakes: list[FakeAsterisk] = []

    def call(self) -> FakeAsterisk:
        """One more call."""
        fake = FakeAsterisk()
        self.fakes.append(fake)
        fake.start(self.story)
        return fake

    def run(self) -> None:
        """Until all scripts are over."""
        self.reactor.run_until(lambda: not self.story.busy, "the end of the scripts")
        self.story.stop()


def test_a_hang_up_interrupts_a_script_that_computes() -> None:
    """Between two steps of it, wherever it is; its ``finally`` may still talk to Asterisk."""
    begun, seen = threading.Event(), list[str]()

    def compute(agi: BlockingAGI) -> None:
        begun.set()
        try:
            while True:
                sum(range(100))
        except AGISIGHUPHangup as error:
            seen.append(str(error))
        finally:
            agi.set_variable("LEFT", "yes")

    blocked = Blocked(compute)
    fake = blocked.call()
    assert begun.wait(SECONDS)
    fake.hang_up()
    blocked.run()
    assert seen == ["the caller has hung up"]
    assert fake.channel.variables["LEFT"] == "yes"
    assert fake.agi_status == "HANGUP"


@pytest.mark.parametrize("commands", range(1, 40))
def test_a_hang_up_is_told_once_whenever_it_comes(commands: int) -> None:
    """In and between commands: the script is told once, its replies stay in step, its clean-up works."""
    seen: list[str] = []

    def work(agi: BlockingAGI) -> None:
        try:
            for number in range(10_000):
                name = f"V{number % 7}"
                agi.set_variable(name, str(number))
                sum(range(number % 5 * 50))
                if agi.get_variable(name) != str(number):
                    seen.append("another reply")
        except AGIHangup:
            seen.append("told")
        agi.set_variable("LEFT", "yes")
        if agi.get_variable("LEFT") == "yes":
            seen.append("cleaned")

    blocked = Blocked(work)
    fake = blocked.call()
    blocked.reactor.run_until(lambda: len(fake.commands) >= commands, "so many commands")
    fake.hang_up()
    blocked.run()
    assert seen == ["told", "cleaned"]


def test_the_script_of_a_call_that_is_over_does_not_run() -> None:
    """Nothing would interrupt it from then on."""
    held, ran = threading.Event(), list[str]()

    def holds(agi: BlockingAGI) -> None:
        held.wait(SECONDS)

    blocked = Blocked(holds)
    blocked.call()
    story = BlockingStory(lambda agi: ran.append("ran"), reactor=blocked.reactor)
    story._pool = blocked.story._pool
    story._pool.adjustPoolsize(0, 1)
    fake = FakeAsterisk()
    fake.start(story)
    fake.hang_up()
    held.set()
    blocked.reactor.run_until(lambda: not story.busy, "the end of the script")
    blocked.run()
    assert not ran
    assert fake.agi_status == "HANGUP"


@pytest.mark.parametrize("seed", [1, 2])
def test_thousands_of_hang_ups_at_random_moments(seed: int) -> None:
    """Each script is told at most once, each that waits for it is told, none is left, and the process ends."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.samples.interrupted", "3000", str(seed)],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert seen["wrong"] == [], seen
    assert seen["threads"] == 1
    assert min(seen["told"].values()) > 100, seen["told"]


def test_a_command_takes_as_long_as_it_takes() -> None:
    """A spy of an hour is not a silence of 5 s."""
    seen: list[str] = []

    def listen(agi: BlockingAGI) -> None:
        seen.append(agi.appexec("ChanSpy", "PJSIP/1001-00000001,uqES"))

    blocked = Blocked(listen)
    fake = FakeAsterisk()
    fake.application("ChanSpy", lambda *_: BLOCKS)
    fake.start(blocked.story)
    blocked.reactor.run_until(lambda: fake.blocked is not None, "the application to run")
    fake.advance(3_600.0)
    fake.finish_application()
    blocked.run()
    assert seen == ["0"]


def test_without_interrupt_the_next_command_tells() -> None:
    """A script that must not be torn apart is not."""
    begun, go_on, seen = threading.Event(), threading.Event(), list[str]()

    def work(agi: BlockingAGI) -> None:
        begun.set()
        go_on.wait(SECONDS)
        seen.append("not interrupted")
        try:
            agi.set_variable("X", "1")
        except AGIHangup:
            seen.append("told")
        agi.set_variable("X", "2")

    blocked = Blocked(work, interrupt=False)
    fake = blocked.call()
    assert begun.wait(SECONDS)
    fake.hang_up()
    go_on.set()
    blocked.run()
    assert seen == ["not interrupted", "told"]
    assert fake.channel.variables["X"] == "2"


def test_its_own_hang_up_does_not_tear_a_script() -> None:
    """It works on behind ``hangup()``; its next command tells, once, and then it may clean up."""
    hung_up, go_on, seen = threading.Event(), threading.Event(), list[str]()

    def work(agi: BlockingAGI) -> None:
        agi.hangup()
        hung_up.set()
        go_on.wait(SECONDS)
        for _ in range(10_000):
            pass  # steps between which Python could raise
        seen.append("worked")
        try:
            agi.set_variable("X", "1")
        except AGIHangup:
            seen.append("told")
        agi.set_variable("X", "2")

    blocked = Blocked(work)
    fake = blocked.call()
    blocked.reactor.run_until(lambda: fake.session is not None and fake.session.hung_up, "HANGUP")
    assert hung_up.wait(SECONDS)
    go_on.set()
    blocked.run()
    assert seen == ["worked", "told"]
    assert fake.channel.variables["X"] == "2"
    assert fake.agi_status == "HANGUP"


def test_a_lost_connection_is_a_broken_pipe() -> None:
    """pyst2's word for it; no more commands go out."""
    seen: list[str] = []

    def work(agi: BlockingAGI) -> None:
        try:
            agi.appexec("Wait", "10")
        except AGISIGPIPEHangup:
            seen.append("lost")
        try:
            agi.set_variable("X", "1")
        except AGIHangup as error:
            seen.append(str(error))

    blocked = Blocked(work)
    fake = FakeAsterisk()

    def breaks(*_: object) -> int:
        fake.lose_connection()
        return 0

    fake.application("Wait", breaks)
    fake.start(blocked.story)
    blocked.run()
    assert seen == ["lost", "SET VARIABLE: the connection to Asterisk is gone"]


def test_threads_have_an_upper_bound() -> None:
    """One call more than there are threads is refused at once, and told to Asterisk and the log."""
    begun, go_on = threading.Semaphore(0), threading.Event()

    def work(agi: BlockingAGI) -> None:
        begun.release()
        go_on.wait(SECONDS)

    blocked = Blocked(work, threads=2)
    running = [blocked.call() for _ in range(2)]
    assert all(begun.acquire(timeout=SECONDS) for _ in running)
    with capture_logs() as logs:
        refused = blocked.call()
    assert refused.agi_status == "FAILURE"
    assert [log["threads"] for log in logs if log["event"] == LogEvent.NO_THREAD] == [2]
    go_on.set()
    blocked.run()
    assert [fake.agi_status for fake in running] == ["SUCCESS", "SUCCESS"]
    assert blocked.story.busy == 0


def test_a_thread_that_never_ends_keeps_its_place() -> None:
    """Its call is left behind after the clean-up, but it is counted as long as it runs."""
    begun, go_on = threading.Event(), threading.Event()

    def deaf(agi: BlockingAGI) -> None:
        begun.set()
        while not go_on.is_set():
            try:
                go_on.wait(SECONDS)
            except AGIHangup:
                continue

    blocked = Blocked(deaf)
    fake = blocked.call()
    assert begun.wait(SECONDS)
    fake.hang_up()
    fake.advance(60.0)
    assert fake.closed
    assert blocked.story.busy == 1
    go_on.set()
    blocked.run()
    assert blocked.story.busy == 0


def test_an_error_of_a_script_is_an_error_of_the_call() -> None:
    """AGISTATUS is FAILURE, and a test sees the error itself."""
    fake = FakeAsterisk()

    def wrong(agi: BlockingAGI) -> None:
        raise KeyError("nothing")

    with pytest.raises(KeyError, match="nothing"):
        fake.run_blocking(wrong)
    assert fake.agi_status == "FAILURE"


def test_at_least_one_thread(script: Path) -> None:
    """None would refuse every call."""
    with pytest.raises(ValueError, match="at least one"):
        blocking_script(script, threads=0)


# -- on a server --

SERVER = """
    from agi_monitor import blocking_script, serve

    serve(blocking_script("number.py"), "tcp:0:interface=127.0.0.1")
"""


def test_a_script_on_a_server_of_its_own(tmp_path: Path, script: Path) -> None:
    """pyst2's fastagi module cannot be imported; this is what takes its place, with more calls at once than its 40
    processes."""
    with running(tmp_path, SERVER) as (server, port):
        environment = ENVIRONMENT.removesuffix("\n") + "agi_arg_1: Anna\n\n"
        calls = [Call(port, environment) for _ in range(60)]
        for call in calls:
            assert call.hears() == "ANSWER"
            call.says("200 result=0\n")
            assert call.hears() == "GET DATA enter-number 5000 4"
        # All are held in the prompt at once: none was ended, none waits for a process.
        for call in calls[1:]:
            call.says("200 result=42\n")
            assert call.hears() == 'SET VARIABLE "NUMBER" "42"'
            call.says("200 result=1\n")
            assert call.hears() == 'VERBOSE "called with Anna" 1'
            call.says("200 result=1\n")
            assert call.hears() == ""
            call.close()
        calls[0].says("HANGUP\n200 result=-1\n")
        assert calls[0].hears() == 'SET VARIABLE "NUMBER" "none"'
        calls[0].says("200 result=1\n")
        assert calls[0].hears() == ""
        calls[0].close()
        server.send_signal(signal.SIGTERM)
        assert server.wait(SECONDS) == 0


SLEEPER = """
    import time
    from agi_monitor import BlockingAGI, blocking, serve

    def deaf(agi: BlockingAGI) -> None:
        agi.noop()
        time.sleep(3600)

    serve(blocking(deaf), "tcp:0:interface=127.0.0.1", stop_seconds=0.1, limits=__import__("agi_monitor").Limits(
        cleanup_seconds=0.2))
"""


def test_a_script_that_hangs_does_not_keep_the_server(tmp_path: Path) -> None:
    """A thread that sleeps outside Python is left behind: the process ends when it is told to."""
    with running(tmp_path, SLEEPER) as (server, port):
        call = Call(port)
        assert call.hears() == "NOOP"
        call.says("200 result=0\n")
        server.send_signal(signal.SIGTERM)
        assert server.wait(SECONDS) == 0
        call.close()


MENDED = {
    "fastagi-import": test_a_script_on_a_server_of_its_own,
    "fastagi-processes": test_a_script_on_a_server_of_its_own,
    "fastagi-time-out": test_a_command_takes_as_long_as_it_takes,
    "interrupt-threads": test_a_hang_up_interrupts_a_script_that_computes,
}
"""Defects of pyst2 that are fixed by the server itself; the names are those of docs/howto/from-pyst2.md."""
