"""Who can dial a code at all, and whom the server listens to."""

from __future__ import annotations

import pytest

from contrib.lab.pbx import Lab
from tests.scenarios.house import House, heard_in

SECRET = "a-shared-secret-of-the-lab"


def test_a_phone_outside_the_groups_cannot_dial_a_code(house: House) -> None:
    """A customer's phone has no such number, and the server is not even asked."""
    phone = house.lab.phone("3002")
    for number in ("*222", "*2221001", "*2231001", "*2241001"):
        phone.dial(number)
        phone.wait_until_idle()
    assert {call.reason for call in phone.all_calls} == {"404 Not Found"}
    assert not house.server.events("call_started")


def test_a_permission_group_has_only_its_own_codes(house: House) -> None:
    """The group that may only listen has the listening code and no other."""
    house.lab.pbx.write_dialplan("lab-group", "[phones]\ninclude => agi-monitor-group-listeners\n")
    try:
        phone = house.lab.phone("3002")
        for number in ("*2231001", "*2241001", "*223"):
            phone.dial(number)
            phone.wait_until_idle()
        assert {call.reason for call in phone.all_calls} == {"404 Not Found"}
        assert not house.server.events("call_started")
        house.dial("*2221001", supervisor="3002")
    finally:
        house.lab.pbx.remove_dialplan("lab-group")


@pytest.mark.either_version
def test_other_codes(house: House, own_dialplan: Lab) -> None:
    """A site chooses its codes; the old ones lead nowhere."""
    codes = {"listen": "*81", "whisper": "*82", "barge": "*83"}
    house.server.configure(codes=codes)
    house.server.render()
    house.server.reload()
    house.server.wait_for("reloaded")
    house.lab.connect("3001", "1001")
    phone = house.lab.phone("2001")
    phone.dial("*2221001")
    phone.wait_until_idle()
    mark = house.server.mark()
    house.identify("*821001")
    house.server.wait_for("spy_started", mark, mode="whisper")
    house.hears(heard_in("whisper"))


@pytest.mark.either_version
def test_a_shared_secret(house: House, own_dialplan: Lab) -> None:
    """Without the secret in the dialplan every call is refused; with it, all is as before; no log of ours has it."""
    house.server.stop()
    house.server.configure(fastagi={"secret": SECRET})
    house.server.start()
    house.lab.connect("3001", "1001")
    phone = house.lab.phone("2001")
    phone.dial("*2221001")
    house.server.wait_for("agi_session_refused", reason="wrong_secret")
    phone.wait_until_idle()
    house.server.render()
    house.spy()
    house.hears(heard_in("listen"))
    assert SECRET not in house.server.log.read_text()


@pytest.mark.either_version
def test_a_peer_that_is_not_allowed(house: House) -> None:
    """A PBX that is not in the list gets no answer, and its caller a hang-up."""
    house.server.stop()
    house.server.configure(fastagi={"peers": ["127.0.0.1"]})
    house.server.start()
    phone = house.lab.phone("2001")
    phone.dial("*2221001")
    house.server.wait_for("agi_peer_refused")
    phone.wait_until_idle()
    assert not house.server.events("call_started")
