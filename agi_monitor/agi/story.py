"""Runs the coroutine of one session and tells it, once, that the session is over.

Cancelling a coroutine's Deferred only cancels what it waits for, and what that then raises is that thing's own
business (usually ``CancelledError``). A story shall see ``CallEnded`` wherever it waits, and only once: a second one
would tear its ``finally`` apart.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Generator
from typing import Any

from twisted.internet.defer import Deferred

from agi_monitor.errors import CallEnded


class StoryRun:
    """One run of one story.

    Parameters:
        story: the coroutine, not started yet. It may await Deferreds.
    """

    def __init__(self, story: Coroutine[Deferred[Any], Any, None]) -> None:
        self._story = story
        self._deferred: Deferred[None] | None = None
        self._running = False
        self._ending: str | None = None
        self.told = False

    def start(self) -> Deferred[None]:
        """Run it up to its first wait; fires when it is over."""
        self._deferred = Deferred.fromCoroutine(self._steps())
        return self._deferred

    def end(self, why: str) -> None:
        """Cancel what the story waits for and raise ``CallEnded`` there. Every call but the first does nothing.

        When the story itself is running at the moment, it sees it where it waits next.
        """
        if self.told:
            return
        self.told = True
        self._ending = why
        if self._deferred is not None and not self._running:
            self._deferred.cancel()

    def _steps(self) -> Generator[Deferred[Any], Any, None]:
        story = self._story
        step: Callable[[Any], Deferred[Any]] = story.send
        argument: Any = None
        while True:
            self._running = True
            try:
                awaited = step(argument)
            except StopIteration:
                return
            finally:
                self._running = False
            if self._ending is None:
                try:
                    argument = yield awaited
                    step = story.send
                except GeneratorExit:
                    story.close()
                    raise
                except BaseException as error:
                    step, argument = story.throw, error
            else:
                awaited.addErrback(lambda _: None)
                awaited.cancel()
            if self._ending is not None:
                # Whatever the cancelled thing answered, the story is to know that its call is over.
                step, argument = story.throw, CallEnded(self._ending)
                self._ending = None
