"""What the PBX itself is asked about a call that is heard, while the picture is trusted and while it is in doubt."""

from __future__ import annotations

from dataclasses import replace

import pytest
from structlog.typing import EventDict

from agi_monitor.model import Barge, Mode
from agi_monitor.pbx.spy_watch import ALONE_SECONDS, CHECK_SECONDS, SOURCE_SECONDS
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
    Site,
)
from tests.shell.pbx.spy_watch.watching import DOCTOR, deeds

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
    """Whether they come before the first sign or behind it: who was on the line when the spy began is known."""
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
    site.watch._anew.clear()
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
    """It becomes one that nobody may hear."""
    site.change(protected=Protected(numbers=("110",)))
    site.open()
    forge(site)
    wait(site, 1.0)
    site.fake.variables[SPYEE, "CONNECTEDLINE(num)"] = "110"
    wait(site, 2 * CHECK_SECONDS)
    assert [record["why"] for record in site.records("spy_revoked")] == ["protected"]


def test_a_torn_message_alone_begins_the_looks(site: Site) -> None:
    """No event and no list that could be read comes behind it."""
    site.open()
    site.fake.held.update(("Ping", "CoreShowChannels"))
    swap(site)
    site.fake.say(b"Event: Newstate\r\nPrivilege: call,all\r\nCallerIDNum: 5\r\n\r\n")
    site.fake.advance(CHECK_SECONDS)
    assert len(site.fake.asked("PlayDTMF")) == 1
