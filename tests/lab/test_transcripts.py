"""The recorded AGI transcripts are still what a real Asterisk says, and 16 says the same as 22."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from contrib.lab.pbx import Lab
from contrib.lab.transcripts import (
    DIFFERENT_BY_VERSION,
    FOLDER,
    SITUATIONS,
    Conversation,
    comparable,
    comparable_actions,
    record,
    record_actions,
)


def recorded(situation: Callable[[Conversation], None], version: str) -> str:
    """Read a transcript from tests/transcripts."""
    name = situation.__name__.replace("_", "-")
    return comparable(Path(FOLDER / f"agi-{name}-{version}.txt").read_text())


@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda situation: situation.__name__)
def test_asterisk_still_says_what_was_recorded(lab: Lab, situation: Callable[[Conversation], None]) -> None:
    assert comparable(record(lab, situation)) == recorded(situation, lab.version)


def test_the_manager_interface_still_says_what_was_recorded(asterisk_version: str) -> None:
    """On a PBX of its own: one on which a call was parked has a bridge for ever."""
    recorded = (FOLDER / f"ami-actions-{asterisk_version}.txt").read_text()
    with Lab(asterisk_version) as lab:
        said = record_actions(lab)
    assert comparable_actions(said) == comparable_actions(recorded)


@pytest.mark.parametrize(
    "situation",
    [one for one in SITUATIONS if one not in DIFFERENT_BY_VERSION],
    ids=lambda situation: situation.__name__,
)
def test_both_versions_say_the_same(situation: Callable[[Conversation], None]) -> None:
    assert recorded(situation, "16") == recorded(situation, "22")
