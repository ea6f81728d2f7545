"""Hours at their edges."""

from __future__ import annotations

from datetime import datetime

import pytest
from business_hours import OFFICE, HoursGate

from agi_monitor.testing import FakeAsterisk


@pytest.mark.parametrize(
    ("moment", "there"),
    [
        ("2026-11-26T08:59:59+01:00", "no"),
        ("2026-11-26T09:00:00+01:00", "yes"),
        ("2026-11-26T16:59:59+01:00", "yes"),
        ("2026-11-26T17:00:00+01:00", "no"),
        ("2026-11-27T15:00:00+01:00", "no"),  # a Friday
        ("2026-11-28T12:00:00+01:00", "no"),  # a Saturday
        ("2026-12-25T12:00:00+01:00", "no"),  # a holiday
        ("2026-11-26T08:30:00+00:00", "yes"),  # another clock's words for half past nine
        ("2026-07-02T07:00:00+00:00", "yes"),  # summer time
    ],
)
def test_open(moment: str, there: str) -> None:
    fake = FakeAsterisk()
    fake.run(HoursGate(OFFICE, lambda: datetime.fromisoformat(moment)))
    assert fake.channel.variables["OPEN"] == there
