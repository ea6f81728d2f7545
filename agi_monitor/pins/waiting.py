"""Waiting for one's turn, and for others to be through. Pure: what is awaited comes in from outside."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator
from typing import Any, Protocol


class Wait(Protocol):
    """One wait of one call. It ends with ``over``; a call that ends meanwhile raises where it waits."""

    def __await__(self) -> Generator[Any, Any, None]:
        """Wait for it."""
        ...

    def over(self) -> None:
        """End the wait. Does nothing for a call that has ended."""
        ...


class Turns:
    """A limited number of turns at once; the others wait in the order in which they came.

    Parameters:
        size: how many have a turn at the same time.
        new_wait: makes a wait.
    """

    def __init__(self, size: int, new_wait: Callable[[], Wait]) -> None:
        self._free = size
        self._new_wait = new_wait
        self._waiting: deque[Wait] = deque()

    async def take(self) -> None:
        """Wait for a turn. Give it back with ``leave``."""
        if self._free > 0:
            self._free -= 1
            return
        wait = self._new_wait()
        self._waiting.append(wait)
        try:
            await wait
        except BaseException:
            if wait in self._waiting:
                self._waiting.remove(wait)
            else:
                # The turn had come just when the call ended: it is for the next.
                self.leave()
            raise

    def leave(self) -> None:
        """Give the turn to the one that has waited longest."""
        if self._waiting:
            self._waiting.popleft().over()
        else:
            self._free += 1


class Progress:
    """Lets everyone who waits know that something has happened, so that they look again.

    Parameters:
        new_wait: makes a wait.
    """

    def __init__(self, new_wait: Callable[[], Wait]) -> None:
        self._new_wait = new_wait
        self._waiting: list[Wait] = []
        self.number = 0
        """How often something has happened."""

    async def next(self) -> None:
        """Wait until something happens."""
        wait = self._new_wait()
        self._waiting.append(wait)
        try:
            await wait
        finally:
            if wait in self._waiting:
                self._waiting.remove(wait)

    def made(self) -> None:
        """Wake everything that waits."""
        self.number += 1
        waiting, self._waiting = self._waiting, []
        for wait in waiting:
            wait.over()
