"""A supervisor at a prompt: a list still names the application that AGI executed last."""

from __future__ import annotations

from dataclasses import replace

from agi_monitor.pbx.proving import PROMPT_SECONDS
from agi_monitor.supervision.grants import LATE_SECONDS
from agi_monitor.supervision.spies import SpyKind
from tests.shell.managed import GRANT, ROGUE, ROGUE_UNIQUEID, SPYEE, SPYEE_UNIQUEID, SPYER, Site
from tests.shell.pbx.spy_watch.watching import kept, kinds, miss, resync


def test_a_supervisor_at_a_prompt_is_no_alarm(site: Site) -> None:
    """A list still names the application that AGI has executed last: without a proof it is over."""
    miss(site, None)
    assert (kinds(site), site.facts) == ([], ["pbx_lost", "pbx_synced"])


def test_the_same_list_on_another_channel_is_one(site: Site) -> None:
    """Only where our own calls stand may a list be wrong: everywhere else it is an alarm."""
    site.fake.channels[2]["Context"] = "default"
    miss(site, None)
    assert site.facts.count("rogue_spy") == 1


def test_a_supervisor_who_begins_to_spy_while_asked_is_no_alarm(site: Site) -> None:
    """A list names a supervisor at a prompt; the answer to the question comes when the next grant is on."""
    site.open()
    site.close()
    site.fake.advance(LATE_SECONDS + 1.0)
    site.fake.advance(0.1)
    site.fake.held.add("Getvar")
    resync(site)
    assert kinds(site) == [(SPYER, SpyKind.UNPROVEN)]
    second = replace(GRANT, number=2)
    site.open(second)
    site.fake.answer_held()
    assert (site.facts, kinds(site)) == ([], [(SPYER, SpyKind.GRANTED)])
    site.close(second)
    site.fake.advance(0.1)
    assert (kinds(site), kept(site)) == ([], [])


def test_who_is_at_a_prompt_for_ever_is_rogue(site: Site) -> None:
    """It began while there was no connection, and its context is set to ours; no grant of it was ever known."""
    site.fake.lose_connection()
    next(one for one in site.fake.channels if one["Channel"] == ROGUE)["Context"] = "agi-monitor-mode"
    site.fake.start_spying(ROGUE, SPYEE)
    site.fake.advance(5.0)
    assert site.records("rogue_spy") == []
    site.fake.advance(PROMPT_SECONDS)
    assert [record["spyer"] for record in site.records("rogue_spy")] == [ROGUE]


def test_a_supervisor_who_had_a_grant_may_be_at_a_prompt(site: Site) -> None:
    """For as long as they like."""
    site.open()
    site.close()
    resync(site)
    site.fake.advance(2 * PROMPT_SECONDS)
    resync(site)
    assert site.facts == []


def test_a_told_end_hides_nobody(site: Site) -> None:
    """In our context, without a proof, and the end that was told is false: it is looked at again."""
    next(one for one in site.fake.channels if one["Channel"] == ROGUE)["Context"] = "agi-monitor-mode"
    site.fake.held.add("Getvar")
    site.fake.start_spying(ROGUE, SPYEE)
    told = {"SpyerChannel": ROGUE, "SpyerUniqueid": ROGUE_UNIQUEID}
    site.fake.event("ChanSpyStop", **told, SpyeeChannel=SPYEE, SpyeeUniqueid=SPYEE_UNIQUEID)
    site.fake.answer_held()
    assert site.records("rogue_spy") == []
    site.fake.advance(PROMPT_SECONDS)
    assert [record["spyer"] for record in site.records("rogue_spy")] == [ROGUE]
