"""Scripts in the styles that the field writes them, run as plain AGI, served, and by pyst2 itself.

What each sends, how it ends and what it writes has to be what pyst2 makes of it, but for ``ALLOWED``.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import asterisk.agi
import asterisk.agitb
import pytest
from twisted.internet.address import IPv4Address
from twisted.internet.task import Clock

from agi_monitor.agi.blocking import BlockingStory
from agi_monitor.agi.end_reason import EndReason
from agi_monitor.agi.protocol import FastAGIFactory
from agi_monitor.agi.script import Script
from agi_monitor.limits import Limits
from agi_monitor.testing.fake_threads import FakeThreads
from agi_monitor.testing.fake_transport import FakeTransport
from contrib.lab.waiting import wait_until
from tests.corpus.peer import Peer

CHECKOUT = Path(__file__).resolve().parents[2]
SECONDS = 60.0

FOLDER = Path(__file__).parent / "scripts"
SCRIPTS = sorted(
    str(path.relative_to(FOLDER))
    for path in FOLDER.rglob("*.py")
    if path.parent == FOLDER or path.name == "script.py"
)

PYST2, PLAIN, SERVED = "pyst2", "plain AGI", "served"

QUOTED = "a name with a space is two words when pyst2 sends it; it is quoted here"
LEAVES = "pyst2 cannot tell a hang-up from a failure; here Asterisk is asked with CHANNEL STATUS, and it is AGIHangup"
TWICE = "pyst2 puts quotes around quotes that it has put there; Asterisk reads the same"
TREE = "Asterisk answers 0 when a tree was deleted, which pyst2 takes for a failure"
LINES = "a line break ends the command of pyst2 in its middle; here each line is a message"
THREAD = "pyst2 cannot make an AGI() in a thread; here it is the same call"
SPLIT = "quotes around spaces inside a value make several words of it; here they are escaped, and the value arrives"

ALLOWED: dict[tuple[str, str], str] = {
    **dict.fromkeys((("file_with_space.py", PLAIN), ("file_with_space.py", SERVED)), QUOTED),
    **dict.fromkeys((("json_in_a_variable.py", PLAIN), ("json_in_a_variable.py", SERVED)), SPLIT),
    **dict.fromkeys((("hangup_in_a_prompt.py", PLAIN), ("hangup_in_a_prompt.py", SERVED)), LEAVES),
    **dict.fromkeys((("database_counter.py", PLAIN), ("database_counter.py", SERVED)), TWICE),
    **dict.fromkeys((("database_tree.py", PLAIN), ("database_tree.py", SERVED)), TREE),
    **dict.fromkeys((("verbose_traceback.py", PLAIN), ("verbose_traceback.py", SERVED)), LINES),
    **dict.fromkeys((("agi_in_a_thread.py", PLAIN), ("agi_in_a_thread.py", SERVED)), THREAD),
    ("eagi_level.py", SERVED): "the sound of EAGI comes to a process that Asterisk starts, and to nobody else",
}
"""Script and way to run it -> why it is not what pyst2 does."""

AS_PYST2 = """
import os, runpy, sys
sys.argv.pop(0)
sys.path[0] = os.path.dirname(sys.argv[0])
runpy.run_path(sys.argv[0], run_name="__main__")
"""
AS_PLAIN_AGI = f"""
import asterisk.agi
from agi_monitor.agi.pyst2 import BlockingAGI
asterisk.agi.AGI = BlockingAGI
{AS_PYST2}"""


@dataclass
class Outcome:
    """What a script did.

    Parameters:
        lines: that it sent.
        failed: whether AGISTATUS is FAILURE.
        written: into the file that is its argument; None without one.
    """

    lines: list[str]
    failed: bool
    written: str | None


class People(BaseHTTPRequestHandler):
    """A web service with one customer."""

    def do_GET(self) -> None:
        body = json.dumps({"name": "Anna Bell", "vip": self.path.endswith("number=4711")}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def manager(listener: socket.socket) -> None:
    """A manager interface that greets and answers one action for each connection."""
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        with connection, connection.makefile("rw", newline="\r\n") as lines:
            lines.write("Asterisk Call Manager/11.0.0\n")
            lines.flush()
            while lines.readline().strip():
                continue
            lines.write("Response: Success\n\n")


@pytest.fixture(autouse=True)
def own_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a server of scripts changes in its process is put back."""
    monkeypatch.setattr(sys, "argv", ["a program"])
    monkeypatch.setattr(asterisk.agi, "AGI", asterisk.agi.AGI)
    monkeypatch.setattr(asterisk.agitb, "enable", asterisk.agitb.enable)
    monkeypatch.setattr(threading.Thread, "start", threading.Thread.start)


@pytest.fixture
def services() -> Iterator[tuple[str, tuple[str, int]]]:
    """The URL of the web service, and where the manager interface is."""
    web = ThreadingHTTPServer(("127.0.0.1", 0), People)
    with web, socket.create_server(("127.0.0.1", 0)) as listener:
        threads = [
            threading.Thread(target=web.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True),
            threading.Thread(target=manager, args=(listener,), daemon=True),
        ]
        for thread in threads:
            thread.start()
        yield f"http://127.0.0.1:{web.server_port}/", listener.getsockname()
        web.shutdown()
        listener.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join(SECONDS)


def sound() -> int:
    """The reading end of a pipe with a little sound in it."""
    reading, writing = os.pipe()
    os.write(writing, struct.pack("<4h", 1, -7, 300, 12))
    os.close(writing)
    return reading


@contextmanager
def started(program: str, script: str, arguments: list[str], eagi: bool) -> Iterator[subprocess.Popen[str]]:
    """A script that Asterisk starts."""
    command = [sys.executable, "-c", program, str(FOLDER / script), *arguments]
    descriptors: list[int] = []
    if eagi:
        descriptors.append(sound())
        command = ["bash", "-c", f'exec "$0" "$@" 3<&{descriptors[0]}', *command]
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT), "PYTHONDONTWRITEBYTECODE": "1"},
        pass_fds=descriptors,
    ) as process:
        for descriptor in descriptors:
            os.close(descriptor)
        try:
            yield process
        finally:
            process.kill()


def run_process(program: str, script: str, arguments: list[str], file: Path | None) -> Outcome:
    """Run a script as Asterisk starts one."""
    eagi = script.startswith("eagi")
    peer = Peer(arguments, enhanced=eagi)
    lines: list[str] = []
    with started(program, script, arguments, eagi) as process:
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(peer.environment)
        process.stdin.flush()
        for line in process.stdout:
            lines.append(line.rstrip("\n"))
            answer, leaves = peer.answers(lines[-1])
            if leaves:
                process.send_signal(signal.SIGHUP)
            try:
                process.stdin.write(f"{answer}\n")
                process.stdin.flush()
            except BrokenPipeError:
                break
        failed = process.wait(SECONDS) != 0
    return Outcome(lines, failed, None if file is None else file.read_text())


def run_served(script: str, arguments: list[str], file: Path | None) -> Outcome:
    """Serve a script: the protocol and the thread of a server, without a socket between them and the peer."""
    peer = Peer(arguments, network=script.replace("/", "-"))
    reactor = FakeThreads()
    story = BlockingStory(Script(FOLDER / script), reactor=reactor)
    factory = FastAGIFactory(story, Limits(), Clock())
    protocol = factory.buildProtocol(IPv4Address("TCP", "127.0.0.1", 1))
    assert protocol is not None
    lines: list[str] = []

    def received(data: bytes) -> None:
        line = data.decode().rstrip("\n")
        if line == "failure":
            return
        lines.append(line)
        answer, leaves = peer.answers(line)
        reactor.callFromThread(protocol.dataReceived, (f"{answer}\n" + ("HANGUP\n" if leaves else "")).encode())

    transport = FakeTransport(received, lambda: None)
    protocol.makeConnection(transport)  # type: ignore[no-untyped-call]  # Twisted's own
    protocol.dataReceived(peer.environment.encode())
    session = protocol.session
    assert session is not None
    wait_until(lambda: ran_on(reactor, lambda: not story.busy), 10 * SECONDS, f"the end of {script}")
    story.stop()
    protocol.connectionLost()
    failed = session.ended in (EndReason.FAILED, EndReason.REFUSED)
    return Outcome(lines, failed, None if file is None else file.read_text())


def ran_on(reactor: FakeThreads, over: Callable[[], bool]) -> bool:
    """Do what threads have asked the reactor for; whether all is over."""
    reactor.run_waiting()
    return over()


WRITES = {
    *("own_hangup.py", "watches_sighup.py", "cleans_up_at_exit.py", "hangup_in_a_prompt.py", "writes_a_log.py"),
}
"""Scripts whose argument is a file that they write."""


def outcome(folder: Path, script: str, way: str, services: tuple[str, tuple[str, int]]) -> Outcome:
    """One script in one way."""
    url, (host, manager_port) = services
    file = folder / f"{script.replace('/', '-')}-{way}"
    arguments = {
        "arguments.py": ["Anna", "--times", "2"],
        "http_look_up.py": [url],
        "manager_beside_agi.py": [host, str(manager_port)],
        "sqlite_look_up.py": [f"{file}.db"],
    }.get(script, [str(file)] if script in WRITES else [])
    written = file if script in WRITES else None
    if way == SERVED:
        return run_served(script, arguments, written)
    return run_process(AS_PYST2 if way == PYST2 else AS_PLAIN_AGI, script, arguments, written)


def test_each_script_does_what_it_does_under_pyst2(tmp_path: Path, services: tuple[str, tuple[str, int]]) -> None:
    """All of them in one go, so that all are called by one list; each difference is a known one."""
    assert len(SCRIPTS) >= 25
    with ThreadPoolExecutor(3) as pool:
        started = [
            {way: pool.submit(outcome, tmp_path, script, way, services) for way in (PYST2, PLAIN)}
            for script in SCRIPTS
        ]
        # In this thread, one after the other: what a server of scripts changes in its process is one for all.
        served = [outcome(tmp_path, script, SERVED, services) for script in SCRIPTS]
        ran = {
            script: {**{way: one.result() for way, one in both.items()}, SERVED: by_us}
            for script, both, by_us in zip(SCRIPTS, started, served, strict=True)
        }
    differences = {
        (script, way): (found[way], found[PYST2])
        for script, found in ran.items()
        for way in (PLAIN, SERVED)
        if found[way] != found[PYST2]
    }
    unexpected = [f"{place}: {both}" for place, both in differences.items() if place not in ALLOWED]
    assert "\n".join(unexpected) == ""
    assert set(ALLOWED) - set(differences) == set()
    for script, found in ran.items():
        assert found[PLAIN].lines == found[SERVED].lines or (script, SERVED) in ALLOWED, script
        assert found[SERVED].failed == (script in FAIL), script
    assert ran["own_hangup.py"][SERVED].written == "total 2666466670000, told"


FAIL = {"exit_codes.py", "tracebacks_by_agitb.py", "menu_loop.py"}
"""Scripts that end with an error or a number on purpose."""
