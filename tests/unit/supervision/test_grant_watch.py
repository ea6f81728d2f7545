"""Without a manager interface nothing is known, and nothing is allowed that needs to be known."""

from __future__ import annotations

from agi_monitor.live.index import Stale
from agi_monitor.model import Agent
from agi_monitor.supervision.grant import Place
from agi_monitor.supervision.grant_watch import NO_MANAGER
from tests.doubles.coroutines import finish
from tests.shell.managed import GRANT

CALL = frozenset({"1700000000.10"})
PLACE = Place("anna", "1700000000.1", "1700000000.10", 1_700_000_000.0)
AGENT = Agent("1001", frozenset())


def test_there_is_no_picture() -> None:
    """Not even that a channel is gone is known."""
    live = NO_MANAGER.live
    asked = [live.channel("1.1"), live.partners_of("1.1"), live.origin_of("1.1"), live.at_device("PJSIP/1001")]
    assert {live.stale(), live.devices_of(AGENT), live.endpoints(), *asked} == {Stale.NO_MANAGER}
    assert not finish(live.is_fresh())
    assert not finish(live.is_member(AGENT, "PJSIP/1001"))
    assert not finish(live.hides_owner("PJSIP/1001"))


def test_no_spy_is_watched() -> None:
    """It has no proof, nothing ends it from outside, and how many hear a call is not known."""
    watch = NO_MANAGER.watch
    watch.place_taken(PLACE)
    assert watch.listeners(PLACE, CALL, begins=True) is None
    assert watch.opened(GRANT) is None
    assert watch.revoked(GRANT) is None
    assert not (watch.begins_anew(GRANT) or watch.is_another_conversation(GRANT) or watch.conversation_over(GRANT))
    assert not finish(watch.was_handed_over(GRANT))
    finish(watch.silenced(GRANT))
    watch.left_alone(GRANT)
    watch.closed(GRANT)
    watch.place_left(PLACE)
    assert (watch.heard_since("anna", CALL, 5.0), watch.heard_for(PLACE)) == (5.0, 0.0)


def test_no_agent_can_be_told() -> None:
    """An agent who has to be told is not heard."""
    watch = NO_MANAGER.watch
    assert watch.notice_expected("1700000000.10") is None
    assert not finish(watch.notice_given("1"))
    watch.notice_over("1")
