"""Scenarios that fail now and then are told from those that always fail, by real runs of pytest on tests that are
told how to end."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from contrib.lab.scenarios import EVIDENCE, OF_THE_SECOND_TRY, evidence_name, run

SCENARIOS = """
import pathlib
import pytest

def tries(name):
    file = pathlib.Path(__file__).with_name(name)
    made = int(file.read_text()) + 1 if file.exists() else 1
    file.write_text(str(made))
    return made

@pytest.mark.xdist_group("of-asterisk22")
@pytest.mark.parametrize("version", ["asterisk22"])
def test_that_passes(version):
    tries("passes")

@pytest.mark.xdist_group("asterisk22-x.unstable")
@pytest.mark.parametrize("version", ["asterisk22"])
def test_that_passes_the_second_time(version):
    assert tries("unstable") == 2

@pytest.fixture
def ends_badly():
    yield
    assert tries("ending") == 2

def test_whose_end_fails_the_first_time(ends_badly):
    pass

@pytest.mark.parametrize("number", range(4))
def test_that_fails(number):
    assert tries(f"fails-{number}") == 0
"""


class Runs:
    """pytest on `SCENARIOS`, as the program runs it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.calls: list[Sequence[str]] = []
        (folder / "test_x.py").write_text(SCENARIOS)
        (folder / "conftest.py").write_text("def pytest_addoption(parser):\n    parser.addoption('--evidence')\n")
        (folder / "pytest.ini").write_text("[pytest]\n")

    def __call__(self, arguments: Sequence[str]) -> int:
        self.calls.append(arguments)
        # As few processes as there can be, with nothing to import: these scenarios need none of it.
        command = [sys.executable, "-m", "pytest", "-p", "xdist.plugin", *arguments, "--maxprocesses=1"]
        environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
        return subprocess.run(command, cwd=self.folder, env=environment, check=False).returncode

    def tries(self, name: str) -> int:
        """How often a scenario ran."""
        path = self.folder / name
        return int(path.read_text()) if path.exists() else 0


@pytest.fixture
def runs(tmp_path: Path) -> Iterator[Runs]:
    """Scenarios of which some pass only the second time."""
    yield Runs(tmp_path)


def test_when_all_pass_there_is_one_run(runs: Runs, capfd: pytest.CaptureFixture[str]) -> None:
    """The line that pytest closes with is the last one."""
    assert run(["-k=that_passes[", "test_x.py"], runs) == 0
    assert len(runs.calls) == 1
    assert capfd.readouterr().out.splitlines()[-1].startswith("=")


def test_a_scenario_that_passes_alone_is_unstable(runs: Runs, capfd: pytest.CaptureFixture[str]) -> None:
    """The run passes, and says which one and where its first failure is; only what failed runs again."""
    assert run(["-k=passes or end_fails", "test_x.py"], runs) == 0
    out = capfd.readouterr().out
    for scenario in ("that_passes_the_second_time[asterisk22]", "whose_end_fails_the_first_time"):
        first = EVIDENCE / evidence_name(f"test_x.py::test_{scenario}")
        assert f"UNSTABLE test_x.py::test_{scenario}\n  its first failure left: {first}\n" in out
    assert "== scenarios: 2 unstable, 0 failed twice; an unstable scenario is a bug to fix" in out
    assert (runs.tries("passes"), runs.tries("unstable"), runs.tries("ending")) == (1, 2, 2)
    for call in runs.calls[1:]:
        assert f"--evidence={OF_THE_SECOND_TRY}" in call
        assert "--numprocesses=1" in call
        assert "-k=passes or end_fails" in call


def test_a_scenario_that_fails_twice_fails_the_run(runs: Runs, capfd: pytest.CaptureFixture[str]) -> None:
    """The second failure is the end of it."""
    assert run(["-k=fails[0]", "--numprocesses=0", "test_x.py"], runs) == 1
    out = capfd.readouterr().out
    assert "FAILED TWICE test_x.py::test_that_fails[0]" in out
    assert "0 unstable, 1 failed twice" in out
    assert runs.tries("fails-0") == 2


def test_more_than_three_are_no_chance(runs: Runs) -> None:
    """They fail at once."""
    assert run(["-k=that_fails", "--numprocesses=0", "test_x.py"], runs) == 1
    assert [runs.tries(f"fails-{number}") for number in range(4)] == [1, 1, 1, 1]
    assert len(runs.calls) == 1


def test_what_is_not_a_scenario_gets_no_second_try(runs: Runs) -> None:
    """A file that cannot be imported fails at once."""
    (runs.folder / "test_y.py").write_text("import nowhere_to_be_found\n")
    assert run(["--numprocesses=0", "test_y.py"], runs) not in (0, 5)
    assert len(runs.calls) == 1


@pytest.mark.parametrize(("argument", "code"), [("--nonsense", 4), ("-k=there_is_none", 5)])
def test_what_pytest_ends_with_otherwise_is_handed_on(runs: Runs, argument: str, code: int) -> None:
    """A wrong argument does not pass, nor does an empty choice."""
    assert run([argument, "--numprocesses=0", "test_x.py"], runs) == code
    assert len(runs.calls) == 1


def test_a_second_try_that_does_not_run_is_a_failure(runs: Runs) -> None:
    """A scenario that is not found again was not seen to pass."""

    def forgetful(arguments: Sequence[str]) -> int:
        code = runs(arguments)
        (runs.folder / "test_x.py").write_text("")
        return code

    assert run(["-k=end_fails", "--numprocesses=0", "test_x.py"], forgetful) == 1


def test_the_group_of_a_scenario_is_not_in_its_folder() -> None:
    """pytest-xdist appends it to the name in its workers alone."""
    name = "tests/scenarios/test_x.py::test_y[a@b-asterisk22]"
    assert evidence_name(f"{name}@asterisk22-x.y") == evidence_name(name) == "test_x.test_y_a_b-asterisk22"
