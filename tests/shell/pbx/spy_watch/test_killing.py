"""Spies that are ended by name."""

from __future__ import annotations

from twisted.internet.defer import Deferred

from agi_monitor.errors import ActionFailed, Disconnected
from agi_monitor.pbx.revoking import KEY_SECONDS
from agi_monitor.supervision.proof import VARIABLE
from tests.shell.managed import GRANT, ROGUE, ROGUE_UNIQUEID, SPYEE, SPYER, SPYER_UNIQUEID, Site
from tests.shell.pbx.spy_watch.watching import BEFORE, ENDING, OTHER, begin, deeds, kept, miss, resync


def test_kills_a_spy_of_a_story(site: Site) -> None:
    """By its identifier; the record says who wanted it."""
    site.open()
    done = begin(site.watch.kill("c-1.1", "root"))
    assert done == []
    site.close()
    assert done == [True]
    assert [(record["why"], record["by"]) for record in site.records("spy_revoked")] == [("killed", "root")]
    assert deeds(site) == ENDING


def test_kills_an_adopted_spy(site: Site) -> None:
    """As one of a story."""
    miss(site, BEFORE)
    begin(site.watch.kill("c-1.1", "root"))
    site.fake.advance(KEY_SECONDS)
    assert site.fake.asked("Hangup") == [{"Channel": SPYER_UNIQUEID}]
    assert [(record["why"], record["by"]) for record in site.records("spy_revoked")] == [("killed", "root")]
    assert [record["why"] for record in site.records("spy_ended")] == ["revoked"]


def test_kills_a_rogue_spy(site: Site) -> None:
    """Its channel is hung up, and the record of its end says who wanted it."""
    site.fake.start_spying(ROGUE, SPYEE)
    assert begin(site.watch.kill(ROGUE_UNIQUEID, "root")) == [True]
    assert site.fake.asked("Hangup") == [{"Channel": ROGUE_UNIQUEID}]
    assert [record["by"] for record in site.records("rogue_spy_ended")] == ["root"]


def test_kills_a_spy_of_another_server(site: Site) -> None:
    """Its channel is hung up, and that is on record here."""
    site.fake.variables[SPYER, VARIABLE] = OTHER.sign(GRANT)
    site.fake.start_spying(SPYER, SPYEE)
    assert begin(site.watch.kill("c-1.1", "root")) == [True]
    assert site.fake.asked("Hangup") == [{"Channel": SPYER_UNIQUEID}]
    assert [(record["why"], record["by"]) for record in site.records("spy_revoked")] == [("killed", "root")]


def test_kills_an_exempt_spy(site: Site) -> None:
    """That may be wanted as well."""
    site.change(exceptions=frozenset({"PJSIP/6666"}))
    site.fake.start_spying(ROGUE, SPYEE)
    assert begin(site.watch.kill(ROGUE_UNIQUEID, "root")) == [True]
    assert site.fake.asked("Hangup") == [{"Channel": ROGUE_UNIQUEID}]


def test_kills_nobody(site: Site) -> None:
    """There is no such spy."""
    site.open()
    assert begin(site.watch.kill("c-1.2", "root")) == [False]
    assert deeds(site) == []


def test_says_that_nobody_could_be_killed(site: Site) -> None:
    """Without a connection that is an error and no yes; who tries again later succeeds."""
    site.open()
    site.fake.listening = False
    site.fake.lose_connection()
    for _ in range(2):
        failed = begin(site.watch.kill("c-1.1", "root"))
        site.fake.advance(KEY_SECONDS)
        assert [type(error) for error in failed] == [Disconnected]
    site.fake.listening = True
    site.fake.advance(60.0)
    done = begin(site.watch.kill("c-1.1", "root"))
    site.close()
    assert done == [True]


def test_a_kill_that_comes_too_late_names_nobody_else(site: Site) -> None:
    """Who killed a rogue spy stands in its record, and in no later one of the same channel."""
    site.fake.start_spying(ROGUE, SPYEE)
    site.fake.refused["Hangup"] = "No such channel"
    assert [type(error) for error in begin(site.watch.kill(ROGUE_UNIQUEID, "root"))] == [ActionFailed]
    site.fake.stop_spying(ROGUE, SPYEE)
    site.fake.start_spying(ROGUE, SPYEE)
    site.fake.stop_spying(ROGUE, SPYEE)
    assert [record["by"] for record in site.records("rogue_spy_ended")] == ["", ""]


def test_a_spy_that_lost_its_story_can_be_killed(site: Site) -> None:
    """It is listed under the same name, and who wanted its end is on record; that end is recorded once."""
    site.open()
    site.watch.left_alone(GRANT)
    site.watch.closed(GRANT)
    assert [spy.id for spy in site.watch.grants.spies()] == ["c-1.1"]
    begin(site.watch.kill("c-1.1", "root"))
    site.fake.advance(KEY_SECONDS)
    assert site.fake.asked("Hangup") == [{"Channel": SPYER_UNIQUEID}]
    resync(site)
    assert site.facts == ["spy_adopted", "spy_revoked", "spy_ended"]
    assert [(record["why"], record["by"]) for record in site.records("spy_revoked")] == [("killed", "root")]
    assert kept(site) == []


def test_a_spy_that_ends_while_it_is_killed_leaves_nothing(site: Site) -> None:
    """Its end is taken in before the PBX is told, and the channel still names the application."""
    site.fake.variables[SPYER, VARIABLE] = OTHER.sign(GRANT)
    site.fake.start_spying(SPYER, SPYEE)
    disk: Deferred[None] = Deferred()
    site.ledger.disk = disk
    done = begin(site.watch.kill("c-1.1", "root"))
    site.fake.variables[SPYER, VARIABLE] = ""
    resync(site)
    disk.callback(None)
    site.fake.advance(1.0)
    assert done == [True]
    assert kept(site) == []
