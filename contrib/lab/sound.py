"""Who is heard: the power of each known tone in a block of sound. Pure functions, no files and no sockets.

Wanted: tell ten speakers apart in a mixture, at telephone quality, with levels that decide.
Plan: every phone sends a sine of its own frequency; one bin of a discrete Fourier transform per speaker
measures it, under a Hann window so that a neighbour does not spill over.
Known doubt: G.711 bends the sine a little, which makes harmonics, and two tones together make sums and
differences. The tones are chosen so that none of these falls within three bins of another tone.

Levels are in dBFS: 0 dB is a sine of full scale. The phones speak at -12 dBFS.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from contrib.lab.errors import Unclear

SAMPLE_RATE_HZ = 8000
WINDOW_SAMPLES = 2000
"""A quarter of a second; bins are 4 Hz wide."""
BIN_HZ = SAMPLE_RATE_HZ / WINDOW_SAMPLES

HEARD_DBFS = -30.0
"""At or above: heard. A phone at full strength measures -12 to -13."""
SILENT_DBFS = -45.0
"""At or below: silent. The strongest leak seen is well below; tests/lab measures it on both versions."""
FLOOR_DBFS = -120.0
"""What "nothing at all" is called."""

SHOWN_DBFS = -75.0
"""Below, the matrix for people shows a dash."""

FULL_SCALE = 32768.0
PURE = 0.7
"""Known tones that hold this part of a packet's power are all that is in it; in speech no three bins do."""
PARTLY_COVERED = 0.7
"""A listener who was sent sound for less than this part of the time was cut off in the middle: unclear."""


def ulaw_to_linear(payload: bytes) -> list[int]:
    """Decode G.711 µ-law to 16 bit samples."""
    table = _ulaw_table()
    return [table[byte] for byte in payload]


def tone_level(samples: Sequence[int], frequency_hz: float) -> float:
    """Measure one tone.

    :param samples: 16 bit samples at 8 kHz
    :param frequency_hz: a whole bin, that is a multiple of 4 Hz
    :returns: dBFS, averaged over windows that overlap by half; the floor when there is less than one window
    """
    powers = [
        _bin_power(samples[start : start + WINDOW_SAMPLES], frequency_hz)
        for start in range(0, len(samples) - WINDOW_SAMPLES + 1, WINDOW_SAMPLES // 2)
    ]
    if not powers:
        return FLOOR_DBFS
    mean = sum(powers) / len(powers)
    return max(FLOOR_DBFS, 10 * math.log10(mean)) if mean > 0 else FLOOR_DBFS


def tones_in(samples: Sequence[int], tones_hz: Mapping[str, int]) -> frozenset[str]:
    """Name the speakers whose tones make up one packet; none when it is silent, or holds anything else.

    In a packet's 20 ms a bin is 50 Hz wide: enough to tell the tones apart, and to tell them from a spoken prompt.

    :param samples: 16 bit samples at 8 kHz
    :param tones_hz: speaker -> frequency
    """
    window = _hann(len(samples))
    power = sum((sample * weight) ** 2 for sample, weight in zip(samples, window, strict=True)) / FULL_SCALE**2
    powers = {speaker: _bin_power(samples, hz) for speaker, hz in tones_hz.items()}
    heard = {speaker for speaker, one in powers.items() if one >= 10 ** (HEARD_DBFS / 10)}
    whole = 2 * power / sum(weight**2 for weight in window)
    return frozenset(heard if sum(powers[speaker] for speaker in heard) >= PURE * whole else ())


def has_tone(samples: Sequence[int], frequency_hz: float) -> bool:
    """Tell whether a tone is loud enough to be one of `tones_in`, which costs as much for each tone there is.

    :param samples: 16 bit samples at 8 kHz
    :param frequency_hz: of the tone
    """
    return _bin_power(samples, frequency_hz) >= 10 ** (HEARD_DBFS / 10)


def sine(frequency_hz: float, seconds: float, amplitude: float = 0.25) -> list[int]:
    """Make a tone.

    :param amplitude: of full scale; 0.25 is -12 dBFS
    """
    step = 2 * math.pi * frequency_hz / SAMPLE_RATE_HZ
    return [round(amplitude * (FULL_SCALE - 1) * math.sin(step * n)) for n in range(int(seconds * SAMPLE_RATE_HZ))]


@dataclass(frozen=True)
class Hearing:
    """Who was heard where: levels in dBFS by listener and speaker, over one stretch of time."""

    levels: Mapping[str, Mapping[str, float]]
    coverage: Mapping[str, float]
    """For each listener: the part of the time, 0 to 1, for which sound arrived at all."""

    def level(self, listener: str, speaker: str) -> float:
        """Tell the level in dBFS of a speaker at a listener."""
        return self.levels[listener][speaker]

    def hears(self, listener: str, speaker: str) -> bool:
        """Tell whether a listener hears a speaker.

        :raises Unclear: the level lies between heard and silent, or sound arrived for a part of the time only
        """
        level = self.levels[listener][speaker]
        if level <= SILENT_DBFS:
            return False
        if level < HEARD_DBFS:
            raise Unclear(f"{listener} hears {speaker} at {level:.1f} dBFS: neither heard nor silent\n{self.table()}")
        if self.coverage[listener] < PARTLY_COVERED:
            raise Unclear(
                f"{listener} was sent sound for only {self.coverage[listener]:.0%} of the time\n{self.table()}"
            )
        return True

    def heard_by(self, listener: str) -> frozenset[str]:
        """Name everybody whom a listener hears.

        :raises Unclear: see `hears`
        """
        return frozenset(speaker for speaker in self.levels[listener] if self.hears(listener, speaker))

    def matches(self, expected: Mapping[str, Collection[str]]) -> bool:
        """Tell whether each listener hears exactly the speakers named.

        :raises Unclear: see `hears`
        """
        return all(self.heard_by(listener) == frozenset(speakers) for listener, speakers in expected.items())

    def loudest_leak(self, expected: Mapping[str, Collection[str]]) -> float:
        """Tell the highest level in dBFS among all that should be silent."""
        return max(
            (
                level
                for listener, levels in self.levels.items()
                for speaker, level in levels.items()
                if speaker not in expected.get(listener, ())
            ),
            default=FLOOR_DBFS,
        )

    def table(self) -> str:
        """Show the matrix for people: a row for each listener, a column for each speaker with a trace."""
        speakers = [
            speaker
            for speaker in next(iter(self.levels.values()), {})
            if any(row[speaker] > SHOWN_DBFS for row in self.levels.values())
        ]
        lines = ["listener      sent " + "".join(f"{speaker:>12}" for speaker in speakers)]
        for listener, row in self.levels.items():
            if not self.coverage[listener]:
                continue
            shown = [f"{row[speaker]:.1f}" if row[speaker] > SHOWN_DBFS else "-" for speaker in speakers]
            cells = "".join(f"{cell:>12}" for cell in shown)
            lines.append(f"{listener:<12} {self.coverage[listener]:>4.0%} {cells}")
        silent = [listener for listener, part in self.coverage.items() if not part]
        return "\n".join([*lines, f"nothing was sent to: {', '.join(silent) or 'nobody'}"])


def measure(streams: Mapping[str, Iterable[Sequence[int]]], tones_hz: Mapping[str, int], seconds: float) -> Hearing:
    """Measure every tone at every listener.

    :param streams: for each listener the sound of each stream that was sent to it; several when it has several calls
    :param tones_hz: speaker -> frequency
    :param seconds: how long was listened, for the coverage
    """
    levels: dict[str, dict[str, float]] = {}
    coverage: dict[str, float] = {}
    for listener, sounds in streams.items():
        rows = [{speaker: tone_level(sound, hz) for speaker, hz in tones_hz.items()} for sound in sounds if sound]
        levels[listener] = {speaker: max((row[speaker] for row in rows), default=FLOOR_DBFS) for speaker in tones_hz}
        longest = max((len(sound) for sound in sounds), default=0)
        coverage[listener] = min(1.0, longest / SAMPLE_RATE_HZ / seconds)
    return Hearing(levels, coverage)


def _bin_power(window: Sequence[int], frequency_hz: float) -> float:
    """Squared amplitude of one bin under a Hann window, 1.0 for a sine of full scale."""
    cosines, sines = _windowed_wave(frequency_hz, len(window))
    real = sum(map(_multiply, window, cosines))
    imaginary = sum(map(_multiply, window, sines))
    return (real * real + imaginary * imaginary) / FULL_SCALE**2


def _multiply(one: float, other: float) -> float:
    return one * other


@lru_cache(maxsize=64)
def _windowed_wave(frequency_hz: float, length: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    step = 2 * math.pi * frequency_hz / SAMPLE_RATE_HZ
    # The Hann window's mean is one half and a sine's bin holds half its amplitude: together a factor of four.
    window = [4 * weight / length for weight in _hann(length)]
    return (
        tuple(weight * math.cos(step * n) for n, weight in enumerate(window)),
        tuple(weight * math.sin(step * n) for n, weight in enumerate(window)),
    )


@lru_cache(maxsize=4)
def _hann(length: int) -> tuple[float, ...]:
    turn = 2 * math.pi / length
    return tuple((1 - math.cos(turn * n)) / 2 for n in range(length))


@lru_cache(maxsize=1)
def _ulaw_table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        value = ~byte & 0xFF
        magnitude = ((value & 0x0F) * 8 + 132 << (value >> 4 & 7)) - 132
        table.append(-magnitude if value & 0x80 else magnitude)
    return tuple(table)
