"""agi_monitor.server.parts: one after the other, the other way round at the end, whatever goes wrong between."""

from __future__ import annotations

from collections.abc import Coroutine
from dataclasses import replace
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from agi_monitor.config.sections import Config
from agi_monitor.server.metrics import Readings
from agi_monitor.server.parts import Part, Parts
from agi_monitor.server.repeated import Repeated
from tests.doubles.coroutines import finish


class House:
    """Three parts, and what happens to them."""

    def __init__(self) -> None:
        self.happened: list[str] = []
        self.waits: dict[str, Deferred[None]] = {}
        """What is waited for there."""
        self.broken: set[str] = set()
        """What raises."""
        self.parts = Parts([Room(self, name, number) for number, name in enumerate(("cellar", "hall", "roof"))])

    async def happens(self, what: str) -> None:
        """Something happens, and takes its time."""
        self.happened.append(what)
        if what in self.waits:
            await self.waits[what]
            self.happened.append(f"{what}: done")
        self.breaks(what)

    def breaks(self, what: str) -> None:
        """It raises, if it is to."""
        if what in self.broken:
            raise OSError(what)

    def begin(self, story: Coroutine[Any, Any, None]) -> list[object]:
        """Begin with something. What comes of it will be in the list."""
        came: list[object] = []
        Deferred.fromCoroutine(story).addCallbacks(came.append, lambda failure: came.append(str(failure.value)))
        return came


class Room(Part):
    """A part."""

    def __init__(self, house: House, name: str, number: int) -> None:
        self._house = house
        self._name = name
        self._number = number

    async def start(self) -> None:
        """Begin."""
        await self._house.happens(f"{self._name} begins")

    async def stop(self) -> None:
        """End."""
        await self._house.happens(f"{self._name} ends")

    def reload(self, config: Config) -> None:
        """Take a configuration."""
        self._house.happened.append(f"{self._name} is told of {config.codes.listen}")
        self._house.breaks(f"{self._name} is told")

    def readings(self, found: Readings) -> Readings:
        """Add to those that are there."""
        if self._name == "hall":
            return super().readings(found)
        return replace(
            found, agi_sessions=found.agi_sessions + 1, look_ups={**found.look_ups, self._name: self._number}
        )


@pytest.fixture
def house() -> House:
    """A house in which nothing has happened yet."""
    return House()


def test_each_begins_when_the_one_before_is_there(house: House) -> None:
    """Not before."""
    house.waits["hall begins"] = Deferred()
    came = house.begin(house.parts.start())
    assert house.happened == ["cellar begins", "hall begins"]
    house.waits["hall begins"].callback(None)
    assert house.happened[2:] == ["hall begins: done", "roof begins"]
    assert came == [None]


def test_each_ends_when_the_one_behind_has_ended(house: House) -> None:
    """The last one first; a second stop finds nothing to end."""
    house.begin(house.parts.start())
    house.happened.clear()
    house.waits["roof ends"] = Deferred()
    came = house.begin(house.parts.stop())
    assert house.happened == ["roof ends"]
    house.waits["roof ends"].callback(None)
    assert house.happened[1:] == ["roof ends: done", "hall ends", "cellar ends"]
    finish(house.parts.stop())
    assert (came, len(house.happened)) == ([None], 4)


def test_what_cannot_begin_ends_those_that_have(house: House) -> None:
    """Itself as well, as far as it came; the others after it were never begun. The failure is the start's."""
    house.broken.add("hall begins")
    assert house.begin(house.parts.start()) == ["hall begins"]
    assert house.happened == ["cellar begins", "hall begins", "hall ends", "cellar ends"]
    finish(house.parts.stop())
    assert len(house.happened) == 4


def test_what_cannot_be_ended_after_a_failed_start_is_told_by_the_stop(house: House) -> None:
    """The start has a failure of its own to tell."""
    house.broken |= {"hall begins", "hall ends"}
    assert house.begin(house.parts.start()) == ["hall begins"]
    assert house.happened[-1] == "cellar ends"
    assert house.begin(house.parts.stop()) == ["hall ends"]
    assert house.happened[-2:] == ["cellar ends", "hall ends"]


def test_what_cannot_end_keeps_no_other_from_it(house: House) -> None:
    """The first failure is told, with the others; the next stop tries those again, and no others."""
    house.begin(house.parts.start())
    house.happened.clear()
    house.broken |= {"roof ends", "cellar ends"}
    with pytest.raises(OSError, match="roof ends") as caught:
        finish(house.parts.stop())
    assert caught.value.__notes__ == ["and then: OSError('cellar ends')"]
    assert house.happened == ["roof ends", "hall ends", "cellar ends"]
    house.broken.clear()
    finish(house.parts.stop())
    assert house.happened[3:] == ["roof ends", "cellar ends"]


def test_a_stop_waits_for_a_start_that_is_under_way(house: House) -> None:
    """Nothing is ended that is about to begin."""
    house.waits["hall begins"] = Deferred()
    house.begin(house.parts.start())
    stopped = house.begin(house.parts.stop())
    assert (house.happened, stopped) == (["cellar begins", "hall begins"], [])
    house.waits["hall begins"].callback(None)
    assert house.happened[3:] == ["roof begins", "roof ends", "hall ends", "cellar ends"]
    assert stopped == [None]


def test_nothing_is_ended_that_was_never_begun(house: House) -> None:
    """A stop before the start."""
    finish(house.parts.stop())
    assert house.happened == []


def test_all_are_told_of_another_configuration(house: House) -> None:
    """In order, whatever one of them makes of it: what it takes away must end."""
    house.broken.add("cellar is told")
    with pytest.raises(OSError, match="cellar is told"):
        house.parts.reload(Config())
    assert house.happened == ["cellar is told of *222", "hall is told of *222", "roof is told of *222"]


def test_readings_are_those_of_all(house: House) -> None:
    """Each adds its own to what others have read; a part without any adds none."""
    assert house.parts.readings("1.0") == Readings("1.0", agi_sessions=2, look_ups={"cellar": 0, "roof": 2})


def test_a_part_that_says_nothing_does_nothing() -> None:
    """Each says what it does, and no more."""
    part, readings = Part(), Readings("1.0")
    finish(part.start())
    part.reload(Config())
    assert part.readings(readings) is readings
    finish(part.stop())


# ---- what is done again and again --------------------------------------------------------------------------


def test_something_is_done_every_so_often() -> None:
    """The first time after as many seconds; the next one waits for the one before, and a stop for none."""
    clock, done = Clock(), list[Deferred[None]]()

    def action() -> Deferred[None]:
        done.append(Deferred())
        return done[-1]

    repeated = Repeated(clock, 5.0, action)
    finish(repeated.stop())
    finish(repeated.start())
    assert done == []
    clock.advance(5.0)
    clock.advance(5.0)
    assert len(done) == 1
    done[0].callback(None)
    clock.advance(5.0)
    assert len(done) == 2
    finish(repeated.stop())
    finish(repeated.stop())
    done[1].callback(None)
    clock.advance(50.0)
    assert len(done) == 2
    assert not clock.getDelayedCalls()
