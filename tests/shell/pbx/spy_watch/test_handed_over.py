"""Spies whose phone is exchanged: the stranger falls silent, and what is said of it is true."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest
from structlog.typing import EventDict

from agi_monitor.ami.messages import Message
from agi_monitor.model import Barge, Mode, RogueSpies
from agi_monitor.pbx.carriers import LOOK_SECONDS
from agi_monitor.pbx.ends import STOP_SECONDS
from agi_monitor.pbx.handing_over import SEARCH_SECONDS
from agi_monitor.pbx.joined_calls import DOOR_SECONDS
from agi_monitor.pbx.looks import SOURCE_SECONDS
from agi_monitor.supervision.proof import VARIABLE
from agi_monitor.supervision.spies import SpyKind
from agi_monitor.testing import FakeManager
from tests.shell.managed import (
    CUSTOMER_UNIQUEID,
    GRANT,
    ROGUE,
    ROGUE_UNIQUEID,
    SPYEE,
    SPYEE_UNIQUEID,
    SPYER,
    SPYER_UNIQUEID,
    Site,
)
from tests.shell.pbx.spy_watch.watching import BEFORE, OTHER, begin, deeds, kept, kinds, miss

SILENCE = ["Setvar", "Hangup"]


def exchange(site: Site, *, told: bool = True) -> None:
    """The stranger's phone takes the place of the supervisor's, as Asterisk was seen to do it: the application and
    its variables continue under the stranger's name; the supervisor's channel hangs up.

    Parameters:
        site: the PBX.
        told: whether the attended transfer is told of as well.
    """
    spyer = next(one for one in site.fake.channels if one["Channel"] == SPYER)
    stranger = next(one for one in site.fake.channels if one["Channel"] == ROGUE)
    stranger.update({name: spyer[name] for name in ("Application", "ApplicationData", "Context")})
    site.fake.variables[ROGUE, VARIABLE] = site.fake.variables.pop((SPYER, VARIABLE))
    if told:
        site.fake.event(
            "AttendedTransfer",
            Result="Success",
            OrigTransfererUniqueid="1700000000.99",
            SecondTransfererUniqueid=SPYER_UNIQUEID,
            TransfereeUniqueid=ROGUE_UNIQUEID,
            DestType="App",
            DestApp="ChanSpy",
        )
    site.fake.hang_up(SPYER)


@pytest.mark.parametrize("told", [True, False], ids=["transfer", "no-event-of-its-own"])
@pytest.mark.parametrize("mode", [Mode.LISTEN, Mode.WHISPER, Mode.BARGE])
def test_another_phone_falls_silent(site: Site, mode: Mode, told: bool) -> None:
    """At once, and by the uniqueid that it has now; the record names both channels."""
    site.open(replace(GRANT, mode=mode))
    exchange(site, told=told)
    assert deeds(site) == SILENCE
    assert {headers["Channel"] for headers in site.fake.asked("Setvar")} == {ROGUE_UNIQUEID}
    assert site.fake.asked("Hangup") == [{"Channel": ROGUE_UNIQUEID}]
    (record,) = site.records("spy_handed_over")
    assert (record["spyer"], record["spyer_uniqueid"]) == (SPYER, SPYER_UNIQUEID)
    assert (record["to"], record["to_uniqueid"], record["grant"]) == (ROGUE, ROGUE_UNIQUEID, 1)
    assert begin(site.watch.was_handed_over(GRANT)) == [True]
    assert site.watch.revoked(GRANT) == "handed_over"
    site.watch.closed(GRANT)
    site.fake.advance(SEARCH_SECONDS[0])
    assert (kinds(site), kept(site)) == ([], [])


def test_a_hang_up_is_not_waited_for(site: Site) -> None:
    """The story of a supervisor who has hung up continues after one look; later ones are few, and end with it."""
    site.open()
    site.fake.hang_up(SPYER)
    assert begin(site.watch.was_handed_over(GRANT)) == [False]
    for _ in range(30):
        site.fake.advance(0.1)
    assert 1 <= site.fake.names.count("CoreShowChannels") <= 6


def test_a_supervisor_who_hangs_up_is_not_looked_for(site: Site, logs: list[EventDict]) -> None:
    """The channel is gone, and no other carries its grant."""
    site.open()
    site.fake.hang_up(SPYER)
    site.watch.closed(GRANT)
    assert site.records("spy_handed_over") == []
    assert deeds(site) == []
    assert [line for line in logs if line["log_level"] == "error"] == []


def test_who_only_runs_the_same_application_is_not_taken_for_it(site: Site) -> None:
    """Somebody else spies on the same agent: without the proof of the grant they are not the one."""
    site.open()
    site.fake.start_spying(ROGUE, SPYEE)
    site.forget()
    site.fake.hang_up(SPYER)
    assert deeds(site) == []
    assert site.records("spy_handed_over") == []


@pytest.mark.parametrize("leg", ["OrigTransferer", "SecondTransferer"])
def test_a_transfer_that_only_somebody_tells_of_ends_nobody(site: Site, leg: str) -> None:
    """An event that no PBX wrote names an innocent channel, which does not carry the grant: nothing is done to it."""
    site.open()
    headers = {f"{leg}Uniqueid": SPYER_UNIQUEID, "TransfereeUniqueid": CUSTOMER_UNIQUEID}
    site.fake.event("AttendedTransfer", **headers, TransferTargetUniqueid="/./", DestType="App")
    assert deeds(site) == []
    assert (site.facts, site.watch.revoked(GRANT)) == ([], None)


@pytest.mark.parametrize("rogue", RogueSpies)
@pytest.mark.parametrize("whose", ["story", "adopted"])
def test_a_phone_that_was_exchanged_unseen_falls_silent_with_the_next_list(
    site: Site, rogue: RogueSpies, whose: str
) -> None:
    """There was no connection, and no event told of it. It is not a rogue, whatever the site does with those."""
    site.change(rogue=rogue)
    if whose == "story":
        site.open()
    else:
        miss(site, BEFORE)
    site.fake.lose_connection()
    exchange(site, told=False)
    site.forget()
    site.fake.advance(5.0)
    site.fake.advance(1.0)
    assert site.fake.asked("Hangup") == [{"Channel": ROGUE_UNIQUEID}]
    assert [record["to"] for record in site.records("spy_handed_over")] == [ROGUE]
    assert site.records("rogue_spy") == []
    if whose == "adopted":
        assert [record["why"] for record in site.records("spy_ended")] == ["handed_over"]
    else:
        assert begin(site.watch.kill(GRANT.id, "root")) == [True]


def test_an_adopted_spy_that_is_handed_over_falls_silent(site: Site) -> None:
    """Its server had died: no story asks where the call is."""
    miss(site, BEFORE)
    site.forget()
    exchange(site, told=False)
    assert site.fake.asked("Hangup") == [{"Channel": ROGUE_UNIQUEID}]
    assert [record["why"] for record in site.records("spy_ended")] == ["handed_over"]


def test_a_spy_that_was_handed_over_while_no_server_ran_is_ended(site: Site) -> None:
    """Its grant, of an earlier run, stands on another phone, and the supervisor's channel is gone."""
    site.fake.lose_connection()
    site.fake.start_spying(ROGUE, SPYEE)
    next(one for one in site.fake.channels if one["Channel"] == ROGUE)["Context"] = "agi-monitor-call"
    site.fake.variables[ROGUE, VARIABLE] = BEFORE.sign(replace(GRANT, spyer_uniqueid="1.1"))
    site.fake.advance(5.0)
    assert site.fake.asked("Hangup") == [{"Channel": ROGUE_UNIQUEID}]
    assert [record["to"] for record in site.records("spy_handed_over")] == [ROGUE]


def resist(site: Site, error: str = "") -> None:
    """The PBX refuses to hang anybody up, or says yes and does not."""
    site.fake.answers["Hangup"] = lambda fake, asked: error or {"Message": "Channel Hungup"}


def moved_unseen(site: Site, whose: str) -> None:
    """A stranger's phone has the spy of an earlier run: while no server ran, or from then on that it was adopted."""
    grant = replace(GRANT, spyer_uniqueid="1.1") if whose == "nobody's" else GRANT
    if whose == "adopted":
        miss(site, BEFORE)
        exchange(site, told=False)
        return
    next(one for one in site.fake.channels if one["Channel"] == ROGUE)["Context"] = "agi-monitor-call"
    site.fake.variables[ROGUE, VARIABLE] = BEFORE.sign(grant)
    site.fake.start_spying(ROGUE, SPYEE)


@pytest.mark.parametrize("error", ["", "Permission denied", "No such channel"])
@pytest.mark.parametrize("whose", ["nobody's", "adopted"])
def test_a_phone_that_could_not_be_hung_up_is_tried_again(site: Site, whose: str, error: str) -> None:
    """No story asks for it, and the next list is minutes away. It is kept as a spy until its channel is gone, is on
    record once, and is not a rogue."""
    hang_up = site.fake.answers["Hangup"]
    resist(site, error)
    moved_unseen(site, whose)
    for _ in range(30):
        site.fake.advance(1.0)
    assert 5 <= site.fake.names.count("Hangup") <= 15
    assert kinds(site) == [(ROGUE, SpyKind.UNPROVEN)]
    site.fake.answers["Hangup"] = hang_up
    for _ in range(5):
        site.fake.advance(1.0)
    assert all(one["Channel"] != ROGUE for one in site.fake.channels)
    assert [record["to"] for record in site.records("spy_handed_over")] == [ROGUE]
    assert site.records("rogue_spy") == []
    asked = site.fake.names.count("Hangup")
    site.fake.advance(30.0)
    assert site.fake.names.count("Hangup") == asked
    assert (kinds(site), kept(site), site.watch._handing_over._putting_out) == ([], [], {})


def test_a_phone_that_hangs_up_between_two_tries_is_let_go(site: Site) -> None:
    """Nothing more is done, and its end is that of no rogue."""
    resist(site)
    moved_unseen(site, "nobody's")
    site.fake.advance(0.1)
    site.fake.hang_up(ROGUE)
    site.forget()
    for _ in range(10):
        site.fake.advance(1.0)
    assert (deeds(site).count("Hangup"), site.facts) == (0, [])
    assert (kinds(site), kept(site), site.watch._handing_over._putting_out) == ([], [], {})


@pytest.mark.parametrize("error", ["", "Permission denied"])
@pytest.mark.parametrize("whose", ["nobody's", "adopted"])
def test_a_phone_that_could_not_be_hung_up_can_be_killed(site: Site, whose: str, error: str) -> None:
    """It is neither muted nor hung up at once, so it hears, and it is listed: no list has to come first."""
    hang_up = site.fake.answers["Hangup"]
    resist(site, error)
    site.fake.answers["Setvar"] = lambda fake, asked: "Permission denied"
    moved_unseen(site, whose)
    site.fake.advance(1.0)
    (spy,) = site.watch.grants.spies()
    assert (spy.spyer, spy.spyee, spy.kind) == (ROGUE, SPYEE, SpyKind.UNPROVEN)
    site.fake.answers["Hangup"] = hang_up
    assert begin(site.watch.kill(spy.id, "root")) == [True]
    for _ in range(10):
        site.fake.advance(1.0)
    assert (site.records("rogue_spy"), site.fake.asked("Hangup")[-1]) == ([], {"Channel": ROGUE_UNIQUEID})
    assert (kinds(site), kept(site), site.watch._handing_over._putting_out) == ([], [], {})


@pytest.mark.parametrize("to", [{"Application": "Queue"}, {"Application": "ChanSpy"}], ids=["queue", "own-spying"])
@pytest.mark.parametrize("whose", ["nobody's", "adopted"])
def test_a_phone_that_does_something_else_by_now_is_let_go(site: Site, whose: str, to: Mapping[str, str]) -> None:
    """It was redirected between two tries, to a queue or to what its own dialplan lets it hear: that is not ours."""
    hang_up = site.fake.answers["Hangup"]
    resist(site, "busy")
    moved_unseen(site, whose)
    site.fake.advance(0.1)
    site.fake.variables[ROGUE, VARIABLE] = ""
    stranger = next(one for one in site.fake.channels if one["Channel"] == ROGUE)
    stranger.update(to, Context="from-internal", ApplicationData="sales")
    site.fake.answers["Hangup"] = hang_up
    site.forget()
    for _ in range(10):
        site.fake.advance(1.0)
    assert not {"Setvar", "Hangup"} & set(site.fake.names)
    assert (kept(site), site.watch._handing_over._putting_out) == ([], {})


def test_a_phone_that_cannot_be_asked_is_tried_again(site: Site) -> None:
    """The connection is lost in the middle of it."""
    hang_up = site.fake.answers["Hangup"]
    resist(site)
    moved_unseen(site, "nobody's")
    site.fake.advance(0.1)
    site.fake.listening = False
    site.fake.lose_connection()
    for _ in range(10):
        site.fake.advance(1.0)
    site.fake.answers["Hangup"] = hang_up
    site.fake.listening = True
    for _ in range(70):
        site.fake.advance(1.0)
    assert all(one["Channel"] != ROGUE for one in site.fake.channels)
    assert (kinds(site), kept(site), site.watch._handing_over._putting_out) == ([], [], {})


def test_a_stop_ends_the_tries(site: Site) -> None:
    """Nothing waits for them."""
    resist(site)
    moved_unseen(site, "nobody's")
    site.fake.advance(0.1)
    site.watch.stop()
    site.forget()
    site.fake.advance(30.0)
    assert "Hangup" not in site.fake.names
    assert begin(site.watch.idle()) == [None]


def test_a_phone_that_hands_on_what_could_not_be_hung_up_is_followed(site: Site) -> None:
    """Its channel is gone, and the lists show the third phone."""
    hang_up = site.fake.answers["Hangup"]
    resist(site)
    moved_unseen(site, "nobody's")
    site.fake.advance(0.1)
    site.fake.answers["Hangup"] = hang_up
    site.fake.add_channel("PJSIP/7777-00000031", "1700000000.31", Context="agi-monitor-call", Application="ChanSpy")
    site.fake.variables["PJSIP/7777-00000031", VARIABLE] = site.fake.variables.pop((ROGUE, VARIABLE))
    site.fake.hang_up(ROGUE)
    for _ in range(10):
        site.fake.advance(1.0)
    assert site.fake.asked("Hangup")[-1] == {"Channel": "1700000000.31"}


@pytest.mark.parametrize("application", ["Bridge", "BridgeAdd", "ChanSpy"])
def test_a_variable_with_a_line_break_on_another_channel_ends_no_search(site: Site, application: str) -> None:
    """Some other dialplan has set it; that channel proves nothing, and the others are asked."""
    site.fake.add_channel("PJSIP/evil-00000009", "1700000000.9", Application=application)
    site.fake.channels.insert(0, site.fake.channels.pop())
    site.fake.variables["PJSIP/evil-00000009", VARIABLE] = "x\r\ny: z"
    site.open()
    exchange(site, told=False)
    site.fake.advance(LOOK_SECONDS)
    assert site.fake.asked("Hangup") == [{"Channel": ROGUE_UNIQUEID}]
    assert len(site.records("spy_handed_over")) == 1


@pytest.mark.parametrize("late", ["answer", "application"])
def test_a_search_goes_on_for_as_long_as_the_story(site: Site, late: str) -> None:
    """A list that did not come, and an application that moved late, end it a few seconds later."""
    site.open()
    site.forget()
    if late == "answer":
        site.fake.held.add("CoreShowChannels")
        exchange(site, told=False)
        for _ in range(40):
            site.fake.advance(1.0)
        site.fake.answer_held()
    else:
        site.fake.variables[ROGUE, VARIABLE] = site.fake.variables.pop((SPYER, VARIABLE))
        site.fake.hang_up(SPYER)
        site.fake.advance(1.2)
        stranger = next(one for one in site.fake.channels if one["Channel"] == ROGUE)
        stranger.update(Application="ChanSpy", ApplicationData=f"{SPYEE_UNIQUEID},uqESX")
    for _ in range(5):
        site.fake.advance(SOURCE_SECONDS)
    assert site.fake.asked("Hangup") == [{"Channel": ROGUE_UNIQUEID}]


def test_many_calls_with_planted_numbers_hide_nobody(site: Site) -> None:
    """No list can tell of them, nor of the phone that hears: who hears is looked at first."""
    site.open()
    stranger = next(one for one in site.fake.channels if one["Channel"] == ROGUE)
    site.fake.channels.remove(stranger)
    stranger["CallerIDNum"] = "5\r\nx"
    for number in range(100):
        name, uniqueid = f"PJSIP/trunk-{number + 256:08x}", f"1700000500.{number}"
        site.fake.channels.append({**stranger, "Channel": name, "Uniqueid": uniqueid})
    site.fake.channels.append(stranger)
    exchange(site, told=False)
    for _ in range(4):
        site.fake.advance(LOOK_SECONDS)
    assert site.fake.asked("Hangup") == [{"Channel": ROGUE_UNIQUEID}]


def erase(site: Site, name: str = SPYER) -> None:
    """Another client empties the variable that the grant stands in."""
    site.fake.variables[name, VARIABLE] = ""


def test_a_phone_without_the_proof_is_found_by_what_it_runs(site: Site) -> None:
    """The supervisor's channel is gone and the story continues: in our context, this grant's very ChanSpy is it."""
    site.open()
    erase(site)
    exchange(site)
    assert "Hangup" not in site.fake.names
    for _ in range(21):
        site.fake.advance(LOOK_SECONDS)
    assert site.fake.asked("Hangup") == [{"Channel": ROGUE_UNIQUEID}]
    assert [record["to"] for record in site.records("spy_handed_over")] == [ROGUE]
    assert begin(site.watch.kill(GRANT.id, "root")) == [True]


@pytest.mark.parametrize("told", [True, False], ids=["event", "list"])
def test_an_adopted_spy_without_the_proof_is_found_by_what_it_runs(site: Site, told: bool) -> None:
    """No story is waited for, and none goes looking for it."""
    miss(site, BEFORE)
    erase(site)
    if not told:
        site.fake.lose_connection()
    exchange(site, told=False)
    for _ in range(10):
        site.fake.advance(0.5)
    assert site.fake.asked("Hangup") == [{"Channel": ROGUE_UNIQUEID}]
    assert [record["to"] for record in site.records("spy_handed_over")] == [ROGUE]
    assert [record["why"] for record in site.records("spy_ended")] == ["handed_over"]


def test_who_runs_the_same_while_an_adopted_spy_goes_on_is_left_alone(site: Site) -> None:
    """A forged event says that the supervisor's channel is gone: nobody has its place."""
    miss(site, BEFORE)
    stranger = next(one for one in site.fake.channels if one["Channel"] == ROGUE)
    stranger.update(Application="ChanSpy", ApplicationData=f"{SPYEE_UNIQUEID},uqESX", Context="agi-monitor-call")
    site.fake.event("Hangup", Channel=SPYER, Uniqueid=SPYER_UNIQUEID)
    for _ in range(10):
        site.fake.advance(0.5)
    assert "Hangup" not in site.fake.names


@pytest.mark.parametrize("listed", ["with the adopted one", "before", "by a list that is not whole"])
def test_who_was_at_a_prompt_before_is_not_taken_for_the_phone(site: Site, listed: str) -> None:
    """A supervisor of another server has heard the same call while no server ran here, and their channel continues
    naming the application: the list showed that while the adopted one's own channel was there."""
    site.fake.lose_connection()
    heard = {"Application": "ChanSpy", "ApplicationData": f"{SPYEE_UNIQUEID},uqESX"}
    site.fake.add_channel("PJSIP/2002-00000041", "1700000000.41", Context="agi-monitor-call", **heard)
    if listed == "by a list that is not whole":
        site.fake.add_channel("PJSIP/evil-00000009", "1700000000.9", CallerIDNum="5\r\nx")
    if listed == "before":
        site.fake.advance(5.0)
        site.fake.lose_connection()
    miss(site, BEFORE)
    site.fake.advance(2.0)
    assert kinds(site) == [(SPYER, SpyKind.ADOPTED)]
    site.forget()
    site.fake.hang_up(SPYER, by_phone=True)
    for _ in range(40):
        site.fake.advance(0.1)
    assert not {"Setvar", "Hangup"} & set(site.fake.names)
    assert site.records("spy_handed_over") == []


@pytest.mark.parametrize("whose", ["prompt", "proof", "context", "other arguments"])
def test_who_runs_the_same_by_right_is_not_taken_for_the_phone(site: Site, whose: str) -> None:
    """Another supervisor between two spies, one by a grant of another server, a channel elsewhere, another mode."""
    second = replace(GRANT, call="c-9", spyer=ROGUE, spyer_uniqueid=ROGUE_UNIQUEID)
    stranger = next(one for one in site.fake.channels if one["Channel"] == ROGUE)
    stranger["Context"] = "from-internal" if whose == "context" else "agi-monitor-call"
    if whose == "prompt":
        site.open(second)
        site.close(second)
    elif whose == "proof":
        site.fake.variables[ROGUE, VARIABLE] = OTHER.sign(second)
    stranger.update(Application="ChanSpy", ApplicationData=f"{SPYEE_UNIQUEID},uqESX")
    if whose == "other arguments":
        stranger["ApplicationData"] += "w"
    site.open()
    site.fake.hang_up(SPYER)
    for _ in range(60):
        site.fake.advance(LOOK_SECONDS)
    assert "Hangup" not in site.fake.names
    assert site.records("spy_handed_over") == []


def test_a_kill_that_finds_no_channel_is_no_success(site: Site) -> None:
    """The supervisor's channel is gone, no other carries the spy, and its story continues: somewhere it is heard."""
    site.open()
    site.fake.hang_up(SPYER)
    done = begin(site.watch.kill(GRANT.id, "root"))
    for _ in range(50):
        site.fake.advance(0.1)
    assert [type(one).__name__ for one in done] == ["ActionFailed"]
    again = begin(site.watch.kill(GRANT.id, "root"))
    site.watch.closed(GRANT)
    site.fake.advance(0.1)
    assert again == [True]


def test_a_kill_that_ends_nothing_is_no_success(site: Site) -> None:
    """The PBX says yes to the hang-up and the channel stays: that is an error, not an end."""
    site.open()
    site.fake.answers["Hangup"] = lambda fake, asked: {"Message": "Channel Hungup"}
    done = begin(site.watch.kill(GRANT.id, "root"))
    for _ in range(50):
        site.fake.advance(0.1)
    assert [type(one).__name__ for one in done] == ["ActionFailed"]


@pytest.fixture
def joined(site: Site) -> Site:
    """A supervisor who has joined the call."""
    site.change(barge=Barge.CONFERENCE)
    site.open(replace(GRANT, mode=Mode.BARGE))
    site.fake.enter(SPYER, "b-1")
    site.fake.advance(DOOR_SECONDS + 1.0)
    site.forget()
    return site


BRIDGE = {"BridgeUniqueid": "b-1", "BridgeType": "basic", "BridgeTechnology": "simple_bridge"}


def kicked(site: Site) -> list[str]:
    """Who was taken out of a bridge, in any order."""
    return sorted({headers["Channel"] for headers in site.fake.asked("BridgeKick")})


def test_a_third_phone_in_a_joined_call_is_taken_out(joined: Site) -> None:
    """The supervisor is transferred: another phone has their place in the bridge, without a grant. It is that phone's
    bridge as well, so it is taken out of it and continues."""
    joined.fake.leave(SPYER)
    next(one for one in joined.fake.channels if one["Channel"] == ROGUE)["BridgeId"] = "b-1"
    joined.fake.event("BridgeEnter", **BRIDGE, Channel=ROGUE, Uniqueid=ROGUE_UNIQUEID, SwapUniqueid=SPYER_UNIQUEID)
    assert kicked(joined) == [ROGUE_UNIQUEID]
    (record,) = joined.records("spy_handed_over")
    assert (record["to"], record["to_uniqueid"]) == (ROGUE, ROGUE_UNIQUEID)


def test_two_joined_calls_that_are_merged_are_parted(joined: Site) -> None:
    """A supervisor who is on two calls transfers one onto the other: Asterisk moves all of them into one
    bridge, in no one's place and without a grant."""
    joined.fake.add_channel("PJSIP/2001-00000030", "1700000000.30", "b-2")
    joined.fake.add_channel("PJSIP/7777-00000031", "1700000000.31", "b-2")
    joined.fake.enter(ROGUE, "b-2")
    joined.fake.advance(DOOR_SECONDS + 1.0)
    for one in (ROGUE, "PJSIP/7777-00000031"):
        joined.fake.leave(one)
        joined.fake.enter(one, "b-1")
    joined.fake.leave(SPYER)
    joined.fake.event(
        "AttendedTransfer",
        Result="Success",
        OrigTransfererUniqueid=SPYER_UNIQUEID,
        SecondTransfererUniqueid="1700000000.30",
        DestType="Bridge",
        DestBridgeUniqueid="b-1",
    )
    joined.fake.hang_up(SPYER)
    joined.watch.closed(replace(GRANT, mode=Mode.BARGE))
    joined.fake.advance(DOOR_SECONDS)
    assert kicked(joined) == sorted(["1700000000.31", ROGUE_UNIQUEID])
    assert len(joined.records("spy_handed_over")) >= 1


@pytest.mark.parametrize("way", ["swap", "blind"])
def test_a_joined_call_that_the_agent_has_left_is_guarded_too(joined: Site, way: str) -> None:
    """A colleague and the customer are on it: a party that comes in the supervisor's place is taken out."""
    joined.fake.add_channel("PJSIP/1005-00000040", "1700000000.40", "b-1")
    joined.fake.hang_up(SPYEE)
    joined.fake.advance(DOOR_SECONDS + 1.0)
    joined.fake.leave(SPYER)
    if way == "blind":
        joined.fake.event("BlindTransfer", Result="Success", TransfererUniqueid=SPYER_UNIQUEID, Extension="700")
        joined.fake.enter(ROGUE, "b-1")
    else:
        next(one for one in joined.fake.channels if one["Channel"] == ROGUE)["BridgeId"] = "b-1"
        joined.fake.event(
            "BridgeEnter", **BRIDGE, Channel=ROGUE, Uniqueid=ROGUE_UNIQUEID, SwapUniqueid=SPYER_UNIQUEID
        )
    assert kicked(joined) == [ROGUE_UNIQUEID]


def test_a_transfer_that_failed_moves_nobody(joined: Site) -> None:
    """Asterisk tells of those as well."""
    joined.fake.event("BlindTransfer", Result="Invalid", TransfererUniqueid=SPYER_UNIQUEID, Extension="700")
    joined.fake.enter(ROGUE, "b-1")
    assert kicked(joined) == []


def test_another_supervisor_on_the_call_is_no_stranger(joined: Site) -> None:
    """They joined it by a grant of their own."""
    joined.fake.add_channel("PJSIP/2002-00000041", "1700000000.41", Context="agi-monitor-call")
    joined.open(
        replace(GRANT, call="c-9", mode=Mode.BARGE, spyer="PJSIP/2002-00000041", spyer_uniqueid="1700000000.41")
    )
    joined.fake.leave(SPYER)
    joined.fake.event("BlindTransfer", Result="Success", TransfererUniqueid=SPYER_UNIQUEID, Extension="700")
    joined.fake.enter("PJSIP/2002-00000041", "b-1")
    joined.fake.advance(DOOR_SECONDS)
    assert "1700000000.41" not in kicked(joined)


def test_a_phone_that_hands_it_on_is_followed(site: Site) -> None:
    """It is handed to a third phone while the second is looked for: the third falls silent."""
    site.open()
    site.fake.add_channel("PJSIP/7777-00000031", "1700000000.31")
    supervisor, second, third = (
        next(one for one in site.fake.channels if one["Channel"] == name)
        for name in (SPYER, ROGUE, "PJSIP/7777-00000031")
    )
    taken_along = ("Application", "ApplicationData", "Context")
    second.update({name: supervisor[name] for name in taken_along})
    site.fake.variables[ROGUE, VARIABLE] = site.fake.variables.pop((SPYER, VARIABLE))
    answer, moved = site.fake.answers["Getvar"], list[str]()

    def hand_on(fake: FakeManager, asked: Message) -> Mapping[str, str] | str:
        if asked.text("Channel") == ROGUE_UNIQUEID and not moved:
            moved.append(ROGUE)
            third.update({name: second[name] for name in taken_along})
            fake.variables["PJSIP/7777-00000031", VARIABLE] = fake.variables.pop((ROGUE, VARIABLE))
            fake.channels.remove(second)
        return answer(fake, asked)

    site.fake.answers["Getvar"] = hand_on
    site.fake.hang_up(SPYER)
    site.fake.advance(LOOK_SECONDS)
    assert site.fake.asked("Hangup") == [{"Channel": "1700000000.31"}]
    assert [record["to"] for record in site.records("spy_handed_over")] == ["PJSIP/7777-00000031"]


@pytest.mark.parametrize("told_first", [True, False], ids=["told-before", "told-after"])
def test_who_comes_by_a_blind_transfer_is_taken_out(joined: Site, told_first: bool) -> None:
    """The way into a joined call is a Local channel, with or without the supervisor's place; and so is everybody who
    comes in the next moment."""
    transfer = {"Result": "Success", "TransfererUniqueid": SPYER_UNIQUEID, "Extension": "700"}
    joined.fake.leave(SPYER)
    if told_first:
        joined.fake.event("BlindTransfer", **transfer)
    joined.fake.add_channel("Local/700@phones-00000001;1", "1700000000.50", "b-1")
    if not told_first:
        joined.fake.event("BlindTransfer", **transfer)
    joined.fake.advance(DOOR_SECONDS / 2)
    joined.fake.enter(ROGUE, "b-1")
    assert kicked(joined) == sorted(["1700000000.50", ROGUE_UNIQUEID])
    assert [record["to"] for record in joined.records("spy_handed_over")] == ["Local/700@phones-00000001;1"]


@pytest.mark.parametrize("told_first", [True, False], ids=["told-before", "told-after"])
def test_a_call_that_is_parked_is_guarded_while_the_space_is_said(joined: Site, told_first: bool) -> None:
    """Asterisk leaves the supervisor on the call meanwhile, and a Local channel has just come in."""
    transfer = {"Result": "Success", "TransfererUniqueid": SPYER_UNIQUEID, "Extension": "700"}
    if told_first:
        joined.fake.event("BlindTransfer", **transfer)
    joined.fake.add_channel("Local/700@phones-00000001;1", "1700000000.50", "b-1")
    joined.fake.add_channel("Local/700@phones-00000001;2", "1700000000.51", Application="Park")
    if not told_first:
        joined.fake.event("BlindTransfer", **transfer)
    for _ in range(4):
        joined.fake.advance(LOOK_SECONDS)
    assert kicked(joined) == sorted([SPYER_UNIQUEID, "1700000000.50"])
    assert [record["to"] for record in joined.records("spy_handed_over")] == ["Local/700@phones-00000001;1"]


@pytest.mark.parametrize("runs", ["Dial", "AppDial2", ""])
def test_a_colleague_behind_a_local_channel_is_not_by_a_transfer_that_only_somebody_tells_of(
    joined: Site, runs: str, logs: list[EventDict]
) -> None:
    """They have come just now, by right, and the supervisor stays: behind the Local channel nobody is parked."""
    joined.fake.add_channel("Local/1005@phones-00000001;1", "1700000000.50", "b-1")
    joined.fake.add_channel("Local/1005@phones-00000001;2", "1700000000.51", Application=runs)
    joined.fake.event("BlindTransfer", Result="Success", TransfererUniqueid=SPYER_UNIQUEID, Extension="700")
    for _ in range(60):
        joined.fake.advance(LOOK_SECONDS)
    assert (kicked(joined), joined.records("spy_handed_over")) == ([], [])
    assert [line["name"] for line in logs if line["event"] == "ami_forged"] == ["BlindTransfer"]


def test_a_local_channel_that_was_there_before_is_not_by_a_transfer(joined: Site, logs: list[EventDict]) -> None:
    """An event alone takes it out of the call as little as anybody else."""
    joined.fake.add_channel("Local/1005@phones-00000001;1", "1700000000.50", "b-1")
    joined.fake.advance(DOOR_SECONDS + 1.0)
    joined.fake.event("BlindTransfer", Result="Success", TransfererUniqueid=SPYER_UNIQUEID, Extension="700")
    for _ in range(60):
        joined.fake.advance(LOOK_SECONDS)
    assert kicked(joined) == []
    assert [line["name"] for line in logs if line["event"] == "ami_forged"] == ["BlindTransfer"]


def test_whose_call_it_is_stays_on_it(site: Site) -> None:
    """The call had just begun when the supervisor joined it and sent it away: agent and customer talk on."""
    site.change(barge=Barge.CONFERENCE)
    site.fake.leave(SPYEE)
    site.fake.enter(SPYEE, "b-1")
    site.open(replace(GRANT, mode=Mode.BARGE))
    site.fake.enter(SPYER, "b-1")
    site.forget()
    site.fake.leave(SPYER)
    site.fake.event("BlindTransfer", Result="Success", TransfererUniqueid=SPYER_UNIQUEID, Extension="100")
    site.fake.add_channel("Local/100@phones-00000001;1", "1700000000.50", "b-1")
    site.fake.leave(SPYEE)
    site.fake.enter(SPYEE, "b-1")
    assert kicked(site) == ["1700000000.50"]


def test_who_joins_a_call_later_stays(joined: Site) -> None:
    """The door is closed for a moment, not for ever, and only after a transfer by the supervisor."""
    joined.fake.event("BlindTransfer", Result="Success", TransfererUniqueid=CUSTOMER_UNIQUEID, Extension="700")
    joined.fake.enter(ROGUE, "b-1")
    assert deeds(joined) == []


@pytest.mark.parametrize("event", ["BlindTransfer", "AttendedTransfer"])
def test_a_transfer_out_of_a_joined_call_that_only_somebody_tells_of_takes_nobody_out(
    joined: Site, event: str, logs: list[EventDict]
) -> None:
    """A colleague has just come in by right, and the supervisor is still in the bridge: the event is forged."""
    joined.fake.add_channel("PJSIP/1005-00000040", "1700000000.40", "b-1")
    joined.fake.event(
        event, Result="Success", TransfererUniqueid=SPYER_UNIQUEID, OrigTransfererUniqueid=SPYER_UNIQUEID
    )
    for _ in range(60):
        joined.fake.advance(LOOK_SECONDS)
    assert (deeds(joined).count("BridgeKick"), joined.records("spy_handed_over")) == (0, [])
    assert [line["name"] for line in logs if line["event"] == "ami_forged"] == [event]


def test_an_entry_that_only_somebody_tells_of_lets_nobody_stay(joined: Site) -> None:
    """The stranger is said to be on the call long before they take the supervisor's place."""
    joined.fake.event("BridgeEnter", **BRIDGE, Channel=ROGUE, Uniqueid=ROGUE_UNIQUEID)
    for _ in range(80):
        joined.fake.advance(LOOK_SECONDS)
    joined.fake.leave(SPYER)
    next(one for one in joined.fake.channels if one["Channel"] == ROGUE)["BridgeId"] = "b-1"
    joined.fake.event("BridgeEnter", **BRIDGE, Channel=ROGUE, Uniqueid=ROGUE_UNIQUEID, SwapUniqueid=SPYER_UNIQUEID)
    assert kicked(joined) == [ROGUE_UNIQUEID]
    assert len(joined.records("spy_handed_over")) == 1


def test_who_is_said_to_take_an_empty_place_stays_where_they_are_known(joined: Site) -> None:
    """The supervisor hangs up, and a forged event puts the customer, who was there before, into their place."""
    joined.fake.hang_up(SPYER)
    customer = {"Channel": "PJSIP/trunk-00000002", "Uniqueid": CUSTOMER_UNIQUEID}
    joined.fake.event("BridgeEnter", **BRIDGE, **customer, SwapUniqueid=SPYER_UNIQUEID)
    joined.fake.advance(DOOR_SECONDS)
    assert kicked(joined) == []


def test_a_swap_that_only_somebody_tells_of_takes_nobody_out(site: Site) -> None:
    """The supervisor is still in the bridge, so the customer did not take their place."""
    site.open(replace(GRANT, mode=Mode.BARGE))
    site.fake.enter(SPYER, "b-1")
    bridge = {"BridgeUniqueid": "b-1", "BridgeType": "basic", "BridgeTechnology": "simple_bridge"}
    customer = {"Channel": "PJSIP/trunk-00000002", "Uniqueid": CUSTOMER_UNIQUEID}
    site.fake.event("BridgeEnter", **bridge, **customer, SwapUniqueid=SPYER_UNIQUEID)
    assert (deeds(site), site.facts) == ([], [])


def test_an_end_that_only_somebody_tells_of_is_none(site: Site, logs: list[EventDict]) -> None:
    """ChanSpyStop and Hangup of a spy that continues: nothing is recorded as its end, and the picture is doubted."""
    miss(site, BEFORE)
    site.forget()
    site.fake.event("Hangup", Channel=SPYER, Uniqueid=SPYER_UNIQUEID)
    site.fake.event("ChanSpyStop", SpyerChannel=SPYER, SpyerUniqueid=SPYER_UNIQUEID, SpyeeUniqueid="1700000000.1")
    for seconds in STOP_SECONDS:
        site.fake.advance(seconds)
    assert site.records("spy_ended") == []
    assert len(kinds(site)) == 1
    assert {line["name"] for line in logs if line["event"] == "ami_forged"} == {"Hangup", "ChanSpyStop"}


def test_a_proof_is_worth_nothing_in_another_context(site: Site) -> None:
    """A supervisor's channel was redirected to a place of the dialplan that spies, and the server began again."""
    site.fake.channels[2]["Context"] = "from-internal"
    miss(site, BEFORE)
    assert site.facts.count("rogue_spy") == 1
