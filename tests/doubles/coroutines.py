"""Runs coroutines without a reactor and without a thread."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Generator
from typing import Any, TypeVar

Result = TypeVar("Result")


async def at_once(function: Callable[[], Result], /) -> Result:
    """Run a function here and now: what a thread does, without one."""
    return function()


def finish(story: Coroutine[Any, Any, Result]) -> Result:
    """Run a coroutine that waits for nothing."""
    try:
        story.send(None)
    except StopIteration as end:
        result: Result = end.value
        return result
    raise AssertionError("it waits")


class Pause:
    """``supervision.waiting.Wait`` without a reactor: the driver of the coroutine continues when it is over."""

    def __init__(self) -> None:
        self.is_over = False

    def __await__(self) -> Generator[Pause, None, None]:
        """Wait for it."""
        while not self.is_over:
            yield self

    def over(self) -> None:
        """Let the waiting one continue."""
        self.is_over = True
