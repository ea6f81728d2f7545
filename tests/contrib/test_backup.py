"""The back-up of docs/topics/operations.md, taken while a server writes, is one to continue from."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

from tests.contrib.test_logrotate import listen
from tests.doubles.server_process import Dial, Start


def back_up_state(folder: Path, to: Path) -> None:
    """Keys and ends by copy, the store by SQLite's own way."""
    to.mkdir(parents=True)
    for path in [*folder.glob("*.json"), *folder.glob("audit-key.*")]:
        shutil.copy2(path, to)
    with sqlite3.connect(folder / "agi-monitor.db") as source, sqlite3.connect(to / "agi-monitor.db") as copy:
        source.backup(copy)
    source.close()
    copy.close()


def verified(config: Path) -> int:
    """The exit code of `audit verify`."""
    command = [sys.executable, "-m", "agi_monitor", "audit", "verify", "-c", str(config)]
    return subprocess.run(command, capture_output=True, check=False).returncode


def test_state_first_and_the_audit_afterwards(start: Start, dial: Dial, text: str, tmp_path: Path) -> None:
    """What is written between the two copies is not a gap; a server continues from them, and all of it verifies."""
    server = start()
    server.logs("serving")
    listen(server, dial)
    copy = tmp_path / "copy"
    back_up_state(tmp_path / "state", copy / "state")
    listen(server, dial)
    shutil.copytree(tmp_path / "log", copy / "log")
    server.stop()
    config = copy / "agi-monitor.yaml"
    restored = text.replace(str(tmp_path), str(copy))
    config.write_text(restored)
    assert verified(config) == 0
    again = start(restored)
    again.logs("serving")
    listen(again, dial)
    assert again.stop()[0] == 0
    assert verified(config) == 0


def test_the_other_order_looks_like_a_gap(start: Start, dial: Dial, text: str, tmp_path: Path) -> None:
    """Why the order matters: the state would know of records that the copy lacks."""
    server = start()
    server.logs("serving")
    listen(server, dial)
    copy = tmp_path / "copy"
    shutil.copytree(tmp_path / "log", copy / "log")
    listen(server, dial)
    server.stop()
    back_up_state(tmp_path / "state", copy / "state")
    config = copy / "agi-monitor.yaml"
    config.write_text(text.replace(str(tmp_path), str(copy)))
    assert verified(config) == 1
