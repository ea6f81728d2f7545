"""Supervisors who are on a call themselves, joined or taken over: what counts is the call of their own channel."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agi_monitor.model import Agent, Barge, Mode
from agi_monitor.pbx.adopting import HANGUP_SECONDS
from agi_monitor.pbx.ends import STOP_SECONDS
from agi_monitor.supervision.grant import Grant
from agi_monitor.supervision.proof import VARIABLE
from agi_monitor.supervision.protected import Protected
from agi_monitor.supervision.spies import SpyKind
from tests.shell.managed import (
    CUSTOMER,
    GRANT,
    ROGUE,
    ROGUE_UNIQUEID,
    SPYEE,
    SPYEE_UNIQUEID,
    SPYER,
    SPYER_UNIQUEID,
    Site,
)
from tests.shell.pbx.spy_watch.test_joined_calls import BARGED, COLLEAGUE, COLLEAGUE_UNIQUEID, TORN
from tests.shell.pbx.spy_watch.watching import BEFORE, DOCTOR, deeds, kinds

TAKEN = replace(GRANT, mode=Mode.TAKE_OVER)
NEXT, NEXT_UNIQUEID = "PJSIP/trunk-00000050", "1700000000.50"
"""The agent's next customer."""


def wait(site: Site, seconds: float) -> None:
    """Time passes."""
    for _ in range(round(seconds * 4)):
        site.fake.advance(0.25)


def without_colleague(site: Site) -> None:
    """Barging in is joining; 1005 may not be heard."""
    (rule,) = site.policy.rules
    board = Agent("1005", frozenset({"board"}), ("PJSIP/1005",))
    rules = (replace(rule, agents=frozenset({"sales"})),)
    site.change(barge=Barge.CONFERENCE, agents={**site.policy.agents, "1005": board}, rules=rules)


def item(site: Site, channel: str) -> dict[str, str]:
    """What a list says of a channel."""
    return next(one for one in site.fake.channels if one["Channel"] == channel)


def join(site: Site) -> None:
    """The supervisor joins the call."""
    site.open(BARGED)
    item(site, SPYER).update(Application="BridgeAdd", ApplicationData=SPYEE)
    site.fake.enter(SPYER, "b-1")


def take_over(site: Site) -> None:
    """The supervisor takes the customer over; the agent's channel continues."""
    site.fake.variables[SPYER, VARIABLE] = site.watch.opened(TAKEN)
    item(site, SPYER).update(Application="Bridge", ApplicationData=f"{CUSTOMER},x")
    for channel in (CUSTOMER, SPYEE):
        site.fake.leave(channel)
    for channel in (CUSTOMER, SPYER):
        site.fake.enter(channel, "b-9")


def done(site: Site) -> set[str]:
    """What was done that ends a spy, or silences it."""
    return {"BridgeKick", "Hangup", "PlayDTMF", "Setvar"} & set(deeds(site))


def lose_story(site: Site, grant: Grant) -> None:
    """The FastAGI connection is lost, and the application continues."""
    site.watch.left_alone(grant)
    site.watch.closed(grant)


# ---- without a story -----------------------------------------------------------------------------------


def test_a_joined_call_without_a_story_is_watched_when_the_agent_is_gone(site: Site) -> None:
    """The supervisor is on it with the customers, and goes when a colleague comes whom they may not hear."""
    without_colleague(site)
    join(site)
    site.fake.add_channel("PJSIP/3002-00000015", "1700000000.15", "b-1")
    wait(site, 5.0)
    lose_story(site, BARGED)
    wait(site, 2.0)
    site.fake.hang_up(SPYEE)
    wait(site, 5.0)
    assert (site.records("spy_ended"), kinds(site)) == ([], [(SPYER, SpyKind.ADOPTED)])
    assert done(site) == set()
    site.fake.add_channel(COLLEAGUE, COLLEAGUE_UNIQUEID, "b-1")
    assert [record["why"] for record in site.records("spy_revoked")] == ["mode_denied"]
    assert site.fake.asked("BridgeKick") == [{"BridgeUniqueid": "b-1", "Channel": SPYER_UNIQUEID}]


@pytest.mark.parametrize("agent", ["hangs up", "had hung up", "stays"])
def test_a_take_over_without_a_story_goes_on_without_the_agent(site: Site, agent: str) -> None:
    """It ends with the supervisor's own call, and that is what the record says."""
    take_over(site)
    if agent == "had hung up":
        site.fake.hang_up(SPYEE)
    wait(site, 10.0)
    lose_story(site, TAKEN)
    if agent == "hangs up":
        site.fake.hang_up(SPYEE)
    wait(site, 10.0)
    assert site.facts == ["spy_adopted"]
    assert (kinds(site), done(site)) == ([(SPYER, SpyKind.ADOPTED)], set())
    site.fake.event("HangupRequest", Channel=SPYER, Uniqueid=SPYER_UNIQUEID)
    site.fake.hang_up(SPYER)
    wait(site, HANGUP_SECONDS)
    assert [record["why"] for record in site.records("spy_ended")] == ["supervisor_hung_up"]


@pytest.mark.parametrize("ends", ["the agent's next call", "the agent's channel"])
def test_an_adopted_take_over_does_not_end_with_the_agent(site: Site, ends: str) -> None:
    """The server was started again; the agent's channel serves the next customer, and that call is another one."""
    site.fake.lose_connection()
    item(site, SPYER).update(Application="Bridge", ApplicationData=f"{CUSTOMER},x", BridgeId="b-9")
    item(site, CUSTOMER)["BridgeId"] = "b-9"
    item(site, SPYEE)["BridgeId"] = ""
    site.fake.variables[SPYER, VARIABLE] = BEFORE.sign(TAKEN)
    wait(site, 8.0)
    assert kinds(site) == [(SPYER, SpyKind.ADOPTED)]
    site.fake.add_channel(NEXT, NEXT_UNIQUEID, "b-5")
    site.fake.enter(SPYEE, "b-5")
    wait(site, 5.0)
    if ends == "the agent's channel":
        site.fake.hang_up(SPYEE)
    else:
        site.fake.hang_up(NEXT)
        site.fake.leave(SPYEE)
    wait(site, 5.0)
    assert {"spy_ended", "spy_revoked"}.isdisjoint(site.facts)
    assert done(site) == set()
    assert kinds(site) == [(SPYER, SpyKind.ADOPTED)]


def test_an_end_of_chanspy_is_none_of_a_call_that_was_joined(site: Site) -> None:
    """Only a forged event tells of one: the supervisor without a story is on the call still."""
    site.change(barge=Barge.CONFERENCE)
    join(site)
    lose_story(site, BARGED)
    wait(site, 1.0)
    told = {"SpyerChannel": SPYER, "SpyerUniqueid": SPYER_UNIQUEID, "SpyeeUniqueid": SPYEE_UNIQUEID}
    site.fake.event("ChanSpyStop", **told)
    wait(site, sum(STOP_SECONDS) * 2)
    assert (kinds(site), site.records("spy_ended")) == ([(SPYER, SpyKind.ADOPTED)], [])
    assert "ami_forged" in site.facts


# ---- while the picture is in doubt ---------------------------------------------------------------------


def forge(site: Site) -> None:
    """Somebody calls from a number that no event can hold: the picture is in doubt from now on."""
    item(site, ROGUE)["CallerIDNum"] = TORN
    site.fake.event("NewCallerid", Channel=ROGUE, Uniqueid=ROGUE_UNIQUEID, CallerIDNum=TORN)
    assert not site.is_up()


@pytest.mark.parametrize("mode", [Mode.TAKE_OVER, Mode.BARGE])
@pytest.mark.parametrize("joins", ["the supervisor's call", "the agent's next call"])
def test_in_doubt_the_call_that_is_heard_is_watched_when_the_agent_is_in_another_one(
    site: Site, mode: Mode, joins: str
) -> None:
    """Whom the supervisor's own channel is with counts: a protected phone is not heard, and ends no spy elsewhere."""
    site.change(barge=Barge.CONFERENCE, protected=Protected(endpoints=frozenset({"PJSIP/9000"})))
    grant = replace(GRANT, mode=mode)
    site.open(grant)
    site.fake.enter(SPYER, "b-1")
    wait(site, 3.0)
    site.fake.leave(SPYEE)
    site.fake.add_channel(NEXT, NEXT_UNIQUEID, "b-5")
    site.fake.enter(SPYEE, "b-5")
    wait(site, 3.0)
    forge(site)
    wait(site, 2.0)
    assert site.watch.revoked(grant) is None
    is_heard = joins == "the supervisor's call"
    site.fake.add_channel(DOCTOR, "1700000000.13", "b-1" if is_heard else "b-5")
    wait(site, 1.0)
    assert not site.is_up()
    wait(site, 5.0)
    assert site.watch.revoked(grant) == ("protected" if is_heard else None)


@pytest.mark.parametrize("comes", ["before", "after"])
def test_in_doubt_a_colleague_whom_nobody_allowed_ends_the_spy(site: Site, comes: str) -> None:
    """It is the colleague's call then, also where only the PBX itself can say so."""
    without_colleague(site)
    join(site)
    wait(site, 3.0)
    forge(site)
    wait(site, 1.0)
    if comes == "before":
        site.fake.add_channel(COLLEAGUE, COLLEAGUE_UNIQUEID, "b-1")
        wait(site, 1.0)
    assert site.records("spy_revoked") == []
    site.fake.hang_up(SPYEE)
    if comes == "after":
        wait(site, 1.0)
        assert site.records("spy_revoked") == []
        site.fake.add_channel(COLLEAGUE, COLLEAGUE_UNIQUEID, "b-1")
    wait(site, 1.25)
    assert not site.is_up()
    assert [record["why"] for record in site.records("spy_revoked")] == ["mode_denied"]


def test_in_doubt_a_colleague_who_is_on_the_agents_call_ends_nothing(site: Site) -> None:
    """With the agent it is the agent's call, and what they hear elsewhere is not heard by the supervisor."""
    without_colleague(site)
    join(site)
    wait(site, 3.0)
    forge(site)
    site.fake.add_channel(COLLEAGUE, COLLEAGUE_UNIQUEID, "b-1")
    wait(site, 5.0)
    assert site.records("spy_revoked") == []


def test_in_doubt_a_call_that_was_joined_unseen_is_not_over_without_the_agent(site: Site) -> None:
    """Nobody told of it; the supervisor's own channel is with the customer, and no key of ChanSpy's is pressed."""
    site.change(barge=Barge.CONFERENCE)
    site.watch.opened(BARGED)
    forge(site)
    wait(site, 1.0)
    item(site, SPYER).update(Application="BridgeAdd", ApplicationData=SPYEE, BridgeId="b-1")
    site.fake.hang_up(SPYEE)
    site.fake.held.add("CoreShowChannels")
    wait(site, 5.0)
    assert not site.is_up()
    assert (done(site), site.watch.revoked(BARGED), site.watch.conversation_over(BARGED)) == (set(), None, False)
