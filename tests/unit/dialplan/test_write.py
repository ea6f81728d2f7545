"""Files on disk: whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from agi_monitor.dialplan.write import write
from agi_monitor.errors import RenderError


def names(folder: Path) -> list[str]:
    """What is in a folder, hidden files included."""
    return sorted(os.listdir(folder))  # noqa: PTH208 - hidden files are what this looks for


def test_files_are_written(tmp_path: Path) -> None:
    """Every file is there with its text, for its owner and group alone, and nothing else is."""
    assert write({"a.conf": "; ö\n", "b.sample": ""}, tmp_path) == [tmp_path / "a.conf", tmp_path / "b.sample"]
    assert (tmp_path / "a.conf").read_bytes() == "; ö\n".encode()
    assert (tmp_path / "a.conf").stat().st_mode & 0o7777 == 0o640
    assert (tmp_path / "a.conf").stat().st_gid == tmp_path.stat().st_gid
    assert names(tmp_path) == ["a.conf", "b.sample"]


def test_unchanged_files_are_not_touched(tmp_path: Path) -> None:
    """Only what changed is replaced and told."""
    write({"a.conf": "a", "b.conf": "b"}, tmp_path)
    before = (tmp_path / "a.conf").stat()
    assert write({"a.conf": "a", "b.conf": "B"}, tmp_path) == [tmp_path / "b.conf"]
    after = (tmp_path / "a.conf").stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)
    assert write({"a.conf": "a", "b.conf": "B"}, tmp_path) == []


def test_file_is_replaced_not_rewritten(tmp_path: Path) -> None:
    """Who has the old file open still reads the old text."""
    write({"a.conf": "old"}, tmp_path)
    with (tmp_path / "a.conf").open() as reader:
        write({"a.conf": "new"}, tmp_path)
        assert reader.read() == "old"
    assert (tmp_path / "a.conf").read_text() == "new"


def test_missing_folder(tmp_path: Path) -> None:
    """A folder that is not there is not created: who may read it is for the administrator to say."""
    with pytest.raises(RenderError, match="nowhere is not there: create it"):
        write({"a.conf": ""}, tmp_path / "nowhere")


@pytest.mark.parametrize("name", ["../a.conf", "/etc/a.conf", "b/a.conf", "", ".", ".."])
def test_paths_are_refused(tmp_path: Path, name: str) -> None:
    """A name with a folder in it never leads out of the folder."""
    with pytest.raises(RenderError, match="not a plain file name"):
        write({name: ""}, tmp_path)
    assert names(tmp_path) == []


def test_nothing_is_left_when_a_file_cannot_be_replaced(tmp_path: Path) -> None:
    """A folder in the place of a file stops the writing; no temporary file stays behind."""
    (tmp_path / "b.conf").mkdir()
    with pytest.raises(RenderError, match="cannot write into"):
        write({"b.conf": "b"}, tmp_path)
    assert names(tmp_path) == ["b.conf"]


def test_nothing_is_replaced_when_a_later_text_cannot_be_written(tmp_path: Path) -> None:
    """All texts are on disk before the first file changes."""
    write({"a.conf": "old"}, tmp_path)
    with pytest.raises(RenderError, match="cannot write into"):
        write({"a.conf": "new", "b.conf": "\ud800"}, tmp_path)
    assert (tmp_path / "a.conf").read_text() == "old"
    assert names(tmp_path) == ["a.conf"]


def test_folder_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full or read-only disk is told with the folder's name, and the old file stays whole."""
    write({"a.conf": "old"}, tmp_path)

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RenderError, match="No space left on device"):
        write({"a.conf": "new"}, tmp_path)
    assert (tmp_path / "a.conf").read_text() == "old"
    assert names(tmp_path) == ["a.conf"]
