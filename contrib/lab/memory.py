"""Files in memory instead of on a disk, for what makes and removes thousands of them, and for no power cut."""

from __future__ import annotations

import os
from pathlib import Path

MEMORY = Path("/dev/shm")  # noqa: S108 (a folder of its own is made there)
ROOM_BYTES = 4 << 30
"""For the databases of all tests on several processors, eight megabytes each, and for their files."""
LACKING = os.ST_NOEXEC | os.ST_NODEV


def folder_in_memory(*, like_a_disk: bool) -> Path | None:
    """Return where files are kept in memory, when there is room.

    :param like_a_disk: only where programs can be started and devices be opened
    """
    try:
        found = os.statvfs(MEMORY)
    except OSError:
        return None
    if (like_a_disk and found.f_flag & LACKING) or found.f_bavail * found.f_frsize < ROOM_BYTES:
        return None
    return MEMORY if os.access(MEMORY, os.W_OK) else None
