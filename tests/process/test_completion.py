"""What a shell completes, with the script that it is given."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from agi_monitor.commands import watching
from agi_monitor.commands.main import main
from agi_monitor.config.sample import SAMPLE
from agi_monitor.control import client
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
    """It may have come from somebody else."""
    spies = [replace(ROGUE, id=id) for id in ("a1.1", "a$(reboot)", "a b", "a\n", "")]
    monkeypatch.setattr(client, "spies", lambda path, seconds: spies)
    assert completed("spy", "kill", "--socket", str(tmp_path), "a") == ["a1.1"]


def test_a_server_that_hangs_is_not_waited_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Longer than somebody waits who has pressed a key."""
    monkeypatch.setattr(watching, "COMPLETION_SECONDS", 0.05)
    path = tmp_path / "other.sock"
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(path))
        silent.listen()
        assert completed("spy", "kill", "--socket", str(path), "") == []
