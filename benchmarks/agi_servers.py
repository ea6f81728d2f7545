"""FastAGI servers that do the same five commands: ours, bare Twisted, and those of other libraries.

    python benchmarks/agi_servers.py NAME PORT

Serves on loopback until it is killed. ``listening`` is written when it does. Each library is used as its documents
show; what had to be worked round is said at its function.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socketserver
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

HOST = "127.0.0.1"
BACKLOG = 4_096
MANY = 10_000
"""Sessions at once: more than a server needs in service, as many as are held here."""

NOWHERE = Path(os.devnull).open("w")  # noqa: SIM115 (as long as the process lives)

COMMANDS = (
    b"ANSWER\n",
    b'GET DATA "agent-pass" "5000" "8"\n',
    b'GET FULL VARIABLE "${HINT(1001@default)}"\n',
    b'SET VARIABLE "RESULT" "ok"\n',
    b'VERBOSE "done" "1"\n',
)


def listening() -> None:
    """Tell the program that started this."""
    sys.stdout.write("listening\n")
    sys.stdout.flush()


# ---- bare Twisted: the floor -----------------------------------------------------------------------------


def _twisted(port: int, factory: Any) -> None:
    from twisted.internet import reactor

    reactor.listenTCP(port, factory, backlog=BACKLOG, interface=HOST)  # type: ignore[attr-defined]  # Twisted's reactor
    reactor.callWhenRunning(listening)  # type: ignore[attr-defined]
    reactor.run()  # type: ignore[attr-defined]


def twisted_data(port: int) -> None:
    """The least that Twisted can do: count line feeds."""
    from twisted.internet.protocol import Protocol, ServerFactory

    class Bare(Protocol):
        buffer = b""
        step = -1

        def dataReceived(self, data: bytes) -> None:  # noqa: N802 (Twisted's name)
            self.buffer += data
            if not self.buffer.endswith(b"\n\n" if self.step < 0 else b"\n"):
                return
            self.buffer = b""
            self.step += 1
            if self.step < len(COMMANDS):
                self.transport.write(COMMANDS[self.step])  # type: ignore[union-attr]  # connected
            else:
                self.transport.loseConnection()  # type: ignore[union-attr]  # connected

    _twisted(port, ServerFactory.forProtocol(Bare))


def twisted_lines(port: int) -> None:
    """The usual way: LineOnlyReceiver, a dict for the environment, a coroutine, and a Deferred for each command."""
    from twisted.internet.defer import Deferred
    from twisted.internet.protocol import ServerFactory
    from twisted.protocols.basic import LineOnlyReceiver

    class Lines(LineOnlyReceiver):
        delimiter = b"\n"
        waiting: Deferred[bytes] | None = None

        def __init__(self) -> None:
            self.environment: dict[str, str] = {}

        def lineReceived(self, line: bytes) -> None:  # noqa: N802 (Twisted's name)
            if self.waiting is not None:
                waiting, self.waiting = self.waiting, None
                waiting.callback(line)
            elif line:
                name, _, value = line.decode().partition(": ")
                self.environment[name] = value
            else:
                Deferred.fromCoroutine(self.story())

        async def story(self) -> None:
            for command in COMMANDS:
                waiting: Deferred[bytes] = Deferred()
                self.waiting = waiting
                self.transport.write(command)  # type: ignore[union-attr]  # connected
                await waiting
            self.transport.loseConnection()  # type: ignore[union-attr]  # connected

    _twisted(port, ServerFactory.forProtocol(Lines))


# ---- ours ------------------------------------------------------------------------------------------------


def _ours(port: int, story: Any) -> None:
    from twisted.internet import reactor

    from agi_monitor.agi.protocol import FastAGIFactory
    from agi_monitor.limits import Limits
    from agi_monitor.server import logs

    # As in service: a line for each call, as JSON.
    logs.configure("info", "json", NOWHERE)
    limits = Limits(max_sessions=MANY, max_sessions_per_peer=MANY)
    _twisted(port, FastAGIFactory(story, limits, reactor))  # type: ignore[arg-type]


def ours(port: int) -> None:
    """A coroutine, with all limits, deadlines, and the log of each call."""
    from agi_monitor.agi.session import Session

    async def story(session: Session) -> None:
        await session.answer()
        await session.get_data("agent-pass", 5, 8)
        await session.get_full_variable("${HINT(1001@default)}")
        await session.set_variable("RESULT", "ok")
        await session.verbose("done")

    _ours(port, story)


def ours_blocking(port: int) -> None:
    """A function that was written for pyst2, each call in a thread."""
    from agi_monitor.agi.blocking import blocking

    _ours(port, blocking(_pyst2_script, threads=MANY))


def _pyst2_script(agi: Any) -> None:
    agi.answer()
    agi.get_data("agent-pass", 5000, 8)
    agi.get_full_variable("${HINT(1001@default)}")
    agi.set_variable("RESULT", "ok")
    agi.verbose("done")


# ---- other libraries -------------------------------------------------------------------------------------


def pyst2(port: int) -> None:
    """pyst2's AGI class in a threading server of the standard library. Its own server cannot be imported on Python 3.

    Three things are worked round: it sets a signal handler, which only the main thread may; it writes text, where the
    socket takes bytes; and its server forks a process for each call, forty at most.
    """
    import io

    import asterisk.agi

    signal.signal = lambda *_: None  # type: ignore[assignment]

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            reader = io.TextIOWrapper(self.rfile, encoding="utf-8", newline="\n")  # type: ignore[arg-type]
            writer = io.TextIOWrapper(self.wfile, encoding="utf-8", newline="\n", write_through=True)  # type: ignore[arg-type]
            _pyst2_script(asterisk.agi.AGI(stdin=reader, stdout=writer, stderr=NOWHERE))

    class Server(socketserver.ThreadingTCPServer):
        request_queue_size = BACKLOG
        daemon_threads = True
        allow_reuse_address = True

    with Server((HOST, port), Handler) as server:
        listening()
        server.serve_forever()


def pystrix(port: int) -> None:
    """pystrix's own server: a thread for each call."""
    from pystrix.agi import FastAGIServer, core

    def script(agi: Any, args: Any, kwargs: Any, match: Any, path: Any) -> None:
        agi.execute(core.Answer())
        agi.execute(core.GetData("agent-pass", timeout=5000, max_digits=8))
        agi.execute(core.GetFullVariable("${HINT(1001@default)}"))
        agi.execute(core.SetVariable("RESULT", "ok"))
        agi.execute(core.Verbose("done"))

    server = FastAGIServer(HOST, port)
    server.register_script_handler(None, script)
    listening()
    server.serve_forever()


def panoramisk(port: int) -> None:
    """panoramisk's application behind asyncio's server."""
    from panoramisk.fast_agi import Application

    async def script(request: Any) -> None:
        for command in COMMANDS:
            await request.send_command(command.decode()[:-1])

    async def serve() -> None:
        application = Application(loop=asyncio.get_running_loop())
        application.add_route("spy", script)
        server = await asyncio.start_server(application.handler, HOST, port, backlog=BACKLOG)
        listening()
        await server.serve_forever()

    asyncio.run(serve())


def aioagi(port: int) -> None:
    """aioagi-ik's application on aiohttp. It knows no PJSIP, so its calls come by SIP."""
    from aioagi import runner
    from aioagi.app import AGIApplication
    from aiohttp.web_runner import AppRunner

    async def script(request: Any) -> None:
        await request.agi.answer()
        await request.agi.get_data("agent-pass", 5000, 8)
        await request.agi.get_full_variable("${HINT(1001@default)}")
        await request.agi.set_variable("RESULT", "ok")
        await request.agi.verbose("done")

    async def serve() -> None:
        application = AGIApplication()
        application.router.add_route("SIP", "/spy", script)
        app_runner = AppRunner(application, access_log=None)
        await app_runner.setup()
        await runner.AGISite(app_runner, host=HOST, port=port, backlog=BACKLOG).start()
        listening()
        await asyncio.Event().wait()

    asyncio.run(serve())


SERVERS: dict[str, Callable[[int], None]] = {
    "bare Twisted": twisted_data,
    "Twisted, lines and Deferreds": twisted_lines,
    "agi-monitor": ours,
    "agi-monitor, a pyst2 script": ours_blocking,
    "panoramisk": panoramisk,
    "aioagi-ik": aioagi,
    "pystrix": pystrix,
    "pyst2": pyst2,
}
"""By the name in tables."""


def main() -> None:
    """The command line."""
    name, port = sys.argv[1:]
    SERVERS[name](int(port))


if __name__ == "__main__":
    main()
