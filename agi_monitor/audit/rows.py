"""A record as JSON says it. An owner of the file can write anything into it: what is of another kind than a server
writes is found here, before anything is worked out from it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from typing import Any

from agi_monitor.audit.selection import Row, time_of

MAX_DEPTH = 20
"""Lists and objects within one another; a change of people has five."""

MAX_SECONDS = 366 * 86_400.0
"""How long one spy can last. A rule ends one within a day, and no call is on for a year."""

MAX_NUMBER = 10**15
"""Records and grants are counted from 1; a chain of a thousand a second has fewer in 30,000 years."""

FIRST_YEAR, LAST_YEAR = 1970, 9_000
"""Beyond them no time can be shown in every zone."""


def row_of(line: bytes) -> Row | None:
    """Return what a line says; None if it is not a JSON object, or one that is nested without need.

    A number that JSON does not have, such as NaN, is the text that stands there.

    Parameters:
        line: without its line end.
    """
    try:
        found = json.loads(line, parse_constant=str, parse_float=_float)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) and _is_shallow(line, found) else None


def misfit(row: Row) -> str | None:
    """Return why a record cannot be counted: which of its fields is not what a server writes. None where all are.

    Parameters:
        row: of a line.
    """
    if not isinstance(row.get("fact"), str):
        return "fact is not a word"
    at = time_of(row)
    if at is None or not FIRST_YEAR <= at.year < LAST_YEAR:
        return f"at is not a time with a zone, between {FIRST_YEAR} and {LAST_YEAR}"
    if row["fact"] == "spy_ended" and row.get("seconds") is None:
        return "seconds is missing"
    for name, (is_right, what) in _FIELDS.items():
        if row.get(name) is not None and not is_right(row[name]):
            return f"{name} is not {what}"
    return None


def named(row: Row, number: int) -> str:
    """Return which record it is: by its number in the chain, if it has one.

    Parameters:
        row: the record.
        number: of those that were read, from 1.
    """
    seq = row.get("seq")
    return f"record {seq}" if _is_number(seq) else f"record number {number} of those that were read"


def _float(text: str) -> float | str:
    found = float(text)
    return found if math.isfinite(found) else text


def _is_shallow(line: bytes, found: object) -> bool:
    """What is nested deeply can be read, and breaks the code that writes it again."""
    if line.count(b"[") + line.count(b"{") <= MAX_DEPTH:
        return True
    level: list[Any] = [found]
    for _ in range(MAX_DEPTH):
        level = [
            within
            for one in level
            for within in (one.values() if isinstance(one, dict) else one)
            if isinstance(within, dict | list)
        ]
        if not level:
            return True
    return False


def _is_number(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value < MAX_NUMBER


def _is_length(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= MAX_SECONDS


def _is_text(value: object) -> bool:
    return isinstance(value, str)


_FIELDS: Mapping[str, tuple[Callable[[object], bool], str]] = {
    **dict.fromkeys(("call", "supervisor", "extension", "mode", "why", "kind"), (_is_text, "a text")),
    "grant": (_is_number, "a number of a grant"),
    "seconds": (_is_length, "a number of seconds from 0 to a year"),
    "told": (lambda value: isinstance(value, bool), "true or false"),
}
"""The fields that are counted or added up, and what they have to be."""
