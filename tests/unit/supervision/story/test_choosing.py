"""Which of several calls: the question, and what may change during it."""

from __future__ import annotations

from collections import deque
from dataclasses import replace

import pytest

from agi_monitor.model import Agent, Cue, Reason
from agi_monitor.supervision.hooks import Plugin
from agi_monitor.supervision.protected import Protected
from agi_monitor.testing import FakeChannel
from tests.doubles.desk import PIN, POLICY, SPYEE, SPYEE_UNIQUEID, Desk, refusals
from tests.unit.supervision.story.calls import two_calls


def test_asks_which_of_several_calls(desk: Desk) -> None:
    """Each call has a key and the other party's number; the older call comes first."""
    two_calls(desk, f"{PIN}#!2")

    assert desk.spies == ["1700000000.30,uqESX"]
    assert desk.pbx.played == ["agent-pass", "vm-press"]


def test_another_key_goes_on_to_the_next_of_several_calls(desk: Desk) -> None:
    """Who knows that it is not the first one hears of the second at once."""
    two_calls(desk, f"{PIN}#!#2")

    assert desk.spies == ["1700000000.30,uqESX"]
    assert desk.pbx.played[:4] == ["agent-pass", "vm-press", "vm-press", "digits:2"]


def test_tells_every_call_before_it_waits(desk: Desk) -> None:
    """Without a key both calls are told twice, then the request is refused."""
    two_calls(desk, f"{PIN}#")

    question = ["vm-press", "digits:1", "for", "digits:555", "vm-press", "digits:2", "for", "digits:49301234"]
    assert desk.pbx.played[:17] == ["agent-pass", *question * 2]
    assert desk.recorded("reason", "detail")[0] == ("ambiguous", "2 calls")


def test_a_rule_taken_away_during_the_question_holds(desk: Desk) -> None:
    """The answer takes its time: what the configuration says after it decides."""

    def reload_meanwhile(channel: FakeChannel, device: str) -> str:
        desk.change(rules=())
        return "INUSE"

    desk.pbx.functions["DEVICE_STATE"] = reload_meanwhile
    two_calls(desk, f"{PIN}#1")

    assert refusals(desk)[0] == "mode_denied"
    assert desk.spies == []


@pytest.mark.parametrize("reason", [Reason.TARGET_GONE, Reason.ON_HOLD, Reason.PROTECTED])
def test_a_call_that_changes_during_the_question_is_looked_at_again(desk: Desk, reason: Reason) -> None:
    """It ends, is put on hold, or a party joins who may not be heard: what it is after the answer decides."""
    desk.change(protected=Protected(frozenset({"PJSIP/9000"})))
    desk.pbx.add_channel("PJSIP/9000-00000040")

    def change() -> None:
        call = desk.channel_of("1700000000.30")
        if reason is Reason.TARGET_GONE:
            call.alive = False
        elif reason is Reason.ON_HOLD:
            call.on_hold = True
        else:
            call.bridge_peer += ",PJSIP/9000-00000040"
        desk.pbx.keys("2")

    desk.pbx.plan = deque([change])
    two_calls(desk, f"{PIN}#")

    assert refusals(desk)[0] == reason
    assert desk.pbx.executed == []


def test_a_call_that_did_not_change_during_the_question_is_heard(desk: Desk) -> None:
    """The same question, and nothing happened meanwhile."""
    desk.pbx.plan = deque([lambda: desk.pbx.keys("2")])
    two_calls(desk, f"{PIN}#")

    assert desk.spies == ["1700000000.30,uqESX"]


@pytest.mark.parametrize("protected_by", ["endpoint", "number", "mark", "another-owner"])
def test_the_number_of_a_call_that_may_not_be_heard_is_not_said(desk: Desk, protected_by: str) -> None:
    """The other one is heard without a question."""
    if protected_by == "endpoint":
        desk.channel_of(SPYEE_UNIQUEID).bridge_peer = "PJSIP/9000-00000040"
        desk.pbx.add_channel("PJSIP/9000-00000040", bridge_peer=SPYEE)
        desk.change(protected=Protected(frozenset({"PJSIP/9000"})))
    elif protected_by == "number":
        desk.change(protected=Protected(numbers=("555",)))
    elif protected_by == "mark":
        desk.channel_of(SPYEE_UNIQUEID).variables["AGI_MONITOR_PROTECTED"] = "1"
    else:
        desk.channel_of(SPYEE_UNIQUEID).name = "PJSIP/1007-0000000a"
        desk.pbx.device_states["PJSIP/1007"] = "INUSE"
        agents = {
            "1001": replace(POLICY.agents["1001"], endpoints=("PJSIP/1001", "PJSIP/1007")),
            "1003": Agent("1003", frozenset({"protected"}), ("PJSIP/1007",)),
        }
        desk.change(agents=agents)
    two_calls(desk, f"{PIN}#")

    assert desk.spies == ["1700000000.30,uqESX"]
    assert desk.pbx.played == ["agent-pass"]


def test_no_number_is_said_once_the_right_is_gone(desk: Desk) -> None:
    """The rule is taken away while the first number is said."""

    class Slow:
        def words(self, moment: str, language: str) -> None:
            if moment == Cue.CHOOSE_CALL:
                desk.change(rules=())

    desk.plugins = (Plugin("slow", Slow()),)
    two_calls(desk, f"{PIN}#")

    assert [said for said in desk.pbx.played if said.startswith("digits:")] == ["digits:1", "digits:555"]
    assert refusals(desk)[0] == "mode_denied"


def test_no_number_is_said_to_the_phone_that_took_the_call(desk: Desk) -> None:
    """It is handed over while the words before the number are said."""

    play = desk.pbx._play

    def moved(sound: str) -> bool:
        if sound == "for":
            desk.pbx.channel.uniqueid = "1700000000.77"
        return play(sound)

    desk.pbx._play = moved  # type: ignore[method-assign]
    two_calls(desk, f"{PIN}#")

    assert desk.pbx.played == ["agent-pass", "vm-press", "digits:1", "for"]


def test_no_more_choices_than_keys(desk: Desk) -> None:
    """Of twelve calls the first nine can be chosen."""
    for number in range(11):
        name = f"PJSIP/1001-000000f{number:x}"
        desk.pbx.add_channel(name, f"1700000001.{number}", bridge_peer="PJSIP/trunk-0000000b")
    desk.run(f"{PIN}#")

    assert "digits:9" in desk.pbx.played
    assert "digits:10" not in desk.pbx.played
