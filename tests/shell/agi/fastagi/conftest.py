"""No session outlives its test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.shell.agi.fastagi.conversation import LINES


@pytest.fixture(autouse=True)
def every_session_ends() -> Iterator[None]:
    """A story that a test leaves waiting is told, so that its clean-up is over before the next test."""
    LINES.clear()
    yield
    for line in LINES:
        if not line.broken:
            line.breaks()
