"""``agi-monitor setup`` before it changes anything: what it refuses, and what it would do."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from agi_monitor.commands.main import main
from agi_monitor.commands.setup import _answers
from agi_monitor.setup.surroundings import look

PJSIP = """\
[2001]
type = endpoint
context = supervisors
callerid = Anna <2001>
[1001]
type = endpoint
context = phones
[1002]
type = endpoint
context = phones
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Asterisk's folder, with three phones."""
    (tmp_path / "pjsip.conf").write_text(PJSIP)
    (tmp_path / "extensions.conf").write_text("[phones]\n")
    return tmp_path


def setup(folder: Path, *arguments: str) -> Result:
    """Run it, without a terminal."""
    return CliRunner().invoke(main, ["setup", "--asterisk-dir", str(folder), *arguments])


def test_a_dry_run_says_each_step_and_changes_nothing(folder: Path) -> None:
    """All others are heard where no agent is named."""
    before = sorted(folder.iterdir())
    done = setup(folder, "--dry-run", "--phone", "2001", "--supervisor", "anna")
    assert done.exit_code == 0, done.output
    assert "anna on 2001 may hear 1001, 1002, with a new PIN" in done.stdout
    assert f"install the dialplan and the account in {folder}" in done.stdout
    assert done.stdout.endswith("nothing was changed (--dry-run)\n")
    assert sorted(folder.iterdir()) == before


def test_who_supervises_is_never_guessed(folder: Path) -> None:
    """It would let a supervisor listen."""
    done = setup(folder, "--dry-run")
    assert done.exit_code == 1
    assert "--phone is missing: which phone supervises? There are: 1001, 1002, 2001 (Anna)" in done.stderr


def test_a_phone_that_is_not_there_is_refused(folder: Path) -> None:
    """With the phones that are."""
    done = setup(folder, "--dry-run", "--phone", "2002")
    assert (done.exit_code, "'2002' is not an extension with a phone that was found: 1001" in done.stderr) == (
        1,
        True,
    )


def test_without_a_phone_it_says_what_to_do(tmp_path: Path) -> None:
    """Phones in a database are in no file."""
    done = setup(tmp_path, "--dry-run")
    assert (done.exit_code, "bin/agi-monitor init" in done.stderr) == (1, True)


@pytest.mark.parametrize(
    ("answers", "complaint"),
    [
        (["2002", "2001", "anna", "all"], "'2002' is not an extension with a phone"),
        (["2001", "Anna K", "anna", "all"], "'Anna K' cannot be an id"),
        (["2001", "anna", "1009", "1001 1002"], "'1009' is not an extension with a phone"),
    ],
)
def test_a_wrong_answer_is_asked_for_again_at_once(
    folder: Path, monkeypatch: pytest.MonkeyPatch, answers: list[str], complaint: str
) -> None:
    """Not behind all questions, where everything has to be answered anew."""
    given = iter(answers)
    monkeypatch.setattr("click.termui.visible_prompt_func", lambda _: next(given))
    said: list[str] = []
    monkeypatch.setattr("click.termui.echo", lambda text="", **_: said.append(str(text)))
    found = _answers(folder, look(folder), None, None, (), asks=True)
    assert (found.supervisor, found.phone, found.agents) == ("anna", "2001", ("1001", "1002"))
    assert [text for text in said if complaint in text] != []


def test_without_asterisk_it_says_what_to_do(tmp_path: Path) -> None:
    """A server may run on another machine than the PBX."""
    done = setup(tmp_path / "nowhere")
    assert (done.exit_code, "agi-monitor render" in done.stderr) == (1, True)
