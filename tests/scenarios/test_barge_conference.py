"""A barge that joins the call: any number of parties, and it outlives the agent."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from contrib.lab.server import SITE
from tests.scenarios.house import House, heard_in

SPIES = {"barge": "conference", "follow": "none"}


@pytest.fixture
def conference(house: House) -> House:
    """A barge is carried by a conference, and nobody is followed."""
    house.reconfigure(spies=SPIES)
    return house


def everybody(*phones: str) -> dict[str, set[str]]:
    """Each of these hears all the others."""
    return {phone: {*phones} - {phone} for phone in phones}


def why(house: House, count: int = 1) -> list[str]:
    """Why the spies ended, in their order, as soon as that many have."""
    return [record["why"] for record in house.server.wait_for_audit("spy_ended", count)]


@pytest.mark.parametrize(
    ("caller", "number", "callee"),
    [("3001", "1001", "1001"), ("1001", "3001", "3001"), ("3001", "500", "1001"), ("3001", "501", "1001")],
    ids=["is called", "calls", "by a queue", "by a queue without Local channel"],
)
def test_all_three_hear_each_other(conference: House, caller: str, number: str, callee: str) -> None:
    """The whole matrix of three, in every kind of call; when the supervisor hangs up, the others continue."""
    house = conference
    house.lab.connect(caller, number, callee)
    house.spy("barge")
    house.hears(everybody("3001", "1001", "2001"))
    (started,) = house.server.audit("spy_started")
    assert started["mode"] == "barge"
    house.lab.phone("2001").hang_up()
    assert why(house) == ["supervisor_hung_up"]
    house.hears(everybody("3001", "1001"))


def test_a_key_joins_the_call(conference: House) -> None:
    """From listening by key 6; a supervisor who may only listen stays outside."""
    house = conference
    house.lab.connect("3001", "1001")
    house.spy("listen")
    house.hears(heard_in("listen"))
    house.change_mode("barge")
    house.hears(everybody("3001", "1001", "2001"))
    house.spy("listen", supervisor="2002")
    mark = house.server.mark()
    house.lab.phone("2002").press("6")
    house.server.wait_for("refused", mark, reason="mode_denied")
    house.server.wait_for("spy_started", mark, mode="listen")
    house.hears({**everybody("3001", "1001", "2001"), "2002": {"3001", "1001", "2001"}})


def test_it_outlives_the_agent(conference: House) -> None:
    """The agent hangs up, customer and supervisor continue; with the customer it is over, and the record says so."""
    house = conference
    house.lab.connect("3001", "1001")
    house.spy("barge")
    house.hears(everybody("3001", "1001", "2001"))
    house.lab.phone("1001").hang_up()
    house.hears(everybody("3001", "2001"))
    assert not house.server.audit("spy_ended")
    mark = house.server.mark()
    house.lab.phone("3001").hang_up()
    assert why(house) == ["call_over"]
    house.server.wait_for("extension_prompted", mark)


def test_everybody_leaves_and_the_next_call_is_waited_for(house: House) -> None:
    """With follow: agent the supervisor stays, and hears the agent's next call without barging into it."""
    house.reconfigure(spies={"barge": "conference"})
    house.lab.connect("3001", "1001")
    house.spy("barge")
    house.hears(everybody("3001", "1001", "2001"))
    mark = house.server.mark()
    house.lab.phone("1001").hang_up()
    house.hears(everybody("3001", "2001"))
    house.lab.phone("3001").hang_up()
    house.server.wait_for("spy_ended", mark, why="call_over")
    house.server.wait_for("waiting", mark)
    house.lab.connect("3002", "1001")
    house.server.wait_for("spy_started", mark, mode="listen")
    house.hears(heard_in("listen", customer="3002"))


def test_the_customer_leaves_first(conference: House) -> None:
    """Agent and supervisor continue; when the agent leaves as well, it is over."""
    house = conference
    house.lab.connect("3001", "1001")
    house.spy("barge")
    house.hears(everybody("3001", "1001", "2001"))
    house.lab.phone("3001").hang_up()
    house.hears(everybody("1001", "2001"))
    house.lab.phone("1001").hang_up()
    assert why(house) == ["call_over"]


def test_a_second_supervisor_joins(conference: House) -> None:
    """Four in one call: all of them hear each other."""
    house = conference
    house.lab.connect("3001", "1001")
    house.spy("barge", supervisor="2001")
    house.spy("barge", supervisor="2003")
    house.hears(everybody("3001", "1001", "2001", "2003"))
    house.lab.phone("2001").hang_up()
    house.hears(everybody("3001", "1001", "2003"))
    house.lab.phone("2003").hang_up()
    assert why(house, 2) == ["supervisor_hung_up"] * 2
    house.hears(everybody("3001", "1001"))


def test_it_begins_after_a_transfer_by_the_customer(conference: House) -> None:
    """The customer has sent the agent on to somebody else: that call is joined."""
    house = conference
    house.lab.connect("3001", "1001")
    house.spy()
    house.lab.phone("3002").set_auto_answer(True)
    house.lab.phone("3001").transfer("3002")
    house.hears(heard_in("listen", customer="3002"))
    house.change_mode("barge")
    house.hears(everybody("3002", "1001", "2001"))


def test_it_goes_on_through_a_transfer_by_the_customer(conference: House) -> None:
    """The new party takes the customer's place among the three, and no key is needed."""
    house = conference
    house.lab.connect("3001", "1001")
    house.spy("barge")
    house.hears(everybody("3001", "1001", "2001"))
    house.lab.phone("3002").set_auto_answer(True)
    house.lab.phone("3001").transfer("3002")
    house.hears(everybody("3002", "1001", "2001"))


@pytest.fixture
def colleagues(house: House) -> House:
    """The same, without protection of 1002."""
    agents = {**SITE["agents"], "1002": {"endpoints": ["PJSIP/1002"], "groups": ["sales"]}}
    rules = [rule for rule in SITE["rules"] if rule["name"] != "protected"]
    house.reconfigure(spies=SPIES, agents=agents, rules=rules)
    return house


def transfer_blindly(house: House) -> None:
    """The agent sends the call to the colleague."""
    house.lab.phone("1002").set_auto_answer(True)
    house.lab.phone("1001").transfer("1002")


def transfer_after_asking(house: House) -> None:
    """The agent asks the colleague first. Customer and supervisor hear each other meanwhile, and not the agent."""
    house.lab.phone("1001").hold()
    house.lab.connect("1001", "1002")
    house.lab.wait_for_hearing(everybody("1001", "1002"), others_silent=False)
    first, second = house.lab.phone("1001").calls
    house.lab.phone("1001").transfer_attended(first, second)


TRANSFERS = pytest.mark.parametrize("transfer", [transfer_blindly, transfer_after_asking])


@TRANSFERS
def test_it_goes_on_through_a_transfer_by_the_agent(colleagues: House, transfer: Callable[[House], None]) -> None:
    """Customer and supervisor talk to the colleague then, whom the supervisor may hear as well."""
    house = colleagues
    house.lab.connect("3001", "1001")
    house.spy("barge")
    house.hears(everybody("3001", "1001", "2001"))
    transfer(house)
    house.hears(everybody("3001", "1002", "2001"))
    assert not house.server.audit("spy_ended")
    house.lab.phone("3001").hang_up()
    house.hears(everybody("1002", "2001"))
    house.lab.phone("1002").hang_up()
    assert why(house) == ["call_over"]


@TRANSFERS
def test_it_ends_with_a_colleague_whom_nobody_allowed(conference: House, transfer: Callable[[House], None]) -> None:
    """The call is the colleague's then: the supervisor leaves it and is told, and the others continue."""
    house = conference
    house.lab.connect("3001", "1001")
    house.spy("barge")
    house.hears(everybody("3001", "1001", "2001"))
    transfer(house)
    house.hears(everybody("3001", "1002"))
    (revoked,) = house.server.wait_for_audit("spy_revoked", 1)
    assert revoked["why"] == "mode_denied"
    assert why(house) == ["revoked"]


def test_it_reaches_everybody_in_a_conference(conference: House) -> None:
    """The agent is in a conference of three: the supervisor is the fourth."""
    house = conference
    for phone in ("1001", "3001", "3002"):
        house.lab.phone(phone).call("800")
    house.spy("barge")
    house.hears(everybody("3001", "3002", "1001", "2001"))
    house.lab.phone("2001").hang_up()
    house.hears(everybody("3001", "3002", "1001"))
