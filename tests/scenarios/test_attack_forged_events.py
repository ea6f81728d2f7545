"""A caller writes events of the manager interface: nobody is heard, ended or recorded by what they say.

Asterisk decodes the user part of a SIP address and writes it into its events as it is (CallerIDNum and Exten,
main/manager_channels.c): a line break ends the event, and the rest is an event of the caller's own. The lists and
the environment of an AGI session are torn in the same way.

Whatever is made of such an event, these hold: the sound, the refusals, that it is noticed (`ami_forged`), and that
what is on record is true.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from contrib.lab.server import PINS
from contrib.lab.sip import SipCaller, escaped
from contrib.lab.waiting import wait_until
from tests.scenarios.house import House, heard_in

EMPTY_LINE = "\r\n\r\n"
PAIR: dict[str, set[str]] = {"3001": {"1001"}, "1001": {"3001"}}
OTHER_PAIR: dict[str, set[str]] = {"3002": {"100"}, "100": {"3002"}}
ATTACKER = "2999"
ANYTHING = "91"
"""A number in the dialplan of the supervisors that takes whatever follows it."""
ANSWER_SECONDS = 40.0
ASKED = "pin_prompted"
REFUSED = ("agi_protocol_error", "agi_session_refused")
MADE_UP = (
    f"29{EMPTY_LINE}x: y",
    "29\n\n9",
    "29\nagi_arg_1: x",
    "29\nagi_channel: PJSIP/2001-00000001",
)
"""Numbers that write lines of the environment, or end it."""
WAYS_IN = f"""[lab-tests]
exten => _{ANYTHING}.,1,Wait(0.1)
 same => n,Hangup()
exten => 7401,1,Answer()
 same => n,ChanSpy(PJSIP/1001-,q)
 same => n,Hangup()
"""


@pytest.fixture
def open_house(house: House) -> Iterator[House]:
    """A dialplan as there are many: a pattern with a dot at its end, and a way to spy that is not ours."""
    with house.with_dialplan("lab-ways-in", WAYS_IN) as changed:
        # A picture that is distrusted is listed again, and the lists correct it.
        changed.is_deaf = True
        yield changed


@contextmanager
def forged(
    house: House, *lines: str, tear: str = EMPTY_LINE, by: str = ATTACKER, dialled: bool = False
) -> Iterator[None]:
    """Let somebody call whose number, or whom they dial, holds an event; the call lasts while the block runs.

    :param lines: of the event
    :param tear: what stands before it: an empty line begins another event, a line break continues with the true one
    :param by: whose call it is
    :param dialled: whether it is in the number that is dialled
    """
    written = escaped((ANYTHING if dialled else "5") + tear + "\r\n".join(lines))
    with SipCaller.of(house.lab, by) as attacker:
        call = attacker.invite(written) if dialled else attacker.invite("810", claims=written)
        call.wait_for_answer()
        yield


def forge(house: House, *lines: str, tear: str = EMPTY_LINE) -> None:
    """The same with a call that is over at once."""
    with forged(house, *lines, tear=tear):
        pass


def assert_noticed(house: House, mark: int) -> None:
    """It is logged and on record that events were forged."""
    house.server.wait_for("ami_forged", mark)
    for record in house.server.wait_for_audit("ami_forged"):
        assert {"node", "event", "why"} <= record.keys()


def answers(house: House, mark: int, *events: str) -> list[dict[str, Any]]:
    """Wait for any of these events in the log, and return those that there are."""
    return wait_until(
        lambda: [line for line in house.server.lines(mark) if line.get("event") in events],
        ANSWER_SECONDS,
        str(events),
    )


def asks_in_vain(
    house: House, *lines: str, tear: str = EMPTY_LINE, by: str = ATTACKER, dialled: bool = False
) -> None:
    """The supervisor asks for agent 1001, an event is forged, and it is said that the agent has no call."""
    phone = house.lab.phone("2001")
    call = house.dial("*2221001")
    phone.press(PINS["2001"])
    # At the last moment, lest a list corrects the picture before it is asked.
    with forged(house, *lines, tear=tear, by=by, dialled=dialled):
        mark = house.server.mark()
        phone.press("#")
        said = answers(house, mark, "refused", "spy_started")
    assert [(one["event"], one.get("reason")) for one in said] == [("refused", "no_call")]
    phone.hang_up(call)


# ---- whose call is it? ---------------------------------------------------------------------------------


def test_forged_logins_at_a_queue_make_nobody_an_agent(open_house: House) -> None:
    """The event says that agent 1001 sits at 3002: it comes from the number of a caller, then from one dialled."""
    house = open_house
    mark = house.server.mark()
    house.lab.connect("3001", "3002")
    login = ("Event: QueueMemberAdded", "Queue: q", "Name: 1001", "Interface: PJSIP/3002")
    asks_in_vain(house, *login)
    asks_in_vain(house, *login, dialled=True)
    house.hears({"3001": {"3002"}, "3002": {"3001"}})
    assert_noticed(house, mark)


def test_a_forged_name_does_not_unprotect(open_house: House) -> None:
    """The event says that the channel of a protected agent is one of 1001's: one that is made up, and a true one of
    1001's own phone that claims the uniqueid of the other."""
    house = open_house
    house.lab.connect("3001", "1002")
    mark = house.server.mark()
    (protected,) = house.lab.pbx.channels_of("1002")
    asks_in_vain(house, "Event: Rename", f"Uniqueid: {protected.unique_id}", "Newname: PJSIP/1001-f")
    asks_in_vain(house, f"Uniqueid: {protected.unique_id}", tear="\r\n", by="1001")
    house.hears({"3001": {"1002"}, "1002": {"3001"}})
    assert_noticed(house, mark)


# ---- who is ended? -------------------------------------------------------------------------------------


def test_forged_rogues_hang_nobody_up(open_house: House) -> None:
    """Rogue spies are hung up here. One is made up, for every channel and for one; a true one, in whose events and
    lists an empty line stands, is hung up all the same."""
    house = open_house
    house.reconfigure(spies={"rogue": "hang_up"})
    house.lab.connect("3001", "1001")
    house.lab.connect("3002", "100")
    mark = house.server.mark()
    (customer,) = house.lab.pbx.channels_of("3002")
    forge(house, "Event: ChanSpyStart", "SpyerChannel: /./", "SpyerUniqueid: 1", "SpyeeUniqueid: 2")
    forge(house, "Event: ChanSpyStart", f"SpyerChannel: {customer.name}", "SpyerUniqueid: 1")
    house.hears({**PAIR, **OTHER_PAIR})
    assert not house.server.audit("rogue_spy")
    assert_noticed(house, mark)
    with SipCaller.of(house.lab, ATTACKER) as rogue:
        call = rogue.invite("7401", claims=escaped(f"29{EMPTY_LINE}99")).established()
        (record, *_) = house.server.wait_for_audit("rogue_spy")
        call.wait_until_ended()
    assert record["spyer"].startswith(f"PJSIP/{ATTACKER}-")
    house.hears({**PAIR, **OTHER_PAIR})


# ---- what is on record? --------------------------------------------------------------------------------


@pytest.mark.parametrize("adopted", [False, True], ids=["granted", "adopted"])
def test_a_forged_end_ends_nothing(open_house: House, adopted: bool) -> None:
    """The events say that a spy has ended and that its channel is gone, and so does the true Hangup of a caller who
    claims its uniqueid; it has not ended, and is not said to have."""
    house = open_house
    house.lab.connect("3001", "1001")
    house.spy()
    if adopted:
        house.server.kill()
        house.server.start()
        house.server.wait_for_audit("spy_adopted")
    (spyer,) = house.lab.pbx.channels_of("2001")
    mark = house.server.mark()
    (before,) = house.wait_for_spies(1)
    forge(house, "Event: ChanSpyStop", f"SpyerUniqueid: {spyer.unique_id}")
    forge(house, "Event: Hangup", f"Channel: {spyer.name}", f"Uniqueid: {spyer.unique_id}")
    forge(house, f"Uniqueid: {spyer.unique_id}", tear="\r\n")
    house.hears(heard_in("listen"))
    assert not house.server.audit("spy_ended")
    assert not house.server.audit("spy_silent")
    (after,) = house.wait_for_spies(1)
    assert (after["id"], after["kind"]) == (before["id"], before["kind"])
    assert_noticed(house, mark)
    house.lab.phone("2001").hang_up()
    assert len(house.server.wait_for_audit("spy_ended")) == 1


# ---- calls of people with such a number ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "number"), [("ami", f"31{EMPTY_LINE}9"), ("agi", f"31{EMPTY_LINE}9"), ("agi", "3)\n200 result=1 (")]
)
def test_the_customer_has_an_empty_line_in_the_number(open_house: House, source: str, number: str) -> None:
    """Whether the events or the replies to AGI are torn by it: their call can be heard, or it is said why not."""
    house = open_house
    if source == "agi":
        house.restart(ami=None)
    customer = house.lab.phone("3001")
    customer.restart(number=escaped(number))
    # baresip does not always tell of a call from such a number.
    house.lab.phone("1001").set_auto_answer(True)
    call = customer.dial("1001")
    customer.wait_for_state(call, "established")
    mark = house.server.mark()
    house.identify("*2221001")
    (said, *_) = answers(house, mark, "spy_started", "refused")
    if said["event"] == "spy_started":
        house.hears(heard_in("listen"))
    else:
        assert said["reason"] == house.server.audit("refused")[-1]["reason"]


def test_a_caller_makes_up_an_environment(open_house: House) -> None:
    """The environment of an AGI session is torn: it is read as what it is, or the call is refused. What was made up
    in it has no effect, and the next caller is served."""
    house = open_house
    house.lab.connect("3001", "1001")
    for claims in MADE_UP:
        mark = house.server.mark()
        with SipCaller.of(house.lab, ATTACKER) as attacker:
            attacker.invite("*2221001", claims=escaped(claims)).wait_for_answer()
            said = answers(house, mark, ASKED, *REFUSED)
        assert all(line.get("endpoint", f"PJSIP/{ATTACKER}") == f"PJSIP/{ATTACKER}" for line in said), said
    house.spy()
    house.hears(heard_in("listen"))
