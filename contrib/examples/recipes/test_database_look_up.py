"""The handler in a server of its own, with a real database; the fake calls it over TCP."""

from __future__ import annotations

import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from agi_monitor.testing import FakeAsterisk

PROGRAM = """
import sys
from agi_monitor import serve
from database_look_up import CallerName
serve(CallerName(sys.argv[1]), "tcp:0:interface=127.0.0.1", use_asyncio=True)
"""


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """A database with one person."""
    path = tmp_path / "people.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE people (number TEXT PRIMARY KEY, name TEXT NOT NULL)")
        connection.execute("INSERT INTO people VALUES ('2001', 'Ann \"the\" Other,\n Sales')")
    return path


@pytest.fixture
def port(database: Path) -> Iterator[int]:
    """Where the server listens."""
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(database)],
        cwd=Path(__file__).parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as server:
        assert server.stdout is not None
        try:
            for line in server.stdout:
                if found := re.search(r"port=(\d+)", line):
                    break
            else:
                raise AssertionError("the server ended by itself")
            yield int(found[1])
        finally:
            server.terminate()


def test_the_name_is_set(port: int) -> None:
    fake = FakeAsterisk(caller_id="2001")
    fake.call("127.0.0.1", port)
    assert fake.channel.variables == {"CALLERID(name)": 'Ann "the" Other, Sales'}


def test_a_stranger_has_none(port: int) -> None:
    fake = FakeAsterisk(caller_id="2002")
    fake.call("127.0.0.1", port)
    assert (fake.channel.variables, fake.agi_status) == ({}, "SUCCESS")


def test_a_call_goes_on_without_the_database(port: int, database: Path) -> None:
    database.unlink()
    fake = FakeAsterisk(caller_id="2001")
    fake.call("127.0.0.1", port)
    assert (fake.channel.variables, fake.agi_status) == ({}, "SUCCESS")
    assert any(command[0] == "VERBOSE" for command in fake.commands)
