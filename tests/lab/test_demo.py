"""The demonstration's verdict: a table that is right, and one that is not."""

from __future__ import annotations

import io
import subprocess
import sys

import pytest
from rich.console import Console

from contrib.lab.demo import AGENT, CUSTOMER, EXPECTED, ROLES, SUPERVISOR, show
from contrib.lab.sound import FLOOR_DBFS, Hearing


def hearing(mode: str, **changes: float) -> Hearing:
    """What is measured in a mode; a change is named listener_speaker."""
    levels = {
        listener: {speaker: -12.0 if speaker in EXPECTED[mode][listener] else FLOOR_DBFS for speaker in ROLES}
        for listener in ROLES
    }
    for name, level in changes.items():
        _, listener, speaker = name.split("_")
        levels[listener][speaker] = level
    return Hearing(levels, dict.fromkeys(ROLES, 1.0))


def verdict(mode: str, measured: Hearing) -> tuple[bool, str]:
    """What is returned and what is printed."""
    printed = io.StringIO()
    return show(Console(file=printed, width=100), mode, measured), printed.getvalue()


@pytest.mark.parametrize("mode", EXPECTED)
def test_the_right_matrix_is_right(mode: str) -> None:
    """Every cell has its level and its mark."""
    right, printed = verdict(mode, hearing(mode))
    assert right
    assert printed.count("✓") == 9
    assert "✗" not in printed


@pytest.mark.parametrize(
    ("level", "listener", "speaker", "said"),
    [
        (-12.0, CUSTOMER, SUPERVISOR, "-12.0 dB ✗ expected silent"),
        (-37.0, AGENT, SUPERVISOR, "-37.0 dB ✗ expected silent"),
        (FLOOR_DBFS, SUPERVISOR, CUSTOMER, "no sound ✗ expected heard"),
        (-40.0, SUPERVISOR, AGENT, "-40.0 dB ✗ expected heard"),
    ],
)
def test_a_wrong_cell_is_wrong(level: float, listener: str, speaker: str, said: str) -> None:
    """Whom they should not hear, whom they should, and a level that is neither."""
    right, printed = verdict("listen", hearing("listen", **{f"_{listener}_{speaker}": level}))
    assert not right
    assert said in printed


def test_the_demonstration_shows_what_it_promises() -> None:
    """All of it on a real PBX: who hears whom in every mode, and a rogue spy that is noticed and hung up."""
    done = subprocess.run([sys.executable, "-m", "contrib.lab.demo"], capture_output=True, text=True, timeout=540)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "It was noticed and hung up; 2999 no longer hears anything." in done.stdout
    assert "In every mode, every phone hears exactly whom it should." in done.stdout
    assert '"fact": "rogue_spy"' in done.stdout
