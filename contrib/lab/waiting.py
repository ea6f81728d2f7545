"""The one place where the laboratory polls.

Rule: each wait names its condition, so that a time-out says what did not happen.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from contrib.lab.errors import WaitTimeout

Seen = TypeVar("Seen")

POLL_SECONDS = 0.02


def wait_until(
    look: Callable[[], Seen | None],
    timeout: float,
    what: str,
    *,
    interval: float = POLL_SECONDS,
    describe: Callable[[], str] | None = None,
) -> Seen:
    """Look again and again until there is something true to see, and return it.

    :param look: asked every `interval` seconds; the first true answer ends the wait
    :param timeout: seconds until WaitTimeout
    :param what: the condition in words, for the error
    :param interval: seconds between two looks; widen it when a look is expensive
    :param describe: tells the state of things for the error message, asked once
    :raises WaitTimeout: the condition did not come true in time
    """
    deadline = time.monotonic() + timeout
    while True:
        # Before the look: a process that was kept from running looks once more before it gives up.
        is_last = time.monotonic() >= deadline
        seen = look()
        if seen:
            return seen
        if is_last:
            detail = f"\n{describe()}" if describe is not None else f" (last seen: {seen!r})"
            raise WaitTimeout(f"waited {timeout:g} s for {what}, in vain{detail}")
        time.sleep(interval)
