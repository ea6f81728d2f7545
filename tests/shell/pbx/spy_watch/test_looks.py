"""What the PBX itself is asked about a call that is heard, while the picture is trusted and while it is in doubt."""

from __future__ import annotations

from dataclasses import replace

import pytest
from structlog.typing import EventDict

from agi_monitor.model import Barge, Mode
from agi_monitor.pbx.carriers import GONE_SECONDS
from agi_monitor.pbx.looks import CHECK_SECONDS, SOURCE_SECONDS
from agi_monitor.pbx.parties import ALONE_SECONDS
from agi_monitor.supervision.protected import Protected
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
from tests.shell.pbx.spy_watch.watching import BEFORE, DOCTOR, deeds, miss

TORN = "5\r\n\r\n"
NEXT, NEXT_UNIQUEID = "PJSIP/trunk-000000aa", "1700000000.170"


def forge(site: Site) -> None:
    """Somebody with such a number stays on the line: no list is whole."""
    next(one for one in site.fake.channels if one["Channel"] == ROGUE)["CallerIDNum"] = TORN
    site.fake.event("NewCallerid", Channel=ROGUE, Uniqueid=ROGUE_UNIQUEID, CallerIDNum=TORN)


def swap(site: Site) -> None:
    """The next customer comes, and no event that can be read tells of it."""
    customer = next(one for one in site.fake.channels if one["Channel"] == CUSTOMER)
    customer["BridgeId"] = ""
    new = {"Channel": NEXT, "Uniqueid": NEXT_UNIQUEID, "Linkedid": NEXT_UNIQUEID, "BridgeId": "b-1"}
    site.fake.channels.append({**customer, **new})


def wait(site: Site, seconds: float) -> None:
    """Time passes, in steps."""
    for _ in range(int(seconds * 10)):
        site.fake.advance(0.1)


def test_who_joins_behind_a_forged_bridge_is_seen(site: Site) -> None:
    """Two forged events move agent and customer elsewhere; a protected phone joins the call that is heard."""
    site.change(protected=Protected(endpoints=frozenset({"PJSIP/9000"})))
    site.open()
    for name, uniqueid in ((SPYEE, SPYEE_UNIQUEID), (CUSTOMER, CUSTOMER_UNIQUEID)):
        bridge = {"BridgeUniqueid": "b-fake", "BridgeType": "basic", "BridgeTechnology": "simple_bridge"}
        site.fake.event("BridgeEnter", **bridge, Channel=name, Uniqueid=uniqueid)
    site.fake.add_channel(DOCTOR, "1700000000.13", "b-1")
    site.fake.advance(SOURCE_SECONDS)
    assert [record["why"] for record in site.records("spy_revoked")] == ["protected"]


def test_a_picture_that_lacks_somebody_is_made_again(site: Site, logs: list[EventDict]) -> None:
    """The PBX says twice that somebody is on the call of whom no event told: the lists show them."""
    site.open()
    swap(site)
    site.fake.advance(SOURCE_SECONDS)
    assert "PlayDTMF" not in site.fake.names
    wait(site, ALONE_SECONDS + 10.0)
    assert any(line["event"] == "index_difference" for line in logs)
    assert "PlayDTMF" in site.fake.names
    assert site.records("ami_forged") == []


def test_a_call_that_goes_on_as_it_was_puts_nothing_in_doubt(site: Site) -> None:
    """Look after look, with a colleague who joins and leaves."""
    site.open()
    site.fake.add_channel(DOCTOR, "1700000000.13", "b-1")
    wait(site, 7.0)
    site.fake.hang_up(DOCTOR)
    wait(site, 7.0)
    assert (site.facts, deeds(site)) == ([], [])


@pytest.mark.parametrize("first", ["customer", "sign"])
def test_the_next_customer_is_another_conversation_while_the_picture_is_in_doubt(site: Site, first: str) -> None:
    """Whether they come before the first sign or after it: who was on the line when the spy began is known."""
    grant = replace(GRANT, mode=Mode.BARGE)
    site.open(grant)
    for step in (swap, forge) if first == "customer" else (forge, swap):
        step(site)
    wait(site, 2 * CHECK_SECONDS)
    assert len(site.fake.asked("PlayDTMF")) == 1
    assert site.watch.is_another_conversation(grant)


def test_what_was_known_in_an_earlier_doubt_does_not_count(site: Site) -> None:
    """A change while the picture was trusted has been followed; the next doubt changes nothing."""
    site.open()
    forge(site)
    wait(site, 2.0)
    next(one for one in site.fake.channels if one["Channel"] == ROGUE)["CallerIDNum"] = "5"
    wait(site, 70.0)
    assert site.is_up()
    site.fake.add_channel(NEXT, NEXT_UNIQUEID, "b-1")
    site.fake.leave(CUSTOMER)
    wait(site, 1.0)
    site.watch._watched.of(GRANT).again = None
    site.forget()
    forge(site)
    wait(site, 2.0)
    assert deeds(site).count("PlayDTMF") == 0


def test_a_joined_call_that_the_agent_has_left_is_looked_at_from_the_supervisors_channel(site: Site) -> None:
    """A protected phone joins it while the picture is in doubt."""
    site.change(barge=Barge.CONFERENCE, protected=Protected(endpoints=frozenset({"PJSIP/9000"})))
    site.open(replace(GRANT, mode=Mode.BARGE))
    site.fake.enter(SPYER, "b-1")
    site.fake.hang_up(SPYEE)
    forge(site)
    wait(site, 1.0)
    assert site.records("spy_revoked") == []
    site.fake.add_channel(DOCTOR, "1700000000.13", "b-1")
    wait(site, 2 * CHECK_SECONDS)
    assert [record["why"] for record in site.records("spy_revoked")] == ["protected"]


def test_the_other_partys_number_is_asked_for_while_the_picture_is_in_doubt(site: Site) -> None:
    """It becomes one that may not be heard."""
    site.change(protected=Protected(numbers=("110",)))
    site.open()
    forge(site)
    wait(site, 1.0)
    site.fake.variables[SPYEE, "CONNECTEDLINE(num)"] = "110"
    wait(site, 2 * CHECK_SECONDS)
    assert [record["why"] for record in site.records("spy_revoked")] == ["protected"]


def test_a_torn_message_alone_begins_the_looks(site: Site) -> None:
    """No event and no list that could be read comes after it."""
    site.open()
    site.fake.held.update(("Ping", "CoreShowChannels"))
    swap(site)
    site.fake.say(b"Event: Newstate\r\nPrivilege: call,all\r\nCallerIDNum: 5\r\n\r\n")
    site.fake.advance(CHECK_SECONDS)
    assert len(site.fake.asked("PlayDTMF")) == 1


NEAR, FAR = "Local/1001@agents-00000001;1", "Local/1001@agents-00000001;2"


def put(site: Site, name: str, bridge: str | None) -> None:
    """A channel is in a bridge, or in none, or has ended, and no event that can be read tells of it."""
    found = [one for one in site.fake.channels if one["Channel"] == name]
    site.fake.channels[:] = [one for one in site.fake.channels if one not in found or bridge is not None]
    if not found and bridge is not None:
        number = 200 + len(site.fake.channels)
        new = {"Channel": name, "Uniqueid": f"1700000000.{number}", "Linkedid": "1", "BridgeId": bridge}
        site.fake.channels.append({**site.fake.channels[1], **new})
    for one in found:
        one["BridgeId"] = bridge or ""


def half(site: Site, *, leads_to: str = "") -> None:
    """Half a Local channel is on the line with the agent, the other one with somebody, or it runs something."""
    put(site, NEAR, "b-1")
    put(site, FAR, "b-8" if leads_to else "")
    if leads_to:
        put(site, leads_to, "b-8")


def optimize(site: Site, name: str) -> None:
    """Asterisk puts the channel behind a Local channel into its place."""
    put(site, name, "b-1")
    put(site, NEAR, None)
    put(site, FAR, None)


@pytest.mark.parametrize("began", ["trusted", "in doubt"])
@pytest.mark.parametrize("leads_to", [CUSTOMER, ""])
def test_a_local_channel_that_is_taken_out_of_the_way_is_no_other_party(
    site: Site, began: str, leads_to: str
) -> None:
    """The customer was its other end, or comes out of an application that it ran."""
    put(site, CUSTOMER, "")
    half(site, leads_to=leads_to)
    site.come_back()
    site.forget()
    if began == "in doubt":
        forge(site)
    site.open()
    wait(site, 1.0)
    forge(site)
    wait(site, 1.0)
    optimize(site, CUSTOMER)
    wait(site, 5.0)
    assert deeds(site).count("PlayDTMF") == 0
    swap(site)
    wait(site, 2 * CHECK_SECONDS)
    assert deeds(site).count("PlayDTMF") == 1


def test_another_party_behind_a_local_channel_is_another_conversation(site: Site) -> None:
    """The half that the agent talks to stays."""
    half(site, leads_to=CUSTOMER)
    site.come_back()
    site.forget()
    site.open()
    forge(site)
    wait(site, 1.0)
    put(site, CUSTOMER, None)
    half(site, leads_to=NEXT)
    wait(site, 2 * CHECK_SECONDS)
    assert deeds(site).count("PlayDTMF") == 1
    assert site.watch.is_another_conversation(GRANT)


@pytest.mark.parametrize("seconds", [0.5, 5.0])
@pytest.mark.parametrize("with_customer", [True, False])
def test_a_local_channel_between_two_parties_hides_no_change(site: Site, seconds: float, with_customer: bool) -> None:
    """It leads to nobody, for a moment or longer, and was on the call with the customer or came after them."""
    site.open()
    forge(site)
    wait(site, 1.0)
    if with_customer:
        half(site)
        wait(site, 1.0)
    assert deeds(site).count("PlayDTMF") == 0
    put(site, CUSTOMER, None)
    half(site)
    wait(site, seconds)
    optimize(site, NEXT)
    wait(site, 2 * CHECK_SECONDS)
    assert len(site.fake.asked("PlayDTMF")) >= 1
    assert site.watch.is_another_conversation(GRANT)


@pytest.mark.parametrize("stays", [True, False])
def test_half_a_local_channel_is_no_party_for_a_moment_while_the_picture_is_in_doubt(site: Site, stays: bool) -> None:
    """It is not one while the picture is trusted; what stays is one, even if it leads nowhere for ever."""
    site.open()
    forge(site)
    wait(site, 1.0)
    put(site, CUSTOMER, "")
    half(site)
    wait(site, CHECK_SECONDS)
    assert deeds(site).count("PlayDTMF") == 0
    if not stays:
        optimize(site, CUSTOMER)
    wait(site, 2.0)
    assert ("PlayDTMF" in site.fake.names) is stays


def test_a_spy_without_a_story_ends_with_the_party_behind_a_local_channel(site: Site) -> None:
    """Its server had died, and the picture is in doubt."""
    half(site, leads_to=CUSTOMER)
    miss(site, BEFORE)
    forge(site)
    wait(site, 1.0)
    assert site.records("spy_revoked") == []
    put(site, CUSTOMER, None)
    half(site, leads_to=NEXT)
    wait(site, 2 * CHECK_SECONDS)
    assert [record["why"] for record in site.records("spy_revoked")] == ["conversation_over"]


@pytest.mark.parametrize("name", [NEAR, "Local/5 5@agents-00000001;1"])
def test_a_protected_phone_behind_a_local_channel_is_found_while_the_picture_is_in_doubt(
    site: Site, name: str
) -> None:
    """Where the way to it can be read; where not, the spy continues."""
    site.change(protected=Protected(endpoints=frozenset({"PJSIP/9000"})))
    site.open()
    forge(site)
    wait(site, 1.0)
    put(site, name, "b-1")
    put(site, name.replace(";1", ";2"), "b-8")
    put(site, DOCTOR, "b-8")
    wait(site, 2 * CHECK_SECONDS)
    assert [record["why"] for record in site.records("spy_revoked")] == (["protected"] if name == NEAR else [])


@pytest.mark.parametrize("doubt", [False, True], ids=["trusted", "in-doubt"])
@pytest.mark.parametrize("by", ["ChanSpy", "ChanSpy, without a story"])
@pytest.mark.parametrize("mode", [Mode.LISTEN, Mode.BARGE])
def test_a_spy_on_a_channel_that_has_become_another_one_ends(site: Site, mode: Mode, by: str, doubt: bool) -> None:
    """Asterisk may put another device into the agent's place, and ChanSpy continues with that one."""
    grant = replace(GRANT, mode=mode)
    if by == "ChanSpy":
        site.open(grant)
    else:
        miss(site, BEFORE, grant)
    if doubt:
        forge(site)
    wait(site, SOURCE_SECONDS)
    site.forget()
    if not doubt:
        site.fake.event("Hangup", Channel=SPYEE, Uniqueid=SPYEE_UNIQUEID)
    heard = next(one for one in site.fake.channels if one["Channel"] == SPYEE)
    heard.update(Channel="PJSIP/1009-00000099", Uniqueid="1700000000.99")
    wait(site, SOURCE_SECONDS + GONE_SECONDS + 0.2)
    if by == "ChanSpy":
        assert site.fake.asked("PlayDTMF") != []
        assert site.watch.conversation_over(grant)
        assert site.facts == []
    else:
        assert [record["why"] for record in site.records("spy_revoked")] == ["conversation_over"]
        assert site.fake.asked("Hangup") == [{"Channel": SPYER_UNIQUEID}]


def test_a_call_that_is_over_is_ended_by_nobody_else(site: Site) -> None:
    """The agent's channel is gone, and ChanSpy is over with it a moment later: no key is pressed."""
    site.open()
    wait(site, SOURCE_SECONDS - 0.2)
    site.fake.hang_up(SPYEE)
    wait(site, 0.4)
    site.watch.closed(GRANT)
    wait(site, SOURCE_SECONDS)
    assert site.fake.asked("PlayDTMF") == []
