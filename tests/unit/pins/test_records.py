"""What is kept of a PIN."""

from __future__ import annotations

import pytest
from argon2 import PasswordHasher, extract_parameters
from hypothesis import given
from hypothesis import strategies as st

from agi_monitor.pins.costs import USUAL
from agi_monitor.pins.records import PinRecord, is_old, make_hash, matches
from tests.doubles.desk import PIN, PIN_HASH


def test_makes_a_record_that_matches_its_pin_only() -> None:
    """The record is argon2id with a salt of its own."""
    record = make_hash("0123")
    assert record.startswith("$argon2id$v=19$")
    assert record != make_hash("0123")
    assert matches(record, "0123")
    assert not matches(record, "0124")


@pytest.mark.parametrize("pin", ["", "123", "1" * 17, "12a4", "12 4", "1234\n", " 1234", "١٢٣٤", "12*4", "１２３４"])
def test_makes_no_record_of_what_is_no_pin(pin: str) -> None:
    """A PIN is 4 to 16 digits; the message does not repeat what was given."""
    with pytest.raises(ValueError, match=r"^a PIN is 4 to 16 digits$"):
        make_hash(pin)


@given(st.text().filter(lambda text: text != PIN))
def test_no_other_text_is_the_pin(digits: str) -> None:
    """Whatever is keyed in, only the PIN matches, and nothing raises."""
    assert not matches(PIN_HASH, digits)


BROKEN = ["$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$AAAA", "$argon2id$v=19$broken", "", "47110815", "$argon2id$ä"]


@pytest.mark.parametrize("record", BROKEN)
def test_a_broken_record_matches_nothing(record: str) -> None:
    """Nobody gets in by a record that argon2 cannot read."""
    assert not matches(record, PIN)


@pytest.mark.parametrize("digits", ["", "abcd", "123"])
def test_a_record_of_nothing_lets_nobody_in(digits: str) -> None:
    """Keying in nothing, or no PIN, is wrong even where the record is one of an empty text."""
    empty = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash("")
    assert not matches(empty, digits)


def test_a_stranger_waits_as_long_as_a_supervisor() -> None:
    """Where no supervisor has a PIN, an unassigned phone costs what a fresh record costs; nobody gets in by it."""
    assert extract_parameters(USUAL.dummy()) == extract_parameters(make_hash("0000"))
    assert not matches(USUAL.dummy(), "0000")


def test_a_record_with_other_parameters_is_old() -> None:
    """A fresh one is not, and one that cannot be read is not a record to renew."""
    assert is_old(PIN_HASH)
    assert not is_old(make_hash(PIN))
    assert not any(is_old(record) for record in BROKEN[1:])


def test_a_record_is_not_shown() -> None:
    """A record of a short PIN can be tried out by anyone who finds it in a log."""
    assert PIN_HASH not in repr(PinRecord(PIN_HASH, 1.0)) + str(PinRecord(PIN_HASH)) + repr([PinRecord(PIN_HASH)])
