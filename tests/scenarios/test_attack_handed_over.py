"""A supervisor's leg is handed to another phone while it hears a call: nothing of the call goes with it.

Asterisk puts the other phone's channel into the application that was running (masquerade, main/channel.c); the AGI
session continues and does not notice. What tells of it differs from way to way, so each way is tried.

The moves come from a phone that transfers, from a stranger who only signals, and from the manager interface.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from contrib.lab.manager import Manager
from contrib.lab.pbx import Channel
from contrib.lab.phone import Call
from contrib.lab.server import PINS
from contrib.lab.sip import SipCaller
from contrib.lab.waiting import wait_until
from tests.scenarios.house import House, heard_in, moment

SECONDS = 0.2
"""What the product promises."""
WAIT_SECONDS = 30.0
CALL = ("1001", "3001")
PAIR: dict[str, set[str]] = {"3001": {"1001"}, "1001": {"3001"}}
STRANGER = "100"
"""An agent like others, who may not hear any call."""
UNUSED = "1001-mobile"
"""A phone that is off. Its ports stand for a peer that only signals: what is sent there is seen on the wire."""
PICK_UP = """[phones](+)
exten => 731,1,PickupChan(PJSIP/2001)
 same => n,Hangup()
"""

REPLAY = """[lab-replay]
exten => 1001,1,ChanSpy(PJSIP/1001-,q)
 same => n,Hangup()
"""


@dataclass(frozen=True)
class Move:
    """The leg was handed over."""

    at: float
    """When the supervisor was out of it, in seconds since 1970."""
    to: Channel
    """Whose channel is in it now, as it was before."""
    listener: str
    """The phone that hears what is sent to that channel."""


@pytest.fixture(autouse=True)
def open_dialplan(house: House) -> Iterator[None]:
    """A dialplan of the site's own that lets every transfer through: what the server does is tried here.

    What the generated one refuses is tried in test_call_stays.
    """
    file = house.lab.pbx.generated / "agi-monitor.conf"
    generated = file.read_text()
    file.write_text("".join(line for line in generated.splitlines(keepends=True) if "TRANSFER_" not in line))
    house.lab.pbx.reload_dialplan()
    yield
    file.write_text(generated)
    house.lab.pbx.reload_dialplan()


@pytest.fixture
def picking_up(house: House) -> Iterator[House]:
    """Every phone can pick up a call for 2001."""
    with house.with_dialplan("lab-pick-up", PICK_UP) as changed:
        yield changed


@pytest.fixture
def replaying(house: House) -> Iterator[House]:
    """The dialplan has a way to spy that is not ours."""
    with house.with_dialplan("lab-replay", REPLAY) as changed:
        yield changed


def transferred(house: House, spy: Call, *, on_the_spy_call: bool = False) -> Move:
    """The supervisor puts what is heard on hold, calls the stranger, and joins the two."""
    phone = house.lab.phone("2001")
    phone.hold(spy)
    house.lab.connect("2001", STRANGER)
    (consultation,) = [call for call in phone.calls if call.id != spy.id]
    to = channel_of(house, STRANGER)
    phone.transfer_attended(*((spy, consultation) if on_the_spy_call else (consultation, spy)))
    return Move(over_at(house, spy), to, STRANGER)


def over_at(house: House, call: Call) -> float:
    """Tell when a call of the supervisor's phone was over."""
    phone = house.lab.phone("2001")
    phone.wait_for_state(call, "closed")
    return next(event.at for event in phone.events if event.kind == "CALL_CLOSED" and event.call_id == call.id)


def channel_of(house: House, phone: str) -> Channel:
    """The channel of a phone that has one."""
    (channel,) = house.lab.pbx.channels_of(phone)
    return channel


def presses(house: House, keys: str) -> None:
    """The stranger types, as long as there is a call."""
    for key in keys:
        if house.lab.phone(STRANGER).calls:
            house.lab.phone(STRANGER).press(key, unread=True)


def assert_nobody_hears_it(house: House, at: float, *listeners: str) -> None:
    """Since the move the two parties of the call are alone, whichever keys are pressed."""
    house.hears(PAIR)
    far = {*listeners, "2001"}
    late = {
        **{who: house.lab.last_heard(who, CALL, at) - at for who in far},
        **{who: house.lab.last_heard(who, far, at) - at for who in CALL},
    }
    assert max(late.values()) <= house.lab.on_a_running_machine(SECONDS, at), late


def assert_on_record(house: House, moved: Move, grant: int = 1) -> None:
    """The audit says what it was and to whom it went, once, and no spy is left."""
    (record,) = house.server.wait_for_audit("spy_handed_over")
    ended = house.server.wait_for_audit("spy_ended", grant)
    assert len(ended) == grant
    assert ended[-1]["why"] == "handed_over"
    assert (record["to"], record["to_uniqueid"]) == (moved.to.name, moved.to.unique_id)
    for field in ("supervisor", "spyer", "grant"):
        assert record[field] == ended[-1][field], field
    house.wait_for_spies(0)


def assert_over(house: House, moved: Move, grant: int = 1) -> None:
    """All of it, for a stranger who tries what the supervisor's keys did."""
    assert_nobody_hears_it(house, moved.at, moved.listener)
    for key in "6*":
        presses(house, key)
        assert_nobody_hears_it(house, moved.at, moved.listener)
    assert_on_record(house, moved, grant)
    assert len(house.server.events("spy_started")) == grant


# ---- an attended transfer ------------------------------------------------------------------------------


@pytest.mark.parametrize("on_the_spy_call", [True, False], ids=["REFER on the spy call", "REFER on the other call"])
def test_what_is_heard_is_transferred(house: House, on_the_spy_call: bool) -> None:
    """In both orders: the stranger hears nothing, and no key of theirs changes that. Afterwards all is as ever."""
    house.lab.connect("3001", "1001")
    moved = transferred(house, house.spy(), on_the_spy_call=on_the_spy_call)
    assert_over(house, moved)
    # It is not the supervisor's right that ended.
    house.spy()
    house.hears(heard_in("listen"))


@pytest.mark.parametrize("barge", ["chanspy", "conference"])
def test_what_is_spoken_into_is_transferred(house: House, barge: str) -> None:
    """Here the stranger would be heard without any key."""
    house.reconfigure(spies={"barge": barge})
    house.lab.connect("3001", "1001")
    assert_over(house, transferred(house, house.spy("barge")))


def test_a_transfer_without_a_manager_interface(house: House) -> None:
    """Nobody tells of the move then, but no key of the stranger is taken for the supervisor's."""
    house.restart(ami=None)
    house.lab.connect("3001", "1001")
    moved = transferred(house, house.spy())
    presses(house, "6")
    house.server.wait_for("agi_session_ended")
    house.lab.phone(STRANGER).wait_until_idle()
    assert_nobody_hears_it(house, moved.at, moved.listener)
    (ended,) = house.server.audit("spy_ended")
    assert ended["why"] == "handed_over"
    assert len(house.server.audit("spy_started")) == 1


@pytest.mark.parametrize("asked", ["the PIN", "the next agent"])
def test_a_question_is_transferred(house: House, asked: str) -> None:
    """What the stranger keys in answers nothing, were it the right PIN."""
    house.lab.connect("3001", "1001")
    if asked == "the PIN":
        call = house.dial("*2221001")
        keys = PINS["2001"] + "#"
    else:
        call = house.spy()
        mark = house.server.mark()
        house.lab.phone("2001").press("*")
        house.server.wait_for("extension_prompted", mark)
        keys = "1001#"
    mark = house.server.mark()
    moved = transferred(house, call)
    assert_nobody_hears_it(house, moved.at, moved.listener)
    presses(house, keys)
    assert_nobody_hears_it(house, moved.at, moved.listener)
    house.server.wait_for("agi_session_ended", mark)
    house.lab.phone(STRANGER).wait_until_idle()
    assert not house.server.events("supervisor_identified", mark)
    assert not house.server.events("spy_started", mark)


@pytest.mark.parametrize("number", [STRANGER, "700"], ids=["to a phone", "into the parking"])
def test_a_conference_is_sent_away(house: House, number: str) -> None:
    """A blind transfer out of a bridge of three puts a Local channel into the supervisor's place, and anyone who
    answers it, or fetches it from the parking, is in the call."""
    house.reconfigure(spies={"barge": "conference"})
    house.lab.connect("3001", "1001")
    stranger = house.lab.phone(STRANGER)
    stranger.set_auto_answer(True)
    with SipCaller.of(house.lab, "2001") as supervisor:
        mark = house.server.mark()
        call = supervisor.invite("*2241001", sound_to=house.lab.sound_of(UNUSED)).established()
        house.server.wait_for("pin_prompted", mark)
        call.press(PINS["2001"] + "#")
        began = moment(house.server.wait_for("spy_started", mark, mode="barge"))
        wait_until(lambda: house.lab.last_heard(UNUSED, CALL, began) > began, WAIT_SECONDS, "the call to be joined")
        at = time.time()
        call.refer(number)
        (record,) = house.server.wait_for_audit("spy_handed_over")
        if number == "700":
            stranger.dial("701")
        else:
            stranger.wait_until_idle()
            # Nobody hears anything before they answer, if it comes to that.
            at = max([at, *(event.at for event in stranger.events if event.kind == "CALL_ESTABLISHED")])
        assert_nobody_hears_it(house, at, UNUSED, STRANGER)
    (ended,) = house.server.wait_for_audit("spy_ended")
    assert ended["why"] == "handed_over"
    # Asterisk takes the Local channel out of the call as soon as it can.
    assert record["to"].startswith(("Local/", f"PJSIP/{STRANGER}-"))
    house.hears(PAIR)


# ---- somebody else's INVITE ----------------------------------------------------------------------------


def test_a_stranger_takes_the_leg(house: House) -> None:
    """INVITE with Replaces: neither the supervisor nor any event tells which channel is in it now."""
    house.lab.connect("3001", "1001")
    spy = house.spy()
    dialogue = house.lab.phone("2001").dialogue(spy)
    with SipCaller.of(house.lab, "3002") as stranger:
        call = stranger.invite("810", replaces=dialogue, sound_to=house.lab.sound_of(UNUSED)).established()
        at = over_at(house, spy)
        assert_nobody_hears_it(house, at, UNUSED)
        if not call.ended:
            call.press("6", unread=True)
        assert_nobody_hears_it(house, at, UNUSED)
    (record,) = house.server.wait_for_audit("spy_handed_over")
    assert record["to"].startswith("PJSIP/3002-")
    assert [ended["why"] for ended in house.server.wait_for_audit("spy_ended")] == ["handed_over"]
    house.wait_for_spies(0)


# ---- what moves nothing ---------------------------------------------------------------------------------


def test_what_is_heard_is_sent_away(house: House) -> None:
    """A blind transfer, and one into the parking, is refused by the PBX, and the supervisor still hears."""
    house.lab.connect("3001", "1001")
    house.lab.phone(STRANGER).set_auto_answer(True)
    with SipCaller.of(house.lab, "2001") as supervisor:
        mark = house.server.mark()
        call = supervisor.invite("*2221001", sound_to=house.lab.sound_of(UNUSED)).established()
        house.server.wait_for("pin_prompted", mark)
        call.press(PINS["2001"] + "#")
        began = moment(house.server.wait_for("spy_started", mark))
        for number in (STRANGER, "700"):
            call.notified.clear()
            call.refer(number)
            wait_until(
                lambda: call.notified[1:], WAIT_SECONDS, f"the PBX to say what came of the transfer to {number}"
            )
            assert call.notified[-1].startswith("SIP/2.0 4"), call.notified
        house.hears(PAIR)
        assert house.lab.last_heard(UNUSED, CALL, began) > began + SECONDS
        assert not house.lab.phone(STRANGER).all_calls
        assert "PJSIP/" not in house.lab.pbx.cli("parking show default")
        (spy,) = house.wait_for_spies(1)
        assert spy["kind"] == "granted"
        call.hang_up()
    (ended,) = house.server.wait_for_audit("spy_ended")
    assert ended["why"] == "supervisor_hung_up"


def test_the_manager_interface_moves_the_supervisor(house: House) -> None:
    """By Bridge and by Redirect. The supervisor talks to the stranger then, and neither of them hears the call."""
    house.lab.connect("3001", "1001")
    house.lab.connect("3002", STRANGER)
    house.spy()
    spyer = channel_of(house, "2001")
    mark = house.server.mark()
    with Manager(house.lab, "doctor") as manager:
        # Lists that show the spy are on their way while it ends.
        house.lab.pbx.cli("module reload cdr")
        manager.ask("Bridge", Channel1=spyer.name, Channel2=channel_of(house, STRANGER).name)
        house.server.wait_for("index_listed", mark)
        assert_moved(house, 1)
        assert not house.server.events("rogue_spy")
        house.lab.phone("2001").hang_up()
        house.lab.phone(STRANGER).wait_until_idle()
        house.lab.phone(STRANGER).set_auto_answer(True)
        house.spy()
        spyer = channel_of(house, "2001")
        manager.ask("Redirect", Channel=spyer.name, Context="phones", Exten=STRANGER, Priority="1")
        assert_moved(house, 2)


def test_the_manager_interface_parks_the_supervisor(house: House) -> None:
    """The spy is over in the parking, and for who fetches the supervisor from there."""
    house.lab.connect("3001", "1001")
    house.spy()
    spyer = channel_of(house, "2001")
    with Manager(house.lab, "doctor") as manager:
        manager.ask("Park", Channel=spyer.name)
        house.server.wait_for_audit("spy_ended")
        house.hears({**PAIR, "2001": {"music"}})
        house.lab.phone(STRANGER).dial("701")
        assert_moved(house, 1)
    house.assert_no_alarm()


def assert_moved(house: House, grant: int) -> None:
    """The supervisor talks to the stranger, and it is on record that the spy is over."""
    house.server.wait_for_audit("spy_ended", grant)
    house.hears({**PAIR, "2001": {STRANGER}, STRANGER: {"2001"}})
    assert len(house.server.audit("spy_ended")) == grant
    house.wait_for_spies(0)


def test_a_proof_of_a_spy_that_is_over(replaying: House) -> None:
    """A grant stays on a channel that was redirected; for anyone who spies from it later it is not a right."""
    house = replaying
    house.lab.connect("3001", "1001")
    house.lab.phone(STRANGER).set_auto_answer(True)
    house.spy()
    spyer = channel_of(house, "2001")
    with Manager(house.lab, "doctor") as manager:
        manager.ask("Redirect", Channel=spyer.name, Context="phones", Exten=STRANGER, Priority="1")
        house.server.wait_for_audit("spy_ended")
        house.server.kill()
        house.server.start()
        manager.ask("Redirect", Channel=spyer.name, Context="lab-replay", Exten="1001", Priority="1")
    (rogue,) = house.server.wait_for_audit("rogue_spy")
    assert rogue["spyer"] == spyer.name


def test_a_call_to_the_supervisor_is_picked_up(picking_up: House) -> None:
    """A program calls the supervisor and lets them spy; the phone that picks that call up is judged by itself."""
    house = picking_up
    house.lab.connect("3001", "1001")
    house.lab.phone(STRANGER).set_auto_answer(True)
    with Manager(house.lab, "doctor") as manager:
        mark = house.server.mark()
        manager.ask(
            "Originate", Channel="PJSIP/2001", Context="supervisors", Exten="*2221001", Priority="1", Async="true"
        )
        house.lab.phone("2001").wait_for_incoming()
        house.lab.phone(STRANGER).dial("731")
        house.server.wait_for("pin_prompted", mark)
        presses(house, PINS["2001"] + "#")
        refused = house.server.wait_for("pin_refused", mark)
    assert refused["endpoint"] == f"PJSIP/{STRANGER}"
    house.lab.phone(STRANGER).hang_up()
    assert not house.server.audit("spy_started")
