"""What the server does again and again."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall

from agi_monitor.server.parts import Part


class Repeated(Part):
    """Something that is done at intervals, the first time after one interval.

    Parameters:
        reactor: whose seconds they are.
        seconds: how many.
        action: what is done. When it returns a Deferred, the next one waits for it.
    """

    def __init__(self, reactor: IReactorTime, seconds: float, action: Callable[[], object]) -> None:
        self._seconds = seconds
        self._loop = LoopingCall(action)
        self._loop.clock = reactor

    async def start(self) -> None:
        """Begin with it."""
        self._loop.start(self._seconds, now=False)

    async def stop(self) -> None:
        """Begin it no more. One that is under way is not waited for."""
        if self._loop.running:
            self._loop.stop()
