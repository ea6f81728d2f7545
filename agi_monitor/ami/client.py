"""The manager interface for programs on asyncio or Twisted: events, actions, lists and calls, each to be awaited.

``AMIClient`` does the work: login, deadlines, reconnection with back-off. Nothing here knows the wire.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import TracebackType
from typing import Any

from structlog.typing import FilteringBoundLogger
from twisted.internet.defer import Deferred, TimeoutError, succeed
from twisted.internet.interfaces import IReactorTime, IStreamClientEndpoint

from agi_monitor.ami.connection import Event, Response
from agi_monitor.ami.endpoints import Verification, endpoint, loop_endpoint
from agi_monitor.ami.limits import AMILimits
from agi_monitor.ami.messages import Message, action, variables
from agi_monitor.ami.news import MAX_WAITING, News, Overflow
from agi_monitor.ami.protocol import Account, AMIClient, Callbacks, ListAnswer
from agi_monitor.ami.states import Down, Refused, State
from agi_monitor.embedding.event_loop import LoopClock, running_loop
from agi_monitor.errors import Disconnected, LoginRefused, NoAnswer

PORT = 5038
"""Asterisk's own for the manager interface; with TLS it is 5039."""

TLS_PORT = 5039

START_SECONDS = 30.0
"""How long ``async with`` waits for the first login."""

RING_SECONDS = 30.0
"""How long a call rings by default (action_originate, manager.c)."""

OUTCOME_SECONDS = 10.0
"""How much later than that the outcome is told at the latest."""

ORIGINATED = "OriginateResponse"
NO_UNIQUEID = frozenset({"<null>", "<unknown>"})
"""What OriginateResponse says where there was no channel."""


class Outcome(StrEnum):
    """How a call that was originated went."""

    ANSWERED = "answered"
    """It was answered, and continues where it was told to."""
    BUSY = "busy"
    """The other side is busy."""
    NO_ANSWER = "no_answer"
    """It rang for as long as it was to, or no device was reached in that time."""
    CONGESTION = "congestion"
    """The network or the trunk is full."""
    HUNG_UP = "hung_up"
    """It was hung up before it was answered."""
    FAILED = "failed"
    """There is no such channel, it cannot be reached, or the call was declined: Asterisk gives no reason then."""


OUTCOMES = {1: Outcome.HUNG_UP, 3: Outcome.NO_ANSWER, 4: Outcome.ANSWERED, 5: Outcome.BUSY, 8: Outcome.CONGESTION}
"""``Reason`` of OriginateResponse, a control frame (enum ast_control_frame_type, frame.h) -> what it means."""


@dataclass(frozen=True, slots=True)
class Originated:
    """A call that was originated.

    Parameters:
        outcome: how it went.
        channel: the name of the channel; where there was none, what was asked for.
        uniqueid: of the channel; empty where there was none.
    """

    outcome: Outcome
    channel: str
    uniqueid: str

    @property
    def answered(self) -> bool:
        """Whether the call was answered."""
        return self.outcome is Outcome.ANSWERED

    @classmethod
    def from_event(cls, message: Message) -> Originated:
        """What OriginateResponse says.

        Parameters:
            message: of the event.
        """
        reason = message.text("Reason")
        outcome = OUTCOMES.get(int(reason) if reason.isdecimal() else 0, Outcome.FAILED)
        if message.text("Response") == "Success":
            outcome = Outcome.ANSWERED
        elif outcome is Outcome.ANSWERED:
            outcome = Outcome.FAILED
        uniqueid = message.text("Uniqueid")
        return cls(outcome, message.text("Channel"), "" if uniqueid in NO_UNIQUEID else uniqueid)


class ManagerClient:
    """A connection to Asterisk's manager interface that is kept up.

    ::

        async with ManagerClient("10.0.0.7", Account("dashboard", secret)) as manager:
            async with manager.events("Newchannel", "Hangup") as events:
                async for event in events:
                    print(event.name, event.message.text("Channel"))

    After a loss it connects again, after growing waits; events that happened meanwhile are not told, so ask again
    whenever ``states`` says ``Up``. A login that Asterisk refuses is final: ``LoginRefused``.

    Under asyncio and uvloop it uses the event loop that runs. On Twisted, give it the reactor.

    Parameters:
        host: of the PBX: a name or an address.
        account: an account of manager.conf.
        port: TCP port; 5038, or 5039 with ``tls``, when not given.
        tls: encrypt, and verify the certificate so. Without it, use a network that is yours alone.
        reactor: Twisted's, for a program that runs on it.
        endpoint: how to connect, instead of ``host`` and ``port``; needs ``reactor``.
        needs: the names of actions that will be asked for: what the account lacks for them is logged at the login.
        start_seconds: how long ``async with`` waits for the first login; None waits for ever.
        limits: sizes and times that the PBX is held to, and the waits between attempts.
        log: where to log.

    Raises:
        ConfigError: the file of ``tls`` cannot be used.
    """

    def __init__(
        self,
        host: str,
        account: Account,
        *,
        port: int | None = None,
        tls: Verification | None = None,
        reactor: Any = None,
        endpoint: IStreamClientEndpoint | None = None,
        needs: Iterable[str] = (),
        start_seconds: float | None = START_SECONDS,
        limits: AMILimits | None = None,
        log: FilteringBoundLogger | None = None,
    ) -> None:
        if endpoint is not None and reactor is None:
            raise TypeError("an endpoint is Twisted's: it needs the reactor")
        self._host = host
        self._port = (PORT if tls is None else TLS_PORT) if port is None else port
        self._tls = tls
        self._reactor = reactor
        self._endpoint = endpoint
        self._account = account
        self._needs = tuple(needs)
        self._start_seconds = start_seconds
        self._limits = limits or AMILimits()
        self._log = log
        self._client: AMIClient | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._events: weakref.WeakKeyDictionary[News[Event], frozenset[str]] = weakref.WeakKeyDictionary()
        self._states: weakref.WeakSet[News[State]] = weakref.WeakSet()
        self._outcomes: dict[str, Deferred[Originated]] = {}
        self._early: dict[str, Message] = {}
        """Outcomes that came before the answer was read: a fake in memory tells both while the action is written."""
        self._originating = 0

    # -- the connection --

    @property
    def state(self) -> State:
        """How the connection stands."""
        return Down("not started", None) if self._client is None else self._client.state

    async def start(self) -> None:
        """Connect and log in. Whatever happens afterwards, it is connected again until ``stop``.

        Raises:
            LoginRefused: Asterisk refused the login.
            Disconnected: there was no login within ``start_seconds``; the error says why. Nothing is tried again.
            RuntimeError: it was started already, or no event loop runs here and no reactor was given.
        """
        if self._client is not None:
            raise RuntimeError("the client was started already")
        clock, way = self._surroundings()
        client = self._client = AMIClient(
            way,
            clock,
            self._account,
            Callbacks(on_event=self._told, on_state=self._changed),
            wanted=self._wanted(),
            needs=self._needs,
            limits=self._limits,
            log=self._log,
        )
        client.startService()
        up = client.when_up()
        if self._start_seconds is not None:
            up.addTimeout(self._start_seconds, clock)
        last = ""
        try:
            await self._awaitable(up)
        except TimeoutError:
            state = client.state
            last = state.reason if isinstance(state, Down) else "the attempt is still under way"
        except (Exception, asyncio.CancelledError):
            await self.stop()
            raise
        if last:
            await self.stop()
            raise Disconnected(f"no login to {self._host} within {self._start_seconds:g} s: {last}")

    async def stop(self) -> None:
        """Log off. Iterations over events and states end; requests without an answer raise ``Disconnected``."""
        client, self._client = self._client, None
        if client is not None:
            await self._awaitable(client.stopService())
            self._end_news(None)

    async def __aenter__(self) -> ManagerClient:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.stop()

    # -- what happens --

    def events(
        self,
        *names: str,
        where: Callable[[Event], bool] | None = None,
        max_waiting: int = MAX_WAITING,
        overflow: Overflow = Overflow.FAIL,
    ) -> News[Event]:
        """Events of these names from now on, to be read with ``async for``. The account must read their class.

        Parameters:
            names: such as ``Newchannel``; at least one. Others are dropped before they are read.
            where: which of them; called with each, and must return at once.
            max_waiting: events that are kept for a reader who is slow.
            overflow: what becomes of those that do not fit.
        """
        if not names:
            raise ValueError("name the events")
        news: News[Event] = _Filtered(self._awaitable, max_waiting, overflow, where)
        self._events[news] = frozenset(names)
        if self._client is not None:
            self._client.want(self._wanted())
        return news

    def states(self, max_waiting: int = MAX_WAITING) -> News[State]:
        """Each change of the connection from now on: ``Connecting``, ``LoggingIn``, ``Up``, ``Down``, ``Refused``.

        Parameters:
            max_waiting: changes that are kept for a reader who is slow.
        """
        news: News[State] = News(self._awaitable, max_waiting)
        self._states.add(news)
        return news

    # -- actions --

    async def action(self, name: str, seconds: float | None = None, /, **headers: str | Iterable[str]) -> Message:
        """Send an action and wait for its answer, such as ``await manager.action("Hangup", Channel=name)``.

        Parameters:
            name: of the action.
            seconds: the deadline; ``limits.action_seconds`` when not given.
            headers: of the action; a list is one header for each of its values.

        Raises:
            PermissionDenied: the account lacks a class; the error names it.
            ActionFailed: Asterisk answered with an error.
            ForgedAnswer: the answer holds text that Asterisk cannot have written.
            NoAnswer: the deadline passed.
            Disconnected: there is no connection, or it was lost meanwhile: it may have been done or not.
            LocalProtocolError: a value holds a line break or cannot be sent; nothing was.
        """
        sending = self._running().perform(action(name, *_pairs(headers)), seconds)
        response = await self._awaitable(Deferred.fromCoroutine(sending))
        answer: Message = response.message
        return answer

    async def action_list(
        self, name: str, seconds: float | None = None, /, **headers: str | Iterable[str]
    ) -> ListAnswer:
        """Send an action that is answered with a list, such as ``CoreShowChannels``, and wait for all of it.

        Parameters:
            name: of the action.
            seconds: the deadline of the whole list; ``limits.list_seconds`` when not given.
            headers: as of ``action``.

        Raises:
            as ``action``.
        """
        sending = self._running().perform_list(action(name, *_pairs(headers)), seconds)
        answer: ListAnswer = await self._awaitable(Deferred.fromCoroutine(sending))
        return answer

    async def originate(
        self,
        channel: str,
        *,
        context: str = "",
        extension: str = "",
        priority: int | str = 1,
        application: str = "",
        data: str = "",
        caller_id: str = "",
        variables: Mapping[str, str] | None = None,
        timeout: float = RING_SECONDS,
        **headers: str,
    ) -> Originated:
        """Call a device, and wait until it is known how that went. The account needs ``write = originate`` and
        ``read = call``.

        Parameters:
            channel: whom to call, such as ``PJSIP/2001``. It decides what the call costs: never a stranger's text.
            context: where the call continues in the dialplan when it is answered, with ``extension`` and
                ``priority``.
            extension: the same.
            priority: the same; a number or a label.
            application: what it runs instead.
            data: the arguments of the application.
            caller_id: what the phone shows, such as ``Sales <2000>``.
            variables: of the new channel.
            timeout: seconds that it rings.
            headers: others of the action, such as ``Account``.

        Raises:
            ValueError: neither an extension in a context nor an application was given, or both were.
            NoAnswer: the outcome was not told: the account does not read the class ``call``.
            Disconnected: the connection was lost meanwhile: the call may continue.
            PermissionDenied, ActionFailed, LocalProtocolError: as ``action``.
        """
        if bool(application) == bool(context and extension):
            raise ValueError("give a context and an extension, or an application")
        client = self._running()
        to = [("Application", application), *([("Data", data)] if data else [])]
        if not application:
            to = [("Context", context), ("Exten", extension), ("Priority", str(priority))]
        asked = action(
            "Originate",
            ("Channel", channel),
            *to,
            *([("CallerID", caller_id)] if caller_id else []),
            ("Timeout", str(round(timeout * 1_000))),
            ("Async", "true"),
            *_variables(variables),
            *_pairs(headers),
        )
        self._originating += 1
        try:
            client.want(self._wanted())
            # In the turn of its answer: what the event says cannot come before it is awaited.
            sending = Deferred.fromCoroutine(client.perform(asked))
            outcome = sending.addCallback(self._outcome_of, client, timeout + OUTCOME_SECONDS)
            told: Originated = await self._awaitable(outcome)
            return told
        finally:
            self._originating -= 1
            if not self._originating:
                self._early.clear()

    def _outcome_of(self, response: Response, client: AMIClient, seconds: float) -> Deferred[Originated]:
        action_id = response.action.action_id
        if action_id in self._early:
            return succeed(Originated.from_event(self._early.pop(action_id)))
        told: Deferred[Originated] = Deferred()
        told.addTimeout(seconds, client.clock, lambda result, _: _not_told(result, seconds))
        told.addBoth(self._forget, action_id)
        self._outcomes[action_id] = told
        return told

    def _forget(self, result: Any, action_id: str) -> Any:
        self._outcomes.pop(action_id, None)
        return result

    # -- what the connection tells --

    def _told(self, event: Event) -> None:
        if event.name == ORIGINATED:
            self._tell_outcome(event.message)
        for news, names in list(self._events.items()):
            if event.name in names:
                news.tell(event)

    def _tell_outcome(self, message: Message) -> None:
        waiting = self._outcomes.get(message.action_id)
        if waiting is not None:
            waiting.callback(Originated.from_event(message))
        elif self._originating:
            self._early[message.action_id] = message

    def _changed(self, state: State) -> None:
        for news in list(self._states):
            news.tell(state)
        if isinstance(state, Down | Refused):
            for waiting in list(self._outcomes.values()):
                waiting.errback(Disconnected(f"Originate: {state.reason}"))
        if isinstance(state, Refused):
            self._end_news(LoginRefused(state.reason))

    def _end_news(self, why: Exception | None) -> None:
        for events in list(self._events):
            events.end(why)
        for states in list(self._states):
            states.end(why)

    # -- the surroundings --

    def _surroundings(self) -> tuple[IReactorTime, IStreamClientEndpoint]:
        if self._reactor is not None:
            way = self._endpoint
            if way is None:
                way = endpoint(self._reactor, self._host, self._port, self._tls)
            return self._reactor, way
        loop = self._loop = running_loop()
        if loop is None:
            raise RuntimeError(
                "no asyncio event loop runs here: start the client in a coroutine that asyncio runs, or on Twisted "
                "give it reactor=reactor"
            )
        return LoopClock(loop), loop_endpoint(loop, self._host, self._port, self._tls)

    def _awaitable(self, deferred: Deferred[Any]) -> Awaitable[Any]:
        return deferred if self._loop is None else deferred.asFuture(self._loop)

    def _wanted(self) -> frozenset[str]:
        names = frozenset[str]().union(*[names for news, names in self._events.items() if news.is_open])
        return names | {ORIGINATED} if self._originating else names

    def _running(self) -> AMIClient:
        if self._client is None:
            raise Disconnected("the client was not started, or is stopped")
        return self._client


class _Filtered(News[Event]):
    """Events of which some are left out."""

    def __init__(
        self,
        awaitable: Callable[[Deferred[Any]], Awaitable[Any]],
        max_waiting: int,
        overflow: Overflow,
        where: Callable[[Event], bool] | None,
    ) -> None:
        super().__init__(awaitable, max_waiting, overflow)
        self._where = where

    def tell(self, news: Event) -> None:
        try:
            is_wanted = self._where is None or self._where(news)
        except Exception as error:
            # Only its reader is to see it.
            self.end(error)
            return
        if is_wanted:
            super().tell(news)


def _not_told(_: Any, seconds: float) -> None:
    raise NoAnswer("Originate", seconds)


def _pairs(headers: Mapping[str, str | Iterable[str]]) -> list[tuple[str, str]]:
    return [
        (name, value) for name, given in headers.items() for value in ([given] if isinstance(given, str) else given)
    ]


def _variables(given: Mapping[str, str] | None) -> list[tuple[str, str]]:
    return variables((given or {}).items())
