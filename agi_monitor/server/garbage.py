"""When Python looks through everything it holds for garbage: while no call is on.

Most of what is no longer needed goes at once, and young circles go with the small collections, which take a
millisecond or two. A full one stops every thread until it has walked through all there is, 50 ms with ten thousand
people, and a reload would set off several.
"""

from __future__ import annotations

import gc
from collections.abc import Callable

from twisted.internet.interfaces import IReactorTime

from agi_monitor.server.parts import Part
from agi_monitor.server.repeated import Repeated

LOOK_SECONDS = 10.0
"""How often it is looked whether no call is on."""

MOST_SECONDS = 3_600.0
"""How long old circles may stay where there is always a call: then one call waits for them."""

WORTH = 10
"""Small collections since the last full one, from which on it is worth the time; Python's own number."""

NEVER = 1_000_000_000


class FullCollections:
    """Lets Python collect everything only when no call is on.

    Parameters:
        is_quiet: whether no call is on.
        seconds: on a monotonic clock.
    """

    def __init__(self, is_quiet: Callable[[], bool], seconds: Callable[[], float]) -> None:
        self._is_quiet = is_quiet
        self._seconds = seconds
        self._last = seconds()
        self._before = gc.get_threshold()

    def begin(self) -> None:
        """Collect everything there is, and look at none of it again: it stays, or goes without being looked for."""
        gc.collect()
        gc.freeze()
        young, middle, _ = self._before
        gc.set_threshold(young, middle, NEVER)

    def look(self) -> None:
        """Collect everything when there may be something, and no call is on or none was not for too long."""
        now = self._seconds()
        if gc.get_count()[2] >= WORTH and (self._is_quiet() or now - self._last >= MOST_SECONDS):
            gc.collect()
            self._last = now

    def end(self) -> None:
        """Let Python collect as it likes."""
        gc.set_threshold(*self._before)
        gc.unfreeze()


class Collecting(Part):
    """Full collections while no call is on, as long as the server runs.

    Parameters:
        is_quiet: whether no call is on.
        reactor: Twisted's.
    """

    def __init__(self, is_quiet: Callable[[], bool], reactor: IReactorTime) -> None:
        self._collections = FullCollections(is_quiet, reactor.seconds)
        self._look = Repeated(reactor, LOOK_SECONDS, self._collections.look)

    async def start(self) -> None:
        """Collect what the start has left, and look from time to time."""
        self._collections.begin()
        await self._look.start()

    async def stop(self) -> None:
        """Let Python collect as it likes."""
        await self._look.stop()
        self._collections.end()
