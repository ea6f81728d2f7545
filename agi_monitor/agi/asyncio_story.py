"""Handlers that await asyncio's things, on Twisted's asyncio reactor.

The handler runs as an asyncio task, so that whatever needs one (``asyncio.timeout``, ``TaskGroup``, most libraries)
finds it. What it knows of a call is the same: ``CallEnded`` is raised where it waits, once, and its ``finally`` may
await more.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
import types
from collections.abc import Callable, Coroutine, Generator
from typing import Any

from twisted.internet.defer import Deferred

from agi_monitor.agi.routing import Story, name_of
from agi_monitor.agi.session import Session
from agi_monitor.agi.story import HELD_SECONDS
from agi_monitor.errors import CallEnded


class _Telling:
    """Drives a handler inside a task, and turns the task's cancellation into ``CallEnded`` when the call is over.

    Parameters:
        handler: the coroutine, not started yet.
        loop: that the task runs in.
        held: called with the seconds of a step that took longer than ``HELD_SECONDS``.
        now: seconds of a clock that never steps back.
    """

    def __init__(
        self,
        handler: Coroutine[Any, Any, None],
        loop: asyncio.AbstractEventLoop,
        held: Callable[[float], None],
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._handler = handler
        self._loop = loop
        self._held = held
        self._now = now
        self._why: str | None = None
        self._waits = False
        self._asked = False  # the task is cancelled, and has not seen it

    def end(self, task: asyncio.Task[None], why: str) -> None:
        """Raise ``CallEnded`` where the handler waits: where it waits next, when it runs or has not begun."""
        self._why = why
        if self._waits:
            self._cancel(task)

    def _cancel(self, task: asyncio.Task[Any]) -> None:
        if not self._asked:
            self._asked = True
            task.cancel()

    @types.coroutine
    def run(self) -> Generator[Any, Any, None]:
        """The steps of the handler."""
        step: Callable[[Any], Any] = self._handler.send
        argument: Any = None
        while True:
            began = self._now()
            try:
                awaited = step(argument)
            except StopIteration:
                return
            finally:
                if (seconds := self._now() - began) > HELD_SECONDS:
                    self._held(seconds)
            task = asyncio.current_task()
            if self._why is not None and task is not None:
                self._cancel(task)
            self._waits = True
            try:
                if isinstance(awaited, Deferred):
                    argument = yield from awaited.asFuture(self._loop)
                else:
                    argument = yield awaited
                step = self._handler.send
            except GeneratorExit:
                self._handler.close()
                raise
            except BaseException as error:
                step, argument = self._handler.throw, error
                if isinstance(error, asyncio.CancelledError) and self._why is not None:
                    argument = CallEnded(self._why)
                    self._why = None
                    self._asked = False
                    if task is not None:
                        task.uncancel()
            finally:
                self._waits = False


async def _completed(handler: _Telling) -> None:
    await handler.run()


def on_asyncio(handler: Story) -> Story:
    """A story from a coroutine function that awaits asyncio's things besides the session's methods.

    Parameters:
        handler: takes the session. Deferreds may be awaited too, though not in tasks that it starts itself:
            ``await deferred.asFuture(loop)`` there.

    Raises:
        RuntimeError: when a call comes in and the reactor is not Twisted's asyncio reactor.
    """

    async def story(session: Session) -> None:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            raise RuntimeError(
                "a handler for asyncio needs Twisted's asyncio reactor: serve(..., use_asyncio=True), or "
                "twistd --reactor asyncio"
            ) from None
        session.handler = name_of(handler)
        session.awaiting(lambda deferred: deferred.asFuture(loop))
        telling = _Telling(handler(session), loop, session.held)
        task = loop.create_task(_completed(telling))
        over: Deferred[None] = Deferred()
        done = Deferred.fromFuture(task)
        done.addBoth(_pass_on, over)
        try:
            # Not the task itself: what a story waits for is cancelled when the call ends.
            await over
        except CallEnded as ended:
            if task.done():
                raise
            telling.end(task, str(ended))
            with contextlib.suppress(asyncio.CancelledError):  # it knew, and no longer waited for anything
                await done

    return story


def _pass_on(result: Any, over: Deferred[None]) -> Any:
    if over.called:
        return result
    over.callback(result)
    return None
