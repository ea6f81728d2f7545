"""Asterisk on a StringTransport and a Clock, for the tests of agi_monitor.agi.protocol."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from agi_monitor.agi.protocol import FastAGIFactory, FastAGIProtocol
from agi_monitor.agi.session import Session
from agi_monitor.errors import CallEnded
from agi_monitor.limits import Limits

ENVIRONMENT = b"agi_network: yes\nagi_network_script: spy\nagi_channel: PJSIP/1-1\nagi_uniqueid: 1.1\n\n"

LIMITS = Limits()


class Transport(StringTransport):
    """A StringTransport that knows the difference between closing and aborting."""

    aborted = False

    def abortConnection(self) -> None:  # noqa: N802 (Twisted's name)
        self.aborted = True
        self.loseConnection()  # type: ignore[no-untyped-call]  # Twisted's own


LINES: list[Line] = []


@dataclass
class Line:
    """One connection from Asterisk's side."""

    protocol: FastAGIProtocol
    transport: Transport
    broken: bool = False

    def says(self, data: bytes) -> bytes:
        """Asterisk sends this; what the server sends meanwhile."""
        self.transport.clear()  # type: ignore[no-untyped-call]  # Twisted's own
        self.protocol.dataReceived(data)
        return self.sent

    def breaks(self) -> None:
        """The connection is gone."""
        self.broken = True
        self.protocol.connectionLost(Failure(ConnectionDone()))  # type: ignore[no-untyped-call]  # Twisted's own

    @property
    def closed(self) -> bool:
        """Whether the server has closed."""
        return self.transport.disconnecting

    @property
    def sent(self) -> bytes:
        """What the server has sent since Asterisk spoke last."""
        return bytes(self.transport.value())  # type: ignore[no-untyped-call]  # Twisted's own


class Server:
    """A factory with a clock, and a story that writes down what it sees."""

    def __init__(self, story: Callable[[Session, list[str]], Awaitable[None]] | None = None, **options: Any) -> None:
        self.clock = Clock()
        self.seen: list[str] = []
        self.sessions: list[Session] = []
        limits = options.pop("limits", LIMITS)

        async def serve(session: Session) -> None:
            self.sessions.append(session)
            if story is not None:
                await story(session, self.seen)

        self.factory = FastAGIFactory(serve, limits, self.clock, id_prefix="t", **options)

    def connect(self, host: str = "127.0.0.1") -> Line | None:
        """A new connection, or None when it was refused unheard."""
        made = self.factory.buildProtocol(IPv4Address("TCP", host, 40_000))
        if made is None:
            return None
        transport = Transport()  # type: ignore[no-untyped-call]  # Twisted's own
        made.makeConnection(transport)  # type: ignore[no-untyped-call]  # Twisted's own
        line = Line(made, transport)
        LINES.append(line)
        return line

    def call(self, environment: bytes = ENVIRONMENT) -> Line:
        """A new connection with its environment."""
        line = self.connect()
        assert line is not None
        line.protocol.dataReceived(environment)
        return line

    def idle(self) -> bool:
        """Whether nothing is left behind: no session, no timer."""
        return not self.factory.sessions and not self.clock.getDelayedCalls()


async def waits_for_data(session: Session, seen: list[str]) -> None:
    """Ask for digits, clean up with a variable."""
    try:
        digits = await session.get_data("agent-pass", 5, 8)
        seen.append(digits.digits)
    except CallEnded:
        seen.append("ended")
        raise
    finally:
        await session.set_variable("RESULT", "over")
        seen.append("cleaned")


GET_DATA = b'GET DATA "agent-pass" "5000" "8"\n'

SET = b'SET VARIABLE "RESULT" "over"\n'
