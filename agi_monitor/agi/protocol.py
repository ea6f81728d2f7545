"""FastAGI on Twisted: peers, limits and deadlines around ``AGIConnection``, and a story for each call.

Two rules: no decision about bytes is made here (``connection`` does), none about the call either (the story does).

How a session ends
    The story is told once, by ``CallEnded`` where it waits: on HANGUP, on a lost connection, on a deadline, on bytes
    that are not AGI, or because ``Session.end`` was called. Its ``finally`` then has ``limits.cleanup_seconds``.
    After HANGUP it may use the commands that Asterisk takes on a dead channel (``messages.LEGAL_WHEN_DEAD``), after
    ``Session.end`` all of them, and none when the connection is gone: those raise ``CallEnded`` at once. A command
    that was in flight then still gets its reply, which is dropped; the next command waits for it, at most
    ``limits.hangup_reply_seconds``, and raises ``CallEnded`` when it did not come, because a late reply could not
    be told from the next one. A hang-up that the story itself asked for interrupts nothing: its next command raises,
    and its clean-up is timed as ever.

What Asterisk is told
    A story that ends closes the connection: AGISTATUS is SUCCESS. Where the call was refused or the story failed, the
    line ``failure`` goes first: AGISTATUS is FAILURE (run_agi, res_agi.c). Not after a hang-up: there it would hide
    that from the dialplan.
"""

from __future__ import annotations

import hmac
import itertools
import secrets
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from enum import Enum, StrEnum
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from types import MappingProxyType

from structlog.typing import FilteringBoundLogger
from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.internet.interfaces import IAddress, IDelayedCall, IReactorTime, ITCPTransport
from twisted.internet.protocol import Factory, Protocol
from twisted.python.failure import Failure

from agi_monitor.agi.connection import NEED_DATA, AGIConnection, Closed, HungUp
from agi_monitor.agi.direct_writing import DirectWriter
from agi_monitor.agi.end_reason import EndReason
from agi_monitor.agi.log_events import LogEvent
from agi_monitor.agi.messages import AGIRequest, Command, Reply
from agi_monitor.agi.reactors import hint_for
from agi_monitor.agi.routing import MAX_LOGGED_SCRIPT, Story, name_of
from agi_monitor.agi.session import Session
from agi_monitor.agi.story import Awaited, StoryRun
from agi_monitor.embedding.library_log import library_log
from agi_monitor.errors import CallEnded, LocalProtocolError, RemoteProtocolError
from agi_monitor.limits import Limits
from agi_monitor.names import peer_name

LOOPBACK = ("127.0.0.0/8", "::1/128")
"""Who may connect by default. AGI has no password and no encryption: any peer that connects is taken for the PBX."""

MAX_REFUSING = 100
"""Connections at once that are read to the end of their environment only to be told ``failure``. Closing before that
would reset the connection, and Asterisk might never read the word. Above it they are closed unheard."""

LOG_LINES = 10
LOG_SECONDS = 60.0
"""How many lines of one kind are logged in how many seconds; what a peer can cause at will must not fill a disk."""

FAILURE = b"failure\n"


class Count(StrEnum):
    """What ``FastAGIFactory.counters`` counts."""

    CONNECTIONS = "connections"
    """Connections of allowed peers."""
    SESSIONS = "sessions"
    """Stories begun."""
    COMMANDS = "commands"
    """Commands sent."""
    PEER_NOT_ALLOWED = "peer_not_allowed"
    """Refused: not in the allow-list."""
    TOO_MANY_SESSIONS = "too_many_sessions"
    """Refused: limits.max_sessions."""
    TOO_MANY_OF_PEER = "too_many_of_peer"
    """Refused: limits.max_sessions_per_peer."""
    DRAINING = "draining"
    """Refused: the server is stopping."""
    WRONG_SECRET = "wrong_secret"  # noqa: S105 (the name of a count)
    """Refused: the first argument was not the shared secret."""
    REFUSED_BY_STORY = "refused_by_story"
    """Refused by the story, or by the router."""
    DROPPED = "dropped"
    """Closed before the environment was complete."""
    PROTOCOL_ERRORS = "protocol_errors"
    """Peers that sent something that is not AGI, or too much."""
    ENVIRONMENT_DEADLINES = "environment_deadlines"
    """Environments that did not come in time."""
    COMMAND_DEADLINES = "command_deadlines"
    """Replies that did not come in time."""
    HANGUPS = "hangups"
    """Callers who hung up while their story ran."""
    STORIES_FAILED = "stories_failed"
    """Stories that raised an unexpected error."""
    REACTOR_HELD = "reactor_held"
    """Steps of stories that kept all calls waiting."""
    LEFT_BEHIND = "left_behind"
    """Stories that did not clean up in time."""


class _Phase(Enum):
    """What the one deadline of a connection is about."""

    ENVIRONMENT = "environment"
    REPLY = "reply"
    LAST_REPLY = "last_reply"
    CLOSING = "closing"


def _unconnected(data: bytes) -> None:
    raise RuntimeError("there is no connection yet")


class FastAGIProtocol(Protocol):
    """One connection of Asterisk. Made by ``FastAGIFactory``.

    Parameters:
        factory: whose limits, clock, counters and story are used.
        peer: the address of the other side.
        refusal: why this call will be refused as soon as its environment is complete, or None.
    """

    def __init__(self, factory: FastAGIFactory, peer: str, refusal: Count | None = None) -> None:
        self._server = factory
        self._limits = factory.limits
        self._clock = factory.clock
        self._peer = peer
        self._refusal = refusal
        self._connection = AGIConnection(factory.limits)
        self._open = False
        self._timer: IDelayedCall | None = None
        self._deadline: float | None = None
        self._phase = _Phase.ENVIRONMENT
        self._session: Session | None = None
        self._run: StoryRun | None = None
        self._cleanup: IDelayedCall | None = None
        self._in_flight: Command | None = None
        self._pending: Awaited[Reply] | None = None
        self._queued: tuple[Command, Awaited[Reply]] | None = None
        self._dead = False  # the channel has hung up
        self._asked_for_hangup = False  # the story itself wants it
        self._over = False  # the story has ended, or was left behind
        self._commands = 0
        self._started = 0.0
        self._log = factory.log
        self._write: Callable[[bytes], None] = _unconnected

    @property
    def session(self) -> Session | None:
        """The session, once the environment is complete and accepted."""
        return self._session

    # -- what Twisted calls --

    def connectionMade(self) -> None:  # noqa: N802 (Twisted's name)
        self._open = True
        self._server._connected(self._peer, self._refusal)
        transport = self.transport
        if transport is not None and ITCPTransport.providedBy(transport):
            # A command is one small write whose reply is awaited; a PBX that lost power must not hold its slot.
            transport.setTcpNoDelay(True)
            transport.setTcpKeepAlive(True)
        if transport is not None:
            self._write = DirectWriter(transport).write
        self._set_deadline(self._limits.environment_seconds, _Phase.ENVIRONMENT)

    def dataReceived(self, data: bytes) -> None:  # noqa: N802 (Twisted's name)
        if not self._open:
            return
        connection = self._connection
        connection.receive_data(data)
        request: AGIRequest | None = None
        reply: Reply | None = None
        hung_up = False
        try:
            while (event := connection.next_event()) is not NEED_DATA:
                if type(event) is Reply:
                    reply = event
                elif type(event) is HungUp:
                    hung_up = True
                elif type(event) is AGIRequest:
                    request = event
                if not connection.has_unread:
                    break
        except RemoteProtocolError as error:
            self._protocol_error(error)
            return
        # Everything was read before anyone is told: what came with a reply must not answer the next command.
        if request is not None:
            self._begin(request, hung_up or self._dead)
        elif hung_up:
            self._hung_up(reply)
        elif reply is not None:
            self._replied(reply)
        elif self._queued is not None:
            self._send_queued()

    def connectionLost(self, reason: Failure | None = None) -> None:  # noqa: N802 (Twisted's name)
        was_open = self._open
        self._open = False
        self._stop_timer()
        self._connection.receive_eof()
        if self._session is None:
            if was_open:
                self._dropped()
        else:
            self._end(EndReason.CONNECTION_LOST, "the connection to Asterisk is gone")
            self._release_waiting()
        self._server._disconnected(self._peer, self._refusal)

    # -- deadlines: one timer, which is only ever moved when it would fire too late --

    def _set_deadline(self, seconds: float, phase: _Phase) -> None:
        at = self._clock.seconds() + seconds
        self._deadline = at
        self._phase = phase
        if self._timer is None:
            self._timer = self._clock.callLater(seconds, self._timer_fired)
        elif self._timer.getTime() > at:
            # Not reset(): Twisted looks for the call in the list of all calls then.
            self._timer.cancel()
            self._timer = self._clock.callLater(seconds, self._timer_fired)

    def _timer_fired(self) -> None:
        self._timer = None
        if self._deadline is None:
            return
        left = self._deadline - self._clock.seconds()
        if left > 0:
            self._timer = self._clock.callLater(left, self._timer_fired)
            return
        self._deadline = None
        self._deadline_passed()

    def _stop_timer(self) -> None:
        self._deadline = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _deadline_passed(self) -> None:
        if self._phase is _Phase.CLOSING:
            self.transport.abortConnection()  # type: ignore[union-attr]  # ITransport lacks what every stream has
        elif self._phase is _Phase.LAST_REPLY:
            self._connection.abandon_reply()
            self._in_flight = None
            self._release_waiting()
        elif self._phase is _Phase.ENVIRONMENT:
            count = Count.ENVIRONMENT_DEADLINES
            self._server._warn(LogEvent.DEADLINE_PASSED, count, self._peer, verb="", session="")
            self._close()
        else:
            verb = "" if self._in_flight is None else self._in_flight.verb
            session = "" if self._session is None else self._session.id
            count = Count.COMMAND_DEADLINES
            self._server._warn(LogEvent.DEADLINE_PASSED, count, self._peer, verb=verb, session=session)
            self._close()
            self._end(EndReason.DEADLINE, "a reply did not come in time")
            self._release_waiting()

    # -- the beginning --

    def _begin(self, request: AGIRequest, hung_up: bool) -> None:
        self._deadline = None
        server = self._server
        refusal = self._refusal
        if refusal is None and server.draining:
            refusal = Count.DRAINING
        if refusal is None and server.secret is not None:
            given = request.arguments[0] if request.arguments else ""
            if not hmac.compare_digest(given.encode("utf-8", "replace"), server.secret):
                refusal = Count.WRONG_SECRET
            request = request.without_first_argument()
        if refusal is not None:
            server._warn(LogEvent.SESSION_REFUSED, refusal, self._peer, reason=refusal.value)
            self._say_failure()
            self._close()
            return
        self._started = self._clock.seconds()
        session = self._session = Session(next(server.ids), request, self._peer, self)
        self._log = server._begun(session)
        session.handler = server.handler
        self._run = StoryRun(server.serve(session), self._story_over, self.held, server.monotonic)
        self._run.start()
        if hung_up:
            self._hung_up(None)

    # -- the conversation: what Session calls --

    def perform(self, command: Command) -> Deferred[Reply]:
        """Send a command; fires with its reply. See the module for who gets what after the end."""
        if not self._open:
            return fail(CallEnded(f"{command.verb}: the connection to Asterisk is gone"))
        if self._dead and not command.legal_when_dead:
            return fail(CallEnded(f"{command.verb}: the caller has hung up"))
        if self._pending is not None or self._queued is not None:
            return fail(LocalProtocolError(f"{command.verb}: another command of this session is in flight"))
        too_long = self._connection.too_long(command)
        if too_long is not None:
            return fail(too_long)
        deferred: Awaited[Reply] = Awaited(self._cancelled)
        if self._in_flight is not None or self._connection.has_unread:
            # A reply that is no longer awaited, or half a HANGUP: this command's turn comes after it.
            self._queued = (command, deferred)
            if self._in_flight is None:
                self._set_deadline(command.seconds(self._limits), _Phase.REPLY)
        elif not self._connection.can_send:
            return fail(CallEnded(f"{command.verb}: an earlier reply never came"))
        else:
            self._send(command, deferred)
        return deferred

    def channel_hung_up(self) -> None:
        """The channel has hung up, as a signal or an event says where no line does."""
        if not self._dead:
            self._hung_up(None)

    def end(self, reason: EndReason) -> None:
        """End the story from outside."""
        self._end(reason, f"the session was ended ({reason.value})")

    def held(self, seconds: float) -> None:
        """The story has kept the reactor: all calls of this process stood still."""
        session = self._session
        if session is not None:
            self._server._warn(
                LogEvent.REACTOR_HELD,
                Count.REACTOR_HELD,
                self._peer,
                session=session.id,
                handler=session.handler,
                script=session.request.network_script[:MAX_LOGGED_SCRIPT],
                seconds=round(seconds, 3),
            )

    def _send(self, command: Command, deferred: Awaited[Reply]) -> None:
        wire = self._connection.send(command)
        self._in_flight = command
        self._pending = deferred
        self._commands += 1
        if command.hangs_up:
            self._asked_for_hangup = True
        if self._server.transcript:
            self._server.log.debug(LogEvent.SENT, session=self._id, line=wire[:-1].decode())
        self._set_deadline(command.seconds(self._limits), _Phase.REPLY)
        self._write(wire)

    def _send_queued(self) -> None:
        if self._queued is None or self._in_flight is not None or not self._connection.can_send:
            return
        (command, deferred), self._queued = self._queued, None
        if self._dead and not command.legal_when_dead:
            self._deadline = None
            deferred.fail(CallEnded(f"{command.verb}: the caller has hung up"))
        else:
            self._send(command, deferred)

    def _cancelled(self, deferred: Deferred[Reply]) -> None:
        """This reply is no longer awaited. It still comes, and must not answer the next command."""
        if deferred is self._pending:
            self._pending = None
        elif self._queued is not None and deferred is self._queued[1]:
            self._queued = None
        if self._over or (self._run is not None and self._run.told):
            deferred.errback(CallEnded("the session is over"))

    def _take_reply(self, reply: Reply) -> Awaited[Reply] | None:
        """Note that the reply has come, and return what awaits it."""
        command, self._in_flight = self._in_flight, None
        pending, self._pending = self._pending, None
        self._deadline = None
        if self._server.transcript and command is not None:
            text = "(secret)" if command.secret_reply and reply.code == 200 else f"{reply.code} {reply.text}"
            self._server.log.debug(LogEvent.RECEIVED, session=self._id, verb=command.verb, reply=text)
        return pending

    def _replied(self, reply: Reply) -> None:
        pending = self._take_reply(reply)
        if reply.code == 511 and pending is not None:
            self._found_dead()
        if pending is not None:
            pending.answer(reply)
        else:
            self._send_queued()

    def _found_dead(self) -> None:
        """Asterisk says 511: the channel is dead, and with AGISIGHUP off it will never say HANGUP.

        The verb that is answered so raises CallEnded itself, so the story has been told.
        """
        self._dead = True
        session, run = self._session, self._run
        if session is None or run is None or self._over:
            return
        session.hung_up = True
        if not run.told:
            run.told = True
            self._server.counters[Count.HANGUPS] += 1
            self._ending(session, EndReason.HANGUP)

    def _hung_up(self, reply: Reply | None) -> None:
        """The caller has hung up; a reply that came along is dropped, for what it answered is over."""
        self._dead = True
        pending = None if reply is None else self._take_reply(reply)
        session, run = self._session, self._run
        if session is None or run is None or self._over:
            return
        session.hung_up = True
        if self._asked_for_hangup:
            self._ending(session, EndReason.HANGUP)
        elif not run.told:
            self._server.counters[Count.HANGUPS] += 1
            self._end(EndReason.HANGUP, "the caller has hung up")
        if pending is not None and reply is not None and not pending.called:
            # The story was told earlier, or knows, and this is its clean-up: it continues.
            pending.answer(reply)
        self._send_queued()

    # -- the end --

    def _ending(self, session: Session, reason: EndReason) -> None:
        """From now on the clean-up is timed, and so is a reply that is still out."""
        if session.ended is None:
            session.ended = reason
        if self._cleanup is None:
            self._cleanup = self._clock.callLater(self._limits.cleanup_seconds, self._leave_behind, session)
        if self._in_flight is not None and self._open:
            self._set_deadline(self._limits.hangup_reply_seconds, _Phase.LAST_REPLY)

    def _end(self, reason: EndReason, why: str) -> None:
        session, run = self._session, self._run
        if session is None or run is None or run.told or self._over:
            return
        self._ending(session, reason)
        run.end(why)

    def _release_waiting(self) -> None:
        """End the wait for a reply that will not come."""
        pending, self._pending = self._pending, None
        queued, self._queued = self._queued, None
        for deferred in (pending, None if queued is None else queued[1]):
            if deferred is not None:
                deferred.fail(CallEnded("the reply never came"))

    def _leave_behind(self, session: Session) -> None:
        self._cleanup = None
        self._server.counters[Count.LEFT_BEHIND] += 1
        self._server.log.warning(
            LogEvent.CLEANUP_LEFT_BEHIND, session=session.id, seconds=self._limits.cleanup_seconds
        )
        self._close()
        self._release_waiting()
        self._finish(session)

    def _story_over(self, error: BaseException | None) -> None:
        session = self._session
        assert session is not None  # noqa: S101 (the story is its own)
        if error is not None:
            self._story_raised(session, error)
            return
        if session.refused:
            self._server.counters[Count.REFUSED_BY_STORY] += 1
            self._say_failure()
        self._finish(session, EndReason.REFUSED if session.refused else EndReason.FINISHED)

    def _story_raised(self, session: Session, error: BaseException) -> None:
        told = self._run is not None and self._run.told
        if isinstance(error, CallEnded) or (told and isinstance(error, CancelledError)):
            self._finish(session, EndReason.CONNECTION_LOST)
            return
        self._server.counters[Count.STORIES_FAILED] += 1
        hint = hint_for(error)
        if hint is not None:
            error.add_note(hint)
        # Where it happened, without the values of local variables: those may be digits.
        self._server.log.error(
            LogEvent.STORY_FAILED,
            session=session.id,
            error=type(error).__name__,
            traceback="".join(traceback.format_exception(error)),
        )
        self._say_failure()
        self._finish(session, EndReason.FAILED)

    def _finish(self, session: Session, reason: EndReason = EndReason.FINISHED) -> None:
        self._over = True
        if session.ended is None:
            session.ended = reason
        if self._cleanup is not None:
            self._cleanup.cancel()
            self._cleanup = None
        self._close()
        self._server._ended(session, self._clock.seconds() - self._started, self._commands, self._log)
        # What points at each other is let go, so that nothing is left for Python's search for garbage.
        self._run = None

    def _say_failure(self) -> None:
        if self._open and not self._dead:
            self._write(FAILURE)

    def _close(self) -> None:
        if not self._open:
            return
        self._open = False
        self._set_deadline(self._limits.hangup_reply_seconds, _Phase.CLOSING)
        self.transport.loseConnection()  # type: ignore[union-attr]  # there is one while the connection is open

    def _dropped(self) -> None:
        event = Closed(self._connection.state, 0)
        while (following := self._connection.next_event()) is not NEED_DATA:
            if isinstance(following, Closed):
                event = following
        self._server.counters[Count.DROPPED] += 1
        self._server.log.debug(LogEvent.CONNECTION_DROPPED, peer=self._peer, received=event.received)

    def _protocol_error(self, error: RemoteProtocolError) -> None:
        session = "" if self._session is None else self._session.id
        count = Count.PROTOCOL_ERRORS
        self._server._warn(LogEvent.PROTOCOL_ERROR, count, self._peer, session=session, error=str(error))
        self._open = False
        self._stop_timer()
        self.transport.abortConnection()  # type: ignore[union-attr]  # ITransport lacks what every stream has
        self._end(EndReason.PROTOCOL_ERROR, f"Asterisk broke the protocol: {error}")
        self._release_waiting()

    @property
    def _id(self) -> str:
        return "" if self._session is None else self._session.id


class FastAGIFactory(Factory):
    """Accepts Asterisk's connections and runs a story for each.

    Parameters:
        serve: the story, or a ``Router``. Only Deferreds may be awaited in it.
        limits: sizes, numbers and times that a peer is held to.
        clock: the reactor, or a ``Clock``.
        allowed_peers: addresses and networks that may connect; loopback when not given.
        secret: when given, the first AGI argument must be this text. It is taken out of the request.
        transcript: log every command and reply at debug level. Replies that hold keys are left out.
        log: where to log.
        id_prefix: of the sessions' ids; random when not given, so that ids differ between runs.
    """

    noisy = False
    protocol_type = FastAGIProtocol
    """What talks on each connection."""

    def __init__(
        self,
        serve: Story,
        limits: Limits,
        clock: IReactorTime,
        *,
        allowed_peers: Iterable[str | IPv4Network | IPv6Network] = LOOPBACK,
        secret: str | None = None,
        transcript: bool = False,
        log: FilteringBoundLogger | None = None,
        id_prefix: str | None = None,
    ) -> None:
        if secret == "":
            raise ValueError("an empty secret protects nothing")
        self.serve = serve
        self.handler = name_of(serve)
        self.limits = limits
        self.clock = clock
        self.secret = None if secret is None else secret.encode()
        self.transcript = transcript
        self.log: FilteringBoundLogger = log or library_log()
        self.monotonic: Callable[[], float] = time.monotonic
        self.counters: Counter[Count] = Counter()
        self.draining = False
        self._is_allowed = lru_cache(maxsize=256)(self._allowed)
        self._networks = tuple(ip_network(network) for network in allowed_peers)
        self._sessions: dict[str, Session] = {}
        self._slots: Counter[str] = Counter()
        self._connected_now = 0
        self._refusing = 0
        self._idle: list[Deferred[None]] = []
        self._logged: dict[LogEvent, tuple[float, int]] = {}
        prefix = secrets.token_hex(4) if id_prefix is None else id_prefix
        self.ids: Iterator[str] = (f"{prefix}-{number}" for number in itertools.count(1))
        """Each names one session, or one of those who give this factory sessions."""

    # -- for the code that assembles the server --

    @property
    def sessions(self) -> Mapping[str, Session]:
        """The sessions whose story is not over, by id."""
        return MappingProxyType(self._sessions)

    def drain(self) -> None:
        """Take no new calls: they are refused with ``failure``. Running calls continue."""
        self.draining = True

    def idle(self) -> Deferred[None]:
        """Fires as soon as no session is left."""
        if not self._sessions:
            return succeed(None)
        deferred: Deferred[None] = Deferred(self._idle.remove)
        self._idle.append(deferred)
        return deferred

    def end_all(self, reason: EndReason = EndReason.SHUTDOWN) -> None:
        """End every session from outside."""
        for session in list(self._sessions.values()):
            session.end(reason)

    # -- what Twisted calls --

    def buildProtocol(self, addr: IAddress | None) -> FastAGIProtocol | None:  # noqa: N802 (Twisted's name)
        peer = str(getattr(addr, "host", ""))
        if not self._is_allowed(peer):
            self._warn(LogEvent.PEER_REFUSED, Count.PEER_NOT_ALLOWED, peer)
            return None
        return self.accept(peer)

    def accept(self, peer: str) -> FastAGIProtocol | None:
        """The protocol for one more call, without a look at the allow list; None when there are too many.

        Parameters:
            peer: for the log and for the limit of each peer.
        """
        refusal: Count | None = None
        if self.draining:
            refusal = Count.DRAINING
        elif max(self._connected_now - self._refusing, len(self._sessions)) >= self.limits.max_sessions:
            refusal = Count.TOO_MANY_SESSIONS
        elif self._slots[peer_name(peer)] >= self.limits.max_sessions_per_peer:
            refusal = Count.TOO_MANY_OF_PEER
        if refusal is not None and self._refusing >= MAX_REFUSING:
            self._warn(LogEvent.SESSION_REFUSED, refusal, peer, reason=refusal.value)
            return None
        return self.protocol_type(self, peer, refusal)

    def _allowed(self, peer: str) -> bool:
        try:
            address = ip_address(peer)
        except ValueError:
            return False
        if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
            # A socket that takes both families shows 127.0.0.1 as ::ffff:127.0.0.1.
            address = address.ipv4_mapped
        return any(address in network for network in self._networks)

    # -- what its protocols tell --

    def _connected(self, peer: str, refusal: Count | None) -> None:
        self.counters[Count.CONNECTIONS] += 1
        self._slots[peer_name(peer)] += 1
        self._connected_now += 1
        self._refusing += refusal is not None

    def _disconnected(self, peer: str, refusal: Count | None) -> None:
        peer = peer_name(peer)
        self._slots[peer] -= 1
        self._connected_now -= 1
        if self._slots[peer] <= 0:
            del self._slots[peer]
        self._refusing -= refusal is not None

    def _begun(self, session: Session) -> FilteringBoundLogger:
        """Note a session; the logger for both its lines, which are many: to choose one costs as much as a line."""
        self.counters[Count.SESSIONS] += 1
        self._sessions[session.id] = session
        request = session.request
        log: FilteringBoundLogger = self.log.bind()
        log.debug(
            LogEvent.SESSION_STARTED,
            session=session.id,
            peer=session.peer,
            script=request.network_script,
            channel=request.channel,
            uniqueid=request.uniqueid,
        )
        return log

    def _ended(self, session: Session, seconds: float, commands: int, log: FilteringBoundLogger) -> None:
        if self._sessions.pop(session.id, None) is None:
            return  # left behind earlier
        self.counters[Count.COMMANDS] += commands
        log.info(
            LogEvent.SESSION_ENDED,
            session=session.id,
            peer=session.peer,
            reason=session.ended,
            seconds=round(seconds, 3),
            commands=commands,
        )
        if not self._sessions:
            waiting, self._idle = self._idle, []
            for deferred in waiting:
                deferred.callback(None)

    def _warn(self, event: LogEvent, count: Count, peer: str, **keys: str | float) -> None:
        """Count it, and log it unless there were too many lines of this kind lately."""
        self.counters[count] += 1
        now = self.clock.seconds()
        since, lines = self._logged.get(event, (now, 0))
        suppressed = 0
        if now - since >= LOG_SECONDS:
            suppressed = max(0, lines - LOG_LINES)
            since, lines = now, 0
        self._logged[event] = (since, lines + 1)
        if lines < LOG_LINES:
            self.log.warning(event, peer=peer, suppressed=suppressed, **keys)
