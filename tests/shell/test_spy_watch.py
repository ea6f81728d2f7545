"""agi_monitor.spy_watch against a fake manager interface: rogue spies, proofs, revocations, notices and orphans."""

from __future__ import annotations

from collections.abc import Coroutine, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from structlog.testing import capture_logs
from structlog.typing import EventDict
from twisted.internet import reactor
from twisted.internet.defer import Deferred

from agi_monitor.errors import ActionFailed, Disconnected
from agi_monitor.model import Agent, Barge, Mode, Orphans, RogueSpies
from agi_monitor.service import Reactor, Server
from agi_monitor.spy_watch import CLOSE_SECONDS, HANGUP_SECONDS, KEY_SECONDS, NOTICE_BEGIN_SECONDS, NOTICE_SECONDS
from agi_monitor.supervision.audit import Fact
from agi_monitor.supervision.channels import SETTLE_SECONDS
from agi_monitor.supervision.grants import LATE_SECONDS, Grant, Kind
from agi_monitor.supervision.proof import VARIABLE, Signer
from agi_monitor.supervision.protected import Protected
from tests.shell.managed import (
    CUSTOMER,
    CUSTOMER_UNIQUEID,
    GRANT,
    NODE,
    NOW,
    RESYNC_SECONDS,
    ROGUE,
    ROGUE_UNIQUEID,
    SIGNER,
    SPYEE,
    SPYEE_UNIQUEID,
    SPYER,
    SPYER_UNIQUEID,
    Site,
)
from tests.unit.supervision.desk import ANNA, Desk

BEFORE = replace(SIGNER, run="run-1")
"""This server in an earlier run."""

OTHER = replace(SIGNER, server="there")
"""Another server of this PBX."""

STRANGER = Signer("here", "run-1", b"x" * 32)
"""Somebody without the key."""

ENDING = ["Setvar", "Setvar", "PlayDTMF"]
"""How a spy is ended: silence both ways, then the key."""

HELPER = "Local/notice@agi-monitor-notice-0000000a;1"
HOOK = "Local/hook@__func_periodic_hook_context__-0000000b;2"


@pytest.fixture(autouse=True)
def logs() -> Iterator[list[EventDict]]:
    """What is logged."""
    with capture_logs() as lines:
        yield lines


@pytest.fixture
def site(logs: list[EventDict]) -> Site:
    """A PBX that is known, and nobody spies."""
    site = Site()
    logs.clear()
    return site


def begin(story: Coroutine[Any, Any, Any]) -> list[Any]:
    """Begin a coroutine; its result, or its error, will be in the list."""
    results: list[Any] = []
    running = Deferred.fromCoroutine(story)
    running.addCallbacks(results.append, lambda failure: results.append(failure.value))
    return results


def kinds(site: Site) -> list[tuple[str, Kind]]:
    """Who hears somebody, and by what right."""
    return [(spy.spyer, spy.kind) for spy in site.watch.grants.spies()]


def resync(site: Site) -> None:
    """The next list comes."""
    site.fake.event("Reload")
    site.fake.advance(SETTLE_SECONDS)


def miss(site: Site, signer: Signer | None, grant: Grant = GRANT) -> None:
    """While there is no connection somebody begins to spy on the grant's channels, with this signature."""
    site.fake.lose_connection()
    site.fake.start_spying(grant.spyer, grant.spyee)
    if signer is not None:
        site.fake.variables[grant.spyer, VARIABLE] = signer.sign(grant)
    site.fake.advance(5.0)


# ---- who spies by what right -------------------------------------------------------------------------------


def test_a_granted_spy_is_no_alarm(site: Site) -> None:
    """Neither at its start nor in a list, nor at its end, and nobody asks its channel."""
    site.open()
    resync(site)
    assert kinds(site) == [(SPYER, Kind.GRANTED)]
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
    (heard,), (silent,) = site.records("spy_heard"), site.records("spy_silent")
    assert (heard["call"], heard["grant"], heard["mode"]) == (GRANT.call, GRANT.number, GRANT.mode)
    assert (heard["spyer"], heard["spyee"], heard["node"]) == (SPYER, SPYEE, site.watch._pbx.node)
    assert {**heard, "fact": "spy_silent", "at": silent["at"]} == silent


def test_what_the_pbx_says_late_is_of_the_grant_that_was(site: Site) -> None:
    """Also when the story is over; of another channel it is no grant's, and rogue."""
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
    """The same two channels a moment after a grant that was heard to begin and is over: nobody granted that."""
    site.open()
    site.close()
    site.fake.start_spying(SPYER, SPYEE)
    assert [record["spyer"] for record in site.records("rogue_spy")] == [SPYER]


@pytest.mark.parametrize("mode", [Mode.BARGE, Mode.TAKE_OVER])
def test_a_spy_behind_a_conference_is_rogue(site: Site, mode: Mode) -> None:
    """Whoever joined a call by another application has no start that could come late."""
    site.change(barge=Barge.CONFERENCE)
    grant = replace(GRANT, mode=mode)
    site.watch.opened(grant)
    site.watch.closed(grant)
    site.fake.start_spying(SPYER, SPYEE)
    assert [record["spyer"] for record in site.records("rogue_spy")] == [SPYER]


def test_a_spy_without_a_grant_is_rogue(site: Site, logs: list[EventDict]) -> None:
    """Its channel is asked once, has nothing to show, and that is recorded and logged with both channels."""
    site.fake.start_spying(ROGUE, SPYEE)
    assert site.fake.asked("Getvar") == [{"Channel": ROGUE, "Variable": VARIABLE}]
    assert kinds(site) == [(ROGUE, Kind.ROGUE)]
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


def test_a_list_while_a_channel_is_asked_makes_no_second_alarm(site: Site) -> None:
    """The answer of the channel and the list may come in any order."""
    site.fake.held.add("Getvar")
    site.fake.start_spying(ROGUE, SPYEE)
    resync(site)
    site.fake.answer_held()
    assert site.facts == ["rogue_spy"]
    assert site.fake.names.count("Getvar") == 1


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
    assert kinds(site) == [(ROGUE, Kind.ROGUE)]


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


def test_a_rogue_spy_is_hung_up_where_the_site_wants_it(site: Site) -> None:
    """Its channel is hung up at once, and the record says so."""
    site.change(rogue=RogueSpies.HANG_UP)
    site.fake.start_spying(ROGUE, SPYEE)
    assert site.fake.asked("Hangup") == [{"Channel": ROGUE}]
    assert site.records("rogue_spy")[0]["action"] == "hang_up"
    assert site.facts == ["rogue_spy", "rogue_spy_ended"]


def test_a_rogue_spy_is_hung_up_while_the_disk_hangs(site: Site) -> None:
    """Nobody is heard for longer because a record takes its time."""
    site.change(rogue=RogueSpies.HANG_UP)
    disk: Deferred[None] = Deferred()
    site.ledger.disk = disk
    site.fake.start_spying(ROGUE, SPYEE)
    assert site.fake.asked("Hangup") == [{"Channel": ROGUE}]
    disk.callback(None)
    assert site.facts.count("rogue_spy") == 1


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


def test_another_channel_than_the_granted_one_is_rogue(site: Site) -> None:
    """A grant is for one spyee: nothing that is asked later could excuse another."""
    site.watch.opened(GRANT)
    site.fake.start_spying(SPYER, CUSTOMER)
    assert [record["why"] for record in site.records("rogue_spy")] == [
        "another channel than the one that was granted"
    ]
    assert "Getvar" not in site.fake.names


@pytest.mark.parametrize(
    ("signer", "why"),
    [(STRANGER, "nobody granted it"), (SIGNER, "its grant is over")],
    ids=["another-key", "a-grant-that-is-over"],
)
def test_a_proof_that_proves_nothing(site: Site, signer: Signer, why: str) -> None:
    """A signature of somebody else is none; one of this very run is of a grant that this run has closed."""
    site.fake.variables[SPYER, VARIABLE] = signer.sign(GRANT)
    site.fake.start_spying(SPYER, SPYEE)
    assert [record["why"] for record in site.records("rogue_spy")] == [why]


@pytest.mark.parametrize("signer", [BEFORE, OTHER], ids=["earlier-run", "another-server"])
@pytest.mark.parametrize(
    "grant",
    [replace(GRANT, spyer_uniqueid="1.1"), replace(GRANT, spyee_uniqueid="1.2")],
    ids=["another-spyer", "another-spyee"],
)
def test_a_proof_for_another_call_proves_nothing(site: Site, signer: Signer, grant: Grant) -> None:
    """Whoever copies a proof to another channel, or keeps one for the next call, is rogue."""
    site.fake.variables[SPYER, VARIABLE] = signer.sign(grant)
    site.fake.start_spying(SPYER, SPYEE)
    assert [record["why"] for record in site.records("rogue_spy")] == ["the grant on its channel is for another call"]


def test_a_spy_of_another_server_is_its_own_business(site: Site) -> None:
    """It is listed and neither recorded, revoked nor adopted."""
    site.fake.variables[SPYER, VARIABLE] = OTHER.sign(GRANT)
    site.fake.start_spying(SPYER, SPYEE)
    assert kinds(site) == [(SPYER, Kind.OTHERS)]
    site.change(rules=())
    assert site.facts == []
    assert "PlayDTMF" not in site.fake.names


def test_a_spy_of_another_server_is_forgotten_when_its_proof_is_gone(site: Site) -> None:
    """Its end may have been missed, and the list goes on naming the application."""
    site.fake.variables[SPYER, VARIABLE] = OTHER.sign(GRANT)
    site.fake.start_spying(SPYER, SPYEE)
    resync(site)
    assert kinds(site) == [(SPYER, Kind.OTHERS)]
    site.fake.variables[SPYER, VARIABLE] = ""
    resync(site)
    assert (kinds(site), site.facts) == ([], [])


def test_a_supervisor_at_a_prompt_is_no_alarm(site: Site) -> None:
    """A list goes on naming the application that AGI has executed last: without a proof it is over."""
    miss(site, None)
    assert (kinds(site), site.facts) == ([], ["pbx_lost", "pbx_synced"])


def test_the_same_list_on_another_channel_is_one(site: Site) -> None:
    """Only where our own calls stand may a list be wrong: everywhere else it is an alarm."""
    site.fake.channels[2]["Context"] = "default"
    miss(site, None)
    assert site.facts.count("rogue_spy") == 1


def test_helpers_of_asterisk_are_exempt(site: Site, logs: list[EventDict]) -> None:
    """The beep of MixMonitor and PERIODIC_HOOK is no spy, and nobody asks its channel."""
    site.fake.add_channel(HOOK, "1700000000.20")
    site.fake.start_spying(HOOK, SPYEE)
    assert kinds(site) == [(HOOK, Kind.EXEMPT)]
    assert site.facts == []
    assert [line["why"] for line in logs if line["event"] == "spy_exempt"] == ["a beep of Asterisk's own"]
    site.fake.hang_up(HOOK)
    assert kinds(site) == []


def test_devices_of_the_configuration_are_exempt(site: Site) -> None:
    """A recorder that the site excepts raises no alarm, from the reload on that names it."""
    site.change(exceptions=frozenset({"PJSIP/6666"}))
    site.fake.start_spying(ROGUE, SPYEE)
    assert (kinds(site), site.facts) == ([(ROGUE, Kind.EXEMPT)], [])


def test_a_channel_that_cannot_be_asked_is_asked_again(site: Site) -> None:
    """A loss in the middle of the question does not make a spy of nobody: the next list asks once more."""
    site.fake.held.add("Getvar")
    site.fake.start_spying(ROGUE, SPYEE)
    site.fake.lose_connection()
    assert kinds(site) == [(ROGUE, Kind.UNPROVEN)]
    site.fake.held.clear()
    site.fake.advance(5.0)
    assert site.facts == ["pbx_lost", "pbx_synced", "rogue_spy"]


def test_a_pbx_that_is_being_stopped_proves_nobody_rogue(site: Site) -> None:
    """It says no to every question, but the channel is there: its proof could not be asked for, and is later."""
    site.fake.refused["Getvar"] = "Asterisk is shutting down"
    site.fake.start_spying(SPYER, SPYEE)
    site.fake.variables[SPYER, VARIABLE] = OTHER.sign(GRANT)
    assert (kinds(site), site.facts) == ([(SPYER, Kind.UNPROVEN)], [])
    site.fake.refused.clear()
    resync(site)
    assert (kinds(site), site.facts) == ([(SPYER, Kind.OTHERS)], [])


def test_a_question_that_is_not_answered_is_asked_again(site: Site) -> None:
    """A PBX that is silent for the deadline of an action loses no alarm."""
    site.fake.held.add("Getvar")
    site.fake.start_spying(ROGUE, SPYEE)
    site.fake.advance(11.0)
    assert site.facts == []
    site.fake.held.clear()
    resync(site)
    assert site.facts == ["rogue_spy"]


# ---- orphans -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("by_event", [True, False], ids=["event", "list"])
def test_a_spy_of_an_earlier_run_is_adopted(site: Site, by_event: bool) -> None:
    """It is on record again, with whose it is, and goes on."""
    if by_event:
        site.fake.variables[SPYER, VARIABLE] = BEFORE.sign(GRANT)
        site.fake.start_spying(SPYER, SPYEE)
    else:
        miss(site, BEFORE)
    resync(site)
    assert kinds(site) == [(SPYER, Kind.ADOPTED)]
    (record,) = site.records("spy_adopted")
    assert (record["call"], record["supervisor"], record["endpoint"]) == ("c-1", "anna", "PJSIP/2001")
    assert (record["grant"], record["extension"], record["spyee"]) == (1, "1001", SPYEE)
    assert "PlayDTMF" not in site.fake.names


def test_an_orphan_is_ended_where_the_site_wants_it(site: Site) -> None:
    """As any other grant that is revoked; nobody's story is there to close it, so its channel is hung up."""
    site.change(orphans=Orphans.END)
    miss(site, BEFORE)
    assert [record["why"] for record in site.records("spy_revoked")] == ["orphaned"]
    site.fake.advance(KEY_SECONDS)
    assert site.fake.asked("Hangup") == [{"Channel": SPYER}]
    assert [record["why"] for record in site.records("spy_ended")] == ["revoked"]


def test_an_orphan_that_ends_by_the_key_is_not_hung_up_twice(site: Site) -> None:
    """ChanSpyStop closes it: nothing more is done."""
    site.change(orphans=Orphans.END)
    miss(site, BEFORE)
    site.fake.stop_spying(SPYER, SPYEE)
    site.fake.advance(1.0)
    assert "Hangup" not in site.fake.names
    assert [record["why"] for record in site.records("spy_ended")] == ["revoked"]


@pytest.mark.parametrize(
    ("hangs_up", "stop_first", "why"),
    [
        (SPYER, True, "supervisor_hung_up"),
        (SPYER, False, "supervisor_hung_up"),
        (SPYEE, True, "call_over"),
        (SPYEE, False, "call_over"),
        (None, True, "pbx_ended"),
    ],
)
def test_says_why_an_orphan_ended(site: Site, hangs_up: str | None, stop_first: bool, why: str) -> None:
    """Whoever hung up ended it, whether that is told before the end of ChanSpy or after it."""
    miss(site, BEFORE)
    site.fake.advance(2.5)
    began = site.fake.clock.seconds()
    if stop_first:
        site.fake.stop_spying(SPYER, SPYEE)
    if hangs_up is not None:
        site.fake.hang_up(hangs_up)
    site.fake.advance(HANGUP_SECONDS)
    (record,) = site.records("spy_ended")
    assert (record["why"], record["grant"], record["call"]) == (why, 1, "c-1")
    assert record["seconds"] == began
    assert kinds(site) == []


def test_the_end_of_an_orphan_is_found_in_a_list(site: Site) -> None:
    """It hung up while there was no connection."""
    miss(site, BEFORE)
    site.fake.lose_connection()
    site.fake.hang_up(SPYER)
    site.fake.advance(5.0)
    assert [record["why"] for record in site.records("spy_ended")] == ["supervisor_hung_up"]


def test_an_orphan_without_a_right_is_ended(site: Site) -> None:
    """A right that was taken away while nobody watched ends it as soon as it is adopted."""
    site.change(rules=())
    miss(site, BEFORE)
    assert [record["why"] for record in site.records("spy_revoked")] == ["mode_denied"]


# ---- what ends from outside --------------------------------------------------------------------------------


def test_a_right_that_is_taken_away_ends_the_spy(site: Site) -> None:
    """Silence in both directions and the key that ends ChanSpy go out at once, in this order; then the record."""
    site.open()
    site.change(rules=())
    assert site.fake.names == ENDING
    assert site.fake.asked("Setvar") == [
        {"Channel": SPYER, "Variable": "MUTEAUDIO(out)", "Value": "on"},
        {"Channel": SPYER, "Variable": "MUTEAUDIO(in)", "Value": "on"},
    ]
    assert site.fake.asked("PlayDTMF")[0]["Digit"] == "D"
    (record,) = site.records("spy_revoked")
    assert (record["why"], record["by"], record["grant"]) == ("mode_denied", "", 1)
    assert site.watch.revoked(GRANT) == "mode_denied"


def test_a_spy_that_ends_by_the_key_keeps_its_call(site: Site) -> None:
    """The story closes the grant in time: the supervisor's channel is not hung up, and nothing is kept of it."""
    site.open()
    site.change(rules=())
    site.fake.advance(KEY_SECONDS / 2)
    site.close()
    site.fake.advance(10.0)
    assert site.fake.names == ENDING
    assert site.watch.revoked(GRANT) is None


def test_a_spy_that_does_not_end_by_the_key_is_hung_up(site: Site) -> None:
    """After the time for the key, not before, and once."""
    site.open()
    site.change(rules=())
    site.fake.advance(KEY_SECONDS - 0.001)
    assert "Hangup" not in site.fake.names
    site.fake.advance(0.001)
    site.fake.advance(10.0)
    assert site.fake.asked("Hangup") == [{"Channel": SPYER}]


def test_a_spy_that_is_over_keeps_its_call_though_the_story_is_slow(site: Site) -> None:
    """The PBX has said that nobody is heard any more; a busy server takes longer to say the same."""
    site.open()
    site.change(rules=())
    site.fake.stop_spying(SPYER, SPYEE)
    site.fake.advance(KEY_SECONDS)
    site.fake.advance(CLOSE_SECONDS / 2)
    site.close()
    site.fake.advance(10.0)
    assert site.fake.names == ENDING


def test_a_spy_that_was_over_before_is_hung_up_all_the_same(site: Site) -> None:
    """An end of long ago says nothing, and a story that never says that it is over is not trusted for ever."""
    site.open()
    site.fake.start_spying(SPYER, SPYEE)
    site.fake.stop_spying(SPYER, SPYEE)
    site.fake.advance(1.0)
    site.change(rules=())
    site.fake.advance(KEY_SECONDS)
    assert site.fake.asked("Hangup") == [{"Channel": SPYER}]


def test_a_story_that_never_says_that_it_is_over(site: Site) -> None:
    """Whatever the PBX said, its channel is hung up in the end."""
    site.open()
    site.change(rules=())
    site.fake.stop_spying(SPYER, SPYEE)
    site.fake.advance(KEY_SECONDS)
    assert "Hangup" not in site.fake.names
    site.fake.advance(CLOSE_SECONDS)
    site.fake.advance(10.0)
    assert site.fake.asked("Hangup") == [{"Channel": SPYER}]


def test_a_disk_that_hangs_keeps_nobody_from_falling_silent(site: Site) -> None:
    """Nothing that the PBX is told waits for the record."""
    site.open()
    disk: Deferred[None] = Deferred()
    site.ledger.disk = disk
    site.change(rules=())
    assert site.fake.names == ENDING
    assert site.facts == []
    disk.callback(None)
    assert site.facts == ["spy_revoked"]


def test_a_spy_is_revoked_once(site: Site) -> None:
    """Two reloads, a list and somebody on the command line are one revocation."""
    site.open()
    site.change(rules=())
    site.change(supervisors={})
    assert begin(site.watch.kill(GRANT.id, "root")) == [True]
    resync(site)
    assert site.facts == ["spy_revoked"]
    assert [name for name in site.fake.names if name in ENDING] == ENDING


def test_whoever_joined_a_conference_is_taken_out_of_it(site: Site) -> None:
    """A key does nothing there; BridgeKick takes its place."""
    site.open()
    site.fake.enter(SPYER, "b-1")
    site.change(rules=())
    assert site.fake.names == ["Setvar", "Setvar", "BridgeKick"]
    assert site.fake.asked("BridgeKick") == [{"BridgeUniqueid": "b-1", "Channel": SPYER}]


@pytest.mark.parametrize(
    "changes",
    [{"supervisors": {}}, {"agents": {}}, {"rules": ()}],
    ids=["supervisor", "agent", "rule"],
)
def test_whatever_a_reload_takes_away(site: Site, changes: dict[str, object]) -> None:
    """The supervisor, the agent or the rule: without any of them there is no right."""
    site.open()
    site.change(**changes)
    assert site.facts == ["spy_revoked"]


def test_a_reload_that_changes_nothing_ends_nothing(site: Site) -> None:
    """A spy that is still allowed goes on."""
    site.open()
    site.change(hint_context="other")
    assert (site.facts, site.fake.names) == ([], [])


def test_a_spy_becomes_forbidden_by_whom_the_call_is_with(site: Site) -> None:
    """A protected endpoint in the call ends the spy at the reload that protects it."""
    site.open()
    site.change(protected=Protected(frozenset({"PJSIP/trunk"})))
    assert [record["why"] for record in site.records("spy_revoked")] == ["protected"]


def test_a_protected_phone_that_joins_ends_the_spy(site: Site) -> None:
    """A transfer brings somebody into the call whom nobody may hear; another call of theirs changes nothing."""
    site.open()
    site.change(protected=Protected(frozenset({"PJSIP/9000"})))
    site.fake.add_channel("PJSIP/9000-00000009", "1700000000.9", "b-2")
    assert site.facts == []
    site.fake.leave("PJSIP/9000-00000009")
    site.fake.enter("PJSIP/9000-00000009", "b-1")
    assert [record["why"] for record in site.records("spy_revoked")] == ["protected"]


def test_a_protected_number_ends_the_spy(site: Site) -> None:
    """The number of the other party comes behind the other party, as an event of its own."""
    site.open()
    site.change(protected=Protected(numbers=("+4930*",)))
    channel = site.fake.channels[0]
    site.fake.event("NewConnectedLine", **{**channel, "ConnectedLineNum": "+49 30 1234"})
    assert [record["why"] for record in site.records("spy_revoked")] == ["protected"]


def test_a_revocation_without_a_connection_is_tried_again(site: Site) -> None:
    """A right that was taken away while nobody could be told ends at the next list, and not before."""
    site.open()
    site.fake.listening = False
    site.fake.lose_connection()
    site.change(rules=())
    site.fake.advance(1.0)
    assert site.fake.names == []
    assert site.watch.revoked(GRANT) is None
    site.fake.listening = True
    site.fake.advance(60.0)
    site.fake.advance(KEY_SECONDS)
    assert [name for name in site.fake.names if name in ENDING] == ENDING
    assert site.fake.asked("Hangup") == [{"Channel": SPYER}]


def test_a_revocation_without_a_connection_takes_the_other_way(site: Site) -> None:
    """A site that has a command for it does not wait for the connection; the record says why it ended."""
    site.has_command = True
    site.open()
    site.fake.listening = False
    site.fake.lose_connection()
    site.change(rules=())
    site.fake.advance(KEY_SECONDS)
    assert site.hung_up_otherwise == [SPYER]
    assert site.watch.revoked(GRANT) == "mode_denied"
    site.watch.recheck()
    site.fake.advance(KEY_SECONDS)
    assert site.hung_up_otherwise == [SPYER]


def test_a_pbx_that_refuses_everything_leaves_no_trace_of_a_revocation(site: Site, logs: list[EventDict]) -> None:
    """The channel is gone already: the log says so, and the story closes the grant."""
    site.open()
    site.fake.refused.update(dict.fromkeys((*ENDING, "Hangup"), "No such channel"))
    site.change(rules=())
    site.fake.advance(KEY_SECONDS)
    assert [line["event"] for line in logs if line["log_level"] == "error"] == [
        *["spy_not_silenced"] * 3,
        "spy_watch_failed",
    ]
    site.close()
    assert (kinds(site), site.watch.revoked(GRANT)) == ([], None)


def test_what_does_not_silence_a_spy_is_logged(site: Site, logs: list[EventDict]) -> None:
    """Without the module for it nobody is muted: that stands in the log, and the key ends the spy all the same."""
    site.open()
    site.fake.refused["Setvar"] = "Variable not set"
    site.change(rules=())
    site.close()
    failed = [line for line in logs if line["event"] == "spy_not_silenced"]
    assert [(line["grant"], line["step"]) for line in failed] == [("c-1.1", "mute out"), ("c-1.1", "mute in")]
    assert all("Variable not set" in line["error"] for line in failed)
    assert site.fake.asked("Hangup") == []


def test_a_channel_that_is_gone_needs_no_silence(site: Site, logs: list[EventDict]) -> None:
    """Whoever hung up in the same moment is no fault."""
    site.open()
    site.fake.held.update(ENDING)
    site.change(rules=())
    site.fake.hang_up(SPYER)
    site.watch.closed(GRANT)
    site.fake.answer_held()
    assert [line for line in logs if line["event"] == "spy_not_silenced"] == []


# ---- the command line --------------------------------------------------------------------------------------


def test_kills_a_spy_of_a_story(site: Site) -> None:
    """By its identifier; the record says who wanted it."""
    site.open()
    done = begin(site.watch.kill("c-1.1", "root"))
    assert done == []
    site.close()
    assert done == [True]
    assert [(record["why"], record["by"]) for record in site.records("spy_revoked")] == [("killed", "root")]
    assert site.fake.names == ENDING


def test_kills_an_adopted_spy(site: Site) -> None:
    """As one of a story."""
    miss(site, BEFORE)
    begin(site.watch.kill("c-1.1", "root"))
    site.fake.advance(KEY_SECONDS)
    assert site.fake.asked("Hangup") == [{"Channel": SPYER}]
    assert [(record["why"], record["by"]) for record in site.records("spy_revoked")] == [("killed", "root")]
    assert [record["why"] for record in site.records("spy_ended")] == ["revoked"]


def test_kills_a_rogue_spy(site: Site) -> None:
    """Its channel is hung up, and the record of its end says who wanted it."""
    site.fake.start_spying(ROGUE, SPYEE)
    assert begin(site.watch.kill(ROGUE_UNIQUEID, "root")) == [True]
    assert site.fake.asked("Hangup") == [{"Channel": ROGUE}]
    assert [record["by"] for record in site.records("rogue_spy_ended")] == ["root"]


def test_kills_a_spy_of_another_server(site: Site) -> None:
    """Its channel is hung up, and that is on record here."""
    site.fake.variables[SPYER, VARIABLE] = OTHER.sign(GRANT)
    site.fake.start_spying(SPYER, SPYEE)
    assert begin(site.watch.kill("c-1.1", "root")) == [True]
    assert site.fake.asked("Hangup") == [{"Channel": SPYER}]
    assert [(record["why"], record["by"]) for record in site.records("spy_revoked")] == [("killed", "root")]


def test_kills_an_exempt_spy(site: Site) -> None:
    """Somebody may want that as well."""
    site.change(exceptions=frozenset({"PJSIP/6666"}))
    site.fake.start_spying(ROGUE, SPYEE)
    assert begin(site.watch.kill(ROGUE_UNIQUEID, "root")) == [True]
    assert site.fake.asked("Hangup") == [{"Channel": ROGUE}]


def test_kills_nobody(site: Site) -> None:
    """There is no such spy."""
    site.open()
    assert begin(site.watch.kill("c-1.2", "root")) == [False]
    assert site.fake.names == []


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
    """Who killed a rogue spy stands in its record, and in nobody's after it on the same channel."""
    site.fake.start_spying(ROGUE, SPYEE)
    site.fake.refused["Hangup"] = "No such channel"
    assert [type(error) for error in begin(site.watch.kill(ROGUE_UNIQUEID, "root"))] == [ActionFailed]
    site.fake.stop_spying(ROGUE, SPYEE)
    site.fake.start_spying(ROGUE, SPYEE)
    site.fake.stop_spying(ROGUE, SPYEE)
    assert [record["by"] for record in site.records("rogue_spy_ended")] == ["", ""]


# ---- notices -----------------------------------------------------------------------------------------------


def tell(site: Site, helper: str = HELPER) -> None:
    """The helper begins to play to the agent."""
    site.fake.add_channel(helper, f"1700000000.{ord(helper[-3])}")
    site.fake.start_spying(helper, SPYEE)


def test_a_notice_is_given_when_the_helper_is_done(site: Site) -> None:
    """It is heard from ChanSpyStart on, and over at ChanSpyStop; it is no alarm and no question."""
    timers = len(site.fake.clock.getDelayedCalls())
    notice = site.watch.notice_expected(SPYEE_UNIQUEID)
    given = begin(site.watch.notice_given(notice))
    tell(site)
    assert (given, kinds(site)) == ([], [(HELPER, Kind.EXEMPT)])
    site.fake.stop_spying(HELPER, SPYEE)
    assert given == [True]
    site.watch.notice_over(notice)
    assert (site.facts, site.fake.names, len(site.fake.clock.getDelayedCalls())) == ([], [], timers)


def test_a_notice_may_be_over_before_anybody_waits(site: Site) -> None:
    """Originate answers when the helper has answered: a short sound is over by then."""
    notice = site.watch.notice_expected(SPYEE_UNIQUEID)
    tell(site)
    site.fake.hang_up(HELPER)
    assert begin(site.watch.notice_given(notice)) == [True]


def test_a_notice_that_does_not_begin_was_not_given(site: Site) -> None:
    """After the time for its begin, not before."""
    notice = site.watch.notice_expected(SPYEE_UNIQUEID)
    given = begin(site.watch.notice_given(notice))
    site.fake.advance(NOTICE_BEGIN_SECONDS - 0.1)
    assert given == []
    site.fake.advance(0.1)
    assert given == [False]


def test_a_notice_that_does_not_end_was_not_given(site: Site) -> None:
    """A sound that goes on for ever keeps nobody waiting for ever."""
    notice = site.watch.notice_expected(SPYEE_UNIQUEID)
    given = begin(site.watch.notice_given(notice))
    tell(site)
    site.fake.advance(NOTICE_SECONDS - 0.1)
    assert given == []
    site.fake.advance(0.1)
    assert given == [False]


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_two_supervisors_tell_the_same_agent(site: Site, order: tuple[int, int]) -> None:
    """Each waits for a notice of their own, in whichever order they begin to wait."""
    notices = [site.watch.notice_expected(SPYEE_UNIQUEID) for _ in range(2)]
    given = [begin(site.watch.notice_given(notices[number])) for number in order]
    tell(site)
    tell(site, HELPER.replace("a;1", "b;1"))
    site.fake.hang_up(HELPER)
    assert sorted(map(len, given)) == [0, 1]
    site.fake.hang_up(HELPER.replace("a;1", "b;1"))
    assert given == [[True], [True]]
    for notice in notices:
        site.watch.notice_over(notice)
    site.fake.advance(LATE_SECONDS + 1.0)
    tell(site, HELPER.replace("a;1", "c;1"))
    assert site.facts == ["rogue_spy"]


def test_nobody_hides_behind_the_name_of_the_helper(site: Site) -> None:
    """A helper that nobody expects, or one that hears another agent than the one to be told, is rogue."""
    notice = site.watch.notice_expected(CUSTOMER_UNIQUEID)
    tell(site)
    assert site.facts == ["rogue_spy"]
    site.watch.notice_over(notice)


def test_a_story_that_ends_while_the_agent_is_told_leaves_nothing(site: Site) -> None:
    """The supervisor hangs up meanwhile: what waited is cancelled, and after a moment no helper is expected."""
    notice = site.watch.notice_expected(SPYEE_UNIQUEID)
    waiting = Deferred.fromCoroutine(site.watch.notice_given(notice))
    waiting.addErrback(lambda failure: None)
    waiting.cancel()
    site.watch.notice_over(notice)
    tell(site)
    assert site.facts == []
    site.fake.hang_up(HELPER)
    site.fake.advance(LATE_SECONDS + 1.0)
    tell(site)
    assert site.facts == ["rogue_spy"]


# ---- clocks, and the end -----------------------------------------------------------------------------------


@pytest.mark.parametrize("skew", [-7_200.0, 7_200.0])
def test_a_clock_that_jumps_breaks_nothing(site: Site, skew: float, logs: list[EventDict]) -> None:
    """Somebody sets the clock on the wall by hours: spies begin, are revoked and end as before."""
    site.fake.start_spying(ROGUE, SPYEE)
    site.open()
    site.fake.advance(3.0)
    site.skew = skew
    resync(site)
    assert kinds(site) in ([(ROGUE, Kind.ROGUE), (SPYER, Kind.GRANTED)], [(SPYER, Kind.GRANTED), (ROGUE, Kind.ROGUE)])
    site.change(rules=())
    site.fake.advance(KEY_SECONDS)
    site.watch.closed(GRANT)
    site.fake.hang_up(ROGUE)
    site.skew = 0.0
    site.fake.advance(RESYNC_SECONDS + SETTLE_SECONDS)
    assert kinds(site) == []
    assert sorted(site.facts) == ["rogue_spy", "rogue_spy_ended", "spy_revoked"]
    assert [record["seconds"] for record in site.records("rogue_spy_ended")] == [4.12]
    assert [line for line in logs if line["log_level"] == "error"] == []


@pytest.mark.parametrize("skew", [-7_200.0, 7_200.0])
def test_a_clock_that_jumps_falsifies_no_duration_of_an_orphan(site: Site, skew: float) -> None:
    """One that lost its story, and one of an earlier run from the moment on that it is seen."""
    site.open()
    site.fake.advance(3.0)
    site.skew = skew
    site.watch.left_alone(GRANT)
    site.watch.closed(GRANT)
    site.fake.hang_up(SPYER)
    earlier = replace(GRANT, spyer="PJSIP/2001-00000009", spyer_uniqueid="9.9", began=site.time() - 60.0)
    site.fake.add_channel(earlier.spyer, earlier.spyer_uniqueid)
    site.fake.variables[earlier.spyer, VARIABLE] = BEFORE.sign(earlier)
    site.fake.start_spying(earlier.spyer, SPYEE)
    site.fake.advance(5.0)
    site.skew = 0.0
    site.fake.hang_up(earlier.spyer)
    assert [record["seconds"] for record in site.records("spy_ended")] == [3.0, 65.0]


def test_a_grant_that_is_too_long_to_be_signed_is_logged(site: Site, logs: list[EventDict]) -> None:
    """The spy is the same without a proof; only another run of a server would take it for rogue."""
    assert site.watch.opened(replace(GRANT, rule="x" * 1_000)) == ""
    assert [line["grant"] for line in logs if line["event"] == "grant_not_signed"] == ["c-1.1"]


def test_waits_for_what_is_under_way(site: Site) -> None:
    """A server that stops lets a revocation come to its end, and is not held up by it."""
    site.open()
    site.change(rules=())
    idle = begin(site.watch.idle())
    assert idle == []
    site.fake.advance(KEY_SECONDS)
    assert len(idle) == 1
    assert begin(site.watch.idle()) == [None]


def test_modes_are_rights_of_their_own(site: Site) -> None:
    """A grant to barge ends when barging is taken away, one to listen goes on."""
    (rule,) = site.policy.rules
    barge = replace(GRANT, number=2, mode=Mode.BARGE, spyer=ROGUE, spyer_uniqueid=ROGUE_UNIQUEID)
    site.open()
    site.open(barge)
    site.change(rules=(replace(rule, modes=frozenset({Mode.LISTEN})),))
    assert [record["grant"] for record in site.records("spy_revoked")] == [2]
    assert SPYER_UNIQUEID


# ---- stories that end before their spies, and reloads that change more than rights --------------------------


def test_a_spy_that_lost_its_story_is_watched_over(site: Site) -> None:
    """It goes on as an adopted one, with its end on record when it comes."""
    site.open()
    site.watch.left_alone(GRANT)
    site.watch.closed(GRANT)
    assert kinds(site) == [(SPYER, Kind.ADOPTED)]
    resync(site)
    site.fake.hang_up(SPYER)
    assert site.facts == ["spy_adopted", "spy_ended"]
    assert [record["why"] for record in site.records("spy_ended")] == ["supervisor_hung_up"]
    assert kinds(site) == []


def test_a_spy_that_lost_its_story_can_lose_its_right(site: Site) -> None:
    """Nobody is left to close the grant, so its channel is hung up after the time for the key."""
    site.open()
    site.watch.left_alone(GRANT)
    site.watch.closed(GRANT)
    site.change(rules=())
    assert [name for name in site.fake.names if name in ENDING] == ENDING
    site.fake.advance(KEY_SECONDS)
    assert site.fake.asked("Hangup") == [{"Channel": SPYER}]
    assert [record["why"] for record in site.records("spy_ended")] == ["revoked"]


def test_a_right_that_went_while_the_record_was_written_is_none(site: Site) -> None:
    """A grant is held against the policy once more when it begins."""
    site.policy = replace(site.policy, rules=())
    site.watch.opened(GRANT)
    assert site.watch.revoked(GRANT) == "mode_denied"
    assert site.facts == ["spy_revoked"]


def test_a_device_that_is_no_longer_excepted_is_asked(site: Site) -> None:
    """From the reload on that takes the exception away."""
    site.change(exceptions=frozenset({"PJSIP/6666"}))
    site.fake.start_spying(ROGUE, SPYEE)
    assert site.facts == []
    site.change(exceptions=frozenset())
    assert site.facts == ["rogue_spy"]


def test_a_beep_stays_exempt_at_a_reload(site: Site) -> None:
    """What Asterisk does itself needs no exception."""
    site.fake.add_channel(HOOK, "1700000000.20")
    site.fake.start_spying(HOOK, SPYEE)
    site.change(exceptions=frozenset())
    assert (kinds(site), site.facts) == ([(HOOK, Kind.EXEMPT)], [])


def test_a_reload_can_end_the_rogue_spies_that_are_on(site: Site) -> None:
    """Those that were only an alarm until then."""
    site.fake.start_spying(ROGUE, SPYEE)
    assert "Hangup" not in site.fake.names
    site.change(rogue=RogueSpies.HANG_UP)
    assert site.fake.asked("Hangup") == [{"Channel": ROGUE}]
    assert site.facts == ["rogue_spy", "rogue_spy_ended"]


def test_a_reload_can_end_the_orphans_that_are_on(site: Site) -> None:
    """Those that were adopted until then."""
    miss(site, BEFORE)
    site.change(orphans=Orphans.END)
    assert [record["why"] for record in site.records("spy_revoked")] == ["orphaned"]


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


def test_waits_until_nothing_silences_the_channel_any_more(site: Site) -> None:
    """Whoever lets it speak again must come after the actions that silence it."""
    site.open()
    site.fake.held.update(ENDING)
    site.change(rules=())
    silenced = begin(site.watch.silenced(GRANT))
    assert silenced == []
    site.fake.answer_held()
    assert silenced == [None]
    assert begin(site.watch.silenced(replace(GRANT, number=2))) == [None]


def test_a_revocation_goes_on_without_the_story(site: Site) -> None:
    """The connection of the call is lost in the same moment: the spy is still ended, and was revoked."""
    site.open()
    site.change(rules=())
    site.watch.left_alone(GRANT)
    site.watch.closed(GRANT)
    site.fake.advance(KEY_SECONDS)
    assert site.fake.asked("Hangup") == [{"Channel": SPYER}]
    assert [record["why"] for record in site.records("spy_ended")] == ["revoked"]
    assert site.facts.count("spy_revoked") == 1


def kept(site: Site) -> list[str]:
    """What a watch has not forgotten that belongs to single spies."""
    names = ("_revoked", "_killed_by", "_telling", "_closing", "_ending", "_notices", "_proving", "_under_way")
    return [name for name in names if getattr(site.watch, name)]


def test_a_spy_that_lost_its_story_can_be_killed(site: Site) -> None:
    """It is listed under the same name, and who wanted its end is on record; that end is recorded once."""
    site.open()
    site.watch.left_alone(GRANT)
    site.watch.closed(GRANT)
    assert [spy.id for spy in site.watch.grants.spies()] == ["c-1.1"]
    begin(site.watch.kill("c-1.1", "root"))
    site.fake.advance(KEY_SECONDS)
    assert site.fake.asked("Hangup") == [{"Channel": SPYER}]
    resync(site)
    assert site.facts == ["spy_adopted", "spy_revoked", "spy_ended"]
    assert [(record["why"], record["by"]) for record in site.records("spy_revoked")] == [("killed", "root")]
    assert kept(site) == []


def test_a_spy_that_lost_its_story_ends_where_the_site_wants_it(site: Site) -> None:
    """As one whose server had died."""
    site.change(orphans=Orphans.END)
    site.open()
    site.watch.left_alone(GRANT)
    site.watch.closed(GRANT)
    site.fake.advance(KEY_SECONDS)
    assert site.fake.asked("Hangup") == [{"Channel": SPYER}]
    assert [record["why"] for record in site.records("spy_revoked")] == ["orphaned"]
    assert [record["why"] for record in site.records("spy_ended")] == ["revoked"]
    assert kept(site) == []


@pytest.mark.parametrize("changes", [{"rules": ()}, {"orphans": Orphans.END}], ids=["no-right", "end-orphans"])
def test_an_orphan_that_ends_while_its_record_is_written_is_not_ended_again(
    site: Site, changes: dict[str, object]
) -> None:
    """The disk hangs, the supervisor hangs up meanwhile: nothing is revoked then, and nothing is kept of it."""
    site.fake.held.add("Getvar")
    miss(site, BEFORE)
    site.change(**changes)
    site.forget()
    site.ledger.disk = disk = Deferred[None]()
    site.fake.answer_held()
    site.fake.stop_spying(SPYER, SPYEE)
    site.fake.hang_up(SPYER)
    disk.callback(None)
    site.fake.advance(HANGUP_SECONDS)
    assert sorted(site.facts) == ["spy_adopted", "spy_ended"]
    assert [record["why"] for record in site.records("spy_ended")] == ["supervisor_hung_up"]
    assert [name for name in site.fake.names if name in (*ENDING, "Hangup")] == []
    assert (kinds(site), kept(site)) == ([], [])


def test_many_spies_are_revoked_at_once(site: Site, logs: list[EventDict]) -> None:
    """A reload takes the right from all of them while the PBX answers nothing: every channel is hung up."""
    grants = [
        replace(GRANT, number=number, spyer=f"PJSIP/2001-{number:08x}", spyer_uniqueid=f"9.{number}")
        for number in range(1, 151)
    ]
    for grant in grants:
        site.fake.add_channel(grant.spyer, grant.spyer_uniqueid, Context="agi-monitor-call")
        site.open(grant)
    site.fake.held.update(ENDING)
    site.change(rules=())
    site.fake.advance(KEY_SECONDS)
    assert [headers["Channel"] for headers in site.fake.asked("Hangup")] == [grant.spyer for grant in grants]
    assert [headers["Channel"] for headers in site.fake.asked("PlayDTMF")] == [grant.spyer for grant in grants]
    assert len(site.records("spy_revoked")) == len(grants)
    site.fake.answer_held()
    for grant in grants:
        site.watch.closed(grant)
    assert (kinds(site), kept(site)) == ([], [])
    assert [line for line in logs if line["log_level"] == "error"] == []


def test_a_disk_that_hangs_delays_no_hang_up(site: Site) -> None:
    """The time for the key runs while the record waits for the disk."""
    site.open()
    site.ledger.disk = disk = Deferred[None]()
    site.change(rules=())
    site.fake.advance(KEY_SECONDS)
    assert site.fake.asked("Hangup") == [{"Channel": SPYER}]
    assert site.facts == []
    disk.callback(None)
    assert site.facts == ["spy_revoked"]


def test_a_hang_up_that_failed_is_tried_again(site: Site) -> None:
    """The PBX says no, and the channel is on: the next list ends the spy once more."""
    site.open()
    site.fake.refused["Hangup"] = "not now"
    site.change(rules=())
    site.fake.advance(KEY_SECONDS)
    assert site.watch.revoked(GRANT) is None
    site.fake.refused.clear()
    resync(site)
    site.fake.advance(KEY_SECONDS)
    assert site.fake.asked("Hangup") == [{"Channel": SPYER}] * 2
    assert site.watch.revoked(GRANT) == "mode_denied"


# ---- another party ------------------------------------------------------------------------------------------

NEW_PARTY, NEW_PARTY_UNIQUEID = "PJSIP/3002-00000015", "1700000000.15"
BEGUN_ANEW = {"Channel": SPYER, "Digit": "D", "Duration": "80", "Receive": "true"}


def transfer(site: Site, bridge: str = "b-9") -> None:
    """The customer sends the agent on to somebody else."""
    site.fake.hang_up(CUSTOMER)
    site.fake.leave(SPYEE)
    site.fake.add_channel(NEW_PARTY, NEW_PARTY_UNIQUEID, bridge)
    site.fake.enter(SPYEE, bridge)


@pytest.mark.parametrize("mode", [Mode.LISTEN, Mode.WHISPER, Mode.BARGE])
def test_a_spy_begins_anew_with_another_party(site: Site, mode: Mode) -> None:
    """Asterisk may give the agent alone after a transfer; the key is pressed once, and nobody is refused anything."""
    site.open(replace(GRANT, mode=mode))
    transfer(site)
    assert site.fake.asked("PlayDTMF") == [BEGUN_ANEW]
    assert site.watch.revoked(GRANT) is None
    assert site.facts == []


def test_whoever_joins_a_call_of_two_does_not_begin_the_spy_anew(site: Site) -> None:
    """In a conference Asterisk mixes, and loses nobody; hold and retrieve bring nobody new."""
    site.open()
    site.fake.add_channel(NEW_PARTY, NEW_PARTY_UNIQUEID, "b-1")
    site.fake.hang_up(NEW_PARTY)
    site.fake.leave(CUSTOMER)
    site.fake.enter(CUSTOMER, "b-1")
    assert site.fake.asked("PlayDTMF") == []


def test_the_last_of_a_conference_is_another_party(site: Site) -> None:
    """Of three the customer leaves: who is left is not the one that the spy began with."""
    site.open()
    site.fake.add_channel(NEW_PARTY, NEW_PARTY_UNIQUEID, "b-1")
    site.fake.hang_up(CUSTOMER)
    site.fake.leave(NEW_PARTY)
    site.fake.enter(NEW_PARTY, "b-1")
    assert site.fake.asked("PlayDTMF") == [BEGUN_ANEW]


def test_another_party_that_nobody_may_hear_ends_the_spy(site: Site) -> None:
    """It is revoked, and does not begin anew."""
    site.open()
    site.change(protected=Protected(frozenset({"PJSIP/3002"})))
    transfer(site)
    assert [record["why"] for record in site.records("spy_revoked")] == ["protected"]
    assert len(site.fake.asked("PlayDTMF")) == 1


def test_a_conference_and_a_take_over_do_not_begin_anew(site: Site) -> None:
    """The supervisor is in the call itself there, and a key would do nothing, or leave it."""
    site.watch.opened(replace(GRANT, mode=Mode.BARGE))
    site.fake.enter(SPYER, "b-9")
    transfer(site)
    assert site.fake.asked("PlayDTMF") == []


# ---- who joins, and whose phone it is ----------------------------------------------------------------------

DOCTOR = "PJSIP/9000-00000013"


def test_a_protected_phone_behind_a_local_channel_ends_the_spy(site: Site) -> None:
    """The bridge that it joins is not the agent's, and it is heard all the same."""
    site.change(protected=Protected(frozenset({"PJSIP/9000"})))
    site.fake.leave(SPYEE)
    site.fake.enter(SPYEE, "b-7")
    site.fake.add_channel("Local/1001@queue-00000009;1", "1700000000.9", "b-7")
    site.fake.add_channel("Local/1001@queue-00000009;2", "1700000000.10", "b-8")
    site.fake.leave(CUSTOMER)
    site.fake.enter(CUSTOMER, "b-8")
    site.open()
    assert site.facts == []
    site.fake.add_channel(DOCTOR, "1700000000.13", "b-8")
    assert [record["why"] for record in site.records("spy_revoked")] == ["protected"]


def test_a_protected_phone_that_joins_when_the_agent_is_gone_ends_the_spy(site: Site) -> None:
    """In a conference the supervisor is on the call, with the agent or without."""
    site.change(protected=Protected(frozenset({"PJSIP/9000"})))
    site.fake.add_channel("PJSIP/1002-00000014", "1700000000.14", "b-1")
    grant = replace(GRANT, mode=Mode.BARGE)
    site.watch.opened(grant)
    site.fake.enter(SPYER, "b-1")
    site.fake.hang_up(SPYEE)
    assert site.facts == []
    site.fake.add_channel(DOCTOR, "1700000000.13", "b-1")
    assert [record["why"] for record in site.records("spy_revoked")] == ["protected"]
    assert site.fake.asked("BridgeKick") == [{"BridgeUniqueid": "b-1", "Channel": SPYER}]


def joined(site: Site, mode: Mode = Mode.BARGE) -> None:
    """The supervisor has joined a call of 1001, whom the rules allow; 1002, at their phone, they do not."""
    (rule,) = site.policy.rules
    board = Agent("1002", frozenset({"board"}), ("PJSIP/1002",))
    site.change(agents={**site.policy.agents, "1002": board}, rules=(replace(rule, agents=frozenset({"sales"})),))
    site.watch.opened(replace(GRANT, mode=mode))
    site.fake.enter(SPYER, "b-1")


COLLEAGUE = "PJSIP/1002-00000014"


def test_a_colleague_whom_nobody_allowed_ends_the_spy_when_the_agent_has_left(site: Site) -> None:
    """A blind transfer: the agent goes, the colleague comes, and it is the colleague's call."""
    joined(site)
    site.fake.hang_up(SPYEE)
    assert site.facts == []
    site.fake.add_channel(COLLEAGUE, "1700000000.14", "b-1")
    assert [record["why"] for record in site.records("spy_revoked")] == ["mode_denied"]
    assert site.fake.asked("BridgeKick") == [{"BridgeUniqueid": "b-1", "Channel": SPYER}]


@pytest.mark.parametrize("end", ["leave", "hang_up"])
def test_a_colleague_who_came_before_the_agent_left_ends_the_spy(site: Site, end: str) -> None:
    """With the agent it is the agent's call, whoever else is on it; without, it is the colleague's."""
    joined(site)
    site.fake.add_channel(COLLEAGUE, "1700000000.14", "b-1")
    assert site.facts == []
    getattr(site.fake, end)(SPYEE)
    assert [record["why"] for record in site.records("spy_revoked")] == ["mode_denied"]


def test_a_colleague_behind_a_local_channel_ends_the_spy(site: Site) -> None:
    """As of a queue, which the agent has transferred the call to."""
    joined(site)
    site.fake.add_channel("Local/1002@queue-00000009;1", "1700000000.9", "b-1")
    site.fake.add_channel("Local/1002@queue-00000009;2", "1700000000.10", "b-8")
    site.fake.hang_up(SPYEE)
    assert site.facts == []
    site.fake.add_channel(COLLEAGUE, "1700000000.14", "b-8")
    assert [record["why"] for record in site.records("spy_revoked")] == ["mode_denied"]


def test_a_colleague_who_may_be_heard_ends_nothing(site: Site) -> None:
    """Nor do those who are nobody's agents, nor the agent who comes back."""
    joined(site)
    site.policy = replace(
        site.policy, agents={**site.policy.agents, "1002": Agent("1002", frozenset({"sales"}), ("PJSIP/1002",))}
    )
    site.fake.leave(SPYEE)
    site.fake.add_channel(COLLEAGUE, "1700000000.14", "b-1")
    site.fake.add_channel("PJSIP/3002-00000015", "1700000000.15", "b-1")
    site.fake.enter(SPYEE, "b-1")
    assert site.facts == []


def test_another_supervisor_on_the_call_is_no_colleague(site: Site) -> None:
    """Though somebody else's agent as well: they are there to hear, by a grant of their own."""
    joined(site)
    second = replace(GRANT, call="c-2", mode=Mode.BARGE, spyer=COLLEAGUE, spyer_uniqueid="1700000000.14")
    site.watch.opened(second)
    site.fake.add_channel(COLLEAGUE, "1700000000.14", "b-1")
    site.fake.hang_up(SPYEE)
    assert site.facts == []


def test_whoever_took_over_has_a_call_of_their_own(site: Site) -> None:
    """The agent was released, and whom the customer brings in talks to the supervisor."""
    joined(site, Mode.TAKE_OVER)
    site.fake.hang_up(SPYEE)
    site.fake.add_channel(COLLEAGUE, "1700000000.14", "b-1")
    assert site.facts == []


def test_a_phone_that_joined_while_the_record_was_written_ends_the_spy(site: Site) -> None:
    """A grant is held against the call as it is when it begins."""
    site.change(protected=Protected(frozenset({"PJSIP/9000"})))
    site.fake.add_channel(DOCTOR, "1700000000.13", "b-1")
    site.watch.opened(GRANT)
    assert site.watch.revoked(GRANT) == "protected"


@pytest.mark.parametrize(
    ("event", "headers"),
    [
        ("QueueMemberAdded", {"Queue": "q", "Interface": SPYEE.rpartition("-")[0], "MemberName": "1003"}),
        ("ExtensionStatus", {"Exten": "1003", "Context": "default", "Hint": "PJSIP/1001", "Status": "1"}),
        (None, {}),
    ],
    ids=["login", "hint", "configuration"],
)
def test_a_phone_that_becomes_somebody_elses_too_is_heard_no_longer(
    site: Site, event: str | None, headers: dict[str, str]
) -> None:
    """At the next look the supervisor needs the right for both, and has it for one."""
    (rule,) = site.policy.rules
    board = Agent("1003", frozenset({"board"}), () if event == "ExtensionStatus" else ("PJSIP/1003",))
    site.change(agents={**site.policy.agents, "1003": board}, rules=(replace(rule, agents=frozenset({"sales"})),))
    site.open()
    site.watch.recheck()
    assert site.facts == []
    if event is not None:
        site.fake.event(event, **headers)
    else:
        site.policy = replace(
            site.policy, agents={**site.policy.agents, "1003": replace(board, endpoints=("PJSIP/1001",))}
        )
    site.watch.recheck()
    assert [record["why"] for record in site.records("spy_revoked")] == ["mode_denied"]


# ---- lists and questions that cross ------------------------------------------------------------------------


def test_a_supervisor_who_begins_to_spy_while_asked_is_no_alarm(site: Site) -> None:
    """A list names a supervisor at a prompt; the answer to the question comes when the next grant is on."""
    site.open()
    site.close()
    site.fake.advance(LATE_SECONDS + 1.0)
    site.fake.held.add("Getvar")
    resync(site)
    assert kinds(site) == [(SPYER, Kind.UNPROVEN)]
    second = replace(GRANT, number=2)
    site.open(second)
    site.fake.answer_held()
    assert (site.facts, kinds(site)) == ([], [(SPYER, Kind.GRANTED)])
    site.close(second)
    assert (kinds(site), kept(site)) == ([], [])


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


@pytest.mark.parametrize("application", ["BridgeAdd", "Bridge"])
def test_a_supervisor_on_a_call_is_adopted(site: Site, application: str) -> None:
    """Their server had died, and no event tells of a conference or a take-over: the list and the proof do."""
    site.fake.channels[2].update(Application=application, ApplicationData=SPYEE)
    site.fake.variables[SPYER, VARIABLE] = BEFORE.sign(replace(GRANT, mode=Mode.BARGE))
    site.fake.enter(SPYER, "b-1")
    resync(site)
    assert kinds(site) == [(SPYER, Kind.ADOPTED)]
    begin(site.watch.kill("c-1.1", "root"))
    assert site.fake.asked("BridgeKick") == [{"BridgeUniqueid": "b-1", "Channel": SPYER}]
    site.fake.hang_up(SPYER)
    assert [record["why"] for record in site.records("spy_ended")] == ["revoked"]


def test_each_notice_ends_with_its_own_helper(site: Site) -> None:
    """Two supervisors tell the same agent: who waits for the longer notice goes on waiting."""
    notices = [site.watch.notice_expected(SPYEE_UNIQUEID) for _ in range(2)]
    given = [begin(site.watch.notice_given(notice)) for notice in notices]
    second = HELPER.replace("a;1", "b;1")
    tell(site)
    tell(site, second)
    site.fake.stop_spying(second, SPYEE)
    assert given == [[], [True]]
    site.fake.stop_spying(HELPER, SPYEE)
    assert given == [[True], [True]]


# ---- a story and its watch ---------------------------------------------------------------------------------


def told_by(site: Site, folder: Path) -> Desk:
    """A supervisor's story at the same PBX, with the real watch."""
    desk = Desk(folder)
    desk.connect()
    desk.watch = site.watch  # type: ignore[assignment]  # the real one in the place of the note-book
    site.policy = desk.policy
    site.fake.channels.clear()
    for channel in desk.pbx.channels:
        site.fake.add_channel(channel.name, channel.uniqueid, "b-1" if channel.bridge_peer else "")
    site.connect()
    return desk


@pytest.mark.parametrize("why", ["mode_denied", "protected"])
def test_a_story_whose_grant_is_revoked_before_it_begins_executes_nothing(tmp_path: Path, why: str) -> None:
    """The right goes, or the call becomes a protected one, while the record is written."""
    site = Site(connect=False)
    desk = told_by(site, tmp_path)
    desk.change(protected=Protected(frozenset({"PJSIP/9000"})))
    site.policy = desk.policy
    append = desk.audit.append

    async def slow(fact: Fact) -> None:
        await append(fact)
        if fact.name == "spy_started" and why == "protected":
            site.fake.add_channel(DOCTOR, "1700000000.13", "b-1")
        elif fact.name == "spy_started":
            site.change(rules=())

    desk.audit.append = slow  # type: ignore[method-assign]
    desk.run()
    assert desk.pbx.executed == []
    assert desk.recorded("fact", "why", "reason", "detail")[:3] == [
        ("spy_started", None, "", None),
        ("spy_ended", "revoked", None, None),
        ("refused", None, "revoked", why),
    ]
    assert [record["why"] for record in site.records("spy_revoked")] == [why]
    site.fake.advance(KEY_SECONDS)
    assert "Hangup" not in site.fake.names
    assert (kinds(site), kept(site)) == ([], [])


def test_a_story_that_loses_its_connection_leaves_its_spy_to_the_watch(tmp_path: Path) -> None:
    """It is adopted and listed; a reload revokes it; its end is on record once, and not in the story."""
    site = Site(connect=False)
    desk = told_by(site, tmp_path)

    def cut() -> int | None:
        desk.pbx.lose_connection()
        return None

    desk.when_quiet = cut
    desk.run()
    supervisor = desk.pbx.channel
    assert [(spy.spyer, spy.kind, spy.id) for spy in site.watch.grants.spies()] == [
        (supervisor.name, Kind.ADOPTED, "fake-1.1")
    ]
    site.change(rules=())
    site.fake.advance(KEY_SECONDS)
    assert site.fake.asked("Hangup") == [{"Channel": supervisor.name}]
    assert site.facts == ["spy_adopted", "spy_revoked", "spy_ended"]
    assert [(record["why"], record["call"]) for record in site.records("spy_ended")] == [("revoked", "fake-1")]
    assert desk.recorded("fact") == [("spy_started",)]
    assert (kinds(site), kept(site)) == ([], [])


def test_a_key_of_grants_that_is_changed_needs_a_restart(tmp_path: Path, logs: list[EventDict]) -> None:
    """Grants go on being signed with the key of the start, and the log says so; what else spies may do is new."""
    config, rogue, key = tmp_path / "agi-monitor.yaml", "rogue: hang_up", "first-key-of-the-grants"

    def write(spies: str) -> None:
        config.write_text(
            f"supervisors: {{anna: {{endpoints: [PJSIP/2001], pin: '{ANNA.pin_hash}'}}}}\n"
            "agents: {1001: {}}\n"
            "rules: [{name: one, allow: [listen], supervisors: [anna], agents: [all]}]\n"
            f"audit: {{file: {tmp_path}/audit.jsonl}}\n"
            f"state: {{directory: {tmp_path}}}\n"
            f"spies: {{{spies}}}\n"
        )

    write(f"key: {key}")
    server = Server(config, cast(Reactor, reactor), lambda: NOW)
    try:
        write(f"key: {key}, {rogue}")
        begin(server.reload())
        assert [line["event"] for line in logs] == []
        write(f"key: another-{key}, {rogue}")
        begin(server.reload())
    finally:
        server._state.release()
    assert [line["sections"] for line in logs if line["event"] == "reload_needs_restart"] == [["spies.key"]]
    assert server.config.spies.rogue is RogueSpies.HANG_UP
