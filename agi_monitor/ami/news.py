"""News as an asynchronous iterator: bounded, and honest about what did not fit."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Generic, TypeVar

from twisted.internet.defer import Deferred

from agi_monitor.errors import EventsLost, LocalProtocolError

T = TypeVar("T")

MAX_WAITING = 1_000
"""News that wait to be read, by default: an event is some 2 kB."""


class Overflow(StrEnum):
    """What becomes of news that come while the queue is full. Reading the socket never waits for the program:
    Asterisk throws out a client that is slow."""

    FAIL = "fail"
    """They are dropped, and ``EventsLost`` is raised in their place."""
    SKIP = "skip"
    """They are dropped and counted."""


@dataclass(slots=True)
class _Gap:
    """Where news are missing."""

    number: int


class News(Generic[T]):
    """What happens, in order, from the moment this was made; for one reader.

    ::

        async with manager.events("Newchannel") as events:
            async for event in events:
                ...

    ``async for`` ends when the client is stopped, and raises what ended it otherwise. Outside ``async with`` it is
    told until it is garbage.

    Parameters:
        awaitable: makes of a Deferred what its reader awaits.
        max_waiting: news that are kept for a reader who is slow.
        overflow: what becomes of those that do not fit.
    """

    def __init__(
        self,
        awaitable: Callable[[Deferred[Any]], Awaitable[Any]],
        max_waiting: int = MAX_WAITING,
        overflow: Overflow = Overflow.FAIL,
    ) -> None:
        if max_waiting < 1:
            raise ValueError("max_waiting is at least 1")
        self.lost = 0
        """How many did not fit, in all."""
        self._awaitable = awaitable
        self._max_waiting = max_waiting
        self._overflow = overflow
        self._waiting: deque[T | _Gap] = deque()
        self._reader: Deferred[None] | None = None
        self._ended = False
        self._why: Exception | None = None

    def __aiter__(self) -> News[T]:
        return self

    async def __anext__(self) -> T:
        while not self._waiting:
            if self._ended:
                if self._why is not None:
                    raise self._why
                raise StopAsyncIteration
            if self._reader is not None:
                raise LocalProtocolError("another reader waits for these news already")
            self._reader = Deferred(self._reader_left)
            await self._awaitable(self._reader)
        news = self._waiting.popleft()
        if isinstance(news, _Gap):
            raise EventsLost(news.number)
        return news

    async def __aenter__(self) -> News[T]:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Nothing more is told, and what was not read is forgotten."""
        self._waiting.clear()
        self.end(None)

    # -- for the side that tells the news --

    @property
    def is_open(self) -> bool:
        """Whether it may be told more."""
        return not self._ended

    def tell(self, news: T) -> None:
        """Something has happened.

        Parameters:
            news: what has happened.
        """
        if self._ended:
            return
        if len(self._waiting) >= self._max_waiting:
            self._lose()
            return
        self._waiting.append(news)
        self._wake()

    def end(self, why: Exception | None) -> None:
        """Nothing more happens. What came before can still be read.

        Parameters:
            why: what the reader is told; None just ends the iteration.
        """
        if not self._ended:
            self._ended, self._why = True, why
            self._wake()

    def _lose(self) -> None:
        self.lost += 1
        last = self._waiting[-1]
        if isinstance(last, _Gap):
            last.number += 1
        elif self._overflow is Overflow.FAIL:
            # One more than fits: what is missing has its place, and the next that comes may find room after it.
            self._waiting.append(_Gap(1))

    def _wake(self) -> None:
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.callback(None)

    def _reader_left(self, _: Deferred[None]) -> None:
        self._reader = None
