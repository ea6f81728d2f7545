"""A site with a watch, behind a fake manager interface."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from structlog.testing import capture_logs
from structlog.typing import EventDict

from tests.shell.managed import Site


@pytest.fixture(autouse=True)
def logs() -> Iterator[list[EventDict]]:
    """What is logged."""
    with capture_logs() as lines:
        yield lines


@pytest.fixture
def site(logs: list[EventDict]) -> Site:
    """A PBX that is known, and nobody spies."""
    site = Site()
    logs.clear()
    return site
