"""How a call waits for its turn to have its PIN looked at, in Twisted."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from twisted.internet.defer import Deferred


class DeferredWait:
    """``supervision.waiting.Wait`` as a Deferred. A call that ends cancels it."""

    def __init__(self) -> None:
        self._deferred: Deferred[None] = Deferred()

    def __await__(self) -> Generator[Any, Any, None]:
        """Wait for it."""
        return self._deferred.__await__()

    def over(self) -> None:
        """Let the waiting one continue."""
        if not self._deferred.called:
            self._deferred.callback(None)
