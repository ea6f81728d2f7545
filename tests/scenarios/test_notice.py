"""The agent is told first: what is heard by whom before a supervisor hears anything."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from contrib.lab.endpoints import NOTICE, NOTICE_SOUND
from contrib.lab.pbx import Lab
from contrib.lab.sound import Hearing
from tests.scenarios.house import House, heard_in

SOUNDS = {"sounds": [NOTICE_SOUND]}
LONG = {"sounds": [NOTICE_SOUND] * 8}
"""Long enough for much to happen meanwhile."""
SOUND_SECONDS = 1.0


@pytest.fixture
def noticed(house: House, own_dialplan: Lab) -> House:
    """Every agent is told before every mode, by one tone."""
    house.reconfigure(notice=SOUNDS)
    house.server.render()
    return house


@pytest.fixture
def long_notice(house: House, own_dialplan: Lab) -> House:
    """Every agent is told at length."""
    house.reconfigure(notice=LONG)
    house.server.render()
    return house


def moment(event: dict[str, Any]) -> float:
    """When something was logged, in seconds since 1970."""
    return datetime.fromisoformat(event["timestamp"]).timestamp()


def during_notice(house: House, number: int = 0) -> Hearing:
    """Who heard whom while the agent was told."""
    begun, given = house.server.events("notice_begun")[number], house.server.events("notice_given")[number]
    return house.lab.heard_between(moment(begun), moment(given))


def told(house: House) -> list[tuple[str, bool]]:
    """The mode of each spy, and whether the agent was told, by the audit."""
    return [(record["mode"], record["told"]) for record in house.server.audit("spy_started")]


def assert_no_alarm(house: House) -> None:
    """The helper that plays the sound is taken for what it is."""
    assert not house.server.events("rogue_spy")
    assert not house.server.audit("rogue_spy")


@pytest.mark.parametrize("mode", ["listen", "whisper", "barge"])
def test_the_agent_alone_is_told_before_anything_is_heard(noticed: House, mode: str) -> None:
    """The agent hears the whole sound, the customer none of it, and the supervisor nothing until it is over."""
    house = noticed
    house.lab.connect("3001", "1001")
    house.spy(mode)
    heard = during_notice(house)
    assert heard.matches({"1001": {"3001", NOTICE}, "3001": {"1001"}, "2001": set()}), heard.table()
    assert heard.coverage["2001"] == 0.0, heard.table()
    begun, given = (house.server.events(name)[0] for name in ("notice_begun", "notice_given"))
    assert moment(given) - moment(begun) >= SOUND_SECONDS
    house.hears(heard_in(mode))
    assert told(house) == [(mode, True)]
    assert_no_alarm(house)


@pytest.mark.parametrize("queue", ["500", "501"])
def test_an_agent_of_a_queue_is_told(noticed: House, queue: str) -> None:
    """Also where a Local channel stands between agent and customer."""
    house = noticed
    house.lab.connect("3001", queue, "1001")
    house.hears({"3001": {"1001"}, "1001": {"3001"}})
    house.spy()
    heard = during_notice(house)
    assert heard.matches({"1001": {"3001", NOTICE}, "3001": {"1001"}, "2001": set()}), heard.table()
    house.hears(heard_in("listen"))
    assert told(house) == [("listen", True)]


@pytest.mark.either_version
def test_one_spy_is_told_once(noticed: House) -> None:
    """A change of mode is no news; the next call of the agent is, and so is a second supervisor."""
    house = noticed
    house.lab.connect("3001", "1001")
    house.spy()
    house.change_mode("whisper")
    house.change_mode("listen")
    assert len(house.server.events("notice_given")) == 1
    house.spy(supervisor="2003")
    assert len(house.server.events("notice_given")) == 2
    house.lab.phone("2003").hang_up()
    mark = house.server.mark()
    house.lab.phone("3001").hang_up()
    house.server.wait_for("waiting", mark)
    house.lab.connect("3002", "1001")
    house.server.wait_for("notice_given", mark)
    house.server.wait_for("spy_started", mark)
    house.hears(heard_in("listen", customer="3002"))
    modes = ["listen", "whisper", "listen", "listen", "listen"]
    assert told(house) == [(mode, True) for mode in modes]
    assert_no_alarm(house)


@pytest.mark.either_version
def test_only_the_modes_that_are_named(noticed: House) -> None:
    """Listening goes untold; before the whisper the agent is told, and hears it before the supervisor's voice."""
    house = noticed
    house.reconfigure(notice={**SOUNDS, "modes": ["whisper"]})
    house.lab.connect("3001", "1001")
    house.spy()
    house.hears(heard_in("listen"))
    assert not house.server.events("notice_begun")
    house.change_mode("whisper")
    heard = during_notice(house)
    assert heard.hears("1001", NOTICE)
    assert not heard.hears("1001", "2001")
    house.hears(heard_in("whisper"))
    assert told(house) == [("listen", False), ("whisper", True)]


@pytest.mark.either_version
@pytest.mark.parametrize("agents", [["100"], ["hotline"]], ids=["by extension", "by group"])
def test_only_the_agents_that_are_named(noticed: House, agents: list[str]) -> None:
    """One agent is told, the other one is not."""
    house = noticed
    people = {"100": {"endpoints": ["PJSIP/100"], "groups": ["sales", "hotline"]}, "1001": {"groups": ["sales"]}}
    rule = {"name": "all", "allow": ["listen"], "supervisors": ["all"], "agents": ["sales"]}
    house.reconfigure(notice={**SOUNDS, "agents": agents}, agents=people, rules=[rule])
    house.lab.connect("3001", "1001")
    house.lab.connect("3002", "100")
    house.spy(extension="1001", supervisor="2001")
    assert not house.server.events("notice_begun")
    house.spy(extension="100", supervisor="2003")
    assert during_notice(house).hears("100", NOTICE)
    assert told(house) == [("listen", False), ("listen", True)]


@pytest.mark.either_version
def test_who_cannot_be_told_is_not_heard(house: House) -> None:
    """The dialplan has no notice: refused, no sound, no record of a spy."""
    house.reconfigure(notice=SOUNDS)
    house.lab.connect("3001", "1001")
    house.identify("*2221001")
    house.wait_for_refusal("notice_failed")
    house.server.wait_for("extension_prompted")
    house.lab.wait_for_hearing({"3001": {"1001"}, "1001": {"3001"}, "2001": set()})
    assert not house.server.audit("spy_started")


@pytest.mark.either_version
def test_a_mode_of_which_the_agent_cannot_be_told_does_not_begin(house: House) -> None:
    """Listening continues as before, as after every refusal of a mode."""
    house.reconfigure(notice={**SOUNDS, "modes": ["whisper"]})
    house.lab.connect("3001", "1001")
    house.spy()
    mark = house.server.mark()
    house.lab.phone("2001").press("5")
    house.server.wait_for("refused", mark, reason="notice_failed", mode="whisper")
    house.server.wait_for("spy_started", mark, mode="listen")
    house.hears(heard_in("listen"))
    assert told(house) == [("listen", False), ("listen", False)]


@pytest.mark.either_version
def test_a_right_that_is_taken_away_during_the_notice(long_notice: House) -> None:
    """What was allowed when the notice began is decided once more when it is over."""
    house = long_notice
    house.lab.connect("3001", "1001")
    house.identify("*2221001")
    house.server.wait_for("notice_begun")
    rule = {"name": "nothing", "deny": ["listen"], "supervisors": ["all"], "agents": ["all"]}
    house.reconfigure(notice=LONG, rules=[rule])
    assert not house.server.events("notice_given")
    house.wait_for_refusal("mode_denied")
    house.lab.wait_for_hearing({"3001": {"1001"}, "1001": {"3001"}, "2001": set()})
    assert not house.server.audit("spy_started")


def test_the_call_ends_during_the_notice(long_notice: House) -> None:
    """There is no call left to hear: no spy begins, and nothing is left of the helper."""
    house = long_notice
    house.lab.connect("3001", "1001")
    house.identify("*2221001")
    house.server.wait_for("notice_begun")
    house.lab.phone("1001").hang_up()
    house.server.wait_for("extension_prompted")
    house.lab.phone("2001").hang_up()
    house.lab.pbx.wait_until(lambda: not house.lab.pbx.channels(), 40, "all channels to end")
    assert house.server.audit("refused")[-1]["reason"] in ("target_gone", "notice_failed")
    assert_no_alarm(house)


def test_the_supervisor_hangs_up_during_the_notice(long_notice: House) -> None:
    """No spy begins, and the call of the others continues."""
    house = long_notice
    house.lab.connect("3001", "1001")
    call = house.identify("*2221001")
    house.server.wait_for("notice_begun")
    house.lab.phone("2001").hang_up(call)
    house.server.wait_for("agi_session_ended")
    house.lab.wait_for_hearing({"3001": {"1001"}, "1001": {"3001"}})
    assert not house.server.audit("spy_started")
    assert_no_alarm(house)
