"""One thing after the other."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from threading import RLock


class Turns:
    """Steps that a fake PBX takes one after the other, however deep in calls of its own the code that asks for one
    is.
    """

    def __init__(self) -> None:
        self.lock = RLock()
        """Held while a step is taken: over TCP, the test and the connection have threads of their own."""
        self._steps: deque[Callable[[], None]] = deque()
        self._taking = False

    def later(self, step: Callable[[], None]) -> None:
        """Take a step: at once, or behind those that are under way."""
        with self.lock:
            self._steps.append(step)
            if self._taking:
                return
            self._taking = True
            try:
                while self._steps:
                    self._steps.popleft()()
            finally:
                self._taking = False
