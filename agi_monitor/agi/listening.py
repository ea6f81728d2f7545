"""A FastAGI server from a handler: ``serve`` for a script of its own, ``AgiService`` for a Twisted application.

Nothing here is imported by others of this room: it is where a program begins.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from contextlib import AbstractAsyncContextManager
from ipaddress import IPv4Network, IPv6Network
from typing import Any, cast

from structlog.typing import FilteringBoundLogger
from twisted.application.service import Service
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred, TimeoutError, fail, maybeDeferred, succeed
from twisted.internet.endpoints import serverFromString
from twisted.internet.interfaces import IListeningPort, IReactorTime, IStreamServerEndpoint
from twisted.python.failure import Failure

from agi_monitor.agi.asyncio_story import on_asyncio
from agi_monitor.agi.log_events import LogEvent
from agi_monitor.agi.protocol import LOOPBACK, FastAGIFactory
from agi_monitor.agi.reactors import asyncio_reactor, twisted_reactor
from agi_monitor.agi.routing import Handler, as_story
from agi_monitor.embedding.library_log import library_log
from agi_monitor.limits import Limits

LISTEN = "tcp:4573:interface=127.0.0.1"
"""Asterisk's own port for FastAGI, for this machine only."""

STOP_SECONDS = 10.0
"""How long running calls may continue after the stop, before they are ended."""


class AgiService(Service):
    """A FastAGI server as a part of a Twisted application.

    Parameters:
        handler: a coroutine function, a class, a ``Router``, or what ``blocking`` made.
        listen: an endpoint, or its description as ``twisted.internet.endpoints.serverFromString`` reads it. AGI has
            no password and no encryption: anything but the loopback needs ``peers``.
        reactor: the reactor; Twisted's own when not given.
        peers: addresses and networks that may connect.
        limits: sizes, numbers and times that a peer is held to.
        secret: when given, the first AGI argument must be this text.
        transcript: log every command and reply at debug level; replies that hold keys are left out.
        use_asyncio: the handler awaits asyncio's things; needs Twisted's asyncio reactor.
        stop_seconds: how long calls may continue after ``stopService``.
        lifespan: makes an asynchronous context that is entered before the first call is taken and left after the last
            one has ended: for connections to databases and the like. Without ``use_asyncio`` it awaits Deferreds.
        log: where to log.
    """

    def __init__(
        self,
        handler: Handler,
        listen: str | IStreamServerEndpoint = LISTEN,
        *,
        reactor: object | None = None,
        peers: Iterable[str | IPv4Network | IPv6Network] = LOOPBACK,
        limits: Limits | None = None,
        secret: str | None = None,
        transcript: bool = False,
        use_asyncio: bool = False,
        stop_seconds: float = STOP_SECONDS,
        lifespan: Callable[[], AbstractAsyncContextManager[object]] | None = None,
        log: FilteringBoundLogger | None = None,
    ) -> None:
        self._reactor: Any = twisted_reactor() if reactor is None else reactor
        self._endpoint: Any = _endpoint(self._reactor, listen) if isinstance(listen, str) else listen
        self._stop_seconds = stop_seconds
        self._lifespan = lifespan
        self._context: AbstractAsyncContextManager[object] | None = None
        self._use_asyncio = use_asyncio
        self._log: FilteringBoundLogger = log or library_log()
        story = as_story(handler, log)
        self.factory = FastAGIFactory(
            on_asyncio(story) if use_asyncio else story,
            limits or Limits(),
            cast(IReactorTime, self._reactor),
            allowed_peers=peers,
            secret=secret,
            transcript=transcript,
            log=log,
        )
        self._port: IListeningPort | None = None
        self._listening: Deferred[None] | None = None
        self._failure: Failure | None = None
        self._waiting: list[Deferred[IListeningPort]] = []

    def startService(self) -> None:  # noqa: N802 (Twisted's name)
        super().startService()  # type: ignore[no-untyped-call]  # Twisted's own
        self.factory.draining = False
        self._failure = None
        self._listening = Deferred.fromCoroutine(self._start()).addCallbacks(self._listens, self._cannot_listen)

    async def _start(self) -> IListeningPort:
        if self._lifespan is not None:
            context = self._lifespan()
            await self._awaited(context.__aenter__())
            self._context = context
        try:
            port: IListeningPort = await self._endpoint.listen(self.factory)
        except BaseException:
            await self._leave()
            raise
        return port

    async def _leave(self) -> None:
        context, self._context = self._context, None
        if context is not None:
            await self._awaited(context.__aexit__(None, None, None))

    def _awaited(self, coroutine: Coroutine[Any, Any, Any]) -> Deferred[Any]:
        if not self._use_asyncio:
            return Deferred.fromCoroutine(coroutine)
        return Deferred.fromFuture(asyncio.ensure_future(coroutine))

    def listening(self) -> Deferred[IListeningPort]:
        """Fires with the port as soon as it takes calls; fails with ``CannotListenError`` when it cannot."""
        if self._port is not None:
            return succeed(self._port)
        if self._failure is not None:
            return fail(self._failure)
        told: Deferred[IListeningPort] = Deferred(self._waiting.remove)
        self._waiting.append(told)
        return told

    def stopService(self) -> Deferred[None]:  # noqa: N802 (Twisted's name)
        super().stopService()  # type: ignore[no-untyped-call]  # Twisted's own
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        """Take no new calls, wait for those that run, end those that are left."""
        self.factory.drain()
        listening, self._listening = self._listening, None
        if listening is not None:
            listening.cancel()
        port, self._port = self._port, None
        if port is not None:
            await maybeDeferred(port.stopListening)
        try:
            await self.factory.idle().addTimeout(self._stop_seconds, self._reactor)
        except TimeoutError:
            self.factory.end_all()
            await self.factory.idle()  # each is left behind after limits.cleanup_seconds
        await self._leave()

    def _listens(self, port: IListeningPort) -> None:
        self._port = port
        at = port.getHost()
        if isinstance(at, (IPv4Address, IPv6Address)):
            self._log.info(LogEvent.LISTENING, address=at.host, port=at.port)
        else:
            self._log.info(LogEvent.LISTENING, address=str(at))
        waiting, self._waiting = self._waiting, []
        for told in waiting:
            told.callback(port)

    def _cannot_listen(self, failure: Failure) -> None:
        self._failure = failure
        if self.running:  # not when stopService gave it up
            self._log.error(LogEvent.CANNOT_LISTEN, error=failure.getErrorMessage())
        waiting, self._waiting = self._waiting, []
        for told in waiting:
            told.errback(failure)


def serve(handler: Handler, listen: str = LISTEN, *, use_asyncio: bool = False, **options: Any) -> None:
    """Serve calls until the process is told to stop (SIGTERM, SIGINT), then let those that run come to their end.

    Parameters:
        handler: a coroutine function, a class, a ``Router``, or what ``blocking`` made.
        listen: where, as ``twisted.internet.endpoints.serverFromString`` reads it.
        use_asyncio: the handler awaits asyncio's things. Twisted's asyncio reactor is installed, which is only
            possible as long as no other one is.
        options: the others of ``AgiService``.

    Raises:
        SystemExit: nothing can listen there; the message says why.
        RuntimeError: an event loop runs here already, or Twisted has chosen another reactor than ``use_asyncio``
            needs; the message says what to do.
    """
    reactor = asyncio_reactor() if use_asyncio else twisted_reactor()
    service = AgiService(handler, listen, reactor=reactor, use_asyncio=use_asyncio, **options)
    failures: list[Failure] = []

    def failed(failure: Failure) -> None:
        failures.append(failure)
        reactor.stop()

    def start() -> None:
        service.startService()
        service.listening().addErrback(failed)

    reactor.callWhenRunning(start)
    reactor.addSystemEventTrigger("before", "shutdown", service.stopService)
    reactor.run()
    if failures:
        raise SystemExit(f"cannot listen on {listen}: {failures[0].getErrorMessage()}")


def _endpoint(reactor: Any, description: str) -> Any:
    try:
        return serverFromString(reactor, description)  # type: ignore[no-untyped-call]  # Twisted's own
    except (ValueError, TypeError) as error:
        # Twisted's own text is about int(), or about a function of its own.
        raise ValueError(
            f"{description!r}: cannot listen there; write such as tcp:4573:interface=127.0.0.1"
        ) from error
