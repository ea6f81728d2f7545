"""agi_monitor.agi.listening: a server of its own, over TCP, that starts, serves, and stops."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import cast

import pytest
from structlog.testing import capture_logs
from twisted.internet.address import IPv4Address
from twisted.internet.defer import fail
from twisted.internet.error import CannotListenError
from twisted.internet.testing import MemoryReactorClock, StringTransport

from agi_monitor.agi.end_reason import EndReason
from agi_monitor.agi.listening import AgiService
from agi_monitor.agi.log_events import LogEvent
from agi_monitor.agi.protocol import FastAGIFactory
from agi_monitor.agi.session import Session
from agi_monitor.errors import CallEnded
from contrib.lab.waiting import wait_until
from tests.doubles.agi_calls import CHECKOUT, ENVIRONMENT, SECONDS, Call, running

SERVE = """
    from agi_monitor import Session, serve

    async def greet(session: Session, name: str, times: int = 1) -> None:
        for _ in range(times):
            await session.stream_file(name)

    serve(greet, "tcp:0:interface=127.0.0.1")
"""


def test_serve_in_a_script_of_its_own(tmp_path: Path) -> None:
    """It listens, gives the handler its typed arguments, and ends with 0 when it is told to stop."""
    with running(tmp_path, SERVE) as (server, port):
        call = Call(port, ENVIRONMENT.removesuffix("\n") + "agi_arg_1: hello\nagi_arg_2: 2\n\n")
        for _ in range(2):
            assert call.hears() == 'STREAM FILE "hello" "" "0"'
            call.says("200 result=0 endpos=8000\n")
        assert call.hears() == ""
        call.close()
        call = Call(port)
        assert call.hears() == "failure"
        call.close()
        server.send_signal(signal.SIGTERM)
        assert server.wait(SECONDS) == 0


def test_serve_lets_a_call_come_to_its_end(tmp_path: Path) -> None:
    """After SIGTERM no new call is taken, and the call that runs continues."""
    with running(tmp_path, SERVE) as (server, port):
        call = Call(port, ENVIRONMENT.removesuffix("\n") + "agi_arg_1: hello\n\n")
        assert call.hears().startswith("STREAM FILE")
        server.send_signal(signal.SIGTERM)

        def refused() -> bool:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=SECONDS).close()
            except ConnectionRefusedError:
                return True
            return False

        wait_until(refused, SECONDS, "the port to be closed")
        assert server.poll() is None
        call.says("200 result=0 endpos=8000\n")
        assert call.hears() == ""
        assert server.wait(SECONDS) == 0
        call.close()


def test_serve_says_why_it_cannot_listen(tmp_path: Path) -> None:
    """A port that is taken ends the program with a sentence, not with a traceback."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        program = textwrap.dedent(SERVE).replace("tcp:0", f"tcp:{port}")
        done = subprocess.run(
            [sys.executable, "-c", program],
            cwd=CHECKOUT,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
    assert done.returncode == 1
    assert f"cannot listen on tcp:{port}:interface=127.0.0.1" in done.stderr
    assert "Traceback" not in done.stderr


ASYNCIO = """
    import asyncio
    import aiosqlite
    from agi_monitor import CallEnded, Session, blocking, serve

    async def look_up(session: Session, number: str) -> None:
        async with aiosqlite.connect("people.db") as database:
            await database.execute("CREATE TABLE IF NOT EXISTS people (number TEXT, name TEXT)")
            await database.execute("INSERT INTO people VALUES ('1001', 'Anna')")
            async with database.execute("SELECT name FROM people WHERE number = ?", (number,)) as rows:
                (name,) = await rows.fetchone()
        await blocking(lambda agi: agi.set_variable("OLD", "yes"))(session)
        await session.set_variable("NAME", name)
        try:
            async with asyncio.timeout(30):
                await asyncio.Event().wait()
        except CallEnded:
            async with asyncio.TaskGroup() as group:
                group.create_task(asyncio.sleep(0))
            await session.verbose("the caller has hung up")
            raise

    serve(look_up, "tcp:0:interface=127.0.0.1", use_asyncio=True)
"""


def test_a_handler_awaits_an_asyncio_library(tmp_path: Path) -> None:
    """A database over asyncio beside AGI; a hang-up reaches the handler where it waits for asyncio, as CallEnded."""
    with running(tmp_path, ASYNCIO) as (server, port):
        call = Call(port, ENVIRONMENT.removesuffix("\n") + "agi_arg_1: 1001\n\n")
        assert call.hears() == 'SET VARIABLE "OLD" "yes"'
        call.says("200 result=1\n")
        assert call.hears() == 'SET VARIABLE "NAME" "Anna"'
        call.says("200 result=1\n")
        call.says("HANGUP\n")
        assert call.hears() == 'VERBOSE "the caller has hung up" "1"'
        call.says("200 result=1\n")
        assert call.hears() == ""
        call.close()
        server.send_signal(signal.SIGTERM)
        assert server.wait(SECONDS) == 0
        assert "agi_story_failed" not in (tmp_path / "out").read_text()


TWISTD = """
    from agi_monitor import Router, Session

    router = Router()

    @router.route("hello/{name}")
    async def hello(session: Session, name: str) -> None:
        await session.stream_file(name)
"""


def test_twistd_runs_a_handler_by_its_name(tmp_path: Path) -> None:
    """``twistd agi`` finds the handler, listens, and demands the secret."""
    plugins = tmp_path / "twisted" / "plugins"
    plugins.mkdir(parents=True)
    (plugins / "agi_monitor_plugin.py").symlink_to(CHECKOUT / "contrib" / "twistd" / "agi_monitor_plugin.py")
    (tmp_path / "secret").write_text("open sesame\n")
    command = [sys.executable, "-m", "twisted", "--log-format", "text", "agi"]
    command += ["--handler", "calls:router", "--listen", "tcp:0:interface=127.0.0.1", "--secret-file", "secret"]
    with running(tmp_path, TWISTD, *command) as (server, port):
        environment = ENVIRONMENT.replace("agi_channel", "agi_network_script: hello/beep\nagi_channel")
        call = Call(port, environment)
        assert call.hears() == "failure"
        call.close()
        call = Call(port, environment.removesuffix("\n") + "agi_arg_1: open sesame\n\n")
        assert call.hears() == 'STREAM FILE "beep" "" "0"'
        call.close()
        server.send_signal(signal.SIGTERM)
        server.wait(SECONDS)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ([], "--handler module:name is missing"),
        (["--handler", "calls"], "--handler is module:name"),
        (["--handler", "calls:nothing"], "--handler calls:nothing"),
    ],
)
def test_twistd_says_what_is_wrong_with_the_handler(tmp_path: Path, options: list[str], complaint: str) -> None:
    """A handler that is missing or not there is named."""
    plugins = tmp_path / "twisted" / "plugins"
    plugins.mkdir(parents=True)
    (plugins / "agi_monitor_plugin.py").symlink_to(CHECKOUT / "contrib" / "twistd" / "agi_monitor_plugin.py")
    (tmp_path / "calls.py").write_text("")
    done = subprocess.run(
        [sys.executable, "-m", "twisted", "agi", *options],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{CHECKOUT}"},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode != 0
    assert complaint in done.stdout + done.stderr


# -- the service in memory --


async def waits(session: Session) -> None:
    """A handler that lasts as long as the call."""
    await session.wait_for_digit()


class Service:
    """A service on a reactor in memory."""

    def __init__(self) -> None:
        self.reactor = MemoryReactorClock()  # type: ignore[no-untyped-call]  # Twisted's own
        self.service = AgiService(waits, "tcp:4573:interface=127.0.0.1", reactor=self.reactor, stop_seconds=5.0)
        self.service.startService()

    @property
    def factory(self) -> FastAGIFactory:
        """What listens."""
        return cast(FastAGIFactory, self.reactor.tcpServers[0][1])


def test_the_service_listens_where_it_was_told() -> None:
    """And says so once it does."""
    with capture_logs() as logs:
        service = Service()
    port, factory, _, interface = service.reactor.tcpServers[0]
    assert (port, factory, interface) == (4573, service.service.factory, "127.0.0.1")
    assert [log["event"] for log in logs] == [LogEvent.LISTENING]
    told: list[object] = []
    service.service.listening().addCallback(told.append)
    assert len(told) == 1


def test_an_address_that_is_none_is_named() -> None:
    """With one that would do, and not with what Twisted says of a number."""
    with pytest.raises(ValueError, match="'tcp:abc': cannot listen there; write such as tcp:4573"):
        AgiService(_nothing, "tcp:abc")


async def _nothing(session: Session) -> None:
    pass


def test_a_stop_ends_what_does_not_end_by_itself() -> None:
    """Calls have stop_seconds; then each is told CallEnded, and the stop is over when all are."""
    service = Service()
    protocol = service.factory.buildProtocol(None)
    assert protocol is None  # an address that is not a loopback
    ended: list[str] = []

    async def long(session: Session) -> None:
        try:
            await session.wait_for_digit()
        except CallEnded as error:
            ended.append(f"{session.ended}: {error}")
            raise

    service.factory.serve = long
    protocol = service.factory.buildProtocol(IPv4Address("TCP", "127.0.0.1", 40_000))
    assert protocol is not None
    protocol.makeConnection(StringTransport())  # type: ignore[no-untyped-call]  # Twisted's own
    protocol.dataReceived(ENVIRONMENT.encode())
    stopped: list[object] = []
    service.service.stopService().addCallback(stopped.append)
    service.reactor.advance(4.9)
    assert (ended, stopped) == ([], [])
    service.reactor.advance(0.2)
    assert ended == [f"{EndReason.SHUTDOWN}: the session was ended (shutdown)"]
    assert stopped == [None]


def test_a_port_that_is_taken_is_told() -> None:
    """The Deferred fails, the log has it, and nothing is left unhandled."""
    reactor = MemoryReactorClock()  # type: ignore[no-untyped-call]  # Twisted's own

    class Taken:
        def listen(self, factory: object) -> object:
            taken = OSError(98, "Address already in use")
            return fail(CannotListenError("127.0.0.1", 4573, taken))  # type: ignore[no-untyped-call]  # Twisted's own

    service = AgiService(waits, Taken(), reactor=reactor)  # type: ignore[arg-type]  # an endpoint all the same
    with capture_logs() as logs:
        service.startService()
    assert [log["event"] for log in logs] == [LogEvent.CANNOT_LISTEN]
    failed: list[object] = []
    service.listening().addErrback(lambda failure: failed.append(failure.value))
    assert isinstance(failed[0], CannotListenError)
    stopped: list[object] = []
    service.stopService().addCallback(stopped.append)
    assert stopped == [None]
