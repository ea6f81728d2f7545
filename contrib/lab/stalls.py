"""How long this machine kept a process waiting for a processor: for promises in seconds, which hold on a machine that
runs.

Scenarios run beside each other, and share the machine with whatever else it does. A thread that wants to run every
few milliseconds, and notes when it could not, tells how long what it shares the machine with had to wait as well.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from types import TracebackType
from typing import Self

TICK_SECONDS = 0.01
KEPT = 100_000
"""Stalls, the newest."""


class Stalls:
    """Watches from its beginning to its end, as a context manager."""

    def __init__(self) -> None:
        self._found: deque[tuple[float, float]] = deque(maxlen=KEPT)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="stalls", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def seconds(self, begin: float, end: float) -> float:
        """Add up how long the thread was late between two moments.

        :param begin: seconds since 1970
        :param end: the same
        """
        return sum(max(0.0, min(end, until) - max(begin, since)) for since, until in list(self._found))

    def _watch(self) -> None:
        at = time.time()
        while not self._over.wait(TICK_SECONDS):
            now = time.time()
            if now - at > 2 * TICK_SECONDS:
                self._found.append((at + TICK_SECONDS, now))
            at = now
