"""Programs of a user, each in a process of its own."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from contrib.lab.waiting import wait_until

CHECKOUT = Path(__file__).resolve().parents[2]
SECONDS = 40.0


def printed(out: Path) -> str:
    """What a program printed, without its colours."""
    return re.sub(r"\x1b\[[\d;]*m", "", out.read_text())


@contextmanager
def running(
    program: str, until: str, out: Path, folder: Path, *, ends_with: int = 0, **environment: str
) -> Iterator[re.Match[str]]:
    """A program from the moment it prints something; it must end by itself when it is told to, without an error.

    Parameters:
        program: its source.
        until: a pattern; what it found is given.
        out: where it prints.
        folder: where it runs, and what it imports.
        ends_with: what its end is to be.
        environment: variables for it.
    """
    with out.open("w") as stream:
        process = subprocess.Popen(
            [sys.executable, "-c", program],
            cwd=folder,
            env={**os.environ, **environment, "PYTHONPATH": f"{folder}{os.pathsep}{CHECKOUT}"},
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
        )

    def look() -> re.Match[str] | None:
        assert process.poll() is None, printed(out)
        return re.search(until, printed(out))

    try:
        found = wait_until(look, SECONDS, "the program to run", describe=lambda: printed(out))
        assert found is not None
        yield found
        process.send_signal(signal.SIGTERM)
        assert process.wait(SECONDS) == ends_with, printed(out)
    finally:
        process.kill()
        process.wait()
    assert "Traceback" not in printed(out)
