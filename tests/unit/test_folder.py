"""A file is replaced whole or not at all."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from agi_monitor import folder


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file that holds something."""
    path = tmp_path / "state.json"
    path.write_bytes(b"old")
    return path


def test_replaces_the_content(path: Path) -> None:
    """The new content, the given mode, and nothing else in the folder."""
    folder.replace(path, b"new", 0o600)
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(path.parent.iterdir()) == [path]


def test_makes_a_file_that_is_not_there(tmp_path: Path) -> None:
    """The first time there is nothing to replace."""
    folder.replace(tmp_path / "new", b"content", 0o640)
    assert (tmp_path / "new").read_bytes() == b"content"
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o640


def test_who_reads_the_old_file_reads_it_to_the_end(path: Path) -> None:
    """The old file is not written into."""
    with path.open("rb") as reader:
        folder.replace(path, b"new", 0o600)
        assert reader.read() == b"old"


@pytest.mark.parametrize("step", ["fsync", "fchmod", "rename"])
def test_a_failure_leaves_the_old_file_and_no_other(path: Path, step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever step fails, the old content is there and the temporary file is not."""

    def fail(*arguments: object, **named: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, step, fail)
    with pytest.raises(OSError, match="Input/output error"):
        folder.replace(path, b"new", 0o600)
    assert path.read_bytes() == b"old"
    assert list(path.parent.iterdir()) == [path]


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    """No folder is made by the way."""
    with pytest.raises(FileNotFoundError):
        folder.replace(tmp_path / "missing" / "file", b"new", 0o600)


def test_the_content_is_on_disk_before_the_name(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """First the file's fsync, then the rename, then the folder's: a power cut finds the old or the new one."""
    happened: list[str] = []
    fsync, rename = os.fsync, os.rename

    def noted_fsync(handle: int) -> None:
        happened.append("folder" if stat.S_ISDIR(os.fstat(handle).st_mode) else "file")
        fsync(handle)

    def noted_rename(name: str, to: str, **folders: int) -> None:
        happened.append("rename")
        rename(name, to, **folders)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(os, "rename", noted_rename)
    folder.replace(path, b"new", 0o600)
    assert happened == ["file", "rename", "folder"]
