"""What was decided before a wait is decided again after it, and what was answered is not asked again."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from agi_monitor.errors import StateUnavailable
from agi_monitor.model import Mode, Reason
from agi_monitor.rights.authorization import Effect, Rule, Terms
from agi_monitor.supervision.hooks import Asked, Plugin
from agi_monitor.supervision.policy import Notice
from tests.doubles.coroutines import finish
from tests.doubles.desk import (
    ANNA,
    CUSTOMER_UNIQUEID,
    PIN,
    RULES,
    SPYEE,
    SPYEE_UNIQUEID,
    Desk,
    refusals,
    spoken,
    started,
)
from tests.unit.rights.test_phone_rights import rule
from tests.unit.supervision.live_story.calls import ALL_MODES, SECOND_CUSTOMER, connected, ends


class Agrees:
    """An ``Authorizer`` that says yes, and may do something meanwhile."""

    def __init__(self, meanwhile: Callable[[], object] = lambda: None) -> None:
        self.meanwhile = meanwhile
        self.asked: list[Asked] = []

    async def authorize(self, asked: Asked) -> bool:
        """Say yes."""
        self.asked.append(asked)
        self.meanwhile()
        return True


class Follows:
    """An ``AfterSpy`` that does something."""

    def __init__(self, step: Callable[[], object]) -> None:
        self.step = step

    async def after_spy(self, asked: Asked, why: str, seconds: float) -> None:
        """Do it."""
        self.step()


def while_told(desk: Desk, step: Callable[[], object]) -> None:
    """Something happens while the agent is told."""
    desk.change(notice=ALL_MODES)
    assert desk.watch is not None
    desk.watch.meanwhile = step


def next_customer(desk: Desk) -> None:
    """The customer hangs up, and the agent's channel gets the next one."""
    desk.channel_of(CUSTOMER_UNIQUEID).alive = False
    desk.channel_of(SPYEE_UNIQUEID).bridge_peer = SECOND_CUSTOMER
    desk.pbx.add_channel(SECOND_CUSTOMER, "1700000100.33", bridge_peer=SPYEE)


# ---- plug-ins ----------------------------------------------------------------------------------------------


def test_a_plug_in_that_agreed_is_not_asked_again(desk: Desk) -> None:
    """The agent is told after it; that takes its time, and the rules are asked again, but not the plug-in."""
    plugin = Agrees()
    desk.plugins = (Plugin("agrees", plugin),)
    desk.change(notice=ALL_MODES)
    desk.run()
    assert len(plugin.asked) == 1
    assert len(desk.spies) == 1


def test_a_plug_in_is_asked_for_each_grant(desk: Desk) -> None:
    """Also for the same mode again."""
    plugin = Agrees()
    desk.plugins = (Plugin("agrees", plugin),)
    desk.run(f"{PIN}#D")
    assert len(plugin.asked) == len(desk.spies) == 2


def test_a_plug_in_is_asked_about_the_rule_that_counts(desk: Desk) -> None:
    """Another rule allows it after the agent was told: the plug-in has not agreed to that."""
    plugin = Agrees()
    desk.plugins = (Plugin("agrees", plugin),)
    while_told(desk, lambda: desk.change(rules=(replace(RULES[0], name="since-then"),)))
    desk.run()
    assert [asked.rule for asked in plugin.asked] == ["leads-supervise", "since-then"]
    assert started(desk, "rule") == [("since-then",)]


def test_a_plug_in_is_told_the_reason_that_was_asked_for_after_it(desk: Desk) -> None:
    """The rules want a reason since the plug-in was asked."""
    terms = (rule(terms=Terms(reason_required=True)),)
    plugin = Agrees(lambda: desk.change(rules=terms))
    desk.plugins = (Plugin("agrees", plugin),)
    desk.change(reasons={"7": "legal"})
    desk.run(f"{PIN}#7")
    assert [asked.reason for asked in plugin.asked] == ["", "legal"]
    assert started(desk, "reason") == [("legal",)]


@pytest.mark.parametrize("parts", [Agrees(), object()], ids=["with-an-authorizer", "without-one"])
@pytest.mark.parametrize("when", ["told", "recorded"])
def test_nobody_begins_to_hear_while_the_people_are_lost(desk: Desk, parts: object, when: str) -> None:
    """The plug-in that knows people stops answering while the agent is told, or while the record is written."""

    def lose() -> None:
        assert desk.hooks is not None
        finish(desk.hooks.people_lost(Plugin("people", object()), StateUnavailable("no answer")))

    desk.plugins = (Plugin("other", parts),)
    if when == "told":
        while_told(desk, lose)
    else:
        desk.audit.afterwards["spy_started"] = lose
    desk.run()
    assert desk.spies == []
    assert refusals(desk)[0] == ("plugin_failed" if when == "told" else "revoked")
    assert [name for (name,) in desk.recorded("fact")].count("plugin_failed") == 1


# ---- the call ----------------------------------------------------------------------------------------------


def test_a_call_that_is_put_on_hold_while_the_agent_is_told_is_not_heard(desk: Desk) -> None:
    """It would be refused without the notice."""
    while_told(desk, lambda: setattr(desk.channel_of(SPYEE_UNIQUEID), "on_hold", True))
    desk.run()
    assert desk.spies == []
    assert refusals(desk)[0] == "on_hold"


def test_a_call_that_was_on_hold_while_it_is_heard_goes_on(desk: Desk) -> None:
    """The mode changes with a notice; the supervisor has heard the music before."""
    desk.change(notice=Notice(frozenset({Mode.WHISPER}), frozenset({"all"})))

    def hold(key: str) -> None:
        desk.channel_of(SPYEE_UNIQUEID).on_hold = True

    desk.at_key = hold
    desk.run(f"{PIN}#5")
    assert [mode for (mode,) in started(desk, "mode")] == ["listen", "whisper"]


def test_a_phone_that_becomes_the_supervisors_own_is_not_heard(desk: Desk) -> None:
    """While the agent is told, the configuration gives it to both."""
    own = replace(ANNA, endpoints=frozenset({"PJSIP/2001", "PJSIP/1001"}))
    while_told(desk, lambda: desk.change(supervisors=dict.fromkeys(own.endpoints, own)))
    desk.run()
    assert desk.spies == []
    assert refusals(desk)[0] == "self_spy"


def test_a_call_that_was_chosen_is_heard_with_that_party_only(desk: Desk) -> None:
    """The supervisor chose a customer's number, and the agent's channel continues with somebody else."""
    other = desk.pbx.add_channel("PJSIP/1001-00000030", "1700000000.30", bridge_peer="PJSIP/trunk-00000031")
    customer = desk.pbx.add_channel("PJSIP/trunk-00000031", "1700000000.31", bridge_peer="PJSIP/1001-00000030")

    def chosen() -> None:
        customer.alive = False
        other.bridge_peer = SECOND_CUSTOMER
        desk.pbx.add_channel(SECOND_CUSTOMER, "1700000100.33", bridge_peer=other.name)
        desk.pbx.keys("2")

    desk.pbx.plan = deque([chosen])
    desk.run()
    assert desk.spies == []
    assert desk.recorded("reason", "detail")[0] == ("target_gone", "the call went on with another party")


NO_TAKE_OVER = Rule("no-take-over", Effect.DENY, frozenset({Mode.TAKE_OVER}), frozenset({"all"}), frozenset({"all"}))


def test_whoever_comes_while_a_refusal_is_said_is_not_spoken_to(tmp_path: Path) -> None:
    """The supervisor may not take the call over. No spy is watched while that is said."""
    desk = connected(tmp_path, "*2241001")
    desk.change(rules=(*RULES, NO_TAKE_OVER))
    play = desk.pbx._play

    def meanwhile(sound: str) -> bool:
        if sound == spoken(Reason.MODE_DENIED)[0] and desk.channel_of(CUSTOMER_UNIQUEID).alive:
            next_customer(desk)
        return play(sound)

    desk.pbx._play = meanwhile  # type: ignore[method-assign]  # while the refusal is said
    desk.run(f"{PIN}#7")
    assert [mode for (mode,) in started(desk, "mode")] == ["barge"]
    assert refusals(desk)[:2] == ["mode_denied", "target_gone"]


def test_the_mode_before_goes_on_after_a_refusal(tmp_path: Path) -> None:
    """The same, and the customer stays."""
    desk = connected(tmp_path, "*2241001")
    desk.change(rules=(*RULES, NO_TAKE_OVER))
    desk.run(f"{PIN}#7")
    assert [mode for (mode,) in started(desk, "mode")] == ["barge", "barge"]
    assert refusals(desk) == ["mode_denied"]


@pytest.mark.parametrize("connect", [True, False], ids=["manager-interface", "AGI-alone"])
@pytest.mark.parametrize("dialled", ["*2221001", "*2231001", "*2241001"], ids=["listen", "whisper", "barge"])
def test_whoever_comes_while_the_record_is_written_is_not_heard(tmp_path: Path, dialled: str, connect: bool) -> None:
    """What was asked and said was about the customer who was on before."""
    desk = connected(tmp_path, dialled) if connect else Desk(tmp_path, dialled)
    desk.audit.afterwards["spy_started"] = lambda: next_customer(desk)
    desk.run()
    assert desk.spies == []
    assert (ends(desk), refusals(desk)[0]) == (["target_gone"], "target_gone")


@pytest.mark.parametrize("step", ["plug-in", "record"])
def test_whoever_comes_while_the_end_is_recorded_is_not_spoken_to(desk: Desk, step: str) -> None:
    """A key is pressed for the customer who is on; the record and the plug-ins behind the spy take their time."""

    def comes() -> None:
        if desk.channel_of(CUSTOMER_UNIQUEID).alive:
            next_customer(desk)

    if step == "plug-in":
        desk.plugins = (Plugin("follows", Follows(comes)),)
    else:
        desk.audit.afterwards["spy_ended"] = comes
    desk.run(f"{PIN}#6")
    assert [mode for (mode,) in started(desk, "mode")] == ["listen"]
    assert ends(desk) == ["mode_key"]
    assert refusals(desk)[0] == "target_gone"
