"""How a call waits for the answer of a plug-in, in Twisted."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, TypeVar

from twisted.internet import defer
from twisted.internet.interfaces import IReactorTime

from agi_monitor.errors import CallEnded
from agi_monitor.supervision.hooks import SECONDS

Result = TypeVar("Result")


class InTime:
    """Awaits the answer of a plug-in for ``hooks.SECONDS``. ``hooks.InTime`` in Twisted.

    Parameters:
        reactor: whose seconds they are.
    """

    def __init__(self, reactor: IReactorTime) -> None:
        self._reactor = reactor

    async def __call__(self, story: Coroutine[Any, Any, Result], /) -> Result:
        """Await it.

        Raises:
            CallEnded: the call ended meanwhile.
            TimeoutError: it took too long.
        """
        answer = defer.Deferred.fromCoroutine(story).addTimeout(SECONDS, self._reactor)
        try:
            return await answer
        except defer.TimeoutError:
            raise TimeoutError(f"no answer in {SECONDS:g} s") from None
        except defer.CancelledError:
            raise CallEnded("the call ended while a plug-in was asked") from None
