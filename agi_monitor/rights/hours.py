"""When a rule holds: hours of the week and dates, by the clock on the wall of one place.

Only what the clock on the wall shows counts. An hour that it shows twice when summer time ends counts twice, one
that it leaves out does not come. Hours that go past midnight belong to the day on which they begin, also for dates.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

_HOURS = re.compile(
    r"(?:(?P<days>[a-z,-]+) +)?(?P<begin>[0-9]{1,2}:[0-9]{2})-(?P<end>[0-9]{1,2}:[0-9]{2})", re.IGNORECASE
)
_DATE = re.compile(r"(?:([0-9]{4})-)?([0-9]{2})-([0-9]{2})")
_ZONE = re.compile(r"(?!posix/|right/|localtime\Z|posixrules\Z)[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+)*")
_LEAP_YEAR = 2000
"""Has every day that any year has."""


class Timing(StrEnum):
    """How a moment stands to the hours and dates of a rule."""

    WITHIN = "within"
    """The rule applies."""
    OTHER_HOUR = "other_hour"
    """It is outside the hours."""
    OTHER_DATE = "other_date"
    """The hour is right, the date is not."""


@dataclass(frozen=True, slots=True)
class Hours:
    """The same hours on some days of the week.

    Parameters:
        days: on which they begin, 0 for Monday.
        begin: minutes since midnight.
        end: minutes since midnight, itself not included; not after ``begin`` means on the next day.
    """

    days: frozenset[int]
    begin: int
    end: int

    def began(self, today: date, minute: int) -> date | None:
        """Return the day on which these hours began, or None when they are not now.

        Parameters:
            today: the date on the wall.
            minute: of that day.
        """
        if self.begin < self.end:
            begun = today if self.begin <= minute < self.end else None
        elif minute >= self.begin:
            begun = today
        else:
            begun = today - timedelta(days=1) if minute < self.end else None
        return begun if begun is not None and begun.weekday() in self.days else None


@dataclass(frozen=True, slots=True)
class Dates:
    """One date, or all from one to another.

    Parameters:
        first: year, month and day; or month and day, which come every year.
        last: of the same kind, itself included. A yearly one before ``first`` is in the next year.
    """

    first: tuple[int, ...]
    last: tuple[int, ...]

    def hold(self, day: date) -> bool:
        """Return whether this day is one of them."""
        known = (day.year, day.month, day.day)[-len(self.first) :]
        if self.first <= self.last:
            return self.first <= known <= self.last
        return known >= self.first or known <= self.last


@dataclass(frozen=True, slots=True)
class When:
    """The times at which a rule holds.

    Parameters:
        zone: whose clock is meant.
        hours: of the week; none means all hours.
        dates: none means every day.
        not_on: days that are left out.
    """

    zone: ZoneInfo
    hours: tuple[Hours, ...] = ()
    dates: tuple[Dates, ...] = ()
    not_on: tuple[Dates, ...] = ()

    def timing(self, at: datetime) -> Timing:
        """Return whether the rule applies at a moment.

        Parameters:
            at: with its offset.

        Raises:
            ValueError: the moment has no offset, so it is ambiguous.
        """
        if at.utcoffset() is None:
            raise ValueError("the moment has no offset")
        local = at.astimezone(self.zone)
        found = Timing.OTHER_HOUR
        for day in self._begun(local.date(), local.hour * 60 + local.minute):
            if self._has(day):
                return Timing.WITHIN
            found = Timing.OTHER_DATE
        return found

    def _begun(self, today: date, minute: int) -> Iterator[date]:
        if not self.hours:
            yield today
        for hours in self.hours:
            begun = hours.began(today, minute)
            if begun is not None:
                yield begun

    def _has(self, day: date) -> bool:
        if any(dates.hold(day) for dates in self.not_on):
            return False
        return not self.dates or any(dates.hold(day) for dates in self.dates)


def zone(text: str) -> ZoneInfo:
    """Return a time zone by its name, such as ``Europe/Berlin``.

    Raises:
        ValueError: the system knows none by that name.
    """
    if _ZONE.fullmatch(text) is None:
        raise ValueError(f"{text!r} is not the name of a time zone")
    try:
        return ZoneInfo(text)
    except (OSError, KeyError) as error:
        # A folder of zones, such as Europe, is an OSError; a name that is not there is a KeyError.
        raise ValueError(f"{text} is not a time zone that this system knows") from error


def hours(text: str) -> Hours:
    """Read hours such as ``mon-fri 08:00-18:00``, ``sat,sun 22:00-06:00`` or ``00:00-24:00``.

    Raises:
        ValueError: they are written otherwise, or end as they begin.
    """
    match = _HOURS.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not written like hours")
    begin, end = _minute(match["begin"], 23), _minute(match["end"], 24)
    if begin == end:
        raise ValueError(f"{text!r} ends when it begins")
    return Hours(_days(match["days"]), begin, end)


def dates(text: str) -> Dates:
    """Read a date such as ``2026-12-25`` or ``12-25``, or two of them with ``..`` between.

    Raises:
        ValueError: they are written otherwise, do not exist, or end before they begin.
    """
    first, *others = (_day(part) for part in text.split(".."))
    if len(others) > 1 or any(len(other) != len(first) for other in others):
        raise ValueError(f"{text!r} is neither one date nor two of a kind")
    last = others[0] if others else first
    if len(first) == 3 and last < first:
        raise ValueError(f"{text!r} ends before it begins")
    return Dates(first, last)


def _minute(text: str, last_hour: int) -> int:
    hour, minute = (int(part) for part in text.split(":"))
    if hour > last_hour or minute > 59 or (hour == 24 and minute):
        raise ValueError(f"{text} is not a time of day")
    return hour * 60 + minute


def _days(text: str | None) -> frozenset[int]:
    if text is None:
        return frozenset(range(len(DAYS)))
    found: set[int] = set()
    for part in text.lower().split(","):
        names = part.split("-")
        if len(names) > 2 or not set(names) <= set(DAYS):
            raise ValueError(f"{part} is neither a day nor two with a - between")
        first, last = DAYS.index(names[0]), DAYS.index(names[-1])
        # From friday to monday is four days.
        found.update((first + step) % len(DAYS) for step in range((last - first) % len(DAYS) + 1))
    return frozenset(found)


def _day(text: str) -> tuple[int, ...]:
    match = _DATE.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not written like a date")
    year, month, day = (int(part) if part else None for part in match.groups())
    date(_LEAP_YEAR if year is None else year, month or 0, day or 0)
    return (month or 0, day or 0) if year is None else (year, month or 0, day or 0)
