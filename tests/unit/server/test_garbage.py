"""agi_monitor.server.garbage: all is collected while no call is on, and once an hour where there always is one."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

from agi_monitor.server.garbage import MOST_SECONDS, WORTH, FullCollections


class Circle:
    """Something that holds itself."""

    def __init__(self) -> None:
        self.itself = self


class House:
    """A server with or without calls, and its clock."""

    def __init__(self) -> None:
        self.quiet = False
        self.now = 1_000.0
        self.collections = FullCollections(lambda: self.quiet, lambda: self.now)
        self.collections.begin()

    def old_circle(self) -> weakref.ref[Circle]:
        """Something that is no longer needed and that no small collection looks at."""
        circle = Circle()
        found = weakref.ref(circle)
        for _ in range(WORTH + 2):
            gc.collect(1)
        del circle
        gc.collect(1)
        return found


@pytest.fixture(scope="module", autouse=True)
def _frozen_again() -> Iterator[None]:
    """What was frozen before the first test is so after the last one; see ``tests/conftest.py``."""
    yield
    gc.collect()
    gc.freeze()


@pytest.fixture
def house() -> Iterator[House]:
    """A server that serves."""
    found = House()
    yield found
    found.collections.end()


def test_nothing_is_collected_during_a_call(house: House) -> None:
    """It stays for a while, and does no harm."""
    circle = house.old_circle()
    house.now += MOST_SECONDS - 1
    house.collections.look()
    assert circle() is not None


def test_everything_is_collected_while_no_call_is_on(house: House) -> None:
    """At the next look."""
    circle = house.old_circle()
    house.quiet = True
    house.collections.look()
    assert circle() is None


def test_everything_is_collected_once_an_hour(house: House) -> None:
    """Where there is always a call, memory does not grow for ever."""
    for _ in range(2):
        circle = house.old_circle()
        house.now += MOST_SECONDS
        house.collections.look()
        assert circle() is None


def test_young_circles_go_as_ever(house: House) -> None:
    """The small collections are Python's own."""
    circle = weakref.ref(Circle())
    gc.collect(0)
    assert circle() is None
    assert gc.get_threshold()[:2] == house.collections._before[:2]


def test_the_end_is_as_it_was_before() -> None:
    """Anyone who uses the server in a program of their own gets their Python back."""
    before = gc.get_threshold()
    house = House()
    assert gc.get_threshold() != before
    house.collections.end()
    assert gc.get_threshold() == before
    assert gc.get_freeze_count() == 0
