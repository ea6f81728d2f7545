"""The folder of what survives a restart, for one server at a time."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from agi_monitor.errors import StateUnavailable

PID_FILE = "agi-monitor.pid"


class StateFolder:
    """The folder of what survives a restart, for one server at a time.

    Parameters:
        directory: must exist.
    """

    def __init__(self, directory: Path) -> None:
        self._path = directory / PID_FILE
        self._handle = -1

    def take(self) -> None:
        """Lock the folder and write our process id.

        Raises:
            StateUnavailable: the folder is not there, not ours, or another server's.
        """
        try:
            self._handle = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.truncate(self._handle, 0)
            os.write(self._handle, f"{os.getpid()}\n".encode())
        except BlockingIOError:
            raise StateUnavailable(f"{self._path.parent}: another agi-monitor uses this folder") from None
        except OSError as error:
            raise StateUnavailable(
                f"{self._path.parent}: {error.strerror}. Make the folder, owned by the user that runs the server"
            ) from error

    def release(self) -> None:
        """Let the next server have it."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1

    def running(self) -> int | None:
        """Return the process id of the server that uses the folder, or None."""
        try:
            handle = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return int(os.read(handle, 32) or b"0") or None
        finally:
            os.close(handle)
        return None
