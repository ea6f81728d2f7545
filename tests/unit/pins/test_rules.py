"""Which PINs are too easy to guess."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agi_monitor.pins.rules import COMMON, PinRules, Weakness, numbers_of, weakness

DIGITS = st.text("0123456789", min_size=4, max_size=16)


@pytest.mark.parametrize(
    ("pin", "why"),
    [
        ("0000", Weakness.SAME_DIGIT),
        ("7777777777777777", Weakness.SAME_DIGIT),
        ("1234", Weakness.RUN),
        ("9876", Weakness.RUN),
        ("7890", Weakness.RUN),
        ("0123", Weakness.RUN),
        ("0987", Weakness.RUN),
        ("2109", Weakness.RUN),
        ("890123", Weakness.RUN),
        ("0123456789012345", Weakness.RUN),
        ("1212", Weakness.PATTERN),
        ("123123", Weakness.PATTERN),
        ("12121", Weakness.PATTERN),
        ("4711081547110815", Weakness.PATTERN),
        ("1900", Weakness.YEAR),
        ("1987", Weakness.YEAR),
        ("2026", Weakness.YEAR),
        ("2099", Weakness.YEAR),
        ("2580", Weakness.COMMON),
        ("1122", Weakness.COMMON),
        ("159753", Weakness.COMMON),
    ],
)
def test_an_easy_pin_is_weak(pin: str, why: Weakness) -> None:
    """And why."""
    assert weakness(pin) == why


@pytest.mark.parametrize("pin", ["4711", "0815", "1843", "2101", "7893", "1243", "19871", "47110815", "8392", "4715"])
def test_any_other_pin_is_not(pin: str) -> None:
    """Numbers that look like it are left alone."""
    assert weakness(pin) is None


@pytest.mark.parametrize(
    ("pin", "own"),
    [
        ("3907", "3907"),
        ("3907", "+4930123907"),
        ("39074", "3907"),
        ("390742", "3907"),
        ("423907", "3907"),
        ("4207", "207"),
    ],
)
def test_the_own_number_is_weak(pin: str, own: str) -> None:
    """Whole, a part of it, and with up to two more digits."""
    assert weakness(pin, [own]) is Weakness.OWN_NUMBER
    assert weakness(pin) is None


def test_a_long_pin_may_hold_the_own_number() -> None:
    """With three more digits it is as good as any of three digits and more."""
    assert weakness("3907426", ["3907"]) is None


def test_the_numbers_are_those_of_the_phones() -> None:
    """Not those of the technology, and not so short that any PIN would hold them."""
    endpoints = ["PJSIP/2001", "IAX2/3907-mobile", "SIP/desk12", "PJSIP/anna", "PJSIP/100@192.0.2.1", "2222"]
    assert numbers_of(endpoints) == {"2001", "3907", "100", "192"}


@given(pin=DIGITS)
def test_every_pin_is_judged_by_the_words_alone(pin: str) -> None:
    """What is said of a weak PIN holds no digit of it, but for the numbers of the rule; nothing raises."""
    rules = PinRules(min_digits=6)
    problem = rules.problem(pin)
    if problem is not None:
        said = rules.said(problem)
        assert re.sub(r"^a PIN is 6 to 16 digits$", "", said) == "" or not re.search(r"\d", said)


@given(digit=st.sampled_from("0123456789"), size=st.integers(4, 16), step=st.sampled_from([1, -1]))
def test_every_run_and_every_one_digit_is_weak(digit: str, size: int, step: int) -> None:
    """From any digit, in both directions, around the end as well."""
    run = "".join(str((int(digit) + step * place) % 10) for place in range(size))
    assert weakness(run) is Weakness.RUN
    assert weakness(digit * size) is Weakness.SAME_DIGIT


@given(part=st.text("0123456789", min_size=2, max_size=8), times=st.integers(2, 8))
def test_every_pattern_that_comes_again_is_weak(part: str, times: int) -> None:
    """However long it is."""
    pin = (part * times)[:16]
    assert len(pin) < 2 * len(part) or weakness(pin) is not None


def test_the_common_ones_are_no_other_rules_business() -> None:
    """The list holds only what would pass without it."""
    assert [pin for pin in sorted(COMMON) if weakness(pin) is not Weakness.COMMON] == []


@pytest.mark.parametrize("pin", ["", "123", "1" * 17, "12a4", "12 4", "4711\n", "١٢٣٤", "12*4"])
def test_what_is_no_pin_is_refused_whatever_the_rules(pin: str) -> None:
    """Also where weak ones are taken."""
    assert PinRules(refuse_weak=False).problem(pin) is Weakness.NO_DIGITS


def test_a_site_may_want_more_digits_or_take_weak_ones() -> None:
    """The length holds also where weak ones are taken."""
    assert PinRules().problem("4711") is None
    assert PinRules(min_digits=6).problem("4711") is Weakness.SHORT
    assert PinRules(min_digits=6).said(Weakness.SHORT) == "a PIN is 6 to 16 digits"
    assert PinRules(6, refuse_weak=False).problem("4711") is Weakness.SHORT
    assert PinRules(refuse_weak=False).problem("1111") is None
    assert PinRules().problem("1111") is Weakness.SAME_DIGIT


def test_every_weakness_has_words() -> None:
    """For the administrator, who sees them on the command line."""
    assert len({PinRules().said(problem) for problem in Weakness}) == len(Weakness) - 1
