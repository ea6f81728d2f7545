"""agi_monitor.supervision.listeners: who hears a call, and for how long, as grants ask it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agi_monitor.supervision.grant import Place
from agi_monitor.supervision.grants import Grants
from agi_monitor.supervision.listeners import MAX_HEARD
from agi_monitor.supervision.spies import SpyKind
from tests.unit.supervision.granted import GRANT, NOW, event

CALL = frozenset({GRANT.spyee_uniqueid, "1.11"})

ME = Place("anna", GRANT.spyer_uniqueid, GRANT.spyee_uniqueid, NOW)


def listening(spyer: str, since: float, spyee: str = GRANT.spyee_uniqueid) -> Place:
    """Another listener on the call."""
    return Place("bert", spyer, spyee, since)


def test_whoever_begins_counts_all_and_whoever_is_on_those_before() -> None:
    """By both legs of the call, and none counts itself or those of other calls."""
    grants = Grants()
    for place in (ME, listening("2.1", NOW - 1), listening("2.2", NOW + 1, "1.11"), listening("2.3", NOW, "9.9")):
        grants.place_taken(place)
    assert grants.listeners(ME, CALL, begins=True) == 2
    assert grants.listeners(ME, CALL, begins=False) == 1
    grants.place_left(listening("2.1", NOW - 1))
    grants.place_left(listening("2.1", NOW - 1))
    assert grants.listeners(ME, CALL, begins=True) == 1


def test_of_two_who_began_at_once_one_is_the_first() -> None:
    """A limit that is lowered to one ends one of them, not both."""
    grants = Grants()
    other = listening("2.1", NOW)
    for place in (ME, other):
        grants.place_taken(place)
    assert sorted(grants.listeners(one, CALL, begins=False) for one in (ME, other)) == [0, 1]


@pytest.mark.parametrize("kind", [SpyKind.ADOPTED, SpyKind.OTHERS, SpyKind.ROGUE, SpyKind.EXEMPT])
def test_spies_without_a_story_count_as_well(kind: SpyKind) -> None:
    """Those of an earlier run, of another server, without a grant; a helper or an excepted recorder does not."""
    grants = Grants()
    spy = grants.started(event("3.3", GRANT.spyee_uniqueid), NOW + 5)
    assert spy is not None
    grant = replace(GRANT, spyer_uniqueid="3.3", since=NOW - 5) if kind in (SpyKind.ADOPTED, SpyKind.OTHERS) else None
    assert grants.listeners(ME, CALL, begins=True) == 1  # as long as it is not known what it is
    grants.proved(spy, kind, grant)
    assert grants.listeners(ME, CALL, begins=True) == (kind is not SpyKind.EXEMPT)
    assert grants.listeners(ME, CALL, begins=False) == (grant is not None)


def test_what_was_heard_of_a_call_counts_until_it_is_over() -> None:
    """In pieces, over several grants; a list without the channel makes an end of it."""
    grants = Grants()
    assert grants.heard_since("anna", CALL, NOW) == NOW
    grants.opened(GRANT, NOW)
    grants.closed(GRANT, NOW + 30)
    assert grants.heard_since("anna", CALL, NOW + 100) == NOW + 70
    assert grants.heard_since("bert", CALL, NOW + 100) == NOW + 100
    grants.closed(replace(GRANT, number=2, since=NOW + 70), NOW + 110)
    assert grants.heard_since("anna", CALL, NOW + 200) == NOW + 160
    grants.listed([{"Uniqueid": GRANT.spyee_uniqueid, "Channel": GRANT.spyee}], NOW + 210, NOW + 211)
    assert grants.heard_since("anna", CALL, NOW + 300) == NOW + 260
    grants.listed([], NOW + 310, NOW + 311)
    assert grants.heard_since("anna", CALL, NOW + 400) == NOW + 400


def test_minutes_are_those_of_the_conversation() -> None:
    """They continue with the customer to another agent, and not on the agent's channel to another customer."""
    grants = Grants()
    grants.opened(GRANT, NOW)
    grants.closed(GRANT, NOW + 30, parties=frozenset({"customer", "colleague"}))
    for call, heard in (
        ({GRANT.spyee_uniqueid, "customer"}, 30),
        ({"other-agent", "customer"}, 30),
        ({"other-agent", "colleague", "fourth"}, 30),
        ({GRANT.spyee_uniqueid, "other-customer"}, 0),
    ):
        assert grants.heard_since("anna", frozenset(call), NOW + 100) == NOW + 100 - heard


def test_a_second_phone_is_no_new_beginning() -> None:
    """Anyone who hears the call already hears it since then, from whichever phone."""
    grants = Grants()
    grants.place_taken(replace(ME, since=NOW - 60))
    assert grants.heard_since("anna", CALL, NOW) == NOW - 60


def test_what_is_kept_of_calls_has_an_end() -> None:
    """Nothing grows with the number of calls."""
    grants = Grants()
    for number in range(MAX_HEARD + 5):
        grants.closed(replace(GRANT, spyee_uniqueid=f"7.{number}"), NOW + 10)
    assert len(grants._listeners._heard) == MAX_HEARD
    assert grants.heard_since("anna", frozenset({"7.0"}), NOW) == NOW
    assert grants.heard_since("anna", frozenset({f"7.{MAX_HEARD}"}), NOW) == NOW - 10
