"""Blocking functions as handlers, each call in a thread of its own; ``script`` makes one of a whole file.

Two rules: there are never more threads than was said, and a call that finds none is refused at once; a hang-up ends
what the script does, not only its next command.

How a script learns that its call is over
    Once. In a command, the command raises ``AGIHangup`` (``CallEnded`` is one). Elsewhere Python raises it between
    two steps of the script: in a loop, in a computation, and as soon as something that waits outside Python
    (``time.sleep``, a database driver) comes back; until then its thread counts against the bound. In its
    ``finally`` it may then send what Asterisk takes on a dead channel, as a coroutine may. The script of a call that
    is over before there is a thread for it does not run.

Why a hang-up that was raised in a thread is never taken back
    CPython 3.11 and 3.12 have one flag for all threads that says "somewhere an exception waits"; the exception clears
    it when it is delivered, and nothing else does: not that it is taken back, nor that its thread is over. While it
    is set every thread looks for work at each step. So a script that ends while its hang-up may still be on the way
    puts another exception in its place and waits until that one has come.
"""

from __future__ import annotations

import ctypes
import threading
import time
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, Protocol

import asterisk.agi
from structlog.typing import FilteringBoundLogger
from twisted.internet.defer import Deferred
from twisted.python.threadpool import ThreadPool

from agi_monitor.agi.end_reason import EndReason
from agi_monitor.agi.log_events import LogEvent
from agi_monitor.agi.messages import AGIRequest, Command, Reply
from agi_monitor.agi.pyst2 import BlockingAGI, SighupHangup, SigpipeHangup, use_line
from agi_monitor.agi.reactors import threads_end_here
from agi_monitor.agi.session import Session
from agi_monitor.embedding.library_log import library_log
from agi_monitor.errors import CallEnded

MAX_THREADS = 1_000
"""As many as ``limits.max_sessions``: a thread that waits for Asterisk costs some 50 KiB."""


class Threads(Protocol):
    """What is needed of the reactor."""

    def callFromThread(self, callable: Callable[..., Any], *args: Any) -> Any:  # noqa: N802 (Twisted's name)
        """Call something in the reactor's thread, soon."""


class _Settled(BaseException):
    """Takes the place of a hang-up that the script did not live to see."""


class _Bridge:
    """A session, for one thread. Fits ``pyst2.Line``.

    Parameters:
        session: the session.
        reactor: whose thread the session lives in.
        interrupt: whether a hang-up is raised between two steps of the script.
    """

    def __init__(self, session: Session, reactor: Threads, interrupt: bool) -> None:
        self.session = session
        self._reactor = reactor
        self.interrupts = interrupt
        self.has_agi = False
        """Whether the script has made an ``AGI()``, and does not speak AGI itself."""
        self.on_hangup: Callable[[], object] | None = None
        """Called in the script's thread before it is told, where it watches SIGHUP."""
        self._one_by_one = threading.RLock()  # commands of several threads of one script
        self._lock = threading.Lock()
        self._thread: int | None = None  # while the script runs
        self._waiting = False  # the script is in a command
        self._ended: CallEnded | None = None  # what it is to be told
        self._told = False
        self._raised = False  # between two steps: it may still be on its way
        self._deferred: Deferred[Reply] | None = None

    # -- in the script's thread --

    @property
    def request(self) -> AGIRequest:
        """The environment."""
        return self.session.request

    def run(self, function: Callable[[BlockingAGI], object]) -> None:
        """Run the script."""
        try:
            with self._lock:
                self._thread = threading.get_ident()
            use_line(self)
            try:
                if self.interrupts:
                    self.test_hangup()
                function(BlockingAGI(line=self))
            finally:
                self._settle()
        finally:
            # Once more: the hang-up may have come on the way into the line above. There is only one.
            self._settle()
            use_line(None)

    def _settle(self) -> None:
        """After this no exception comes from outside, and none waits."""
        while True:
            try:
                with self._lock:
                    self._thread = None
                if not self._raised:
                    return
                _raise_in(threading.get_ident(), _Settled)
                while True:
                    # Each time this thread gets Python's lock back it looks whether something waits for it.
                    time.sleep(0)
            except _Settled:
                self._raised = False
                return
            except SighupHangup:
                continue

    def test_hangup(self) -> None:
        """Tell, once, that the call is over."""
        with self._lock:
            if self._told:
                return
            # The second is a hang-up that the script asked for: nothing but its next command tells.
            if self._ended is None and not self.session.hung_up:
                return
            self._told = True
        if self.on_hangup is not None:
            self.on_hangup()
        raise self._ended or SighupHangup()

    def perform(self, command: Command) -> Reply:
        """Send a command and wait for its reply; several threads take turns."""
        with self._one_by_one:
            return self._perform(command)

    def _perform(self, command: Command) -> Reply:
        self.test_hangup()
        answers: SimpleQueue[Reply | BaseException] = SimpleQueue()
        answer: Reply | BaseException | None = None
        with self._lock:
            self._waiting = True
        try:
            self._reactor.callFromThread(self._send, command, answers)
            answer = answers.get()
        finally:
            with self._lock:
                self._waiting = False
            if answer is None:
                # Interrupted on the way: this reply is not awaited.
                self._reactor.callFromThread(self._give_up)
        if isinstance(answer, BaseException):
            if isinstance(answer, CallEnded):
                self.test_hangup()  # in its own words, when this is how the script learns of it
            raise answer
        if answer.code != 511 and not command.hangs_up:
            self.test_hangup()
        return answer

    # -- in the reactor's thread --

    def _send(self, command: Command, answers: SimpleQueue[Reply | BaseException]) -> None:
        if self._ended is not None and not self._told:
            answers.put(self._ended)
            return
        self._deferred = self.session.send(command)
        self._deferred.addCallbacks(answers.put, lambda failure: answers.put(self._as_hangup(failure.value)))

    def _as_hangup(self, error: BaseException) -> BaseException:
        """What a lost connection or an ended session is called in pyst2."""
        return _told_as(self.session, error) if isinstance(error, CallEnded) else error

    def _give_up(self) -> None:
        if self._deferred is not None:
            self._deferred.cancel()

    def end(self, ended: CallEnded) -> None:
        """The call is over: tell the script where it is."""
        with self._lock:
            self._ended = ended
            if self._told:
                return  # the session said so a moment earlier
            waiting = self._waiting
            if not waiting and self.interrupts and self._thread is not None:
                self._told = self._raised = True
                _raise_in(self._thread, SighupHangup)
        if waiting and self._deferred is not None:
            self._deferred.cancel()


def _raise_in(thread: int, error: type[BaseException]) -> None:
    """Let Python raise this in a thread, between two steps, in place of one that has not come yet."""
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(error))


def _daemon(*args: Any, **options: Any) -> threading.Thread:
    # A script that hangs outside Python must not keep the process from ending.
    return threading.Thread(*args, daemon=True, **options)


class BlockingStory:
    """Serves each call with a blocking function, in a thread. Made by ``blocking`` and ``blocking_script``.

    Parameters:
        function: is given a ``BlockingAGI``.
        threads: calls at once; one more is refused, and AGISTATUS is FAILURE.
        interrupt: whether a hang-up is raised between two steps of the script, or only by its next command.
        reactor: Twisted's own when not given.
        log: where calls without a thread are reported.
    """

    def __init__(
        self,
        function: Callable[[BlockingAGI], object],
        *,
        threads: int = MAX_THREADS,
        interrupt: bool = True,
        reactor: Threads | None = None,
        log: FilteringBoundLogger | None = None,
    ) -> None:
        if threads < 1:
            raise ValueError("at least one thread")
        self._function = function
        self._threads = threads
        self._interrupt = interrupt
        self._reactor = reactor
        self._log: FilteringBoundLogger = log or library_log()
        self._pool = ThreadPool(minthreads=0, maxthreads=threads, name="agi")
        self._pool.threadFactory = _daemon  # type: ignore[assignment]  # Twisted means it to be replaced
        self.busy = 0
        """Threads that run a script now; those count too whose call is long over."""

    async def __call__(self, session: Session) -> None:
        """Serve one session."""
        if self.busy >= self._threads:
            self._log.warning(LogEvent.NO_THREAD, session=session.id, threads=self._threads)
            session.refuse()
            return
        if not self._pool.started:
            self._pool.start()
        bridge = _Bridge(session, self._reactor or threads_end_here(), self._interrupt)
        over: Deferred[None] = Deferred()
        gone: Deferred[None] = Deferred()
        self.busy += 1
        self._pool.callInThread(self._run, bridge, over, gone)
        try:
            await over
        except CallEnded as ended:
            if not gone.called:
                bridge.end(_told_as(session, ended))
                await gone
            raise

    def stop(self) -> None:
        """Wait for the threads, which is for ever when a script does not end. For tests; a process just ends."""
        if self._pool.started:
            self._pool.stop()

    def _run(self, bridge: _Bridge, over: Deferred[None], gone: Deferred[None]) -> None:
        """In the thread."""
        raised: BaseException | None = None
        refused = False
        try:
            bridge.run(self._function)
        except SystemExit as left:
            refused = left.code not in (None, 0)
        except asterisk.agi.AGIHangup as ended:
            raised = ended if isinstance(ended, CallEnded) else CallEnded(str(ended))
        except BaseException as error:
            raised = error
        reactor = bridge._reactor
        reactor.callFromThread(self._over, bridge.session, refused, raised, over, gone)

    def _over(
        self,
        session: Session,
        refused: bool,
        raised: BaseException | None,
        over: Deferred[None],
        gone: Deferred[None],
    ) -> None:
        self.busy -= 1
        if refused:
            session.refuse()
        # Whichever the story waits for. What a script raises after the hang-up is told as well.
        waited = gone if over.called else over
        if raised is None or (over.called and isinstance(raised, CallEnded)):
            waited.callback(None)
        else:
            waited.errback(raised)
        if not gone.called:
            gone.callback(None)


def _told_as(session: Session, ended: CallEnded) -> CallEnded:
    if session.ended is EndReason.CONNECTION_LOST:
        return SigpipeHangup(str(ended))
    return SighupHangup(str(ended))


def blocking(function: Callable[[BlockingAGI], object], **options: Any) -> BlockingStory:
    """A handler from a function that blocks, such as one that was written for pyst2.

    Parameters:
        function: is given an object that is an ``asterisk.agi.AGI``, and runs in a thread.
        options: those of ``BlockingStory``: threads, interrupt.
    """
    return BlockingStory(function, **options)
