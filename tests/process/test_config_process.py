"""agi_monitor.server.config_process: another process reads the same configuration, or says the same about it."""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path

import pytest

from agi_monitor.config.loading import load
from agi_monitor.errors import ConfigError
from agi_monitor.server import config_process
from agi_monitor.server.config_process import ConfigProcess, told
from tests.unit.config.test_loading import TEXT

WAIT_SECONDS = 60.0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A configuration."""
    found = tmp_path / "c.yaml"
    found.write_text(TEXT)
    return found


def said(path: Path) -> tuple[str, ...]:
    """What is wrong, by the other process."""
    with pytest.raises(ConfigError) as caught:
        ConfigProcess(path).load()
    return caught.value.problems


@pytest.mark.parametrize(
    "text",
    [TEXT, f"{TEXT}ami: {{secret: correct-horse-battery}}\n", "store: {people: true}\n", TEXT + "metrics: {}\n"],
)
def test_reads_the_same(path: Path, text: str) -> None:
    """Every value, the digest, and which sections stand in the file."""
    path.write_text(text)
    found = ConfigProcess(path).load()
    assert found == load(path)
    assert found.config.model_fields_set == load(path).config.model_fields_set


@pytest.mark.parametrize("text", ["", "agents: [", TEXT + "fastagy: {}\n", TEXT.replace("PJSIP/2001", "2001")])
def test_says_the_same_about_a_mistake(path: Path, text: str) -> None:
    """With its line."""
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert said(path) == caught.value.problems


def test_names_a_file_that_cannot_be_read(path: Path) -> None:
    """Missing, or a FIFO."""
    path.unlink()
    assert said(path) == (f"{path}: cannot be read: No such file or directory. Write one with: agi-monitor init",)
    os.mkfifo(path)
    assert said(path) == (f"{path}: cannot be read: It is not a regular file",)


def test_takes_no_code_from_where_the_server_stands(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Anyone who may write into a folder does not run what the server runs."""
    for name in ("agi_monitor.py", "json.py", "config.py"):
        (path.parent / name).write_text("raise SystemExit(3)\n")
    monkeypatch.chdir(path.parent)
    monkeypatch.setattr(sys, "path", ["", *sys.path])
    assert ConfigProcess(path).load() == load(path)


STUCK = ("/bin/sh", "-c", "echo > begun; exec sleep 600")
"""A process that waits for a disk that does not answer."""


def test_what_takes_too_long_is_ended(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server continues with what it has."""
    monkeypatch.chdir(path.parent)
    with pytest.raises(ConfigError, match=f"{path}: could not be read within 0.1 seconds"):
        ConfigProcess(path, 0.1, STUCK).load()


def test_the_end_of_the_server_is_not_waited_for(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is under way ends at once, and nothing begins."""
    monkeypatch.chdir(path.parent)
    os.mkfifo(path.parent / "begun")
    reader = ConfigProcess(path, WAIT_SECONDS, STUCK)
    found: list[str] = []

    def load_it() -> None:
        try:
            reader.load()
        except ConfigError as error:
            found.append(str(error))

    thread = threading.Thread(target=load_it)
    thread.start()
    assert (path.parent / "begun").read_text() == "\n"
    reader.close()
    thread.join(WAIT_SECONDS)
    assert found == [f"{path}: could not be read: the process that read it ended with code {-signal.SIGKILL}"]
    with pytest.raises(ConfigError, match="is no longer read, the server is about to stop"):
        reader.load()


def test_a_program_that_is_gone_is_named(path: Path) -> None:
    """Python was replaced while the server runs."""
    with pytest.raises(ConfigError, match=f"{path}: cannot be read in a process: No such file or directory"):
        ConfigProcess(path, command=(str(path.parent / "python"),)).load()


@pytest.mark.parametrize(
    "lines", [[], ["{}"], ['{"digest": "0", "tree": {"agents": {}}}', '["agents", "1001", {}]']], ids=len
)
def test_half_an_answer_is_none(path: Path, lines: list[str]) -> None:
    """The process ended in the middle, whatever it said of itself."""
    with pytest.raises(ConfigError, match="could not be read: the process that read it ended with code"):
        config_process._loaded(path, "\n".join(lines).encode(), 0)


def test_an_answer_is_checked_again(path: Path) -> None:
    """A newer program on the disk may allow what this one does not know."""
    answer = b'{"digest": "0", "tree": {"supervisors": {}, "agents": {}, "rules": [], "later": 1}}\n{}\n'
    with pytest.raises(ConfigError, match="later: is not a key of this section"):
        config_process._loaded(path, answer, 0)


def test_a_fault_of_the_program_shows_no_value(
    path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Only its kind."""

    def broken(path: Path) -> object:
        raise ValueError("s3cret")

    monkeypatch.setattr(config_process, "told", broken)
    with os.fdopen(os.dup(1)) as kept:
        config_process.main(str(path))
        os.dup2(kept.fileno(), 1)
    assert capfd.readouterr().out == f'{{"problems": ["{path}: cannot be read: ValueError"]}}\n'


def test_people_come_one_a_line(path: Path) -> None:
    """No line is long, so that none is long to read."""
    first, *people, last = told(path)
    assert isinstance(first, dict)
    assert first["tree"]["supervisors"] == first["tree"]["agents"] == {}
    assert [(one[0], one[1]) for one in people] == [  # type: ignore[index]
        ("supervisors", "anna"),
        ("supervisors", "bert"),
        ("agents", "1001"),
        ("agents", "1002"),
        ("rules", None),
    ]
    assert last == {}
