"""Tells listeners what was put into the audit."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from agi_monitor.audit.facts import AuditLog, Fact

Listener = Callable[[Mapping[str, object]], None]
"""Takes the record of a fact. It returns at once and raises nothing."""


class Bulletin:
    """An ``AuditLog`` in front of another.

    Parameters:
        audit: where facts are kept.
    """

    def __init__(self, audit: AuditLog) -> None:
        self._audit = audit
        self._listeners: dict[int, Listener] = {}
        self._count = 0

    async def append(self, fact: Fact) -> None:
        """Put the fact on disk, and tell the listeners. A fact that gates and could not be written has not happened,
        and is not told.

        Raises:
            AuditUnavailable: as the audit itself.
        """
        await self._audit.append(fact)
        record = fact.record()
        for listener in list(self._listeners.values()):
            listener(record)

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Tell a listener every fact from now on. Returns how to end it."""
        self._count += 1
        number = self._count
        self._listeners[number] = listener
        return lambda: self._listeners.pop(number, None) and None
