"""What a site sees of its server: records as they are written, numbers for Prometheus, and the command line."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from contrib.lab.waiting import wait_until
from tests.scenarios.house import House

pytestmark = pytest.mark.either_version
"""Records, numbers and the command line are ours."""

SECONDS = 40.0
ROGUE = """[lab-tests]
exten => 7601,1,Answer()
 same => n,ChanSpy(PJSIP/1001-,q)
 same => n,Hangup()
"""


@contextmanager
def followed(house: House, path: Path) -> Iterator[Path]:
    """`agi-monitor events --json` while the block runs; what it prints is in the file."""
    command = [sys.executable, "-m", "agi_monitor", "events", "--json", "--config", str(house.server.config)]
    with path.open("wb") as file, subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT) as follower:
        try:

            def is_there() -> bool:
                house.server.reload()  # which makes a record
                return bool(records(path))

            wait_until(is_there, SECONDS, "the first record", interval=0.5)
            yield path
        finally:
            follower.terminate()


def records(path: Path) -> list[dict[str, Any]]:
    """The records that were printed."""
    return [json.loads(line) for line in path.read_text().splitlines()]


def port(house: House) -> int:
    """Where the numbers are, by the configuration."""
    return int(json.loads(house.server.config.read_text())["metrics"]["port"])


def free_port() -> int:
    """A port of the loopback that is free now: other scenarios with numbers may run beside this one."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def numbers(house: House) -> dict[str, float]:
    """The page that Prometheus reads."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port(house)}/metrics", timeout=SECONDS) as page:
        text = page.read().decode()
    return {name: float(value) for name, value in re.findall(r"^(agi_monitor\S+) (\S+)$", text, re.MULTILINE)}


@pytest.fixture
def watched(house: House) -> Iterator[House]:
    """A house with numbers, and a way to spy without a grant."""
    house.restart(metrics={"port": free_port()})
    house.lab.pbx.write_dialplan("lab-watching", ROGUE)
    yield house
    house.lab.pbx.hangup_all()
    house.lab.pbx.remove_dialplan("lab-watching")


def test_a_spy_and_a_rogue_are_seen_everywhere(watched: House, tmp_path: Path) -> None:
    """Records, numbers and the command line tell the same of a spy that is killed and of a rogue that is."""
    house = watched
    before = numbers(house)
    with followed(house, tmp_path / "events") as path:
        house.lab.connect("3001", "1001")
        house.spy("whisper")
        house.lab.phone("2999").dial("7601")
        (rogue,) = house.server.wait_for_audit("rogue_spy")
        during = numbers(house)
        assert during['agi_monitor_spies{kind="granted",mode="whisper",node="pbx"}'] == 1
        assert during['agi_monitor_spies{kind="rogue",mode="",node="pbx"}'] == 1
        assert (during['agi_monitor_ami_up{node="pbx"}'], during['agi_monitor_stale{node="pbx"}']) == (1, 0)
        for spy in house.asks("spies")["spies"]:
            said = house.server.command("spy", "kill", spy["id"], "--json", "--config", str(house.server.config))
            assert json.loads(said)["ended"]["id"] == spy["id"]
        house.server.wait_for_audit("spy_ended")
        (ended,) = house.server.wait_for_audit("rogue_spy_ended")
        assert (ended["spyer_uniqueid"], ended["by"] != "") == (rogue["spyer_uniqueid"], True)
        wait_until(lambda: len(house.asks("spies")["spies"]) == 0, SECONDS, "nobody to spy any more")
        audit = house.server.audit()
        told = wait_until(
            lambda: found if (found := records(path))[-1]["at"] == audit[-1]["at"] else None,
            SECONDS,
            "the last record",
            describe=path.read_text,
        )
    # The last ones of the audit, every one, in this order; what stands in the file beside is the chain's.
    for shown, kept in zip(told, audit[-len(told) :], strict=True):
        assert shown == {name: kept[name] for name in shown}
    after = numbers(house)
    for name, fact, of in (
        ("spies_started_total", "spy_started", "mode"),
        ("spies_ended_total", "spy_ended", "why"),
        ("spies_revoked_total", "spy_revoked", "why"),
        ("rogue_spies_total", "rogue_spy", "action"),
    ):
        (record,) = house.server.audit(fact)
        label = f'agi_monitor_{name}{{{of}="{record[of]}"}}'
        assert (before[label], after[label]) == (0, 1)
    seconds = 'agi_monitor_spy_seconds_total{mode="whisper"}'
    assert after[seconds] == pytest.approx(house.server.audit("spy_ended")[0]["seconds"])
    assert after['agi_monitor_index_differences_total{node="pbx"}'] == 0
    assert after["agi_monitor_audit_waiting"] == 0
