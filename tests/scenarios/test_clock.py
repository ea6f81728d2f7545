"""The time of day jumps while somebody is heard, as when a machine without a battery finds its time server."""

from __future__ import annotations

import time

import pytest

from contrib.lab.server import PINS
from tests.scenarios.house import House, heard_in

pytestmark = pytest.mark.either_version
"""The clock is that of our server."""

HOURS = 3_600.0


def jump(house: House, seconds: float) -> None:
    """Set the server's time of day."""
    assert house.server.clock_ahead is not None
    new = house.server.clock_ahead.with_suffix(".new")
    new.write_text(str(seconds))
    new.replace(house.server.clock_ahead)


@pytest.fixture
def clocked(house: House) -> House:
    """The house with a server whose time of day can be set."""
    house.server.stop()
    house.server.clock_ahead = house.server.folder / "clock-ahead"
    house.server.clock_ahead.write_text("0")
    house.server.start()
    return house


@pytest.mark.parametrize("hours", [2, -2], ids=["ahead", "back"])
def test_a_clock_that_jumps_changes_nothing(clocked: House, hours: int) -> None:
    """Spy, keys, lists, revocation and the next spy continue; nobody is taken for rogue, no deadline comes late,
    and what took seconds is on record as seconds."""
    house = clocked
    house.lab.connect("3001", "1001")
    began = time.monotonic()
    house.spy()
    jump(house, hours * HOURS)
    house.change_mode("whisper")
    house.hears(heard_in("whisper"))
    house.resync()
    (spy,) = house.wait_for_spies(1)
    mark = house.server.mark()
    house.kill(spy["id"])
    house.server.wait_for("spy_ended", mark, why="revoked")
    # The prompt for the next extension ends by its deadline alone, and the call with it.
    house.server.wait_for("extension_prompted", mark)
    house.lab.phone("2001").wait_until_idle()
    house.spy("barge")
    house.hears(heard_in("barge"))
    house.lab.phone("2001").hang_up()
    # However the clock was set, nothing took longer than the whole of it, or less than nothing.
    ended = house.server.wait_for_audit("spy_ended", 3)
    assert all(0.0 < record["seconds"] < time.monotonic() - began for record in ended)
    house.assert_no_alarm()
    assert len(house.server.events("pin_prompted")) == 2
    assert PINS["2001"] not in house.server.log.read_text()
