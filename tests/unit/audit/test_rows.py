"""A record as JSON says it, whatever was put there."""

from __future__ import annotations

import json

import pytest

from agi_monitor.audit.rows import MAX_DEPTH, misfit, named, row_of

RECORD = {
    "fact": "spy_ended",
    "at": "2026-01-31T12:00:00.000+00:00",
    "call": "c-1",
    "grant": 1,
    "supervisor": "anna",
    "extension": "1001",
    "mode": "listen",
    "why": "call_over",
    "seconds": 60.0,
    "seq": 7,
}


def test_a_record_that_a_server_writes() -> None:
    """All of it, and of other facts what they have."""
    assert row_of(json.dumps(RECORD).encode()) == RECORD
    assert misfit(RECORD) is None
    assert misfit({"fact": "refused", "at": RECORD["at"], "supervisor": None, "extension": None}) is None


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("fact", "null", "fact is not a word"),
        ("fact", "[]", "fact is not a word"),
        ("at", "null", "at is not a time"),
        ("at", '"2026-01-31T12:00:00"', "at is not a time"),
        ("at", '"9999-12-31T23:59:59-23:59"', "at is not a time"),
        ("at", '"0001-01-01T00:00:00+23:59"', "at is not a time"),
        ("at", "1e999", "at is not a time"),
        ("seconds", "null", "seconds is missing"),
        ("seconds", "NaN", "seconds is not a number of seconds from 0 to a year"),
        ("seconds", "Infinity", "seconds is not a number of seconds from 0 to a year"),
        ("seconds", "1e999", "seconds is not a number of seconds from 0 to a year"),
        ("seconds", "-0.5", "seconds is not a number of seconds from 0 to a year"),
        ("seconds", "true", "seconds is not a number of seconds from 0 to a year"),
        ("seconds", "1" + "0" * 4_000, "seconds is not a number of seconds from 0 to a year"),
        ("grant", "{}", "grant is not a number of a grant"),
        ("grant", "[1]", "grant is not a number of a grant"),
        ("grant", "1.5", "grant is not a number of a grant"),
        ("call", "[]", "call is not a text"),
        ("supervisor", "{}", "supervisor is not a text"),
        ("extension", "1001", "extension is not a text"),
        ("mode", "[]", "mode is not a text"),
        ("told", '"yes"', "told is not true or false"),
    ],
)
def test_what_no_server_writes_is_named(name: str, text: str, why: str) -> None:
    """By its field, and for each kind of value."""
    line = json.dumps({key: value for key, value in RECORD.items() if key != name})[:-1] + f',"{name}":{text}}}'
    row = row_of(line.encode())
    assert row is not None
    assert (misfit(row) or "").startswith(why)
    json.dumps(row, allow_nan=False)


@pytest.mark.parametrize(
    "line", [b"", b"[]", b"1", b"by hand", b"\xff", b'{"a":' + b"1" * 5_000 + b"}", b"[" * 100_000]
)
def test_what_is_no_object(line: bytes) -> None:
    """Is no record."""
    assert row_of(line) is None


def test_what_is_nested_without_need() -> None:
    """Can be read, and would end anyone who writes it again; many of them beside one another would not."""
    assert row_of(b'{"a":' + b"[" * 900 + b"]" * 900 + b"}") is None
    assert row_of(json.dumps({"a": [{}] * 100}).encode()) == {"a": [{}] * 100}
    assert row_of(b'{"a":' + b"[" * (MAX_DEPTH - 1) + b"]" * (MAX_DEPTH - 1) + b"}") is not None


@pytest.mark.parametrize("seq", [None, "7", 0, True, 10**20, [7]])
def test_which_record_it_is(seq: object) -> None:
    """By its number in the chain, or else by its place."""
    assert named(RECORD, 3) == "record 7"
    assert named({**RECORD, "seq": seq}, 3) == "record number 3 of those that were read"
