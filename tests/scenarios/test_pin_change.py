"""A PIN that has to be changed is changed on the phone, before anything is heard."""

from __future__ import annotations

import pytest

from contrib.lab.server import PINS
from contrib.lab.waiting import wait_until
from tests.scenarios.house import House, heard_in

pytestmark = pytest.mark.either_version
"""PINs are ours; Asterisk plays prompts and passes digits on."""

NEW = "90210777"
ANSWER_SECONDS = 40.0


def answer(house: House, sound: str, digits: str, mark: int) -> int:
    """Wait until this sound asks for digits, and key them in. Returns a mark from before them."""

    def asked() -> bool:
        return any(f'"{sound}"' in event["line"] for event in house.server.events("agi_sent", mark))

    wait_until(asked, ANSWER_SECONDS, f"the server to ask with {sound}")
    mark = house.server.mark()
    house.lab.phone("2001").press(f"{digits}#")
    return mark


def test_a_pin_is_changed_on_the_phone(stored: House) -> None:
    """The own number is refused; then the new one counts, at once and alone, and the call continues, until an
    administrator gives another one: that ends what this one opened."""
    house = stored
    house.lab.connect("3001", "1001")
    house.change("pin", "expire", "anna")
    mark = house.server.mark()
    call = house.lab.phone("2001").dial("*2221001")
    mark = answer(house, "agent-pass", PINS["2001"], mark)
    mark = answer(house, "vm-newpassword", "200142", mark)
    mark = answer(house, "vm-newpassword", NEW, mark)
    answer(house, "vm-reenterpassword", NEW, mark)
    house.server.wait_for_audit("spy_started")
    house.hears(heard_in("listen"))
    (changed,) = house.server.audit("pin_changed")
    assert (changed["supervisor"], changed["endpoint"], changed["why"]) == ("anna", "PJSIP/2001", "asked")
    house.lab.phone("2001").hang_up(call)

    mark = house.server.mark()
    house.lab.phone("2001").dial("*2221001")
    mark = answer(house, "agent-pass", PINS["2001"], mark)
    answer(house, "auth-incorrect", NEW, mark)
    house.server.wait_for_audit("spy_started", 2)
    house.hears(heard_in("listen"))
    by = {record["by"] for record in house.server.audit("people_changed") if record["entry"] == "anna"}
    assert "anna by phone" in by
    kept = [*house.server.folder.rglob("*"), house.server.log, house.server.audit_file]
    assert [path for path in kept if path.is_file() and NEW.encode() in path.read_bytes()] == []

    mark = house.server.mark()
    house.change("pin", "reset", "anna")
    (revoked,) = house.server.wait_for_audit("spy_revoked")
    assert (revoked["why"], revoked["by"]) == ("identity_changed", "")
    house.server.wait_for("refused", mark, reason="identity_changed")
    house.lab.phone("2001").wait_until_idle()
    house.hears({"3001": {"1001"}, "1001": {"3001"}})


def test_who_does_not_change_it_hears_nobody(stored: House) -> None:
    """Two that differ, as often as they like; the next call asks again."""
    house = stored
    house.lab.connect("3001", "1001")
    house.change("pin", "expire", "anna")
    mark = house.server.mark()
    house.lab.phone("2001").dial("*2221001")
    mark = answer(house, "agent-pass", PINS["2001"], mark)
    for _ in range(3):
        mark = answer(house, "vm-newpassword", NEW, mark)
        mark = answer(house, "vm-reenterpassword", "31407296", mark)
    house.wait_for_refusal("pin_expired")
    house.lab.phone("2001").wait_until_idle()
    assert not house.server.audit("spy_started")
    house.hears({"3001": {"1001"}, "1001": {"3001"}})

    mark = house.server.mark()
    call = house.lab.phone("2001").dial("*2221001")
    answer(house, "agent-pass", PINS["2001"], mark)
    house.server.wait_for("pin_change_prompted", mark)
    house.lab.phone("2001").hang_up(call)
    assert not house.server.audit("pin_changed")
