"""A file is replaced whole or not at all."""

from __future__ import annotations

import os
import resource
import signal
import stat
import tracemalloc
from pathlib import Path

import pytest

from agi_monitor.files import folder


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file that holds something."""
    path = tmp_path / "state.json"
    path.write_bytes(b"old")
    return path


def test_a_sparse_file_takes_no_memory(path: Path) -> None:
    """It costs its owner nothing; whoever reads many of them would have none left."""
    os.truncate(path, 1 << 40)
    tracemalloc.start()
    try:
        with pytest.raises(folder.Unfit, match="larger than 16777216 bytes"):
            folder.read(path, 16_777_216)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


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


@pytest.mark.parametrize("what", ["its mode", "its content"])
def test_another_folder_that_takes_the_name_is_left_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """Anyone who may write in the folder above may rename one of ours to the name right after it was made."""
    keys = tmp_path / "keys"
    keys.mkdir(0o700)
    if what == "its mode":
        keys.chmod(0o500)
    else:
        (keys / "ca.key").write_text("x")
    before = stat.S_IMODE(keys.stat().st_mode)
    make = os.mkdir

    def made(name: str, mode: int, *, dir_fd: int) -> None:
        make(name, mode, dir_fd=dir_fd)
        (tmp_path / name).rename(tmp_path / "moved")
        keys.rename(tmp_path / name)

    monkeypatch.setattr(os, "mkdir", made)
    with folder.Folder.at(tmp_path) as above, pytest.raises(folder.Unfit, match="was replaced by another user"):
        above.make("agi-monitor", 0o750)
    assert stat.S_IMODE((tmp_path / "agi-monitor").stat().st_mode) == before


def test_a_full_disk_leaves_no_other_file(path: Path) -> None:
    """Not even where closing it is what fails."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    try:
        with pytest.raises(OSError, match="too large"):
            folder.replace(path, b"x" * 500, 0o600)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)
    assert list(path.parent.iterdir()) == [path]
    assert path.read_bytes() == b"old"
