"""Runs a program of the system for root: without root's terminal, without an environment, and not without an end.

A program that shares a terminal can type into it (TIOCSTI), so a child has a session of its own and no terminal; what
it reads is empty, what it says is read up to a limit, and it is killed with all that it started when its time is up.
"""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
ENVIRONMENT = {"PATH": PATH, "LC_ALL": "C.UTF-8", "SYSTEMD_PAGER": "cat", "SYSTEMD_COLORS": "0"}
SECONDS = 120.0
"""``systemctl start`` waits until the server serves; its own limit is 90 seconds."""
LIMIT = 65_536
"""Bytes that are read of what a program says."""


@dataclass(frozen=True, slots=True)
class Ran:
    """What came of it.

    Parameters:
        code: its exit code; 127 when there is no such program, negative when a signal ended it.
        text: what it said, on both outputs.
    """

    code: int
    text: str


def run(command: Sequence[str], seconds: float = SECONDS, limit: int = LIMIT) -> Ran:
    """Run a program to its end.

    Parameters:
        command: a name that is looked for in ``PATH``, or an absolute path, and its arguments.
        seconds: after which it is killed.
        limit: bytes of output after which it is killed.
    """
    try:
        child = subprocess.Popen(  # noqa: S603 (fixed programs, arguments that were checked)
            list(command),
            env=ENVIRONMENT,
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    except OSError as error:
        return Ran(127, f"{command[0]}: {error.strerror}")
    with child:
        said, is_over = _read(child, time.monotonic() + seconds, limit)
        if not is_over:
            with suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
        code = child.wait()
    return Ran(code, said.decode("utf-8", "replace").strip())


def _read(child: subprocess.Popen[bytes], until: float, limit: int) -> tuple[bytes, bool]:
    assert child.stdout is not None  # noqa: S101 - for the type checker, PIPE was asked for
    handle = child.stdout.fileno()
    said = bytearray()
    with selectors.DefaultSelector() as selector:
        selector.register(handle, selectors.EVENT_READ)
        while len(said) < limit:
            left = until - time.monotonic()
            if left <= 0 or not selector.select(left):
                return bytes(said), False
            part = os.read(handle, limit - len(said))
            if not part:
                with suppress(subprocess.TimeoutExpired):
                    child.wait(max(0.0, until - time.monotonic()))
                    return bytes(said), True
                return bytes(said), False
            said += part
    return bytes(said), False
