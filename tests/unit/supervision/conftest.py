"""A desk for every test that tells the story of a call."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.doubles.desk import Desk


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """Anna's phone; agent 1001 is on a call."""
    return Desk(tmp_path)
