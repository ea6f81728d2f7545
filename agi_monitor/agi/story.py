"""Runs the coroutine of one session and tells it, once, that the session is over.

Cancelling a coroutine's Deferred only cancels what it waits for, and what that then raises is that thing's own
business (usually ``CancelledError``). A story shall see ``CallEnded`` wherever it waits, and only once: a second one
would tear its ``finally`` apart.

A story waits for replies most of the time, so these go into it directly: a Deferred with its callbacks, and
Twisted's own way to drive a coroutine, cost more than everything that is checked of a reply. Any other Deferred is
waited for as usual.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine, Generator
from contextvars import copy_context
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from agi_monitor.errors import CallEnded

T = TypeVar("T")

HELD_SECONDS = 0.5
"""A story that keeps the reactor for longer than this between two waits is reported: all other calls of the process
stand still meanwhile. A step takes microseconds, and a caller notices half a second."""


class ForeignAwaitable(TypeError):
    """A story on Twisted awaits something else than a Deferred."""


class Awaited(Deferred[T]):
    """A Deferred that a story which waits for it is told past the callbacks. Use ``answer`` and ``fail`` alone."""

    run: StoryRun | None = None
    """The story that waits for it; None when no story does, or none does yet."""

    def __await__(self) -> Generator[Deferred[T], Any, T]:
        # Not Twisted's own, which looks for the result in the Deferred.
        result: T = yield self
        return result

    def answer(self, value: T) -> None:
        """It is there."""
        run, self.run = self.run, None
        if run is None:
            self.callback(value)
        else:
            run._go_on(run._story.send, value)

    def fail(self, error: Exception) -> None:
        """It does not come."""
        run, self.run = self.run, None
        if run is None:
            self.errback(error)
        else:
            run._go_on(run._story.throw, error)


class StoryRun:
    """One run of one story.

    Parameters:
        story: the coroutine, not started yet. It may await Deferreds.
        over: called when it is over, with what it raised or None.
        held: called with the seconds of a step that took longer than ``HELD_SECONDS``.
        now: seconds of a clock that never steps back.
    """

    def __init__(
        self,
        story: Coroutine[Deferred[Any], Any, None],
        over: Callable[[BaseException | None], None],
        held: Callable[[float], None],
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._story = story
        self._over = over
        self._held = held
        self._now = now
        self._enter = copy_context().run
        self._waiting: Deferred[Any] | None = None
        self._fired: list[Any] = []
        self._running = False
        self._ending: str | None = None
        self.told = False

    def start(self) -> None:
        """Run it up to its first wait."""
        self._go_on(self._story.send, None)

    def end(self, why: str) -> None:
        """Cancel what the story waits for and raise ``CallEnded`` there. Every call but the first does nothing.

        When the story itself is running at the moment, it sees it where it waits next.
        """
        if self.told:
            return
        self.told = True
        self._ending = why
        waiting = self._waiting
        if self._running or waiting is None:
            return
        if isinstance(waiting, Awaited) and waiting.run is self:
            waiting.run = None
            _drop(waiting)
            self._go_on(self._story.throw, self._ended())
        else:
            waiting.cancel()

    def _ended(self) -> CallEnded:
        """Whatever the cancelled thing answered, the story is to know that its call is over."""
        why, self._ending = self._ending, None
        return CallEnded(why or "")

    def _go_on(self, step: Callable[[Any], Deferred[Any]], argument: Any) -> None:
        """Let the story run until it waits, or is over."""
        self._waiting = None
        while True:
            self._running = True
            began = self._now()
            try:
                awaited = self._enter(step, argument)
            except BaseException as error:
                self._running = False
                self._step_took(self._now() - began)
                self._over(None if isinstance(error, StopIteration) else error)
                return
            self._running = False
            self._step_took(self._now() - began)
            if self._ending is not None:
                _drop(awaited)
                step, argument = self._story.throw, self._ended()
            elif type(awaited) is Awaited and not awaited.called:
                awaited.run = self
                self._waiting = awaited
                return
            elif isinstance(awaited, Deferred):
                self._waiting = awaited
                self._running = True  # it may have fired already
                awaited.addBoth(self._other_fired)
                self._running = False
                if not self._fired:
                    return
                self._waiting = None
                step, argument = self._after(self._fired.pop())
            else:
                step, argument = (
                    self._story.throw,
                    ForeignAwaitable(f"only Deferreds can be awaited here, not {awaited!r}"),
                )

    def _step_took(self, seconds: float) -> None:
        if seconds > HELD_SECONDS:
            self._held(seconds)

    def _after(self, result: Any) -> tuple[Callable[[Any], Deferred[Any]], Any]:
        if self._ending is not None:
            return self._story.throw, self._ended()
        if isinstance(result, Failure):
            return self._story.throw, result.value
        return self._story.send, result

    def _other_fired(self, result: Any) -> None:
        if self._running:
            self._fired.append(result)
        else:
            self._go_on(*self._after(result))


def _drop(deferred: Deferred[Any]) -> None:
    """It is no longer awaited."""
    deferred.addErrback(lambda _: None)
    deferred.cancel()
