"""What is shown goes through JSON and comes back as it was; a row of another version is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agi_monitor.shown import (
    CallShown,
    ChannelShown,
    NotShown,
    ReloadShown,
    SpyEnded,
    SpyShown,
    StatusShown,
)
from tests.shell.live_house import CALL, GRANTED, ROGUE, STATUS

Value = CallShown | ReloadShown | SpyEnded | SpyShown | StatusShown

CHANNEL = ChannelShown("PJSIP/1001-0000002a", "1700000000.10", "PJSIP/1001", "Up", "3001", None)
WHOLE: tuple[Value, ...] = (
    CallShown("pbx", "1.1", ("1001",), ("3001",), "talking", "", 1.5, (CHANNEL, CHANNEL), ()),
    GRANTED,
    ROGUE,
    STATUS,
    StatusShown("0.1.0", None, "off", None, None, None),
    StatusShown("0.1.0", "pbx", "up", None, 0, 0, 0, 0),
    ReloadShown(1, 2, ("ami",)),
    ReloadShown(0, 0, ()),
    SpyEnded("1.1"),
    SpyEnded("a1b2.1", GRANTED),
)


WRONG: tuple[object, ...] = ({}, True, [[]], [1])


def as_json(value: Value) -> Any:
    """A value as a program reads it."""
    return json.loads(json.dumps(value.row()))


@pytest.mark.parametrize("value", WHOLE, ids=lambda value: type(value).__name__)
def test_a_row_is_read_again(value: Value) -> None:
    """The same value, also where a later version says more."""
    row = as_json(value)
    assert type(value).read(row) == value
    if row.keys() != {"id"}:
        assert type(value).read({**row, "later": {"any": [1]}}) == value


@given(st.from_type(CallShown) | st.from_type(SpyShown) | st.from_type(StatusShown))
def test_any_value_is_read_again(value: CallShown | SpyShown | StatusShown) -> None:
    """Whatever callers are called."""
    if value == value:
        assert type(value).read(as_json(value)) == value


def test_the_rows_are_what_programs_know() -> None:
    """Keys, in their order: scripts of sites read them."""
    call = ["node", "id", "agents", "numbers", "state", "queue", "seconds", "channels", "spies"]
    assert list(CALL.row()) == call
    assert list(CHANNEL.row()) == ["name", "uniqueid", "endpoint", "state", "number", "bridge"]
    spy = ["id", "node", "kind", "supervisor", "endpoint", "spyer", "spyer_uniqueid", "extension", "spyee"]
    assert list(GRANTED.row()) == [*spy, "spyee_uniqueid", "mode", "rule", "since", "seconds"]
    assert list(STATUS.row()) == ["version", "node", "ami", "stale", "calls", "spies"]
    more = StatusShown("0.1.0", "pbx", "up", None, 1, 2, 3, 0)
    assert list(more.row()) == ["version", "node", "ami", "stale", "calls", "spies", "resyncs", "differences"]
    assert list(ReloadShown(0, 0, ()).row()) == ["supervisors", "agents", "restart"]
    assert SpyEnded("1.1").row() == {"id": "1.1"}


@pytest.mark.parametrize("value", [CALL, GRANTED, STATUS, ReloadShown(1, 1, ())], ids=lambda value: value.what)
def test_each_key_is_needed(value: CallShown | SpyShown | StatusShown | ReloadShown) -> None:
    """And of its type."""
    row = as_json(value)
    for name in row:
        with pytest.raises(NotShown, match=f"^{value.what} has no '{name}'$"):
            type(value).read({key: one for key, one in row.items() if key != name})
        for wrong in WRONG:
            with pytest.raises(NotShown):
                type(value).read({**row, name: wrong})
    for wrong in (None, 1, "x"):
        with pytest.raises(NotShown, match="is not an object"):
            type(value).read(wrong)
        with pytest.raises(NotShown, match="instead of a list"):
            type(value).read_each(wrong)
    with pytest.raises(NotShown, match="is not an object"):
        type(value).read([])


def test_a_channel_of_a_call_is_read_as_one() -> None:
    """With all that it needs."""
    row = as_json(CALL)
    with pytest.raises(NotShown, match=r"^a channel has no 'name'$"):
        CallShown.read({**row, "channels": [{}]})
    with pytest.raises(NotShown, match=r"^'seconds' of a call is not of the type float$"):
        CallShown.read({**row, "seconds": "long"})


@pytest.mark.parametrize(
    ("ami", "stale", "troubles", "is_well"),
    [
        ("up", None, set(), True),
        ("off", None, set(), True),
        ("off", "never_listed", {"stale"}, True),
        ("up", "lost", {"stale"}, False),
        ("down", "lost", {"ami", "stale"}, False),
        ("refused", None, {"ami"}, False),
    ],
)
def test_a_server_is_well(ami: str, stale: str | None, troubles: set[str], is_well: bool) -> None:
    """Where there is a picture to be trusted, or none is wanted."""
    status = StatusShown("0.1.0", "pbx", ami, stale, None, None)
    assert (set(status.troubles), status.is_well) == (troubles, is_well)


def test_who_hears_whom() -> None:
    """As far as is known: by name, by phone, by channel."""
    assert (GRANTED.who, GRANTED.whom, GRANTED.is_rogue) == ("anna", "1001", False)
    assert (ROGUE.who, ROGUE.whom, ROGUE.is_rogue) == ("Local/x@y-00000001;2", "PJSIP/1001-00000002", True)
