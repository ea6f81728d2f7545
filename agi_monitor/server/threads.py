"""Threads of the server's own, for what blocks."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from twisted.internet.interfaces import IReactorFromThreads
from twisted.internet.threads import deferToThreadPool
from twisted.python.threadpool import ThreadPool

from agi_monitor.server.parts import Part

Result = TypeVar("Result")


class Threads(Part):
    """A few threads, awaitable. ``pins.guard.InThread`` in Twisted.

    Parameters:
        reactor: Twisted's.
        size: how many.
        name: of each.
    """

    def __init__(self, reactor: IReactorFromThreads, size: int, name: str) -> None:
        self._reactor = reactor
        self._pool = ThreadPool(size, size, name)

    async def start(self) -> None:
        """Start the threads."""
        self._pool.start()

    async def stop(self) -> None:
        """Stop them, after what they are doing."""
        self._pool.stop()

    async def __call__(self, function: Callable[[], Result], /) -> Result:
        """Run a blocking function and return what it returns."""
        result: Result = await deferToThreadPool(self._reactor, self._pool, function)
        return result
