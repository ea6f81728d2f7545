"""Key 7: the supervisor continues with the customer, and the agent is released."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.scenarios.house import House, heard_in

BEHIND_THE_CALL = """[lab-tests]
exten => 7301,1,Dial(PJSIP/1001,60)
 same => n,Milliwatt()
exten => 7302,1,Dial(PJSIP/1001,60,g)
 same => n,Milliwatt()
"""
"""What a customer dials: there is more behind the call, and with option g it is reached when the agent hangs up."""

TAKEN_OVER: dict[str, set[str]] = {"3001": {"2001"}, "2001": {"3001"}}


@pytest.fixture
def behind_the_call(house: House) -> Iterator[House]:
    """Numbers behind whose call there is more."""
    house.lab.pbx.write_dialplan("lab-behind-the-call", BEHIND_THE_CALL)
    yield house
    house.lab.pbx.remove_dialplan("lab-behind-the-call")


@pytest.mark.parametrize(
    ("caller", "number", "callee"),
    [("3001", "1001", "1001"), ("1001", "3001", "3001"), ("3001", "500", "1001"), ("3001", "501", "1001")],
    ids=["is called", "calls", "by a queue", "by a queue without Local channel"],
)
def test_customer_and_supervisor_talk_and_the_agent_is_free(
    house: House, caller: str, number: str, callee: str
) -> None:
    """In every kind of call; the agent's phone is idle and may take the next one."""
    house.lab.connect(caller, number, callee)
    house.spy()
    house.change_mode("take_over")
    house.lab.phone("1001").wait_until_idle()
    house.hears(TAKEN_OVER)
    modes = [(record["mode"], record["rule"]) for record in house.server.audit("spy_started")]
    assert modes == [("listen", "leads-on-sales"), ("take_over", "leads-on-sales")]
    house.lab.connect("3002", "1001")
    house.hears({**TAKEN_OVER, "3002": {"1001"}, "1001": {"3002"}})


@pytest.mark.parametrize("mode", ["whisper", "barge"])
def test_from_every_mode(house: House, mode: str) -> None:
    """Whispering and barging lead there as well."""
    house.lab.connect("3001", "1001")
    house.spy(mode)
    house.hears(heard_in(mode))
    house.change_mode("take_over")
    house.hears(TAKEN_OVER)


@pytest.mark.either_version
def test_without_the_right_everything_stays_as_it_was(house: House) -> None:
    """Who may only listen presses 7 in vain: refused by voice, and the call is heard on."""
    house.lab.connect("3001", "1001")
    house.spy(supervisor="2002")
    mark = house.server.mark()
    house.lab.phone("2002").press("7")
    house.server.wait_for("refused", mark, reason="mode_denied", mode="take_over")
    house.server.wait_for("spy_started", mark, mode="listen")
    assert any("feature-not-avail-line" in event["line"] for event in house.server.events("agi_sent", mark))
    house.hears(heard_in("listen", supervisor="2002"))
    (refused,) = house.server.audit("refused")
    assert (refused["mode"], refused["extension"]) == ("take_over", "1001")


@pytest.mark.either_version
def test_in_a_conference_it_is_refused(house: House) -> None:
    """There is not one customer: nobody is torn out of the conference."""
    for phone in ("1001", "3001", "3002"):
        house.lab.phone(phone).call("800")
    house.spy()
    mark = house.server.mark()
    house.lab.phone("2001").press("7")
    house.server.wait_for("refused", mark, reason="conference")
    house.server.wait_for("spy_started", mark, mode="listen")
    others = {"3001", "3002", "1001"}
    house.hears({"2001": others, **{phone: others - {phone} for phone in sorted(others)}})


@pytest.mark.parametrize(
    ("caller", "number", "callee"),
    [("2999", "7301", "1001"), ("1001", "2999", "2999"), ("2999", "500", "1001"), ("2999", "501", "1001")],
    ids=["is called", "calls", "by a queue", "by a queue without Local channel"],
)
def test_the_supervisor_hangs_up_and_the_customer_too(
    behind_the_call: House, caller: str, number: str, callee: str
) -> None:
    """The customer is not left alone with the rest of an arbitrary dialplan."""
    house = behind_the_call
    house.lab.connect(caller, number, callee)
    house.spy()
    house.change_mode("take_over")
    house.hears({"2999": {"2001"}, "2001": {"2999"}})
    mark = house.lab.pbx.log_mark()
    house.lab.phone("2001").hang_up()
    house.lab.phone("2999").wait_until_idle()
    house.lab.pbx.wait_until(lambda: not house.lab.pbx.channels(), 40, "all channels to end")
    assert "Milliwatt" not in house.lab.pbx.log_since(mark)
    ended = house.server.wait_for_audit("spy_ended", 2)[-1]
    assert (ended["mode"], ended["why"]) == ("take_over", "supervisor_hung_up")


def test_what_comes_behind_the_agent_comes_behind_the_supervisor(behind_the_call: House) -> None:
    """A dialplan that continues when the agent hangs up, as with a survey, continues when the supervisor does."""
    house = behind_the_call
    house.lab.connect("2999", "7302", "1001")
    house.spy()
    house.change_mode("take_over")
    house.hears({"2999": {"2001"}, "2001": {"2999"}})
    mark = house.lab.pbx.log_mark()
    house.lab.phone("2001").hang_up()
    house.lab.pbx.wait_for_log(r"Executing \[7302@supervisors:2\]", since=mark)
    assert house.lab.phone("2999").calls


@pytest.mark.parametrize("follow", ["agent", "customer"])
def test_the_customer_hangs_up_and_the_supervisor_goes_on(house: House, follow: str) -> None:
    """It was the supervisor's own call: nobody is followed, the next extension is asked for."""
    house.reconfigure(spies={"follow": follow})
    house.lab.connect("3001", "1001")
    house.lab.connect("3002", "100")
    house.spy()
    house.change_mode("take_over")
    house.lab.wait_for_hearing(TAKEN_OVER, others_silent=False)
    mark = house.server.mark()
    house.lab.phone("3001").hang_up()
    house.server.wait_for("spy_ended", mark, why="call_over")
    house.server.wait_for("extension_prompted", mark)
    house.lab.phone("2001").press("100#")
    house.server.wait_for("spy_started", mark, mode="listen")
    house.hears({"2001": {"3002", "100"}, "3002": {"100"}, "100": {"3002"}})
    ended = house.server.audit("spy_ended")[-1]
    assert (ended["mode"], ended["why"]) == ("take_over", "call_over")
    assert len(house.server.events("pin_prompted")) == 1


@pytest.mark.either_version
def test_during_a_scan_the_next_call_follows(house: House) -> None:
    """After the call that was taken over the scan continues."""
    house.lab.connect("3001", "1001")
    house.lab.connect("3002", "100")
    mark = house.server.mark()
    house.identify("*222*")
    house.server.wait_for("spy_started", mark, mode="listen")
    house.change_mode("take_over")
    house.lab.wait_for_hearing(TAKEN_OVER, others_silent=False)
    mark = house.server.mark()
    house.lab.phone("3001").hang_up()
    house.server.wait_for("scanned", mark, extension="100")
    house.server.wait_for("spy_started", mark, mode="listen")
    house.hears({"2001": {"3002", "100"}, "3002": {"100"}, "100": {"3002"}})
