"""Hours and dates by the clock on the wall: midnight, summer time, leap days, holidays."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agi_monitor.rights.hours import DAYS, Dates, Hours, Timing, When, dates, hours, zone

ZONES = (
    "Europe/Berlin",
    "America/New_York",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "America/Havana",
    "Pacific/Apia",
    "Africa/Casablanca",
    "America/St_Johns",
    "Asia/Tehran",
    "UTC",
)
"""Half and quarter hours, half an hour of summer time, summer time that begins at midnight, and a day left out."""


def when(*texts: str, on: str = "", not_on: str = "", place: str = "Europe/Berlin") -> When:
    """The times of a rule as they stand in a file; dates with a space between."""
    return When(
        zone(place),
        tuple(hours(text) for text in texts),
        tuple(dates(text) for text in on.split()),
        tuple(dates(text) for text in not_on.split()),
    )


def local(text: str, place: str = "Europe/Berlin", fold: int = 0) -> datetime:
    """A moment by the clock on the wall."""
    return datetime.fromisoformat(text).replace(tzinfo=zone(place), fold=fold)


WEEK = when("mon-fri 08:00-18:00")
NIGHTS = when("fri 22:00-06:00")
CHRISTMAS = when(not_on="12-25..12-26")
SHIFT = when("22:00-06:00", on="2026-12-24", not_on="")
HOLIDAY_SHIFT = when("22:00-06:00", not_on="2026-12-25")
NEW_YEAR = when(on="12-30..01-02")


@pytest.mark.parametrize(
    ("times", "moment", "timing"),
    [
        (WEEK, "2026-11-23T07:59:59.999999", Timing.OTHER_HOUR),
        (WEEK, "2026-11-23T08:00", Timing.WITHIN),
        (WEEK, "2026-11-23T17:59:59.999999", Timing.WITHIN),
        (WEEK, "2026-11-23T18:00", Timing.OTHER_HOUR),
        (WEEK, "2026-11-27T12:00", Timing.WITHIN),
        (WEEK, "2026-11-28T12:00", Timing.OTHER_HOUR),
        # past midnight: the hours are those of Friday
        (NIGHTS, "2026-11-27T21:59", Timing.OTHER_HOUR),
        (NIGHTS, "2026-11-27T22:00", Timing.WITHIN),
        (NIGHTS, "2026-11-28T00:00", Timing.WITHIN),
        (NIGHTS, "2026-11-28T05:59", Timing.WITHIN),
        (NIGHTS, "2026-11-28T06:00", Timing.OTHER_HOUR),
        (NIGHTS, "2026-11-27T05:00", Timing.OTHER_HOUR),
        (NIGHTS, "2026-11-28T22:30", Timing.OTHER_HOUR),
        # the whole day, and up to its end
        (when("00:00-24:00"), "2026-11-28T23:59", Timing.WITHIN),
        (when("sun 20:00-24:00"), "2026-11-29T23:59", Timing.WITHIN),
        (when("sun 20:00-24:00"), "2026-11-30T00:00", Timing.OTHER_HOUR),
        (when("sun 20:00-00:00"), "2026-11-29T23:59", Timing.WITHIN),
        (when("sun 20:00-00:00"), "2026-11-30T00:00", Timing.OTHER_HOUR),
        # dates without hours are days on the calendar
        (CHRISTMAS, "2026-12-24T23:59", Timing.WITHIN),
        (CHRISTMAS, "2026-12-25T00:00", Timing.OTHER_DATE),
        (CHRISTMAS, "2031-12-26T23:59", Timing.OTHER_DATE),
        (CHRISTMAS, "2026-12-27T00:00", Timing.WITHIN),
        # dates with hours are those on which the hours begin
        (SHIFT, "2026-12-24T05:00", Timing.OTHER_DATE),
        (SHIFT, "2026-12-24T23:00", Timing.WITHIN),
        (SHIFT, "2026-12-25T05:00", Timing.WITHIN),
        (SHIFT, "2026-12-25T23:00", Timing.OTHER_DATE),
        (HOLIDAY_SHIFT, "2026-12-25T05:00", Timing.WITHIN),
        (HOLIDAY_SHIFT, "2026-12-25T23:00", Timing.OTHER_DATE),
        (HOLIDAY_SHIFT, "2026-12-26T05:00", Timing.OTHER_DATE),
        # every year, over its end
        (NEW_YEAR, "2026-12-29T23:59", Timing.OTHER_DATE),
        (NEW_YEAR, "2026-12-30T00:00", Timing.WITHIN),
        (NEW_YEAR, "2027-01-02T23:59", Timing.WITHIN),
        (NEW_YEAR, "2027-01-03T00:00", Timing.OTHER_DATE),
        # leap days
        (when(on="02-29"), "2028-02-29T12:00", Timing.WITHIN),
        (when(on="02-29"), "2027-02-28T12:00", Timing.OTHER_DATE),
        (when(on="02-29"), "2027-03-01T12:00", Timing.OTHER_DATE),
        (when(on="2028-02-29"), "2028-02-29T12:00", Timing.WITHIN),
        (when("22:00-06:00", on="02-28"), "2028-02-29T05:00", Timing.WITHIN),
        (when("22:00-06:00", on="02-28"), "2028-03-01T05:00", Timing.OTHER_DATE),
        (when("22:00-06:00", on="02-28"), "2027-03-01T05:00", Timing.WITHIN),
        # several: one that fits is enough
        (when("sat 10:00-12:00", "mon 08:00-09:00"), "2026-11-28T11:00", Timing.WITHIN),
        (when("thu 22:00-06:00", "fri 04:00-05:00", not_on="2026-11-26"), "2026-11-27T04:30", Timing.WITHIN),
        (when("thu 22:00-06:00", "fri 04:00-05:00", not_on="2026-11-26"), "2026-11-27T05:30", Timing.OTHER_DATE),
        (when(on="2026-12-01..2026-12-03 2026-12-07"), "2026-12-07T00:00", Timing.WITHIN),
        (when(on="2026-12-01..2026-12-03 2026-12-07"), "2026-12-06T00:00", Timing.OTHER_DATE),
        (when(on="2026-12-01..2026-12-03", not_on="2026-12-02"), "2026-12-02T00:00", Timing.OTHER_DATE),
    ],
)
def test_holds_by_the_clock_on_the_wall(times: When, moment: str, timing: Timing) -> None:
    """In Berlin, at the borders."""
    assert times.timing(local(moment)) is timing
    assert times.timing(local(moment).astimezone(UTC)) is timing


@pytest.mark.parametrize(
    ("times", "utc", "timing"),
    [
        # 2026-10-25 in Berlin: 02:00 to 03:00 comes twice
        ("02:00-02:30", "2026-10-25T00:15", Timing.WITHIN),
        ("02:00-02:30", "2026-10-25T00:45", Timing.OTHER_HOUR),
        ("02:00-02:30", "2026-10-25T01:15", Timing.WITHIN),
        ("02:00-02:30", "2026-10-25T01:30", Timing.OTHER_HOUR),
        ("sat 22:00-06:00", "2026-10-25T04:59", Timing.WITHIN),
        ("sat 22:00-06:00", "2026-10-25T05:00", Timing.OTHER_HOUR),
        # 2026-03-29: after 01:59 comes 03:00
        ("02:00-03:00", "2026-03-29T00:59", Timing.OTHER_HOUR),
        ("02:00-03:00", "2026-03-29T01:00", Timing.OTHER_HOUR),
        ("01:00-02:30", "2026-03-29T00:59", Timing.WITHIN),
        ("01:00-02:30", "2026-03-29T01:00", Timing.OTHER_HOUR),
        ("02:30-04:00", "2026-03-29T01:00", Timing.WITHIN),
        ("sat 22:00-06:00", "2026-03-29T03:59", Timing.WITHIN),
        ("sat 22:00-06:00", "2026-03-29T04:00", Timing.OTHER_HOUR),
    ],
)
def test_holds_when_summer_time_begins_and_ends(times: str, utc: str, timing: Timing) -> None:
    """An hour that comes twice counts twice, one that is left out does not come."""
    assert when(times).timing(datetime.fromisoformat(utc).replace(tzinfo=UTC)) is timing


def test_the_zone_of_the_moment_does_not_matter() -> None:
    """Nine in the morning in Berlin, whoever asks."""
    moment = local("2026-11-23T17:00", "Asia/Tokyo")
    assert when("09:00-09:01").timing(moment) is Timing.WITHIN
    assert when("17:00-17:01", place="Asia/Tokyo").timing(moment) is Timing.WITHIN


def test_a_moment_without_an_offset_is_no_moment() -> None:
    """It is not guessed whose clock was meant."""
    with pytest.raises(ValueError, match="no offset"):
        WEEK.timing(datetime(2026, 11, 23, 12))


# ---- against others who can tell the time ------------------------------------------------------------

some_hours = st.builds(
    lambda days, begin, length: Hours(days, begin, (begin + length) % 1440 or 1440),
    st.frozensets(st.integers(0, 6), min_size=1),
    st.integers(0, 1439),
    st.integers(1, 1439),
)
near_days = st.lists(st.tuples(st.booleans(), st.integers(-40, 10), st.integers(0, 40)), max_size=2)
"""Dates by what tells them: whether they come every year, the day of the first from now, and how many follow."""

LEAP_YEAR = [date(2028, 1, 1) + timedelta(days=step) for step in range(366)]
DAYS_OF_A_YEAR: list[tuple[int, ...]] = [(day.month, day.day) for day in LEAP_YEAR]


def from_now(today: date, told: list[tuple[bool, int, int]]) -> tuple[Dates, ...]:
    """The dates that were drawn."""
    found = []
    for yearly, ahead, more in told:
        days = [today + timedelta(days=ahead), today + timedelta(days=ahead + more)]
        first, last = ((day.month, day.day) if yearly else (day.year, day.month, day.day) for day in days)
        found.append(Dates(first, last))
    return tuple(found)


def days_of(dates: Dates) -> set[tuple[int, ...]]:
    """All of the dates, one by one."""
    if len(dates.first) == 3:
        first, last = date(*dates.first), date(*dates.last)
        days = (first + timedelta(days=step) for step in range((last - first).days + 1))
        return {(day.year, day.month, day.day) for day in days}
    first_at, last_at = DAYS_OF_A_YEAR.index(dates.first), DAYS_OF_A_YEAR.index(dates.last)
    return {DAYS_OF_A_YEAR[(first_at + step) % 366] for step in range((last_at - first_at) % 366 + 1)}


def brute_force(times: When, shown: datetime) -> Timing:
    """Every minute of the hours that begin on this day or the one before is written down and looked for."""
    minute = shown.replace(second=0)
    today = minute.replace(hour=0, minute=0)
    begun = [] if times.hours else [today]
    for midnight in (today, today - timedelta(days=1)):
        for one in times.hours:
            length = (one.end - one.begin) % 1440 or 1440
            minutes = {midnight + timedelta(minutes=one.begin + step) for step in range(length)}
            if midnight.weekday() in one.days and minute in minutes:
                begun.append(midnight)

    def among(day: datetime, several: tuple[Dates, ...]) -> bool:
        return any((day.year, day.month, day.day)[-len(one.first) :] in days_of(one) for one in several)

    if any((not times.dates or among(day, times.dates)) and not among(day, times.not_on) for day in begun):
        return Timing.WITHIN
    return Timing.OTHER_DATE if begun else Timing.OTHER_HOUR


@pytest.fixture(scope="module")
def clock_of_the_system() -> Iterator[None]:
    """Leaves the C library's zone as it was."""
    yield
    time.tzset()


def on_the_wall(place: str, moment: datetime) -> datetime:
    """What a clock shows, by the C library."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", place)
        time.tzset()
        return datetime(*time.localtime(moment.timestamp())[:6])


@given(
    st.sampled_from(ZONES),
    st.lists(some_hours, max_size=3),
    near_days,
    near_days,
    st.datetimes(datetime(2000, 3, 1), datetime(2036, 10, 30), timezones=st.just(UTC)),
)
@example("Pacific/Apia", [hours("22:00-06:00")], [], [], datetime(2011, 12, 30, 10, tzinfo=UTC))
@example("America/Havana", [hours("sun 00:00-02:00")], [], [], datetime(2026, 3, 8, 5, tzinfo=UTC))
@example("Australia/Lord_Howe", [hours("01:30-02:00")], [], [], datetime(2026, 4, 4, 15, tzinfo=UTC))
@example("UTC", [hours("22:00-06:00")], [(True, 0, 0)], [], datetime(2028, 2, 29, 23, tzinfo=UTC))
@pytest.mark.usefixtures("clock_of_the_system")
def test_agrees_with_brute_force(
    place: str,
    some: list[Hours],
    on: list[tuple[bool, int, int]],
    off: list[tuple[bool, int, int]],
    moment: datetime,
) -> None:
    """Random zones, hours, dates and moments, against the clock of the C library."""
    shown = on_the_wall(place, moment)
    times = When(zone(place), tuple(some), from_now(shown.date(), on), from_now(shown.date(), off))
    assert times.timing(moment) is brute_force(times, shown)


# ---- how they are written ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "days", "begin", "end"),
    [
        ("mon-fri 08:00-18:00", "mon tue wed thu fri", 480, 1080),
        ("Mon,WED 8:05-9:00", "mon wed", 485, 540),
        ("fri-mon  22:00-6:00", "fri sat sun mon", 1320, 360),
        ("sat,mon-tue 00:00-24:00", "sat mon tue", 0, 1440),
        ("sun-sun 00:00-00:01", "sun", 0, 1),
        ("12:00-13:00", "mon tue wed thu fri sat sun", 720, 780),
    ],
)
def test_reads_hours(text: str, days: str, begin: int, end: int) -> None:
    """Days one by one or from one to another, also over Sunday; without days it is every day."""
    assert hours(text) == Hours(frozenset(DAYS.index(day) for day in days.split()), begin, end)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "mon-fri",
        "08:00",
        "8-18",
        "mon-fri08:00-18:00",
        "mon -fri 08:00-18:00",
        "monday 08:00-18:00",
        "mon-wed-fri 08:00-18:00",
        "mon, 08:00-18:00",
        ", 08:00-18:00",
        "- 08:00-18:00",
        "08:00-08:00",
        "00:00-00:00",
        "24:00-06:00",
        "08:60-18:00",
        "08:00-24:01",
        "08:00-25:00",
        "08:00-18:00\n",
        "08:00-18:00 mon",
        "٠٨:00-18:00",
    ],
)
def test_refuses_what_are_no_hours(text: str) -> None:
    """Also those that would be empty."""
    with pytest.raises(ValueError, match=r"\S"):
        hours(text)


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("2026-12-25", (2026, 12, 25), (2026, 12, 25)),
        ("12-25", (12, 25), (12, 25)),
        ("02-29", (2, 29), (2, 29)),
        ("2028-02-29", (2028, 2, 29), (2028, 2, 29)),
        ("2026-12-01..2027-01-06", (2026, 12, 1), (2027, 1, 6)),
        ("12-24..01-06", (12, 24), (1, 6)),
    ],
)
def test_reads_dates(text: str, first: tuple[int, ...], last: tuple[int, ...]) -> None:
    """With a year once, without one every year."""
    assert dates(text) == Dates(first, last)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "25.12.2026",
        "2026-12",
        "2026-2-1",
        "2026-02-30",
        "2027-02-29",
        "0000-01-01",
        "13-01",
        "00-10",
        "2026-12-25..",
        "..2026-12-25",
        "2026-12-25..12-26",
        "2026-12-26..2026-12-25",
        "12-24..12-25..12-26",
        "12-24 ..12-25",
        "12-25\n",
    ],
)
def test_refuses_what_are_no_dates(text: str) -> None:
    """Days that no year has, ranges that end before they begin, one kind with another."""
    with pytest.raises(ValueError, match=r"\S"):
        dates(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Berlin",
        "Europe",
        "europe/Atlantis",
        "../UTC",
        "/etc/localtime",
        "Europe/../UTC",
        "localtime",
        "right/UTC",
        "posix/UTC",
        "posixrules",
        "UTC\n",
        "zone.tab",
        "tzdata.zi",
        "+01:00",
    ],
)
def test_refuses_what_is_no_time_zone(text: str) -> None:
    """Folders, files that are not zones, and the zone of the machine, which is not told from here."""
    with pytest.raises(ValueError, match="zone"):
        zone(text)


@pytest.mark.parametrize("text", [*ZONES, "America/Argentina/Buenos_Aires", "Etc/GMT+5"])
def test_finds_time_zones(text: str) -> None:
    """By the names of the IANA database."""
    assert zone(text).key == text
