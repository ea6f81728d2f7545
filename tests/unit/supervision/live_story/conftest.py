"""A desk at a PBX with a manager interface."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.doubles.desk import Desk
from tests.unit.supervision.live_story.calls import connected


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """Anna's phone; agent 1001 is on a call, and the PBX has a manager interface."""
    return connected(tmp_path)
