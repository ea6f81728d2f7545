"""One suite over every way to serve a call: on Twisted, on Twisted's asyncio reactor, on asyncio, and on uvloop.

What a handler sees of its call, and what Asterisk is told, does not depend on the event loop.
"""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from contrib.lab.waiting import wait_until
from tests.doubles.agi_calls import ENVIRONMENT, SECONDS, Call, running

HANDLERS = """
import json
from contextlib import asynccontextmanager
from agi_monitor import AGIRequest, CallEnded, Limits, Router, Session, blocking

def note(**what):
    print("note", json.dumps(what), flush=True)

@asynccontextmanager
async def lifespan():
    await soon()
    note(at="begin")
    try:
        yield
    finally:
        await soon()
        note(at="over")

router = Router()
limits = Limits(command_seconds=1.0, hangup_reply_seconds=1.0, cleanup_seconds=2.0)

@router.route("whole")
async def whole(session):
    await session.answer()
    await session.stream_file("hello")

@router.route("waits")
async def waits(session):
    '''Sees the end where it waits, once, and says what the clean-up may do.'''
    try:
        await session.wait_for_digit()
    except CallEnded as ended:
        note(at="ended", why=str(ended), reason=session.ended, hung_up=session.hung_up)
        for verb in (session.verbose("cleans up"), session.answer(), session.verbose("still does")):
            try:
                await verb
            except CallEnded:
                note(at="refused")
        note(at="cleaned")
        raise

@router.route("elsewhere")
async def elsewhere(session):
    '''Waits for something that is no command.'''
    try:
        await forever()
    finally:
        await session.verbose("cleans up")
        note(at="cleaned", hung_up=session.hung_up)

@router.route("hangs")
async def hangs(session):
    '''Does not come to its end by itself.'''
    try:
        await session.wait_for_digit()
    finally:
        note(at="hangs")
        await forever()

@router.route("slow")
async def slow(session):
    await session.noop()

@router.route("fails")
async def fails(session):
    raise LookupError("no such number")

@router.route("refuses")
async def refuses(session):
    session.refuse()

@router.route("gives_up")
async def gives_up(session):
    '''A late reply must not answer the next command.'''
    await given_up(session.wait_for_digit())
    note(at="next", value=await session.get_variable("A"))

@router.route("two")
async def two(session):
    '''One command at a time.'''
    first = session.wait_for_digit()
    await both(first, session.noop())

router.add("old", blocking(lambda agi: agi.verbose("from a thread")))
"""
TWISTED = """
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet import reactor, task

def forever():
    return Deferred()

def soon():
    return task.deferLater(reactor, 0)

async def given_up(verb):
    waiting = Deferred.fromCoroutine(verb)
    waiting.addErrback(lambda _: None)
    waiting.cancel()

async def both(one, two):
    first = Deferred.fromCoroutine(one)
    try:
        await Deferred.fromCoroutine(two)
    except Exception as error:
        note(at="two", error=type(error).__name__)
    await first
"""
ON_ASYNCIO = """
import asyncio

async def forever():
    await asyncio.Event().wait()

async def soon():
    await asyncio.sleep(0)

async def given_up(verb):
    waiting = asyncio.create_task(verb)
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait([waiting])

async def both(one, two):
    async with asyncio.TaskGroup() as group:
        first = group.create_task(one)
        await asyncio.sleep(0)
        try:
            await two
        except Exception as error:
            note(at="two", error=type(error).__name__)
"""
SERVE = """
from agi_monitor import serve
options = {"limits": limits, "lifespan": lifespan, "stop_seconds": {stop}}
serve(router, "tcp:0:interface=127.0.0.1", use_asyncio={asyncio}, **options)
"""
SERVER = """
import signal
from agi_monitor import AgiServer

async def main():
    told = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, told.set)
    async with AgiServer(router, port=0, limits=limits, lifespan=lifespan, stop_seconds={stop}):
        await told.wait()

{runs}(main())
"""
SHELLS = {
    "twisted": TWISTED + HANDLERS + SERVE.replace("{asyncio}", "False"),
    "twisted-on-asyncio": ON_ASYNCIO + HANDLERS + SERVE.replace("{asyncio}", "True"),
    "asyncio": ON_ASYNCIO + HANDLERS + SERVER.replace("{runs}", "asyncio.run"),
    "uvloop": ON_ASYNCIO + HANDLERS + "import uvloop\n" + SERVER.replace("{runs}", "uvloop.run"),
}


class Served:
    """A program at work."""

    def __init__(self, folder: Path, process: subprocess.Popen[str], port: int) -> None:
        self.process = process
        self.port = port
        self._out = folder / "out"
        self._seen = 0

    @property
    def out(self) -> str:
        """What it printed, without its colours."""
        return re.sub(r"\x1b\[[\d;]*m", "", self._out.read_text())

    def call(self, script: str) -> Call:
        """A call that reaches this script. Notes of earlier calls are forgotten."""
        self._seen = len(self.out)
        return Call(self.port, ENVIRONMENT.replace("agi_channel", f"agi_network_script: {script}\nagi_channel"))

    def notes(self) -> list[dict[str, Any]]:
        """What the handlers noted since the last call began."""
        return [json.loads(line) for line in re.findall(r"^note (.*)$", self.out[self._seen :], re.MULTILINE)]

    def wait_for(self, at: str) -> list[dict[str, Any]]:
        """The notes, as soon as this one is there."""

        def look() -> list[dict[str, Any]]:
            notes = self.notes()
            return notes if any(note["at"] == at for note in notes) else []

        return wait_until(look, SECONDS, f"the note {at}", describe=lambda: self.out)

    def ended(self) -> str:
        """Why the server says that the call ended."""

        def look() -> str:
            found = re.search(r"agi_session_ended .*reason=(\w+)", self.out[self._seen :])
            return found[1] if found else ""

        return wait_until(look, SECONDS, "the end of the call", describe=lambda: self.out)


@contextmanager
def served(folder: Path, shell: str, stop: float = SECONDS) -> Iterator[Served]:
    """A program on this shell."""
    with running(folder, SHELLS[shell].replace("{stop}", str(stop))) as (process, port):
        yield Served(folder, process, port)


@pytest.fixture(scope="module", params=SHELLS)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One program for all calls of this module."""
    with served(tmp_path_factory.mktemp("served"), request.param) as found:
        yield found


def test_a_whole_call(server: Served) -> None:
    """Commands one by one, and the end of the connection behind the last."""
    call = server.call("whole")
    assert call.hears() == "ANSWER"
    call.says("200 result=0\n")
    assert call.hears() == 'STREAM FILE "hello" "" "0"'
    call.says("200 result=0 endpos=8000\n")
    assert call.hears() == ""
    assert server.ended() == "finished"
    call.close()


@pytest.mark.parametrize("words", ["200 result=-1\nHANGUP\n", "HANGUP\n200 result=-1\n", "HANGUP\n"])
def test_a_hang_up_during_a_command(server: Served, words: str) -> None:
    """The handler sees it once; what a dead channel cannot do is not even asked."""
    call = server.call("waits")
    assert call.hears() == 'WAIT FOR DIGIT "-1"'
    call.says(words)
    if words == "HANGUP\n":
        server.wait_for("ended")
        call.says("200 result=-1\n")  # the reply that was still out
    assert call.hears() == 'VERBOSE "cleans up" "1"'
    call.says("200 result=1\n")
    assert call.hears() == 'VERBOSE "still does" "1"'
    call.says("200 result=1\n")
    assert call.hears() == ""
    (ended, *others) = server.wait_for("cleaned")
    assert (ended["reason"], ended["hung_up"]) == ("hangup", True)
    assert [note["at"] for note in others] == ["refused", "cleaned"]
    assert server.ended() == "hangup"
    call.close()


def test_a_dead_channel_without_the_word(server: Served) -> None:
    """511 is a hang-up too."""
    call = server.call("waits")
    assert call.hears().startswith("WAIT FOR DIGIT")
    call.says("511 Command Not Permitted on a dead channel or intercept routine\n")
    for _ in range(2):
        assert call.hears().startswith("VERBOSE")
        call.says("200 result=1\n")
    assert call.hears() == ""
    assert server.ended() == "hangup"
    call.close()


def test_a_hang_up_while_the_handler_waits_for_something_else(server: Served) -> None:
    """Whatever it waits for."""
    call = server.call("elsewhere")
    call.says("HANGUP\n")
    assert call.hears() == 'VERBOSE "cleans up" "1"'
    call.says("200 result=1\n")
    assert call.hears() == ""
    assert server.wait_for("cleaned")[-1]["hung_up"] is True
    assert server.ended() == "hangup"
    call.close()


def test_the_connection_breaks(server: Served) -> None:
    """The handler sees it, and can send nothing more."""
    call = server.call("waits")
    assert call.hears().startswith("WAIT FOR DIGIT")
    call.close()
    notes = server.wait_for("cleaned")
    assert (notes[0]["reason"], notes[0]["hung_up"]) == ("connection_lost", False)
    assert [note["at"] for note in notes[1:]] == ["refused", "refused", "refused", "cleaned"]
    assert server.ended() == "connection_lost"


def test_a_clean_up_that_hangs_is_left_behind(server: Served) -> None:
    """The call is over for Asterisk after the time for the clean-up."""
    call = server.call("hangs")
    assert call.hears().startswith("WAIT FOR DIGIT")
    call.says("200 result=-1\nHANGUP\n")
    server.wait_for("hangs")
    assert call.hears() == ""
    assert server.ended() == "hangup"
    assert "agi_cleanup_left_behind" in server.out
    call.close()


def test_a_reply_that_does_not_come(server: Served) -> None:
    """The deadline of a command ends the call."""
    call = server.call("slow")
    assert call.hears() == "NOOP"
    assert call.hears() == ""
    assert server.ended() == "deadline"
    call.close()


def test_a_late_reply_answers_nothing_else(server: Served) -> None:
    """The command behind one that was given up waits for the reply of that one."""
    call = server.call("gives_up")
    assert call.hears() == 'WAIT FOR DIGIT "-1"'
    call.says("200 result=49\n")
    assert call.hears() == 'GET VARIABLE "A"'
    call.says("200 result=1 (yes)\n")
    assert call.hears() == ""
    assert server.wait_for("next") == [{"at": "next", "value": "yes"}]
    call.close()


def test_one_command_at_a_time(server: Served) -> None:
    """The second is refused, and the first continues."""
    call = server.call("two")
    assert call.hears() == 'WAIT FOR DIGIT "-1"'
    assert server.wait_for("two") == [{"at": "two", "error": "LocalProtocolError"}]
    call.says("200 result=0\n")
    assert call.hears() == ""
    assert server.ended() == "finished"
    call.close()


@pytest.mark.parametrize(("script", "reason"), [("fails", "failed"), ("refuses", "refused"), ("unknown", "refused")])
def test_asterisk_is_told_of_a_failure(server: Served, script: str, reason: str) -> None:
    """A handler that fails, one that refuses, and a script that nobody knows."""
    call = server.call(script)
    assert call.hears() == "failure"
    assert call.hears() == ""
    assert server.ended() == reason
    call.close()
    if script == "fails":
        # Readable: each line of the traceback is a line of the log.
        assert re.search(r'^  File ".*calls\.py", line \d+, in fails$', server.out, re.MULTILINE)
        assert re.search(r"^LookupError: no such number$", server.out, re.MULTILINE)


def test_what_is_not_agi_ends_the_connection(server: Served) -> None:
    """Without a word, and without harm to others."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=SECONDS) as stranger:
        stranger.sendall(b"GET / HTTP/1.1\r\n\r\n")
        with suppress(ConnectionResetError):
            assert stranger.recv(100) == b""
    test_a_whole_call(server)


def test_a_script_that_blocks(server: Served) -> None:
    """Its thread is served by whatever loop runs."""
    call = server.call("old")
    assert call.hears() == 'VERBOSE "from a thread" 1'
    call.says("200 result=1\n")
    assert call.hears() == ""
    assert server.ended() == "finished"
    call.close()


@pytest.mark.parametrize("shell", SHELLS)
def test_the_end_of_the_program(shell: str, tmp_path: Path) -> None:
    """The hooks are around all calls: one that runs may come to its end, and another is ended when its time is up."""
    with served(tmp_path, shell, stop=2.0) as server:
        assert [note["at"] for note in server.notes()] == ["begin"]
        first = server.call("whole")
        assert first.hears() == "ANSWER"
        second = server.call("waits")
        assert second.hears().startswith("WAIT FOR DIGIT")
        server.process.send_signal(signal.SIGTERM)

        def refused() -> bool:
            try:
                socket.create_connection(("127.0.0.1", server.port), timeout=SECONDS).close()
            except ConnectionRefusedError:
                return True
            return False

        wait_until(refused, SECONDS, "the port to be closed")
        first.says("200 result=0\n")
        assert first.hears().startswith("STREAM FILE")
        first.says("200 result=0 endpos=8000\n")
        assert first.hears() == ""
        notes = server.wait_for("ended")
        assert (notes[-1]["reason"], notes[-1]["hung_up"]) == ("shutdown", False)
        second.says("200 result=0\n")
        # The channel is alive: the clean-up may do everything.
        for verb in ('VERBOSE "cleans up" "1"', "ANSWER", 'VERBOSE "still does" "1"'):
            assert second.hears() == verb
            second.says(f"200 result={'0' if verb == 'ANSWER' else '1'}\n")
        assert second.hears() == ""
        assert server.process.wait(SECONDS) == 0, server.out
        assert [note["at"] for note in server.notes()][-2:] == ["cleaned", "over"]
        first.close()
        second.close()
        assert not re.search(r"Traceback|never awaited|was destroyed", server.out)
