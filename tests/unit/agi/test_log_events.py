"""agi_monitor.agi.log_events: the list is complete, and nothing is on it for nothing."""

from __future__ import annotations

import re
from pathlib import Path

import agi_monitor.agi
from agi_monitor.agi.log_events import LogEvent

FOLDER = Path(agi_monitor.agi.__file__).parent


def test_every_event_is_logged_somewhere_and_no_other() -> None:
    """Each name is used, and no log call on this wire writes its name by hand."""
    paths = [*FOLDER.glob("*.py"), FOLDER.parent / "async_agi.py"]
    sources = {path.name: path.read_text() for path in paths if path.name != "log_events.py"}
    used = {name for text in sources.values() for name in re.findall(r"LogEvent\.([A-Z_]+)", text)}
    assert used == set(LogEvent.__members__)
    for text in sources.values():
        assert re.search(r"\.(?:debug|info|warning|error|exception|critical)\(\s*[\"']", text) is None


def test_names_say_where_they_come_from() -> None:
    """Each name begins with agi_."""
    assert all(event.startswith("agi_") for event in LogEvent)
