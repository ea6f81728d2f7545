"""Lock-outs on disk: kept, and never thrown away by mistake."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agi_monitor.errors import StateUnavailable
from agi_monitor.storage.lock_out_file import LockOutFile
from agi_monitor.supervision.pins import LockOut

LOCK_OUTS = {
    "supervisor:anna": LockOut(3, 1_700_000_000.25, 1_700_000_060.25),
    "endpoint:PJSIP/6666": LockOut(1, 1_700_000_001.0, 0.0),
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the file is or will be."""
    return tmp_path / "lock-outs.json"


def test_keeps_lock_outs(path: Path) -> None:
    """What was saved is loaded, in the same order, and only the owner may read it."""
    LockOutFile(path).save(LOCK_OUTS)
    assert list(LockOutFile(path).load().items()) == list(LOCK_OUTS.items())
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_without_a_file_there_are_none(path: Path) -> None:
    """The first start has none."""
    assert LockOutFile(path).load() == {}


def entry(**changes: object) -> str:
    """An entry of the file with something wrong in it."""
    values = {"failures": "3", "last": "1700000000.0", "until": "1700000060.0"} | changes
    inside = ", ".join(f'"{key}": {value}' for key, value in values.items())
    return f"{{{inside}}}"


CORRUPT = {
    "empty": b"",
    "torn": b'{"supervisor:anna": {"failures": 3, "last"',
    "no JSON": b"hello",
    "not UTF-8": b'{"\xff": 1}',
    "zeros": b"\0" * 64,
    "a list": b"[]",
    "a number": b"1",
    "null": b"null",
    "an entry that is a list": b'{"supervisor:anna": [3, 0, 0]}',
    "an entry that is null": b'{"supervisor:anna": null}',
    "no entry": b'{"supervisor:anna": {}}',
    "a missing field": b'{"supervisor:anna": {"failures": 3, "last": 0}}',
    "a strange field": f'{{"supervisor:anna": {entry(more="1")}}}'.encode(),
    "deep": b"[" * 100_000,
    **{
        f"{field} is {value[:12]}": f'{{"supervisor:anna": {entry(**{field: value})}}}'.encode()
        for field in ("failures", "last", "until")
        for value in ('"3"', "null", "true", "-1", "NaN", "Infinity", "-Infinity", "1e999", "[]", "1" * 5000)
    },
    "last is huge": f'{{"supervisor:anna": {entry(last="1" * 400)}}}'.encode(),
    "failures is a fraction": f'{{"supervisor:anna": {entry(failures="1.5")}}}'.encode(),
}


@pytest.mark.parametrize("content", CORRUPT.values(), ids=CORRUPT)
def test_a_file_that_cannot_be_read_stops_everything(path: Path, content: bytes) -> None:
    """It is named and left as it is: without it, everybody who is locked out could go on guessing."""
    path.write_bytes(content)
    with pytest.raises(StateUnavailable, match="lock-outs cannot be read") as caught:
        LockOutFile(path).load()
    assert str(caught.value).startswith(f"{path}: ")
    assert path.read_bytes() == content


@given(content=st.binary())
def test_any_file_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    """Nothing but StateUnavailable is raised."""
    path = tmp_path_factory.getbasetemp() / "any-lock-outs.json"
    path.write_bytes(content)
    try:
        assert LockOutFile(path).load() == {}
    except StateUnavailable:
        assert path.read_bytes() == content


def test_a_folder_in_the_place_of_the_file_is_refused(path: Path) -> None:
    """Neither read nor written, and both say so."""
    path.mkdir()
    with pytest.raises(StateUnavailable, match="lock-outs cannot be read"):
        LockOutFile(path).load()
    with pytest.raises(StateUnavailable, match="lock-outs cannot be written: Is a directory"):
        LockOutFile(path).save(LOCK_OUTS)
    assert [other.name for other in path.parent.iterdir()] == [path.name]


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    """What cannot be written is an error of the state, not of the operating system."""
    path = tmp_path / "missing" / "lock-outs.json"
    with pytest.raises(StateUnavailable, match=f"^{path}: the lock-outs cannot be written: No such"):
        LockOutFile(path).save(LOCK_OUTS)
