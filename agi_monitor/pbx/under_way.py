"""Coroutines that were begun and are not awaited, until they have to be."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from twisted.internet.defer import Deferred, DeferredList
from twisted.python.failure import Failure


class UnderWay:
    """What was begun and is not over.

    Parameters:
        failed: told of what one of them raised.
    """

    def __init__(self, failed: Callable[[Failure], None]) -> None:
        self._failed = failed
        self._running: dict[Deferred[None], str] = {}

    def __len__(self) -> int:
        """Count them."""
        return len(self._running)

    def begin(self, coroutine: Coroutine[Deferred[Any], Any, None], about: str = "") -> Deferred[None]:
        """Begin one. Returns what cancels it.

        Parameters:
            coroutine: what to do.
            about: what it is about, for who waits for that alone.
        """
        running = Deferred.fromCoroutine(coroutine)
        self._running[running] = about
        running.addErrback(self._failed)
        running.addBoth(lambda _: self._running.pop(running, None) and None)
        return running

    async def idle(self, about: str | None = None) -> None:
        """Wait for all that were begun before this moment, and for what those have begun about the same.

        Parameters:
            about: only for those about this; None: for all that were begun before this moment.
        """
        while waiting := [running for running, is_about in self._running.items() if about in (None, is_about)]:
            await DeferredList(waiting)
            if about is None:
                return
