"""The way to make the golden files again: ``pytest tests/golden --regenerate-golden``, then read the diff."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option; it exists when this folder is named on the command line."""
    parser.addoption("--regenerate-golden", action="store_true", help="write the golden dialplan files again")


@pytest.fixture
def regenerate(request: pytest.FixtureRequest) -> bool:
    """Whether the golden files are to be written instead of compared."""
    return bool(request.config.getoption("--regenerate-golden", default=False))
