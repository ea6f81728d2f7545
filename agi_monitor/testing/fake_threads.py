"""The reactor's thread, for scripts that block, without a reactor."""

from __future__ import annotations

from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any

SECONDS = 10.0
"""How long nothing may happen before a script is said to hang."""


class FakeThreads:
    """Takes calls from threads and makes them in the thread that waits."""

    def __init__(self) -> None:
        self._calls: SimpleQueue[Callable[[], Any]] = SimpleQueue()

    def callFromThread(self, callable: Callable[..., Any], *args: Any) -> None:  # noqa: N802 (Twisted's name)
        """Call something in the thread that waits, soon."""
        self._calls.put(lambda: callable(*args))

    def run_until(self, over: Callable[[], bool], what: str) -> None:
        """Make calls until a condition is true.

        Parameters:
            over: the condition.
            what: in words.

        Raises:
            AssertionError: nothing happened for ``SECONDS``.
        """
        while not over():
            try:
                call = self._calls.get(timeout=SECONDS)
            except Empty:
                raise AssertionError(f"nothing more happens, and {what} is not true") from None
            call()

    def run_waiting(self) -> None:
        """Make the calls that wait now."""
        while not self._calls.empty():
            self._calls.get()()
