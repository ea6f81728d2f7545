"""Extensions by pattern, written as in the dialplan: ``_10XX``.

X is a digit, Z one from 1 to 9, N one from 2 to 9; a ``.`` at the end stands for one or more digits. The underscore
is what tells a pattern from the name of a group.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

PATTERN = r"_[0-9XxZzNn]{1,20}\.?"
"""How a pattern is written."""

_FITS = {"X": "0123456789", "Z": "123456789", "N": "23456789"}
_CLASSES = {digit: (digit, *(name for name, digits in _FITS.items() if digit in digits)) for digit in _FITS["X"]}
"""Each digit with everything in a pattern that fits it."""


def is_pattern(name: str) -> bool:
    """Return whether a name in a rule is a pattern."""
    return name.startswith("_")


def fits(pattern: str, extension: str) -> bool:
    """Return whether a pattern matches an extension."""
    wanted = pattern[1:].upper()
    signs = wanted.removesuffix(".")
    length_fits = len(extension) == len(signs) if signs == wanted else len(extension) > len(signs)
    return (
        length_fits
        and _is_digits(extension)
        and all(sign in _CLASSES[digit] for sign, digit in zip(signs, extension, strict=False))
    )


@dataclass(slots=True)
class _Step:
    further: dict[str, _Step] = field(default_factory=dict)
    ends: int = 0
    goes_on: int = 0


class PatternTable:
    """Which of many patterns fit an extension, found by its digits.

    Parameters:
        patterns: each with a number whose bits are what it stands for.
    """

    def __init__(self, patterns: Iterable[tuple[str, int]]) -> None:
        self._first = _Step()
        for pattern, bits in patterns:
            wanted = pattern[1:].upper()
            step = self._first
            for sign in wanted.removesuffix("."):
                step = step.further.setdefault(sign, _Step())
            if wanted.endswith("."):
                step.goes_on |= bits
            else:
                step.ends |= bits

    def fitting(self, extension: str) -> int:
        """Return the bits of all patterns that fit."""
        if not self._first.further or not _is_digits(extension):
            return 0
        found, steps = 0, [self._first]
        for digit in extension:
            for step in steps:
                found |= step.goes_on
            steps = [step.further[sign] for step in steps for sign in _CLASSES[digit] if sign in step.further]
            if not steps:
                return found
        for step in steps:
            found |= step.ends
        return found


def _is_digits(text: str) -> bool:
    return text.isascii() and text.isdecimal()
