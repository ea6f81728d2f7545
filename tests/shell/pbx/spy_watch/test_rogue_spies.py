"""Spies without a grant: the alarm, its end, and what a list says of them."""

from __future__ import annotations

import pytest
from structlog.typing import EventDict

from agi_monitor.live.index import SETTLE_SECONDS
from agi_monitor.supervision.proof import VARIABLE
from agi_monitor.supervision.spies import SpyKind
from tests.shell.managed import CUSTOMER, NODE, ROGUE, ROGUE_UNIQUEID, SPYEE, SPYEE_UNIQUEID, Site
from tests.shell.pbx.spy_watch.watching import go_on, kinds, resync


def test_a_spy_without_a_grant_is_rogue(site: Site, logs: list[EventDict]) -> None:
    """Its channel is asked once, has nothing to show, and that is recorded and logged with both channels."""
    site.fake.start_spying(ROGUE, SPYEE)
    questions = [{"Channel": ROGUE_UNIQUEID, "Variable": asked} for asked in (VARIABLE, "CHANNEL(name)")]
    assert site.fake.asked("Getvar") == questions
    assert kinds(site) == [(ROGUE, SpyKind.ROGUE)]
    assert site.records("rogue_spy") == [
        {
            "fact": "rogue_spy",
            "at": "2023-11-14T22:13:21.000+00:00",
            "node": NODE,
            "spyer": ROGUE,
            "spyer_uniqueid": ROGUE_UNIQUEID,
            "spyee": SPYEE,
            "spyee_uniqueid": SPYEE_UNIQUEID,
            "why": "nobody granted it",
            "action": "alarm",
        }
    ]
    assert [line["spyer"] for line in logs if line["event"] == "rogue_spy"] == [ROGUE]
    assert "Hangup" not in site.fake.names


def test_a_rogue_spy_is_told_once(site: Site) -> None:
    """Lists that show it again are no news, and its end is one record."""
    site.fake.start_spying(ROGUE, SPYEE)
    resync(site)
    resync(site)
    site.fake.advance(2.0)
    site.fake.stop_spying(ROGUE, SPYEE)
    site.fake.hang_up(ROGUE)
    assert site.facts == ["rogue_spy", "rogue_spy_ended"]
    assert site.records("rogue_spy_ended")[0]["seconds"] == 4.0
    assert site.records("rogue_spy_ended")[0]["by"] == ""


def test_the_next_one_that_is_heard_is_an_alarm_of_its_own(site: Site) -> None:
    """ChanSpy without a grant goes from call to call: each is told, also while its channel is still asked."""
    site.fake.held.add("Getvar")
    for heard in (SPYEE, CUSTOMER):
        site.fake.start_spying(ROGUE, heard)
        if heard == SPYEE:
            site.fake.stop_spying(ROGUE, heard)
    site.fake.answer_held()
    assert [record["spyee"] for record in site.records("rogue_spy")] == [SPYEE, CUSTOMER]
    assert site.facts.count("rogue_spy_ended") == 1
    assert kinds(site) == [(ROGUE, SpyKind.ROGUE)]


@pytest.mark.parametrize("end", ["stop_spying", "hang_up"])
def test_a_rogue_spy_that_is_over_already_is_told_with_its_end(site: Site, end: str) -> None:
    """Somebody was heard, however short: a spy that ends before its channel has answered is told as well."""
    site.fake.held.add("Getvar")
    site.fake.start_spying(ROGUE, SPYEE)
    if end == "hang_up":
        site.fake.hang_up(ROGUE)
    else:
        site.fake.stop_spying(ROGUE, SPYEE)
    site.fake.answer_held()
    assert site.facts == ["rogue_spy", "rogue_spy_ended"]
    assert kinds(site) == []


@pytest.mark.parametrize("name", [SPYEE, ROGUE])
def test_a_hang_up_of_either_side_ends_a_rogue_spy(site: Site, name: str) -> None:
    """A start without a stop does not stay for ever."""
    site.fake.start_spying(ROGUE, SPYEE)
    site.fake.hang_up(name)
    assert site.facts == ["rogue_spy", "rogue_spy_ended"]
    assert kinds(site) == []


def test_a_rogue_spy_is_found_in_a_list(site: Site) -> None:
    """What began while there was no connection is an alarm as soon as it is back; nobody tells whom it hears."""
    site.fake.lose_connection()
    site.fake.start_spying(ROGUE, SPYEE)
    site.fake.advance(5.0)
    assert site.facts == ["pbx_lost", "pbx_synced", "rogue_spy"]
    assert site.records("rogue_spy")[0]["spyee"] == SPYEE


def test_the_end_of_a_rogue_spy_is_found_in_a_list(site: Site) -> None:
    """What ended while there was no connection is told when it is back."""
    site.fake.start_spying(ROGUE, SPYEE)
    site.fake.lose_connection()
    site.fake.hang_up(ROGUE)
    site.fake.advance(5.0)
    assert site.facts[0] == "rogue_spy"
    assert site.facts.count("rogue_spy_ended") == 1


def test_a_snoop_of_ari_is_rogue(site: Site) -> None:
    """A channel by which ARI hears another is named by what it hears."""
    site.fake.lose_connection()
    site.fake.add_channel(f"Snoop/{SPYEE_UNIQUEID}-00000001", "1700000000.9", Application="Stasis")
    site.fake.advance(5.0)
    assert [record["spyee"] for record in site.records("rogue_spy")] == [SPYEE]


def test_a_spy_that_ended_while_the_list_was_on_its_way_is_not_found_in_it(site: Site) -> None:
    """The list is older than the end."""
    site.fake.start_spying(ROGUE, SPYEE)
    site.fake.held.add("BridgeList")
    site.fake.event("Reload")
    site.fake.stop_spying(ROGUE, SPYEE)
    site.fake.answer_held()
    site.fake.advance(SETTLE_SECONDS)
    assert site.facts == ["rogue_spy", "rogue_spy_ended"]
    assert kinds(site) == []


def test_a_rogue_spy_that_goes_on_to_another_channel_has_two_ends(site: Site) -> None:
    """Each who was heard has the alarm and its end."""
    site.fake.start_spying(ROGUE, SPYEE)
    site.fake.advance(1.0)
    go_on(site, ROGUE, CUSTOMER)
    site.fake.advance(2.0)
    site.fake.hang_up(ROGUE)
    assert [record["spyee"] for record in site.records("rogue_spy")] == [SPYEE, CUSTOMER]
    assert [record["seconds"] for record in site.records("rogue_spy_ended")] == [1.0, 2.0]
