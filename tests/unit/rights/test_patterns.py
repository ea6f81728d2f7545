"""Patterns of extensions mean what they mean in the dialplan."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agi_monitor.rights.patterns import PATTERN, PatternTable, fits, is_pattern

patterns = st.from_regex(r"_[012XZNxzn]{1,4}\.?", fullmatch=True)
extensions = st.from_regex(r"[0123]{1,6}", fullmatch=True)


def means(pattern: str, extension: str) -> bool:
    """The same as a regular expression, written from Asterisk's documentation."""
    signs = {"X": "[0-9]", "Z": "[1-9]", "N": "[2-9]", ".": "[0-9]+"}
    expression = "".join(signs.get(sign, sign) for sign in pattern[1:].upper())
    return re.fullmatch(expression, extension) is not None


@pytest.mark.parametrize(
    ("pattern", "fitting", "other"),
    [
        ("_10XX", ["1000", "1099"], ["100", "10000", "1100", ""]),
        ("_10xx", ["1000", "1099"], ["1100"]),
        ("_Z0", ["10", "90"], ["00", "1"]),
        ("_N0", ["20", "90"], ["00", "10"]),
        ("_1.", ["10", "1234567"], ["1", "2", "21"]),
        ("_1001", ["1001"], ["10010", "100"]),
    ],
)
def test_fits_as_in_the_dialplan(pattern: str, fitting: list[str], other: list[str]) -> None:
    """By length and by digit, large and small letters alike."""
    assert [extension for extension in [*fitting, *other] if fits(pattern, extension)] == fitting


@pytest.mark.parametrize("extension", ["10٠١", "10ab", "10 1", "10\n1"])
def test_fits_digits_only(extension: str) -> None:
    """Digits of other scripts, letters and spaces are not an extension."""
    assert not fits("_10XX", extension)
    assert not fits("_1.", extension)
    assert PatternTable([("_10XX", 1), ("_1.", 2)]).fitting(extension) == 0


@given(patterns, extensions)
def test_fits_what_the_regular_expression_fits(pattern: str, extension: str) -> None:
    """Any pattern, any extension."""
    assert re.fullmatch(PATTERN, pattern)
    assert fits(pattern, extension) is means(pattern, extension)


@given(st.lists(patterns, max_size=12), extensions)
def test_a_table_finds_every_pattern_that_fits(some: list[str], extension: str) -> None:
    """All of them, and no other."""
    table = PatternTable((pattern, 1 << position) for position, pattern in enumerate(some))
    found = table.fitting(extension)
    assert [bool(found >> position & 1) for position in range(len(some))] == [
        means(pattern, extension) for pattern in some
    ]


@pytest.mark.parametrize(("name", "pattern"), [("_1X", True), ("1X", False), ("sales_X", False), ("all", False)])
def test_the_underscore_tells_a_pattern(name: str, pattern: bool) -> None:
    """A group may be called 10XX; no group begins with an underscore."""
    assert is_pattern(name) is pattern
