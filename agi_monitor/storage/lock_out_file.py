"""Lock-outs in one JSON file, replaced as a whole."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from agi_monitor.errors import StateUnavailable
from agi_monitor.storage import durable
from agi_monitor.supervision.pins import LockOut

MAX_TIME = 253_402_300_800
"""The year 10000, where calendars end."""


class LockOutFile:
    """``pins.LockOutStore`` on disk.

    Parameters:
        path: the file; made when it is not there.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self) -> Mapping[str, LockOut]:
        """Return all lock-outs.

        Raises:
            StateUnavailable: the file is there and cannot be used. It is not thrown away: without it
                everybody who is locked out could go on guessing.
        """
        try:
            entries = json.loads(self._path.read_bytes())
            return {who: _lock_out(**entry) for who, entry in entries.items()}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
            raise StateUnavailable(
                f"{self._path}: the lock-outs cannot be read ({error!r}). "
                "Mend the file, or remove it to let everybody try again"
            ) from error

    def save(self, lock_outs: Mapping[str, LockOut]) -> None:
        """Replace all lock-outs on disk.

        Raises:
            StateUnavailable: nothing changed on disk.
        """
        content = json.dumps({who: asdict(lock_out) for who, lock_out in lock_outs.items()}, indent=1)
        try:
            durable.replace(self._path, content.encode() + b"\n", 0o600)
        except OSError as error:
            raise StateUnavailable(f"{self._path}: the lock-outs cannot be written: {error.strerror}") from error


def _lock_out(failures: object, last: object, until: object) -> LockOut:
    """Check one entry: a number that is none would let somebody who is locked out go on."""
    if isinstance(failures, bool) or not isinstance(failures, int) or failures < 0:
        raise ValueError("failures must be a whole number")
    return LockOut(failures, _time(last), _time(until))


def _time(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < MAX_TIME:
        raise ValueError("a time must be seconds since 1970")
    return float(value)
