"""A channel that cannot be asked, or does not answer, is asked again."""

from __future__ import annotations

import pytest
from structlog.typing import EventDict

from agi_monitor.live.index import SETTLE_SECONDS
from agi_monitor.model import RogueSpies
from agi_monitor.supervision.proof import VARIABLE
from agi_monitor.supervision.spies import SpyKind
from tests.shell.managed import GRANT, ROGUE, SPYEE, SPYER, Site
from tests.shell.pbx.spy_watch.watching import OTHER, kept, kinds, resync


def test_a_list_while_a_channel_is_asked_makes_no_second_alarm(site: Site) -> None:
    """The answer of the channel and the list may come in any order."""
    site.fake.held.add("Getvar")
    site.fake.start_spying(ROGUE, SPYEE)
    resync(site)
    site.fake.answer_held()
    assert site.facts == ["rogue_spy"]
    assert site.fake.names.count("Getvar") == 2


def test_a_channel_that_cannot_be_asked_is_asked_again(site: Site) -> None:
    """A loss in the middle of the question does not make a rogue spy: the next list asks once more."""
    site.fake.held.add("Getvar")
    site.fake.start_spying(ROGUE, SPYEE)
    site.fake.lose_connection()
    assert kinds(site) == [(ROGUE, SpyKind.UNPROVEN)]
    site.fake.held.clear()
    site.fake.advance(5.0)
    assert site.facts == ["pbx_lost", "pbx_synced", "rogue_spy"]


def test_a_pbx_that_is_being_stopped_proves_nobody_rogue(site: Site, logs: list[EventDict]) -> None:
    """It says no to every question, but the channel is there: its proof could not be asked for, and is later."""
    site.fake.refused["Getvar"] = "Asterisk is shutting down"
    site.fake.start_spying(SPYER, SPYEE)
    site.fake.variables[SPYER, VARIABLE] = OTHER.sign(GRANT)
    assert (kinds(site), site.facts) == ([(SPYER, SpyKind.UNPROVEN)], [])
    assert not [line["event"] for line in logs if line["log_level"] == "error"]
    site.fake.refused.clear()
    resync(site)
    assert (kinds(site), site.facts) == ([(SPYER, SpyKind.OTHERS)], [])


def test_a_question_that_is_not_answered_is_asked_again(site: Site) -> None:
    """A PBX that is silent for the deadline of an action loses no alarm."""
    site.fake.held.add("Getvar")
    site.fake.start_spying(ROGUE, SPYEE)
    site.fake.advance(11.0)
    assert site.facts == []
    site.fake.held.clear()
    resync(site)
    assert site.facts == ["rogue_spy"]


@pytest.mark.parametrize("end", ["before the loss", "during the loss"])
def test_a_spy_that_could_not_be_asked_is_told_with_its_end(site: Site, end: str) -> None:
    """Somebody was heard, and the question was lost with the connection: both records are left."""
    site.fake.held.add("Getvar")
    site.fake.start_spying(ROGUE, SPYEE)
    if end == "before the loss":
        site.fake.stop_spying(ROGUE, SPYEE)
    site.fake.lose_connection()
    site.fake.held.clear()
    site.fake.hang_up(ROGUE)
    site.fake.advance(5.0)
    site.fake.advance(SETTLE_SECONDS)
    assert [name for name in site.facts if "rogue" in name] == ["rogue_spy", "rogue_spy_ended"]
    assert [(record["why"], record["action"]) for record in site.records("rogue_spy")] == [
        ("its channel could not be asked", "alarm")
    ]
    assert (kinds(site), kept(site)) == ([], [])


@pytest.mark.parametrize("rogue", RogueSpies)
def test_a_spy_that_could_not_be_asked_is_asked_soon(site: Site, rogue: RogueSpies) -> None:
    """A PBX that answers no question for a while loses no alarm until the next list that is made anyway."""
    site.change(rogue=rogue)
    site.fake.held.add("Getvar")
    site.fake.start_spying(ROGUE, SPYEE)
    for _ in range(110):
        site.fake.advance(0.1)
    site.fake.answer_held()
    for _ in range(40):
        site.fake.advance(0.5)
    assert [record["spyer"] for record in site.records("rogue_spy")] == [ROGUE]
    assert site.fake.names.count("CoreShowChannels") <= 3
