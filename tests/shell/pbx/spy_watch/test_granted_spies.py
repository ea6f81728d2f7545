"""Spies with a grant of this server: no alarm, what is on record of them, and what their grant explains."""

from __future__ import annotations

from dataclasses import replace

import pytest
from structlog.typing import EventDict

from agi_monitor.model import Barge, Mode, Orphans, RogueSpies
from agi_monitor.pbx.ends import STOP_SECONDS
from agi_monitor.supervision.grants import LATE_SECONDS
from agi_monitor.supervision.proof import VARIABLE
from agi_monitor.supervision.spies import SpyKind
from tests.shell.managed import (
    CUSTOMER,
    CUSTOMER_UNIQUEID,
    GRANT,
    ROGUE,
    SPYEE,
    SPYEE_UNIQUEID,
    SPYER,
    SPYER_UNIQUEID,
    Site,
)
from tests.shell.pbx.spy_watch.watching import BEFORE, kinds, miss, resync, tell


@pytest.mark.parametrize("adopted", [False, True], ids=["of-a-story", "adopted"])
def test_a_session_that_claims_the_channel_of_a_spy_gets_no_grant(site: Site, *, adopted: bool) -> None:
    """The spy that is there keeps its grant, its place and its time; nothing is hung up when the other one ends."""
    site.change(rogue=RogueSpies.HANG_UP, orphans=Orphans.ADOPT)
    site.watch.place_taken(GRANT.place)
    if adopted:
        site.fake.variables[SPYER, VARIABLE] = BEFORE.sign(GRANT)
        site.fake.start_spying(SPYER, SPYEE)
    else:
        site.open()
    before, heard = kinds(site), site.watch.heard_for(GRANT.place)
    site.forget()
    site.fake.advance(60.0)
    claimed = replace(GRANT, call="c-evil")
    site.watch.place_taken(claimed.place)
    assert site.watch.opened(claimed) == ""
    site.watch.closed(claimed)
    site.watch.place_left(claimed.place)
    assert adopted or site.watch.heard_for(GRANT.place) == heard + 60.0
    site.fake.advance(LATE_SECONDS + 5.0)
    resync(site)
    assert kinds(site) == before
    assert (site.fake.asked("Hangup"), site.facts) == ([], [])


def test_a_channel_has_one_grant_after_the_other(site: Site) -> None:
    """As through every change of mode."""
    site.open()
    site.close()
    assert site.watch.opened(replace(GRANT, number=2)) != ""


def test_a_granted_spy_is_no_alarm(site: Site) -> None:
    """Neither at its start nor in a list, nor at its end, and nobody asks its channel."""
    site.open()
    resync(site)
    assert kinds(site) == [(SPYER, SpyKind.GRANTED)]
    site.close()
    resync(site)
    assert kinds(site) == []
    assert site.facts == []


def test_a_start_that_comes_late_is_no_alarm(site: Site) -> None:
    """A spy that was shorter than the way of its event is explained by the grant that it had."""
    site.watch.opened(GRANT)
    site.watch.closed(GRANT)
    site.fake.start_spying(SPYER, SPYEE)
    site.fake.stop_spying(SPYER, SPYEE)
    assert (site.facts, kinds(site)) == ([], [])


def test_what_the_pbx_says_of_a_grant_is_on_record(site: Site) -> None:
    """Its beginning and its end, each once, with the channels and the grant that it was."""
    site.open()
    site.close()
    site.fake.stop_spying(SPYER, SPYEE)
    site.fake.advance(STOP_SECONDS[0])
    (heard,), (silent,) = site.records("spy_heard"), site.records("spy_silent")
    assert (heard["call"], heard["grant"], heard["mode"]) == (GRANT.call, GRANT.number, GRANT.mode)
    assert (heard["spyer"], heard["spyee"], heard["node"]) == (SPYER, SPYEE, site.watch._pbx.node)
    assert {**heard, "fact": "spy_silent", "at": silent["at"]} == silent


def test_what_the_pbx_says_late_is_of_the_grant_that_was(site: Site) -> None:
    """Also when the story is over; of another channel it is not a grant's, and rogue."""
    site.watch.opened(GRANT)
    site.watch.closed(GRANT)
    site.fake.start_spying(SPYER, SPYEE)
    site.fake.stop_spying(SPYER, SPYEE)
    assert [len(site.records(name)) for name in ("spy_heard", "spy_silent")] == [1, 1]
    site.watch.opened(GRANT)
    site.fake.start_spying(SPYER, ROGUE)
    assert len(site.records("spy_heard")) == 1
    site.watch.closed(GRANT)


def test_a_spy_behind_the_end_of_a_grant_is_rogue(site: Site) -> None:
    """The same two channels a moment after a grant that was heard to begin and is over: that has no grant."""
    site.open()
    site.close()
    site.fake.start_spying(SPYER, SPYEE)
    assert [record["spyer"] for record in site.records("rogue_spy")] == [SPYER]


@pytest.mark.parametrize("mode", [Mode.BARGE, Mode.TAKE_OVER])
def test_a_spy_behind_a_conference_is_rogue(site: Site, mode: Mode) -> None:
    """Anyone who joined a call by another application has no start that could come late."""
    site.change(barge=Barge.CONFERENCE)
    grant = replace(GRANT, mode=mode)
    site.watch.opened(grant)
    site.watch.closed(grant)
    site.fake.start_spying(SPYER, SPYEE)
    assert [record["spyer"] for record in site.records("rogue_spy")] == [SPYER]


def test_another_channel_than_the_granted_one_is_rogue(site: Site) -> None:
    """A grant is for one spyee, and the channel's own application names another."""
    site.watch.opened(GRANT)
    site.fake.start_spying(SPYER, CUSTOMER)
    assert [record["why"] for record in site.records("rogue_spy")] == [
        "another channel than the one that was granted"
    ]


def test_a_start_that_comes_behind_the_next_grant_contradicts_nothing(site: Site, logs: list[EventDict]) -> None:
    """The event of a short spy is late, and the supervisor hears the customer's channel by the next grant."""
    site.watch.opened(GRANT)
    site.watch.closed(GRANT)
    second = replace(GRANT, number=2, spyee=CUSTOMER, spyee_uniqueid=CUSTOMER_UNIQUEID)
    site.open(second)
    told = {"SpyerChannel": SPYER, "SpyerUniqueid": SPYER_UNIQUEID}
    site.fake.event("ChanSpyStart", **told, SpyeeChannel=SPYEE, SpyeeUniqueid=SPYEE_UNIQUEID)
    assert site.facts == []
    assert [line for line in logs if line["event"] == "ami_forged"] == []


def test_an_adopted_spy_that_a_list_found_is_adopted_once(site: Site) -> None:
    """Its start comes behind the list, or it is told once more."""
    miss(site, BEFORE)
    site.fake.start_spying(SPYER, SPYEE)
    assert len(site.records("spy_adopted")) == 1


@pytest.mark.parametrize("lost", [False, True], ids=["silent", "lost"])
def test_a_supervisor_who_hears_somebody_else_is_asked_until_the_channel_answers(site: Site, *, lost: bool) -> None:
    """The channel has a grant, so no list tells of it."""
    site.open()
    spyer = next(one for one in site.fake.channels if one["Channel"] == SPYER)
    spyer.update(Application="ChanSpy", ApplicationData=f"{CUSTOMER_UNIQUEID},q")
    site.fake.held.add("Getvar")
    tell(site)
    site.fake.advance(1.0)
    if lost:
        site.fake.lose_connection()
    site.fake.advance(10.0)
    site.fake.answer_held()
    for _ in range(20):
        site.fake.advance(0.5)
    assert [record["spyee"] for record in site.records("rogue_spy")] == [CUSTOMER]


@pytest.mark.parametrize("when", ["before", "meanwhile"])
def test_a_grant_whose_beginning_was_missed_explains_no_later_spy(site: Site, when: str) -> None:
    """It began, and ended, while there was no connection: no event will tell of that."""
    if when == "before":
        site.watch.opened(GRANT)
        site.watch.closed(GRANT)
        site.fake.lose_connection()
    else:
        site.fake.lose_connection()
        site.watch.opened(GRANT)
        site.watch.closed(GRANT)
    site.fake.advance(3.0)
    site.fake.start_spying(SPYER, SPYEE)
    site.fake.advance(0.1)
    assert [record["spyer"] for record in site.records("rogue_spy")] == [SPYER]


def test_a_grant_that_goes_on_and_whose_beginning_was_missed_explains_no_later_spy(site: Site) -> None:
    """A list that came after its beginning says that it was missed."""
    site.fake.lose_connection()
    site.watch.opened(GRANT)
    site.fake.advance(3.0)
    for _ in range(2):
        site.fake.advance(3.0)
        resync(site)
    site.watch.closed(GRANT)
    site.fake.start_spying(SPYER, SPYEE)
    site.fake.advance(0.1)
    assert [record["spyer"] for record in site.records("rogue_spy")] == [SPYER]
