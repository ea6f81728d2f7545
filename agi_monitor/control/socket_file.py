"""Where the socket is, whose it is, and who may have its place. Linux: SO_PEERCRED."""

from __future__ import annotations

import errno
import os
import pwd
import socket
import stat
import struct
from dataclasses import dataclass
from pathlib import Path

from agi_monitor.errors import ControlFailed
from agi_monitor.files.folder import Folder

NAME = "control.sock"
MODE = 0o660
"""For the owner and the group: a user who may open the socket sees all calls and may end spies."""

MAX_PATH_BYTES = 107
"""The longest path that a UNIX socket can have on Linux (sockaddr_un, with its final zero)."""


@dataclass(frozen=True, slots=True)
class Peer:
    """The process at the other end, as the kernel tells it.

    Parameters:
        uid: the user that it ran as when it connected.
        pid: its process id, or 0 where it is in a container that we cannot see into.
    """

    uid: int
    pid: int


def socket_path(given: Path | None, state_directory: Path) -> Path:
    """Where the socket is: where the configuration says, or in the folder of the state."""
    return given or state_directory / NAME


def peer_of(connection: socket.socket) -> Peer:
    """Who is at the other end of a UNIX socket."""
    form = struct.Struct("3i")
    pid, uid, _ = form.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, form.size))
    return Peer(uid, pid)


def user_name(uid: int) -> str:
    """The name of a user, or ``uid 1000`` for one that has none. May take long: the users may be on the network."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"


def make_room(path: Path) -> None:
    """Remove the socket of a server that is gone.

    Raises:
        ControlFailed: a process listens there, it is not a socket, or its folder cannot be used.
    """
    if len(os.fsencode(path)) > MAX_PATH_BYTES:
        raise ControlFailed(f"{path}: longer than the {MAX_PATH_BYTES} bytes of a socket. Set control.socket")
    try:
        with Folder.at(path.parent) as folder:
            _must_be_ours(folder)
            found = folder.status(path.name)
            if found is None:
                return
            if not stat.S_ISSOCK(found.st_mode):
                raise ControlFailed(f"{path}: exists and is not a socket. Remove it, or set control.socket")
            code = _knock(path)
            if code in (0, errno.EAGAIN):
                raise ControlFailed(f"{path}: another program listens there. Stop it, or set control.socket")
            if code != errno.ECONNREFUSED:
                raise OSError(code, os.strerror(code))
            folder.remove(path.name)
    except FileNotFoundError:
        return
    except OSError as error:
        raise ControlFailed(
            f"{path}: {error.strerror}. It and its folder must belong to the user that runs the server"
        ) from error


def _must_be_ours(folder: Folder) -> None:
    """Refuse a folder where another user could exchange the socket: its mode is set by its name, and a link would be
    followed. Nor may another user make it while no server runs, as the sticky bit of /tmp allows: the commands would
    believe what answers."""
    if folder.uid not in (0, os.geteuid()) or folder.is_shared:
        raise ControlFailed(
            f"{folder.path}: users other than the one that runs the server may write there. Set control.socket "
            "to a path in a folder that belongs to that user alone"
        )


def _knock(path: Path) -> int:
    """Connect and close. Returns the error: ECONNREFUSED when no process listens, EAGAIN when one has no time."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        return probe.connect_ex(str(path))


def identity(path: Path) -> tuple[int, int] | None:
    """What tells a file from another one of the same name, or None when there is none."""
    try:
        found = path.lstat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
