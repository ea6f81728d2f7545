"""The numbers for Prometheus: what is counted, what is read, and that no label names anybody."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from agi_monitor.agi.protocol import Count
from agi_monitor.audit.facts import End, LockedOut, Refused, SpyEnded
from agi_monitor.model import Locked, Mode, Reason
from agi_monitor.server.metrics import (
    AGI_COUNTS,
    AGI_FAULTS,
    AGI_REFUSALS,
    NUMBERS,
    OTHER,
    Kind,
    Metrics,
    Number,
    PBXReadings,
    Readings,
)

AT = datetime(2026, 1, 2, tzinfo=UTC)
NOTHING = Readings("0.1.0")
PBX = PBXReadings(
    node="north",
    ami_up=True,
    stale=False,
    channels=12,
    calls=5,
    spies={("granted", "listen"): 2, ("rogue", ""): 1},
    index_events={"taken": 100, "late": 3},
    resyncs=4,
    differences=1,
)
FULL = Readings(
    version="0.1.0",
    pbxs=(PBX, PBXReadings("south", ami_up=False, stale=True)),
    look_ups={"index": 7},
    agi={count.value: number for number, count in enumerate(Count, 1)},
    agi_sessions=3,
    audit_waiting=2,
    config_reloads={"refused": 1},
)

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def samples(metrics: Metrics) -> Samples:
    """Every sample of the page, as a program reads it."""
    families = text_string_to_metric_families(metrics.exposition().decode())
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }


def of(found: Samples, name: str, **labels: str) -> float | None:
    """One sample, without the beginning that all names have."""
    return found.get((f"agi_monitor_{name}", tuple(sorted(labels.items()))))


# -- facts ------------------------------------------------------------------------------------------------------


def test_facts_are_counted() -> None:
    """As the audit writes them, each by what tells them apart."""
    metrics = Metrics(lambda: NOTHING)
    who: dict[str, Any] = {
        "call": "a",
        "endpoint": "PJSIP/2001",
        "spyer": "PJSIP/2001-1",
        "spyer_uniqueid": "1.1",
        "supervisor": "anna",
    }
    metrics.fact(Refused(at=AT, reason=Reason.NO_CALL, **who).record())
    metrics.fact(LockedOut(at=AT, kind=Locked.SUPERVISOR, until=AT, **who).record())
    ended = SpyEnded(at=AT, grant=1, extension="1", mode=Mode.WHISPER, why=End.CALL_OVER, seconds=2.5, **who)
    metrics.fact(ended.record())
    metrics.fact(ended.record())
    for record in (
        {"fact": "spy_started", "mode": "whisper"},
        {"fact": "spy_revoked", "why": "mode_denied", "by": "root"},
        {"fact": "spy_revoked", "why": "killed", "by": "root"},
        {"fact": "rogue_spy", "spyer": "Local/x", "action": "hang_up"},
        {"fact": "spy_adopted"},
        {"fact": "pbx_lost"},
    ):
        metrics.fact(record)
    found = samples(metrics)
    assert of(found, "refusals_total", reason="no_call") == 1
    assert of(found, "lock_outs_total", kind="supervisor") == 1
    assert of(found, "spies_started_total", mode="whisper") == 1
    assert of(found, "spies_ended_total", why="call_over") == 2
    assert of(found, "spy_seconds_total", mode="whisper") == 5
    assert of(found, "spies_revoked_total", why="mode_denied") == 1
    assert of(found, "spies_revoked_total", why="killed") == 1
    assert of(found, "rogue_spies_total", action="hang_up") == 1
    assert of(found, "spies_adopted_total") == 1
    assert of(found, "pbx_losses_total") == 1


def test_every_counter_of_facts_is_there_from_the_beginning() -> None:
    """At 0: Prometheus cannot see a counter grow that was not there before."""
    found = samples(Metrics(lambda: NOTHING))
    assert {reason: of(found, "refusals_total", reason=reason) for reason in Reason} == dict.fromkeys(Reason, 0)
    assert {mode: of(found, "spies_started_total", mode=mode) for mode in Mode} == dict.fromkeys(Mode, 0)
    assert {end: of(found, "spies_ended_total", why=end) for end in End} == dict.fromkeys(End, 0)
    assert {kind: of(found, "lock_outs_total", kind=kind) for kind in Locked} == dict.fromkeys(Locked, 0)


def test_two_servers_count_each_their_own() -> None:
    """Nothing is kept for the whole process."""
    one, other = Metrics(lambda: NOTHING), Metrics(lambda: NOTHING)
    one.fact({"fact": "locked_out", "kind": "endpoint"})
    counts = [of(samples(metrics), "lock_outs_total", kind="endpoint") for metrics in (one, other)]
    assert counts == [1, 0]


VALUES = st.none() | st.text(max_size=5) | st.integers() | st.floats() | st.lists(st.integers(), max_size=1)
FACTS = ["refused", "spy_started", "spy_ended", "spy_revoked", "rogue_spy", "locked_out"]


@given(
    st.lists(st.dictionaries(st.sampled_from(["reason", "mode", "why", "action", "seconds"]), VALUES), max_size=20)
)
def test_unknown_values_are_one_label(records: list[dict[str, object]]) -> None:
    """Whatever a fact holds, nothing breaks, and the page has no more lines than before, but for one of each kind."""
    metrics = Metrics(lambda: NOTHING)
    before = samples(metrics).keys()
    for number, record in enumerate(records):
        metrics.fact({**record, "fact": FACTS[number % len(FACTS)]})
        metrics.fact({"fact": record.get("reason")})
    new = samples(metrics).keys() - before
    assert {value for _, labels in new for _, value in labels} <= {OTHER}


# -- readings ---------------------------------------------------------------------------------------------------


def test_readings_are_shown() -> None:
    """Each PBX by its name; what is not known is not there, and no PBX means no line about one."""
    found = samples(Metrics(lambda: FULL))
    assert of(found, "build_info", version="0.1.0") == 1
    assert [of(found, "ami_up", node=node) for node in ("north", "south")] == [1, 0]
    assert [of(found, "stale", node=node) for node in ("north", "south")] == [0, 1]
    assert [of(found, "channels", node=node) for node in ("north", "south")] == [12, None]
    assert [of(found, "calls", node=node) for node in ("north", "south")] == [5, None]
    assert of(found, "spies", node="north", kind="granted", mode="listen") == 2
    assert of(found, "spies", node="north", kind="rogue", mode="") == 1
    assert of(found, "index_events_total", node="north", outcome="late") == 3
    assert of(found, "index_resyncs_total", node="north") == 4
    assert of(found, "index_differences_total", node="north") == 1
    assert [of(found, "look_ups_total", source=source) for source in ("index", "agi")] == [7, 0]
    assert of(found, "agi_sessions") == 3
    assert of(found, "audit_waiting") == 2
    assert [of(found, "config_reloads_total", outcome=one) for one in ("done", "refused")] == [0, 1]
    assert not [name for name, labels in samples(Metrics(lambda: NOTHING)) if "node" in dict(labels)]


def test_readings_are_of_this_moment() -> None:
    """Each look asks again."""
    waiting = iter([1, 2])
    metrics = Metrics(lambda: Readings("0.1.0", audit_waiting=next(waiting)))
    assert [of(samples(metrics), "audit_waiting") for _ in range(2)] == [1, 2]


def test_every_count_of_the_fastagi_server_is_shown() -> None:
    """In one place: a count that is added there without one here is found."""
    assert sorted([*AGI_COUNTS, *AGI_FAULTS, *AGI_REFUSALS]) == sorted(count.value for count in Count)
    found = samples(Metrics(lambda: FULL))
    values = sorted(
        value
        for (name, _), value in found.items()
        if name.startswith("agi_monitor_agi_") and name != "agi_monitor_agi_sessions"
    )
    assert values == list(range(1, len(Count) + 1))


def test_the_process_is_shown() -> None:
    """Memory, time and open files of the server, under Prometheus' own names."""
    found = {name for name, _ in samples(Metrics(lambda: NOTHING))}
    assert {"process_resident_memory_bytes", "process_cpu_seconds_total", "process_open_fds"} <= found


# -- names ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", NUMBERS, ids=lambda number: number.name)
def test_names_are_those_prometheus_wants(number: Number) -> None:
    """The name of the program first, a counter ends in _total and nothing else does, and the text is a sentence."""
    assert re.fullmatch(r"agi_monitor_[a-z]+(_[a-z]+)*", number.name)
    assert number.name.endswith("_total") == (number.kind is Kind.COUNTER)
    assert number.text.endswith(".")


def test_names_and_labels_are_few() -> None:
    """Each name is there once; no label has room for a person, a number, a channel or an extension."""
    assert len({number.name for number in NUMBERS}) == len(NUMBERS)
    assert {label for number in NUMBERS for label in number.labels} == {
        "action",
        "fault",
        "kind",
        "mode",
        "node",
        "outcome",
        "reason",
        "source",
        "version",
        "why",
    }
