"""An ``asterisk.manager.Manager`` that keeps its word: pyst2's manager client on this package's own wire.

Two threads for each connection, whatever is asked: one reads, one calls the callbacks. They end with the last
reference to the manager.
"""

from __future__ import annotations

import contextlib
import itertools
import socket
import threading
import traceback
import weakref
from collections import defaultdict
from collections.abc import Callable, Mapping
from queue import Empty, Full, Queue, SimpleQueue
from struct import pack
from typing import Any

import asterisk.manager
from asterisk.manager import ManagerAuthException, ManagerSocketException

from agi_monitor.ami.connection import NEED_DATA, AMIConnection, Closed, Event, Greeting, Response
from agi_monitor.ami.limits import AMILimits
from agi_monitor.ami.messages import Action, Message, action, challenge_key
from agi_monitor.embedding.library_log import library_log
from agi_monitor.errors import Disconnected, LoginRefused, NoAnswer, RemoteProtocolError

PORT = 5038
"""Asterisk's own for the manager interface."""

CONNECT_SECONDS = 10.0
"""Until the PBX has taken the connection."""

RING_SECONDS = 30.0
"""How long an Originate that is not Async rings when it does not say (action_originate, manager.c)."""

MAX_EVENTS = 10_000
"""Events that wait for their callbacks; some 20 MB. A callback that hangs must not fill the memory."""

END_SECONDS = 5.0
"""How long ``close`` waits for each of the two threads."""

RECEIVE_BYTES = 65_536

Callback = Callable[[Any, "BlockingManager"], object]
"""Called with the event and the manager. One that returns True keeps the event from those after it."""

log = library_log()


class ManagerMsg(asterisk.manager.ManagerMsg):  # type: ignore[misc]  # pyst2 is untyped
    """What pyst2 calls a message.

    Parameters:
        message: as it came.
    """

    def __init__(self, message: Message) -> None:
        self.message = message
        self.response = [f"{name}: {value}\r\n" if name else f"{value}\r\n" for name, value in message.headers]
        self.headers: dict[str, Any] = {}
        printed: list[str] = []
        for name, value in message.headers:
            if not name and ":" in value:
                # pyst2 takes a header without a space behind the colon as well.
                name, _, value = value.partition(":")
            if name == "ChanVariable":
                variable, _, its_value = value.partition("=")
                self.headers.setdefault(name, {})[variable] = its_value
            elif name in ("", "Output"):
                printed.append(value)
            else:
                self.headers[name] = value
        # What a console command printed, line by line; pyst2 keeps the last one of them.
        self.data = "".join(f"{line}\n" for line in printed)
        if printed:
            self.headers["Output"] = self.data


class ConnectionLost(Disconnected, ManagerSocketException):  # type: ignore[misc]  # pyst2 is untyped
    """Not connected, or the connection was lost before the answer came. Both pyst2's exception and ours."""


class AnswerMissing(NoAnswer, ManagerSocketException):  # type: ignore[misc]  # pyst2 is untyped
    """An action was not answered in time."""


class AccountRefused(LoginRefused, ManagerAuthException):  # type: ignore[misc]  # pyst2 is untyped
    """The account or the secret is wrong."""


class SocketFailed(ConnectionLost):
    """The connection could not be made.

    Parameters:
        errno: of the operating system.
        strerror: what it says.
    """

    def __init__(self, errno: int | None, strerror: str) -> None:
        super().__init__(strerror)
        self.errno = errno
        self.strerror = strerror


class _Line:
    """One connection, and who waits for what on it."""

    def __init__(self, host: str, port: int, limits: AMILimits) -> None:
        self.events: Queue[Event | None] = Queue(MAX_EVENTS)
        self.greeting: SimpleQueue[Greeting | None] = SimpleQueue()
        self.is_open = True
        self._connection = AMIConnection(limits)
        self._waiting: dict[str, SimpleQueue[Message | None]] = {}
        self._state = threading.Lock()  # of the two above
        self._writing = threading.Lock()  # a writer must not keep the reader from reading
        self._dropping = False
        self._why = "the connection was lost before the answer came"
        try:
            self._socket = socket.create_connection((host, port), CONNECT_SECONDS)
        except OSError as error:
            raise SocketFailed(error.errno, error.strerror or str(error)) from error
        self._socket.settimeout(None)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # A PBX that reads no more must not hold who writes; the socket's own time-out would be the reader's too.
        seconds, rest = divmod(limits.action_seconds, 1)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, pack("ll", int(seconds), int(rest * 1e6)))
        self.reader = threading.Thread(target=self._read, name="manager reader", daemon=True)
        self.reader.start()

    def ask(self, asked: Action, seconds: float) -> Message:
        """Send an action and wait for its answer.

        Raises:
            Disconnected, NoAnswer, LocalProtocolError: see ``BlockingManager.send_action``.
        """
        answer: SimpleQueue[Message | None] = SimpleQueue()
        with self._state:
            if not self.is_open:
                raise ConnectionLost(f"{asked.name}: not connected")
            wire = self._connection.send(asked)
            self._waiting[asked.action_id] = answer
        try:
            with self._writing:
                self._socket.sendall(wire)
            message = answer.get(timeout=seconds)
        except OSError as error:
            self.close()  # a part of the action may have gone
            raise ConnectionLost(f"{asked.name}: {error.strerror}") from error
        except Empty:
            raise AnswerMissing(asked.name, seconds) from None
        finally:
            with self._state:
                self._waiting.pop(asked.action_id, None)
                self._connection.forget(asked)
        if message is None:
            raise ConnectionLost(f"{asked.name}: {self._why}")
        return message

    def close(self) -> None:
        """End the connection, and with it both threads."""
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            return

    def _read(self) -> None:
        try:
            while self._take(self._receive()):
                pass
        finally:
            with self._state:
                self.is_open = False
                waiting = list(self._waiting.values())
            self.greeting.put(None)
            for answer in waiting:
                answer.put(None)
            self._end_events()
            self._socket.close()

    def _receive(self) -> bytes:
        try:
            return self._socket.recv(RECEIVE_BYTES)
        except OSError:
            return b""

    def _take(self, data: bytes) -> bool:
        """Hand on what came; False at the end."""
        with self._state:
            if data:
                self._connection.receive_data(data)
            else:
                self._connection.receive_eof()
        while True:
            try:
                with self._state:
                    event = self._connection.next_event()
            except RemoteProtocolError as error:
                self._why = f"the connection was ended: {error}"
                return False
            if event is NEED_DATA:
                return bool(data)
            if isinstance(event, Closed):
                return False
            if isinstance(event, Greeting):
                self.greeting.put(event)
            elif isinstance(event, Response):
                with self._state:
                    answer = self._waiting.get(event.action.action_id)
                if answer is not None:
                    answer.put(event.message)
            elif isinstance(event, Event):
                self._queue(event)

    def _queue(self, event: Event) -> None:
        try:
            self.events.put_nowait(event)
        except Full:
            if not self._dropping:
                log.error("ami_events_dropped", waiting=MAX_EVENTS)
            self._dropping = True
        else:
            self._dropping = False

    def _end_events(self) -> None:
        while True:
            try:
                self.events.put_nowait(None)
            except Full:
                try:
                    self.events.get_nowait()
                except Empty:
                    continue
            else:
                return


def _dispatch(line: _Line, whose: weakref.ref[BlockingManager]) -> None:
    """Call the callbacks, one event after the other."""
    while (event := line.events.get()) is not None:
        manager = whose()
        if manager is None:
            return
        manager._tell(event)
        # Not kept while waiting: a manager without another reference is to go.
        del manager


class BlockingManager(asterisk.manager.Manager):  # type: ignore[misc]  # pyst2 is untyped
    """An ``asterisk.manager.Manager`` that keeps its word. Its methods are pyst2's; every one has a limit of time.

    Any thread may use it, a callback too. After a loss ``connect`` and ``login`` make a new connection; callbacks
    stay registered.

    Parameters:
        limits: sizes and times that the PBX is held to.
    """

    def __init__(self, limits: AMILimits | None = None) -> None:
        self.title: str | None = None
        self.version: str | None = None
        self.hostname = socket.gethostname()
        self._limits = limits or AMILimits()
        self._line: _Line | None = None
        self._dispatcher: threading.Thread | None = None
        self._numbers = itertools.count()
        self._callbacks: defaultdict[str, list[Callback]] = defaultdict(list)

    def __del__(self) -> None:
        # Not pyst2's: that waits for answers, in whichever thread happens to collect it.
        line = getattr(self, "_line", None)
        if line is not None:
            line.close()

    def connected(self) -> bool:
        """Whether there is a connection."""
        return self._line is not None and self._line.is_open

    def next_seq(self) -> int:
        """The next number of the ActionIDs."""
        return next(self._numbers)

    def connect(self, host: str, port: int = PORT) -> ManagerMsg:
        """Connect, and wait for Asterisk's first line; ``title`` and ``version`` are then set.

        Parameters:
            host: a name or an address, also of IPv6.
            port: TCP port.

        Raises:
            ManagerException: there is a connection.
            ManagerSocketException: it cannot be made, or it is not Asterisk's manager interface.
        """
        if self.connected():
            raise asterisk.manager.ManagerException("Already connected to manager")
        line = _Line(host, int(port), self._limits)
        try:
            greeting = line.greeting.get(timeout=self._limits.login_seconds)
        except Empty:
            greeting = None
        if greeting is None:
            line.close()
            raise ConnectionLost(f"{host}:{port} did not greet as Asterisk's manager interface does")
        self._line = line
        self.title, self.version = "Asterisk Call Manager", greeting.version
        self._dispatcher = threading.Thread(
            target=_dispatch, args=(line, weakref.ref(self)), name="manager callbacks", daemon=True
        )
        self._dispatcher.start()
        return ManagerMsg(Message((("Response", "Generated Header"), ("", f"{self.title}/{self.version}"))))

    def login(self, username: str, secret: str) -> ManagerMsg:
        """Log in. The secret itself is not sent.

        Parameters:
            username: the account of manager.conf.
            secret: its secret.

        Raises:
            ManagerAuthException: the account or the secret is wrong.
            ManagerSocketException: as of ``send_action``.
        """
        challenge = self.send_action({"Action": "Challenge", "AuthType": "MD5"}).message.text("Challenge")
        key = challenge_key(challenge, secret)
        answer = self.send_action({"Action": "Login", "AuthType": "MD5", "Username": username, "Key": key})
        if not answer.message.is_success:
            raise AccountRefused(answer.message.text("Message"))
        return answer

    def send_action(self, cdict: Mapping[str, object] | None = None, **kwargs: object) -> ManagerMsg:
        """Send an action and wait for its answer; an error is an answer too.

        Parameters:
            cdict: headers, ``Action`` among them; a list is one header for each of its values. It is left as it is.
            kwargs: more of them.

        Raises:
            ManagerException: it names no action.
            ManagerSocketException: there is no connection, it was lost before the answer, or none came in time.
            LocalProtocolError: a value holds a line break or cannot be sent; nothing was.
        """
        headers = {**(cdict or {}), **kwargs}
        name = str(headers.pop("Action", ""))
        if not name:
            raise asterisk.manager.ManagerException("the action has no name")
        action_id = str(headers.pop("ActionID", f"{self.hostname[:32]}-{self.next_seq():08x}"))
        pairs = [
            (header, str(value))
            for header, given in headers.items()
            for value in (given if isinstance(given, list | tuple) else [given])
        ]
        asked = Action(name, action(name, *pairs).headers, action_id)
        if self._line is None:
            raise ConnectionLost(f"{name}: not connected")
        return ManagerMsg(self._line.ask(asked, self._seconds(name, headers)))

    def _seconds(self, name: str, headers: Mapping[str, object]) -> float:
        """How long an answer may take; that of an Originate comes when the phone has answered."""
        if name.lower() != "originate":
            return self._limits.action_seconds
        given = str(headers.get("Timeout", ""))
        return self._limits.action_seconds + (int(given) / 1_000 if given.isdecimal() else RING_SECONDS)

    def register_event(self, event: str, function: Callback) -> None:
        """Call this function with each event of this name, and the manager.

        What it raises is logged, and the other callbacks are called.

        Parameters:
            event: the name, or ``*`` for all; those of the name come first.
            function: one that returns True keeps the event from those after it.
        """
        self._callbacks[event].append(function)

    def unregister_event(self, event: str, function: Callback) -> None:
        """Call it no longer.

        Parameters:
            event: as it was registered.
            function: the same.
        """
        self._callbacks[event].remove(function)

    def _tell(self, event: Event) -> None:
        told = asterisk.manager.Event(ManagerMsg(event.message))
        for callback in (*self._callbacks.get(event.name, ()), *self._callbacks.get("*", ())):
            try:
                if callback(told, self):
                    return
            except Exception as error:
                log.error(
                    "ami_callback_failed",
                    callback=getattr(callback, "__qualname__", type(callback).__name__),
                    error=type(error).__name__,
                    traceback="".join(traceback.format_exception(error)),
                )

    def close(self) -> None:
        """Log off and end the connection. Callbacks of events that came before are still called."""
        line, dispatcher = self._line, self._dispatcher
        if line is None:
            return
        if line.is_open:
            with contextlib.suppress(asterisk.manager.ManagerException):  # it is gone already, or will be
                self.logoff()
        line.close()
        for thread in (line.reader, dispatcher):
            if thread is not None and thread is not threading.current_thread():
                thread.join(END_SECONDS)
