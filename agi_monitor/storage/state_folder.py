"""The folder of what survives a restart, for one server at a time."""

from __future__ import annotations

import fcntl
import os
import pwd
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from agi_monitor.errors import StateUnavailable
from agi_monitor.files.folder import Folder, groups_of, rights_of

PID_FILE = "agi-monitor.pid"

LOCKS = Path("/proc/locks")
"""Who holds which lock (fs/locks.c of Linux, lock_get_status)."""

USABLE = {PID_FILE, "agi-monitor.db", "agi-monitor.db-wal", "agi-monitor.db-shm", "audit-head.json"}
READABLE = {"audit-key.pem", "audit-key.pub", "server-key.json"}
"""What an earlier server may have left. Root's would keep the server's own user from starting."""


class StateFolder:
    """The folder of what survives a restart, for one server at a time.

    Parameters:
        directory: must exist.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._handle = -1

    def take(self) -> None:
        """Lock the folder and write our process id.

        Raises:
            StateUnavailable: the folder is not there, not ours, or another server's.
        """
        try:
            with Folder.at(self._directory) as folder:
                _must_be_ours(folder)
                self._handle = folder.open(PID_FILE, os.O_RDWR | os.O_CREAT, 0o600)
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Who can open it can lock it, and keep the next server from starting; earlier versions let all read it.
            with suppress(PermissionError):
                os.fchmod(self._handle, 0o600)
            os.truncate(self._handle, 0)
            os.write(self._handle, f"{os.getpid()}\n".encode())
        except BlockingIOError:
            raise StateUnavailable(f"{self._directory}: another agi-monitor uses this folder") from None
        except OSError as error:
            place = self._directory
            if error.filename is not None and Path(error.filename) == place / PID_FILE:
                place = place / PID_FILE
            raise StateUnavailable(
                f"{place}: {error.strerror}. Make the folder, owned by the user that runs the server"
            ) from error

    def release(self) -> None:
        """Let the next server have it."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1

    def running(self) -> int | None:
        """Return the process id of the server that uses the folder, or None.

        It is the process that holds the lock, as the kernel says. What the file says is not used: a user who may
        write it could have any process signalled.
        """
        try:
            with Folder.at(self._directory) as folder:
                handle = folder.open(PID_FILE, os.O_RDONLY)
        except OSError:
            return None
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return _holder(os.fstat(handle))
        finally:
            os.close(handle)
        return None

    def tell(self, number: signal.Signals) -> int | None:
        """Send a signal to the server that uses the folder, and return its process id; None when there is none.

        Parameters:
            number: of the signal.

        Raises:
            StateUnavailable: the process with the lock is not one of the folder's owner, or may not be signalled.
        """
        found = self.running()
        if found is None or found <= 1:
            return None
        try:
            handle = os.pidfd_open(found)
            try:
                # The process that is held is looked at, not one that got its number since.
                if self.running() != found:
                    return None
                with Folder.at(self._directory) as folder:
                    users = _users_of(found)
                    if users != {folder.uid}:
                        raise StateUnavailable(
                            f"{self._directory}: belongs to {user_name(folder.uid)}, and process {found}, which has "
                            "locked it, runs as another user; nothing was sent to it"
                        )
                signal.pidfd_send_signal(handle, number)
            finally:
                os.close(handle)
        except ProcessLookupError:
            return None
        except OSError as error:
            raise StateUnavailable(f"process {found}: {error.strerror}") from error
        return found


@contextmanager
def as_owner_of(directory: Path) -> Iterator[None]:
    """Have the rights of the folder's owner, and no others, where this is root's process.

    The groups are those of that user, not the folder's: one that root has made and given away has root's group still.

    For what opens its files by name, and follows links: SQLite makes a journal beside its file, and as root gives it
    to the owner of that file (os_unix.c, unixOpen) wherever a link has led it.

    Parameters:
        directory: whose owner.

    Raises:
        StateUnavailable: it is not there, others may write there too, or its owner's rights cannot be taken on.
    """
    if os.geteuid() != 0:
        yield
        return
    try:
        with Folder.at(directory) as folder:
            uid = folder.uid
            if uid == 0:
                _must_be_ours(folder)
            wanted = groups_of(uid, folder.gid) if uid != 0 else []
    except OSError as error:
        raise _not_usable(directory, error) from error
    if uid != 0 and not wanted:
        raise StateUnavailable(
            f"{directory}: belongs to {user_name(uid)}, who has no group but root's, and root's rights are not given "
            "to that user. Give the folder to the user and the group of the server"
        )
    with ExitStack() as stack:
        try:
            if uid != 0:
                stack.enter_context(rights_of(uid, wanted))
        except OSError as error:
            raise _not_usable(directory, error) from error
        yield


def _not_usable(directory: Path, error: OSError) -> StateUnavailable:
    return StateUnavailable(
        f"{directory}: {error.strerror}; the folder must exist and belong to the user of the server"
    )


def user_name(uid: int) -> str:
    """Return the name of a user, or the number of one without."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _must_be_ours(folder: Folder) -> None:
    if os.geteuid() == 0:
        if folder.uid != 0:
            owner = user_name(folder.uid)
            raise StateUnavailable(
                f"{folder.path}: belongs to {owner}, and root would leave files there that {owner} cannot use. Run "
                f"it as that user, by systemctl or with: sudo -u {owner} agi-monitor serve"
            )
        if folder.is_shared:
            raise StateUnavailable(
                f"{folder.path}: others than root may write there. Take that right away, or give the folder to the "
                "user of the server and run it as that user"
            )
        if folder.stranger() is not None:
            raise StateUnavailable(
                f"{folder.path}: others than root may write to a folder above it, and put another one in its place. "
                "Move it to a folder of root's, or run the server as a user of its own"
            )
        return
    for names, access in ((USABLE, os.R_OK | os.W_OK), (READABLE, os.R_OK)):
        for name in sorted(names):
            found = folder.status(name)
            if found is not None and not folder.may(name, access):
                mine = user_name(os.geteuid())
                raise StateUnavailable(
                    f"{folder.path / name}: belongs to {user_name(found.st_uid)}, and {mine}, who runs the server, "
                    f"cannot use it. Was it run as root once? Give it back: chown -R {mine}: {folder.path}"
                )


def _holder(status: os.stat_result) -> int | None:
    """The process that has locked a file."""
    device = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
    on_device: set[int] = set()
    anywhere: set[int] = set()
    for line in LOCKS.read_text(encoding="ascii").splitlines():
        # "1: FLOCK  ADVISORY  WRITE 812 08:01:131073 0 EOF"; a file system of layers has a device of its own here.
        words = line.split()
        if words[1:2] == ["FLOCK"] and words[3] == "WRITE" and words[5].rpartition(":")[2] == str(status.st_ino):
            anywhere.add(int(words[4]))
            if words[5] == device:
                on_device.add(int(words[4]))
    found = on_device or anywhere
    return found.pop() if len(found) == 1 else None


def _users_of(process: int) -> set[int]:
    """All users that a process has rights of."""
    try:
        text = Path(f"/proc/{process}/status").read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        raise ProcessLookupError from None
    return {int(uid) for line in text.splitlines() if line.startswith("Uid:") for uid in line.split()[1:]}
