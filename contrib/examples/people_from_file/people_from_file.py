"""A plug-in: who there is, and who may hear whom, comes from a file that another system writes."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path


class PeopleFromFile:
    """A ``PeopleStore``. What it raises, such as for a file that is gone, keeps every supervisor out."""

    def __init__(self) -> None:
        self._file = Path(os.environ.get("PEOPLE_FILE", "/etc/agi-monitor/people.json"))

    def people_version(self) -> str:
        """Say when the file was written; the other system renames a new one into its place."""
        status = self._file.stat()
        return f"{status.st_ino} {status.st_mtime_ns} {status.st_size}"

    def load_people(self) -> Mapping[str, object]:
        """Return what the file says."""
        people: Mapping[str, object] = json.loads(self._file.read_text(encoding="utf-8"))
        return people
