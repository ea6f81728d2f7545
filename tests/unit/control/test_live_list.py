"""When a list is looked at: soon after a ring, and not more often than it is worth."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.task import Clock

from agi_monitor.control.live_list import LEISURE, LOOK_SECONDS, SETTLE_SECONDS, LiveList
from agi_monitor.shown import Row


class Watched:
    """A list of which each look takes this long, and its answers."""

    def __init__(self, takes: float = 0.0) -> None:
        self.clock = Clock()
        self.takes = takes
        self.looks: list[float] = []
        self.sent: list[Row] = []
        self.row: dict[str, Any] = {"calls": []}
        self.list = LiveList(self.look, self.sent.append, self.clock)

    def look(self) -> Row:
        """Look, which takes its time."""
        self.looks.append(self.clock.seconds())
        self.clock.rightNow += self.takes
        return self.row

    def passes(self, seconds: float) -> None:
        """Let time pass, in small steps."""
        until = self.clock.seconds() + seconds
        while self.clock.seconds() < until:
            self.clock.advance(0.05)


def test_a_ring_is_looked_at_once_and_then_until_it_is_quiet() -> None:
    """A thousand rings are one look; what is decided a moment after the last one is seen as well."""
    watched = Watched()
    for _ in range(1000):
        watched.list.ring()
    watched.passes(1.0)
    watched.row = {"calls": ["late"]}
    watched.passes(SETTLE_SECONDS * 2)
    assert watched.sent == [{"calls": []}, {"calls": ["late"]}]
    assert len(watched.looks) <= SETTLE_SECONDS / LOOK_SECONDS + 2
    assert not watched.clock.getDelayedCalls()


@pytest.mark.parametrize("takes", [0.1, 2.0])
def test_looking_takes_no_more_than_a_tenth_of_the_time(takes: float) -> None:
    """However often it rings: a server with 20,000 channels has calls to serve."""
    watched = Watched(takes)
    for _ in range(4_000):
        watched.list.ring()
        watched.clock.advance(0.05)
    assert len(watched.looks) * takes <= watched.clock.seconds() / LEISURE + takes


def test_after_the_stop_nothing_is_looked_at() -> None:
    """Not even what has rung before."""
    watched = Watched()
    watched.list.ring()
    watched.list.stop()
    watched.list.ring()
    watched.passes(5.0)
    assert (watched.looks, watched.clock.getDelayedCalls()) == ([], [])
