"""`agi-monitor discover` reads a PBX's files as the PBX does."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from contrib.lab.manager import Manager
from contrib.lab.pbx import Lab

FILES = ("pjsip.conf", "queues.conf", "voicemail.conf")


def test_every_endpoint_of_the_pbx_is_read(lab: Lab, tmp_path: Path) -> None:
    """Those that it has loaded, each as the device of its extension, and no others."""
    folder = "/etc/asterisk"
    names = lab.pbx.container.exec(["find", folder, "-name", "*.conf", "-type", "f"]).output.decode().split()
    for name in names:
        path = tmp_path / Path(name).relative_to(folder)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(lab.pbx.container.exec(["cat", name]).output)
    done = subprocess.run(
        [sys.executable, "-m", "agi_monitor", "discover", "--asterisk-dir", str(tmp_path), "--json"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    devices = {device for agent in found["agents"].values() for device in agent["endpoints"]}
    unnamed = {note.split(": ")[1].split()[0] for note in found["notes"] if "names no extension" in note}
    with Manager(lab, "doctor") as manager:
        loaded = {f"PJSIP/{item['ObjectName']}" for item in manager.ask("PJSIPShowEndpoints")}
    assert loaded
    assert devices | unnamed == loaded
    assert "PJSIP/1001" in found["agents"]["1001"]["endpoints"]
