"""The server's name and key: made once, kept, readable by its owner alone, and never replaced by a mistake."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from agi_monitor.errors import StateUnavailable
from agi_monitor.storage.server_key_file import KEY_BYTES, server_key


def test_is_the_same_through_all_runs(tmp_path: Path) -> None:
    """Made at the first start and read at every other."""
    path = tmp_path / "server-key.json"
    first = server_key(path)
    content = path.read_bytes()
    assert (len(first.key), len(first.server)) == (KEY_BYTES, 16)
    assert server_key(path) == first
    assert path.read_bytes() == content


def test_nobody_else_may_read_it(tmp_path: Path) -> None:
    """Anyone who has the key can grant spies."""
    path = tmp_path / "server-key.json"
    server_key(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_two_servers_differ(tmp_path: Path) -> None:
    """In their names and in their keys."""
    one, other = server_key(tmp_path / "one.json"), server_key(tmp_path / "other.json")
    assert one.server != other.server
    assert one.key != other.key


KEY = "ab" * KEY_BYTES

TORN = [
    "",
    "{",
    "[]",
    "null",
    "7",
    "{}",
    json.dumps({"server": "a"}),
    json.dumps({"key": KEY}),
    json.dumps({"server": "", "key": KEY}),
    json.dumps({"server": 7, "key": KEY}),
    json.dumps({"server": "a", "key": KEY[2:]}),
    json.dumps({"server": "a", "key": "no hex " + KEY}),
    json.dumps({"server": "a", "key": 7}),
    "\udcff",
    "[" * 100_000,
]


@pytest.mark.parametrize("text", TORN, ids=range(len(TORN)))
def test_a_torn_file_is_named_and_left_alone(tmp_path: Path, text: str) -> None:
    """Nobody makes a new key in the place of one that could be fixed, and no letter of it is told."""
    path = tmp_path / "server-key.json"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(StateUnavailable, match="the server's key cannot be read") as caught:
        server_key(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert KEY[:8] not in str(caught.value)
    assert (caught.value.__cause__, caught.value.__suppress_context__) == (None, True)
    assert path.read_bytes() == text.encode("utf-8", "surrogateescape")


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """The sentence says which file, and why."""
    path = tmp_path / "gone" / "server-key.json"
    with pytest.raises(StateUnavailable, match="cannot be written: No such file or directory"):
        server_key(path)


def test_a_folder_in_its_place_is_named(tmp_path: Path) -> None:
    """It cannot be read, and is not replaced."""
    path = tmp_path / "server-key.json"
    path.mkdir()
    with pytest.raises(StateUnavailable, match="cannot be read"):
        server_key(path)


def test_the_key_is_in_no_text(tmp_path: Path) -> None:
    """Printing what was read tells neither the key nor its hexadecimal digits."""
    made = server_key(tmp_path / "server-key.json")
    assert made.key.hex() not in repr(made)
    assert str(made.key) not in repr(made)
