"""A program of a user that serves calls, in a process of its own, and Asterisk's side of a call to it."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from contrib.lab.waiting import wait_until

CHECKOUT = Path(__file__).resolve().parents[2]
SECONDS = 20.0
ENVIRONMENT = "agi_network: yes\nagi_channel: PJSIP/1001-00000001\nagi_uniqueid: 1700000000.1\n\n"


@contextmanager
def running(folder: Path, program: str, *command: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A program of a user in a process of its own, as soon as it says where it listens."""
    (folder / "calls.py").write_text(textwrap.dedent(program))
    out = folder / "out"
    with out.open("w") as file:
        server = subprocess.Popen(
            command or [sys.executable, "calls.py"],
            cwd=folder,
            stdout=file,
            stderr=file,
            text=True,
            env={**os.environ, "PYTHONPATH": f"{folder}{os.pathsep}{CHECKOUT}"},
        )
    try:

        def look() -> int | None:
            assert server.poll() is None, out.read_text()
            found = re.search(r"agi_listening.*port=(\d+)", re.sub(r"\x1b\[[\d;]*m", "", out.read_text()))
            return int(found[1]) if found else None

        port = wait_until(look, SECONDS, "the program to listen", describe=out.read_text)
        yield server, port
    finally:
        server.kill()
        server.wait(SECONDS)


class Call:
    """Asterisk's side of one call."""

    def __init__(self, port: int, environment: str = ENVIRONMENT) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=SECONDS)
        self._lines = self._socket.makefile("rw", newline="\n")
        self.says(environment)

    def says(self, text: str) -> None:
        """Asterisk sends this."""
        self._lines.write(text)
        self._lines.flush()

    def hears(self) -> str:
        """The next line of the server; empty at the end."""
        return self._lines.readline().rstrip("\n")

    def close(self) -> None:
        """The connection ends."""
        self._lines.close()
        self._socket.close()
