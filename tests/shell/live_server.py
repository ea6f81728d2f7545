"""Starts ``live_house`` as a process of its own, and speaks to it."""

from __future__ import annotations

import json
import queue
import socket
import subprocess
import sys
import threading
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

REPOSITORY = Path(__file__).resolve().parents[2]
WAIT_SECONDS = 20.0


class LiveServer:
    """A running ``live_house``; it is gone at the end of the ``with``.

    Parameters:
        path: of its socket.
        limits: of the socket, where they are not the usual ones; ``page_seconds`` is that of the metrics.
    """

    def __init__(self, path: Path, **limits: float) -> None:
        self.path = path
        command = [sys.executable, "-m", "tests.shell.live_house", str(path), json.dumps(limits)]
        self.process = subprocess.Popen(
            command, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._said: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._listen, daemon=True).start()
        self.begun = self.says()

    def _listen(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._said.put(line)
        self._said.put("")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            assert stream is not None
            stream.close()

    @property
    def port(self) -> int:
        """Where the metrics are."""
        return int(self.begun["port"])

    def order(self, order: str, **what: object) -> None:
        """Tell it to do something, and wait until it is done."""
        self.send(f"{order} {json.dumps(what)}" if what else order)
        self.says_until("obeyed")

    def send(self, order: str) -> None:
        """Tell it to do something."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{order}\n")
        self.process.stdin.flush()

    def says(self) -> dict[str, Any]:
        """The next thing that it says; empty at its end."""
        line = self._said.get(timeout=WAIT_SECONDS)
        return dict(json.loads(line)) if line else {}

    def says_until(self, name: str) -> dict[str, Any]:
        """The next thing of this name that it says."""
        while name not in (said := self.says()):
            assert said, f"the server ended before it said {name}"
        return said

    def stop(self) -> int:
        """Stop it, and return its exit code."""
        self.send("stop")
        return self.ends()

    def ends(self) -> int:
        """Wait for its end, and return its exit code."""
        return self.process.wait(WAIT_SECONDS)


class Client:
    """A connection to the socket, without any knowledge of what is sent over it."""

    def __init__(self, path: Path) -> None:
        self.connection = socket.socket(socket.AF_UNIX)
        # Before the time limit: with one, Linux does not wait for a server that has no time to accept.
        self.connection.connect(str(path))
        self.connection.settimeout(WAIT_SECONDS)
        self.lines: BinaryIO = self.connection.makefile("rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.lines.close()
        self.connection.close()

    def says(self, data: bytes) -> None:
        """Send this."""
        self.connection.sendall(data)

    def hears(self) -> dict[str, Any]:
        """The next line; empty at the end."""
        line = self.lines.readline()
        return dict(json.loads(line)) if line else {}

    def asks(self, **request: object) -> dict[str, Any]:
        """Send a request and return what comes back."""
        self.says(json.dumps(request).encode() + b"\n")
        return self.hears()
