"""Business hours: whether the office is open now, holidays and summer time included."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from zoneinfo import ZoneInfo

from agi_monitor import Session, serve


@dataclass(frozen=True)
class BusinessHours:
    """When the office is open.

    Parameters:
        zone: whose clock counts.
        days: weekday, Monday is 0 -> from when until when.
        holidays: the office is closed.
    """

    zone: ZoneInfo
    days: dict[int, tuple[time, time]]
    holidays: frozenset[date] = frozenset()

    def open_at(self, moment: datetime) -> bool:
        """Whether the office is open; the moment needs a time zone."""
        here = moment.astimezone(self.zone)
        opens, closes = self.days.get(here.weekday(), (time.max, time.min))
        return here.date() not in self.holidays and opens <= here.time() < closes


@dataclass(frozen=True)
class HoursGate:
    """A handler that sets OPEN to yes or no."""

    hours: BusinessHours
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    async def __call__(self, session: Session) -> None:
        await session.set_variable("OPEN", "yes" if self.hours.open_at(self.now()) else "no")


OFFICE = BusinessHours(
    ZoneInfo("Europe/Berlin"),
    {day: (time(9), time(17)) for day in range(4)} | {4: (time(9), time(15))},
    frozenset({date(2026, 12, 25), date(2027, 1, 1)}),
)

if __name__ == "__main__":
    serve(HoursGate(OFFICE))
