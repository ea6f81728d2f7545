"""What happens to a spy when the call moves on: it ends, it is transferred, somebody hangs up."""

from __future__ import annotations

import pytest

from contrib.lab.server import PINS
from tests.scenarios.house import House, heard_in


@pytest.mark.parametrize("who", ["3001", "1001"])
def test_the_call_ends_while_it_is_heard(house: House, who: str) -> None:
    """Whichever side hangs up: the spy ends, and the supervisor may ask for the next extension without the PIN."""
    house.lab.connect("3001", "1001")
    house.lab.connect("3002", "100")
    house.spy()
    mark = house.server.mark()
    house.lab.phone(who).hang_up()
    house.server.wait_for("spy_ended", mark, why="call_over")
    house.server.wait_for("waiting", mark)
    house.lab.phone("2001").press("*")
    house.server.wait_for("extension_prompted", mark)
    house.lab.phone("2001").press("100#")
    house.server.wait_for("spy_started", mark)
    house.hears({"2001": {"3002", "100"}, "3002": {"100"}, "100": {"3002"}})
    assert len(house.server.events("pin_prompted")) == 1


@pytest.mark.either_version
def test_star_leaves_for_the_next_extension(house: House) -> None:
    """The star key ends this agent and asks for the next one without the PIN."""
    house.lab.connect("3001", "1001")
    house.lab.connect("3002", "100")
    house.spy("whisper")
    mark = house.server.mark()
    house.lab.phone("2001").press("*")
    house.server.wait_for("spy_ended", mark, why="supervisor_left")
    house.server.wait_for("extension_prompted", mark)
    house.lab.phone("2001").press("100#")
    house.server.wait_for("spy_started", mark, mode="whisper")
    house.hears(
        {"2001": {"3002", "100"}, "3002": {"100"}, "100": {"3002", "2001"}, "3001": {"1001"}, "1001": {"3001"}}
    )


def test_hanging_up_while_spying_ends_all(house: House) -> None:
    """The supervisor's hang-up ends the spy, the record says so, the call of the others continues."""
    house.lab.connect("3001", "1001")
    call = house.spy("barge")
    house.lab.phone("2001").hang_up(call)
    (ended,) = house.server.wait_for_audit("spy_ended")
    assert ended["why"] == "supervisor_hung_up"
    house.lab.pbx.wait_until(lambda: not house.lab.pbx.channels_of("2001"), 40, "the supervisor's channel to end")
    house.hears({"3001": {"1001"}, "1001": {"3001"}})


@pytest.mark.parametrize("prompt", ["pin", "second pin", "extension", "choice", "refusal"])
@pytest.mark.either_version
def test_hanging_up_at_a_prompt_leaves_nothing(house: House, prompt: str) -> None:
    """A hang-up at any prompt ends the call on both sides: no channel, no session, no spy is left."""
    house.lab.connect("3001", "1001")
    phone = house.lab.phone("2001")
    if prompt == "choice":
        house.lab.connect("3002", "1001")
    if prompt in ("pin", "second pin"):
        call = house.dial("*2221001")
        if prompt == "second pin":
            phone.press("1357924#")
            house.server.wait_for("pin_prompted", attempt=2)
    else:
        call = house.identify({"extension": "*222", "choice": "*2221001", "refusal": "*222100"}[prompt])
        event = {"extension": "extension_prompted", "choice": "choice_prompted", "refusal": "refused"}[prompt]
        house.server.wait_for(event)
    phone.hang_up(call)
    house.server.wait_for("call_ended")
    house.server.wait_for("agi_session_ended")
    house.lab.pbx.wait_until(lambda: not house.lab.pbx.channels_of("2001"), 40, "the supervisor's channel to end")
    assert not house.server.audit("spy_started")


def test_a_blind_transfer_by_the_agent_ends_the_spy(house: House) -> None:
    """The customer goes to a protected agent: the supervisor, who stays with the first one, hears nothing of it."""
    house.lab.connect("3001", "1001")
    house.spy()
    mark = house.server.mark()
    house.lab.phone("1002").set_auto_answer(True)
    house.lab.phone("1001").transfer("1002")
    house.server.wait_for("spy_ended", mark, why="call_over")
    house.server.wait_for("waiting", mark)
    house.lab.wait_for_hearing({"3001": {"1002"}, "1002": {"3001"}, "2001": set()})
    house.lab.phone("2001").press("*")
    house.server.wait_for("extension_prompted", mark)
    house.lab.phone("2001").press("1002#")
    house.server.wait_for("refused", mark, reason="mode_denied")


def test_an_attended_transfer_by_the_agent_ends_the_spy(house: House) -> None:
    """During the consultation the supervisor hears the customer, who waits, and nothing of the consultation."""
    house.lab.connect("3001", "1001")
    house.spy()
    agent = house.lab.phone("1001")
    agent.hold()
    house.lab.connect("1001", "1002")
    house.lab.wait_for_hearing({"2001": {"3001"}, "1001": {"1002"}, "1002": {"1001"}}, others_silent=False)
    mark = house.server.mark()
    call, consultation = agent.calls
    agent.transfer_attended(call, consultation)
    house.server.wait_for("spy_ended", mark, why="call_over")
    house.lab.wait_for_hearing({"3001": {"1002"}, "1002": {"3001"}}, others_silent=False)


@pytest.mark.parametrize("mode", ["listen", "whisper", "barge"])
def test_after_a_transfer_by_the_customer_the_spy_begins_anew(house: House, mode: str) -> None:
    """The agent's channel stays: the supervisor hears the agent with the new party, and a barge continues as
    listening.

    Without that 22.10 gives the agent alone after about every second transfer, and a barge stays with the old party.
    """
    begun = "listen" if mode == "barge" else mode
    house.lab.connect("3001", "1001")
    house.spy(mode)
    customer = house.lab.phone("3001")
    customer.hold()
    house.lab.connect("3001", "3002")
    call, consultation = customer.calls
    customer.transfer_attended(call, consultation)
    house.hears(heard_in(begun, customer="3002"))
    assert [record["why"] for record in house.server.audit("spy_ended")] == ["party_changed"]
    assert [record["mode"] for record in house.server.audit("spy_started")] == [mode, begun]
    if begun != mode:
        house.change_mode(mode)
        house.hears(heard_in(mode, customer="3002"))
    house.assert_no_alarm()


def test_hold_and_resume_while_spying(house: House) -> None:
    """A hold in the middle does not end the spy."""
    house.lab.connect("3001", "1001")
    house.spy()
    house.hears(heard_in("listen"))
    house.lab.phone("1001").hold()
    house.lab.wait_for_hearing({"3001": {"music"}}, others_silent=False)
    house.lab.phone("1001").resume()
    house.hears(heard_in("listen"))
    assert not house.server.audit("spy_ended")


@pytest.mark.either_version
def test_a_pin_keyed_in_at_the_extension_prompt_is_written_nowhere(house: House) -> None:
    """It is not an extension of an agent: refused, and not a digit of it kept (the fixture searches for them)."""
    house.lab.phone("2001").wait_until_idle()
    house.identify("*222")
    house.server.wait_for("extension_prompted")
    house.lab.phone("2001").press(PINS["2001"] + "#")
    record = house.wait_for_refusal("agent_unknown")
    assert record["extension"] is None
