"""Fixtures for pytest, which finds them by itself. What goes wrong inside a fake fails the test at its end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from agi_monitor.testing import FakeAsterisk, FakeManager

USERNAME = "monitor"
SECRET = "correct-horse-battery"  # noqa: S105 (of a fake)
"""The account of ``fake_manager``."""


@pytest.fixture
def fake_asterisk() -> Iterator[FakeAsterisk]:
    """A PBX in memory with one call that reaches ``AGI()``."""
    # Only when a test asks: every run of pytest loads this module.
    from agi_monitor.testing import FakeAsterisk

    fake = FakeAsterisk()
    yield fake
    fake.check()
    if fake.session is not None and not fake.closed:
        raise AssertionError("the call still goes on: its handler waits for something that no test does")


@pytest.fixture
def fake_manager() -> Iterator[FakeManager]:
    """The manager interface of a PBX in memory, with the account ``USERNAME`` and ``SECRET`` of this module."""
    from agi_monitor.testing import FakeManager

    fake = FakeManager(USERNAME, SECRET)
    yield fake
    fake.check()
