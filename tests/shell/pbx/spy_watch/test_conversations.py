"""A spy ends with the conversation, also when the agent's channel lives on."""

from __future__ import annotations

from dataclasses import replace

import pytest
from structlog.typing import EventDict

from agi_monitor.model import Mode
from agi_monitor.pbx.looks import SOURCE_SECONDS
from agi_monitor.pbx.parties import ALONE_SECONDS
from tests.shell.managed import CUSTOMER, CUSTOMER_UNIQUEID, GRANT, SPYEE, SPYER_UNIQUEID, Site
from tests.shell.pbx.spy_watch.test_handed_over import BRIDGE
from tests.shell.pbx.spy_watch.watching import BEFORE, kept, miss

END_KEY = {"Channel": SPYER_UNIQUEID, "Digit": "D", "Duration": "80", "Receive": "true"}
NEXT, NEXT_UNIQUEID = "PJSIP/trunk-00000020", "1700000000.20"


@pytest.mark.parametrize("mode", [Mode.LISTEN, Mode.WHISPER, Mode.BARGE])
@pytest.mark.parametrize("stays_in_the_bridge", [True, False], ids=["conference", "agent-login"])
def test_an_agent_who_is_alone_is_not_heard(site: Site, mode: Mode, stays_in_the_bridge: bool) -> None:
    """The customer hangs up, the agent's channel waits for the next one: the key ends the spy, after a moment in
    which a transfer would have brought somebody else."""
    grant = replace(GRANT, mode=mode)
    site.open(grant)
    site.fake.hang_up(CUSTOMER)
    if not stays_in_the_bridge:
        site.fake.leave(SPYEE)
    site.fake.advance(ALONE_SECONDS - 0.01)
    assert site.fake.asked("PlayDTMF") == []
    site.fake.advance(0.01)
    assert site.fake.asked("PlayDTMF") == [END_KEY]
    assert site.watch.conversation_over(grant)
    assert not site.watch.begins_anew(grant)
    site.close(grant)
    site.fake.advance(1.0)
    assert kept(site) == []


def test_a_party_who_comes_back_in_time_is_the_same_conversation(site: Site) -> None:
    """A moment without a party in a transfer or a retrieve ends nothing."""
    site.open()
    site.fake.leave(CUSTOMER)
    site.fake.advance(ALONE_SECONDS / 2)
    site.fake.enter(CUSTOMER, "b-1")
    site.fake.advance(10.0)
    assert site.fake.asked("PlayDTMF") == []


def test_a_key_that_was_lost_is_pressed_again(site: Site) -> None:
    """ChanSpy runs on: without the key the supervisor would hear the next customer by the decision about the last."""
    site.open()
    site.fake.hang_up(CUSTOMER)
    site.fake.add_channel(NEXT, NEXT_UNIQUEID, "b-1")
    assert site.fake.asked("PlayDTMF") == [END_KEY]
    for _ in range(3):
        site.fake.advance(SOURCE_SECONDS)
    assert site.fake.asked("PlayDTMF")[:2] == [END_KEY] * 2


@pytest.mark.parametrize("goes", [True, False])
def test_half_a_local_channel_is_no_party_for_a_moment(site: Site, goes: bool) -> None:
    """What is left of a queue's call when the customer hangs up goes in the next moment; what stays is a party."""
    site.open()
    site.fake.add_channel("Local/1001@agents-00000001;1", "1700000000.60", "b-1")
    site.fake.hang_up(CUSTOMER)
    site.fake.advance(ALONE_SECONDS / 2)
    assert site.fake.asked("PlayDTMF") == []
    if goes:
        site.fake.hang_up("Local/1001@agents-00000001;1")
    site.fake.advance(ALONE_SECONDS)
    assert site.fake.asked("PlayDTMF") == [END_KEY]
    assert (site.watch.conversation_over(GRANT), site.watch.begins_anew(GRANT)) == (goes, not goes)


@pytest.mark.parametrize("gap", [0.0, ALONE_SECONDS / 2])
def test_the_next_customer_is_another_conversation(site: Site, gap: float) -> None:
    """However fast they come: the spy begins again by a decision of its own."""
    grant = replace(GRANT, mode=Mode.BARGE)
    site.open(grant)
    site.fake.hang_up(CUSTOMER)
    site.fake.advance(gap)
    site.fake.add_channel(NEXT, NEXT_UNIQUEID, "b-1")
    assert site.fake.asked("PlayDTMF") == [END_KEY]
    assert site.watch.begins_anew(grant)
    assert site.watch.is_another_conversation(grant)


@pytest.mark.parametrize("how", ["silent", "refuses"])
@pytest.mark.parametrize("adopted", [False, True])
def test_the_next_customer_is_asked_about_until_there_is_an_answer(site: Site, adopted: bool, how: str) -> None:
    """A question that was lost is no decision: the supervisor does not hear the next customer by the last one's."""
    if adopted:
        miss(site, BEFORE)
    else:
        site.open()
    site.fake.advance(5.0)
    site.forget()
    if how == "silent":
        site.fake.held.add("Getvar")
    else:
        site.fake.refused["Getvar"] = "Asterisk is shutting down"
    site.fake.hang_up(CUSTOMER)
    site.fake.add_channel(NEXT, NEXT_UNIQUEID, "b-1")
    site.fake.advance(11.0)
    assert (site.fake.asked("PlayDTMF"), site.records("spy_revoked")) == ([], [])
    site.fake.held.clear()
    site.fake.refused.clear()
    site.fake.advance(11.0)
    assert [record["why"] for record in site.records("spy_revoked")] == ["conversation_over"] * adopted
    assert site.watch.is_another_conversation(GRANT) != adopted


def test_who_is_left_of_a_conference_is_the_same_conversation(site: Site) -> None:
    """One of three leaves: ChanSpy has to begin again to be heard, and it is not a new call."""
    site.open()
    site.fake.add_channel(NEXT, NEXT_UNIQUEID, "b-1")
    site.fake.hang_up(CUSTOMER)
    assert site.watch.begins_anew(GRANT)
    assert not site.watch.is_another_conversation(GRANT)


def test_a_spy_without_a_story_ends_with_the_conversation_too(site: Site) -> None:
    """Its server had died: nobody is there to ask for the next call, so its channel is ended."""
    miss(site, BEFORE)
    site.fake.hang_up(CUSTOMER)
    site.fake.advance(ALONE_SECONDS)
    assert [record["why"] for record in site.records("spy_revoked")] == ["conversation_over"]


def test_a_picture_that_is_lost_ends_no_conversation(site: Site) -> None:
    """What is not known is not over."""
    site.open()
    site.fake.lose_connection()
    site.fake.advance(ALONE_SECONDS + 0.5)
    assert site.records("spy_revoked") == []
    assert not site.watch.conversation_over(GRANT)


@pytest.mark.parametrize("conference", [False, True])
@pytest.mark.parametrize("adopted", [False, True])
def test_a_customer_who_only_an_event_says_has_left_is_still_heard(
    site: Site, conference: bool, adopted: bool, logs: list[EventDict]
) -> None:
    """It is forged: the PBX, asked, has them on the call, so nothing ends, and the lists are asked for."""
    if conference:
        site.fake.add_channel(NEXT, NEXT_UNIQUEID, "b-1")
    if adopted:
        miss(site, BEFORE)
    else:
        site.open()
    site.fake.advance(5.0)
    site.forget()
    for name, uniqueid in ((CUSTOMER, CUSTOMER_UNIQUEID), (NEXT, NEXT_UNIQUEID))[: 1 + conference]:
        site.fake.event("BridgeLeave", BridgeUniqueid="b-1", Channel=name, Uniqueid=uniqueid)
    site.fake.advance(ALONE_SECONDS)
    assert site.fake.asked("PlayDTMF") == []
    assert "spy_revoked" not in site.facts
    assert [line["name"] for line in logs if line["event"] == "ami_forged"] == ["BridgeLeave"]


@pytest.mark.parametrize("adopted", [False, True])
def test_a_party_whom_only_events_exchange_is_no_other_conversation(
    site: Site, adopted: bool, logs: list[EventDict]
) -> None:
    """The customer is said to have left, and somebody else to have come: the spy continues as it is."""
    if adopted:
        miss(site, BEFORE)
    else:
        site.open()
    site.fake.add_channel(NEXT, NEXT_UNIQUEID)
    site.fake.advance(5.0)
    site.forget()
    site.fake.event("BridgeLeave", BridgeUniqueid="b-1", Channel=CUSTOMER, Uniqueid=CUSTOMER_UNIQUEID)
    site.fake.event("BridgeEnter", **BRIDGE, Channel=NEXT, Uniqueid=NEXT_UNIQUEID)
    site.fake.advance(ALONE_SECONDS)
    assert site.fake.asked("PlayDTMF") == []
    assert "spy_revoked" not in site.facts
    assert "BridgeLeave" in [line["name"] for line in logs if line["event"] == "ami_forged"]


def test_one_of_three_who_only_an_event_says_has_left_is_still_on_the_call(site: Site, logs: list[EventDict]) -> None:
    """The spy does not begin again, as it does where only another one is left."""
    site.open()
    site.fake.add_channel(NEXT, NEXT_UNIQUEID, "b-1")
    site.fake.advance(5.0)
    site.forget()
    site.fake.event("BridgeLeave", BridgeUniqueid="b-1", Channel=CUSTOMER, Uniqueid=CUSTOMER_UNIQUEID)
    site.fake.advance(ALONE_SECONDS)
    assert site.fake.asked("PlayDTMF") == []
    assert not site.watch.begins_anew(GRANT)
    assert [line["name"] for line in logs if line["event"] == "ami_forged"] == ["BridgeLeave"]
    site.fake.hang_up(CUSTOMER)
    site.fake.advance(ALONE_SECONDS)
    assert site.fake.asked("PlayDTMF") == [END_KEY]
    assert not site.watch.is_another_conversation(GRANT)
