"""What was asked for is on record: granted, refused, or abandoned."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from agi_monitor.rights.authorization import Terms
from agi_monitor.supervision import chanspy
from agi_monitor.supervision.hooks import Plugin
from tests.doubles.desk import CUSTOMER_UNIQUEID, PIN, SPYEE, SPYEE_UNIQUEID, Desk
from tests.unit.rights.test_phone_rights import rule
from tests.unit.supervision.live_story.calls import OTHER, SECOND_CUSTOMER, call_of_1001, connected
from tests.unit.supervision.live_story.test_gates import Agrees, next_customer, while_told


def abandoned(desk: Desk) -> list[tuple[object, ...]]:
    """Each request that was abandoned: the agent, how, by whom and why."""
    found = [one for one in desk.records if one["fact"] == "request_abandoned"]
    return [(one["extension"], one["mode"], one["supervisor"], one["why"]) for one in found]


def at_the_question_which_call(desk: Desk) -> None:
    desk.pbx.add_channel(SECOND_CUSTOMER, bridge_peer="PJSIP/1005-00000031")
    desk.pbx.add_channel("PJSIP/1005-00000031", bridge_peer=SECOND_CUSTOMER)
    desk.pbx.add_channel("PJSIP/trunk-00000032", bridge_peer=OTHER)
    desk.pbx.add_channel(OTHER, bridge_peer="PJSIP/trunk-00000032")


def while_the_agent_is_told(desk: Desk) -> None:
    desk.pbx.add_channel(SECOND_CUSTOMER, bridge_peer=OTHER)
    desk.pbx.add_channel(OTHER, bridge_peer=SECOND_CUSTOMER)
    while_told(desk, desk.pbx.hang_up)


@pytest.mark.parametrize("hang_up", [at_the_question_which_call, while_the_agent_is_told])
def test_a_second_request_that_is_abandoned_is_on_record(desk: Desk, hang_up: Callable[[Desk], None]) -> None:
    """The star key, another agent, and a hang-up before it is decided."""
    desk.at_key = lambda key: hang_up(desk)
    desk.run(f"{PIN}#*1005")
    assert len(desk.spies) == 1
    assert [one["fact"] for one in desk.records] == ["spy_started", "spy_ended", "request_abandoned"]
    assert abandoned(desk) == [("1005", "listen", "anna", "supervisor_hung_up")]


def test_a_mode_that_is_abandoned_is_on_record(desk: Desk) -> None:
    """It was asked for with a key, and a plug-in thinks about it."""
    desk.plugins = (Plugin("thinks", thinks := Agrees()),)

    def think(key: str) -> None:
        thinks.meanwhile = desk.pbx.hang_up

    desk.at_key = think
    desk.run(f"{PIN}#6")
    assert len(desk.spies) == 1
    assert abandoned(desk) == [("1001", "barge", "anna", "supervisor_hung_up")]


def test_a_request_that_was_granted_is_not_abandoned(desk: Desk) -> None:
    """Nor one that was refused, nor a hang-up at the question for the next one."""
    desk.run(f"{PIN}#6*1003" + "*")
    assert abandoned(desk) == []


def test_waiting_for_the_next_call_is_not_a_request(desk: Desk) -> None:
    """What was asked for has been granted; the next call is a request when it comes."""
    desk.when_quiet = desk.agent_hangs_up
    desk.then(lambda: None, desk.pbx.hang_up)
    desk.run()
    assert abandoned(desk) == []


def test_the_next_call_that_is_abandoned_is_on_record(desk: Desk) -> None:
    """The supervisor hangs up while the agent is told of it."""
    desk.when_quiet = desk.agent_hangs_up

    def next_call() -> None:
        call_of_1001(desk)
        while_told(desk, desk.pbx.hang_up)

    desk.then(lambda: None, next_call)
    desk.run()
    assert abandoned(desk) == [("1001", "listen", "anna", "supervisor_hung_up")]


# ---- a key belongs to its conversation -----------------------------------------------------------------------


@pytest.mark.parametrize("key", ["4", "5", "6", "7"])
@pytest.mark.parametrize("live", [True, False], ids=["manager-interface", "without"])
def test_a_key_between_two_customers_is_not_for_the_second(tmp_path: Path, key: str, live: bool) -> None:
    """The customer leaves, the key is pressed while the agent is alone, and the next customer comes while the end is
    recorded: neither heard, nor spoken to, in the mode that was chosen for another call."""
    desk = connected(tmp_path) if live else Desk(tmp_path)

    def alone(key: str) -> None:
        desk.channel_of(CUSTOMER_UNIQUEID).alive = False
        desk.channel_of(SPYEE_UNIQUEID).bridge_peer = ""
        desk.audit.afterwards["spy_ended"] = lambda: next_customer(desk)

    desk.at_key = alone
    desk.run(f"{PIN}#{key}")
    assert desk.pbx.executed == [("ChanSpy", f"{SPYEE_UNIQUEID},uqESX")]
    assert [one["detail"] for one in desk.records if one["fact"] == "refused"] == [
        "the call went on with another party"
    ]


@pytest.mark.parametrize("mode", ["5", "6", "7"])
def test_a_key_while_the_customer_changes_begins_nothing(desk: Desk, mode: str) -> None:
    """The next customer is there already when it is read: listening continues, and the call is not spoken into."""
    assert desk.watch is not None

    def changes(key: str) -> None:
        next_customer(desk)
        (grant,) = desk.watch.open  # type: ignore[union-attr]
        desk.watch.others.add(grant.id)  # type: ignore[union-attr]

    desk.at_key = changes
    desk.run(f"{PIN}#{mode}")
    assert desk.spies == [f"{SPYEE_UNIQUEID},uqESX"] * 2
    assert [one["spyee"] for one in desk.records if one["fact"] == "spy_started"] == [SPYEE] * 2


def press_during(desk: Desk, sound: str, keys: str) -> None:
    """The supervisor presses keys while a sound is played, the first time."""
    play, left = desk.pbx._play, [keys]

    def meanwhile(played: str) -> bool:
        if played == sound and left:
            desk.pbx.keys(f"!{left.pop()}")
        return play(played)

    desk.pbx._play = meanwhile  # type: ignore[method-assign, assignment]


@pytest.mark.parametrize("key", ["5", "6", "7"])
def test_a_key_that_came_too_late_is_not_for_the_next_call_of_the_scan(tmp_path: Path, key: str) -> None:
    """It was pressed during the beep that says that the call before is over."""
    desk = connected(tmp_path, "*222*")
    desk.pbx.add_channel(SECOND_CUSTOMER, bridge_peer=OTHER)
    desk.pbx.add_channel(OTHER, "1700000100.34", bridge_peer=SECOND_CUSTOMER)
    desk.when_quiet = desk.agent_hangs_up
    press_during(desk, "beep", key)
    desk.run()
    assert [one["mode"] for one in desk.records if one["fact"] == "spy_started"] == ["listen", "listen"]
    assert desk.pbx.executed == [("ChanSpy", f"{SPYEE_UNIQUEID},uqESX"), ("ChanSpy", "1700000100.34,uqESX")]


def test_nobody_is_taken_over_whom_the_supervisor_has_not_heard(tmp_path: Path) -> None:
    """The key is pressed while the scan says who comes next."""
    desk = connected(tmp_path, "*222*")
    press_during(desk, "extension", "7")
    desk.run()
    assert [application for application, _ in desk.pbx.executed] == ["ChanSpy"]


@pytest.mark.parametrize("again", [True, False], ids=["followed", "asked-for-again"])
def test_a_reason_is_given_for_each_call_of_an_agent(desk: Desk, again: bool) -> None:
    """Also where the agent's channel outlives the call, as in an agent pool: the next customer is another call."""
    desk.change(rules=(rule(terms=Terms(reason_required=True)),), reasons={"7": "legal", "8": "other"})

    def over() -> int:
        desk.channel_of(CUSTOMER_UNIQUEID).alive = False
        desk.channel_of(SPYEE_UNIQUEID).bridge_peer = ""
        (grant,) = desk.watch.open  # type: ignore[union-attr]
        desk.watch.over.add(grant.id)  # type: ignore[union-attr]
        desk.pbx.channel.context, desk.pbx.channel.extension = chanspy.EXIT_CONTEXT, chanspy.END_KEY
        desk.when_quiet = desk.supervisor_hangs_up
        return 0

    def next_call() -> None:
        next_customer(desk)
        desk.pbx.keys("8")

    if again:
        desk.when_quiet = over
        desk.then(next_call)
        desk.run(f"{PIN}#7")
    else:
        desk.at_key = lambda key: next_customer(desk)
        desk.run(f"{PIN}#7*10018")
    assert [one["reason"] for one in desk.records if one["fact"] == "spy_started"] == ["legal", "other"]
