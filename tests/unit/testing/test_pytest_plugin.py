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


FORGOTTEN = """
async def greet(session):
    session.answer()
    await session.stream_file("hello")

def test_greets(fake_asterisk):
    fake_asterisk.run(greet)
    assert fake_asterisk.played == ["hello"]
"""
FORGOTTEN_MANAGER = """
def test_asks(fake_manager):
    from agi_monitor import Account, ManagerClient
    from agi_monitor.pytest_plugin import SECRET, USERNAME
    client = ManagerClient("pbx", Account(USERNAME, SECRET), reactor=fake_manager.clock, endpoint=fake_manager)
    client.action("Ping")
"""
OTHER_WARNINGS = """
import warnings, pytest

def test_warns(fake_asterisk):
    warnings.warn("of somebody else", UserWarning)
"""
PYTEST_ASYNCIO = """
import asyncio
import pytest

async def greet(session):
    async with asyncio.timeout(5):
        await asyncio.sleep(0)
    await session.stream_file("hello")

@pytest.mark.asyncio
async def test_greets(fake_asterisk):
    await fake_asterisk.run_asyncio(greet)
    assert fake_asterisk.played == ["hello"]

@pytest.mark.asyncio
async def test_hangs_up(fake_asterisk):
    async def waits(session):
        await asyncio.Event().wait()

    call = asyncio.create_task(fake_asterisk.run_asyncio(waits))
    await asyncio.sleep(0)
    fake_asterisk.hang_up()
    await call
    assert fake_asterisk.agi_status == "HANGUP"
"""
ANYIO = """
import anyio
import pytest

pytestmark = pytest.mark.anyio

@pytest.fixture
def anyio_backend():
    return "asyncio"

async def greet(session):
    with anyio.fail_after(5):
        await anyio.sleep(0)
    await session.stream_file("hello")

async def test_greets(fake_asterisk):
    await fake_asterisk.run_asyncio(greet)
    assert fake_asterisk.played == ["hello"]
"""
ASYNCIO_WRONG = """
import asyncio

async def greet(session):
    await asyncio.sleep(0)

def test_greets(fake_asterisk):
    fake_asterisk.run(greet)
"""


@pytest.mark.parametrize(
    ("source", "code", "said"),
    [
        (GOOD, 0, "2 passed"),
        (WAITS, 1, "the call still goes on"),
        (UNEXPECTED, 1, "GETDATA: no command that is known"),
        (FORGOTTEN, 1, "an await was forgotten: coroutine 'Session.answer' was never awaited, "),
        (FORGOTTEN_MANAGER, 1, "an await was forgotten: coroutine 'ManagerClient.action' was never awaited, "),
        (OTHER_WARNINGS, 0, "UserWarning: of somebody else"),
        (PYTEST_ASYNCIO, 0, "2 passed"),
        (ANYIO, 0, "1 passed"),
        (ASYNCIO_WRONG, 1, "In a test: await fake.run_asyncio(handler)"),
    ],
    ids=["good", "waits", "unexpected", "forgotten", "manager", "warns", "pytest-asyncio", "anyio", "asyncio"],
)
def test_the_fixtures_of_a_user(tmp_path: Path, source: str, code: int, said: str) -> None:
    """They are there, and what went wrong inside a fake is an error of the test even when the test did not look."""
    (tmp_path / "test_calls.py").write_text(source)
    plugins = ["agi_monitor.pytest_plugin"]
    plugins += [
        name
        for name, word in (("pytest_asyncio.plugin", "mark.asyncio"), ("anyio.pytest_plugin", "mark.anyio"))
        if word in source
    ]
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-p", "no:cacheprovider"),
            *(("-o", "asyncio_default_fixture_loop_scope=function") if "mark.asyncio" in source else ()),
            *[word for name in plugins for word in ("-p", name)],
        ],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stdout
    assert said in done.stdout
