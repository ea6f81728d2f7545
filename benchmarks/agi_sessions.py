"""What a FastAGI session costs: ours against bare Twisted, in one run on loopback.

    python benchmarks/agi_sessions.py [--sessions 2000] [--at-once 100] [--repeat 3]

Each server runs in this process on a port of its own, one after the other; the load comes from a second process that
plays Asterisk: environment, five commands answered at once, close. Printed is the CPU of this process per session
(its own work only, so the load generator does not count) and the ratio to the fastest bare server.
"""

from __future__ import annotations

import argparse
import contextlib
import cProfile
import logging
import pstats
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import structlog
from twisted.internet import error, reactor
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory, Protocol, ServerFactory
from twisted.internet.threads import deferToThread
from twisted.protocols.basic import LineOnlyReceiver

from agi_monitor.agi.protocol import FastAGIFactory
from agi_monitor.agi.session import Session
from agi_monitor.limits import Limits

ENVIRONMENT = (
    b"agi_network: yes\nagi_network_script: spy\nagi_request: agi://127.0.0.1/spy\n"
    b"agi_channel: PJSIP/2001-0000002a\nagi_language: en\nagi_type: PJSIP\nagi_uniqueid: 1700000000.42\n"
    b"agi_version: 22.10.1\nagi_callerid: 2001\nagi_calleridname: Supervisor\nagi_callingpres: 0\n"
    b"agi_callingani2: 0\nagi_callington: 0\nagi_callingtns: 0\nagi_dnid: *2221001\nagi_rdnis: unknown\n"
    b"agi_context: internal\nagi_extension: *2221001\nagi_priority: 2\nagi_enhanced: 0.0\n"
    b"agi_accountcode: \nagi_threadid: 140245\n\n"
)
COMMANDS = (
    b"ANSWER\n",
    b'GET DATA "agent-pass" "5000" "8"\n',
    b'GET FULL VARIABLE "${HINT(1001@default)}"\n',
    b'SET VARIABLE "RESULT" "ok"\n',
    b'VERBOSE "done" "1"\n',
)
REPLIES = (
    b"200 result=0\n",
    b"200 result=1234\n",
    b"200 result=1 (PJSIP/1001)\n",
    b"200 result=1\n",
    b"200 result=1\n",
)


async def story(session: Session) -> None:
    """The five commands, as a story writes them."""
    await session.answer()
    await session.get_data("agent-pass", 5, 8)
    await session.get_full_variable("${HINT(1001@default)}")
    await session.set_variable("RESULT", "ok")
    await session.verbose("done")


class BareData(Protocol):
    """The least that Twisted can do: count line feeds."""

    def __init__(self) -> None:
        self.buffer = b""
        self.step = -1

    def dataReceived(self, data: bytes) -> None:  # noqa: N802 (Twisted's name)
        self.buffer += data
        end = b"\n\n" if self.step < 0 else b"\n"
        if not self.buffer.endswith(end):
            return
        self.buffer = b""
        self.step += 1
        if self.step < len(COMMANDS):
            self.transport.write(COMMANDS[self.step])  # type: ignore[union-attr]  # connected
        else:
            self.transport.loseConnection()  # type: ignore[union-attr]  # connected


class BareLines(LineOnlyReceiver):
    """The usual way: lineReceived, and a dict for the environment."""

    delimiter = b"\n"

    def __init__(self) -> None:
        self.environment: dict[str, str] = {}
        self.step = -1

    def lineReceived(self, line: bytes) -> None:  # noqa: N802 (Twisted's name)
        if self.step < 0 and line:
            name, _, value = line.decode().partition(": ")
            self.environment[name] = value
            return
        self.step += 1
        if self.step < len(COMMANDS):
            self.transport.write(COMMANDS[self.step])  # type: ignore[union-attr]  # connected
        else:
            self.transport.loseConnection()  # type: ignore[union-attr]  # connected


class BareCoroutine(BareLines):
    """The usual way with a coroutine: one Deferred for each command, nothing checked."""

    waiting: Deferred[bytes] | None = None

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
        """The five commands."""
        for command in COMMANDS:
            waiting: Deferred[bytes] = Deferred()
            self.waiting = waiting
            self.transport.write(command)  # type: ignore[union-attr]  # connected
            await waiting
        self.transport.loseConnection()  # type: ignore[union-attr]  # connected


def load(port: int, sessions: int, at_once: int) -> None:
    """Play Asterisk: the second process."""
    from twisted.internet.endpoints import TCP4ClientEndpoint

    left = sessions
    over = 0

    class Call(Protocol):
        step = 0

        def connectionMade(self) -> None:  # noqa: N802 (Twisted's name)
            self.transport.setTcpNoDelay(True)  # type: ignore[union-attr]  # TCP
            self.transport.write(ENVIRONMENT)  # type: ignore[union-attr]  # connected

        def dataReceived(self, data: bytes) -> None:  # noqa: N802 (Twisted's name)
            self.transport.write(REPLIES[self.step])  # type: ignore[union-attr]  # connected
            self.step += 1

        def connectionLost(self, reason: Any = None) -> None:  # noqa: N802 (Twisted's name)
            nonlocal over
            if self.step != len(REPLIES):
                raise SystemExit(f"a session ended after {self.step} replies")
            over += 1
            if over == sessions:
                reactor.stop()
            else:
                call()

    def call() -> None:
        nonlocal left
        if left:
            left -= 1
            TCP4ClientEndpoint(reactor, "127.0.0.1", port).connect(Factory.forProtocol(Call))

    for _ in range(min(at_once, sessions)):
        call()
    reactor.run()


def measure(options: argparse.Namespace, make: Callable[[], Factory]) -> Deferred[tuple[float, float]]:
    """Sessions a second and CPU microseconds a session of one server."""
    port: Any = reactor.listenTCP(0, make(), backlog=1024, interface="127.0.0.1")  # type: ignore[arg-type]
    number = str(port.getHost().port)
    arguments = [sys.executable, __file__, "--load", number]
    arguments += ["--sessions", str(options.sessions), "--at-once", str(options.at_once)]

    def run() -> tuple[float, float]:
        before, started = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
        subprocess.run(arguments, check=True)  # noqa: S603 (this file)
        after, took = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter() - started
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return options.sessions / took, cpu / options.sessions * 1e6

    async def whole() -> tuple[float, float]:
        try:
            return await deferToThread(run)
        finally:
            await port.stopListening()

    return Deferred.fromCoroutine(whole())


def ours(transcript: bool = False) -> Factory:
    """The server under test, with limits, deadlines and a log at info as in service."""
    return FastAGIFactory(story, Limits(), reactor, transcript=transcript)


SERVERS: dict[str, Callable[[], Factory]] = {
    "bare Twisted, dataReceived": lambda: ServerFactory.forProtocol(BareData),
    "bare Twisted, LineOnlyReceiver": lambda: ServerFactory.forProtocol(BareLines),
    "bare Twisted, lines, coroutine": lambda: ServerFactory.forProtocol(BareCoroutine),
    "agi_monitor": ours,
}


async def compare(options: argparse.Namespace) -> None:
    """Measure every server so many times, in turn, and print the medians."""
    results: dict[str, list[tuple[float, float]]] = {name: [] for name in SERVERS}
    await measure(options, SERVERS["agi_monitor"])  # warm up: imports, caches
    for _ in range(options.repeat):
        for name, make in SERVERS.items():
            results[name].append(await measure(options, make))
    cpu = {name: median(sample[1] for sample in samples) for name, samples in results.items()}
    print(f"{'server':34}{'sess/s':>8}{'CPU us/sess':>13}{'of dataReceived':>17}{'of lines':>10}")  # noqa: T201
    for name, samples in results.items():
        rate = median(sample[0] for sample in samples)
        data, lines = cpu["bare Twisted, dataReceived"], cpu["bare Twisted, LineOnlyReceiver"]
        print(f"{name:34}{rate:8.0f}{cpu[name]:13.0f}{data / cpu[name]:17.2f}{lines / cpu[name]:10.2f}")  # noqa: T201


async def profile(options: argparse.Namespace) -> None:
    """Profile our server."""
    profiler = cProfile.Profile()
    profiler.enable()
    await measure(options, ours)
    profiler.disable()
    pstats.Stats(profiler).sort_stats("tottime").print_stats(35)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--sessions", type=int, default=2000)
    parser.add_argument("--at-once", type=int, default=100)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--profile", action="store_true", help="where our time goes")
    parser.add_argument("--load", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.load:
        load(options.load, options.sessions, options.at_once)
        return
    # As in service: lines at info level are written, here to nowhere.
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        processors=[structlog.processors.add_log_level, structlog.processors.JSONRenderer()],
        logger_factory=structlog.ReturnLoggerFactory(),
        cache_logger_on_first_use=True,
    )

    def over(result: object) -> None:
        if result is not None:
            print(result, file=sys.stderr)  # noqa: T201
        with contextlib.suppress(error.ReactorNotRunning):
            reactor.stop()

    work = profile if options.profile else compare
    reactor.callWhenRunning(lambda: Deferred.fromCoroutine(work(options)).addBoth(over))
    reactor.run()


if __name__ == "__main__":
    main()
