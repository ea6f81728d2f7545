"""agi_monitor.agi.story: a story is told once that it is over."""

from __future__ import annotations

import gc
from collections.abc import Coroutine
from typing import Any

from twisted.internet.defer import Deferred, succeed

from agi_monitor.agi.story import StoryRun
from agi_monitor.errors import CallEnded


def start(story: Coroutine[Deferred[Any], Any, None]) -> tuple[StoryRun, list[Any]]:
    """A run, and what it came to."""
    outcome: list[Any] = []
    run = StoryRun(story, outcome.append, outcome.append)
    run.start()
    return run, outcome


def test_results_and_errors_pass_through() -> None:
    """What is awaited arrives as if the run were not there."""

    async def story() -> None:
        seen.append(await succeed(1))
        seen.append(await waiting)
        try:
            await failing
        except KeyError:
            seen.append("error")

    seen: list[object] = []
    waiting: Deferred[int] = Deferred()
    failing: Deferred[int] = Deferred()
    _, outcome = start(story())
    waiting.callback(2)
    failing.errback(KeyError())
    assert seen == [1, 2, "error"]
    assert outcome == [None]


def test_the_end_is_told_once() -> None:
    """The first end raises CallEnded where it waits; later ones leave the clean-up alone."""

    async def story() -> None:
        try:
            await waiting
        except CallEnded as error:
            seen.append(str(error))
        seen.append(await cleaning)

    seen: list[str] = []
    waiting: Deferred[None] = Deferred()
    cleaning: Deferred[str] = Deferred()
    run, outcome = start(story())
    run.end("first")
    run.end("second")
    assert seen == ["first"]
    assert outcome == []
    cleaning.callback("clean")
    assert seen == ["first", "clean"]
    assert outcome == [None]


def test_a_deferred_that_answers_its_own_cancellation() -> None:
    """Even when the cancelled thing succeeds, the story is told."""

    async def story() -> None:
        try:
            await Deferred(lambda deferred: deferred.callback("fine"))
        except CallEnded:
            seen.append("ended")

    seen: list[str] = []
    run, outcome = start(story())
    run.end("over")
    assert seen == ["ended"]
    assert outcome == [None]


def test_the_end_while_it_runs() -> None:
    """A story that ends itself is told where it waits next."""

    async def story() -> None:
        runs[0].end("by itself")
        try:
            await waiting
        except CallEnded:
            seen.append("ended")

    seen: list[str] = []
    waiting: Deferred[None] = Deferred()
    runs: list[StoryRun] = []
    outcome: list[Any] = []
    run = StoryRun(story(), outcome.append, outcome.append)
    runs.append(run)
    run.start()
    assert seen == ["ended"]
    assert outcome == [None]
    run.end("later")


def test_the_end_after_the_end() -> None:
    """A story that is over is told nothing."""

    async def story() -> None:
        await succeed(None)

    run, outcome = start(story())
    run.end("late")
    assert outcome == [None]


def test_a_story_that_nobody_keeps_is_closed() -> None:
    """When everything is forgotten, its finally runs."""

    async def story() -> None:
        try:
            await Deferred[None]()
        finally:
            seen.append("closed")

    seen: list[str] = []
    run, _ = start(story())
    del run
    gc.collect()
    assert seen == ["closed"]
