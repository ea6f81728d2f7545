"""Asks the PBX over the manager interface, with an account of the administrator that is stored nowhere.

The commands of the shell wait for an answer, so Twisted runs in a thread of its own.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Any, Self, TypeVar, cast

import structlog
from twisted.internet.defer import CancelledError, Deferred, TimeoutError
from twisted.internet.threads import blockingCallFromThread

from agi_monitor.ami.connection import Event
from agi_monitor.ami.endpoints import Verification, endpoint
from agi_monitor.ami.limits import AMILimits
from agi_monitor.ami.messages import Message, action
from agi_monitor.ami.protocol import Account, AMIClient, Callbacks
from agi_monitor.ami.states import Down
from agi_monitor.errors import ActionFailed, AgiMonitorError, InstallFailed, PermissionDenied

LOGIN_SECONDS = 15.0
LIMITS = AMILimits(
    max_list_items=1_000_000,
    max_list_bytes=384 * 1024 * 1024,
    list_seconds=180.0,
    # Longer than a PBX needs for such a list, which it writes before it answers anything else.
    ping_reply_seconds=60.0,
)
"""A dialplan of FreePBX has about 25 priorities for each extension: 500,000 at 20,000 extensions, some 110 MB. Each
takes 2 KiB of memory until the check is over; a longer list costs its action."""

RELOAD_SECONDS = 60.0
"""Asterisk answers when it has read everything again; a large dialplan takes seconds."""

T = TypeVar("T")


class AdminSession:
    """One login, as a context manager. The account needs ``write = config``, for Reload and ShowDialPlan.

    Parameters:
        host: where the manager interface listens.
        port: its TCP port.
        username: of the account.
        secret: of the account.
        tls: a file with trusted certificates, or None for those of the system, and a name; None without TLS.
        wanted: names of events that ``event`` waits for; none are told otherwise.
    """

    def __init__(
        self,
        host: str,
        port: int,
        username: str,
        secret: str,
        tls: tuple[Path | None, str | None] | None = None,
        *,
        wanted: frozenset[str] = frozenset(),
    ) -> None:
        # Only now: importing the reactor chooses it, and the other commands need none.
        from twisted.internet import reactor

        self._events: SimpleQueue[Event] = SimpleQueue()
        self._where = f"{host}:{port}"
        self._reactor: Any = reactor
        self._thread = threading.Thread(
            target=self._reactor.run, kwargs={"installSignalHandlers": False}, name="ami", daemon=True
        )
        verification = None if tls is None else Verification(*tls)
        quiet = structlog.wrap_logger(
            structlog.PrintLogger(sys.stderr), wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL)
        )
        self._client = AMIClient(
            endpoint(self._reactor, host, port, verification),
            self._reactor,
            Account(username, secret, may_be_weak=True),
            Callbacks(self._events.put),
            wanted=wanted,
            event_classes="call" if wanted else "off",
            limits=LIMITS,
            log=cast(Any, quiet),
        )

    def __enter__(self) -> Self:
        # Twisted's timers go by the time of day otherwise.
        self._reactor.seconds = time.monotonic
        self._thread.start()
        try:
            self._log_in()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def _log_in(self) -> None:
        def start() -> Deferred[None]:
            self._client.startService()
            return self._client.when_up().addTimeout(LOGIN_SECONDS, self._reactor)

        try:
            self._in_reactor(start)
        except (TimeoutError, CancelledError):
            state = self._client.state
            reason = f": {state.reason}" if isinstance(state, Down) else ""
            raise InstallFailed(f"{self._where}: no login at the manager interface{reason}") from None
        except AgiMonitorError as error:
            raise InstallFailed(f"{self._where}: {error}") from error

    def _stop(self) -> None:
        self._in_reactor(self._client.stopService)
        self._reactor.callFromThread(self._reactor.stop)
        self._thread.join()

    def _wait(self, asked: Coroutine[Deferred[Any], Any, T]) -> T:
        return cast(T, self._in_reactor(lambda: Deferred.fromCoroutine(asked)))

    def _in_reactor(self, call: Callable[[], Any]) -> Any:
        return blockingCallFromThread(self._reactor, call)

    def reload(self, module: str) -> str | None:
        """Load a module's configuration again. Returns what Asterisk says is wrong with it, None when nothing.

        Raises:
            AgiMonitorError: there was no answer, or the account may not do this.
        """
        try:
            self._wait(self._client.perform(action("Reload", ("Module", module)), RELOAD_SECONDS))
        except PermissionDenied:
            raise
        except ActionFailed as error:
            return error.text
        return None

    def context(self, name: str) -> list[Mapping[str, str]] | None:
        """What the PBX has loaded in a context; None when it has no such context.

        Raises:
            AgiMonitorError: there was no answer, or the account may not do this.
        """
        try:
            answer = self._wait(self._client.perform_list(action("ShowDialPlan", ("Context", name))))
        except PermissionDenied:
            raise
        except ActionFailed as error:
            if error.has_begun:
                raise
            return None
        return [dict(reversed(item.message.headers)) for item in answer.items]

    def perform(self, name: str, *headers: tuple[str, str]) -> None:
        """Perform an action.

        Raises:
            AgiMonitorError: it was refused, or there was no answer.
        """
        self._wait(self._client.perform(action(name, *headers)))

    def ask(self, name: str, *headers: tuple[str, str]) -> Message:
        """Perform an action and return its answer.

        Raises:
            AgiMonitorError: it was refused, or there was no answer.
        """
        return self._wait(self._client.perform(action(name, *headers))).message

    def items(self, name: str, *headers: tuple[str, str]) -> list[Message]:
        """Perform an action that has a list as its answer.

        Raises:
            AgiMonitorError: it was refused, or there was no answer.
        """
        return [item.message for item in self._wait(self._client.perform_list(action(name, *headers))).items]

    def event(self, seconds: float) -> Event | None:
        """Wait for the next event that is wanted; None when there was none in this time."""
        try:
            return self._events.get(timeout=seconds) if seconds > 0 else self._events.get_nowait()
        except Empty:
            return None
