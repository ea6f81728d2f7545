"""Who may: the phone says who it is, the PIN proves it, and nobody guesses one."""

from __future__ import annotations

import time

import pytest

from agi_monitor.pins.lock_outs import LockOut
from agi_monitor.storage.database import Database, file_url
from agi_monitor.storage.lock_out_table import LockOutTable
from contrib.lab.server import PINS
from contrib.lab.waiting import wait_until
from tests.scenarios.house import House, heard_in

pytestmark = pytest.mark.either_version
"""PINs, lock-outs and remembered PINs are ours; Asterisk plays prompts and passes digits on."""

WRONG = "1357924"


def locked_out(house: House, who: str) -> LockOut:
    """Return what the server has on record under a name."""
    table = LockOutTable(Database(file_url(house.server.folder / "state")))
    return table.change([who], lambda before: before)[who]


def sounds(house: House, session: str) -> list[str]:
    """List what a caller was played, in order."""
    return [
        line["line"]
        for line in house.server.events("agi_sent", session=session)
        if line["line"].startswith(("STREAM FILE", "GET DATA"))
    ]


def test_a_wrong_pin_gives_no_sound_and_locks_out(house: House) -> None:
    """Three wrong PINs end the call; the right one is refused after that, also by a new server."""
    house.lab.connect("3001", "1001")
    house.give_wrong_pins("*2221001", WRONG)
    house.wait_for_refusal("pin_wrong")
    house.lab.phone("2001").wait_until_idle()
    (lock,) = house.server.audit("locked_out")
    assert lock["supervisor"] == "anna"

    house.lab.phone("2001").dial("*2221001")
    house.wait_for_refusal("pin_locked")
    house.lab.phone("2001").wait_until_idle()

    assert house.server.stop() == 0
    house.server.start()
    mark = house.server.mark()
    house.lab.phone("2001").dial("*2221001")
    house.server.wait_for("refused", mark, reason="pin_locked")
    house.lab.phone("2001").wait_until_idle()
    assert len(house.server.events("pin_prompted")) == 3
    assert not house.server.audit("spy_started")
    house.hears({"3001": {"1001"}, "1001": {"3001"}})


def test_a_lock_out_ends_and_grows(house: House) -> None:
    """After the time the right PIN counts again; a fourth wrong one in a row locks for twice as long."""
    house.server.configure(pins={"attempts": 1, "lock_after": 1, "lock_seconds": 2})
    house.server.reload()
    house.server.wait_for("reloaded")
    house.lab.connect("3001", "1001")
    seconds = []
    for _ in range(2):
        house.give_wrong_pins("*2221001", WRONG, times=1)
        house.lab.phone("2001").wait_until_idle()
        entry = locked_out(house, "supervisor:anna")
        seconds.append(round(entry.until - entry.last))
        wait_until(lambda: time.time() > entry.until, 40, "the lock-out to end")  # noqa: B023 - used at once
    assert seconds == [2, 4]
    house.spy()
    house.hears(heard_in("listen"))


def test_one_supervisor_locked_out_does_not_lock_another(house: House) -> None:
    """Carla gets in while Anna is locked out."""
    house.lab.connect("3001", "1001")
    house.give_wrong_pins("*2221001", WRONG)
    house.spy(supervisor="2003")
    house.hears(heard_in("listen", supervisor="2003"))


def test_another_supervisors_pin_is_a_wrong_one(house: House) -> None:
    """A PIN belongs to a phone's owner."""
    house.lab.connect("3001", "1001")
    house.dial("*2221001")
    house.lab.phone("2001").press(PINS["2002"] + "#")
    house.server.wait_for("pin_refused")
    assert not house.server.audit("spy_started")


def test_an_unknown_endpoint_hears_what_a_wrong_pin_hears(house: House) -> None:
    """An unassigned phone is asked for a PIN, refused, and played exactly the same; a stolen PIN does not help."""
    house.lab.connect("3001", "1001")
    house.give_wrong_pins("*2221001", WRONG)
    house.lab.phone("2001").wait_until_idle()
    house.give_wrong_pins("*2221001", PINS["2001"], phone="2999")
    house.lab.phone("2999").wait_until_idle()
    known, unknown = (event["call"] for event in house.server.events("call_started"))
    assert sounds(house, known) == sounds(house, unknown) != []
    assert house.wait_for_refusal("endpoint_unknown")["supervisor"] is None
    assert not house.server.audit("spy_started")


def test_a_forged_caller_id_has_no_effect(house: House) -> None:
    """A phone that shows a supervisor's number and knows the PIN is still not the supervisor's phone."""
    house.lab.connect("3001", "1001")
    liar = house.lab.phone("2999")
    liar.restart(number="2001", display_name="Anna")
    house.give_wrong_pins("*2221001", PINS["2001"], phone="2999")
    record = house.wait_for_refusal("endpoint_unknown")
    assert record["endpoint"] == "PJSIP/2999"
    assert not house.server.audit("spy_started")


def test_a_remembered_pin_is_not_asked_for_again(house: House) -> None:
    """With remember_minutes the second call of the same phone goes straight to the agent."""
    house.server.configure(pins={"remember_minutes": 5})
    house.server.reload()
    house.server.wait_for("reloaded")
    house.lab.connect("3001", "1001")
    house.lab.phone("2001").hang_up(house.spy())
    house.server.wait_for_audit("spy_ended")
    house.lab.phone("2001").dial("*2221001")
    house.server.wait_for_audit("spy_started", 2)
    house.hears(heard_in("listen"))
    assert len(house.server.events("pin_prompted")) == 1


def test_a_supervisor_away_from_the_desk(house: House) -> None:
    """On an unassigned phone the number of the own phone and the PIN are enough, and the record names the phone.
    Without the right PIN the number is worth nothing. Elsewhere nothing changes."""
    house.reconfigure(pins={"any_phone": True})
    house.lab.connect("3001", "1001")
    phone = house.lab.phone("2999")
    for number, pin, outcome in (
        ("2001", WRONG, "pin_refused"),
        ("5555", PINS["2001"], "pin_refused"),
        ("2001", PINS["2001"], "spy_started"),
    ):
        mark = house.server.mark()
        call = phone.dial("*2221001")
        house.server.wait_for("number_prompted", mark)
        phone.press(number + "#")
        house.server.wait_for("pin_prompted", mark)
        phone.press(pin + "#")
        house.server.wait_for(outcome, mark)
        if outcome == "pin_refused":
            phone.hang_up(call)
    house.hears(heard_in("listen", supervisor="2999"))
    (started,) = house.server.audit("spy_started")
    assert (started["supervisor"], started["endpoint"]) == ("anna", "PJSIP/2999")
    phone.hang_up()
    house.server.wait_for_audit("spy_ended")
    mark = house.server.mark()
    house.dial("*2221001")
    assert not house.server.events("number_prompted", mark)
