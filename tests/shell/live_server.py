"""Forks ``live_house`` as a process of its own, and speaks to it."""

from __future__ import annotations

import json
import os
import queue
import socket
import sys
import threading
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

from contrib.lab.program import forked

WAIT_SECONDS = 20.0


class LiveServer:
    """A running ``live_house``; it is gone at the end of the ``with``.

    Parameters:
        path: of its socket.
        limits: of the socket, where they are not the usual ones; ``page_seconds`` is that of the metrics.
    """

    def __init__(self, path: Path, **limits: float) -> None:
        self.path = path
        ours, theirs = socket.socketpair()
        with theirs:
            self.process = forked(_be_a_house, path, limits, theirs)
        self._orders, self._lines = ours.makefile("w"), ours.makefile("r")
        ours.close()
        self._said: queue.Queue[str] = queue.Queue()
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()
        self.begun = self.says()

    def _listen(self) -> None:
        for line in self._lines:
            self._said.put(line)
        self._said.put("")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.process.kill()
        self.process.wait(WAIT_SECONDS)
        self._listener.join(WAIT_SECONDS)
        # What it did not read any more is no matter.
        with suppress(OSError):
            self._orders.close()
        self._lines.close()

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
        self._orders.write(f"{order}\n")
        self._orders.flush()

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


def _be_a_house(path: Path, limits: dict[str, float], orders: socket.socket) -> None:
    """In the fork: read orders, and print what happens, on this socket."""
    for standard in (0, 1):
        os.dup2(orders.fileno(), standard)
    orders.close()
    sys.stdin, sys.stdout = os.fdopen(0, closefd=False), os.fdopen(1, "w", closefd=False)
    from tests.shell.live_house import main  # here, as only the fork needs it

    main(path, limits)


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
