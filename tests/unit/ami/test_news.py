"""agi_monitor.ami.news: in order, bounded, and honest about what did not fit."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

import pytest
from twisted.internet.defer import Deferred

from agi_monitor.ami.news import News, Overflow
from agi_monitor.errors import EventsLost, LocalProtocolError


def made(max_waiting: int = 3, overflow: Overflow = Overflow.FAIL) -> News[int]:
    """News on Twisted."""
    return News(lambda deferred: deferred, max_waiting, overflow)


def read(news: News[int]) -> list[Any]:
    """All that can be read without waiting: news, and what is raised between them."""
    found: list[Any] = []
    while True:
        reading = Deferred.fromCoroutine(_next(news, found))
        if not reading.called:
            reading.cancel()
            reading.addErrback(lambda _: None)
            return found
        if found and found[-1] == "over":
            return found


async def _next(news: News[int], found: list[Any]) -> None:
    try:
        found.append(await anext(news))
    except EventsLost as lost:
        found.append(lost.number)
        found.append("lost")
    except StopAsyncIteration:
        found.append("over")


def test_they_come_in_order() -> None:
    """Those that were there, and those that come during a wait."""
    news = made()
    seen: list[int] = []

    async def reader() -> None:
        async for one in news:
            seen.append(one)

    news.tell(1)
    done = Deferred.fromCoroutine(reader())
    news.tell(2)
    news.tell(3)
    assert seen == [1, 2, 3]
    news.end(None)
    assert done.called
    news.tell(4)
    assert read(news) == ["over"]


def test_what_does_not_fit_is_missed_where_it_was() -> None:
    """Those before are read, the gap is raised once, and those after it come."""
    news = made()
    for one in range(6):
        news.tell(one)
    assert news.lost == 3
    assert read(news) == [0, 1, 2, 3, "lost"]
    news.tell(7)
    assert read(news) == [7]


def test_a_gap_stays_in_its_place() -> None:
    """What comes once there is room again is behind the gap."""
    news = made()
    for one in range(5):
        news.tell(one)
    found: list[Any] = []
    Deferred.fromCoroutine(_next(news, found))
    Deferred.fromCoroutine(_next(news, found))
    news.tell(8)
    assert found + read(news) == [0, 1, 2, 2, "lost", 8]


def test_what_does_not_fit_may_be_skipped() -> None:
    """It is counted."""
    news = made(overflow=Overflow.SKIP)
    for one in range(6):
        news.tell(one)
    assert (read(news), news.lost) == ([0, 1, 2], 3)


def test_the_end_may_be_an_error() -> None:
    """Raised behind what came before, and again to anyone who asks again."""
    news = made()
    news.tell(1)
    news.end(ConnectionError("refused"))
    found: list[Any] = []
    Deferred.fromCoroutine(_next(news, found))
    assert found == [1]
    for _ in range(2):
        asking: Coroutine[Any, Any, int] = news.__anext__()
        with pytest.raises(ConnectionError, match="refused"):
            asking.send(None)


def test_one_reader_at_a_time() -> None:
    """A second one is told so; one that was cancelled leaves its place to the next."""
    news = made()
    found: list[Any] = []
    first = Deferred.fromCoroutine(_next(news, found))
    with pytest.raises(LocalProtocolError, match="another reader waits"):
        news.__anext__().send(None)
    first.addErrback(lambda _: None)
    first.cancel()
    Deferred.fromCoroutine(_next(news, found))
    news.tell(5)
    assert found == [5]


def test_closing_forgets() -> None:
    """Leaving the block ends it."""
    news = made()
    news.tell(1)

    async def block() -> None:
        async with news as same:
            assert same is news

    Deferred.fromCoroutine(block())
    assert not news.is_open
    assert read(news) == ["over"]


def test_nothing_fits_into_nothing() -> None:
    """A bound of 0 is a mistake."""
    with pytest.raises(ValueError, match="at least 1"):
        made(max_waiting=0)
