"""The calls that come over FastAGI: where they are taken, and how they end when the server stops."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

import structlog
from twisted.internet.defer import Deferred, TimeoutError, maybeDeferred
from twisted.internet.endpoints import AdoptedStreamServerEndpoint, TCP4ServerEndpoint, TCP6ServerEndpoint
from twisted.internet.interfaces import IListeningPort, IReactorSocket, IReactorTCP, IReactorTime
from twisted.python.failure import Failure

from agi_monitor.agi.end_reason import EndReason
from agi_monitor.agi.protocol import FastAGIFactory
from agi_monitor.agi.routing import Router, Story
from agi_monitor.agi.session import Session
from agi_monitor.audit.facts import End
from agi_monitor.config.sections import Config, LogLevel, StopSpies
from agi_monitor.live.targets import Source
from agi_monitor.server import systemd
from agi_monitor.server.metrics import Readings
from agi_monitor.server.parts import Part
from agi_monitor.supervision.grant import Grant
from agi_monitor.supervision.spy_call import SpyCall

SCRIPT = "spy"
"""The name in ``agi://host/spy``, as the generated dialplan has it."""

log = structlog.get_logger()


class Reactor(IReactorTCP, IReactorTime, IReactorSocket):
    """What FastAGI needs of Twisted."""


class FastAGI(Part):
    """Listens for calls, and knows those that run.

    Parameters:
        config: as it holds at the start.
        sockets: that systemd passed; without any it opens its own.
        serve: the story of a call. It makes a ``SpyCall`` and lets ``run`` tell it.
        hang_up: hangs up the call of a grant.
        reactor: Twisted's.
    """

    def __init__(
        self,
        config: Config,
        sockets: Sequence[int],
        serve: Story,
        hang_up: Callable[[Grant], Coroutine[Any, Any, None]],
        reactor: Reactor,
    ) -> None:
        self._place = config.fastagi
        self._stop = config.stop
        self._cleanup_seconds = config.limits.cleanup_seconds
        self._sockets = sockets
        self._hang_up = hang_up
        self._reactor = reactor
        self._calls: dict[Session, SpyCall] = {}
        self._look_ups: Counter[Source] = Counter()
        self._port: IListeningPort | None = None
        router = Router()
        router.add(SCRIPT, serve)
        self._factory = FastAGIFactory(
            router,
            config.limits,
            reactor,
            allowed_peers=config.fastagi.peers,
            secret=config.fastagi.secret,
            transcript=config.log.level is LogLevel.DEBUG,
        )

    async def run(self, session: Session, call: SpyCall) -> None:
        """Tell the story of a call; a stop ends it, or leaves it."""
        self._calls[session] = call
        try:
            await call.run()
        finally:
            del self._calls[session]

    def answered(self, source: Source) -> None:
        """Count a look-up, by who was asked."""
        self._look_ups[source] += 1

    @property
    def is_quiet(self) -> bool:
        """Whether no call is on."""
        return not self._calls

    @property
    def spies(self) -> int:
        """How many calls give sound now."""
        return sum(call.spying for call in self._calls.values())

    @property
    def counters(self) -> Mapping[str, int]:
        """What became of connections and sessions, by the names of ``agi.protocol.Count``."""
        return {count.value: number for count, number in self._factory.counters.items()}

    async def start(self) -> None:
        """Take calls.

        Raises:
            CannotListenError: the port is taken.
            ConfigError: systemd passed a socket that listens elsewhere.
        """
        given = systemd.inherited(self._sockets, self._place.listen, self._place.port)
        endpoint: AdoptedStreamServerEndpoint | TCP4ServerEndpoint | TCP6ServerEndpoint
        if given is not None:
            endpoint = AdoptedStreamServerEndpoint(  # type: ignore[no-untyped-call]  # untyped in Twisted
                self._reactor, given.descriptor, given.family
            )
        else:
            kind = TCP6ServerEndpoint if ":" in self._place.listen else TCP4ServerEndpoint
            endpoint = kind(self._reactor, self._place.port, interface=self._place.listen)
        listening = endpoint.listen(self._factory)  # type: ignore[no-untyped-call]  # untyped in Twisted
        self._port = cast(IListeningPort, await listening)

    async def stop(self) -> None:
        """Take no new calls, end the others or leave them, and return within ``stop.seconds`` and the clean-up."""
        self._factory.drain()
        if self._port is not None:
            await maybeDeferred(self._port.stopListening)
        for session, call in list(self._calls.items()):
            if not call.spying:
                call.ends_by_server(End.SERVER_STOPPING)
                session.end(EndReason.SHUTDOWN)
        if self._stop.spies is StopSpies.END:
            for call in self._calls.values():
                call.ends_by_server(End.SERVER_STOPPING)
                if call.grant is not None:
                    Deferred.fromCoroutine(self._hang_up(call.grant)).addErrback(_log_failure)
            await self._idle_within(self._stop.seconds)
        for session, call in list(self._calls.items()):
            call.ends_by_server(End.LEFT_RUNNING)
            session.end(EndReason.SHUTDOWN)
        await self._idle_within(self._cleanup_seconds)

    def reload(self, config: Config) -> None:
        """Stop as is said from now on."""
        self._stop = config.stop

    def readings(self, found: Readings) -> Readings:
        """Connections, calls that are on, and look-ups."""
        return replace(
            found,
            look_ups={source.value: number for source, number in self._look_ups.items()},
            agi=self.counters,
            agi_sessions=len(self._calls),
        )

    async def _idle_within(self, seconds: float) -> None:
        try:
            await self._factory.idle().addTimeout(seconds, self._reactor)
        except TimeoutError:
            log.warning("stop_timed_out", seconds=seconds, sessions=len(self._calls))


def _log_failure(failure: Failure) -> None:
    log.error("hangup_command_failed", error=failure.getErrorMessage())
