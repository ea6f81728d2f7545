"""What a shell completes, with the script that it is given."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from agi_monitor.commands import completing, watching
from agi_monitor.commands.main import main
from agi_monitor.config.people import People, SupervisorEntry
from agi_monitor.config.sample import SAMPLE
from agi_monitor.control import client
from agi_monitor.pins.records import make_hash
from tests.shell.live_house import GRANTED, ROGUE
from tests.shell.live_server import LiveServer
from tests.unit.commands.test_later import completed


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """A server, and a configuration beside its socket."""
    folder = tmp_path_factory.mktemp("house")
    (folder / "agi-monitor.yaml").write_text(SAMPLE.replace("/var/lib/agi-monitor", str(folder)))
    with LiveServer(folder / "control.sock") as server:
        yield server


def script(shell: str) -> str:
    """What a shell is given."""
    result = CliRunner().invoke(main, ["completion", shell], catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_has_a_script(shell: str) -> None:
    """It asks this program by the name that the program knows."""
    assert f"_AGI_MONITOR_COMPLETE={shell}_complete" in script(shell)
    assert "agi-monitor" in script(shell)


def test_another_shell_has_none() -> None:
    """The command was called wrongly."""
    assert CliRunner().invoke(main, ["completion", "csh"]).exit_code == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [("sp", "spies spy"), ("people add s", "supervisor"), ("spy kill ", f"{GRANTED.id} {ROGUE.id}")],
)
def test_bash_completes(server: LiveServer, tmp_path: Path, words: str, said: str) -> None:
    """Commands, commands within one, and the ids of spies."""
    program = tmp_path / "agi-monitor"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m agi_monitor "$@"\n')
    program.chmod(0o755)
    (tmp_path / "script").write_text(script("bash"))
    *before, last = words.split(" ")
    typed = " ".join(f"'{word}'" for word in ["agi-monitor", *before, last])
    line = (
        f"source {tmp_path}/script; COMP_WORDS=({typed}); COMP_CWORD={len(before) + 1}; "
        f"_agi_monitor_completion {program} '{last}'; echo ${{COMPREPLY[*]}}"
    )
    config = str(server.path.parent / "agi-monitor.yaml")
    done = subprocess.run(
        ["bash", "-c", line],
        capture_output=True,
        text=True,
        check=True,
        env={"AGI_MONITOR_CONFIG": config, "PATH": "/usr/bin:/bin", "PYTHONPATH": ":".join(sys.path)},
    )
    assert (done.stdout.strip(), done.stderr) == (said, "")


def test_ids_of_the_server_that_is_named(server: LiveServer, tmp_path: Path) -> None:
    """By an option before; and only those that begin so."""
    ids = [GRANTED.id, ROGUE.id]
    socket_ = ["--socket", str(server.path)]
    assert completed("spy", "kill", *socket_, "") == ids
    assert completed("spy", "kill", *socket_, ids[0][:2]) == ids[:1]
    assert completed("spy", "kill", "--socket", str(tmp_path / "none.sock"), "") == []
    assert completed("spy", "kill", "--config", str(tmp_path / "none.yaml"), "") == []


def test_an_id_that_a_shell_would_run_is_left_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It may have come from another."""
    spies = [replace(ROGUE, id=id) for id in ("a1.1", "a$(reboot)", "a b", "a\n", "")]
    monkeypatch.setattr(client, "spies", lambda path, seconds: spies)
    assert completed("spy", "kill", "--socket", str(tmp_path), "a") == ["a1.1"]


def test_a_server_that_hangs_is_not_waited_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Longer than a person waits who has pressed a key."""
    monkeypatch.setattr(watching, "COMPLETION_SECONDS", 0.05)
    path = tmp_path / "other.sock"
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(path))
        silent.listen()
        assert completed("spy", "kill", "--socket", str(path), "") == []


PEOPLE = {
    "supervisors": {
        "anna": {"name": "Anna", "endpoints": ["PJSIP/2001"], "groups": ["leads"], "pin": make_hash("20011357")}
    },
    "agents": {"1001": {"groups": ["sales"]}, "1002": {"name": "Ben", "groups": ["sales"]}},
    "rules": [{"name": "leads-on-sales", "allow": ["listen"], "supervisors": ["leads"], "agents": ["sales"]}],
}


@pytest.mark.parametrize("in_store", [False, True])
def test_people_and_rules_of_the_configuration(tmp_path: Path, in_store: bool) -> None:
    """Wherever they are. The key that completes a word makes no database."""
    config, people = tmp_path / "agi-monitor.yaml", tmp_path / "people.json"
    site: dict[str, object] = {
        "fastagi": {"peers": ["127.0.0.1"]},
        "state": {"directory": str(tmp_path)},
        "audit": {"file": str(tmp_path / "audit.jsonl")},
    }
    config.touch(mode=0o600)
    config.write_text(json.dumps({**site, "store": {"people": True}} if in_store else {**site, **PEOPLE}))
    named = ["--config", str(config)]
    if in_store:
        before = sorted(tmp_path.iterdir())
        assert completed("explain", *named, "") == []
        assert sorted(tmp_path.iterdir()) == before
        people.write_text(json.dumps(PEOPLE))
        done = CliRunner().invoke(main, ["people", "import", str(people), *named, "--yes"])
        assert done.exit_code == 0, done.output
    assert completed("explain", *named, "") == ["anna"]
    assert completed("explain", *named, "anna", "listen", "100") == ["1001", "1002"]
    assert completed("pin", "reset", *named, "b") == []
    assert completed("people", "disable", *named, "") == ["1001", "1002", "anna"]
    assert completed("rules", "remove", *named, "") == ["leads-on-sales"]
    assert completed("people", "list", *named, "--group", "s") == ["sales"]


def test_a_name_that_a_shell_would_run_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal gets no control characters either."""
    names = {"anna": "An\x1b]0;x", "a$(reboot)": "Bert"}
    entries = {id: SupervisorEntry.model_construct(name=name) for id, name in names.items()}
    people = People.model_construct(supervisors=entries)
    monkeypatch.setattr(completing, "_people", lambda path: people)
    (found,) = completing.supervisors(click.Context(main), click.Argument(["who"]), "")
    assert (found.value, found.help) == ("anna", None)


def test_a_configuration_that_cannot_be_read_completes_nothing(tmp_path: Path) -> None:
    """And says nothing in the middle of a line."""
    (tmp_path / "broken.yaml").write_text("agents: [")
    for name in ("broken.yaml", "none.yaml", ""):
        assert completed("explain", "--config", str(tmp_path / name), "") == []
