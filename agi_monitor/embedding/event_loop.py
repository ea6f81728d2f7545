"""Twisted's protocols on a running asyncio event loop, without a reactor: a clock, and a transport.

What Twisted asks of a reactor and of a connection is little: to be called later, to be called when bytes come, and to
write. An event loop has all of it, so a protocol that runs on Twisted runs here as well, and behaves the same.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol, cast

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.error import AlreadyCalled, AlreadyCancelled, ConnectionDone
from twisted.internet.interfaces import (
    IAddress,
    IDelayedCall,
    IProtocol,
    IProtocolFactory,
    IReactorTime,
    IStreamClientEndpoint,
    ITransport,
)
from twisted.python.failure import Failure
from zope.interface import implementer


@implementer(IAddress)
class NoAddress:
    """The address of a connection whose address is not known here, such as that of a socket file."""


Address = IPv4Address | IPv6Address | NoAddress


@implementer(IDelayedCall)
class _Delayed:
    """A call that comes later."""

    def __init__(self, loop: asyncio.AbstractEventLoop, delay: float, call: Callable[[], object]) -> None:
        self._loop = loop
        self._call = call
        self._time = loop.time() + delay
        self._handle = loop.call_later(delay, self._fire)
        self._called = self._cancelled = False

    def _fire(self) -> None:
        self._called = True
        self._call()

    def getTime(self) -> float:  # noqa: N802 (Twisted's name)
        return self._time

    def active(self) -> bool:
        return not (self._called or self._cancelled)

    def cancel(self) -> None:
        self._require_active()
        self._cancelled = True
        self._handle.cancel()

    def reset(self, secondsFromNow: float) -> None:  # noqa: N803 (Twisted's name)
        self._move(self._loop.time() + secondsFromNow)

    def delay(self, secondsLater: float) -> None:  # noqa: N803 (Twisted's name)
        self._move(self._time + secondsLater)

    def _move(self, time: float) -> None:
        self._require_active()
        self._handle.cancel()
        self._time = time
        self._handle = self._loop.call_at(time, self._fire)

    def _require_active(self) -> None:
        if self._cancelled:
            raise AlreadyCancelled
        if self._called:
            raise AlreadyCalled


@implementer(IReactorTime)
class LoopClock:
    """The time of an event loop, in the words of a reactor.

    Parameters:
        loop: that runs.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def seconds(self) -> float:
        """Seconds of a monotonic clock."""
        return self._loop.time()

    def callLater(  # noqa: N802 (Twisted's name)
        self, delay: float, callable: Callable[..., Any], *args: object, **kwargs: object
    ) -> IDelayedCall:
        """Call something after this number of seconds."""
        return cast(IDelayedCall, _Delayed(self._loop, delay, lambda: callable(*args, **kwargs)))

    def getDelayedCalls(self) -> Sequence[IDelayedCall]:  # noqa: N802 (Twisted's name)
        """The loop does not tell."""
        return []

    def callFromThread(self, callable: Callable[..., Any], *args: object) -> None:  # noqa: N802 (Twisted's name)
        """Call something in the loop's thread, from another."""
        self._loop.call_soon_threadsafe(callable, *args)


class _Twisted(Protocol):
    """What is called of a protocol."""

    def makeConnection(self, transport: Any) -> Any: ...  # noqa: N802 (Twisted's name)
    def dataReceived(self, data: bytes) -> Any: ...  # noqa: N802 (Twisted's name)
    def connectionLost(self, reason: Failure) -> Any: ...  # noqa: N802 (Twisted's name)


def _failure(error: Exception | None) -> Failure:
    return Failure(ConnectionDone() if error is None else error)  # type: ignore[no-untyped-call]  # Twisted's own


@implementer(ITransport)
class LoopTransport(asyncio.Protocol):
    """One connection of an event loop, as the transport of a protocol.

    Parameters:
        build: makes the protocol when the connection is there, given the other side's address; None refuses it.
        gone: called when the connection is closed, by either side.
    """

    def __init__(
        self, build: Callable[[Address], Any], gone: Callable[[LoopTransport], object] = lambda _: None
    ) -> None:
        self._build = build
        self._gone = gone
        self._transport: asyncio.Transport | None = None
        self.protocol: _Twisted | None = None
        self.disconnecting = False

    # -- what the loop calls --

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        # As on Twisted: a PBX that lost power must not hold its slot.
        self.setTcpKeepAlive(True)
        try:
            self.protocol = self._build(self._address("peername"))
            if self.protocol is None:
                transport.close()
            else:
                self.protocol.makeConnection(self)
        except BaseException:
            # The loop would only log it, and the connection would hang.
            self._transport.abort()
            raise

    def data_received(self, data: bytes) -> None:
        if self.protocol is not None:
            self.protocol.dataReceived(data)

    def eof_received(self) -> None:
        """The loop closes the connection, as Twisted does."""

    def connection_lost(self, exc: Exception | None) -> None:
        self._gone(self)
        if self.protocol is not None:
            self.protocol.connectionLost(_failure(exc))

    # -- what the protocol calls --

    def write(self, data: bytes) -> None:
        """Send bytes."""
        if self._transport is not None and not self.disconnecting:
            self._transport.write(data)

    def writeSequence(self, data: Iterable[bytes]) -> None:  # noqa: N802 (Twisted's name)
        """Send bytes."""
        self.write(b"".join(data))

    def loseConnection(self) -> None:  # noqa: N802 (Twisted's name)
        """Close when everything is sent."""
        self.disconnecting = True
        if self._transport is not None:
            self._transport.close()

    def abortConnection(self) -> None:  # noqa: N802 (Twisted's name)
        """Close at once."""
        self.disconnecting = True
        if self._transport is not None:
            self._transport.abort()

    def setTcpNoDelay(self, enabled: bool) -> None:  # noqa: N802 (Twisted's name)
        """Send small pieces at once. The loop does by itself."""
        self._set(socket.IPPROTO_TCP, socket.TCP_NODELAY, enabled)

    def setTcpKeepAlive(self, enabled: bool) -> None:  # noqa: N802 (Twisted's name)
        """Notice a peer that is gone without a word."""
        self._set(socket.SOL_SOCKET, socket.SO_KEEPALIVE, enabled)

    def _set(self, level: int, option: int, enabled: bool) -> None:
        plain = None if self._transport is None else self._transport.get_extra_info("socket")
        if plain is not None:
            plain.setsockopt(level, option, int(enabled))

    def getPeer(self) -> Address:  # noqa: N802 (Twisted's name)
        """The address of the other side."""
        return self._address("peername")

    def getHost(self) -> Address:  # noqa: N802 (Twisted's name)
        """The address of this side."""
        return self._address("sockname")

    def _address(self, which: str) -> Address:
        found = None if self._transport is None else self._transport.get_extra_info(which)
        if not isinstance(found, tuple):
            return NoAddress()
        host, port = found[:2]
        return IPv6Address("TCP", host, port) if ":" in host else IPv4Address("TCP", host, port)


def running_loop() -> asyncio.AbstractEventLoop | None:
    """The event loop of asyncio that this is called in, if any."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


@implementer(IStreamClientEndpoint)
class LoopEndpoint:
    """A way to a server, over an event loop.

    Parameters:
        loop: that runs.
        host: a name or an address.
        port: TCP port.
        seconds: how long an attempt to connect may take.
        wrapped: puts something between the connection and the protocol, such as TLS: a factory whose protocols have
            the other one as ``wrappedProtocol``.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        host: str,
        port: int,
        seconds: float,
        wrapped: Callable[[IProtocolFactory], Any] | None = None,
    ) -> None:
        self._loop = loop
        self._where = (host, port)
        self._seconds = seconds
        self._wrapped = wrapped

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:  # noqa: N803 (Twisted's name)
        """Connect, and make a protocol of this factory."""
        return Deferred.fromFuture(self._loop.create_task(self._connect(protocolFactory)))

    async def _connect(self, factory: Any) -> Any:
        outer = factory if self._wrapped is None else self._wrapped(factory)
        transport = LoopTransport(outer.buildProtocol)
        host, port = self._where
        async with asyncio.timeout(self._seconds):
            await self._loop.create_connection(lambda: transport, host, port)
        made: Any = transport.protocol
        if made is None:
            raise ConnectionAbortedError("no protocol was made for this connection")
        return made if self._wrapped is None else made.wrappedProtocol
