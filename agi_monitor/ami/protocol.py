"""AMI on Twisted: login, deadlines and reconnection around ``AMIConnection``.

Two rules: no decision about bytes is made here (``connection`` does), none about what an event means either
(the callbacks do).

How a connection ends
    It is lost, its certificate is refused, the peer breaks the protocol, the login or a Ping is not answered in
    time: the state is ``Down``, ``on_down`` is called, every action without an answer fails with ``Disconnected``,
    and after a growing, random wait there is another attempt. Asterisk refuses the login: the state is ``Refused``,
    and the client does not try again.

What a no means
    Asterisk says it in English, which is passed on to people and never read here. A no to ``Challenge`` passes: the
    account has another session and may have one only, or the PBX is being stopped. A no to ``Login`` does not. For
    every other action that is refused ``ListCommands`` tells whether the account has it at all.

Who may be slow
    Asterisk throws out a client that does not read for 100 ms (writetimeout, manager.conf). So reading never pauses:
    callbacks are plain functions that return at once, and one that raises is logged and changes nothing.
"""

from __future__ import annotations

import itertools
import random
import secrets
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from structlog.typing import FilteringBoundLogger
from twisted.application.internet import ClientService
from twisted.application.service import Service
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import (
    IAddress,
    IDelayedCall,
    IProtocol,
    IProtocolFactory,
    IReactorTime,
    IStreamClientEndpoint,
    ITCPTransport,
)
from twisted.internet.protocol import Factory, Protocol
from twisted.python.failure import Failure
from zope.interface import implementer

from agi_monitor.ami.authentic import Why
from agi_monitor.ami.connection import (
    NEED_DATA,
    AMIConnection,
    AMIEvent,
    Closed,
    Event,
    Forged,
    Greeting,
    ListBroken,
    ListDone,
    Response,
)
from agi_monitor.ami.endpoints import why_lost
from agi_monitor.ami.limits import AMILimits
from agi_monitor.ami.messages import FORBIDDEN, Action, action, challenge_key
from agi_monitor.ami.permissions import NOTHING, Offers, classes_for
from agi_monitor.ami.states import Connecting, Down, LoggingIn, Refused, State, Up
from agi_monitor.embedding.library_log import library_log
from agi_monitor.errors import (
    ActionFailed,
    Disconnected,
    ForgedAnswer,
    LocalProtocolError,
    LoginRefused,
    NoAnswer,
    PermissionDenied,
    RemoteProtocolError,
)
from agi_monitor.names import weakness

BOOTED = "FullyBooted"
LIFE_EVENTS = frozenset({BOOTED, "Shutdown", "Reload"})
"""Events that are always wanted: after them an index of channels may be wrong."""

CHALLENGE = "Challenge"
FREE = frozenset({"Ping", "ListCommands"})
"""Actions that every account has."""

LOG_LINES = 10
LOG_SECONDS = 60.0
"""How many lines about failing callbacks are logged in how many seconds: an event can come a thousand times a
second.
"""

MAX_SAID = 200
"""Characters of what Asterisk says that go into an error, and with it into the log."""

FORGED_LOG_SECONDS = 60.0
"""Seconds between two lines about messages that Asterisk cannot have written, with how many there were besides."""


@dataclass(frozen=True, slots=True)
class Account:
    """An account of manager.conf.

    Parameters:
        username: its section's name.
        secret: its secret, which must be there in plain text for the MD5 login.
        may_be_weak: for an account that others have made and that is to be looked at.

    Raises:
        LoginRefused: the secret is missing, or ``names.weakness`` finds it weak. The AMI can end every call of a PBX:
            that is worth a real secret.
    """

    username: str
    secret: str = field(repr=False)
    may_be_weak: bool = False

    def __post_init__(self) -> None:
        if not self.username or FORBIDDEN.search(self.username) is not None:
            raise LoginRefused("the AMI user name is empty or holds a line break")
        if not self.secret:
            raise LoginRefused("the AMI secret is empty")
        if not self.may_be_weak and (why := weakness(self.username, self.secret)):
            raise LoginRefused(f"the AMI secret {why}")

    def key(self, challenge: str) -> str:
        """What answers a challenge.

        Parameters:
            challenge: what Asterisk answered to the action Challenge.
        """
        return challenge_key(challenge, self.secret)


class ListAnswer(NamedTuple):
    """A whole list.

    Parameters:
        response: the answer that announced the list.
        items: its items, in order.
    """

    response: Response
    """The answer that announced the list."""
    items: tuple[Event, ...]
    """Its items, in order."""

    @property
    def is_whole(self) -> bool:
        """Whether nothing came meanwhile that Asterisk cannot have written: otherwise items may be missing."""
        return self.response.why_forged is None


@dataclass(frozen=True, slots=True)
class Callbacks:
    """Who is told what. None of them may block or wait; whatever one raises is logged.

    Parameters:
        on_event: an event that was wanted, or one of ``LIFE_EVENTS``. Never an item of a list.
        on_up: logged in; what was known before is stale and must be asked for again.
        on_down: no longer logged in; called once for each ``on_up``, before the actions without an answer fail.
        on_state: each change of the state.
        on_forged: a message came that Asterisk cannot have written. What was told just before and since then may be
            invented, until it has been asked for again.
    """

    on_event: Callable[[Event], object] = lambda event: None
    on_up: Callable[[], object] = lambda: None
    on_down: Callable[[], object] = lambda: None
    on_state: Callable[[State], object] = lambda state: None
    on_forged: Callable[[Forged], object] = lambda forged: None


@dataclass(eq=False, slots=True)
class _Pending:
    """An answer that is awaited."""

    action: Action
    as_list: bool
    deferred: Deferred[ListAnswer]
    timer: IDelayedCall | None = None


class AMIProtocol(Protocol):
    """One connection to Asterisk. Made by ``AMIClient``.

    Parameters:
        client: whose account, limits, clock and callbacks are used.
    """

    def __init__(self, client: AMIClient) -> None:
        self._client = client
        self._limits = client.limits
        self._clock = client.clock
        self._connection = AMIConnection(client.limits, client.wanted)
        self._open = False
        self._pending: dict[str, _Pending] = {}
        self._timer: IDelayedCall | None = None  # the login's, then the next Ping's or its answer's
        self._closing: IDelayedCall | None = None
        self._before_ping: set[str] = set()
        self._reason = ""
        self._version = ""
        self._is_up = False
        self._offers = NOTHING  # until ListCommands is asked
        self._checked = False

    @property
    def dropped(self) -> int:
        """Events that were not wanted."""
        return self._connection.dropped

    @property
    def strays(self) -> int:
        """Answers that belonged to no action."""
        return self._connection.strays

    @property
    def forged(self) -> int:
        """Messages that Asterisk cannot have written."""
        return self._connection.forged

    def want(self, names: frozenset[str]) -> None:
        """Tell other events from now on."""
        self._connection.want(names)

    # -- what Twisted calls --

    def connectionMade(self) -> None:  # noqa: N802 (Twisted's name)
        self._open = True
        transport = self.transport
        if transport is not None and ITCPTransport.providedBy(transport):
            transport.setTcpNoDelay(True)
            transport.setTcpKeepAlive(True)
        self._timer = self._clock.callLater(self._limits.login_seconds, self._login_too_slow)
        self._client._made(self)

    def dataReceived(self, data: bytes) -> None:  # noqa: N802 (Twisted's name)
        if not self._open:
            return
        connection = self._connection
        connection.receive_data(data)
        try:
            while self._open and (event := connection.next_event()) is not NEED_DATA:
                self._take(event)
        except RemoteProtocolError as error:
            self._abort(f"Asterisk broke the protocol: {error}")

    def connectionLost(self, reason: Failure | None = None) -> None:  # noqa: N802 (Twisted's name)
        self._open = False
        self._stop_timers()
        if not self._reason:
            self._reason = "the connection was lost" + ("" if reason is None else f" ({why_lost(reason.value)})")
        self._client._lost(self, self._reason)
        self._release(self._reason)

    # -- events --

    def _take(self, event: AMIEvent) -> None:
        if type(event) is Event:
            if event.name == BOOTED:
                self._check_account()
            self._client._tell("on_event", event)
        elif type(event) is Response:
            if event.why_forged not in (None, Why.BEFORE_FORGED):
                self._client._forged_came(Forged("", event.why_forged))
            self._answered(event)
        elif type(event) is ListDone:
            self._settle(event.response, event.items)
        elif type(event) is Forged:
            self._client._forged_came(event)
        elif type(event) is ListBroken:
            self._list_broken(event)
        elif type(event) is Greeting:
            self._version = event.version
            self._log_in()
        else:
            assert type(event) is Closed  # noqa: S101 - there is no other

    def _answered(self, response: Response) -> None:
        pending = self._pending.get(response.action.action_id)
        if pending is not None and (not pending.as_list or not response.message.is_success):
            self._settle(response, ())

    def _settle(self, response: Response, items: tuple[Event, ...]) -> None:
        pending = self._take_pending(response.action.action_id)
        if pending is None:
            return
        if response.why_forged is not None and not pending.as_list:
            pending.deferred.errback(ForgedAnswer(response.action.name))
        elif response.message.is_success:
            pending.deferred.callback(ListAnswer(response, items))
        elif not self._is_up or response.action.name in FREE or response.action.name in self._offers:
            pending.deferred.errback(_failure(response))
        else:
            listing = self.perform(action("ListCommands"), self._limits.action_seconds)
            listing.addCallbacks(self._take_offers, lambda _: None)
            listing.addCallback(lambda _: self._refused(pending, response))

    def _list_broken(self, event: ListBroken) -> None:
        pending = self._take_pending(event.response.action.action_id)
        if pending is not None:
            text = f"with a list and broke it off ({event.end.name[:MAX_SAID]})"
            if event.is_too_long:
                most = f"{self._limits.max_list_items:,} items or {self._limits.max_list_bytes:,} bytes"
                text = f"with a list of more than {most}, which is not taken"
            pending.deferred.errback(ActionFailed(pending.action.name, text, has_begun=True))

    def _take_offers(self, answer: ListAnswer) -> None:
        """What a session may do never changes; modules that bring actions can be loaded meanwhile."""
        self._offers = Offers.from_headers(answer.response.message.headers)

    def _refused(self, pending: _Pending, response: Response) -> None:
        """The account has this action or not: only now is it known which error this is."""
        if pending.deferred.called:
            return  # no longer awaited
        # Without offers ListCommands was not answered, and nothing is known.
        lacks = self._offers is not NOTHING and self._offers.lack_class(response.action.name)
        pending.deferred.errback(_missing_class(response) if lacks else _failure(response))

    # -- login --

    def _log_in(self) -> None:
        login = succeed(None).addCallback(self._ask_for_challenge).addCallback(self._challenged)
        login.addCallbacks(self._logged_in, self._not_logged_in)

    def _ask_for_challenge(self, _: None) -> Deferred[ListAnswer]:
        # With the name, Asterisk says here already whether the account may have one more session.
        challenge = action(CHALLENGE, ("AuthType", "MD5"), ("Username", self._client.account.username))
        return self.perform(challenge, self._limits.login_seconds)

    def _challenged(self, answer: ListAnswer) -> Deferred[ListAnswer]:
        account = self._client.account
        login = action(
            "Login",
            ("AuthType", "MD5"),
            ("Username", account.username),
            ("Key", account.key(answer.response.message.text("Challenge"))),
            ("Events", self._client.event_classes),
        )
        return self.perform(login, self._limits.login_seconds)

    def _logged_in(self, _: ListAnswer) -> None:
        if not self._open:
            return
        self._is_up = True
        self._set_timer(self._limits.ping_seconds, self._ping)
        self._client._up(self, self._version)

    def _not_logged_in(self, failure: Failure) -> None:
        error = failure.value
        if isinstance(error, ActionFailed):
            reason = f"Asterisk answered {error.text or 'with an error'}"
            if error.action == CHALLENGE:
                self._close(reason)
            else:
                self._client._refuse(reason)
        elif isinstance(error, LocalProtocolError):
            self._client._refuse(str(error))
        elif not isinstance(error, Disconnected):
            self._abort("the login was not answered")

    def _login_too_slow(self) -> None:
        self._timer = None
        self._abort(
            "the login took too long" if self._version else "no greeting came: a port that wants TLS is silent"
        )

    # -- what the account may do --

    def _check_account(self) -> None:
        """Ask which of the needed actions the account has: now, not when the first one is needed."""
        if not self._checked and self._client.needs:
            self._checked = True
            listing = self.perform(action("ListCommands"), self._limits.action_seconds)
            listing.addCallback(self._take_offers)
            listing.addCallbacks(self._tell_missing, lambda _: None)

    def _tell_missing(self, _: None) -> None:
        for name in sorted(self._client.needs):
            if self._offers.lack_class(name):
                classes = " or ".join(classes_for(name))
                self._client.log.error("ami_class_missing", line="write", classes=classes, needed_for=name)
            elif name not in self._offers:
                self._client.log.warning("ami_action_missing", action=name)

    # -- keep-alive --

    def _ping(self) -> None:
        self._before_ping = set(self._pending)
        self._set_timer(self._limits.ping_reply_seconds, self._ping_unanswered)
        deferred = self.perform(action("Ping"), None)
        deferred.addCallbacks(self._ping_answered, self._ping_failed)

    def _ping_answered(self, _: object) -> None:
        if self._open:
            self._set_timer(self._limits.ping_seconds, self._ping)
            if not self._checked and self._client.needs:
                # An account that reads the class system is told FullyBooted at the login, or when the PBX has
                # started.
                self._client.log.error("ami_class_missing", line="read", classes="system", needed_for=BOOTED)
                self._check_account()

    def _ping_failed(self, failure: Failure) -> None:
        if isinstance(failure.value, ActionFailed):
            self._ping_answered(failure)  # a no is a sign of life

    def _ping_unanswered(self) -> None:
        self._timer = None
        if self._before_ping & self._pending.keys():
            # Asterisk takes one action after the other: the Ping waits behind these, which have their own deadlines.
            self._set_timer(self._limits.ping_reply_seconds, self._ping_unanswered)
        else:
            self._abort("no answer to Ping")

    # -- actions: what AMIClient calls --

    def perform(self, asked: Action, seconds: float | None, *, as_list: bool = False) -> Deferred[ListAnswer]:
        """Send an action; fires with its answer.

        Parameters:
            asked: the action, without an ActionID.
            seconds: its deadline; None when something else watches over it.
            as_list: collect the list that follows.
        """
        if not self._open:
            return fail(Disconnected(f"{asked.name}: there is no connection"))
        sent = replace(asked, action_id=next(self._client._ids))
        try:
            wire = self._connection.send(sent, as_list=as_list)
        except LocalProtocolError as error:
            return fail(error)
        deferred: Deferred[ListAnswer] = Deferred(lambda _: self._give_up(sent))
        pending = self._pending[sent.action_id] = _Pending(sent, as_list, deferred)
        if seconds is not None:
            pending.timer = self._clock.callLater(seconds, self._deadline_passed, sent, seconds)
        self.transport.write(wire)  # type: ignore[union-attr]  # there is one while the connection is open
        return deferred

    def _take_pending(self, action_id: str) -> _Pending | None:
        pending = self._pending.pop(action_id, None)
        if pending is not None and pending.timer is not None and pending.timer.active():
            pending.timer.cancel()
        return pending

    def _give_up(self, asked: Action) -> None:
        """This answer is no longer awaited; it may still come, and is then dropped."""
        self._take_pending(asked.action_id)
        self._connection.forget(asked)

    def _deadline_passed(self, asked: Action, seconds: float) -> None:
        pending = self._take_pending(asked.action_id)
        self._connection.forget(asked)
        if pending is not None:
            self._client.log.warning("ami_action_unanswered", action=asked.name, seconds=seconds)
            pending.deferred.errback(NoAnswer(asked.name, seconds))

    def _release(self, reason: str) -> None:
        """End every wait for an answer that will not come."""
        for action_id in list(self._pending):
            pending = self._take_pending(action_id)
            if pending is not None:
                pending.deferred.errback(Disconnected(f"{pending.action.name}: {reason}"))

    # -- the end --

    def close(self, reason: str) -> None:
        """Say good-bye; a peer that does not react is cut off after ``close_seconds``."""
        if self._open:
            self._close(reason)

    def _close(self, reason: str) -> None:
        self._reason = self._reason or reason
        self._open = False
        self._stop_timers()
        self._closing = self._clock.callLater(self._limits.close_seconds, self._cut)
        self.transport.loseConnection()  # type: ignore[union-attr]  # there is one while the connection is open

    def _abort(self, reason: str) -> None:
        self._reason = self._reason or reason
        self._open = False
        self._stop_timers()
        self._cut()

    def _cut(self) -> None:
        self._closing = None
        self.transport.abortConnection()  # type: ignore[union-attr]  # ITransport lacks what every stream has

    def _set_timer(self, seconds: float, call: Callable[[], None]) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = self._clock.callLater(seconds, call)

    def _stop_timers(self) -> None:
        for timer in (self._timer, self._closing):
            if timer is not None and timer.active():
                timer.cancel()
        self._timer = self._closing = None


def _failure(response: Response) -> ActionFailed:
    return ActionFailed(response.action.name, _said(response))


def _missing_class(response: Response) -> PermissionDenied:
    name = response.action.name
    return PermissionDenied(name, _said(response), classes_for(name))


def _said(response: Response) -> str:
    """Asterisk's own words, for people."""
    return response.message.text("Message")[:MAX_SAID]


@implementer(IStreamClientEndpoint)
class _WatchedEndpoint:
    """An endpoint whose attempts are told to the client."""

    def __init__(self, client: AMIClient, endpoint: IStreamClientEndpoint) -> None:
        self._client = client
        self._endpoint = endpoint

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:  # noqa: N803 (Twisted's name)
        self._client._connecting()
        made: Deferred[IProtocol] = self._endpoint.connect(protocolFactory)
        made.addErrback(self._failed)
        return made

    def _failed(self, failure: Failure) -> Failure:
        self._client._not_connected(failure)
        return failure


class _AMIFactory(Factory):
    """Makes the protocols of one client."""

    noisy = False

    def __init__(self, client: AMIClient) -> None:
        self._client = client

    def buildProtocol(self, addr: IAddress | None) -> AMIProtocol:  # noqa: N802 (Twisted's name)
        return AMIProtocol(self._client)


class AMIClient(Service):
    """Keeps one AMI connection up, tells what happens on the PBX, and takes actions.

    Parameters:
        endpoint: where Asterisk listens, from ``endpoints.endpoint``. The login does not hide what follows it:
            anything but a private network needs TLS.
        clock: the reactor, or a ``Clock``.
        account: who logs in.
        callbacks: who is told what.
        wanted: the names of events for ``on_event``; ``LIFE_EVENTS`` come in any case.
        needs: the names of actions that will be asked for. What the account or the PBX lacks for them is logged soon
            after the login, and so is the class ``system`` in ``read=``, without which ``LIFE_EVENTS`` do not come.
        event_classes: classes of events that Asterisk sends to this session at all, such as ``call,system``; ``on``
            is everything that ``read=`` of the account allows.
        limits: sizes and times that the peer is held to.
        jitter: a number from 0 to 1 at each call; a random one when not given, so that the clients of a PBX do not
            all come back in the same moment.
        log: where to log.
        id_prefix: of the ActionIDs; random when not given, so that no caller can answer in Asterisk's place.
    """

    def __init__(
        self,
        endpoint: IStreamClientEndpoint,
        clock: IReactorTime,
        account: Account,
        callbacks: Callbacks | None = None,
        *,
        wanted: Iterable[str] = (),
        needs: Iterable[str] = (),
        event_classes: str = "on",
        limits: AMILimits | None = None,
        jitter: Callable[[], float] = random.random,
        log: FilteringBoundLogger | None = None,
        id_prefix: str | None = None,
    ) -> None:
        self.clock = clock
        self.account = account
        self.callbacks = callbacks or Callbacks()
        self.wanted = frozenset(wanted) | LIFE_EVENTS
        self.needs = frozenset(needs)
        self.event_classes = event_classes
        self.limits = limits or AMILimits()
        self.log: FilteringBoundLogger = log or library_log()
        self._jitter = jitter
        prefix = secrets.token_hex(8) if id_prefix is None else id_prefix
        self._ids = (f"{prefix}-{number}" for number in itertools.count(1))
        self._state: State = Down("not started", None)
        self._protocol: AMIProtocol | None = None
        self._dropped = self._strays = self._forged = 0
        self._failures = 0
        self._delay = 0.0
        self._up_since: float | None = None
        self._waiting: list[Deferred[None]] = []
        self._logged: tuple[float, int] = (0.0, 0)
        self._forged_logged_at: float | None = None
        self._forged_unlogged = 0
        self._service = ClientService(
            _WatchedEndpoint(self, endpoint), _AMIFactory(self), retryPolicy=lambda _: self._delay, clock=clock
        )

    # -- for the code that assembles the server --

    @property
    def state(self) -> State:
        """How the connection stands."""
        return self._state

    @property
    def dropped(self) -> int:
        """Events that were not wanted, over all connections."""
        return self._dropped + (0 if self._protocol is None else self._protocol.dropped)

    @property
    def strays(self) -> int:
        """Answers that belonged to no action, over all connections."""
        return self._strays + (0 if self._protocol is None else self._protocol.strays)

    @property
    def forged(self) -> int:
        """Messages that Asterisk cannot have written, over all connections."""
        return self._forged + (0 if self._protocol is None else self._protocol.forged)

    def when_up(self) -> Deferred[None]:
        """Fires when logged in, at once when that is so.

        Fails with ``LoginRefused`` when Asterisk refused the login, with ``Disconnected`` when the client is stopped.
        """
        if isinstance(self._state, Up):
            return succeed(None)
        if isinstance(self._state, Refused):
            return fail(LoginRefused(self._state.reason))
        deferred: Deferred[None] = Deferred(self._waiting.remove)
        self._waiting.append(deferred)
        return deferred

    async def perform(self, asked: Action, seconds: float | None = None) -> Response:
        """Send an action and wait for its answer.

        Parameters:
            asked: made by ``messages.action``.
            seconds: the deadline; ``limits.action_seconds`` when not given. A PBX that has gone silent is not noticed
                before the deadlines of the actions that were sent before the Ping.

        Raises:
            PermissionDenied: the account lacks a class; the error names it.
            ActionFailed: Asterisk answered with an error, broke off its list, or does not have this action.
            ForgedAnswer: the answer holds text that Asterisk cannot have written.
            NoAnswer: the deadline passed.
            Disconnected: there is no connection, or it was lost meanwhile.
            LocalProtocolError: too many actions are without an answer; nothing was sent.
        """
        answer = await self._send(asked, self.limits.action_seconds if seconds is None else seconds, as_list=False)
        return answer.response

    async def perform_list(self, asked: Action, seconds: float | None = None) -> ListAnswer:
        """Send an action that is answered with a list, and wait for all of it.

        Parameters:
            asked: such as ``CoreShowChannels``.
            seconds: the deadline of the whole list; ``limits.list_seconds`` when not given.

        Raises:
            as ``perform``.
        """
        return await self._send(asked, self.limits.list_seconds if seconds is None else seconds, as_list=True)

    def startService(self) -> None:  # noqa: N802 (Twisted's name)
        super().startService()  # type: ignore[no-untyped-call]  # Twisted's own
        self._failures = 0
        self._service.startService()

    def want(self, names: Iterable[str]) -> None:
        """Tell other events from now on.

        Parameters:
            names: of events for ``on_event``; ``LIFE_EVENTS`` come in any case.
        """
        self.wanted = frozenset(names) | LIFE_EVENTS
        if self._protocol is not None:
            self._protocol.want(self.wanted)

    def stopService(self) -> Deferred[None]:  # noqa: N802 (Twisted's name)
        super().stopService()  # type: ignore[no-untyped-call]  # Twisted's own
        if self._protocol is not None:
            self._protocol.close("the client was stopped")
        stopped = self._service.stopService()
        stopped.addCallback(self._stopped)
        return stopped

    def _stopped(self, _: object) -> None:
        if not self.running and not isinstance(self._state, Refused):
            self._change(Down("the client was stopped", None))
            self._tell_waiting(Disconnected("the client was stopped"))

    def _send(self, asked: Action, seconds: float, *, as_list: bool) -> Deferred[ListAnswer]:
        protocol = self._protocol
        if protocol is None or not isinstance(self._state, Up):
            return fail(Disconnected(f"{asked.name}: there is no connection"))
        return protocol.perform(asked, seconds, as_list=as_list)

    # -- what its endpoint and its protocol tell --

    def _connecting(self) -> None:
        self._change(Connecting())

    def _not_connected(self, failure: Failure) -> None:
        if self.running:
            self._down(f"cannot connect ({why_lost(failure.value)})")

    def _made(self, protocol: AMIProtocol) -> None:
        self._protocol = protocol
        self._change(LoggingIn())

    def _up(self, protocol: AMIProtocol, version: str) -> None:
        self._up_since = self.clock.seconds()
        self.log.info("ami_up", version=version)
        self._change(Up(version))
        self._tell("on_up")
        if self.running and self._protocol is protocol:  # on_up may have stopped us
            self._tell_waiting(None)

    def _lost(self, protocol: AMIProtocol, reason: str) -> None:
        if self._protocol is not protocol:
            return
        self._protocol = None
        self._dropped += protocol.dropped
        self._strays += protocol.strays
        self._forged += protocol.forged
        was_up, self._up_since = self._up_since, None
        if was_up is not None and self.clock.seconds() - was_up >= self.limits.max_retry_seconds:
            # Not earlier: a PBX that lets us in and throws us out at once is not to be asked every second.
            self._failures = 0
        if self.running and not isinstance(self._state, Refused):
            self._down(reason)
        elif was_up is not None:
            self._change(Down(reason, None))
        if was_up is not None:
            self._tell("on_down")

    def _forged_came(self, forged: Forged) -> None:
        now = self.clock.seconds()
        if self._forged_logged_at is None or now - self._forged_logged_at >= FORGED_LOG_SECONDS:
            # One call can cause a thousand of them.
            self.log.error("ami_forged", name=forged.name, why=forged.why.value, unlogged=self._forged_unlogged)
            self._forged_logged_at, self._forged_unlogged = now, 0
        else:
            self._forged_unlogged += 1
        self._tell("on_forged", forged)

    def _down(self, reason: str) -> None:
        longest = min(self.limits.retry_seconds * 2 ** min(self._failures, 30), self.limits.max_retry_seconds)
        self._failures += 1
        self._delay = longest * (1 + self._jitter()) / 2
        self.log.warning("ami_down", reason=reason, retry_in=round(self._delay, 3))
        self._change(Down(reason, self._delay))

    def _refuse(self, reason: str) -> None:
        self.log.error("ami_refused", reason=reason)
        self._change(Refused(reason))
        if self._protocol is not None:
            self._protocol.close(reason)
        self._service.stopService()
        self._tell_waiting(LoginRefused(reason))

    def _change(self, state: State) -> None:
        if state != self._state:
            self._state = state
            self._tell("on_state", state)

    def _tell_waiting(self, error: Exception | None) -> None:
        waiting, self._waiting = self._waiting, []
        for deferred in waiting:
            if error is None:
                deferred.callback(None)
            else:
                deferred.errback(error)

    def _tell(self, callback: str, *news: object) -> None:
        """Call back; what it raises is logged, without the values of local variables."""
        try:
            getattr(self.callbacks, callback)(*news)
        except Exception as error:
            now = self.clock.seconds()
            since, lines = self._logged
            if now - since >= LOG_SECONDS:
                since, lines = now, 0
            self._logged = (since, lines + 1)
            if lines < LOG_LINES:
                self.log.error(
                    "ami_callback_failed",
                    callback=callback,
                    error=type(error).__name__,
                    traceback="".join(traceback.format_exception(error)),
                )
