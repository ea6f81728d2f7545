"""What a record looks like."""

from __future__ import annotations

import json
import typing
from dataclasses import fields
from datetime import UTC, datetime, timedelta, timezone

import pytest

from agi_monitor.audit import facts
from agi_monitor.audit.facts import (
    AmiForged,
    CallFact,
    ConfigReloaded,
    End,
    Fact,
    LockedOut,
    LockOutEnded,
    PbxLost,
    PbxSynced,
    PeopleChanged,
    PinChanged,
    PluginFailed,
    Refused,
    RequestAbandoned,
    RogueSpy,
    RogueSpyEnded,
    ServerStarted,
    ServerStopped,
    SpyAdopted,
    SpyEnded,
    SpyHandedOver,
    SpyHeard,
    SpyRevoked,
    SpySilent,
    SpyStarted,
)
from agi_monitor.model import Locked, Mode, PinDue, Reason

AT = datetime(2026, 3, 29, 1, 30, 0, 250_000, UTC)
STAMP = "2026-03-29T01:30:00.250+00:00"
CALL = {
    "call": "c-1",
    "endpoint": "PJSIP/2001",
    "spyer": "PJSIP/2001-00000001",
    "spyer_uniqueid": "1700000000.1",
    "supervisor": "anna",
}
SPYEE = {"spyee": "PJSIP/1001-0000000a", "spyee_uniqueid": "1700000000.10"}
ROGUE = {"spyer": "PJSIP/6666-00000001", "spyer_uniqueid": "1700000000.66"}

RECORDS = [
    (
        Refused(at=AT, **CALL, reason=Reason.MODE_DENIED, mode=Mode.BARGE, extension="1001", detail="rule x"),
        {"fact": "refused", "at": STAMP, **CALL}
        | {"reason": "mode_denied", "mode": "barge", "extension": "1001", "detail": "rule x"},
    ),
    (
        RequestAbandoned(at=AT, **CALL, mode=Mode.LISTEN, extension=None, why=End.SUPERVISOR_HUNG_UP),
        {"fact": "request_abandoned", "at": STAMP, **CALL}
        | {"mode": "listen", "extension": None, "why": "supervisor_hung_up"},
    ),
    (
        SpyHeard(at=AT, **CALL, grant=1, extension="1001", mode=Mode.LISTEN, node="pbx", **SPYEE),
        {"fact": "spy_heard", "at": STAMP, **CALL}
        | {"grant": 1, "extension": "1001", "mode": "listen", "node": "pbx", **SPYEE},
    ),
    (
        SpySilent(at=AT, **CALL, grant=1, extension="1001", mode=Mode.LISTEN, node="pbx", **SPYEE),
        {"fact": "spy_silent", "at": STAMP, **CALL}
        | {"grant": 1, "extension": "1001", "mode": "listen", "node": "pbx", **SPYEE},
    ),
    (
        LockedOut(at=AT, **CALL, kind=Locked.PEER, until=AT),
        {"fact": "locked_out", "at": STAMP, **CALL, "kind": "peer", "until": STAMP},
    ),
    (
        PinChanged(at=AT, **CALL, why=PinDue.EXPIRED),
        {"fact": "pin_changed", "at": STAMP, **CALL, "why": "expired"},
    ),
    (
        SpyStarted(
            at=AT,
            **CALL,
            grant=1,
            extension="1001",
            mode=Mode.LISTEN,
            spyee="PJSIP/1001-0000000a",
            spyee_uniqueid="1700000000.10",
            rule="r",
            source="agi",
            stale="lost",
            because="hint, only call",
            told=True,
            reason="quality",
        ),
        {"fact": "spy_started", "at": STAMP, **CALL}
        | {"grant": 1, "extension": "1001", "mode": "listen", "spyee": "PJSIP/1001-0000000a"}
        | {"spyee_uniqueid": "1700000000.10", "rule": "r", "source": "agi", "stale": "lost"}
        | {"because": "hint, only call", "told": True, "reason": "quality"},
    ),
    (
        SpyEnded(at=AT, **CALL, grant=1, extension="1001", mode=Mode.LISTEN, why=End.CALL_OVER, seconds=2.5),
        {"fact": "spy_ended", "at": STAMP, **CALL}
        | {"grant": 1, "extension": "1001", "mode": "listen", "why": "call_over", "seconds": 2.5},
    ),
    (
        SpyRevoked(at=AT, **CALL, grant=1, extension="1001", why="killed", by="root"),
        {"fact": "spy_revoked", "at": STAMP, **CALL}
        | {"grant": 1, "extension": "1001", "why": "killed", "by": "root"},
    ),
    (
        SpyHandedOver(
            at=AT, **CALL, grant=None, extension=None, to="PJSIP/100-0000000c", to_uniqueid="1700000000.12"
        ),
        {"fact": "spy_handed_over", "at": STAMP, **CALL}
        | {"to": "PJSIP/100-0000000c", "to_uniqueid": "1700000000.12", "grant": None, "extension": None},
    ),
    (
        SpyAdopted(at=AT, **CALL, grant=1, extension="1001", mode=Mode.WHISPER, **SPYEE),
        {"fact": "spy_adopted", "at": STAMP, **CALL} | {"grant": 1, "extension": "1001", "mode": "whisper", **SPYEE},
    ),
    (
        RogueSpy(at=AT, node="pbx", **ROGUE, **SPYEE, why="nobody granted it", action="alarm"),
        {"fact": "rogue_spy", "at": STAMP, "node": "pbx", **ROGUE, **SPYEE}
        | {"why": "nobody granted it", "action": "alarm"},
    ),
    (
        RogueSpyEnded(at=AT, node="pbx", **ROGUE, seconds=2.5, by="root"),
        {"fact": "rogue_spy_ended", "at": STAMP, "node": "pbx", **ROGUE, "seconds": 2.5, "by": "root"},
    ),
    (
        PbxSynced(at=AT, node="pbx", channels=7),
        {"fact": "pbx_synced", "at": STAMP, "node": "pbx", "channels": 7},
    ),
    (
        PbxLost(at=AT, node="pbx", why="the connection is lost"),
        {"fact": "pbx_lost", "at": STAMP, "node": "pbx", "why": "the connection is lost"},
    ),
    (
        AmiForged(at=AT, node="pbx", event="Newchannel", why="headers"),
        {"fact": "ami_forged", "at": STAMP, "node": "pbx", "event": "Newchannel", "why": "headers"},
    ),
    (ServerStarted(at=AT, version="1"), {"fact": "server_started", "at": STAMP, "version": "1"}),
    (ServerStopped(at=AT), {"fact": "server_stopped", "at": STAMP}),
    (ConfigReloaded(at=AT, digest="ab"), {"fact": "config_reloaded", "at": STAMP, "digest": "ab"}),
    (
        PeopleChanged(at=AT, kind="agent", entry="1001", by="root", before=None, after={"name": "Ben"}),
        {"fact": "people_changed", "at": STAMP, "kind": "agent", "entry": "1001", "by": "root"}
        | {"before": None, "after": {"name": "Ben"}},
    ),
    (
        PluginFailed(at=AT, plugin="quiet", hook="authorize", error="it took longer than 2 s"),
        {"fact": "plugin_failed", "at": STAMP, "plugin": "quiet", "hook": "authorize"}
        | {"error": "it took longer than 2 s"},
    ),
    (
        LockOutEnded(at=AT, kind=Locked.ENDPOINT, who="PJSIP/2001", by="eva as root", wrong_pins=3),
        {"fact": "lock_out_ended", "at": STAMP, "kind": "endpoint", "who": "PJSIP/2001"}
        | {"by": "eva as root", "wrong_pins": 3},
    ),
]


def every_fact() -> list[type[Fact]]:
    """All kinds of facts."""
    kinds = [kind for kind in vars(facts).values() if isinstance(kind, type) and issubclass(kind, Fact)]
    return [kind for kind in kinds if "name" in vars(kind)]


@pytest.mark.parametrize(("fact", "record"), RECORDS, ids=[type(fact).__name__ for fact, _ in RECORDS])
def test_writes_a_record(fact: Fact, record: dict[str, object]) -> None:
    """Its name first, then its fields in their order, as plain JSON."""
    assert list(fact.record().items()) == list(record.items())
    assert json.loads(json.dumps(fact.record())) == record


def test_every_fact_is_shown_above() -> None:
    """A new kind of fact needs its example."""
    assert {type(fact).name for fact, _ in RECORDS} == {kind.name for kind in every_fact()}


def test_times_are_utc() -> None:
    """A time of another zone is written in UTC: records of a night when the clock changes stay in order."""
    summer = timezone(timedelta(hours=2))
    fact = ServerStopped(at=AT.astimezone(summer))
    assert fact.record()["at"] == STAMP


def test_only_a_grant_gates() -> None:
    """Nothing is heard before its grant is on disk; whatever else is told has happened already."""
    assert {kind.name for kind in every_fact() if kind.gates} == {"spy_started"}


def test_names_are_slugs_and_differ() -> None:
    """A record's name is its kind."""
    names = [kind.name for kind in every_fact()]
    assert len(set(names)) == len(names)
    assert all(name.isidentifier() and name == name.lower() for name in names)


@pytest.mark.parametrize("kind", every_fact(), ids=lambda kind: str(kind.name))
def test_no_field_has_room_for_a_pin(kind: type[Fact]) -> None:
    """Fields are named here one by one: what is keyed in is not among them."""
    texts = {name for name, type_ in typing.get_type_hints(kind).items() if "str" in str(type_)}
    own = {field.name for field in fields(kind)} & texts
    assert own <= {
        *CALL,
        *("extension", "detail", "spyee", "spyee_uniqueid", "rule", "version", "digest"),
        *("to", "to_uniqueid", "source", "stale", "because", "why", "by", "node", "action", "reason"),
        *("kind", "entry", "before", "after"),  # what changed of people; people.differences leaves PINs out
        *("plugin", "hook", "error"),  # a plug-in sees no digit that was keyed in, and says what its own fault was
        "event",  # the kind of a message, only when it is one of a table
        "who",  # an id, a device or an address under which wrong PINs were counted
    }
    assert issubclass(kind, CallFact) or not own & {"call", "endpoint", "supervisor"}
