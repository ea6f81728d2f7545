"""What the audit says of people, compared with sums and chances that were worked out another way."""

from __future__ import annotations

from fractions import Fraction
from math import comb
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agi_monitor.audit.report import Heard, Minutes, Sampling, at_least

CALL = {"supervisor": "anna", "extension": "1001", "call": "c-1"}


def started(grant: int = 1, mode: str = "listen", **fields: object) -> dict[str, object]:
    """A spy begins."""
    return {"fact": "spy_started", **CALL, "grant": grant, "mode": mode, "told": False, **fields}


def ended(grant: int = 1, mode: str = "listen", seconds: float = 60.0, **fields: object) -> dict[str, object]:
    """It ends."""
    return {"fact": "spy_ended", **CALL, "grant": grant, "mode": mode, "seconds": seconds, **fields}


def minutes(*records: dict[str, object]) -> Minutes:
    """All of them added up."""
    found = Minutes()
    for record in records:
        found.add(record)
    return found


def of(people: list[Heard], who: str) -> Heard:
    """One of them."""
    (one,) = [one for one in people if one.who == who]
    return one


def test_adds_up_by_mode() -> None:
    """A change of mode is a spy of its own, for the agent and for the supervisor."""
    found = minutes(started(), ended(seconds=30), started(2, "barge", told=True), ended(2, "barge", 90))
    for heard in (of(found.agents(), "1001"), of(found.supervisors(), "anna")):
        assert (heard.spies, heard.minutes, heard.told, heard.unended) == (2, 2.0, 1, 0)
        assert dict(heard.seconds) == {"listen": 30.0, "barge": 90.0}
    assert (of(found.agents(), "1001").others, of(found.supervisors(), "anna").others) == ({"anna"}, {"1001"})


def test_a_spy_without_an_end_is_told() -> None:
    """Its minutes are not known, and are not made up."""
    found = minutes(started())
    assert (of(found.agents(), "1001").unended, of(found.agents(), "1001").minutes) == (1, 0.0)


def test_a_spy_that_began_before_counts() -> None:
    """Its beginning is not among the records that were read."""
    assert of(minutes(ended()).agents(), "1001").spies == 1


def test_an_adopted_spy_is_the_same_spy() -> None:
    """A server that came back continues with it."""
    found = minutes(started(), {**started(), "fact": "spy_adopted"}, ended())
    assert (of(found.agents(), "1001").spies, of(found.agents(), "1001").unended) == (1, 0)


def test_a_spy_that_a_server_left_on_counts_once() -> None:
    """A server was restarted while it was on; both ends count from its beginning."""
    left = ended(seconds=600, why="left_running")
    found = minutes(started(), left, {**started(), "fact": "spy_adopted"}, ended(seconds=720, why="call_over"))
    for heard in (of(found.agents(), "1001"), of(found.supervisors(), "anna")):
        assert (heard.spies, heard.minutes, heard.unended) == (1, 12.0, 0)
    alone = of(minutes(started(), left).agents(), "1001")
    assert (alone.spies, alone.minutes, alone.unended) == (1, 10.0, 1)


SPY = st.fixed_dictionaries(
    {
        "call": st.sampled_from(["c-1", "c-2"]),
        "supervisor": st.sampled_from(["anna", "bert"]),
        "extension": st.sampled_from(["1001", "1002", "1003"]),
        "mode": st.sampled_from(["listen", "whisper", "barge"]),
        "restarts": st.lists(st.sampled_from(["left_running", "connection_lost", "killed"]), max_size=3),
        "lengths": st.lists(st.integers(0, 5_000), min_size=4, max_size=4).map(sorted),
        "is_over": st.booleans(),
    }
)


@given(st.lists(SPY, max_size=8), st.randoms(use_true_random=False))
def test_the_report_is_what_a_simple_sum_says(spies: list[dict[str, Any]], random: Random) -> None:
    """Each spy with all its records; they come in any order between one another, each spy's own in theirs."""
    histories = []
    for number, spy in enumerate(spies):
        common = {key: spy[key] for key in ("call", "supervisor", "extension", "mode")} | {"grant": number + 1}
        records: list[dict[str, object]] = [{**common, "fact": "spy_started", "told": False}]
        for seconds, why in zip(spy["lengths"], spy["restarts"], strict=False):
            if why != "killed":
                records.append({**common, "fact": "spy_ended", "why": why, "seconds": float(seconds)})
            records.append({**common, "fact": "spy_adopted"})
        if spy["is_over"]:
            last = float(spy["lengths"][-1])
            records.append({**common, "fact": "spy_ended", "why": "call_over", "seconds": last})
        histories.append(records)
    left = [list(records) for records in histories]
    found = Minutes()
    while any(left):
        found.add(random.choice([one for one in left if one]).pop(0))
    for whose, people in (("extension", found.agents()), ("supervisor", found.supervisors())):
        assert {one.who for one in people} == {spy[whose] for spy in spies}
        for one in people:
            own = [records for records in histories if records[0][whose] == one.who]
            ends = [[float(str(end["seconds"])) for end in records if "seconds" in end] for records in own]
            assert one.spies == len(own)
            assert one.minutes * 60 == pytest.approx(sum(max(lengths, default=0.0) for lengths in ends))
            assert one.unended == sum(records[-1]["fact"] != "spy_ended" for records in own)


def test_refusals_and_lock_outs_are_counted() -> None:
    """For whom they are about, as far as that is known."""
    found = minutes(
        {"fact": "refused", **CALL},
        {"fact": "refused", "supervisor": "anna", "extension": None},
        {"fact": "refused", "supervisor": None, "extension": None},
        {"fact": "locked_out", "kind": "supervisor", "supervisor": "anna"},
        {"fact": "locked_out", "kind": "endpoint", "supervisor": "anna"},
        {"fact": "locked_out", "kind": "peer", "supervisor": "anna"},
        {"fact": "server_started"},
    )
    anna = of(found.supervisors(), "anna")
    assert (anna.refused, anna.locked_out, of(found.agents(), "1001").refused) == (2, 1, 1)


def test_the_longest_comes_first() -> None:
    """The agent who was heard most stands on top."""
    found = minutes(ended(extension="1", seconds=1), ended(2, extension="2", seconds=2), ended(3, extension="3"))
    assert [one.who for one in found.agents()] == ["3", "2", "1"]


@pytest.mark.parametrize("seconds", [None, "5", -5])
def test_a_strange_length_is_none(seconds: object) -> None:
    """A record that was changed breaks no report."""
    assert of(minutes({**ended(), "seconds": seconds}).agents(), "1001").minutes == 0.0


# ---- chance ------------------------------------------------------------------------------------------------


@given(st.integers(0, 60), st.integers(0, 60), st.integers(1, 30))
def test_the_chance_is_that_of_the_binomial(count: int, visits: int, agents: int) -> None:
    """Worked out with fractions, term by term."""
    count = min(count, visits)
    ways = sum(
        comb(visits, number) * Fraction(1, agents) ** number * Fraction(agents - 1, agents) ** (visits - number)
        for number in range(count, visits + 1)
    )
    assert at_least(count, visits, agents) == pytest.approx(float(ways), rel=1e-9, abs=1e-300)


def test_many_visits_are_no_trouble() -> None:
    """Neither too large nor too small to be a number."""
    assert at_least(100_000, 1_000_000, 10) == pytest.approx(0.5, abs=0.01)
    assert 0.0 <= at_least(1_000_000, 1_000_000, 10_000) < 1e-100
    assert at_least(1, 1_000_000, 10_000) == pytest.approx(1.0)


def sampled(visits: dict[str, int]) -> Sampling:
    """This number of visits to each agent."""
    found = Sampling()
    for agent, count in visits.items():
        for number in range(count):
            for grant in (1, 2):
                found.add(started(grant, extension=agent, call=f"{agent}-{number}"))
            found.add(ended(extension=agent, call=f"{agent}-{number}"))
    return found


def test_a_visit_counts_once() -> None:
    """Whatever modes it had."""
    (share,) = sampled({"1001": 3}).shares(["1001"])
    assert (share.visits, share.expected, share.chance) == (3, 3.0, 1.0)


def test_somebody_who_is_heard_far_more_is_named_first() -> None:
    """Against equal chance among everybody, also those who were never heard."""
    shares = sampled({"1001": 30, "1002": 5, "1003": 4}).shares([f"10{number:02}" for number in range(1, 11)])
    assert (shares[0].agent, shares[0].verdict) == ("1001", "far more often than equal chance explains")
    assert {share.verdict for share in shares[1:]} == {"within equal chance"}
    assert len(shares) == 10


def test_equal_shares_are_no_surprise() -> None:
    """One of many is always first."""
    shares = sampled({f"{agent}": 10 + agent % 3 for agent in range(20)}).shares([f"{agent}" for agent in range(20)])
    assert {share.verdict for share in shares} == {"within equal chance"}


def test_visits_to_others_are_left_out() -> None:
    """For a group, only its visits count."""
    (one, other) = sampled({"1001": 3, "1002": 1, "2001": 50}).shares(["1001", "1002"])
    assert (one.visits + other.visits, one.expected) == (4, 2.0)
