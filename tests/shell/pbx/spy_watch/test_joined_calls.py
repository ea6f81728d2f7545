"""Calls that a supervisor has joined, attacked: by a number that hides a channel, and while events were missed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest
from structlog.typing import EventDict

from agi_monitor.ami.messages import Message
from agi_monitor.model import Barge, Mode
from agi_monitor.pbx.joined_calls import DOOR_SECONDS, GUARD_SECONDS
from agi_monitor.supervision.proof import VARIABLE
from agi_monitor.testing import FakeManager
from tests.shell.managed import (
    CUSTOMER,
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
from tests.shell.pbx.spy_watch.test_handed_over import BRIDGE, joined, kicked
from tests.shell.pbx.spy_watch.watching import BEFORE, OTHER, begin, deeds, resync

__all__ = ["joined"]

TORN = "5\r\nx: y"
"""A number that no event can hold."""
THIRD, THIRD_UNIQUEID = "PJSIP/trunk-00000077", "1700000000.77"
COLLEAGUE, COLLEAGUE_UNIQUEID = "PJSIP/1005-00000040", "1700000000.40"
BARGED = replace(GRANT, mode=Mode.BARGE)


def comes_in(site: Site, channel: str, uniqueid: str, number: str = "") -> None:
    """Asterisk puts a channel into the place of the supervisor's, and tells of it."""
    next(one for one in site.fake.channels if one["Channel"] == channel)["BridgeId"] = "b-1"
    headers = {**BRIDGE, **({"CallerIDNum": number} if number else {})}
    site.fake.event("BridgeEnter", **headers, Channel=channel, Uniqueid=uniqueid, SwapUniqueid=SPYER_UNIQUEID)
    if site.fake.channels and any(one["Channel"] == SPYER for one in site.fake.channels):
        site.fake.leave(SPYER)
        site.fake.hang_up(SPYER)
    site.watch.closed(BARGED)
    for _ in range(20):
        site.fake.advance(0.25)


def talks_to(site: Site, channel: str, *peers: str) -> None:
    """What Asterisk says of a channel in a bridge."""
    site.fake.variables[channel, "BRIDGEPEER"] = ",".join(peers)


def test_a_number_that_hides_a_channel_does_not_keep_it_in_the_call(joined: Site) -> None:
    """Neither its entry nor the transfer can be read, and the list has no bridge of it."""
    joined.fake.add_channel(THIRD, THIRD_UNIQUEID, CallerIDNum=TORN)
    joined.fake.advance(DOOR_SECONDS + 1.0)
    joined.forget()
    talks_to(joined, THIRD, SPYEE, CUSTOMER)
    comes_in(joined, THIRD, THIRD_UNIQUEID, TORN)
    assert THIRD_UNIQUEID in kicked(joined)
    assert [one["to"] for one in joined.records("spy_handed_over")] == [THIRD]


def test_a_customer_with_such_a_number_is_on_the_call_by_right(site: Site) -> None:
    """The list says nothing of the customer's bridge; the supervisor's channel names who is on the call."""
    site.change(barge=Barge.CONFERENCE)
    for one in site.fake.channels:
        if one["Channel"] in (CUSTOMER, SPYEE):
            one["CallerIDNum" if one["Channel"] == CUSTOMER else "ConnectedLineNum"] = TORN
    talks_to(site, SPYER, SPYEE, CUSTOMER)
    site.open(BARGED)
    site.fake.enter(SPYER, "b-1")
    site.fake.advance(DOOR_SECONDS + 1.0)
    site.forget()
    comes_in(site, ROGUE, ROGUE_UNIQUEID)
    assert set(kicked(site)) - {SPYER_UNIQUEID} == {ROGUE_UNIQUEID}


@pytest.mark.parametrize("missed", ["restart", "connection"])
def test_a_call_that_was_joined_unseen_is_guarded_like_any_other(site: Site, missed: str) -> None:
    """By an earlier run of the server, or while there was no connection: the lists tell of it."""
    site.change(barge=Barge.CONFERENCE)
    spyer = next(one for one in site.fake.channels if one["Channel"] == SPYER)
    site.fake.variables[SPYER, VARIABLE] = BEFORE.sign(BARGED) if missed == "restart" else site.watch.opened(BARGED)
    site.fake.lose_connection()
    spyer.update(Application="BridgeAdd", ApplicationData=SPYEE, BridgeId="b-1")
    for _ in range(16):
        site.fake.advance(0.5)
    assert site.pbx.stale() is None
    site.forget()
    comes_in(site, ROGUE, ROGUE_UNIQUEID)
    assert set(kicked(site)) - {SPYER_UNIQUEID} == {ROGUE_UNIQUEID}


def test_who_left_the_call_long_ago_is_not_followed(joined: Site) -> None:
    """A colleague who was on it talks to somebody else now: that call is left alone."""
    joined.fake.add_channel(COLLEAGUE, COLLEAGUE_UNIQUEID)
    joined.fake.enter(COLLEAGUE, "b-1")
    joined.fake.advance(DOOR_SECONDS + 1.0)
    joined.fake.leave(COLLEAGUE)
    joined.fake.advance(60.0)
    joined.fake.enter(COLLEAGUE, "b-9")
    joined.fake.add_channel("PJSIP/trunk-00000050", "1700000000.50", "b-9")
    joined.fake.advance(60.0)
    joined.forget()
    joined.fake.leave(SPYER)
    joined.fake.event("BlindTransfer", Result="Success", TransfererUniqueid=SPYER_UNIQUEID, Extension="700")
    joined.fake.advance(0.1)
    assert {COLLEAGUE_UNIQUEID, "1700000000.50"}.isdisjoint(kicked(joined))
    assert joined.records("spy_handed_over") == []


def test_another_supervisor_does_not_lead_to_another_call(joined: Site) -> None:
    """They were on this call, and have joined the call of another agent since."""
    second, uniqueid = "PJSIP/2002-00000041", "1700000000.41"
    joined.fake.add_channel(second, uniqueid, Context="agi-monitor-call")
    first = replace(BARGED, call="c-9", spyer=second, spyer_uniqueid=uniqueid)
    joined.open(first)
    joined.fake.enter(second, "b-1")
    joined.fake.advance(1.0)
    joined.fake.leave(second)
    joined.close(first)
    joined.fake.add_channel("PJSIP/1002-00000060", "1700000000.60", "b-7")
    joined.fake.add_channel("PJSIP/trunk-00000061", "1700000000.61", "b-7")
    joined.open(replace(first, number=2, spyee="PJSIP/1002-00000060", spyee_uniqueid="1700000000.60"))
    joined.fake.enter(second, "b-7")
    joined.forget()
    joined.fake.leave(SPYER)
    joined.fake.event("BlindTransfer", Result="Success", TransfererUniqueid=SPYER_UNIQUEID, Extension="700")
    joined.fake.advance(0.1)
    assert {"1700000000.60", "1700000000.61", uniqueid}.isdisjoint(kicked(joined))
    assert joined.records("spy_handed_over") == []


def test_a_revocation_while_the_picture_is_in_doubt_removes_from_the_call(joined: Site) -> None:
    """No key is pressed into a call of three."""
    joined.fake.held.update(("CoreShowChannels", "BridgeList"))
    joined.fake.say(b"x: y\r\n\r\n")
    joined.fake.advance(0.1)
    joined.forget()
    begin(joined.watch.kill(BARGED.id, "root"))
    for _ in range(10):
        joined.fake.advance(0.1)
    assert "BridgeKick" in deeds(joined)
    assert "PlayDTMF" not in deeds(joined)


def test_the_end_of_one_spy_does_not_wait_for_another_call(joined: Site) -> None:
    """The door of a joined call stays closed for a while; that does not concern other supervisors."""
    other = replace(GRANT, call="c-9", spyer=ROGUE, spyer_uniqueid=ROGUE_UNIQUEID)
    joined.open(other)
    joined.fake.event("BlindTransfer", Result="Success", TransfererUniqueid=SPYER_UNIQUEID, Extension="700")
    joined.watch.closed(BARGED)
    done = begin(joined.watch.was_handed_over(other))
    joined.fake.advance(0.1)
    assert done == [False]


def test_a_stranger_who_cannot_be_put_out_is_on_record_once(joined: Site) -> None:
    """However often it is tried."""
    joined.fake.event("BlindTransfer", Result="Success", TransfererUniqueid=SPYER_UNIQUEID, Extension="700")
    joined.fake.hang_up(SPYER)
    joined.watch.closed(BARGED)
    joined.fake.answers["BridgeKick"] = lambda fake, asked: {"Message": "kicked"}
    joined.fake.enter(ROGUE, "b-1")
    for _ in range(40):
        joined.fake.advance(0.05)
    assert len(joined.records("spy_handed_over")) == 1


def gone(site: Site) -> None:
    """The supervisor's channel ends, and its story says so."""
    if any(one["Channel"] == SPYER for one in site.fake.channels):
        site.fake.hang_up(SPYER)
    site.watch.closed(BARGED)


@pytest.mark.parametrize("torn", ["nobody", "elsewhere", "target"])
def test_who_cannot_be_read_keeps_nobody_in_the_call(joined: Site, torn: str) -> None:
    """Somebody else's call has such a name in its bridge, or the supervisor has sent the call to such a target: the
    door stays closed until who is on the call can be read."""
    target = "7\r\n00" if torn == "target" else "700"
    if torn == "elsewhere":
        joined.fake.add_channel(THIRD, THIRD_UNIQUEID, "b-9", CallerIDNum=TORN)
        talks_to(joined, THIRD, "Local/7\r\n0@out-00000001;1")
        joined.fake.channels.insert(0, joined.fake.channels.pop())
    joined.fake.event("BlindTransfer", Result="Success", TransfererUniqueid=SPYER_UNIQUEID, Extension=target)
    joined.fake.leave(SPYER)
    local = joined.fake.add_channel(f"Local/{target}@phones-00000001;1", "1700000000.50", "b-1")
    gone(joined)
    for _ in range(10):
        joined.fake.advance(GUARD_SECONDS)
    joined.fake.channels.remove(local)
    ringing = next(one for one in joined.fake.channels if one["Channel"] == ROGUE)
    ringing["BridgeId"] = "b-1"
    joined.fake.event("BridgeEnter", **BRIDGE, Channel=ROGUE, Uniqueid=ROGUE_UNIQUEID, SwapUniqueid="1700000000.50")
    expected = {"1700000000.50"} if torn != "target" else {ROGUE_UNIQUEID}
    assert expected <= set(kicked(joined))
    assert len(joined.records("spy_handed_over")) == 1
    joined.fake.hang_up(SPYEE)
    joined.fake.hang_up(CUSTOMER)
    for _ in range(200):
        joined.fake.advance(GUARD_SECONDS)
    assert joined.watch._joined._joined == {}


@pytest.mark.parametrize("down", [0.5, 3.0, 30.0])
def test_who_took_the_supervisors_place_unseen_is_put_out(joined: Site, down: float) -> None:
    """There was no connection: the first whole list has somebody on the call who was not known there before."""
    joined.fake.listening = False
    joined.fake.lose_connection()
    joined.fake.channels[:] = [one for one in joined.fake.channels if one["Channel"] != SPYER]
    next(one for one in joined.fake.channels if one["Channel"] == ROGUE)["BridgeId"] = "b-1"
    joined.watch.closed(BARGED)
    joined.fake.advance(down)
    joined.fake.listening = True
    for _ in range(200):
        joined.fake.advance(GUARD_SECONDS)
    assert kicked(joined) == [ROGUE_UNIQUEID]
    assert [record["to"] for record in joined.records("spy_handed_over")] == [ROGUE]
    assert joined.watch._joined._joined == {}


def test_who_came_unseen_while_the_supervisor_stayed_is_left_alone(joined: Site) -> None:
    """Nobody took a place: a colleague joined while there was no connection."""
    joined.fake.lose_connection()
    joined.fake.add_channel(COLLEAGUE, COLLEAGUE_UNIQUEID, "b-1")
    for _ in range(20):
        joined.fake.advance(GUARD_SECONDS)
    assert kicked(joined) == []


def test_a_reload_between_decision_and_entry_leaves_no_join_unguarded(site: Site) -> None:
    """The configuration says otherwise when the supervisor enters: the PBX says which application runs."""
    site.watch.opened(BARGED)
    next(one for one in site.fake.channels if one["Channel"] == SPYER).update(Application="BridgeAdd")
    site.fake.enter(SPYER, "b-1")
    site.fake.advance(DOOR_SECONDS + 1.0)
    comes_in(site, ROGUE, ROGUE_UNIQUEID)
    assert set(kicked(site)) - {SPYER_UNIQUEID} == {ROGUE_UNIQUEID}


SECOND_LEG, SECOND_LEG_UNIQUEID = "PJSIP/1001-00000042", "1700000000.42"


def merge(site: Site, *moved: str) -> None:
    """Asterisk moves these from the joined call to the other one of the agent, which a colleague is on already."""
    for one in moved:
        site.fake.leave(one)
        site.fake.enter(one, "b-2")


def consulted(site: Site) -> None:
    """The agent asks a colleague, on a second leg."""
    site.fake.add_channel(SECOND_LEG, SECOND_LEG_UNIQUEID, "b-2")
    site.fake.add_channel(COLLEAGUE, COLLEAGUE_UNIQUEID, "b-2")


def hands_on(site: Site, *moved: str) -> None:
    """The agent asks a colleague and transfers the call to them; both legs of the agent end."""
    consulted(site)
    merge(site, *moved)
    site.fake.hang_up(SPYEE)
    site.fake.hang_up(SECOND_LEG)


def takes_the_place(site: Site, bridge: str = "b-2") -> None:
    """A stranger's phone is put into the place of the supervisor's."""
    next(one for one in site.fake.channels if one["Channel"] == ROGUE)["BridgeId"] = bridge
    told = {**BRIDGE, "BridgeUniqueid": bridge, "Channel": ROGUE, "Uniqueid": ROGUE_UNIQUEID}
    site.fake.event("BridgeEnter", **told, SwapUniqueid=SPYER_UNIQUEID)
    site.fake.leave(SPYER)
    site.fake.hang_up(SPYER)
    site.watch.closed(BARGED)
    wait(site)


def wait(site: Site, seconds: float = DOOR_SECONDS + 1.0) -> None:
    """Time passes, in steps."""
    for _ in range(int(seconds / 0.05)):
        site.fake.advance(0.05)


@pytest.mark.parametrize("after", [0.3, 10.0])
@pytest.mark.parametrize("first", [CUSTOMER, SPYER])
def test_a_call_that_is_merged_into_another_is_guarded_there(joined: Site, first: str, after: float) -> None:
    """By an attended transfer of the agent's. The colleague, who was there before, is on it by right."""
    hands_on(joined, first, CUSTOMER if first == SPYER else SPYER)
    wait(joined, after)
    joined.forget()
    takes_the_place(joined)
    assert set(kicked(joined)) - {SPYER_UNIQUEID} == {ROGUE_UNIQUEID}
    assert [record["to"] for record in joined.records("spy_handed_over")] == [ROGUE]


@pytest.mark.parametrize("unread", ["entries", "everything", "supervisor"])
def test_a_merge_of_which_no_event_tells_is_found(joined: Site, unread: str) -> None:
    """A number hides the entries, or all of it; or the list cannot show the supervisor's own channel either."""
    consulted(joined)
    if unread != "everything":
        joined.fake.held.update(("CoreShowChannels",))
        joined.fake.say(b"Event: Newstate\r\nPrivilege: call,all\r\nCallerIDNum: 5\r\n\r\n")
    for name, uniqueid in ((CUSTOMER, CUSTOMER_UNIQUEID), (SPYER, SPYER_UNIQUEID)):
        next(item for item in joined.fake.channels if item["Channel"] == name)["BridgeId"] = "b-2"
        if unread != "everything":
            joined.fake.event("BridgeLeave", **BRIDGE, Channel=name, Uniqueid=uniqueid)
    if unread == "supervisor":
        next(item for item in joined.fake.channels if item["Channel"] == SPYER)["ConnectedLineNum"] = TORN
    joined.fake.answer_held()
    if unread == "everything":
        joined.come_back()
    joined.fake.hang_up(SECOND_LEG)
    wait(joined, 10.0)
    joined.forget()
    takes_the_place(joined)
    assert set(kicked(joined)) - {SPYER_UNIQUEID} == {ROGUE_UNIQUEID}


@pytest.mark.parametrize("late", [0.0, 0.5])
@pytest.mark.parametrize("leaves_first", [True, False])
def test_who_waits_in_the_other_call_for_the_supervisors_place_is_put_out(
    joined: Site, late: float, leaves_first: bool
) -> None:
    """The supervisor transfers the call to a phone of their own second one: everybody else is moved there, and the
    supervisor was never there."""
    joined.fake.enter(ROGUE, "b-2")
    wait(joined)
    joined.forget()
    if leaves_first:
        joined.fake.leave(SPYER)
    merge(joined, SPYEE, CUSTOMER)
    if not leaves_first:
        joined.fake.leave(SPYER)
    wait(joined, late)
    joined.fake.event("AttendedTransfer", Result="Success", OrigTransfererUniqueid=SPYER_UNIQUEID, DestType="Bridge")
    wait(joined, 1.0)
    assert kicked(joined) == [ROGUE_UNIQUEID]


def test_who_names_the_others_a_moment_longer_is_not_with_them(joined: Site) -> None:
    """Nothing that can be read tells of the supervisor's channel, which was taken out of the call it transfers."""
    joined.fake.enter(ROGUE, "b-2")
    wait(joined)
    talks_to(joined, SPYER, SPYEE, CUSTOMER)
    next(one for one in joined.fake.channels if one["Channel"] == SPYER).update(BridgeId="", CallerIDNum=TORN)
    joined.forget()
    merge(joined, SPYEE, CUSTOMER)
    wait(joined, 0.5)
    gone(joined)
    wait(joined, 1.0)
    assert kicked(joined) == [ROGUE_UNIQUEID]


def test_a_merge_that_only_somebody_tells_of_moves_nothing(joined: Site) -> None:
    """A stranger waits in the bridge that forged events name: the PBX has the call where it was."""
    joined.fake.enter(ROGUE, "b-2")
    other = {**BRIDGE, "BridgeUniqueid": "b-2"}
    for name, uniqueid in ((SPYEE, SPYEE_UNIQUEID), (CUSTOMER, CUSTOMER_UNIQUEID), (SPYER, SPYER_UNIQUEID)):
        joined.fake.event("BridgeEnter", **other, Channel=name, Uniqueid=uniqueid)
    wait(joined)
    joined.forget()
    takes_the_place(joined, "b-1")
    assert set(kicked(joined)) - {SPYER_UNIQUEID} == {ROGUE_UNIQUEID}


def test_who_is_sent_for_right_behind_a_merge_is_put_out(joined: Site) -> None:
    """A blind transfer of the supervisor's brings a Local channel in before it is known where the call is."""
    hands_on(joined, CUSTOMER)
    joined.fake.held.add("CoreShowChannels")
    merge(joined, SPYER)
    joined.fake.add_channel("Local/700@phones-00000001;1", "1700000000.50", "b-2")
    joined.fake.answer_held()
    wait(joined, 0.5)
    joined.forget()
    joined.fake.leave(SPYER)
    joined.fake.event("BlindTransfer", Result="Success", TransfererUniqueid=SPYER_UNIQUEID, Extension="700")
    wait(joined, 1.0)
    assert kicked(joined) == ["1700000000.50"]


@pytest.mark.parametrize("goes_on", [True, False])
@pytest.mark.parametrize("late", [0.0, 1.0])
def test_an_agent_who_handed_the_call_on_is_followed_to_no_other_one(
    joined: Site, goes_on: bool, late: float
) -> None:
    """Their channel lives on and has its next customer, who is not a stranger."""
    consulted(joined)
    merge(joined, CUSTOMER, SPYER)
    wait(joined, late)
    joined.fake.leave(SPYEE)
    joined.fake.hang_up(SECOND_LEG)
    wait(joined)
    joined.fake.add_channel(THIRD, THIRD_UNIQUEID, "b-5")
    joined.fake.enter(SPYEE, "b-5")
    wait(joined)
    if not goes_on:
        joined.fake.hang_up(CUSTOMER)
        joined.fake.hang_up(COLLEAGUE)
        wait(joined, 60.0)
    joined.forget()
    joined.fake.event("BlindTransfer", Result="Success", TransfererUniqueid=SPYER_UNIQUEID, Extension="700")
    joined.fake.leave(SPYER)
    wait(joined)
    assert {SPYEE_UNIQUEID, THIRD_UNIQUEID}.isdisjoint(kicked(joined))
    assert joined.records("spy_handed_over") == []


@pytest.mark.parametrize("comes", ["stranger", "colleague"])
def test_a_pbx_that_is_slow_to_answer_is_asked_again(joined: Site, comes: str, logs: list[EventDict]) -> None:
    """Its answer says how it was when it was asked: the supervisor has left since, or the colleague has come."""
    joined.fake.held.add("Getvar")
    if comes == "stranger":
        joined.fake.event("BlindTransfer", Result="Success", TransfererUniqueid=SPYER_UNIQUEID, Extension="700")
    else:
        joined.fake.add_channel(COLLEAGUE, COLLEAGUE_UNIQUEID)
        joined.fake.event("BridgeEnter", **BRIDGE, Channel=COLLEAGUE, Uniqueid=COLLEAGUE_UNIQUEID)
    joined.fake.advance(1.2)
    joined.fake.answer_held()
    if comes == "stranger":
        joined.fake.leave(SPYER)
    else:
        next(one for one in joined.fake.channels if one["Channel"] == COLLEAGUE)["BridgeId"] = "b-1"
        wait(joined)
        joined.fake.event("BlindTransfer", Result="Success", TransfererUniqueid=SPYER_UNIQUEID, Extension="700")
        joined.fake.leave(SPYER)
    joined.fake.enter(ROGUE, "b-1")
    wait(joined)
    assert kicked(joined) == [ROGUE_UNIQUEID]
    assert [line for line in logs if line["event"] == "ami_forged"] == []


def doubt(site: Site) -> None:
    """A number that no event can hold: the picture is in doubt from now on."""
    next(one for one in site.fake.channels if one["Channel"] == ROGUE)["CallerIDNum"] = TORN
    site.fake.event("NewCallerid", Channel=ROGUE, Uniqueid=ROGUE_UNIQUEID, CallerIDNum=TORN)
    site.fake.advance(0.5)


def answer_late(site: Site) -> None:
    """The PBX is busy when it is asked whether it is there."""
    wait(site)
    site.fake.held.add("Ping")
    fresh = begin(site.pbx.is_fresh())
    wait(site, 2.5)
    site.fake.answer_held()
    assert fresh == [False]


def transferred(site: Site) -> None:
    """The supervisor sends the call to somebody."""
    site.fake.leave(SPYER)
    site.fake.event("BlindTransfer", Result="Success", TransfererUniqueid=SPYER_UNIQUEID, Extension="700")


@pytest.mark.parametrize("told", [True, False], ids=["parking", "conference"])
@pytest.mark.parametrize("why", [doubt, answer_late])
def test_who_is_where_the_customer_was_sent_stays_there(
    joined: Site, why: Callable[[Site], None], told: bool
) -> None:
    """The agent parks the customer, or sends them into a conference, while the picture is in doubt; the supervisor's
    call ends with it. One who was on the call does not lead to another's."""
    for number in (0, 1):
        joined.fake.add_channel(f"PJSIP/other-0000020{number}", f"1700000000.20{number}", "b-9")
    why(joined)
    assert joined.pbx.stale() is not None
    joined.forget()
    if told:
        joined.fake.event("BlindTransfer", Result="Success", TransfererUniqueid=SPYEE_UNIQUEID, Extension="700")
    joined.fake.leave(CUSTOMER)
    joined.fake.enter(CUSTOMER, "b-9")
    joined.fake.hang_up(SPYEE)
    gone(joined)
    wait(joined)
    assert (kicked(joined), joined.records("spy_handed_over")) == ([], [])


@pytest.mark.parametrize("kind", ["base", "parking", "stasis"])
@pytest.mark.parametrize("when", ["before", "behind"])
def test_a_room_that_the_whole_call_was_sent_to_is_nobodys_place(joined: Site, kind: str, when: str) -> None:
    """Agent and customer are redirected into a conference about the moment at which the supervisor hangs up, and the
    picture is in doubt. Asterisk merges no call into such a bridge, so nobody there has the supervisor's place."""
    for number in (0, 1):
        joined.fake.add_channel(f"PJSIP/other-0000020{number}", f"1700000000.20{number}", "b-9")
    next(one for one in joined.fake.bridges if one["BridgeUniqueid"] == "b-9")["BridgeType"] = kind
    doubt(joined)
    joined.forget()
    if when == "behind":
        gone(joined)
    for name in (SPYEE, CUSTOMER):
        joined.fake.leave(name)
        joined.fake.enter(name, "b-9")
    wait(joined, 0.2)
    if when == "before":
        gone(joined)
    wait(joined)
    assert (kicked(joined), joined.records("spy_handed_over")) == ([], [])


@pytest.mark.parametrize("trusted", [True, False])
def test_the_next_customer_of_an_agent_who_is_logged_in_stays(joined: Site, trusted: bool) -> None:
    """They come a moment after the supervisor has sent the last one away, or while the picture is in doubt."""
    if not trusted:
        doubt(joined)
    joined.forget()
    joined.fake.hang_up(CUSTOMER)
    joined.fake.leave(SPYEE)
    if trusted:
        transferred(joined)
    gone(joined)
    wait(joined, 0.3)
    joined.fake.add_channel(THIRD, THIRD_UNIQUEID)
    joined.fake.enter(THIRD, "b-5")
    joined.fake.enter(SPYEE, "b-5")
    wait(joined)
    assert (kicked(joined), joined.records("spy_handed_over")) == ([], [])


@pytest.mark.parametrize("where", ["b-1", "b-5"])
@pytest.mark.parametrize("stays", [SPYEE, CUSTOMER])
@pytest.mark.parametrize("down", [5.0, 120.0])
def test_who_talks_to_one_of_the_call_when_the_connection_is_back_stays(
    joined: Site, down: float, stays: str, where: str
) -> None:
    """There was none when the supervisor hung up: the agent has the next customer, or a colleague has the call."""
    joined.fake.listening = False
    joined.fake.lose_connection()
    joined.fake.channels[:] = [one for one in joined.fake.channels if one["Channel"] in (stays, ROGUE)]
    joined.watch.closed(BARGED)
    for one in joined.fake.channels:
        one["BridgeId"] = where if one["Channel"] == stays else ""
    joined.fake.channels.append({**joined.fake.channels[0], "Channel": THIRD, "Uniqueid": THIRD_UNIQUEID})
    joined.fake.channels[-1]["BridgeId"] = where
    for _ in range(int(down * 2)):
        joined.fake.advance(0.5)
    joined.fake.listening = True
    for _ in range(120):
        joined.fake.advance(0.5)
    assert joined.pbx.stale() is None
    assert (kicked(joined), joined.records("spy_handed_over")) == ([], [])
    assert joined.watch._joined._joined == {}


def test_an_end_that_cannot_be_confirmed_waits_for_the_next_list(joined: Site) -> None:
    """The PBX does not say whether the supervisor's channel is gone: the stranger goes a list later."""
    joined.fake.listening = False
    joined.fake.lose_connection()
    joined.fake.channels[:] = [one for one in joined.fake.channels if one["Channel"] != SPYER]
    next(one for one in joined.fake.channels if one["Channel"] == ROGUE)["BridgeId"] = "b-1"
    joined.watch.closed(BARGED)
    joined.fake.held.add("Getvar")
    joined.fake.listening = True
    wait(joined, 30.0)
    assert kicked(joined) == []
    joined.fake.answer_held()
    resync(joined)
    wait(joined)
    assert kicked(joined) == [ROGUE_UNIQUEID]


def test_who_called_while_a_list_was_made_is_on_the_call(site: Site) -> None:
    """It does not show the supervisor's channel, which is there; the colleague who comes then is not a stranger."""
    site.change(barge=Barge.CONFERENCE)
    site.fake.hang_up(SPYER)
    wait(site)
    site.forget()
    site.pbx._sync_now()
    site.fake.advance(0.05)
    site.fake.add_channel(SPYER, SPYER_UNIQUEID, Context="agi-monitor-call")
    site.open(BARGED)
    site.fake.enter(SPYER, "b-1")
    wait(site, 1.5)
    site.fake.add_channel(COLLEAGUE, COLLEAGUE_UNIQUEID)
    site.fake.enter(COLLEAGUE, "b-1")
    wait(site)
    assert (kicked(site), site.records("spy_handed_over")) == ([], [])


def test_a_list_that_misses_a_supervisor_who_is_there_closes_no_door(joined: Site) -> None:
    """Whatever the list says: the PBX, asked for that one channel, has it."""
    spyer = next(one for one in joined.fake.channels if one["Channel"] == SPYER)
    spyer["Uniqueid"] = "x"
    answer = joined.fake.answers["Getvar"]

    def there(fake: FakeManager, asked: Message) -> Mapping[str, str] | str:
        if asked.text("Channel") == SPYER_UNIQUEID and asked.text("Variable") == "CHANNEL(name)":
            return {"Variable": "CHANNEL(name)", "Value": SPYER}
        return answer(fake, asked)

    joined.fake.answers["Getvar"] = there
    resync(joined)
    joined.fake.add_channel(COLLEAGUE, COLLEAGUE_UNIQUEID)
    joined.fake.enter(COLLEAGUE, "b-1")
    wait(joined)
    assert kicked(joined) == []


@pytest.mark.parametrize("ends", ["connection", "answer"])
def test_a_call_that_could_not_be_asked_about_is_asked_about_again(site: Site, ends: str) -> None:
    """One question had no answer: the next list has the call learned, and a stranger does not stay."""
    site.change(barge=Barge.CONFERENCE)
    site.open(BARGED)
    spyer = next(one for one in site.fake.channels if one["Channel"] == SPYER)
    spyer.update(Application="BridgeAdd", ApplicationData=SPYEE)
    site.fake.held.add("Getvar")
    site.fake.enter(SPYER, "b-1")
    if ends == "connection":
        site.fake.lose_connection()
        site.fake.held.clear()
    else:
        wait(site, 60.0)
        site.fake.answer_held()
    wait(site, 40.0)
    resync(site)
    site.forget()
    site.fake.enter(ROGUE, "b-1")
    site.fake.leave(SPYER)
    site.fake.event("AttendedTransfer", Result="Success", OrigTransfererUniqueid=SPYER_UNIQUEID, DestType="Bridge")
    gone(site)
    wait(site)
    assert kicked(site) == [ROGUE_UNIQUEID]


@pytest.mark.parametrize("proof", ["theirs", "copied", "elsewhere"])
def test_a_supervisor_of_another_server_is_no_stranger(joined: Site, proof: str) -> None:
    """They have a grant of that server, for their own channel and in our context; nothing else is one."""
    second, uniqueid = "PJSIP/2002-00000041", "1700000000.41"
    context = "from-internal" if proof == "elsewhere" else "agi-monitor-call"
    joined.fake.add_channel(second, uniqueid, Context=context, Application="BridgeAdd", ApplicationData=SPYEE)
    whose = "1700000000.99" if proof == "copied" else uniqueid
    theirs = replace(BARGED, call="x-9", spyer=second, spyer_uniqueid=whose)
    joined.fake.variables[second, VARIABLE] = OTHER.sign(theirs)
    joined.forget()
    transferred(joined)
    joined.fake.enter(second, "b-1")
    wait(joined)
    assert kicked(joined) == ([] if proof == "theirs" else [uniqueid])


def test_who_left_while_it_was_asked_who_is_there_is_not_on_the_call(site: Site) -> None:
    """A colleague was named by the supervisor's channel, and the list, a moment later, shows them elsewhere."""
    site.change(barge=Barge.CONFERENCE)
    site.fake.add_channel(COLLEAGUE, COLLEAGUE_UNIQUEID, "b-1")
    wait(site)
    site.open(BARGED)
    site.fake.held.add("CoreShowChannels")
    site.fake.enter(SPYER, "b-1")
    site.fake.advance(0.01)
    site.fake.leave(COLLEAGUE)
    site.fake.answer_held()
    wait(site)
    assert set(site.watch._joined._joined[BARGED.id].known) == {SPYER_UNIQUEID, SPYEE_UNIQUEID, CUSTOMER_UNIQUEID}


@pytest.mark.parametrize("steps", [0.0, 0.05])
def test_a_merge_that_is_seen_half_way_ends_nobody(joined: Site, steps: float) -> None:
    """In doubt the door is closed when the supervisor leaves a bridge, not while they move to the next one."""
    doubt(joined)
    consulted(joined)
    wait(joined)
    joined.forget()
    joined.fake.leave(CUSTOMER)
    joined.fake.enter(CUSTOMER, "b-2")
    joined.fake.leave(SPYER)
    joined.fake.advance(steps / 2)
    joined.fake.enter(SPYER, "b-2")
    joined.fake.hang_up(SPYEE)
    joined.fake.hang_up(SECOND_LEG)
    wait(joined)
    assert (kicked(joined), joined.records("spy_handed_over")) == ([], [])


@pytest.mark.parametrize("came", ["in", "by a merge"])
def test_who_was_on_the_call_with_a_supervisor_who_only_hangs_up_stays(joined: Site, came: str) -> None:
    """The picture is in doubt, and nobody tells of a transfer: the colleague has come by right."""
    doubt(joined)
    joined.forget()
    if came == "in":
        joined.fake.add_channel(COLLEAGUE, COLLEAGUE_UNIQUEID)
        joined.fake.enter(COLLEAGUE, "b-1")
    else:
        hands_on(joined, CUSTOMER, SPYER)
    wait(joined, 1.0)
    gone(joined)
    wait(joined)
    assert (kicked(joined), joined.records("spy_handed_over")) == ([], [])


@pytest.mark.parametrize("back", [True, False])
def test_a_supervisor_who_did_not_leave_is_not_taken_for_gone(joined: Site, back: bool) -> None:
    """They are back in the bridge, or somebody else told of it: it counts when they go, who was with them then, and
    who was not."""
    doubt(joined)
    if back:
        joined.fake.leave(SPYER)
        joined.fake.enter(SPYER, "b-1")
    else:
        joined.fake.event("BridgeLeave", **BRIDGE, Channel=SPYER, Uniqueid=SPYER_UNIQUEID)
    wait(joined)
    joined.fake.add_channel(COLLEAGUE, COLLEAGUE_UNIQUEID)
    joined.fake.enter(COLLEAGUE, "b-1")
    wait(joined, 1.0)
    joined.forget()
    joined.fake.add_channel(THIRD, THIRD_UNIQUEID)
    joined.fake.enter(THIRD, "b-1")
    joined.fake.leave(SPYER)
    wait(joined, 1.0)
    assert kicked(joined) == [THIRD_UNIQUEID]


@pytest.mark.parametrize("after", [0.0, 0.1])
def test_who_comes_as_the_supervisor_goes_has_their_place(joined: Site, after: float) -> None:
    """The picture is in doubt, and what tells of the transfer cannot be read: a merge brings the stranger in just
    before Asterisk takes the supervisor out."""
    joined.fake.add_channel(THIRD, THIRD_UNIQUEID, CallerIDNum=TORN)
    wait(joined, 0.5)
    assert joined.pbx.stale() is not None
    joined.forget()
    joined.fake.enter(ROGUE, "b-1")
    joined.fake.advance(after)
    gone(joined)
    wait(joined)
    assert kicked(joined) == [ROGUE_UNIQUEID]
    assert [record["to"] for record in joined.records("spy_handed_over")] == [ROGUE]


@pytest.mark.parametrize("after", [0.4, 1.0, 1.9])
def test_who_comes_a_moment_after_a_supervisor_who_only_hangs_up_stays(joined: Site, after: float) -> None:
    """The picture is in doubt, and nobody tells of a transfer. What takes the supervisor's place is there at once."""
    doubt(joined)
    joined.forget()
    gone(joined)
    wait(joined, after)
    joined.fake.add_channel(COLLEAGUE, COLLEAGUE_UNIQUEID)
    joined.fake.enter(COLLEAGUE, "b-1")
    wait(joined)
    assert (kicked(joined), joined.records("spy_handed_over")) == ([], [])


def test_who_has_the_supervisors_place_is_put_out_once_the_pbx_answers(joined: Site) -> None:
    """It is too busy for the first question who is there; the door stays closed until it has said so."""
    doubt(joined)
    wait(joined)
    joined.forget()
    joined.fake.enter(ROGUE, "b-1")
    joined.fake.held.add("CoreShowChannels")
    gone(joined)
    wait(joined, 1.0)
    joined.fake.held.clear()
    joined.fake.answer_held()
    wait(joined)
    assert kicked(joined) == [ROGUE_UNIQUEID]


def test_who_came_unseen_while_the_supervisor_was_there_stays_when_they_are_transferred(joined: Site) -> None:
    """A list has them on the call with the supervisor, so they took no place; who comes afterwards did."""
    joined.fake.lose_connection()
    joined.fake.channels.append({**joined.fake.channels[0], "Channel": COLLEAGUE, "Uniqueid": COLLEAGUE_UNIQUEID})
    wait(joined, 10.0)
    joined.forget()
    takes_the_place(joined, "b-1")
    assert set(kicked(joined)) - {SPYER_UNIQUEID} == {ROGUE_UNIQUEID}


def test_whom_a_number_hides_leads_to_no_other_call(site: Site) -> None:
    """A customer whom no list can show is handed on to a colleague, who then has that number on the line as well."""
    site.change(barge=Barge.CONFERENCE)
    next(one for one in site.fake.channels if one["Channel"] == CUSTOMER)["CallerIDNum"] = TORN
    site.open(BARGED)
    site.fake.enter(SPYER, "b-1")
    wait(site)
    site.forget()
    site.fake.add_channel(COLLEAGUE, COLLEAGUE_UNIQUEID, "b-5", ConnectedLineNum=TORN)
    next(one for one in site.fake.channels if one["Channel"] == CUSTOMER)["BridgeId"] = "b-5"
    site.fake.hang_up(SPYEE)
    gone(site)
    wait(site)
    assert (kicked(site), site.records("spy_handed_over")) == ([], [])


def test_who_comes_where_nobody_of_the_call_is_left_stays(joined: Site) -> None:
    """Its bridge is a room that others meet in."""
    joined.fake.hang_up(CUSTOMER)
    joined.fake.hang_up(SPYEE)
    joined.fake.add_channel(COLLEAGUE, COLLEAGUE_UNIQUEID)
    joined.fake.add_channel(THIRD, THIRD_UNIQUEID)
    joined.forget()
    transferred(joined)
    joined.fake.enter(COLLEAGUE, "b-1")
    joined.fake.enter(THIRD, "b-1")
    wait(joined)
    assert (kicked(joined), joined.records("spy_handed_over")) == ([], [])


def test_who_left_before_they_were_admitted_is_not_on_the_call(joined: Site) -> None:
    """The PBX had them there when it was asked, and told then that they left: in the supervisor's place later they
    are a stranger."""
    joined.fake.held.add("Getvar")
    joined.fake.enter(ROGUE, "b-1")
    joined.fake.advance(0.01)
    talks_to(joined, ROGUE, SPYEE, CUSTOMER, SPYER)
    joined.fake.leave(ROGUE)
    joined.fake.answer_held()
    del joined.fake.variables[ROGUE, "BRIDGEPEER"]
    wait(joined, 60.0)
    assert ROGUE_UNIQUEID not in joined.watch._joined._joined[BARGED.id].known
    joined.forget()
    takes_the_place(joined, "b-1")
    assert kicked(joined) == [ROGUE_UNIQUEID]


def test_a_leave_that_only_somebody_tells_of_keeps_nobody_off_the_call(joined: Site) -> None:
    """The colleague is there, and the PBX, asked again, says so."""
    joined.fake.held.add("Getvar")
    joined.fake.add_channel(COLLEAGUE, COLLEAGUE_UNIQUEID)
    joined.fake.enter(COLLEAGUE, "b-1")
    joined.fake.advance(0.01)
    joined.fake.event("BridgeLeave", **BRIDGE, Channel=COLLEAGUE, Uniqueid=COLLEAGUE_UNIQUEID)
    joined.fake.answer_held()
    wait(joined)
    assert COLLEAGUE_UNIQUEID in joined.watch._joined._joined[BARGED.id].known


def test_who_comes_and_goes_while_the_picture_is_in_doubt_is_forgotten(joined: Site) -> None:
    """However often that happens: it is asked all the time where the call is."""
    doubt(joined)
    most = 0
    for number in range(100):
        name, uniqueid = f"PJSIP/x-{number:08x}", f"1700000900.{number}"
        joined.fake.add_channel(name, uniqueid)
        joined.fake.enter(name, "b-1")
        wait(joined, 0.1)
        joined.fake.hang_up(name)
        most = max(most, len(joined.watch._joined._joined[BARGED.id].known))
    assert most < 40
    wait(joined, 30.0)
    assert len(joined.watch._joined._joined[BARGED.id].known) < 10
