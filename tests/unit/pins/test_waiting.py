"""Turns and progress, awaited as the server awaits them."""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure

from agi_monitor.pins.waiting import Progress, Turns
from agi_monitor.server.pin_waits import DeferredWait


class Queue:
    """Calls that take a turn, do something, and leave."""

    def __init__(self, size: int) -> None:
        self.turns = Turns(size, DeferredWait)
        self.had: list[str] = []
        self.doing: dict[str, Deferred[None]] = {}
        self.gone: list[str] = []

    def comes(self, name: str) -> Deferred[None]:
        """A call comes."""
        call = Deferred.fromCoroutine(self._story(name))

        def left(failure: Failure) -> None:
            failure.trap(CancelledError)  # type: ignore[no-untyped-call]  # Twisted's own
            self.gone.append(name)

        call.addErrback(left)
        return call

    async def _story(self, name: str) -> None:
        await self.turns.take()
        try:
            self.had.append(name)
            self.doing[name] = Deferred()
            await self.doing[name]
        finally:
            self.turns.leave()

    def done(self, name: str) -> None:
        """What was done with the turn is done."""
        self.doing.pop(name).callback(None)


def test_turns_go_in_the_order_of_arrival() -> None:
    """This number at once."""
    queue = Queue(2)
    for name in "abcde":
        queue.comes(name)
    assert queue.had == ["a", "b"]
    queue.done("b")
    assert queue.had == ["a", "b", "c"]
    queue.done("a")
    queue.done("c")
    assert queue.had == ["a", "b", "c", "d", "e"]


def test_who_hangs_up_while_waiting_is_passed_over() -> None:
    """And who hangs up with a turn leaves it to the next."""
    queue = Queue(1)
    calls = {name: queue.comes(name) for name in "abcd"}
    calls["b"].cancel()
    calls["a"].cancel()
    assert (queue.gone, queue.had) == (["b", "a"], ["a", "c"])
    queue.done("c")
    queue.done("d")
    queue.comes("e")
    assert queue.had == ["a", "c", "d", "e"]


def test_everybody_who_waits_is_told() -> None:
    """Once; who hung up meanwhile is not."""
    progress = Progress(DeferredWait)
    told: list[str] = []

    async def waits(name: str) -> None:
        await progress.next()
        told.append(name)

    calls = {name: Deferred.fromCoroutine(waits(name)) for name in "abc"}
    calls["b"].addErrback(lambda failure: None)
    calls["b"].cancel()
    progress.made()
    progress.made()
    assert (told, progress.number) == (["a", "c"], 2)
