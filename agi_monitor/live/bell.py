"""Tells listeners that something has changed, and not what: they look themselves, when they have time."""

from __future__ import annotations

from collections.abc import Callable


class Bell:
    """Rings for every listener. Without one, ringing costs next to nothing."""

    def __init__(self) -> None:
        self._listeners: dict[int, Callable[[], None]] = {}
        self._count = 0

    def ring(self) -> None:
        """Tell them. A listener returns at once and raises nothing, and may end its own subscription, or another."""
        for listener in list(self._listeners.values()):
            listener()

    def subscribe(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Tell a listener from now on. Returns how to end it."""
        self._count += 1
        number = self._count
        self._listeners[number] = listener
        return lambda: self._listeners.pop(number, None) and None
