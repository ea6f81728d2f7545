"""Calls that may not be heard: by device, by number, by the dialplan; with the manager interface and without."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.scenarios.house import House, heard_in

MARKING = """[lab-tests]
exten => _730[0-9],1,Set(__AGI_MONITOR_PROTECTED=${LAB_MARK})
 same => n,Dial(PJSIP/1001,60)
exten => 7311,1,Set(AGI_MONITOR_PROTECTED=yes)
 same => n,Dial(PJSIP/3001,60)
exten => 7312,1,Set(__AGI_MONITOR_PROTECTED=yes)
 same => n,Goto(phones,500,1)
"""


with_and_without_ami = pytest.mark.parametrize("ami", [{}, {"ami": None}], ids=["with ami", "without ami"])


@pytest.fixture
def marking(house: House) -> Iterator[House]:
    """Numbers in the supervisors' dialplan whose calls are marked."""
    yield house
    house.lab.pbx.remove_dialplan("lab-marking")


def mark_calls(house: House, value: str = "1") -> None:
    """Let the dialplan mark the calls to 7301 with this value, those by 7311 and 7312 with yes."""
    house.lab.pbx.write_dialplan("lab-marking", MARKING.replace("${LAB_MARK}", value))


def assert_protected(house: House, number: str = "*2221001", supervisor: str = "2001") -> None:
    """Dialling is refused, and no spy was recorded."""
    mark = house.server.mark()
    call = house.identify(number, supervisor)
    house.server.wait_for("refused", mark, reason="protected")
    house.lab.phone(supervisor).hang_up(call)
    house.server.wait_for("call_ended", mark)
    assert house.server.audit("refused")[-1]["extension"] == number.removeprefix("*222")
    assert not house.server.audit("spy_started")


@pytest.mark.parametrize(
    ("caller", "number", "callee"),
    [("3001", "1001", "1001"), ("1001", "3001", "3001"), ("3001", "500", "1001"), ("3001", "501", "1001")],
    ids=["is called", "calls", "by a queue", "by a queue without Local channel"],
)
@with_and_without_ami
@pytest.mark.either_version
def test_the_other_party_protects_the_call(
    house: House, ami: dict[str, Any], caller: str, number: str, callee: str
) -> None:
    """By device or number, in either direction, over any channel: refused; without protection the call is heard."""
    house.restart(**ami)
    house.lab.connect(caller, number, callee)
    house.hears({"3001": {"1001"}, "1001": {"3001"}})
    for protected in ({"endpoints": ["PJSIP/3001"]}, {"numbers": ["3001"]}, {"numbers": ["30*"]}):
        house.reconfigure(protected=protected, **ami)
        assert_protected(house)
    house.reconfigure(**ami)
    house.spy()
    house.hears(heard_in("listen"))


@pytest.mark.either_version
@with_and_without_ami
def test_the_agents_own_device_protects_the_call(house: House, ami: dict[str, Any]) -> None:
    """An agent at a protected phone is not heard there."""
    house.restart(protected={"endpoints": ["PJSIP/1001"]}, **ami)
    house.lab.connect("3001", "1001")
    assert_protected(house)


@pytest.mark.either_version
@pytest.mark.parametrize(
    "protected",
    [{"endpoints": ["PJSIP/300"]}, {"numbers": ["300"]}, {"numbers": ["13001"]}, {"numbers": ["31*"]}],
    ids=str,
)
def test_what_is_like_it_is_not_it(house: House, protected: dict[str, Any]) -> None:
    """A part of a device's name, or of a number without a star, protects nothing."""
    house.reconfigure(protected=protected)
    house.lab.connect("3001", "1001")
    house.spy()
    house.hears(heard_in("listen"))


@with_and_without_ami
def test_the_dialplan_protects_the_call(marking: House, ami: dict[str, Any]) -> None:
    """A variable that the caller's dialplan has set, and the agent's channel has inherited."""
    marking.restart(**ami)
    mark_calls(marking)
    marking.lab.connect("2999", "7301", "1001")
    assert_protected(marking)
    marking.hears({"2999": {"1001"}, "1001": {"2999"}})


@pytest.mark.either_version
@pytest.mark.parametrize("value", ["", "0", "no"])
def test_a_mark_that_says_no(marking: House, value: str) -> None:
    """The same variable with a no protects nothing."""
    mark_calls(marking, value)
    marking.lab.connect("2999", "7301", "1001")
    marking.spy()
    marking.hears(heard_in("listen", customer="2999"))


def test_the_dialplan_protects_a_call_of_a_queue(marking: House) -> None:
    """The mark goes with the caller through a queue and its Local channel."""
    mark_calls(marking)
    marking.lab.connect("2999", "7312", "1001")
    assert_protected(marking)


def test_the_dialplan_protects_a_call_by_the_agent(marking: House) -> None:
    """The mark stands on the agent's own channel."""
    mark_calls(marking)
    marking.lab.connect("2001", "7311", "3001")
    assert_protected(marking, "*2222001", "2003")


def test_a_mark_that_comes_during_the_call(house: House) -> None:
    """At the next key the call is protected: neither the new mode nor the old one continues."""
    house.lab.connect("3001", "1001")
    house.spy()
    house.hears(heard_in("listen"))
    (agent,) = house.lab.pbx.channels_of("1001")
    house.lab.pbx.cli(f"dialplan set chanvar {agent.name} AGI_MONITOR_PROTECTED 1")
    mark = house.server.mark()
    house.lab.phone("2001").press("5")
    house.server.wait_for("refused", mark, reason="protected", mode="whisper")
    house.server.wait_for("refused", mark, reason="protected", mode="listen")
    house.server.wait_for("extension_prompted", mark)
    house.lab.wait_for_hearing({"3001": {"1001"}, "1001": {"3001"}, "2001": set()})
    assert len(house.server.audit("spy_started")) == 1


@pytest.mark.either_version
def test_of_two_calls_the_protected_one_is_not_offered(house: House) -> None:
    """Nothing is said of it, and the other one is heard without a question."""
    house.reconfigure(protected={"endpoints": ["PJSIP/3001"]})
    mobile = house.lab.phone("1001-mobile")
    house.lab.connect("3001", "1001")
    house.lab.phone("3002").dial("1001")
    mobile.answer()
    mark = house.server.mark()
    house.identify("*2221001")
    house.server.wait_for("spy_started", mark)
    assert not house.server.events("choice_prompted", since=mark)
    talking = {"3001": {"1001"}, "1001": {"3001"}, "3002": {"1001-mobile"}, "1001-mobile": {"3002"}}
    house.hears({**talking, "2001": {"3002", "1001-mobile"}})
