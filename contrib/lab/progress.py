"""Progress on stderr: one line a step, with the seconds since the start, and a word during long silences."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Say = Callable[[str], None]

SILENCE_SECONDS = 15.0
"""A step that takes longer says now and then that it is still at work."""


class Progress:
    """Write lines such as `[ 12 s] asterisk:22: installing packages`; safe from several threads."""

    def __init__(self) -> None:
        self._started = time.monotonic()

    def __call__(self, line: str) -> None:
        """Write one line."""
        print(f"[{time.monotonic() - self._started:4.0f} s] {line}", file=sys.stderr, flush=True)


@contextmanager
def step(say: Say, name: str, last_line: Callable[[], str] = str) -> Iterator[None]:
    """Announce a step, report while it is long, and tell its duration.

    :param say: where the lines go
    :param name: what is being done
    :param last_line: the newest line of the step's own output, shown while it runs
    """
    say(f"{name} ...")
    started = time.monotonic()
    done = threading.Event()

    def remind() -> None:
        while not done.wait(SILENCE_SECONDS):
            say(f"{name}: still at it, {time.monotonic() - started:.0f} s {last_line()[:90]}".rstrip())

    reminder = threading.Thread(target=remind, name=f"reminder of {name}", daemon=True)
    reminder.start()
    try:
        yield
    finally:
        done.set()
        reminder.join()
    say(f"{name}: done in {time.monotonic() - started:.1f} s")
