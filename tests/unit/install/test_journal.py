"""All files change or none, also when the process is killed or the disk is full at any moment."""

from __future__ import annotations

import fcntl
import os
import resource
import signal
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agi_monitor.errors import InstallFailed
from agi_monitor.files.folder import Folder
from agi_monitor.install.journal import JOURNAL, Journal, alone
from agi_monitor.install.places import Places
from agi_monitor.install.plan import Change

CHANGES = [
    Change("extensions.conf", b"old\n", b"old\nnew\n"),
    Change("pjsip.conf", b"gone\n", None),
    Change("agi-monitor/agi-monitor.conf", None, b"x" * 300),
    Change("books/manifest.json", None, b"{}"),
]
CALLS = ("open", "fsync", "fchmod", "fdopen", "rename", "unlink", "mkdir", "rmdir")
"""What reaches the disk."""


def journal_of(folder: Path) -> Journal:
    """The journal of a site's folder, with its books beside it."""
    return Journal(Places(Folder.at(folder), Folder.at(folder.with_name("books"))))


def killed_before(number: int, folder: Path, steps: tuple[str, ...]) -> int:
    """Take these steps in a process that is killed before this number of calls; returns how it ended."""
    child = os.fork()
    if child == 0:
        left = number

        def counted(call: Callable[..., Any]) -> Callable[..., Any]:
            def counting(*arguments: Any, **names: Any) -> Any:
                nonlocal left
                if left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                left -= 1
                return call(*arguments, **names)

            return counting

        try:
            for name in CALLS:
                setattr(os, name, counted(getattr(os, name)))
            journal = journal_of(folder)
            for step in steps:
                journal.switch(CHANGES) if step == "switch" else getattr(journal, step)()
        except BaseException:  # the child must not continue as a second test run
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A site's folder."""
    path = tmp_path / "asterisk"
    path.mkdir()
    (path / "extensions.conf").write_bytes(b"old\n")
    (path / "pjsip.conf").write_bytes(b"gone\n")
    (tmp_path / "books").mkdir(0o700)
    return path


def contents(folder: Path) -> dict[str, bytes | None]:
    """Everything in it, and in the books; None for a folder."""
    return {
        str(path.relative_to(place.parent if place != folder else place)): (
            path.read_bytes() if path.is_file() else None
        )
        for place in (folder, folder.with_name("books"))
        for path in place.rglob("*")
    }


OLD: dict[str, bytes | None] = {"extensions.conf": b"old\n", "pjsip.conf": b"gone\n"}
NEW: dict[str, bytes | None] = {
    "extensions.conf": b"old\nnew\n",
    "agi-monitor": None,
    "agi-monitor/agi-monitor.conf": b"x" * 300,
    "books/manifest.json": b"{}",
}


def test_the_new_state_holds(folder: Path) -> None:
    """After keep the new contents are there, and nothing else."""
    journal = journal_of(folder)
    journal.switch(CHANGES)
    journal.keep()
    assert contents(folder) == NEW
    assert not journal_of(folder).undo()


def test_the_old_state_comes_back(folder: Path) -> None:
    """After undo the old contents are there, and nothing else."""
    journal = journal_of(folder)
    journal.switch(CHANGES)
    assert journal.undo()
    assert contents(folder) == OLD


@pytest.mark.parametrize("steps", [("switch", "keep"), ("switch", "undo")])
def test_killed_at_every_step(folder: Path, steps: tuple[str, ...]) -> None:
    """Whenever the process is killed, the next call finds or makes the whole old state or the whole new one."""
    seen = []
    for number in range(1000):
        ended = killed_before(number, folder, steps)
        journal_of(folder).undo()
        seen.append(contents(folder))
        if ended == 0:
            break
        assert ended == -signal.SIGKILL
        assert seen[-1] in (OLD, NEW), number
        if seen[-1] == NEW:
            # The same start for the next one.
            (folder / "extensions.conf").write_bytes(b"old\n")
            (folder / "pjsip.conf").write_bytes(b"gone\n")
            (folder / "agi-monitor/agi-monitor.conf").unlink()
            (folder.with_name("books") / "manifest.json").unlink()
            (folder / "agi-monitor").rmdir()
    assert seen[0] == OLD
    assert seen[-1] == (NEW if steps[-1] == "keep" else OLD)
    assert len(seen) > 40


def test_a_full_disk(folder: Path) -> None:
    """However much fits, a disk that is full leaves the old state; the error names the file."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    journal = journal_of(folder)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    refused = 0
    try:
        for size in (0, 1, 5, 100, 299, 500, 5000):
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
            try:
                journal.switch(CHANGES)
            except InstallFailed as error:
                refused += 1
                assert "nothing was changed" in str(error)
            else:
                journal.undo()
            finally:
                resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
            assert contents(folder) == OLD
    finally:
        signal.signal(signal.SIGXFSZ, before)
    assert refused >= 5


def test_mode_and_owner_stay(folder: Path) -> None:
    """A file keeps its mode, also a read-only one; a new one is for Asterisk's group."""
    path = folder / "extensions.conf"
    path.chmod(0o444)
    before = path.stat()
    journal = journal_of(folder)
    journal.switch(CHANGES)
    journal.keep()
    after = path.stat()
    assert (after.st_mode, after.st_uid, after.st_gid) == (before.st_mode, before.st_uid, before.st_gid)
    made = (folder / "agi-monitor/agi-monitor.conf").stat()
    assert (stat.S_IMODE(made.st_mode), made.st_gid) == (0o640, folder.stat().st_gid)


def test_a_link_stays_a_link(folder: Path) -> None:
    """What a symbolic link within the folder leads to is changed, and brought back."""
    real = folder / "kept" / "extensions.conf"
    real.parent.mkdir()
    (folder / "extensions.conf").rename(real)
    (folder / "extensions.conf").symlink_to("kept/extensions.conf")
    journal = journal_of(folder)
    journal.switch(CHANGES)
    assert (folder / "extensions.conf").is_symlink()
    assert real.read_bytes() == b"old\nnew\n"
    journal.undo()
    assert (folder / "extensions.conf").is_symlink()
    assert real.read_bytes() == b"old\n"
    assert os.listdir(real.parent) == ["extensions.conf"]  # noqa: PTH208 - the names


def test_a_file_that_changes_meanwhile_is_not_touched(folder: Path) -> None:
    """A person who saves the file while the question is on the screen loses nothing."""
    (folder / "extensions.conf").write_bytes(b"saved just now\n")
    with pytest.raises(InstallFailed, match="try again"):
        journal_of(folder).switch(CHANGES)
    assert contents(folder) == {**OLD, "extensions.conf": b"saved just now\n"}


@pytest.mark.parametrize("instead", [None, b"another\n"], ids=["gone", "another"])
def test_an_old_content_that_was_taken_away_comes_back(folder: Path, instead: bytes | None) -> None:
    """The owner of the folder may remove or change what stands there; the books have the old content as well."""
    (folder / "extensions.conf").chmod(0o604)
    journal = journal_of(folder)
    journal.switch(CHANGES)
    for name in ("extensions.conf", "pjsip.conf"):
        old = folder / f".{name}.agi-monitor-old"
        old.unlink()
        if instead is not None:
            old.write_bytes(instead)
    assert journal.undo()
    assert contents(folder) == OLD
    assert stat.S_IMODE((folder / "extensions.conf").stat().st_mode) == 0o604


def test_an_old_content_that_is_nowhere_is_told(folder: Path) -> None:
    """It is not said that the old files were put back where they were not, and the journal stays."""
    journal = journal_of(folder)
    journal.switch(CHANGES)
    (folder / ".extensions.conf.agi-monitor-old").unlink()
    for copy in folder.with_name("books").glob("journal.*.old"):
        copy.unlink()
    for _ in range(2):
        with pytest.raises(InstallFailed, match=r"extensions\.conf: is not what it was before"):
            journal.undo()
    assert journal.is_there()


def test_what_is_changed_while_it_is_put_back_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each file is looked at once more behind the last rename."""
    journal = journal_of(folder)
    journal.switch(CHANGES)
    move = Folder.move

    def moved(self: Folder, name: str, to: str) -> None:
        move(self, name, to)
        if to == "extensions.conf":
            (folder / to).write_bytes(b"another\n")

    monkeypatch.setattr(Folder, "move", moved)
    with pytest.raises(InstallFailed, match=r"extensions\.conf: is not what it was before"):
        journal.undo()
    assert journal.is_there()


@pytest.mark.parametrize("content", ["{}", "", "[" * 100_000], ids=["another", "empty", "nested"])
def test_a_strange_journal_is_not_guessed_at(folder: Path, content: str) -> None:
    """A journal that cannot be read changes nothing; the error says where the old contents are."""
    (folder.with_name("books") / JOURNAL).write_text(content)
    with pytest.raises(InstallFailed, match="agi-monitor-old"):
        journal_of(folder).undo()


def test_only_one_at_a_time(folder: Path) -> None:
    """A second install in the same folder is refused while the first runs; also behind an uninstall's end."""
    books = folder.with_name("books")
    with Folder.at(folder) as site, Folder.at(books) as first, Folder.at(books) as second:
        with alone(site, first), pytest.raises(InstallFailed, match="another"), alone(site, second):
            pass
        with alone(site, first):
            (books / "lock").unlink()
        with alone(site, first), pytest.raises(InstallFailed, match="another"), alone(site, second):
            pass


def test_nobody_else_can_keep_an_install_from_its_work(folder: Path) -> None:
    """Who may read Asterisk's folder may lock it; what is locked is a file that they cannot open."""
    books = folder.with_name("books")
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        with Folder.at(folder) as site, Folder.at(books) as its, alone(site, its):
            assert stat.S_IMODE((books / "lock").stat().st_mode) == 0o600
    finally:
        os.close(handle)
