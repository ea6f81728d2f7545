"""Thousands of blocking scripts, hung up at random moments. Prints what became of them, as JSON."""

from __future__ import annotations

import json
import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable

import structlog

from agi_monitor.agi.blocking import BlockingStory
from agi_monitor.agi.pyst2 import BlockingAGI, SighupHangup
from agi_monitor.testing import BLOCKS, FakeAsterisk
from agi_monitor.testing.fake_threads import FakeThreads

AT_ONCE = 8

told: Counter[str] = Counter()
wrong: list[str] = []


def is_told(kind: str) -> None:
    """Note it; a second time would come within the next steps."""
    told[kind] += 1
    try:
        for _ in range(50):
            sum(range(20))
    except SighupHangup:
        wrong.append(f"{kind}: told twice")


def computes(agi: BlockingAGI) -> None:
    """Never in a command."""
    try:
        while True:
            sum(range(20))
    except SighupHangup:
        is_told("computes")


def talks(agi: BlockingAGI) -> None:
    """One command after the other."""
    try:
        while True:
            agi.set_variable("X", "1")
    except SighupHangup:
        is_told("talks")


def listens(agi: BlockingAGI) -> None:
    """In a command that does not end."""
    try:
        agi.appexec("ChanSpy", "PJSIP/1001-00000001,uqES")
    except SighupHangup:
        is_told("listens")


def ends(agi: BlockingAGI) -> None:
    """Over at about the time of the hang-up."""
    for _ in range(random.randrange(3000)):
        pass
    told["ends"] += 1


def swallows(agi: BlockingAGI) -> None:
    """Takes the hang-up for any other error, and continues."""
    try:
        while True:
            sum(range(20))
    except Exception:
        is_told("swallows")


def swallows_all(agi: BlockingAGI) -> None:
    """With a bare except, and then over at once."""
    try:
        while True:
            sum(range(20))
    except:  # noqa: E722 (as scripts have it)
        told["swallows_all"] += 1


KINDS: tuple[Callable[[BlockingAGI], None], ...] = (computes, talks, listens, ends, swallows, swallows_all)


def loop() -> float:
    """Return what a fixed computation takes of the CPU."""
    began, number = time.process_time(), 0
    while number < 2_000_000:
        number += 1
    return time.process_time() - began


def main(scripts: int, seed: int) -> None:
    """Run them, some at once."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    sys.setswitchinterval(0.0001)
    before = min(loop() for _ in range(3))
    chance = random.Random(seed)
    reactor = FakeThreads()
    stories = [BlockingStory(kind, reactor=reactor, threads=AT_ONCE) for kind in KINDS]
    live: list[FakeAsterisk] = []
    for _ in range(scripts):
        kind = chance.randrange(len(KINDS))
        fake = FakeAsterisk()
        fake.application("ChanSpy", lambda *_: BLOCKS)
        story = stories[kind]
        if story.busy == AT_ONCE or len(live) == AT_ONCE:
            for one in live:
                for _ in range(chance.randrange(3000)):
                    pass
                one.hang_up()
            live.clear()
            reactor.run_until(lambda: not any(one.busy for one in stories), "the end of the scripts")
        fake.start(story)
        live.append(fake)
        for _ in range(chance.randrange(40)):
            reactor.run_waiting()
    for one in live:
        one.hang_up()
    reactor.run_until(lambda: not any(one.busy for one in stories), "the end of the scripts")
    for story in stories:
        story.stop()
    after = min(loop() for _ in range(3))
    sys.stdout.write(
        json.dumps({"told": told, "wrong": wrong, "threads": threading.active_count(), "cpu": after / before}) + "\n"
    )


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
