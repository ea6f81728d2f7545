"""Rogue spies that the server hangs up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest
from twisted.internet.defer import Deferred

from agi_monitor.ami.messages import Message
from agi_monitor.model import RogueSpies
from agi_monitor.supervision.proof import VARIABLE
from agi_monitor.testing import FakeManager
from tests.shell.managed import GRANT, ROGUE, ROGUE_UNIQUEID, SIGNER, SPYEE, SPYER, SPYER_UNIQUEID, Site
from tests.shell.pbx.spy_watch.watching import OTHER


def test_a_rogue_spy_is_hung_up_where_the_site_wants_it(site: Site) -> None:
    """Its channel is hung up at once, and the record says so."""
    site.change(rogue=RogueSpies.HANG_UP)
    site.fake.start_spying(ROGUE, SPYEE)
    assert site.fake.asked("Hangup") == [{"Channel": ROGUE_UNIQUEID}]
    assert site.records("rogue_spy")[0]["action"] == "hang_up"
    assert site.facts == ["rogue_spy", "rogue_spy_ended"]


def test_a_rogue_spy_is_hung_up_while_the_disk_hangs(site: Site) -> None:
    """Nobody is heard for longer because a record takes its time."""
    site.change(rogue=RogueSpies.HANG_UP)
    disk: Deferred[None] = Deferred()
    site.ledger.disk = disk
    site.fake.start_spying(ROGUE, SPYEE)
    assert site.fake.asked("Hangup") == [{"Channel": ROGUE_UNIQUEID}]
    disk.callback(None)
    assert site.facts.count("rogue_spy") == 1


def test_a_reload_can_end_the_rogue_spies_that_are_on(site: Site) -> None:
    """Those that were only an alarm until then."""
    site.fake.start_spying(ROGUE, SPYEE)
    assert "Hangup" not in site.fake.names
    site.change(rogue=RogueSpies.HANG_UP)
    assert site.fake.asked("Hangup") == [{"Channel": ROGUE_UNIQUEID}]
    assert site.facts == ["rogue_spy", "rogue_spy_ended"]


@pytest.mark.parametrize("answer", ["none", "no", "yes"])
def test_a_rogue_spy_that_goes_on_is_hung_up_again(site: Site, answer: str) -> None:
    """The PBX does not answer, says no, or says yes and does not: every three seconds it is told again."""
    hang_up = site.fake.answers["Hangup"]
    site.change(rogue=RogueSpies.HANG_UP)
    if answer == "none":
        site.fake.held.add("Hangup")
    else:
        site.fake.answers["Hangup"] = lambda fake, asked: "Busy" if answer == "no" else {"Message": "Channel Hungup"}
    site.fake.start_spying(ROGUE, SPYEE)
    for _ in range(30):
        site.fake.advance(1.0)
    assert 2 <= site.fake.names.count("Hangup") <= 11
    site.fake.answers["Hangup"] = hang_up
    site.fake.held.clear()
    for _ in range(14):
        site.fake.advance(1.0)
    assert all(one["Channel"] != ROGUE for one in site.fake.channels)
    assert site.facts == ["rogue_spy", "rogue_spy_ended"]
    site.forget()
    site.fake.advance(30.0)
    assert ("Hangup" not in site.fake.names, site.watch._rogues._hanging_up) == (True, {})


@pytest.mark.parametrize("change", ["alarm", "stop"])
def test_a_rogue_spy_is_hung_up_no_more_where_nobody_wants_it(site: Site, change: str) -> None:
    """The configuration is another one, or the server stops."""
    site.change(rogue=RogueSpies.HANG_UP)
    site.fake.answers["Hangup"] = lambda fake, asked: "Busy"
    site.fake.start_spying(ROGUE, SPYEE)
    if change == "alarm":
        site.change(rogue=RogueSpies.ALARM)
    else:
        site.watch.stop()
    site.forget()
    site.fake.advance(30.0)
    assert "Hangup" not in site.fake.names


def test_who_has_a_proof_by_now_is_not_hung_up(site: Site) -> None:
    """A supervisor of another server continues with another mode between the question and the hang-up."""
    site.change(rogue=RogueSpies.HANG_UP)
    asked: list[str] = []
    getvar = site.fake.answers["Getvar"]

    def answer(fake: FakeManager, headers: Message) -> Mapping[str, str] | str:
        asked.append(headers.text("Variable"))
        if asked.count("CHANNEL(appname)"):
            site.fake.variables[SPYER, VARIABLE] = OTHER.sign(GRANT)
        return getvar(fake, headers)

    site.fake.answers["Getvar"] = answer
    site.fake.start_spying(SPYER, SPYEE)
    for _ in range(10):
        site.fake.advance(1.0)
    assert site.fake.asked("Hangup") == []


@pytest.mark.parametrize("whose", ["over", "another spyer's"])
def test_a_rogue_spy_with_a_proof_is_hung_up(site: Site, whose: str) -> None:
    """A grant that is over, or that was copied from another supervisor of the same agent, gives no right to
    continue.
    """
    site.change(rogue=RogueSpies.HANG_UP)
    if whose == "over":
        signed = SIGNER.sign(GRANT)
    else:
        signed = OTHER.sign(replace(GRANT, spyer=ROGUE, spyer_uniqueid=ROGUE_UNIQUEID))
    site.fake.variables[SPYER, VARIABLE] = signed
    site.fake.start_spying(SPYER, SPYEE)
    site.fake.advance(0.1)
    assert site.fake.asked("Hangup") == [{"Channel": SPYER_UNIQUEID}]
