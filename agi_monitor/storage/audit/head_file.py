"""The end of the audit's chain, kept apart from the audit: what is cut off there is missed here."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path

from agi_monitor.audit.chain import Head
from agi_monitor.files import folder
from agi_monitor.files.folder import Folder

HEAD_FILE = "audit-head.json"
"""Its name in the folder of the state."""

SIZE = 256
"""Always as long as this, so that it can be written over in one piece, within one block of the disk."""

MAX_BYTES = 1_048_576
"""What is larger was not written here."""


@dataclass(frozen=True, slots=True)
class KnownHead:
    """What is known of the end of the chain.

    Parameters:
        head: the last record that is on disk.
        closed: whether the server has stopped, and none came after it.
    """

    head: Head
    closed: bool


class HeadFile:
    """The file.

    Parameters:
        path: made when it is not there.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> KnownHead | None:
        """Return what it says, or None when it says nothing.

        Raises:
            OSError: it cannot be read.
        """
        try:
            content = json.loads(folder.read(self._path, MAX_BYTES))
            head = Head(content["seq"], content["hash"])
            if type(head.seq) is int and head.seq >= 0 and re.fullmatch("[0-9a-f]{64}", head.hash):
                return KnownHead(head, content["closed"] is True)
        except FileNotFoundError:
            pass
        except (ValueError, KeyError, TypeError, RecursionError):
            # Torn by a power cut. The audit itself tells where it ends.
            pass
        return None

    def replace(self, known: KnownHead) -> None:
        """Put it on disk, whatever was there.

        Raises:
            OSError: nothing changed.
        """
        folder.replace(self._path, _content(known), 0o640)

    def update(self, head: Head) -> None:
        """Write over it, without waiting for the disk: a crash of the server does not lose it, a power cut may.

        Raises:
            OSError: it still says what it said.
        """
        with Folder.at(self._path.parent) as place:
            handle = place.open(self._path.name, os.O_WRONLY | os.O_CREAT, 0o640)
        try:
            os.pwrite(handle, _content(KnownHead(head, closed=False)), 0)
        finally:
            os.close(handle)


def _content(known: KnownHead) -> bytes:
    text = json.dumps({"seq": known.head.seq, "hash": known.head.hash, "closed": known.closed})
    return text.encode().ljust(SIZE - 1) + b"\n"
