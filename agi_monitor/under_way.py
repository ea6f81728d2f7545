"""Coroutines that were begun and that nobody waits for, until somebody has to."""

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
        self._running: set[Deferred[None]] = set()

    def __len__(self) -> int:
        """Count them."""
        return len(self._running)

    def begin(self, coroutine: Coroutine[Deferred[Any], Any, None]) -> Deferred[None]:
        """Begin one. Returns what cancels it."""
        running = Deferred.fromCoroutine(coroutine)
        self._running.add(running)
        running.addErrback(self._failed)
        running.addBoth(lambda _: self._running.discard(running))
        return running

    async def idle(self) -> None:
        """Wait for all that were begun before this moment."""
        if self._running:
            await DeferredList(list(self._running))
