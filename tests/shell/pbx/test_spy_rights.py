"""agi_monitor.pbx.spy_watch and rules with conditions: what ends a running spy, when, and what a look costs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, cast
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs
from twisted.internet.base import DelayedCall

from agi_monitor.live.index import SETTLE_SECONDS
from agi_monitor.model import Direction, Mode
from agi_monitor.pbx.looks import CHECK_SECONDS
from agi_monitor.rights.authorization import Allowed, Calls, Effect, Rule, SpyAsk, Terms
from agi_monitor.rights.explain import explain
from agi_monitor.rights.hours import When, hours
from agi_monitor.supervision.grant import Grant, Place
from agi_monitor.supervision.proof import VARIABLE
from agi_monitor.supervision.spies import SpyKind
from tests.doubles import drawn_rules
from tests.shell.managed import (
    AGENT,
    ANNA,
    CUSTOMER,
    CUSTOMER_UNIQUEID,
    GRANT,
    NOW,
    SIGNER,
    SPYEE,
    SPYEE_UNIQUEID,
    SPYER,
    Site,
)

BEFORE = replace(SIGNER, run="run-1")
"""This server in an earlier run."""

OTHER = replace(SIGNER, server="there")
"""Another server of this PBX."""

UNTIL_22_14 = When(ZoneInfo("UTC"), (hours("20:00-22:14"),))
"""40 seconds more: ``NOW`` is 22:13:20."""

REASON = Terms(reason_required=True)
HELP = Calls(frozenset({"help"}))

SECOND, SECOND_UNIQUEID = "PJSIP/2001-00000007", "1700000000.7"
SECOND_GRANT = replace(GRANT, call="c-2", spyer=SECOND, spyer_uniqueid=SECOND_UNIQUEID, since=NOW + 1.0)


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Nothing is logged to the terminal."""
    with capture_logs():
        yield


@pytest.fixture
def site() -> Site:
    """A PBX that is known, and nobody spies."""
    return Site()


def only_if(site: Site, **conditions: Any) -> None:
    """From now on the one rule holds under these conditions only."""
    (rule,) = site.policy.rules
    site.change(rules=(replace(rule, **conditions),))


def begin(site: Site, grant: Grant = GRANT) -> None:
    """A story takes a place and begins to spy by a grant."""
    site.watch.place_taken(grant.place)
    site.open(grant)


def why(site: Site) -> list[object]:
    """Why each spy that was ended from outside was."""
    return [record["why"] for record in site.records("spy_revoked")]


def out_of_queue(site: Site) -> None:
    """The customer came out of a queue."""
    site.fake.event("AgentConnect", Uniqueid=CUSTOMER_UNIQUEID, DestUniqueid=SPYEE_UNIQUEID, Queue="help")


def looks(site: Site) -> int:
    """How many looks at the clock are planned, besides those at the calls themselves."""
    planned = cast(list[DelayedCall], site.fake.clock.getDelayedCalls())
    soon = site.fake.clock.seconds() + CHECK_SECONDS
    return sum(call.func == site.watch._looks._check and call.getTime() <= soon for call in planned)


# ---- the clock ----------------------------------------------------------------------------------------------


def test_hours_that_end_end_the_spy(site: Site) -> None:
    """Not before, and within the second; the audit says that no rule allows it."""
    only_if(site, when=UNTIL_22_14)
    begin(site)
    site.fake.advance(40.0 - site.time() + NOW - 0.1)
    assert why(site) == []
    site.fake.advance(0.1 + CHECK_SECONDS)
    assert why(site) == ["mode_denied"]
    assert [name for name in site.fake.names if name not in ("Ping", "Getvar")] == ["Setvar", "PlayDTMF"]


def test_minutes_that_are_up_end_the_spy(site: Site) -> None:
    """Counted from the beginning of the first mode, with what was heard of the call before."""
    only_if(site, terms=Terms(max_minutes=1))
    begin(site, replace(GRANT, began=site.time() - 5, since=site.time() - 50))
    site.fake.advance(9.9)
    assert why(site) == []
    site.fake.advance(0.1 + CHECK_SECONDS)
    assert why(site) == ["time_is_up"]


def test_a_clock_that_is_set_back_gives_nobody_a_minute_more(site: Site) -> None:
    """The time of day is set back by an hour in the middle: the minute is up all the same, and stays up."""
    only_if(site, terms=Terms(max_minutes=1))
    grant = replace(GRANT, since=site.time())
    begin(site, grant)
    site.fake.advance(30.0)
    site.skew = -3_600.0
    site.fake.advance(29.9)
    assert why(site) == []
    site.fake.advance(0.1 + CHECK_SECONDS)
    assert why(site) == ["time_is_up"]
    site.close(grant)
    site.watch.place_left(grant.place)
    call = frozenset({SPYEE_UNIQUEID, CUSTOMER_UNIQUEID})
    assert site.time() - site.watch.heard_since("anna", call, site.time()) >= 60.0


def heard(site: Site, *call: str) -> float:
    """How many seconds of this call the supervisor has heard, as the rules count them."""
    return round(site.time() - site.watch.heard_since("anna", frozenset(call), site.time()), 1)


NEXT, NEXT_UNIQUEID = "PJSIP/trunk-000000cc", "1700009000.1"


def hear_for(site: Site, seconds: float) -> Grant:
    """The supervisor hears the call for this time. Returns the grant, whose place is taken."""
    only_if(site, terms=Terms(max_minutes=1))
    grant = replace(GRANT, since=site.time(), began=site.time())
    begin(site, grant)
    site.fake.advance(seconds)
    return grant


@pytest.mark.parametrize("during", [True, False], ids=["while-it-is-heard", "afterwards"])
def test_the_next_call_on_a_channel_that_stays_is_a_new_one(site: Site, *, during: bool) -> None:
    """As of an agent who is logged in with AgentLogin, whose channel outlives the customer's."""
    grant = hear_for(site, 50.0)

    def over() -> None:
        site.close(grant)
        site.watch.place_left(grant.place)

    if not during:
        over()
    site.fake.hang_up(CUSTOMER)
    site.fake.add_channel(NEXT, NEXT_UNIQUEID, "b-1")
    if during:
        over()
    assert heard(site, SPYEE_UNIQUEID, NEXT_UNIQUEID) == 0.0
    assert heard(site, SPYEE_UNIQUEID, CUSTOMER_UNIQUEID) == 50.0


def test_minutes_go_on_with_the_customer_to_a_colleague(site: Site) -> None:
    """A transfer is not a new beginning."""
    grant = hear_for(site, 50.0)
    site.close(grant)
    site.watch.place_left(grant.place)
    site.fake.hang_up(SPYEE)
    site.fake.add_channel("PJSIP/1002-000000dd", "1700009000.2", "b-1")
    assert heard(site, "1700009000.2", CUSTOMER_UNIQUEID) == 50.0


@pytest.mark.parametrize(
    ("conditions", "looked"),
    [
        ({}, 0),
        ({"calls": Calls(direction=Direction.IN)}, 0),
        ({"terms": Terms(True, None, 3)}, 0),
        ({"when": UNTIL_22_14}, 1),
        ({"terms": Terms(max_minutes=60)}, 1),
    ],
)
def test_the_clock_is_looked_at_only_while_it_matters(site: Site, conditions: dict[str, Any], looked: int) -> None:
    """While a rule depends on it and somebody is heard; never twice at once."""
    site.fake.event("DialBegin", Uniqueid=CUSTOMER_UNIQUEID, DestUniqueid=SPYEE_UNIQUEID)
    only_if(site, **conditions)
    assert looks(site) == 0
    begin(site, replace(GRANT, reason="quality"))
    site.fake.advance(3 * CHECK_SECONDS)
    site.watch.recheck()
    assert (looks(site), why(site)) == (looked, [])
    site.close()
    site.fake.advance(CHECK_SECONDS)
    assert looks(site) == 0


def test_a_rule_that_comes_to_depend_on_the_clock_is_looked_at_from_then_on(site: Site) -> None:
    """By a reload while somebody is heard; and no more when it is gone again."""
    begin(site)
    only_if(site, when=UNTIL_22_14)
    assert looks(site) == 1
    only_if(site, when=None)
    site.fake.advance(CHECK_SECONDS)
    assert looks(site) == 0


def test_a_server_that_stops_looks_no_more(site: Site) -> None:
    """Neither now nor at what happens until it has gone."""
    only_if(site, when=UNTIL_22_14)
    begin(site)
    site.watch.stop()
    site.watch.recheck()
    assert looks(site) == 0
    site.watch.stop()


def test_nothing_is_ended_while_nobody_could_be_told(site: Site) -> None:
    """The hours end while the picture is lost: that is done, once, when it is back."""
    only_if(site, when=UNTIL_22_14)
    begin(site)
    site.fake.listening = False
    site.fake.lose_connection()
    for _ in range(10):
        site.fake.advance(5.0)
    assert (site.is_up(), why(site)) == (False, [])
    site.fake.listening = True
    site.fake.held.clear()
    site.fake.answer_held()
    for _ in range(10):
        site.fake.advance(5.0)
    assert (site.is_up(), why(site)) == (True, ["mode_denied"])


def test_what_a_lost_connection_hides_takes_no_right_away(site: Site) -> None:
    """A queue that cannot be seen for a moment does not count as another queue; a rule that is gone is gone."""
    out_of_queue(site)
    only_if(site, calls=HELP)
    begin(site)
    site.fake.lose_connection()
    site.watch.recheck()
    assert why(site) == []
    site.policy = replace(site.policy, rules=())
    site.watch.recheck()
    assert why(site) == ["mode_denied"]


# ---- the call -----------------------------------------------------------------------------------------------


def test_a_call_that_leaves_its_queue_is_heard_no_longer(site: Site) -> None:
    """The agent stays and talks to somebody else."""
    out_of_queue(site)
    only_if(site, calls=HELP)
    begin(site)
    assert why(site) == []
    site.fake.leave(CUSTOMER)
    site.fake.event("AgentComplete", Uniqueid=CUSTOMER_UNIQUEID, Queue="help")
    assert why(site) == []  # the agent talks to nobody, and the call may just be over
    site.fake.add_channel("PJSIP/1002-00000014", "1700000000.14", "b-1")
    assert why(site) == ["mode_denied"]


def test_an_event_of_the_queue_is_enough(site: Site) -> None:
    """The queue is done with a caller who still talks to the agent."""
    out_of_queue(site)
    only_if(site, calls=HELP)
    begin(site)
    site.fake.event("AgentComplete", Uniqueid=CUSTOMER_UNIQUEID, Queue="help")
    assert why(site) == ["mode_denied"]


def test_a_call_that_turns_into_a_denied_one_is_heard_no_longer(site: Site) -> None:
    """A rule that denies needs no more than one that allows."""
    begin(site)
    (rule,) = site.policy.rules
    deny = replace(rule, name="no", effect=Effect.DENY, calls=HELP)
    site.fake.event("DialBegin", Uniqueid=CUSTOMER_UNIQUEID, DestUniqueid=SPYEE_UNIQUEID)
    site.change(rules=(rule, deny))
    assert why(site) == []
    out_of_queue(site)
    assert why(site) == ["mode_denied"]


# ---- who else -----------------------------------------------------------------------------------------------


def test_a_limit_that_is_lowered_ends_those_who_came_last(site: Site) -> None:
    """The one who has heard the call for longest continues."""
    site.fake.add_channel(SECOND, SECOND_UNIQUEID, Context="agi-monitor-call")
    begin(site)
    begin(site, SECOND_GRANT)
    only_if(site, terms=Terms(max_listeners=2))
    assert why(site) == []
    only_if(site, terms=Terms(max_listeners=1))
    assert why(site) == ["too_many_listeners"]
    assert site.watch.revoked(SECOND_GRANT) == "too_many_listeners"
    assert site.watch.revoked(GRANT) is None


@pytest.mark.parametrize(("earlier", "ended"), [(5.0, ["too_many_listeners"]), (-5.0, [])])
def test_two_servers_do_not_both_give_the_last_place(site: Site, earlier: float, ended: list[str]) -> None:
    """Anyone who began later ends; each server sees the other's grant on the channel."""
    only_if(site, terms=Terms(max_listeners=1))
    grant = replace(GRANT, since=site.time())
    begin(site, grant)
    others = replace(SECOND_GRANT, since=site.time() - earlier)
    site.fake.add_channel(SECOND, SECOND_UNIQUEID, Context="agi-monitor-call")
    site.fake.variables[SECOND, VARIABLE] = OTHER.sign(others)
    site.fake.start_spying(SECOND, SPYEE)
    assert [spy.kind for spy in site.watch.grants.spies()].count(SpyKind.OTHERS) == 1
    assert why(site) == ended


# ---- grants of an earlier run -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("conditions", "changes", "ended"),
    [
        ({"terms": Terms(max_minutes=1)}, {"since": NOW - 60.0}, ["time_is_up"]),
        ({"terms": Terms(max_minutes=60)}, {"since": NOW - 60.0}, []),
        ({"terms": Terms(reason_required=True)}, {"reason": ""}, ["reason_missing"]),
        ({"terms": Terms(reason_required=True)}, {"reason": "quality"}, []),
        ({"modes": frozenset(), "scan": True}, {"scan": False}, ["mode_denied"]),
        ({"modes": frozenset(), "scan": True}, {"scan": True}, []),
    ],
)
def test_an_adopted_grant_obeys_the_terms(
    site: Site, conditions: dict[str, Any], changes: dict[str, Any], ended: list[str]
) -> None:
    """What they need to be known by stands in the proof on the channel."""
    only_if(site, **conditions)
    site.fake.lose_connection()
    site.fake.start_spying(SPYER, SPYEE)
    site.fake.variables[SPYER, VARIABLE] = BEFORE.sign(replace(GRANT, **changes))
    site.fake.advance(5.0)
    site.fake.advance(SETTLE_SECONDS)
    assert len(site.records("spy_adopted")) == 1
    assert why(site) == ended


def test_an_adopted_grant_is_ended_when_its_time_is_up(site: Site) -> None:
    """The clock is looked at for grants of an earlier run as well."""
    only_if(site, terms=Terms(max_minutes=1))
    site.fake.lose_connection()
    site.fake.start_spying(SPYER, SPYEE)
    site.fake.variables[SPYER, VARIABLE] = BEFORE.sign(GRANT)
    site.fake.advance(5.0)
    assert why(site) == []
    site.fake.advance(55.0 + CHECK_SECONDS)
    assert why(site) == ["time_is_up"]


def test_an_adopted_spy_counts_among_the_listeners(site: Site) -> None:
    """And its supervisor has heard the call since then."""
    site.fake.lose_connection()
    site.fake.start_spying(SPYER, SPYEE)
    site.fake.variables[SPYER, VARIABLE] = BEFORE.sign(GRANT)
    site.fake.advance(5.0)
    call = frozenset({CUSTOMER_UNIQUEID, SPYEE_UNIQUEID})
    assert site.watch.listeners(Place("bert", "9.9", SPYEE_UNIQUEID, site.time()), call, begins=True) == 1
    assert site.watch.heard_since("anna", call, site.time()) == NOW


# ---- whatever happens ---------------------------------------------------------------------------------------

ALL = Rule("all", Effect.ALLOW, frozenset(Mode), frozenset({"all"}), frozenset({"all"}))
DAY = When(ZoneInfo("UTC"), (hours("06:00-22:30"),))
POINTED = [
    replace(ALL, name="a-minute", terms=Terms(max_minutes=1)),
    replace(ALL, name="an-hour", terms=Terms(max_minutes=60)),
    replace(ALL, name="by-day", when=DAY),
    replace(ALL, name="help", calls=HELP),
    replace(ALL, name="no-help", calls=HELP, effect=Effect.DENY),
    replace(ALL, name="one", terms=Terms(max_listeners=1)),
    replace(ALL, name="two", terms=Terms(max_listeners=2)),
    replace(ALL, name="why", terms=REASON),
    replace(ALL, name="scan", modes=frozenset(), scan=True),
]
STEPS = st.one_of(
    st.tuples(st.just("rules"), st.lists(st.sampled_from(POINTED), min_size=1, max_size=1)),
    st.tuples(st.just("rules"), st.lists(drawn_rules.rules, max_size=4)),
    st.tuples(st.just("clock"), st.sampled_from([1.0, 61.0, 1_000.0, 30_000.0])),
    st.tuples(st.just("queue"), st.sampled_from(["", "sales", "help"])),
    st.tuples(st.just("spy"), st.booleans()),
)


class Watched:
    """Spies on one call, and what is known of it to anyone who does not ask the server."""

    def __init__(self) -> None:
        self.site = Site()
        self.queue = ""
        self.grants: list[Grant] = []
        self.site.fake.event("DialBegin", Uniqueid=CUSTOMER_UNIQUEID, DestUniqueid=SPYEE_UNIQUEID)
        self.site.change(rules=(ALL,))

    def take(self, what: str, value: Any) -> None:
        """Let something happen, and the clock be looked at."""
        site = self.site
        if what == "rules":
            site.change(rules=tuple(value))
        elif what == "clock":
            site.skew += value
        elif what == "queue" and value == self.queue:
            pass  # to leave a queue and come back is to be without one in between
        elif what == "queue":
            if self.queue:
                site.fake.event("AgentComplete", Uniqueid=CUSTOMER_UNIQUEID, Queue=self.queue)
            if value:
                site.fake.event("AgentConnect", Uniqueid=CUSTOMER_UNIQUEID, DestUniqueid=SPYEE_UNIQUEID, Queue=value)
            self.queue = value
        else:
            number = len(self.grants)
            spyer, uniqueid = f"PJSIP/2001-000000{number + 32:02x}", f"1700000001.{number}"
            site.fake.add_channel(spyer, uniqueid, Context="agi-monitor-call")
            grant = replace(
                GRANT, call=f"c-{number}", spyer=spyer, spyer_uniqueid=uniqueid, since=site.time(), reason="a" * value
            )
            self.grants.append(grant)
            begin(site, grant)
        site.fake.advance(CHECK_SECONDS)

    def allowed(self, grant: Grant) -> bool:
        """What ``explain`` says of a grant now."""
        now = self.site.time()
        request = SpyAsk(
            supervisor=ANNA,
            agent=AGENT,
            mode=grant.mode,
            scan=False,
            at=datetime.fromtimestamp(now, UTC),
            queue=self.queue,
            direction=Direction.IN,
            reason=bool(grant.reason),
            listeners=self.grants.index(grant),
            heard_seconds=now - grant.since,
        )
        return isinstance(explain(self.site.policy.rights, request).verdict, Allowed)


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(st.booleans(), st.lists(STEPS, min_size=6, max_size=12))
def test_nobody_goes_on_who_may_not(reason: bool, steps: list[tuple[str, Any]]) -> None:
    """Rules change, time passes, the queue changes, others come: a spy that explain denies is ended, and no other."""
    with capture_logs():
        watched = Watched()
        over: set[str] = set()
        for what, value in [("spy", True), ("spy", reason), *steps]:
            watched.take(what, value)
            for grant in watched.grants:
                if grant.id not in over:
                    ended = grant.call in [record["call"] for record in watched.site.records("spy_revoked")]
                    assert ended is not watched.allowed(grant), (what, value, grant)
                    over |= {grant.id} if ended else set()
