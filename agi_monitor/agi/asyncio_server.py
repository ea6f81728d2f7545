"""A FastAGI server inside a running asyncio event loop, without Twisted's reactor.

The calls are served by the same factory, protocol and session as on Twisted, over the loop's own connections
(``embedding.event_loop``): hang-ups, deadlines, limits and refusals are the same ones.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from ipaddress import IPv4Network, IPv6Network
from types import TracebackType
from typing import Any

from structlog.typing import FilteringBoundLogger
from twisted.internet.interfaces import IReactorTime

from agi_monitor.agi.asyncio_story import on_asyncio
from agi_monitor.agi.log_events import LogEvent
from agi_monitor.agi.protocol import LOOPBACK, FastAGIFactory
from agi_monitor.agi.routing import Handler, as_story
from agi_monitor.embedding.event_loop import Address, LoopClock, LoopTransport
from agi_monitor.embedding.library_log import library_log
from agi_monitor.limits import Limits

HOST = "127.0.0.1"
PORT = 4573
"""Asterisk's own for FastAGI."""

BACKLOG = 1_024
"""Calls that may come at once before one of them is taken."""

STOP_SECONDS = 10.0
"""How long running calls may continue after the stop, before they are ended."""


class AgiServer:
    """A FastAGI server in the event loop that runs, under asyncio or uvloop.

    ::

        async with AgiServer(handler) as server:
            await asyncio.Event().wait()

    At the end of the block no new call is taken; those that run have ``stop_seconds``, and then see ``CallEnded``. A
    cancellation during that time lets them see it at once.

    Parameters:
        handler: as for ``serve``. It runs as a task, and awaits asyncio's things.
        host: an address of this machine. AGI has no password and no encryption: anything but the loopback needs
            ``peers``.
        port: TCP port; 0 for any that is free, see ``port``.
        peers: addresses and networks that may connect.
        limits: sizes, numbers and times that a peer is held to.
        secret: when given, the first AGI argument must be this text.
        transcript: log every command and reply at debug level; replies that hold keys are left out.
        stop_seconds: how long calls may continue after the end.
        lifespan: makes an asynchronous context that is entered before the first call is taken and left after the last
            one has ended: for connections to databases and the like.
        log: where to log.
    """

    def __init__(
        self,
        handler: Handler,
        host: str = HOST,
        port: int = PORT,
        *,
        peers: Iterable[str | IPv4Network | IPv6Network] = LOOPBACK,
        limits: Limits | None = None,
        secret: str | None = None,
        transcript: bool = False,
        stop_seconds: float = STOP_SECONDS,
        lifespan: Callable[[], AbstractAsyncContextManager[object]] | None = None,
        log: FilteringBoundLogger | None = None,
    ) -> None:
        self._where = (host, port)
        self._stop_seconds = stop_seconds
        self._lifespan = lifespan
        self._limits = limits or Limits()
        self._log: FilteringBoundLogger = log or library_log()
        self._story = on_asyncio(as_story(handler, log))
        self._options: dict[str, Any] = {
            "allowed_peers": tuple(peers),
            "secret": secret,
            "transcript": transcript,
            "log": log,
        }
        if secret == "":
            raise ValueError("an empty secret protects nothing")
        self._factory: FastAGIFactory | None = None
        self._server: asyncio.Server | None = None
        self._context = AsyncExitStack()
        self._connections: set[LoopTransport] = set()
        self._all_gone = asyncio.Event()

    @property
    def port(self) -> int:
        """The TCP port that it listens on.

        Raises:
            RuntimeError: it does not listen.
        """
        if self._server is None:
            raise RuntimeError("the server does not listen")
        found: int = self._server.sockets[0].getsockname()[1]
        return found

    async def start(self) -> None:
        """Take calls from now on, until ``stop``.

        Raises:
            OSError: it cannot listen there.
            RuntimeError: it listens already.
        """
        if self._factory is not None:
            raise RuntimeError("the server listens already")
        loop = asyncio.get_running_loop()
        clock: IReactorTime = LoopClock(loop)
        factory = self._factory = FastAGIFactory(self._story, self._limits, clock, **self._options)
        self._context = AsyncExitStack()
        self._all_gone = asyncio.Event()
        try:
            if self._lifespan is not None:
                await self._context.enter_async_context(self._lifespan())
            host, port = self._where
            self._server = await loop.create_server(lambda: self._accept(factory), host, port, backlog=BACKLOG)
        except BaseException as error:
            self._factory = None
            if isinstance(error, OSError):
                self._log.error(LogEvent.CANNOT_LISTEN, error=str(error))
            await self._context.aclose()
            raise
        self._log.info(LogEvent.LISTENING, address=host, port=self.port)

    async def stop(self) -> None:
        """Take no new calls, wait for those that run, end those that are left."""
        factory, server = self._factory, self._server
        if factory is None or server is None:
            return
        factory.drain()
        server.close()
        try:
            await self._calls_end(factory)
        finally:
            self._factory = self._server = None
            await self._context.aclose()

    async def serve_forever(self) -> None:
        """Wait until this is cancelled."""
        await asyncio.get_running_loop().create_future()

    async def __aenter__(self) -> AgiServer:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.stop()

    async def _calls_end(self, factory: FastAGIFactory) -> None:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._stop_seconds):
                await factory.idle().asFuture(loop)
        except (TimeoutError, asyncio.CancelledError) as why:
            factory.end_all()
            await factory.idle().asFuture(loop)  # each is left behind after limits.cleanup_seconds
            if isinstance(why, asyncio.CancelledError):
                raise
        finally:
            await self._connections_close()

    async def _connections_close(self) -> None:
        """Send what was written; do not wait for calls that have asked for nothing yet."""
        for connection in list(self._connections):
            connection.loseConnection()
        if not self._connections:
            return
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._limits.hangup_reply_seconds):
                    await self._all_gone.wait()
        finally:
            for connection in list(self._connections):
                connection.abortConnection()

    def _accept(self, factory: FastAGIFactory) -> LoopTransport:
        connection = LoopTransport(lambda address: self._protocol(factory, connection, address), self._gone)
        return connection

    def _protocol(self, factory: FastAGIFactory, connection: LoopTransport, address: Address) -> Any:
        self._connections.add(connection)
        return factory.buildProtocol(address)

    def _gone(self, connection: LoopTransport) -> None:
        self._connections.discard(connection)
        if not self._connections and self._server is not None and not self._server.is_serving():
            self._all_gone.set()
