"""The page with the numbers for Prometheus: one address, few connections, each with an end."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from io import BytesIO
from typing import cast

import structlog
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.endpoints import TCP4ServerEndpoint, TCP6ServerEndpoint
from twisted.internet.interfaces import IAddress, IDelayedCall, IListeningPort, IReactorTCP, IReactorTime
from twisted.internet.protocol import connectionDone
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import Request, Site

from agi_monitor.audit.bulletin import Bulletin
from agi_monitor.config import sections
from agi_monitor.server.metrics import CONTENT_TYPE, Metrics, Readings
from agi_monitor.server.parts import Part

PATH = b"/metrics"

MAX_CONNECTIONS = 8
"""Prometheus has one, for a moment; a second one and a look by hand have room."""

CONNECTION_SECONDS = 10.0
"""From the connection to its end: Prometheus itself gives up after ten seconds (scrape_timeout)."""

log = structlog.get_logger()


class _Page(Resource):
    """GET /metrics, and nothing else."""

    isLeaf = True  # noqa: N815 (Twisted's name)

    def __init__(self, metrics: Metrics) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # untyped in Twisted
        self._metrics = metrics

    def render(self, request: Request) -> bytes:
        code, kind, body = self._answer(request)
        request.setResponseCode(code)
        for name, value in ((b"content-type", kind), (b"server", b"agi-monitor"), (b"connection", b"close")):
            request.setHeader(name, value)  # type: ignore[no-untyped-call]  # untyped in Twisted
        # One look, one connection: each has its end, so that no client can hold a place.
        request.channel.persistent = False
        return body

    def _answer(self, request: Request) -> tuple[int, bytes, bytes]:
        text = b"text/plain; charset=utf-8"
        if request.path != PATH or request.method not in (b"GET", b"HEAD"):
            return 404, text, b"There is GET /metrics and nothing else.\n"
        try:
            return 200, CONTENT_TYPE.encode(), self._metrics.exposition()
        except Exception as error:
            log.error("metrics_failed", traceback="".join(traceback.format_exception(error)))
            return 500, text, b"The numbers cannot be read; the log of the server says why.\n"


class _Bodiless(Request):
    """A request whose body is thrown away: Twisted would write it to the disk."""

    def gotLength(self, length: int | None) -> None:  # noqa: N802 (Twisted's name)
        self.content = BytesIO()

    def handleContentChunk(self, data: bytes) -> None:  # noqa: N802 (Twisted's name)
        pass


class _Connection(ProtocolWrapper):
    """A connection that ends, whatever the other side does."""

    _deadline: IDelayedCall | None = None

    def connectionMade(self) -> None:  # noqa: N802 (Twisted's name)
        factory = self.factory
        assert isinstance(factory, _Connections)  # noqa: S101 - it made us
        self._deadline = factory.clock.callLater(factory.seconds, self.abortConnection)
        super().connectionMade()  # type: ignore[no-untyped-call]  # untyped in Twisted

    def connectionLost(self, reason: Failure = connectionDone) -> None:  # noqa: N802 (Twisted's name)
        if self._deadline is not None and self._deadline.active():
            self._deadline.cancel()
        super().connectionLost(reason)  # type: ignore[no-untyped-call]  # untyped in Twisted


class _Connections(WrappingFactory):
    """A few connections at once; those above are closed unheard."""

    protocol = _Connection
    noisy = False

    def __init__(self, site: Site, clock: IReactorTime, seconds: float) -> None:
        super().__init__(site)  # type: ignore[no-untyped-call]  # untyped in Twisted
        self.clock = clock
        self.seconds = seconds

    def buildProtocol(self, addr: IAddress | None) -> ProtocolWrapper | None:  # type: ignore[override]  # noqa: N802
        return None if len(self.protocols) >= MAX_CONNECTIONS else super().buildProtocol(addr)


class Reactor(IReactorTCP, IReactorTime):
    """What the page needs of Twisted."""


def listen(
    reactor: Reactor, address: str, port: int, metrics: Metrics, seconds: float = CONNECTION_SECONDS
) -> Deferred[IListeningPort]:
    """Show the numbers at ``http://address:port/metrics``.

    Parameters:
        reactor: Twisted's.
        address: an IP address; there is no login, so one of the loopback interface.
        port: the TCP port; 0 for any.
        metrics: the numbers.
        seconds: what one connection may take.

    Raises:
        CannotListenError: the port is taken; the Deferred fails with it.
    """
    site = Site(  # type: ignore[no-untyped-call]  # untyped in Twisted
        _Page(metrics), requestFactory=_Bodiless, timeout=seconds, reactor=reactor
    )
    site.noisy = False
    site.displayTracebacks = False
    kind = TCP6ServerEndpoint if ":" in address else TCP4ServerEndpoint
    endpoint = kind(reactor, port, interface=address)
    listening = endpoint.listen(_Connections(site, reactor, seconds))  # type: ignore[no-untyped-call]  # untyped in Twisted
    return cast(Deferred[IListeningPort], listening)


class MetricsPage(Part):
    """The page, shown as long as the server runs.

    Parameters:
        section: of the configuration: where the page is.
        bulletin: tells the facts that are counted.
        readings: returns how it is; asked at each look.
        reactor: Twisted's.
    """

    def __init__(
        self, section: sections.Metrics, bulletin: Bulletin, readings: Callable[[], Readings], reactor: Reactor
    ) -> None:
        self._section = section
        self._bulletin = bulletin
        self._reactor = reactor
        self._metrics = Metrics(readings)
        self._port: IListeningPort | None = None

    async def start(self) -> None:
        """Count, and show it.

        Raises:
            CannotListenError: the port is taken.
        """
        self._bulletin.subscribe(self._metrics.fact)
        self._port = await listen(self._reactor, self._section.listen, self._section.port, self._metrics)

    async def stop(self) -> None:
        """Show it no more."""
        if self._port is not None:
            await maybeDeferred(self._port.stopListening)
