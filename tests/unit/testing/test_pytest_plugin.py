"""agi_monitor.pytest_plugin, in a test run of a user."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[3]

GOOD = """
async def greet(session):
    await session.stream_file("hello")

def test_greets(fake_asterisk):
    fake_asterisk.run(greet)
    assert fake_asterisk.played == ["hello"]

def test_manager(fake_manager):
    assert fake_manager.names == []
"""
WAITS = """
async def waits(session):
    await session.execute("Wait")

def test_waits(fake_asterisk):
    from agi_monitor.testing import BLOCKS
    fake_asterisk.application("Wait", lambda *_: BLOCKS)
    fake_asterisk.start(waits)
"""
UNEXPECTED = """
from agi_monitor import InvalidCommand, command

async def mistyped(session):
    try:
        await session.perform(command("GETDATA"))
    except InvalidCommand:
        pass

def test_mistyped(fake_asterisk):
    fake_asterisk.start(mistyped)
"""


@pytest.mark.parametrize(
    ("source", "code", "said"),
    [
        (GOOD, 0, "2 passed"),
        (WAITS, 1, "the call still goes on"),
        (UNEXPECTED, 1, "GETDATA: no command that is known"),
    ],
)
def test_the_fixtures_of_a_user(tmp_path: Path, source: str, code: int, said: str) -> None:
    """They are there, and what went wrong inside a fake is an error of the test even when the test did not look."""
    (tmp_path / "test_calls.py").write_text(source)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "agi_monitor.pytest_plugin", "-p", "no:cacheprovider"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stdout
    assert said in done.stdout
