"""Promises in seconds hold on a machine that runs; how long it did not is seen by a thread that wants to."""

from __future__ import annotations

import time

from contrib.lab.stalls import Stalls
from contrib.lab.waiting import wait_until


def test_a_process_that_may_not_run_has_stalled() -> None:
    """What keeps the interpreter busy keeps the thread waiting, and no other time counts."""
    with Stalls() as stalls:
        begin = time.time()
        sum(range(20_000_000))  # one call of C code: no other thread runs
        end = time.time()
        wait_until(lambda: stalls.seconds(begin, end) > 0.5 * (end - begin), 40, "the stall to be noted")
        assert stalls.seconds(begin, end) <= end - begin
        assert stalls.seconds(begin - 100.0, begin - 50.0) == 0.0
