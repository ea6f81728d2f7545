"""People, rules and requests that Hypothesis draws: few names, so that rules meet people, and all conditions."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TypeVar
from zoneinfo import ZoneInfo

from hypothesis import strategies as st

from agi_monitor.model import Agent, Direction, Mode, Supervisor
from agi_monitor.rights.authorization import Calls, Effect, Rule, SpyAsk, Terms
from agi_monitor.rights.hours import Dates, Hours, When

Value = TypeVar("Value")

SUPERVISOR_NAMES = ["anna", "bert", "leads", "trainees", "all"]
AGENT_NAMES = ["1001", "1002", "sales", "protected", "all", "_10XX", "_1.", "_ZNX2", "_2X"]
BERLIN = ZoneInfo("Europe/Berlin")
MONDAY = datetime(2026, 12, 21, tzinfo=UTC)

supervisors = st.builds(
    Supervisor,
    id=st.sampled_from(["anna", "bert"]),
    endpoints=st.just(frozenset({"PJSIP/2001"})),
    groups=st.frozensets(st.sampled_from(["leads", "trainees"])),
    pin_hash=st.just(""),
)
agents = st.builds(
    Agent,
    extension=st.sampled_from(["1001", "1002"]),
    groups=st.frozensets(st.sampled_from(["sales", "protected"])),
)
modes = st.sampled_from(Mode)

whens = st.builds(
    When,
    zone=st.just(BERLIN),
    hours=st.lists(
        st.builds(
            Hours,
            st.frozensets(st.integers(0, 6), min_size=1),
            st.sampled_from([0, 480]),
            st.sampled_from([360, 1080]),
        ),
        max_size=2,
    ).map(tuple),
    dates=st.sampled_from([(), (Dates((12, 20), (12, 24)),)]),
    not_on=st.sampled_from([(), (Dates((2026, 12, 23), (2026, 12, 23)),)]),
)
calls = st.builds(
    Calls, st.frozensets(st.sampled_from(["sales", "Help"]), max_size=1), st.sampled_from([None, *Direction])
)
terms = st.builds(
    Terms,
    reason_required=st.booleans(),
    max_minutes=st.sampled_from([None, 1.0]),
    max_listeners=st.sampled_from([None, 1, 2]),
)
plain_rules = st.builds(
    Rule,
    name=st.sampled_from(["a", "b", "c"]),
    effect=st.sampled_from(Effect),
    modes=st.frozensets(modes),
    supervisors=st.frozensets(st.sampled_from(SUPERVISOR_NAMES)),
    agents=st.frozensets(st.sampled_from(AGENT_NAMES)),
)
"""Rules without a condition."""

rules = st.builds(
    Rule,
    name=st.sampled_from(["a", "b", "c", "d", "e"]),
    effect=st.sampled_from(Effect),
    modes=st.frozensets(modes),
    supervisors=st.frozensets(st.sampled_from(SUPERVISOR_NAMES), min_size=1),
    agents=st.frozensets(st.sampled_from(AGENT_NAMES), min_size=1),
    scan=st.booleans(),
    when=st.none() | whens,
    calls=st.none() | calls,
    terms=st.none() | terms,
)
"""Rules of every kind."""


pertinent_rules = st.builds(
    Rule,
    name=st.sampled_from(["a", "b", "c", "d", "e"]),
    effect=st.sampled_from([*[Effect.ALLOW] * 5, Effect.DENY]),
    modes=st.sampled_from([*[frozenset(Mode)] * 4, frozenset({Mode.LISTEN}), frozenset[Mode]()]),
    supervisors=st.just(frozenset({"leads"})),
    agents=st.just(frozenset({"sales"})),
    scan=st.booleans(),
    when=st.none() | st.none() | whens,
    calls=st.none() | st.none() | calls,
    terms=st.none() | terms | terms,
)
"""Rules of leads about sales: what decides is everything else."""


def sometimes(known: st.SearchStrategy[Value]) -> st.SearchStrategy[Value | None]:
    """A fact, or that it is not known."""
    return st.none() | known


requests = st.builds(
    SpyAsk,
    supervisor=supervisors,
    agent=agents,
    mode=modes,
    scan=sometimes(st.booleans()),
    at=sometimes(st.integers(0, 7 * 24 * 60).map(lambda minutes: MONDAY + timedelta(minutes=minutes))),
    queue=sometimes(st.sampled_from(["", "sales", "help", "other"])),
    direction=sometimes(st.sampled_from(Direction)),
    reason=sometimes(st.booleans()),
    listeners=sometimes(st.integers(0, 3)),
    heard_seconds=sometimes(st.sampled_from([0.0, 59.9, 60.0, 3600.0])),
)
