"""Fixtures for pytest, which finds them by itself. What goes wrong inside a fake fails the test at its end.

A test with one of them also fails when a coroutine was never awaited: ``session.answer()`` without ``await`` does
nothing, and Python only warns about it.
"""

from __future__ import annotations

import gc
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from agi_monitor.testing import FakeAsterisk, FakeManager

USERNAME = "monitor"
SECRET = "correct-horse-battery"  # noqa: S105 (of a fake)
"""The account of ``fake_manager``."""


FORGOTTEN = r"coroutine .* was never awaited"


@contextmanager
def _nothing_forgotten() -> Iterator[None]:
    """Fail when a coroutine that is made meanwhile is thrown away before it was awaited."""
    with warnings.catch_warnings(record=True) as caught:
        # It is raised where it cannot be seen otherwise: in the collection of the coroutine.
        warnings.filterwarnings("always", FORGOTTEN, RuntimeWarning)
        yield
        gc.collect()
    forgotten = []
    for one in caught:
        if issubclass(one.category, RuntimeWarning) and "was never awaited" in str(one.message):
            forgotten.append(f"{one.message}, {one.filename}:{one.lineno}")
        else:
            warnings.warn_explicit(one.message, one.category, one.filename, one.lineno, source=one.source)
    if forgotten:
        raise AssertionError("an await was forgotten: " + "; ".join(forgotten))


@pytest.fixture
def fake_asterisk() -> Iterator[FakeAsterisk]:
    """A PBX in memory with one call that reaches ``AGI()``; ``await fake.run_asyncio(handler)`` for asyncio."""
    # Only when a test asks: every run of pytest loads this module.
    from agi_monitor.testing import FakeAsterisk

    fake = FakeAsterisk()
    with _nothing_forgotten():
        yield fake
    fake.check()
    if fake.session is not None and not fake.closed:
        raise AssertionError("the call still goes on: its handler waits for something that no test does")


@pytest.fixture
def fake_manager() -> Iterator[FakeManager]:
    """The manager interface of a PBX in memory, with the account ``USERNAME`` and ``SECRET`` of this module."""
    from agi_monitor.testing import FakeManager

    fake = FakeManager(USERNAME, SECRET)
    with _nothing_forgotten():
        yield fake
    fake.check()
