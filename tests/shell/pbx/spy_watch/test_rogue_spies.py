"""Who spies by what right: grants, proofs, alarms, and lists and questions that cross."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest
from structlog.typing import EventDict
from twisted.internet.defer import Deferred

from agi_monitor.ami.messages import Message
from agi_monitor.live.index import SETTLE_SECONDS
from agi_monitor.model import Barge, Mode, Orphans, RogueSpies
from agi_monitor.pbx.ends import STOP_SECONDS
from agi_monitor.pbx.proving import PROMPT_SECONDS
from agi_monitor.supervision.grants import BEEP_SECONDS, LATE_SECONDS, Grant, SpyKind
from agi_monitor.supervision.proof import VARIABLE, Signer
from agi_monitor.testing import FakeManager
from tests.shell.managed import (
    CUSTOMER,
    CUSTOMER_UNIQUEID,
    GRANT,
    NODE,
    ROGUE,
    ROGUE_UNIQUEID,
    SIGNER,
    SPYEE,
    SPYEE_UNIQUEID,
    SPYER,
    SPYER_UNIQUEID,
    Site,
)
from tests.shell.pbx.spy_watch.watching import BEFORE, HOOK, OTHER, STRANGER, kept, kinds, miss, newer, resync


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


def test_a_list_while_a_channel_is_asked_makes_no_second_alarm(site: Site) -> None:
    """The answer of the channel and the list may come in any order."""
    site.fake.held.add("Getvar")
    site.fake.start_spying(ROGUE, SPYEE)
    resync(site)
    site.fake.answer_held()
    assert site.facts == ["rogue_spy"]
    assert site.fake.names.count("Getvar") == 2


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
    """A grant is for one spyee, and the channel's own application names another."""
    site.watch.opened(GRANT)
    site.fake.start_spying(SPYER, CUSTOMER)
    assert [record["why"] for record in site.records("rogue_spy")] == [
        "another channel than the one that was granted"
    ]


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
    if grant.spyer_uniqueid == "1.1":
        site.fake.add_channel(SPYER.replace("3", "9"), "1.1", Context="agi-monitor-call")
        grant = replace(grant, spyer=SPYER.replace("3", "9"))
    site.fake.variables[SPYER, VARIABLE] = signer.sign(grant)
    site.fake.start_spying(SPYER, SPYEE)
    assert [record["why"] for record in site.records("rogue_spy")] == ["the grant on its channel is for another call"]


def test_a_spy_of_another_server_is_its_own_business(site: Site) -> None:
    """It is listed and neither recorded, revoked nor adopted."""
    site.fake.variables[SPYER, VARIABLE] = OTHER.sign(GRANT)
    site.fake.start_spying(SPYER, SPYEE)
    assert kinds(site) == [(SPYER, SpyKind.OTHERS)]
    site.change(rules=())
    assert site.facts == []
    assert "PlayDTMF" not in site.fake.names


def test_a_spy_of_another_server_is_forgotten_when_its_proof_is_gone(site: Site) -> None:
    """Its end may have been missed, and the list goes on naming the application."""
    site.fake.variables[SPYER, VARIABLE] = OTHER.sign(GRANT)
    site.fake.start_spying(SPYER, SPYEE)
    resync(site)
    assert kinds(site) == [(SPYER, SpyKind.OTHERS)]
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
    assert kinds(site) == [(HOOK, SpyKind.EXEMPT)]
    assert site.facts == []
    assert [line["why"] for line in logs if line["event"] == "spy_exempt"] == ["a beep of Asterisk's own"]
    site.fake.hang_up(HOOK)
    assert kinds(site) == []


def test_devices_of_the_configuration_are_exempt(site: Site) -> None:
    """A recorder that the site excepts raises no alarm, from the reload on that names it."""
    site.change(exceptions=frozenset({"PJSIP/6666"}))
    site.fake.start_spying(ROGUE, SPYEE)
    assert (kinds(site), site.facts) == ([(ROGUE, SpyKind.EXEMPT)], [])


def test_a_channel_that_cannot_be_asked_is_asked_again(site: Site) -> None:
    """A loss in the middle of the question does not make a spy of nobody: the next list asks once more."""
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
    assert (kinds(site), site.facts) == ([(HOOK, SpyKind.EXEMPT)], [])


def test_a_reload_can_end_the_rogue_spies_that_are_on(site: Site) -> None:
    """Those that were only an alarm until then."""
    site.fake.start_spying(ROGUE, SPYEE)
    assert "Hangup" not in site.fake.names
    site.change(rogue=RogueSpies.HANG_UP)
    assert site.fake.asked("Hangup") == [{"Channel": ROGUE_UNIQUEID}]
    assert site.facts == ["rogue_spy", "rogue_spy_ended"]


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


def test_a_beep_that_goes_on_is_none(site: Site) -> None:
    """Whoever dials into the helper of Asterisk's own hears for as long as they like, under a name that is exempt."""
    site.change(rogue=RogueSpies.HANG_UP)
    site.fake.add_channel(HOOK, "1700000000.20")
    site.fake.start_spying(HOOK, SPYEE)
    site.fake.advance(BEEP_SECONDS - 0.1)
    assert site.facts == []
    site.fake.advance(0.1)
    assert [record["spyer"] for record in site.records("rogue_spy")] == [HOOK]
    assert site.fake.asked("Hangup") == [{"Channel": "1700000000.20"}]


def test_a_beep_leaves_nothing(site: Site) -> None:
    """Each of many is looked at once, and no timer outlives it."""
    timers = len(site.fake.clock.getDelayedCalls())
    for number in range(3):
        name = HOOK.replace("0b;2", f"{number:02d};2")
        site.fake.add_channel(name, f"1700000000.2{number}")
        site.fake.start_spying(name, SPYEE)
        site.fake.advance(1.0)
        site.fake.hang_up(name)
    site.fake.advance(BEEP_SECONDS)
    assert (site.facts, len(site.fake.clock.getDelayedCalls())) == ([], timers)


@pytest.mark.parametrize("name", [HOOK, "PJSIP/7777-00000009", "Local/notice@agi-monitor-notice-0000000a;1"])
def test_nobody_is_exempt_by_a_name_that_only_an_event_gives(site: Site, name: str) -> None:
    """Somebody planted the event before the real one: the PBX calls that channel otherwise, so it is asked."""
    site.change(exceptions=frozenset({"PJSIP/7777"}))
    site.watch.notice_expected(SPYEE_UNIQUEID)
    site.fake.channels[3].update(Application="ChanSpy", ApplicationData=f"{SPYEE_UNIQUEID},q")
    site.fake.event(
        "ChanSpyStart",
        SpyerChannel=name,
        SpyerUniqueid=ROGUE_UNIQUEID,
        SpyeeChannel=SPYEE,
        SpyeeUniqueid=SPYEE_UNIQUEID,
    )
    assert [record["spyer_uniqueid"] for record in site.records("rogue_spy")] == [ROGUE_UNIQUEID]


@pytest.mark.parametrize("spyer", ["/./", "all", "", SPYEE_UNIQUEID, "1700000000.999"])
def test_nobody_is_hung_up_whom_an_event_alone_calls_a_spy(site: Site, spyer: str) -> None:
    """A pattern for every channel, an innocent phone, and one that is not there: nothing is done to any of them."""
    site.change(rogue=RogueSpies.HANG_UP)
    site.fake.event(
        "ChanSpyStart", SpyerChannel="/./", SpyerUniqueid=spyer, SpyeeChannel=CUSTOMER, SpyeeUniqueid="1700000000.2"
    )
    resync(site)
    assert "Hangup" not in site.fake.names
    assert len(site.fake.channels) == 4


def tell(site: Site) -> None:
    """A whole event says that the supervisor hears the customer, and no channel changes."""
    site.fake.event(
        "ChanSpyStart",
        SpyerChannel=SPYER,
        SpyerUniqueid=SPYER_UNIQUEID,
        SpyeeChannel=CUSTOMER,
        SpyeeUniqueid=CUSTOMER_UNIQUEID,
    )


@pytest.mark.parametrize("whose", ["own", "adopted", "others"])
def test_a_start_that_only_somebody_tells_of_ends_no_lawful_spy(
    site: Site, whose: str, logs: list[EventDict]
) -> None:
    """The channel's own application says whom it hears; and the spy stays under its right."""
    site.change(rogue=RogueSpies.HANG_UP)
    if whose == "own":
        site.open()
    else:
        miss(site, BEFORE if whose == "adopted" else OTHER)
    before = kinds(site)
    site.forget()
    tell(site)
    site.fake.advance(1.0)
    assert "Hangup" not in site.fake.names
    assert (kinds(site), site.records("rogue_spy")) == (before, [])
    assert [line["why"] for line in logs if line["event"] == "ami_forged"] == ["contradicted"]
    if whose != "others":
        site.change(rules=())
        assert [record["why"] for record in site.records("spy_revoked")] == ["mode_denied"]


def test_a_forged_start_loses_no_end(site: Site) -> None:
    """An adopted spy has its end on record, and nothing is kept of it."""
    site.open()
    site.watch.left_alone(GRANT)
    site.watch.closed(GRANT)
    tell(site)
    site.fake.hang_up(SPYER, by_phone=True)
    site.fake.advance(5.0)
    assert site.facts.count("spy_ended") == 1
    assert (site.watch._watched.entries(), site.watch._carriers.signed) == ((), {})


def test_beeps_add_up(site: Site) -> None:
    """Who spies from helpers that are called like Asterisk's, one after the other, is rogue."""
    for number in range(3):
        name = HOOK.replace("0b", f"{number:02x}")
        site.fake.add_channel(name, f"1700000100.{number}")
        site.fake.start_spying(name, SPYEE)
        for _ in range(19):
            site.fake.advance(0.5)
        site.fake.stop_spying(name, SPYEE)
        site.fake.hang_up(name)
    assert len(site.records("rogue_spy")) == 2


def go_on(site: Site, name: str, heard: str) -> None:
    """ChanSpy without option E goes on to another channel: when * is pressed, or the first one ends."""
    spyer = next(one for one in site.fake.channels if one["Channel"] == name)
    before = str(spyer["ApplicationData"]).partition(",")[0]
    of = {one["Uniqueid"]: one["Channel"] for one in site.fake.channels}
    told = {"SpyerChannel": name, "SpyerUniqueid": spyer["Uniqueid"]}
    site.fake.event("ChanSpyStop", **told, SpyeeChannel=of[before], SpyeeUniqueid=before)
    site.fake.start_spying(name, heard)


@pytest.mark.parametrize("listed", [False, True], ids=["told", "listed"])
@pytest.mark.parametrize("seconds", [0.05, 1.0, 9.0])
def test_a_beep_that_goes_from_channel_to_channel_is_none(site: Site, seconds: float, *, listed: bool) -> None:
    """A helper is one beep, whomever it hears, however often that changes, and whatever a list shows in between."""
    site.fake.add_channel(HOOK, "1700000000.20")
    site.fake.start_spying(HOOK, SPYEE)
    for number in range(int(2 * BEEP_SECONDS / seconds)):
        site.fake.advance(seconds)
        go_on(site, HOOK, SPYEE if number % 2 else CUSTOMER)
        if listed and number % 50 == 1:
            resync(site)
    assert {record["spyer"] for record in site.records("rogue_spy")} == {HOOK}


@pytest.mark.parametrize("listed", [False, True], ids=["told", "listed"])
def test_a_beep_that_goes_on_once_is_none(site: Site, *, listed: bool) -> None:
    """It is looked at where it is then."""
    site.fake.add_channel(HOOK, "1700000000.20")
    site.fake.start_spying(HOOK, SPYEE)
    site.fake.advance(1.0)
    go_on(site, HOOK, CUSTOMER)
    if listed:
        resync(site)
    site.fake.advance(BEEP_SECONDS)
    assert [(record["spyer"], record["spyee"]) for record in site.records("rogue_spy")] == [(HOOK, CUSTOMER)]


def test_beeps_at_the_same_time_add_up(site: Site) -> None:
    """Each is shorter than a beep may be, and one begins before the other ends: together they are too long."""
    first, second = HOOK, HOOK.replace("0b", "0c")
    site.fake.add_channel(first, "1700000100.1")
    site.fake.add_channel(second, "1700000100.2")
    site.fake.start_spying(first, SPYEE)
    site.fake.advance(BEEP_SECONDS - 1.0)
    site.fake.start_spying(second, SPYEE)
    site.fake.advance(0.9)
    site.fake.hang_up(first)
    assert site.facts == []
    site.fake.advance(0.1)
    assert [record["spyer"] for record in site.records("rogue_spy")] == [second]


def test_beeps_that_are_short_stay_exempt(site: Site) -> None:
    """Four in a minute, for as long as the call; and they are forgotten behind it."""
    for number in range(20):
        name = HOOK.replace("0b", f"{number:02x}")
        site.fake.add_channel(name, f"1700000100.{number}")
        site.fake.start_spying(name, SPYEE)
        site.fake.advance(0.5)
        site.fake.hang_up(name)
        site.fake.advance(14.5)
    assert site.facts == []
    assert sum(len(beeps) for beeps in site.watch._notices._beeped_at.values()) <= 100


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


def test_an_exempt_spy_that_could_not_be_asked_is_asked_again(site: Site) -> None:
    """The connection is lost over the question whether it is the device that the site excepts."""
    site.change(exceptions=frozenset({"PJSIP/7777"}))
    site.fake.channels[3].update(Application="ChanSpy", ApplicationData=f"{SPYEE_UNIQUEID},q")
    site.fake.held.add("Getvar")
    told = {"SpyerUniqueid": ROGUE_UNIQUEID, "SpyeeChannel": SPYEE, "SpyeeUniqueid": SPYEE_UNIQUEID}
    site.fake.event("ChanSpyStart", SpyerChannel="PJSIP/7777-00000001", **told)
    site.fake.held.clear()
    site.come_back()
    assert [record["spyer_uniqueid"] for record in site.records("rogue_spy")] == [ROGUE_UNIQUEID]


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
    """Its start comes behind the list, or somebody tells of it once more."""
    miss(site, BEFORE)
    site.fake.start_spying(SPYER, SPYEE)
    assert len(site.records("spy_adopted")) == 1


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


def test_an_excepted_device_that_could_not_be_asked_stays_excepted(site: Site) -> None:
    """The PBX says later that it is the one: it is no rogue."""
    site.change(exceptions=frozenset({"PJSIP/6666"}), rogue=RogueSpies.HANG_UP)
    site.fake.held.add("Getvar")
    site.fake.start_spying(ROGUE, SPYEE)
    site.fake.advance(11.0)
    site.fake.answer_held()
    resync(site)
    site.fake.advance(5.0)
    assert (kinds(site), site.facts) == ([(ROGUE, SpyKind.EXEMPT)], [])
    site.change(exceptions=frozenset())
    assert sorted(site.facts) == ["rogue_spy", "rogue_spy_ended"]


def test_a_rogue_spy_that_goes_on_to_another_channel_has_two_ends(site: Site) -> None:
    """Each who was heard has the alarm and its end."""
    site.fake.start_spying(ROGUE, SPYEE)
    site.fake.advance(1.0)
    go_on(site, ROGUE, CUSTOMER)
    site.fake.advance(2.0)
    site.fake.hang_up(ROGUE)
    assert [record["spyee"] for record in site.records("rogue_spy")] == [SPYEE, CUSTOMER]
    assert [record["seconds"] for record in site.records("rogue_spy_ended")] == [1.0, 2.0]


@pytest.mark.parametrize("rogue", RogueSpies)
def test_a_short_spy_of_another_server_is_no_alarm(site: Site, rogue: RogueSpies) -> None:
    """Its end was told, and its proof is cleared, before the PBX answers for it: a supervisor is at a prompt."""
    site.change(rogue=rogue)
    site.fake.held.add("Getvar")
    site.fake.variables[SPYER, VARIABLE] = OTHER.sign(GRANT)
    site.fake.start_spying(SPYER, SPYEE)
    site.fake.advance(0.3)
    site.fake.stop_spying(SPYER, SPYEE)
    site.fake.variables[SPYER, VARIABLE] = ""
    site.fake.answer_held()
    for _ in range(30):
        site.fake.advance(0.1)
    assert (kinds(site), site.records("rogue_spy"), site.fake.asked("Hangup")) == ([], [], [])


def test_a_told_end_hides_nobody(site: Site) -> None:
    """In our context, without a proof, and the end that was told is none: it is looked at again."""
    next(one for one in site.fake.channels if one["Channel"] == ROGUE)["Context"] = "agi-monitor-mode"
    site.fake.held.add("Getvar")
    site.fake.start_spying(ROGUE, SPYEE)
    told = {"SpyerChannel": ROGUE, "SpyerUniqueid": ROGUE_UNIQUEID}
    site.fake.event("ChanSpyStop", **told, SpyeeChannel=SPYEE, SpyeeUniqueid=SPYEE_UNIQUEID)
    site.fake.answer_held()
    assert site.records("rogue_spy") == []
    site.fake.advance(PROMPT_SECONDS)
    assert [record["spyer"] for record in site.records("rogue_spy")] == [ROGUE]


def test_who_has_a_proof_by_now_is_not_hung_up(site: Site) -> None:
    """A supervisor of another server goes on to another mode between the question and the hang-up."""
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


@pytest.mark.parametrize("how", ["told", "listed"])
def test_a_spy_of_a_server_of_another_version_is_its_own_business(site: Site, how: str) -> None:
    """Its grants have other fields; the key is right, and both channels are named."""
    site.change(rogue=RogueSpies.HANG_UP)
    if how == "listed":
        site.fake.lose_connection()
    site.fake.variables[SPYER, VARIABLE] = newer(OTHER, GRANT)
    site.fake.start_spying(SPYER, SPYEE)
    site.fake.advance(5.0)
    resync(site)
    assert kinds(site) == [(SPYER, SpyKind.OTHERS)]
    tell(site)
    site.fake.advance(1.0)
    assert kinds(site) == [(SPYER, SpyKind.OTHERS)]
    assert (site.records("rogue_spy"), site.fake.asked("Hangup")) == ([], [])


@pytest.mark.parametrize("grant", [replace(GRANT, spyer_uniqueid="1.1"), replace(GRANT, spyee_uniqueid="1.2")])
def test_a_proof_of_another_version_for_another_call_proves_nothing(site: Site, grant: Grant) -> None:
    """Copied to another channel, or kept for the next call."""
    site.fake.variables[SPYER, VARIABLE] = newer(OTHER, grant)
    site.fake.start_spying(SPYER, SPYEE)
    assert [record["spyer"] for record in site.records("rogue_spy")] == [SPYER]


def test_a_proof_with_a_line_break_proves_nothing(site: Site) -> None:
    """Whoever spies may have set it: that is an alarm, and no question without an answer."""
    site.fake.variables[ROGUE, VARIABLE] = "x\r\ny: z"
    site.fake.start_spying(ROGUE, SPYEE)
    assert [record["spyer"] for record in site.records("rogue_spy")] == [ROGUE]


@pytest.mark.parametrize("whose", ["over", "another spyer's"])
def test_a_rogue_spy_with_a_proof_is_hung_up(site: Site, whose: str) -> None:
    """A grant that is over, or that was copied from another supervisor of the same agent, is no right to go on."""
    site.change(rogue=RogueSpies.HANG_UP)
    if whose == "over":
        signed = SIGNER.sign(GRANT)
    else:
        signed = OTHER.sign(replace(GRANT, spyer=ROGUE, spyer_uniqueid=ROGUE_UNIQUEID))
    site.fake.variables[SPYER, VARIABLE] = signed
    site.fake.start_spying(SPYER, SPYEE)
    site.fake.advance(0.1)
    assert site.fake.asked("Hangup") == [{"Channel": SPYER_UNIQUEID}]


PHONE, PHONE_UNIQUEID = "PJSIP/100-00000031", "1700000000.31"


def take_the_place(site: Site, spyer: str) -> None:
    """A transfer puts a phone into the application of a spy: it has its own name, and the spy's channel ends."""
    before = next(one for one in site.fake.channels if one["Channel"] == spyer)
    if all(one["Channel"] != PHONE for one in site.fake.channels):
        site.fake.add_channel(PHONE, PHONE_UNIQUEID)
    phone = next(one for one in site.fake.channels if one["Channel"] == PHONE)
    phone.update({name: before[name] for name in ("Application", "ApplicationData", "Context")})
    if (spyer, VARIABLE) in site.fake.variables:
        site.fake.variables[PHONE, VARIABLE] = site.fake.variables[spyer, VARIABLE]
    site.fake.hang_up(spyer)
    site.fake.advance(0.1)


@pytest.mark.parametrize("right", ["excepted", "rogue", "of another server"])
def test_a_phone_that_takes_the_place_of_a_spy_is_judged_by_itself_and_at_once(site: Site, right: str) -> None:
    """The right of whom it was taken from does not go with the application, and no regular list is waited for."""
    site.change(exceptions=frozenset({"PJSIP/6666"}) if right == "excepted" else frozenset())
    site.watch.recheck()
    if right == "of another server":
        theirs = replace(GRANT, spyer=ROGUE, spyer_uniqueid=ROGUE_UNIQUEID)
        next(one for one in site.fake.channels if one["Channel"] == ROGUE)["Context"] = "agi-monitor-call"
        site.fake.variables[ROGUE, VARIABLE] = OTHER.sign(theirs)
    site.fake.start_spying(ROGUE, SPYEE)
    site.fake.advance(0.1)
    site.forget()
    take_the_place(site, ROGUE)
    assert kinds(site) == [(PHONE, SpyKind.ROGUE)]
    (alarm,) = site.records("rogue_spy")
    assert alarm["spyer"] == PHONE
    assert ("for another call" in str(alarm["why"])) is (right == "of another server")


def test_a_phone_that_takes_the_place_of_a_spy_is_found_once_the_pbx_answers(site: Site) -> None:
    """Where the PBX cannot be asked at that moment, lists are asked for soon."""
    site.fake.start_spying(ROGUE, SPYEE)
    site.fake.advance(0.1)
    site.fake.held.add("CoreShowChannels")
    take_the_place(site, ROGUE)
    site.fake.advance(30.0)
    site.fake.held.clear()
    site.fake.answer_held()
    for _ in range(20):
        site.fake.advance(0.5)
    assert (PHONE, SpyKind.ROGUE) in kinds(site)


def test_beeps_cost_no_list(site: Site) -> None:
    """A helper is no phone: nobody takes its place, and there are many of them."""
    site.fake.add_channel(HOOK, "1700000000.60")
    site.fake.start_spying(HOOK, SPYEE)
    lists = len(site.fake.asked("CoreShowChannels"))
    site.fake.hang_up(HOOK)
    site.fake.advance(1.0)
    assert len(site.fake.asked("CoreShowChannels")) == lists


def test_many_spies_that_hang_up_cost_one_list(site: Site) -> None:
    """They are looked for together."""
    site.change(exceptions=frozenset({"PJSIP/6666"}))
    site.watch.recheck()
    names = [f"PJSIP/6666-000001{number:02}" for number in range(20)]
    for number, name in enumerate(names):
        site.fake.add_channel(name, f"1700000000.1{number:02}")
        site.fake.start_spying(name, SPYEE)
    lists = len(site.fake.asked("CoreShowChannels"))
    for name in names:
        site.fake.hang_up(name)
    site.fake.advance(1.0)
    assert len(site.fake.asked("CoreShowChannels")) <= lists + 2


def test_a_uniqueid_that_is_used_again_brings_no_right(site: Site) -> None:
    """ARI and AMI choose it. The channel that was excepted is gone, unseen, and another one has its uniqueid."""
    site.change(exceptions=frozenset({"PJSIP/6666"}))
    site.watch.recheck()
    site.fake.start_spying(ROGUE, SPYEE)
    assert kinds(site) == [(ROGUE, SpyKind.EXEMPT)]
    next(one for one in site.fake.channels if one["Channel"] == ROGUE)["Channel"] = PHONE
    site.fake.advance(1.0)
    resync(site)
    assert kinds(site) == [(PHONE, SpyKind.ROGUE)]


def test_an_excepted_device_under_a_forged_name_stays_excepted(site: Site) -> None:
    """An event names its uniqueid with another name: its own name counts, and nothing is hung up."""
    site.change(exceptions=frozenset({"PJSIP/6666"}), rogue=RogueSpies.HANG_UP)
    site.watch.recheck()
    next(one for one in site.fake.channels if one["Channel"] == ROGUE)["Application"] = "ChanSpy"
    spyer = {"SpyerChannel": PHONE, "SpyerUniqueid": ROGUE_UNIQUEID}
    site.fake.event("ChanSpyStart", **spyer, SpyeeChannel=SPYEE, SpyeeUniqueid=SPYEE_UNIQUEID)
    site.fake.advance(0.1)
    assert kinds(site) == [(ROGUE, SpyKind.EXEMPT)]
    assert (site.fake.asked("Hangup"), site.records("rogue_spy")) == ([], [])


@pytest.mark.parametrize("when", ["before", "meanwhile"])
def test_a_grant_whose_beginning_was_missed_explains_no_later_spy(site: Site, when: str) -> None:
    """It began, and ended, while there was no connection: nobody tells of that any more."""
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


@pytest.mark.parametrize(
    ("hears", "told"),
    [(f"{SPYEE_UNIQUEID},uq", CUSTOMER), (SPYEE, CUSTOMER), ("PJSIP/1001,q", "PJSIP/trunk-0000ffff")],
    ids=["by-uniqueid", "by-name", "another-name"],
)
def test_only_an_event_takes_no_rogue_spy_on_to_another_channel(
    site: Site, hears: str, told: str, logs: list[EventDict]
) -> None:
    """Somebody forges that it hears somebody else now: no end is on record, and no second alarm."""
    site.fake.start_spying(ROGUE, SPYEE)
    next(one for one in site.fake.channels if one["Channel"] == ROGUE)["ApplicationData"] = hears
    site.fake.advance(0.1)
    site.forget()
    spyer = {"SpyerChannel": ROGUE, "SpyerUniqueid": ROGUE_UNIQUEID}
    site.fake.event("ChanSpyStart", **spyer, SpyeeChannel=told, SpyeeUniqueid=CUSTOMER_UNIQUEID)
    site.fake.advance(0.1)
    assert "rogue_spy_ended" not in site.facts
    assert "rogue_spy" not in site.facts
    assert [line["name"] for line in logs if line["event"] == "ami_forged"] == ["ChanSpyStart"]
    assert [spy.spyee for spy in site.watch.grants.spies()] == [SPYEE]


def test_beeps_to_all_who_talk_in_one_call_add_up(site: Site) -> None:
    """Short ones to the agent and to the customer by turns are the same call that is heard."""
    for number in range(4):
        helper = HOOK.replace("0000000b", f"000000b{number}")
        site.fake.add_channel(helper, f"1700000000.6{number}")
        site.fake.start_spying(helper, (SPYEE, CUSTOMER)[number % 2])
        site.fake.advance(BEEP_SECONDS / 4 + 0.1)
        site.fake.stop_spying(helper, (SPYEE, CUSTOMER)[number % 2])
        site.fake.hang_up(helper)
    assert [record["spyee"] for record in site.records("rogue_spy")] == [CUSTOMER]


@pytest.mark.parametrize("peer", ["", "7777"])
def test_a_guest_who_calls_themselves_like_an_excepted_device_is_not_it(site: Site, peer: str) -> None:
    """chan_sip calls a guest's channel by the domain in From."""
    site.change(exceptions=frozenset({"SIP/7777"}))
    name = "SIP/7777-00000070"
    site.fake.add_channel(name, "1700000000.70")
    site.fake.variables[name, "CHANNEL(peername)"] = peer
    site.fake.start_spying(name, SPYEE)
    assert kinds(site) == [(name, SpyKind.EXEMPT if peer else SpyKind.ROGUE)]
