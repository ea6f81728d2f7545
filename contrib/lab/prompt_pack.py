"""Speaks the prompts of the own pack: `make sounds`.

Debian's espeak-ng speaks the sentences of agi_monitor/sounds, and sox brings them to 8 and 16 kHz. Both are free
programs (GPL); what they make of the sentences of this project is as free as the sentences (MIT), for none of their
own text or sound is in it: espeak-ng computes its speech from formants, and plays no recordings.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from agi_monitor.sounds import english, german, spanish
from agi_monitor.supervision.prompts import PACK_FOLDER
from contrib.lab.checkout import CHECKOUT
from contrib.lab.engine import ensure_programs
from contrib.lab.errors import LabError

PROGRAMS = {"espeak-ng": "espeak-ng", "sox": "sox"}
"""Program -> the Debian package that has it."""

WORDS_A_MINUTE = 150
SOUNDS = "/usr/share/asterisk/sounds"
"""Where Debian's Asterisk looks for them."""
RATES_HZ = {".wav": 8_000, ".wav16": 16_000}
"""The ending that tells Asterisk how many samples there are -> their rate (format_wav.c)."""


class Voice(NamedTuple):
    """Who speaks a language, and what."""

    name: str
    sentences: Mapping[str, str]


VOICES = {
    "en": Voice("en-us", english.SENTENCES),
    "de": Voice("de", german.SENTENCES),
    "es": Voice("es", spanish.SENTENCES),
}
"""The language, as Asterisk's folders of sounds are called -> its voice."""


def build(folder: Path, names: frozenset[str] | None = None) -> int:
    """Speak the prompts into a folder, as it stands among Asterisk's sounds. Returns how many files there are.

    :param folder: gets one folder for each language
    :param names: only these prompts
    """
    count = 0
    with tempfile.TemporaryDirectory() as scratch:
        spoken = Path(scratch) / "spoken.wav"
        for language, voice in VOICES.items():
            place = folder / language / PACK_FOLDER
            place.mkdir(parents=True, exist_ok=True)
            for name, sentence in voice.sentences.items():
                if names is not None and name not in names:
                    continue
                _run("espeak-ng", "-v", voice.name, "-s", str(WORDS_A_MINUTE), "-w", str(spoken), sentence)
                for ending, rate in RATES_HZ.items():
                    file = place / f"{name}{ending}"
                    _run(
                        *("sox", "-D", str(spoken), "-t", "wav", "-b", "16", "-c", "1", str(file)),
                        *("norm", "-4", "rate", str(rate)),
                    )
                    count += 1
    return count


def copying(folder: Path) -> str:
    """Return the command that copies a pack among the sounds of a PBX. The folder of a language may be a link there.

    :param folder: of the pack
    """
    languages = " ".join(VOICES)
    return (
        f"for one in {languages}; do mkdir -p {SOUNDS}/$one; cp -r {folder}/$one/{PACK_FOLDER} {SOUNDS}/$one/; done"
    )


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise LabError(f"{command[0]} failed: {done.stderr.strip()}")


def main() -> int:
    """Build the pack in build/sounds."""
    folder = CHECKOUT / "build" / "sounds"
    try:
        ensure_programs(PROGRAMS, CHECKOUT / ".cache" / "lab", lambda line: print(line, file=sys.stderr))
        count = build(folder)
    except LabError as error:
        print(f"agi-monitor: {error}", file=sys.stderr)
        return 1
    print(f"{folder}: {count} files. On the PBX:")
    print(f"  {copying(folder)}")
    print("Then set prompt_pack: true in agi-monitor.yaml, and run: agi-monitor reload")
    return 0


if __name__ == "__main__":
    sys.exit(main())
