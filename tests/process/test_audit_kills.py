"""Servers that are killed at any moment, two hundred of them: no spy without a record, and no broken chain."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from agi_monitor.storage.database import Database
from tests.doubles.audit_writer import refusal
from tests.unit.storage.audit.test_chain_on_disk import House as FileHouse
from tests.unit.storage.audit.test_sinks import House

REPOSITORY = Path(__file__).resolve().parents[2]

moments = st.tuples(st.integers(0, 12), st.integers(0, 30_000), st.booleans())
"""After how many spies, and how many turns of a loop; and whether the file is rotated afterwards."""


class Writer:
    """The process of ``audit_writer``."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.doubles.audit_writer"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=REPOSITORY,
        )
        assert self._process.stdin is not None and self._process.stdout is not None
        self._in, self._out = self._process.stdin, self._process.stdout

    def close(self) -> None:
        """No more writers."""
        self._in.close()
        self._process.wait()
        self._out.close()

    def killed_after(self, where: str, spies: int, turns: int) -> list[str]:
        """Let one write there, kill it after this number of spies and turns of a loop. Returns the spies that it
        told.
        """
        self._in.write(f"{where}\n")
        self._in.flush()
        told: list[str] = []
        child = 0
        # The first spy may be told before the process itself is.
        while not child or len(told) < spies:
            line = self._line()
            if "." in line:
                told.append(line)
            else:
                child = int(line)
        for _ in range(turns):
            pass
        os.kill(child, signal.SIGKILL)
        while (line := self._line()) != "over":
            told.append(line)
        return told

    def _line(self) -> str:
        line = self._out.readline()
        assert line, "the writers are gone"
        return line.rstrip("\n")


@pytest.fixture(scope="module")
def writer() -> Iterator[Writer]:
    """One process that forks the others."""
    writer = Writer()
    yield writer
    writer.close()


@settings(max_examples=20)
@given(runs=st.lists(moments, min_size=4, max_size=4))
def test_a_kill_at_any_moment_breaks_nothing(writer: Writer, runs: list[tuple[int, int, bool]]) -> None:
    """Eighty servers with a file, each continuing after the last."""
    with tempfile.TemporaryDirectory() as folder, capture_logs():
        told: set[str] = set()
        for number, (spies, turns, rotated) in enumerate(runs):
            told |= set(writer.killed_after(folder, spies, turns))
            house = FileHouse(Path(folder))
            assert told <= house.calls("spy_started")
            house.append(refusal(f"after {number}"))
            assert house.found() == []
            if rotated:
                house.path.rename(house.folder / f"audit.jsonl.{len(runs) - number}")


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(runs=st.lists(moments, min_size=4, max_size=4))
def test_a_kill_at_any_moment_breaks_nothing_in_a_database(
    writer: Writer, database: Database, nodes: Iterator[int], runs: list[tuple[int, int, bool]]
) -> None:
    """Sixty servers with a file and each of the databases: both have the spies, and the chains are whole."""
    node = f"node{next(nodes)}"
    url = database.url.set(drivername="sqlite" if database.is_sqlite else "postgresql").render_as_string()
    with tempfile.TemporaryDirectory() as folder, capture_logs():
        (Path(folder) / "log").mkdir()
        told: set[str] = set()
        for number, (spies, turns, rotated) in enumerate(runs):
            told |= set(writer.killed_after(f"{folder} {node} {url}", spies, turns))
            house = House(database, Path(folder), node)
            stored, filed = house.told()
            for bodies in (stored, filed):
                assert told <= {json.loads(body + "}")["call"] for body in bodies}
            house.append(refusal(f"after {number}"))
            assert house.is_right()
            # What the writer was at when it was killed may be in one place alone, and nothing had begun by it.
            missing = [body for body in stored if body not in set(filed)]
            assert len(missing) <= number + 1
            assert [body for body in stored if body not in missing] == filed
            assert not told & {json.loads(body + "}")["call"] for body in missing}
            if rotated:
                house.path.rename(house.folder / f"audit.jsonl.{len(runs) - number}")


@pytest.fixture(scope="module")
def nodes() -> Iterator[int]:
    """Numbers for nodes, each once."""
    return itertools.count(1)
