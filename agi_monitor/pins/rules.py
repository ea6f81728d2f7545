"""Which PINs are too easy to guess. Pure: nothing is known of anyone but the digits and their own numbers."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise

MIN_DIGITS = 4
MAX_DIGITS = 16

MIN_NUMBER = 3
"""How many digits of one's own number are looked for; fewer may be in any PIN by accident."""

MORE_DIGITS = 2
"""A PIN that is one's own number plus up to this many digits is guessed by adding them."""

COMMON = frozenset(
    {
        *("0258", "0741", "0852", "1004", "1122", "1236", "1357", "1379", "1397", "1470", "2468", "2580", "3690"),
        *("0007", "0963", "1245", "1478", "1590", "3579", "5683", "7410", "7531", "8520", "9630"),
        *("14789", "15963", "13579", "24680", "25800"),
        *("112233", "123321", "123654", "147258", "147896", "159357", "159753", "258369", "258456", "321654"),
        *("456123", "789456", "852456", "963852", "987321", "121314", "102030", "010203", "332211", "135790"),
        *("1472583", "1475369", "11223344", "12344321", "14725836", "147258369", "741852963", "1020304050"),
    }
)
"""Rows, columns and diagonals of a phone's keys, and what is chosen most in lists of PINs that became known."""


class Weakness(StrEnum):
    """Why a PIN is refused. The words are for the person who chose it; they never contain a digit of it."""

    NO_DIGITS = "no_digits"
    SHORT = "short"
    SAME_DIGIT = "same_digit"
    RUN = "run"
    PATTERN = "pattern"
    YEAR = "year"
    OWN_NUMBER = "own_number"
    COMMON = "common"
    OLD_ONE = "old_one"
    """The PIN that has to be changed."""


_WORDS = {
    Weakness.SAME_DIGIT: "it is one digit again and again",
    Weakness.RUN: "its digits run up or down",
    Weakness.PATTERN: "it is a pattern that comes again",
    Weakness.YEAR: "it is a year",
    Weakness.OWN_NUMBER: "it is the number of their own phone, or nearly so",
    Weakness.COMMON: "it is one that very many people choose",
    Weakness.OLD_ONE: "it is the old one",
}


@dataclass(frozen=True, slots=True)
class PinRules:
    """What a site wants of a new PIN.

    Parameters:
        min_digits: the fewest.
        refuse_weak: whether those that are easy to guess are refused.
    """

    min_digits: int = MIN_DIGITS
    refuse_weak: bool = True

    def problem(self, pin: str, own: Iterable[str] = ()) -> Weakness | None:
        """Return why a PIN is not taken, or None.

        Parameters:
            pin: what was chosen.
            own: the numbers of the person, see ``numbers_of``.
        """
        if re.fullmatch(rf"[0-9]{{{MIN_DIGITS},{MAX_DIGITS}}}", pin) is None:
            return Weakness.NO_DIGITS
        if len(pin) < self.min_digits:
            return Weakness.SHORT
        return weakness(pin, own) if self.refuse_weak else None

    def said(self, problem: Weakness) -> str:
        """Return a problem in words, without a digit of the PIN."""
        if problem in (Weakness.NO_DIGITS, Weakness.SHORT):
            return f"a PIN is {self.min_digits} to {MAX_DIGITS} digits"
        return f"this PIN is easy to guess: {_WORDS[problem]}"


def numbers_of(endpoints: Iterable[str]) -> frozenset[str]:
    """Return the numbers of a supervisor's phones: the digits in the names of their endpoints."""
    found = (number for endpoint in endpoints for number in re.findall(r"[0-9]+", endpoint.partition("/")[2]))
    return frozenset(number for number in found if len(number) >= MIN_NUMBER)


def weakness(pin: str, own: Iterable[str] = ()) -> Weakness | None:
    """Return why a PIN is easy to guess, or None when it is not.

    Parameters:
        pin: digits.
        own: numbers of the person whose PIN it is.
    """
    steps = {(int(following) - int(digit)) % 10 for digit, following in pairwise(pin)}
    if steps == {0}:
        return Weakness.SAME_DIGIT
    if steps in ({1}, {9}):
        # 0 comes before 1 and behind 9, as on the keys: 7890 and 0987 run as well.
        return Weakness.RUN
    if any(pin == (pin[:size] * len(pin))[: len(pin)] for size in range(1, len(pin) // 2 + 1)):
        return Weakness.PATTERN
    if any(pin in number or (number in pin and len(pin) - len(number) <= MORE_DIGITS) for number in own):
        return Weakness.OWN_NUMBER
    if re.fullmatch(r"(19|20)[0-9]{2}", pin) is not None:
        return Weakness.YEAR
    return Weakness.COMMON if pin in COMMON else None
