"""agi_monitor.control.socket_file: who may have the place of the socket."""

from __future__ import annotations

import os
import pwd
import socket
from pathlib import Path

import pytest

from agi_monitor.control.socket_file import make_room, peer_of, socket_path, user_name
from agi_monitor.errors import ControlFailed


def bound(path: Path) -> socket.socket:
    """A socket with this path, not listening yet."""
    made = socket.socket(socket.AF_UNIX)
    made.bind(str(path))
    return made


def test_where_it_is() -> None:
    """Where the configuration says, or in the folder of the state."""
    assert socket_path(None, Path("/var/lib/agi-monitor")) == Path("/var/lib/agi-monitor/control.sock")
    assert socket_path(Path("/run/x.sock"), Path("/var/lib/agi-monitor")) == Path("/run/x.sock")


def test_nothing_is_in_the_way(tmp_path: Path) -> None:
    """An empty place is left alone."""
    make_room(tmp_path / "control.sock")
    assert list(tmp_path.iterdir()) == []


def test_what_a_dead_server_left_is_removed(tmp_path: Path) -> None:
    """A socket without a listener."""
    path = tmp_path / "control.sock"
    bound(path).close()
    make_room(path)
    assert not path.exists()


def test_a_live_one_stays(tmp_path: Path) -> None:
    """Also when it is too busy to take one more connection."""
    path = tmp_path / "control.sock"
    with bound(path) as server, socket.socket(socket.AF_UNIX) as first:
        server.listen(0)
        for _ in range(2):
            with pytest.raises(ControlFailed, match="another program listens there"):
                make_room(path)
            first.setblocking(False)
            first.connect_ex(str(path))
        assert path.is_socket()


@pytest.mark.parametrize("kind", ["file", "folder", "link"])
def test_what_is_no_socket_stays(tmp_path: Path, kind: str) -> None:
    """A mistake in the configuration does not cost a file."""
    path = tmp_path / "control.sock"
    if kind == "file":
        path.write_text("mine")
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ControlFailed, match="is not a socket"):
        make_room(path)
    assert path.is_symlink() or path.exists()


def test_a_socket_of_another_kind_stays(tmp_path: Path) -> None:
    """Such as that of a syslog."""
    path = tmp_path / "control.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
        other.bind(str(path))
        with pytest.raises(ControlFailed, match="must belong to the user that runs the server"):
            make_room(path)
    assert path.is_socket()


@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o770])
def test_a_folder_that_others_may_write_is_refused(tmp_path: Path, mode: int) -> None:
    """The commands believe who makes the socket first; the sticky bit of ``/tmp`` does not prevent it."""
    folder = tmp_path / "shared"
    folder.mkdir()
    folder.chmod(mode)
    with pytest.raises(ControlFailed, match="users other than the one that runs the server may write there"):
        make_room(folder / "control.sock")


def test_a_path_that_is_too_long(tmp_path: Path) -> None:
    """Is named with what to set instead."""
    with pytest.raises(ControlFailed, match=r"longer than the 107 bytes of a socket\. Set control\.socket"):
        make_room(tmp_path / ("x" * 107))


def test_who_is_at_the_other_end() -> None:
    """The kernel says so: this process and its user."""
    ours, theirs = socket.socketpair(socket.AF_UNIX)
    with ours, theirs:
        peer = peer_of(ours)
    assert (peer.uid, peer.pid) == (os.geteuid(), os.getpid())
    assert user_name(peer.uid) == pwd.getpwuid(os.geteuid()).pw_name


def test_a_user_without_a_name() -> None:
    """Is called by the number."""
    assert user_name(3_999_999_999) == "uid 3999999999"
