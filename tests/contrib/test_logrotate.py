"""contrib/logrotate with Debian's logrotate, on an audit that a server writes to meanwhile."""

from __future__ import annotations

import grp
import os
import pwd
import subprocess
import sys
from pathlib import Path

import pytest

from contrib.lab.engine import ensure_programs
from contrib.lab.images import CACHE
from contrib.lab.progress import Progress
from tests.doubles.server_process import Dial, Server, Start

RULE = Path(__file__).resolve().parents[2] / "contrib" / "logrotate" / "agi-monitor"


@pytest.fixture(scope="module", autouse=True)
def programs() -> None:
    """Debian's logrotate."""
    ensure_programs({"logrotate": "logrotate"}, CACHE, Progress())


def rotate(folder: Path) -> None:
    """Rotate now, whatever the date is, by the rule of the project with another path and user."""
    user, group = pwd.getpwuid(os.getuid()).pw_name, grp.getgrgid(os.getgid()).gr_name
    rule = folder / "rule"
    text = RULE.read_text().replace("/var/log/agi-monitor", str(folder / "log"))
    assert "su agi-monitor agi-monitor" in text
    rule.write_text(text.replace("su agi-monitor agi-monitor", f"su {user} {group}"))
    rule.chmod(0o644)
    environment = {**os.environ, "PATH": f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"}
    command = ["logrotate", "--force", "--verbose", "--state", str(folder / "rotated"), str(rule)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    assert "error" not in done.stderr


def listen(server: Server, dial: Dial) -> None:
    """One spy from its beginning to its end."""
    call = dial(server)
    call.answer_until("EXEC")
    call.say("HANGUP", "200 result=-1")
    call.close()
    server.logs("agi_session_ended")


def test_no_record_is_lost_and_the_audit_verifies(start: Start, dial: Dial, tmp_path: Path) -> None:
    """Rotated twice between calls: each file has its part, the oldest is packed, and the chain goes through all."""
    server = start()
    server.logs("serving")
    listen(server, dial)
    rotate(tmp_path)
    listen(server, dial)
    rotate(tmp_path)
    listen(server, dial)
    code, _ = server.stop()
    assert code == 0
    files = {path.name for path in (tmp_path / "log").glob("audit.jsonl*") if path.suffix != ".lock"}
    assert files == {"audit.jsonl", "audit.jsonl.1", "audit.jsonl.2.gz"}
    assert "audit_file_changed" not in {line["event"] for line in server.lines}

    command = [sys.executable, "-m", "agi_monitor", "audit", "verify", "-c", str(server.config)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, "nothing was changed" in done.stdout) == (0, True), done.stdout + done.stderr
    command = [*command[:4], "list", "--json", "-c", str(server.config)]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert listed.count('"spy_started"') == 3


def test_a_file_that_is_gone_is_missed(start: Start, dial: Dial, tmp_path: Path) -> None:
    """The check above can fail: without the packed file the audit is not what was written."""
    server = start()
    server.logs("serving")
    listen(server, dial)
    rotate(tmp_path)
    listen(server, dial)
    server.stop()
    (tmp_path / "log" / "audit.jsonl.1").unlink()
    command = [sys.executable, "-m", "agi_monitor", "audit", "verify", "-c", str(server.config)]
    assert subprocess.run(command, capture_output=True, text=True, check=False).returncode == 1
