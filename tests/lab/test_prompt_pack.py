"""The own prompts, spoken."""

from __future__ import annotations

import wave
from array import array
from pathlib import Path

import pytest

from contrib.lab.checkout import CHECKOUT
from contrib.lab.engine import ensure_programs
from contrib.lab.prompt_pack import PROGRAMS, RATES_HZ, VOICES, build

NAMES = frozenset({"goodbye", "digit-5"})
QUIET = 1000


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two prompts in every language."""
    ensure_programs(PROGRAMS, CHECKOUT / ".cache" / "lab", lambda line: None)
    folder = tmp_path_factory.mktemp("sounds")
    assert build(folder, NAMES) == len(NAMES) * len(VOICES) * len(RATES_HZ)
    return folder


@pytest.mark.parametrize(("ending", "rate"), RATES_HZ.items())
@pytest.mark.parametrize("language", VOICES)
def test_a_prompt_is_speech_as_asterisk_reads_it(pack: Path, language: str, ending: str, rate: int) -> None:
    """One channel of 16 bits at the rate that the ending promises, and neither silent nor clipped."""
    for name in NAMES:
        with wave.open(str(pack / language / "agi-monitor" / f"{name}{ending}")) as sound:
            assert (sound.getnchannels(), sound.getsampwidth(), sound.getframerate()) == (1, 2, rate)
            samples = array("h", sound.readframes(sound.getnframes()))
        assert QUIET < max(samples) < 32767
