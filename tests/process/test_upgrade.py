"""A site of an earlier state of 0.x is taken over as it is: its configuration, store, audit and dialplan continue.

``tests/samples/november_2026`` is what that version left: people in the store, an install with the books in
Asterisk's folder, and an audit with a start and a stop of its server.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from contrib.lab.waiting import wait_until

SAMPLE = Path(__file__).parents[1] / "samples" / "november_2026"
SECONDS = 60.0


class Site:
    """The site on its machine, with this version.

    Parameters:
        folder: where its files are.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config = folder / "agi-monitor.yaml"

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a command of this version."""
        command = [sys.executable, "-m", "agi_monitor", *words, "--config", str(self.config)]
        environment = {**os.environ, "AGI_MONITOR_BOOKS": str(self.folder / "books")}
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    def must(self, *words: str) -> str:
        """The same, of a command that has to end well."""
        done = self.run(*words)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """Everything where that version had it."""
    shutil.copytree(SAMPLE / "asterisk", tmp_path / "asterisk")
    (tmp_path / "asterisk" / "agi-monitor" / "installed").rename(tmp_path / "asterisk" / "agi-monitor" / ".installed")
    for name in ("state", "audit"):
        (tmp_path / name).mkdir(mode=0o750)
    shutil.copy(SAMPLE / "audit.jsonl", tmp_path / "audit")
    for name in ("audit-head.json", "audit-key.pem", "audit-key.pub"):
        shutil.copy(SAMPLE / name, tmp_path / "state")
        (tmp_path / "state" / name).chmod(0o600)
    text = (SAMPLE / "agi-monitor.yaml").read_text().replace("FOLDER", str(tmp_path))
    # Another test may use that port.
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (tmp_path / "agi-monitor.yaml").write_text(text.replace("45731", str(port)))
    with closing(sqlite3.connect(tmp_path / "state" / "agi-monitor.db")) as database:
        database.executescript((SAMPLE / "store.sql").read_text())
    return Site(tmp_path)


def test_the_steps_of_the_document_take_it_over(site: Site) -> None:
    """In its order: check, install, start, verify. People and their PIN are there, and the audit is one chain."""
    site.must("check-config")
    before = (site.folder / "asterisk" / "extensions.conf").read_bytes()
    said = site.must("install", "--yes", "--asterisk-dir", str(site.folder / "asterisk"))
    assert "agi-monitor/agi-monitor.conf: changed" in said
    assert (site.folder / "asterisk" / "extensions.conf").read_bytes() == before
    assert not any((site.folder / "asterisk" / "agi-monitor" / ".installed").iterdir())

    people = json.loads(site.must("people", "list", "--json"))
    assert (people["supervisors"]["anna"]["endpoints"], people["agents"]["1001"]["name"]) == (["PJSIP/2001"], "Ben")
    assert "listen" in site.must("explain", "anna", "listen", "1001")

    log = site.folder / "server.log"
    command = [sys.executable, "-m", "agi_monitor", "serve", "--config", str(site.config)]
    with log.open("wb") as out, subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT) as server:
        try:
            wait_until(
                lambda: "serving" in log.read_text() or server.poll() is not None,
                SECONDS,
                "the server to serve",
                describe=log.read_text,
            )
            assert server.poll() is None, log.read_text()
            assert json.loads(site.must("status", "--json"))["ami"] == "off"
            server.terminate()
            assert server.wait(SECONDS) == 0
        finally:
            server.kill()
    facts = [json.loads(line)["fact"] for line in (site.folder / "audit" / "audit.jsonl").read_text().splitlines()]
    assert [fact for fact in facts if fact.startswith("server_")] == [
        "server_started",
        "server_stopped",
        "server_started",
        "server_stopped",
    ]
    assert "nothing was changed" in site.must("audit", "verify")

    site.must("uninstall", "--yes", "--asterisk-dir", str(site.folder / "asterisk"))
    found = {path.name: path.read_bytes() for path in (site.folder / "asterisk").iterdir()}
    assert found == {
        "extensions.conf": b"[phones]\nexten => 1001,1,Dial(PJSIP/1001)\n",
        "manager.conf": b"[general]\nenabled = no\n",
    }
