"""Commands, called in this process."""

from __future__ import annotations

import pytest
from argon2 import PasswordHasher

from agi_monitor.pins import records

CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


@pytest.fixture(autouse=True)
def _cheap_records(monkeypatch: pytest.MonkeyPatch) -> None:
    """How much work a PIN record takes is proven in tests/unit/pins; here each takes the least."""
    monkeypatch.setattr(records, "_hasher", CHEAP)
