"""Who is on a call by right stays there, and who claims a right is asked for it, whatever was told or left unsaid."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agi_monitor.model import Barge, Mode, Orphans, RogueSpies
from agi_monitor.names import Uniqueid
from agi_monitor.supervision import chanspy
from agi_monitor.supervision.grant import Grant
from agi_monitor.supervision.proof import VARIABLE
from agi_monitor.supervision.spies import SpyKind
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
from tests.shell.pbx.spy_watch.test_joined_calls import (
    BARGED,
    COLLEAGUE,
    COLLEAGUE_UNIQUEID,
    THIRD,
    THIRD_UNIQUEID,
    TORN,
    wait,
)
from tests.shell.pbx.spy_watch.watching import BEFORE, OTHER, begin, kinds, newer

__all__ = ["joined"]

SECOND, SECOND_UNIQUEID = "PJSIP/2002-00000041", "1700000000.41"
HEARS = chanspy.arguments(Uniqueid(SPYEE_UNIQUEID), Mode.LISTEN)
NOTICE_NAME = "Local/notice@agi-monitor-notice-000000aa;1"
TRANSFER = {"Result": "Success", "TransfererUniqueid": SPYER_UNIQUEID, "Extension": "700"}


def of_second(grant: Grant) -> Grant:
    """The same grant for another supervisor's phone."""
    return replace(grant, call="c-9", spyer=SECOND, spyer_uniqueid=SECOND_UNIQUEID, endpoint="PJSIP/2002")


def adopted(site: Site) -> None:
    """A spy of an earlier run is found."""
    site.fake.lose_connection()
    site.fake.start_spying(SPYER, SPYEE)
    site.fake.variables[SPYER, VARIABLE] = BEFORE.sign(GRANT)
    site.fake.advance(5.0)
    assert kinds(site) == [(SPYER, SpyKind.ADOPTED)]


@pytest.mark.parametrize("transferred", [True, False])
def test_a_call_that_was_never_learned_loses_nobody(site: Site, transferred: bool) -> None:
    """The list was refused when it was joined: a colleague who came later is not all who are there by right."""
    site.change(barge=Barge.CONFERENCE)
    site.fake.refused["CoreShowChannels"] = "busy"
    site.open(BARGED)
    site.fake.enter(SPYER, "b-1")
    wait(site, 1.0)
    site.fake.add_channel(COLLEAGUE, COLLEAGUE_UNIQUEID)
    site.fake.enter(COLLEAGUE, "b-1")
    wait(site, 3.0)
    if not transferred:
        site.fake.say(b"x: y\r\n\r\n")
        wait(site, 0.2)
    site.forget()
    if transferred:
        site.fake.leave(SPYER)
        site.fake.event("BlindTransfer", **TRANSFER)
    else:
        site.fake.hang_up(SPYER, by_phone=True)
        site.watch.closed(BARGED)
    site.fake.refused.clear()
    wait(site, 3.0)
    assert {SPYEE_UNIQUEID, CUSTOMER_UNIQUEID}.isdisjoint(kicked(site))


@pytest.mark.parametrize("orphans", list(Orphans))
def test_another_version_of_this_server_is_no_other_server(site: Site, orphans: Orphans) -> None:
    """Its spies are not left to somebody else to watch."""
    site.change(orphans=orphans)
    site.fake.lose_connection()
    site.fake.start_spying(SPYER, SPYEE)
    site.fake.variables[SPYER, VARIABLE] = newer(BEFORE, GRANT)
    site.fake.advance(5.0)
    wait(site, 3.0)
    assert (SPYER, SpyKind.OTHERS) not in kinds(site)


def test_a_copied_proof_of_another_version_gives_the_agent_no_right(site: Site) -> None:
    """Who hears and who is heard stand in their order in it."""
    site.fake.lose_connection()
    next(one for one in site.fake.channels if one["Channel"] == SPYEE)["Context"] = "agi-monitor-call"
    site.fake.start_spying(SPYEE, SPYER)
    site.fake.variables[SPYEE, VARIABLE] = newer(OTHER, GRANT)
    site.fake.advance(5.0)
    assert kinds(site) == [(SPYEE, SpyKind.ROGUE)]


@pytest.mark.parametrize("listed", [True, False])
def test_our_own_supervisor_at_a_prompt_is_not_the_phone_of_a_spy(site: Site, listed: bool) -> None:
    """One who dialled while a list was on its way is not forgotten with it."""
    site.open(GRANT)
    next(one for one in site.fake.channels if one["Channel"] == SPYER)["ApplicationData"] = HEARS
    wait(site, 3.0)
    if listed:
        site.pbx._sync_now()
    site.fake.advance(0.1)
    second = site.fake.add_channel(SECOND, SECOND_UNIQUEID, Context="agi-monitor-call")
    site.open(of_second(GRANT))
    second["ApplicationData"] = HEARS
    site.fake.advance(0.3)
    site.close(of_second(GRANT))
    wait(site, 3.0)
    site.watch.left_alone(GRANT)
    site.watch.closed(GRANT)
    wait(site, 1.0)
    site.fake.hang_up(SPYER, by_phone=True)
    wait(site, 3.0)
    assert second in site.fake.channels


def test_a_short_spy_of_another_server_is_not_the_phone_of_a_spy(site: Site) -> None:
    """It was over, and its proof cleared, before a busy PBX had answered."""
    adopted(site)
    second = site.fake.add_channel(SECOND, SECOND_UNIQUEID, Context="agi-monitor-call")
    site.fake.held.add("Getvar")
    site.fake.start_spying(SECOND, SPYEE)
    second["ApplicationData"] = HEARS
    site.fake.stop_spying(SECOND, SPYEE)
    site.fake.advance(0.1)
    site.fake.answer_held()
    wait(site, 6.0)
    site.forget()
    site.fake.hang_up(SPYER, by_phone=True)
    wait(site, 3.0)
    assert second in site.fake.channels
    assert "spy_handed_over" not in site.facts


def test_a_supervisor_of_a_newer_server_comes_in_at_a_closed_door(joined: Site) -> None:
    """Their proof has fields that this version cannot read."""
    joined.fake.add_channel(SECOND, SECOND_UNIQUEID, Context="agi-monitor-call")
    joined.fake.variables[SECOND, VARIABLE] = newer(OTHER, of_second(BARGED))
    joined.forget()
    joined.fake.leave(SPYER)
    joined.fake.event("BlindTransfer", **TRANSFER)
    joined.fake.advance(0.3)
    joined.fake.enter(SECOND, "b-1")
    wait(joined, 1.0)
    assert SECOND_UNIQUEID not in kicked(joined)


@pytest.mark.parametrize("by_phone", [True, False])
def test_a_party_whose_number_tears_the_list_stays(joined: Site, by_phone: bool) -> None:
    """It has been on the call for a minute, and the picture in doubt for as long."""
    joined.fake.add_channel(THIRD, THIRD_UNIQUEID, CallerIDNum=TORN)
    wait(joined, 3.0)
    next(one for one in joined.fake.channels if one["Channel"] == THIRD)["BridgeId"] = "b-1"
    joined.fake.event("BridgeEnter", **BRIDGE, CallerIDNum=TORN, Channel=THIRD, Uniqueid=THIRD_UNIQUEID)
    wait(joined, 60.0)
    assert not joined.is_up()
    joined.forget()
    joined.fake.hang_up(SPYER, by_phone=by_phone)
    joined.watch.closed(BARGED)
    wait(joined)
    assert (kicked(joined), joined.records("spy_handed_over")) == ([], [])


def test_the_name_of_an_event_gives_no_stranger_a_right(joined: Site) -> None:
    """The customer's identifier with the name of somebody in another call, where a stranger is."""
    joined.fake.add_channel(COLLEAGUE, COLLEAGUE_UNIQUEID, "b-9")
    joined.fake.enter(ROGUE, "b-9")
    wait(joined, 1.0)
    joined.fake.event("BridgeEnter", **BRIDGE, Channel=COLLEAGUE, Uniqueid=CUSTOMER_UNIQUEID)
    joined.fake.event("BridgeEnter", **BRIDGE, Channel=ROGUE, Uniqueid=ROGUE_UNIQUEID)
    wait(joined, 5.0)
    joined.fake.leave(ROGUE)
    wait(joined, 1.0)
    joined.forget()
    joined.fake.leave(SPYER)
    next(one for one in joined.fake.channels if one["Channel"] == ROGUE)["BridgeId"] = "b-1"
    swapped = {"Channel": ROGUE, "Uniqueid": ROGUE_UNIQUEID, "SwapUniqueid": SPYER_UNIQUEID}
    joined.fake.event("BridgeEnter", **BRIDGE, **swapped)
    joined.fake.hang_up(SPYER)
    joined.watch.closed(BARGED)
    wait(joined)
    assert kicked(joined) == [ROGUE_UNIQUEID]


@pytest.mark.parametrize(
    ("name", "uniqueid"), [(CUSTOMER, CUSTOMER_UNIQUEID), (SPYEE, SPYEE_UNIQUEID)], ids=["customer", "agent"]
)
def test_a_leave_that_is_only_told_puts_nobody_out(joined: Site, name: str, uniqueid: str) -> None:
    """Who is still with the supervisor has not left, also when the supervisor is transferred later."""
    joined.fake.event("BridgeLeave", **BRIDGE, Channel=name, Uniqueid=uniqueid)
    wait(joined, 5.0)
    joined.forget()
    joined.fake.leave(SPYER)
    joined.fake.event("BlindTransfer", **TRANSFER)
    wait(joined, 1.0)
    assert uniqueid not in kicked(joined)
    assert joined.records("spy_handed_over") == []


@pytest.mark.parametrize("has_story", [True, False])
def test_an_entry_of_one_who_listens_changes_nothing(site: Site, has_story: bool) -> None:
    """ChanSpy is in no bridge: the spy ends with the conversation, and the next customer is not heard."""
    site.open(GRANT)
    wait(site, 1.0)
    if not has_story:
        site.watch.left_alone(GRANT)
        site.watch.closed(GRANT)
    elsewhere = {**BRIDGE, "BridgeUniqueid": "b-77"}
    site.fake.event("BridgeEnter", **elsewhere, Channel=SPYER, Uniqueid=SPYER_UNIQUEID)
    wait(site, 1.0)
    site.forget()
    site.fake.hang_up(CUSTOMER)
    wait(site, 1.0)
    site.fake.add_channel(THIRD, THIRD_UNIQUEID)
    site.fake.enter(THIRD, "b-1")
    wait(site, 10.0)
    assert site.fake.asked("PlayDTMF") if has_story else "spy_revoked" in site.facts


def test_a_start_that_is_only_told_exempts_no_rogue_spy(site: Site) -> None:
    """It is called like the doctor's helper and hears an agent, whatever the event says of that."""
    name, uniqueid = "Local/supervisor@agi-monitor-doctor-00000001;1", "1700000000.90"
    agent = {"SpyeeChannel": "Local/agent@agi-monitor-doctor-00000001;1", "SpyeeUniqueid": "1700000000.91"}
    site.change(rogue=RogueSpies.HANG_UP)
    site.fake.refused["Hangup"] = "busy"
    site.fake.add_channel(name, uniqueid)
    site.fake.start_spying(name, SPYEE)
    wait(site, 1.0)
    assert kinds(site) == [(name, SpyKind.ROGUE)]
    site.fake.event("ChanSpyStart", SpyerChannel=name, SpyerUniqueid=uniqueid, **agent)
    wait(site, 1.0)
    site.fake.refused.clear()
    wait(site, 20.0)
    assert (name, SpyKind.EXEMPT) not in kinds(site)


@pytest.mark.parametrize("is_slow", [True, False])
def test_a_rogue_spy_that_is_called_like_the_notice_has_an_end(site: Site, is_slow: bool) -> None:
    """Its name decides nothing about the record."""
    site.fake.add_channel(NOTICE_NAME, "1700000000.90")
    if is_slow:
        site.fake.held.add("Getvar")
    site.fake.start_spying(NOTICE_NAME, SPYEE)
    wait(site, 0.0 if is_slow else 1.0)
    site.fake.stop_spying(NOTICE_NAME, SPYEE)
    site.fake.hang_up(NOTICE_NAME)
    site.fake.advance(0.1)
    site.fake.answer_held()
    wait(site, 6.0)
    assert site.facts == ["rogue_spy", "rogue_spy_ended"]


def test_who_kills_a_phone_that_a_spy_was_handed_to_is_on_record(site: Site) -> None:
    """It could not be hung up, and is listed until an administrator ends it."""
    adopted(site)
    site.fake.refused["Hangup"] = "busy"
    phone = next(one for one in site.fake.channels if one["Channel"] == ROGUE)
    own = next(one for one in site.fake.channels if one["Channel"] == SPYER)
    taken = {name: own[name] for name in ("Application", "ApplicationData")}
    phone.update(**taken, Context="agi-monitor-call")
    site.fake.variables[ROGUE, VARIABLE] = BEFORE.sign(GRANT)
    site.fake.variables.pop((SPYER, VARIABLE))
    sides = {"OrigTransfererUniqueid": SPYER_UNIQUEID, "TransfereeUniqueid": ROGUE_UNIQUEID}
    site.fake.event("AttendedTransfer", Result="Success", **sides)
    site.fake.hang_up(SPYER)
    wait(site, 5.0)
    site.fake.refused.clear()
    begin(site.watch.kill(site.watch.grants.spies()[0].id, "root"))
    wait(site, 6.0)
    assert [record["by"] for record in site.records("spy_revoked")] == ["root"]


def test_a_list_without_one_who_has_just_hung_up_closes_no_door(joined: Site) -> None:
    """A supervisor hangs up while a list is on its way, and the story says so later than a colleague comes."""
    joined.fake.add_channel(COLLEAGUE, COLLEAGUE_UNIQUEID)
    joined.forget()
    joined.pbx._sync_now()
    joined.fake.advance(0.5)
    joined.fake.hang_up(SPYER, by_phone=True)
    joined.fake.advance(0.6)
    joined.fake.enter(COLLEAGUE, "b-1")
    joined.fake.advance(0.5)
    joined.watch.closed(BARGED)
    wait(joined)
    assert kicked(joined) == []
