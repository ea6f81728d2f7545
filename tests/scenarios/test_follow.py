"""Who stays with whom when a call that is heard ends: with the agent, with the customer, with neither."""

from __future__ import annotations

from typing import Any

import pytest

from tests.scenarios.house import House, heard_in

LISTEN_ONLY = {"name": "only-listen", "allow": ["listen"], "supervisors": ["leads"], "agents": ["sales"]}
NOT_BEN = {"name": "not-ben", "deny": ["listen"], "supervisors": ["all"], "agents": ["1001"]}


@pytest.fixture
def with_customer(house: House) -> House:
    """Supervisors stay with the customer."""
    house.reconfigure(spies={"follow": "customer"})
    return house


def ends(house: House, phone: str) -> int:
    """Somebody hangs up, and the spy ends with the call. Returns the place in the log before that."""
    mark = house.server.mark()
    house.lab.phone(phone).hang_up()
    house.server.wait_for("spy_ended", mark, why="call_over")
    return mark


def goes_on_with(house: House, mark: int, agent: str, mode: str = "listen") -> dict[str, Any]:
    """Wait until the next spy has begun, on this agent, and return its record."""
    house.server.wait_for("spy_started", mark, mode=mode)
    record = house.server.audit("spy_started")[-1]
    assert record["extension"] == agent
    return record


def nothing_is_heard(house: House, talking: dict[str, set[str]]) -> None:
    """These talk, and the supervisor is on the phone and hears none of it."""
    assert house.lab.phone("2001").calls
    house.lab.wait_for_hearing({**talking, "2001": set()})


# ---- the agent -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("caller", "number", "callee"),
    [("3002", "1001", "1001"), ("1001", "3002", "3002"), ("3002", "500", "1001"), ("3002", "501", "1001")],
    ids=["is called", "calls", "by a queue", "by a queue without Local channel"],
)
@pytest.mark.either_version
def test_the_next_call_of_the_agent_is_heard_by_itself(house: House, caller: str, number: str, callee: str) -> None:
    """However the next call comes about: it is heard without a key, by a grant of its own and without a PIN."""
    house.lab.connect("3001", "1001")
    house.spy()
    house.hears(heard_in("listen"))
    mark = ends(house, "3001")
    house.server.wait_for("waiting", mark)
    house.lab.connect(caller, number, callee)
    assert goes_on_with(house, mark, "1001")["grant"] == 2
    house.hears(heard_in("listen", customer="3002"))
    assert len(house.server.events("pin_prompted")) == 1
    assert len(house.server.events("extension_prompted")) == 0


@pytest.mark.either_version
@pytest.mark.parametrize(("before", "after"), [("listen", "listen"), ("whisper", "whisper"), ("barge", "listen")])
def test_the_mode_with_which_the_next_call_begins(house: House, before: str, after: str) -> None:
    """As it was dialled, but no supervisor barges into a call that they have not heard yet."""
    house.lab.connect("3001", "1001")
    house.spy(before)
    house.hears(heard_in(before))
    mark = ends(house, "1001")
    house.server.wait_for("waiting", mark)
    house.lab.connect("3002", "1001")
    goes_on_with(house, mark, "1001", after)
    house.hears(heard_in(after, customer="3002"))


@pytest.mark.either_version
def test_the_star_ends_the_waiting(house: House) -> None:
    """The star leads to the extension prompt, and another agent is heard without the PIN."""
    house.lab.connect("3001", "1001")
    house.lab.connect("3002", "100")
    house.spy()
    mark = ends(house, "3001")
    house.server.wait_for("waiting", mark)
    house.lab.phone("2001").press("*")
    house.server.wait_for("extension_prompted", mark)
    house.lab.phone("2001").press("100#")
    goes_on_with(house, mark, "100")
    house.hears({"2001": {"3002", "100"}, "3002": {"100"}, "100": {"3002"}})
    assert len(house.server.events("pin_prompted")) == 1


@pytest.mark.either_version
def test_a_right_that_was_taken_away_while_waiting(house: House) -> None:
    """The next call is decided by the rules of then: refused, no sound, and the extension is asked for."""
    house.lab.connect("3001", "1001")
    house.spy()
    mark = ends(house, "3001")
    house.server.wait_for("waiting", mark)
    house.reconfigure(rules=[LISTEN_ONLY, NOT_BEN])
    house.lab.connect("3002", "1001")
    house.server.wait_for("refused", mark, reason="mode_denied", detail="rule not-ben")
    house.server.wait_for("extension_prompted", mark)
    nothing_is_heard(house, {"3002": {"1001"}, "1001": {"3002"}})
    assert len(house.server.audit("spy_started")) == 1


@pytest.mark.either_version
def test_the_next_call_is_a_protected_one(house: House) -> None:
    """Who calls next decides as well: a protected caller is not heard."""
    house.reconfigure(protected={"numbers": ["3002"]})
    house.lab.connect("3001", "1001")
    house.spy()
    mark = ends(house, "3001")
    house.server.wait_for("waiting", mark)
    house.lab.connect("3002", "1001")
    house.server.wait_for("refused", mark, reason="protected")
    nothing_is_heard(house, {"3002": {"1001"}, "1001": {"3002"}})
    assert len(house.server.audit("spy_started")) == 1


def test_a_call_that_waits_on_hold_is_heard_when_it_goes_on(house: House) -> None:
    """The agent has a second call, on hold: it is waited for, and no refusal."""
    house.lab.connect("3001", "1001")
    house.lab.connect("3002", "1001")
    mark = house.server.mark()
    house.identify("*2221001")
    house.server.wait_for("choice_prompted", mark)
    house.lab.phone("2001").press("1")
    house.wait_for_sound(mark)
    mark = ends(house, "3002")
    house.server.wait_for("waiting", mark)
    house.lab.wait_for_hearing({"3001": {"music"}, "1001": set(), "2001": set()})
    house.lab.phone("1001").resume()
    goes_on_with(house, mark, "1001")
    house.hears(heard_in("listen"))
    assert not house.server.audit("refused")


@pytest.mark.either_version
def test_hanging_up_while_waiting_leaves_nothing(house: House) -> None:
    """The call ends on both sides, and the next call of the agent is not heard."""
    house.lab.connect("3001", "1001")
    house.spy()
    mark = ends(house, "3001")
    house.server.wait_for("waiting", mark)
    house.lab.phone("2001").hang_up()
    house.server.wait_for("agi_session_ended", mark)
    house.lab.connect("3002", "1001")
    house.hears({"3002": {"1001"}, "1001": {"3002"}})
    assert len(house.server.audit("spy_started")) == 1


# ---- the customer --------------------------------------------------------------------------------------


def test_the_customer_is_transferred_blindly(with_customer: House) -> None:
    """The supervisor hears the customer with the new agent, by a grant for that agent."""
    house = with_customer
    house.lab.connect("3001", "1001")
    house.spy()
    mark = house.server.mark()
    house.lab.phone("100").set_auto_answer(True)
    house.lab.phone("1001").transfer("100")
    house.server.wait_for("spy_ended", mark, why="call_over")
    record = goes_on_with(house, mark, "100")
    assert record["grant"] == 2
    assert record["spyee"].startswith("PJSIP/100-")
    house.hears(heard_in("listen", agent="100"))


def test_the_customer_is_transferred_with_a_question(with_customer: House) -> None:
    """After an attended transfer it is the same; of the consultation the supervisor heard nothing."""
    house = with_customer
    house.lab.connect("3001", "1001")
    house.spy()
    agent = house.lab.phone("1001")
    agent.hold()
    house.lab.connect("1001", "100")
    house.lab.wait_for_hearing({"2001": {"3001"}, "1001": {"100"}, "100": {"1001"}}, others_silent=False)
    mark = house.server.mark()
    call, consultation = agent.calls
    agent.transfer_attended(call, consultation)
    goes_on_with(house, mark, "100")
    house.hears(heard_in("listen", agent="100"))


@pytest.mark.either_version
def test_the_customer_goes_to_an_agent_who_may_not_be_heard(with_customer: House) -> None:
    """Permission ends where the rules of the new agent say so: refused, and no sound."""
    house = with_customer
    house.lab.connect("3001", "1001")
    house.spy()
    mark = house.server.mark()
    house.lab.phone("1002").set_auto_answer(True)
    house.lab.phone("1001").transfer("1002")
    house.server.wait_for("refused", mark, reason="mode_denied", detail="rule protected")
    house.server.wait_for("extension_prompted", mark)
    nothing_is_heard(house, {"3001": {"1002"}, "1002": {"3001"}})
    assert len(house.server.audit("spy_started")) == 1


@pytest.mark.either_version
def test_the_customer_goes_to_somebody_who_is_no_agent(with_customer: House) -> None:
    """No call is heard; back at an agent, the customer's is heard again."""
    house = with_customer
    house.lab.connect("3001", "1001")
    house.spy()
    mark = house.server.mark()
    house.lab.phone("3002").set_auto_answer(True)
    house.lab.phone("1001").transfer("3002")
    house.server.wait_for("waiting", mark)
    nothing_is_heard(house, {"3001": {"3002"}, "3002": {"3001"}})
    house.lab.phone("100").set_auto_answer(True)
    house.lab.phone("3002").transfer("100")
    goes_on_with(house, mark, "100")
    house.hears(heard_in("listen", agent="100"))


def test_the_customer_is_parked_and_fetched(with_customer: House) -> None:
    """In the parking the supervisor waits and hears nothing; with the agent who fetches the customer, the call."""
    house = with_customer
    house.lab.connect("3001", "1001")
    house.spy()
    mark = house.server.mark()
    house.lab.phone("1001").transfer("700")
    house.server.wait_for("waiting", mark)
    nothing_is_heard(house, {"3001": {"music"}})
    house.lab.phone("100").call("701")
    goes_on_with(house, mark, "100")
    house.hears(heard_in("listen", agent="100"))


def test_the_customer_waits_on_hold_at_the_new_agent(with_customer: House) -> None:
    """A call on hold is waited for: it is heard when the new agent continues."""
    house = with_customer
    house.lab.connect("3001", "1001")
    house.spy()
    agent, colleague = house.lab.phone("1001"), house.lab.phone("100")
    agent.hold()
    house.lab.connect("1001", "100")
    colleague.hold()
    mark = house.server.mark()
    call, consultation = agent.calls
    agent.transfer_attended(call, consultation)
    house.server.wait_for("waiting", mark)
    house.lab.wait_for_hearing({"2001": set()}, others_silent=False)
    colleague.resume()
    goes_on_with(house, mark, "100")
    house.hears(heard_in("listen", agent="100"))
    assert not house.server.audit("refused")


@pytest.mark.either_version
def test_the_customer_hangs_up(with_customer: House) -> None:
    """There is nobody to stay with: the next extension is asked for."""
    house = with_customer
    house.lab.connect("3001", "1001")
    house.spy()
    mark = ends(house, "3001")
    house.server.wait_for("extension_prompted", mark)


@pytest.mark.either_version
def test_the_customer_hangs_up_while_waiting(with_customer: House) -> None:
    """The same out of the parking."""
    house = with_customer
    house.lab.connect("3001", "1001")
    house.spy()
    mark = house.server.mark()
    house.lab.phone("1001").transfer("700")
    house.server.wait_for("waiting", mark)
    house.lab.phone("3001").hang_up()
    house.server.wait_for("extension_prompted", mark)
    assert len(house.server.audit("spy_started")) == 1


# ---- neither --------------------------------------------------------------------------------------------


@pytest.mark.either_version
@pytest.mark.parametrize("without", ["follow", "ami"])
def test_nobody_is_followed(house: House, without: str) -> None:
    """With follow: none, and without a manager interface, the next extension is asked for at once."""
    if without == "ami":
        house.restart(ami=None)
    else:
        house.reconfigure(spies={"follow": "none"})
    house.lab.connect("3001", "1001")
    house.spy()
    mark = ends(house, "3001")
    house.server.wait_for("extension_prompted", mark)
    house.lab.connect("3002", "1001")
    nothing_is_heard(house, {"3002": {"1001"}, "1001": {"3002"}})
    assert not house.server.events("waiting")
    assert len(house.server.audit("spy_started")) == 1
