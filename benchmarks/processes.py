"""Servers and loads as processes of their own, and what they cost: read from /proc, as the kernel counts it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

HERE = Path(__file__).parent
RESULTS = HERE.parent / ".cache" / "benchmarks"
"""One JSON file for each benchmark, which `report.py` reads."""
TICKS = os.sysconf("SC_CLK_TCK")
MIB = 1024


def free_port() -> int:
    """A free TCP port."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


class Process:
    """A running program of this folder."""

    def __init__(self, started: subprocess.Popen[str]) -> None:
        self._started = started
        self._stat = Path(f"/proc/{started.pid}/stat")
        self._status = Path(f"/proc/{started.pid}/status")

    def cpu(self) -> float:
        """Seconds of CPU until now, of all its threads."""
        fields = self._stat.read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def mib(self) -> float:
        """Memory that is resident now."""
        line = next(line for line in self._status.read_text().splitlines() if line.startswith("VmRSS:"))
        return int(line.split()[1]) / MIB

    def line(self) -> str:
        """Wait for a line of it; empty when it is over."""
        assert self._started.stdout is not None  # noqa: S101 (a pipe)
        return self._started.stdout.readline().strip()

    def say(self, text: str) -> None:
        """Write a line to it."""
        assert self._started.stdin is not None  # noqa: S101 (a pipe)
        self._started.stdin.write(f"{text}\n")
        self._started.stdin.flush()


@contextmanager
def running(program: str, *arguments: object) -> Iterator[Process]:
    """A program of this folder, killed at the end."""
    command = [sys.executable, str(HERE / program), *map(str, arguments)]
    # What other libraries log about each call would be their cost, so it is not read.
    with subprocess.Popen(  # noqa: S603 (this folder)
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as started:
        try:
            yield Process(started)
        finally:
            started.kill()


@contextmanager
def serving(program: str, name: str) -> Iterator[tuple[Process, int]]:
    """A server of this name that listens, and its port.

    Raises:
        SystemExit: it does not.
    """
    port = free_port()
    with running(program, name, port) as server:
        if server.line() != "listening":
            raise SystemExit(f"{name} did not start: python benchmarks/{program} {name!r} {port} says why")
        yield server, port


def percentile(values: Sequence[float], percent: float) -> float:
    """The value that this percentage of them does not exceed; infinite for none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))] if ordered else float("inf")


def times_ms(seconds: Sequence[float]) -> dict[str, float]:
    """The middle, the ninth tenth and the longest of several times, in milliseconds."""
    return {
        "median_ms": median(seconds) * 1e3,
        "p90_ms": percentile(seconds, 90) * 1e3,
        "longest_ms": max(seconds) * 1e3,
    }


def save(name: str, results: Any) -> None:
    """Keep what was measured."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(results, indent=1) + "\n")


def tell(text: str) -> None:
    """A line for people."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
