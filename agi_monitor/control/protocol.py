"""The control socket on Twisted: places, deadlines and who asks, around ``lines`` and ``messages``.

Two rules: nothing is decided here (``Overview`` does), and no client can make the server wait or grow.

What a client may cost
    A client is not read while its request is worked on, or while it does not take its answer. An answer that is not
    taken within ``limits.drain_seconds`` ends the connection. Events are kept up to ``limits.max_waiting_bytes``;
    then the client gets the line ``too_slow`` behind those that are on their way, and the connection ends. A list
    that is watched is never kept: see ``live_list``.

What is never taken back
    The end of a spy that was asked for, and a reload. When it takes too long the client is told that it is not known,
    and when the client is gone it is done all the same.
"""

from __future__ import annotations

import os
import traceback
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from enum import Enum
from pathlib import Path
from typing import Any

import structlog
from twisted.internet import tcp, unix
from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import (
    IAddress,
    IDelayedCall,
    IHalfCloseableProtocol,
    IPushProducer,
    IReactorFDSet,
    IReactorThreads,
    IReactorTime,
)
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.threads import deferToThreadPool
from twisted.python.failure import Failure
from zope.interface import implementer

from agi_monitor.control.limits import ControlLimits
from agi_monitor.control.lines import Lines
from agi_monitor.control.live_list import LiveList
from agi_monitor.control.messages import Ask, Failed, Problem, Request, answer, parse
from agi_monitor.control.socket_file import MODE, Peer, identity, make_room, peer_of, user_name
from agi_monitor.errors import ControlFailed, RemoteProtocolError, Unavailable
from agi_monitor.shown import Overview, ReloadRefused, Row, SpyEnded, SpyShown

BACKLOG = 50
"""Connections that wait to be accepted; those above wait in the client, up to its time limit."""

log = structlog.get_logger()


class Reactor(IReactorTime, IReactorThreads, IReactorFDSet):
    """What the control socket needs of Twisted."""


UserNames = Callable[[int], Awaitable[str]]
"""Who a user is, by the number. May take its time."""


class _State(Enum):
    """What a connection is about."""

    OPEN = "open"
    """A request is read or waited for."""
    BUSY = "busy"
    """A spy is being ended, or the configuration is read."""
    FOLLOWING = "following"
    """Events are sent, or a list whenever it has changed."""
    CLOSING = "closing"
    """The last line is on its way."""


@implementer(IPushProducer, IHalfCloseableProtocol)
class ControlProtocol(Protocol):
    """One client. Made by ``ControlFactory``.

    Parameters:
        factory: whose overview, limits and clock are used.
    """

    def __init__(self, factory: ControlFactory) -> None:
        self._server = factory
        self._limits = factory.limits
        self._clock = factory.clock
        self._lines = Lines(factory.limits.max_request_bytes)
        self._state = _State.OPEN
        self._paused = False  # the client does not take what was sent
        self._ended = False  # the client sends nothing more
        self._timer: IDelayedCall | None = None
        self._unsubscribe: Callable[[], None] | None = None
        self._watched: LiveList | None = None
        self._waiting: deque[bytes] = deque()
        self._waiting_bytes = 0

    # -- what Twisted calls --

    def connectionMade(self) -> None:  # noqa: N802 (Twisted's name)
        self._transport.registerProducer(self, True)
        if self._server.takes(self):
            self._wait()
        else:
            self._last(Problem.TOO_MANY, "too many clients are connected; close one of them")

    def dataReceived(self, data: bytes) -> None:  # noqa: N802 (Twisted's name)
        if self._state in (_State.OPEN, _State.BUSY):
            self._lines.receive(data)
            self._take_requests()

    def readConnectionLost(self) -> None:  # noqa: N802 (Twisted's name)
        self._ended = True
        if self._state is _State.FOLLOWING:
            self._close()
        else:
            self._take_requests()

    def writeConnectionLost(self) -> None:  # noqa: N802 (Twisted's name)
        pass

    def connectionLost(self, reason: Failure | None = None) -> None:  # noqa: N802 (Twisted's name)
        self._state = _State.CLOSING
        self._stop_timer()
        self._stop_following()
        self._server.gone(self)

    def pauseProducing(self) -> None:  # noqa: N802 (Twisted's name)
        self._paused = True
        if self._watched is not None:
            self._watched.hold()
        if self._state in (_State.OPEN, _State.FOLLOWING):
            self._wait()

    def resumeProducing(self) -> None:  # noqa: N802 (Twisted's name)
        self._paused = False
        if self._state is _State.FOLLOWING:
            self._stop_timer()
            self._send_waiting()
            if self._watched is not None:
                self._watched.release()
        elif self._state is _State.OPEN:
            self._wait()
            self._take_requests()

    def stopProducing(self) -> None:  # noqa: N802 (Twisted's name)
        pass

    # -- requests --

    def _take_requests(self) -> None:
        while self._state is _State.OPEN and not self._paused:
            try:
                line = self._lines.next_line()
            except RemoteProtocolError as error:
                self._last(Problem.TOO_LONG, str(error))
                return
            if line is None:
                if self._ended:
                    self._close()
                else:
                    self._transport.resumeProducing()
                return
            request = parse(line)
            self._write(request.to_wire() if isinstance(request, Failed) else self._answered(request))
        if self._state is _State.FOLLOWING:
            # Read on, to see the end. A client that has ended already cannot be told anything.
            if self._ended:
                self._close()
            else:
                self._transport.resumeProducing()
        elif self._state is not _State.CLOSING and not self._ended:
            self._transport.pauseProducing()

    def _answered(self, request: Request) -> bytes:
        """The answer to a request, or nothing yet."""
        overview = self._server.overview
        try:
            match request.ask:
                case Ask.STATUS:
                    return answer(status=overview.status().row())
                case Ask.CALLS:
                    return answer(calls=[call.row() for call in overview.calls()])
                case Ask.SPIES:
                    return answer(spies=[spy.row() for spy in overview.spies()])
                case Ask.KILL:
                    self._begin_kill(request.id)
                case Ask.RELOAD:
                    self._begin_reload()
                case Ask.WATCH_CALLS | Ask.WATCH_SPIES:
                    self._watch(request.ask)
                case Ask.EVENTS:
                    self._follow()
        except Exception as error:
            return _failed(request.ask, error).to_wire()
        return b""

    def _write(self, line: bytes) -> None:
        if not line or self._state is _State.CLOSING:
            return
        self._transport.write(line)
        if self._state is _State.OPEN:
            self._wait()

    def _wait(self) -> None:
        """For the client: to take what was sent, or to ask."""
        if self._paused:
            self._set_timer(self._limits.drain_seconds, self._not_read)
        else:
            self._set_timer(self._limits.request_seconds, self._idle)

    # -- ending a spy --

    def _begin_kill(self, spy: str) -> None:
        self._state = _State.BUSY
        self._set_timer(
            self._limits.kill_seconds,
            self._not_answered,
            "the PBX has not answered yet: whether the spy has ended is not known. See: agi-monitor spies",
        )
        peer = peer_of(self._transport.getHandle())
        killing: Deferred[bytes] = Deferred.fromCoroutine(self._kill(spy, peer))
        killing.addErrback(_failed_of, Ask.KILL).addCallback(self._done)

    async def _kill(self, spy: str, peer: Peer) -> bytes:
        overview = self._server.overview
        by = await self._server.name_of(peer)
        listed = _listed(overview, spy)
        ended = await overview.kill(spy, by)
        log.info("control_kill", spy=spy, by=by, uid=peer.uid, pid=peer.pid, ended=ended)
        if not ended:
            return Failed(Problem.NO_SUCH_SPY, f"{spy}: there is no such spy. See: agi-monitor spies").to_wire()
        return answer(ended=SpyEnded(spy, listed).row())

    # -- reading the configuration again --

    def _begin_reload(self) -> None:
        self._state = _State.BUSY
        self._set_timer(
            self._limits.reload_seconds,
            self._not_answered,
            "the server is still reading its configuration; its log will say what came of it",
        )
        reloading: Deferred[bytes] = Deferred.fromCoroutine(self._reload(peer_of(self._transport.getHandle())))
        reloading.addErrback(_failed_of, Ask.RELOAD).addCallback(self._done)

    async def _reload(self, peer: Peer) -> bytes:
        by = await self._server.name_of(peer)
        log.info("control_reload", by=by, uid=peer.uid, pid=peer.pid)
        found = await self._server.overview.reload()
        if isinstance(found, ReloadRefused):
            return Failed(Problem.REFUSED, "\n".join(found.problems)).to_wire()
        return answer(reloaded=found.row())

    # -- what takes its time --

    def _done(self, line: bytes) -> None:
        if self._state is _State.BUSY:
            self._state = _State.OPEN
            self._write(line)
            self._take_requests()

    def _not_answered(self, text: str) -> None:
        if self._state is _State.BUSY:
            self._last(Problem.NO_ANSWER, text)

    # -- events --

    def _follow(self) -> None:
        self._state = _State.FOLLOWING
        self._stop_timer()
        # First: a record that is told at once comes after it.
        self._transport.write(answer())
        try:
            self._unsubscribe = self._server.overview.subscribe(self._tell)
        except BaseException:
            self._state = _State.OPEN
            raise

    def _watch(self, ask: Ask) -> None:
        self._state = _State.FOLLOWING
        self._stop_timer()
        watched = self._watched = LiveList(
            lambda: self._looked_at(ask), lambda row: self._transport.write(answer(**row)), self._clock
        )
        self._unsubscribe = self._server.overview.subscribe_changes(watched.ring)
        watched.ring()

    def _looked_at(self, ask: Ask) -> Row:
        """A list as it is now, or why there is none."""
        overview = self._server.overview
        try:
            if ask is Ask.WATCH_CALLS:
                return {"calls": [call.row() for call in overview.calls()]}
            return {"spies": [spy.row() for spy in overview.spies()]}
        except Unavailable as error:
            return {"unavailable": str(error)}
        except Exception as error:
            return {"unavailable": _failed(ask, error).text}

    def _tell(self, record: Row) -> None:
        if self._state is not _State.FOLLOWING:
            return
        line = answer(event=dict(record))
        if not self._paused:
            self._transport.write(line)
            return
        self._waiting.append(line)
        self._waiting_bytes += len(line)
        if self._waiting_bytes > self._limits.max_waiting_bytes:
            self._not_read()

    def _send_waiting(self) -> None:
        while self._waiting and not self._paused:
            line = self._waiting.popleft()
            self._waiting_bytes -= len(line)
            self._transport.write(line)

    def _stop_following(self) -> None:
        self._waiting.clear()
        self._waiting_bytes = 0
        if self._watched is not None:
            self._watched.stop()
        unsubscribe, self._unsubscribe = self._unsubscribe, None
        if unsubscribe is not None:
            unsubscribe()

    # -- the end --

    def stop(self) -> None:
        """Tell the client that the server is stopping, and close."""
        if self._state is not _State.CLOSING:
            self._last(Problem.STOPPING, "the server is stopping")

    def _idle(self) -> None:
        seconds = self._limits.request_seconds
        self._last(Problem.IDLE, f"nothing was asked for {seconds:g} s")

    def _not_read(self) -> None:
        if self._watched is not None:
            self._last(Problem.TOO_SLOW, "the list was not read in time")
        elif self._state is _State.FOLLOWING:
            lost = len(self._waiting)
            self._last(Problem.TOO_SLOW, f"events were not read in time; the last {lost} are not here. See the audit")
        else:
            self._transport.abortConnection()

    def _last(self, problem: Problem, text: str) -> None:
        self._state = _State.CLOSING
        self._transport.write(Failed(problem, text).to_wire())
        self._close()

    def _close(self) -> None:
        self._state = _State.CLOSING
        self._stop_following()
        self._set_timer(self._limits.close_seconds, self._transport.abortConnection)
        # Before: Twisted waits for a producer that is registered and paused.
        self._transport.unregisterProducer()
        self._transport.loseConnection()

    def _set_timer(self, seconds: float, call: Callable[..., None], *arguments: object) -> None:
        self._stop_timer()
        self._timer = self._clock.callLater(seconds, call, *arguments)

    def _stop_timer(self) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None

    @property
    def _transport(self) -> Any:
        return self.transport  # the interfaces of Twisted lack what every UNIX stream has


def _failed(ask: Ask, error: BaseException) -> Failed:
    if isinstance(error, Unavailable):
        return Failed(Problem.UNAVAILABLE, str(error))
    log.error("control_failed", ask=ask.value, traceback="".join(traceback.format_exception(error)))
    return Failed(Problem.FAILED, "the server could not answer; its log says why")


def _failed_of(failure: Failure, ask: Ask) -> bytes:
    error = failure.value
    assert error is not None  # noqa: S101 - a failure has one
    return _failed(ask, error).to_wire()


def _listed(overview: Overview, spy: str) -> SpyShown | None:
    """A spy as it is listed, or None."""
    try:
        return next((one for one in overview.spies() if one.id == spy), None)
    except Unavailable:
        return None


class ControlFactory(Factory):
    """Makes a ``ControlProtocol`` for each client.

    Parameters:
        overview: what is asked.
        clock: Twisted's.
        user_names: who a client is.
        limits: what a client may cost.
    """

    noisy = False

    def __init__(
        self, overview: Overview, clock: IReactorTime, user_names: UserNames, limits: ControlLimits | None = None
    ) -> None:
        self.overview = overview
        self.clock = clock
        self.limits = limits or ControlLimits()
        self._user_names = user_names
        self._clients: set[ControlProtocol] = set()
        self._open = 0
        self._stopping = False
        self._idle: Deferred[None] | None = None

    @property
    def clients(self) -> int:
        """How many have a place."""
        return len(self._clients)

    def buildProtocol(self, addr: IAddress | None) -> ControlProtocol | None:  # noqa: N802 (Twisted's name)
        return None if self._stopping else ControlProtocol(self)

    def takes(self, client: ControlProtocol) -> bool:
        """Give a client a place, if there is one. Either way it says ``gone`` at the end."""
        self._open += 1
        if len(self._clients) >= self.limits.max_clients:
            return False
        self._clients.add(client)
        return True

    def gone(self, client: ControlProtocol) -> None:
        """Take its place back."""
        self._open -= 1
        self._clients.discard(client)
        if self._open == 0 and self._idle is not None:
            idle, self._idle = self._idle, None
            idle.callback(None)

    async def name_of(self, peer: Peer) -> str:
        """The user behind a client; by number when the name is not found in time."""
        looked_up = Deferred.fromCoroutine(_awaited(self._user_names(peer.uid)))
        try:
            return await looked_up.addTimeout(self.limits.user_name_seconds, self.clock)
        except Exception:
            # A directory of users that is down keeps no spy alive.
            return f"uid {peer.uid}"

    def close(self) -> Deferred[None]:
        """Tell every client that the server stops; fires when all connections are gone."""
        self._stopping = True
        for client in list(self._clients):
            client.stop()
        if self._open == 0:
            return succeed(None)
        self._idle = Deferred()
        return self._idle


async def _awaited(name: Awaitable[str]) -> str:
    return await name


class _SocketPort(unix.Port):
    """A port that removes its socket at the end, but not one that was put in its place."""

    inode: tuple[int, int] | None = None
    path: Path | None = None
    """Where it is. Twisted's own attribute for it has had several names."""

    def connectionLost(self, reason: Failure) -> None:  # noqa: N802 (Twisted's name)
        if self.path is not None and self.inode is not None and identity(self.path) == self.inode:
            with suppress(OSError):
                self.path.unlink()
        # Not unix.Port's: it removes whatever is there, and never says that it is done when nothing is.
        tcp.Port.connectionLost(self, reason)  # type: ignore[no-untyped-call]  # untyped in Twisted


class ControlSocket:
    """A control socket that is open. Made by ``listen``.

    Parameters:
        path: where it is.
        factory: its clients.
        port: what listens.
    """

    def __init__(self, path: Path, factory: ControlFactory, port: _SocketPort) -> None:
        self.path = path
        self.factory = factory
        self._port = port

    async def stop(self) -> None:
        """Take no new clients, tell the others, and remove the socket. Takes ``limits.close_seconds`` at most."""
        await maybeDeferred(self._port.stopListening)
        await self.factory.close()


def listen(reactor: Reactor, path: Path, overview: Overview, limits: ControlLimits | None = None) -> ControlSocket:
    """Open the control socket, in the place of one that a dead server left behind.

    Parameters:
        reactor: Twisted's.
        path: of the socket; its folder must exist.
        overview: what is asked.
        limits: what a client may cost.

    Raises:
        ControlFailed: it cannot be made there, with what to do about it.
    """

    def name(uid: int) -> Deferred[str]:
        return deferToThreadPool(reactor, reactor.getThreadPool(), user_name, uid)

    make_room(path)
    factory = ControlFactory(overview, reactor, name, limits)
    port = _SocketPort(os.fsencode(path), factory, BACKLOG, MODE, reactor)
    port.path = path
    # The socket has its mode from the moment it is there. What another thread makes meanwhile is narrower, not wider.
    before = os.umask(0o777 & ~MODE)
    try:
        port.startListening()  # type: ignore[no-untyped-call]  # untyped in Twisted
    except (CannotListenError, OSError) as error:
        reason = error.socketError if isinstance(error, CannotListenError) else error
        raise ControlFailed(
            f"{path}: {reason.strerror}. Its folder must exist and belong to the user that runs the server"
        ) from error
    finally:
        os.umask(before)
    port.inode = identity(path)
    return ControlSocket(path, factory, port)
