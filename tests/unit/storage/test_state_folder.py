"""One server at a time."""

from __future__ import annotations

import os
import pwd
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from agi_monitor.errors import StateUnavailable
from agi_monitor.files.folder import groups_of
from agi_monitor.storage.state_folder import PID_FILE, StateFolder, as_owner_of


def test_takes_the_folder_and_says_who(tmp_path: Path) -> None:
    """The file holds the process id, and others can ask for it."""
    folder = StateFolder(tmp_path)
    folder.take()
    assert (tmp_path / PID_FILE).read_text() == f"{os.getpid()}\n"
    assert StateFolder(tmp_path).running() == os.getpid()
    folder.release()
    assert StateFolder(tmp_path).running() is None


def test_refuses_a_second_server(tmp_path: Path) -> None:
    """The second one is told; the first one's lock and process id stay."""
    first, second = StateFolder(tmp_path), StateFolder(tmp_path)
    first.take()
    with pytest.raises(StateUnavailable, match=f"^{tmp_path}: another agi-monitor uses this folder$"):
        second.take()
    second.release()
    assert StateFolder(tmp_path).running() == os.getpid()
    first.release()
    second.take()
    second.release()


def test_a_server_that_was_killed_leaves_no_lock(tmp_path: Path) -> None:
    """The lock goes with the process, however it ended; the longer process id of before is not mixed in."""
    (tmp_path / PID_FILE).write_text("99999999999999\n")
    program = (
        "import os, sys, pathlib; from agi_monitor.storage.state_folder import StateFolder;"
        "StateFolder(pathlib.Path(sys.argv[1])).take(); os.kill(os.getpid(), 9)"
    )
    assert subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=False).returncode == -9
    folder = StateFolder(tmp_path)
    assert folder.running() is None
    folder.take()
    assert (tmp_path / PID_FILE).read_text() == f"{os.getpid()}\n"
    folder.release()


def test_asking_takes_nothing(tmp_path: Path) -> None:
    """Who only asks leaves no file and no lock."""
    assert StateFolder(tmp_path).running() is None
    assert list(tmp_path.iterdir()) == []


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    """The message says which folder and what to do."""
    missing = tmp_path / "missing"
    with pytest.raises(StateUnavailable, match=f"^{missing}: No such file or directory. Make the folder"):
        StateFolder(missing).take()


def test_release_may_be_called_twice(tmp_path: Path) -> None:
    """Also by a server that never took it."""
    folder = StateFolder(tmp_path)
    folder.release()
    folder.take()
    folder.release()
    folder.release()
    assert folder.running() is None


@pytest.mark.parametrize("said", ["-1", "1", "0", "x", ""])
def test_what_the_file_says_is_not_believed(tmp_path: Path, said: str) -> None:
    """The process that holds the lock is the server, whatever was written."""
    folder = StateFolder(tmp_path)
    folder.take()
    (tmp_path / PID_FILE).write_text(said)
    assert StateFolder(tmp_path).running() == os.getpid()
    folder.release()
    assert StateFolder(tmp_path).tell(signal.SIGTERM) is None


def test_a_file_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    """It is named, and what it leads to is not made."""
    (tmp_path / PID_FILE).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StateUnavailable, match=f"^{tmp_path}/{PID_FILE}: is a symbolic link"):
        StateFolder(tmp_path).take()
    assert not (tmp_path / "elsewhere").exists()
    assert StateFolder(tmp_path).running() is None


def test_root_does_not_serve_in_the_folder_of_another_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would leave files that the server's own user cannot use; the error has the command that is right."""
    if os.geteuid() == 0:
        os.chown(tmp_path, 61_234, 61_234)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with pytest.raises(
        StateUnavailable, match=r"and root would leave files there that .* sudo -u .* agi-monitor serve"
    ):
        StateFolder(tmp_path).take()
    assert list(tmp_path.iterdir()) == []


def test_root_does_not_serve_where_others_can_exchange_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is opened by its name later would be in another folder, of their choice."""
    (tmp_path / "state").mkdir()
    tmp_path.chmod(0o777)
    # For anyone but root it is the folder of another user anyway.
    why = "others than root may write to a folder above it" if os.geteuid() == 0 else "root would leave files there"
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with pytest.raises(StateUnavailable, match=why):
        StateFolder(tmp_path / "state").take()
    assert list((tmp_path / "state").iterdir()) == []


def test_nobody_else_can_lock_it(tmp_path: Path) -> None:
    """Who can open the file can lock it; that of an earlier version, which all could read, is changed."""
    for existing in (False, True):
        if existing:
            (tmp_path / PID_FILE).chmod(0o644)
        folder = StateFolder(tmp_path)
        folder.take()
        folder.release()
        assert stat.S_IMODE((tmp_path / PID_FILE).stat().st_mode) == 0o600


def an_owner(uid: int, gid: int) -> pwd.struct_passwd:
    """An entry of the user database."""
    return pwd.struct_passwd(("agi", "x", uid, gid, "", "/", "/bin/false"))


def test_the_groups_are_those_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not the folder's, which may be root's still; root's is never one of them."""
    monkeypatch.setattr(pwd, "getpwuid", lambda uid: an_owner(uid, 61_300))
    monkeypatch.setattr(os, "getgrouplist", lambda name, gid: [0, 61_301, gid])
    assert groups_of(61_234, 0) == [61_300, 61_301]
    monkeypatch.setattr(pwd, "getpwuid", lambda uid: an_owner(uid, 0))
    assert groups_of(61_234, 0) == [61_301]


def test_a_user_without_an_entry_has_the_group_of_the_folder() -> None:
    """As in a container; but not root's group."""
    assert groups_of(61_234, 61_400) == [61_400]
    assert groups_of(61_234, 0) == []


def test_the_rights_of_the_owner_are_no_more_than_theirs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that was given away by ``chown USER`` has root's group still, and is refused for an unknown user."""
    taken: list[object] = []
    if os.geteuid() == 0:
        os.chown(tmp_path, 61_234, 0)
    else:
        monkeypatch.setattr("agi_monitor.storage.state_folder.groups_of", lambda uid, gid: [])
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    for name in ("setgroups", "setegid", "seteuid"):
        monkeypatch.setattr(os, name, taken.append)
    with pytest.raises(StateUnavailable, match="no group but root's"), as_owner_of(tmp_path):
        pass
    assert taken == []
