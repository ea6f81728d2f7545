"""A list that is sent whenever it has changed. It rings for every event of the PBX; a list costs more than that.

So a ring only says that it is time to look: at once where it was quiet, otherwise a moment later, and never so soon
that looking takes more than a tenth of the time. Where a client does not take what was sent, nothing waits for it: it
gets the list as it is when it has.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from agi_monitor.shown import Row

LOOK_SECONDS = 0.2
"""Between two looks. Faster than people read, and slower than a call is set up in events."""

SETTLE_SECONDS = 2.0
"""What is looked at for this long after the last ring: whose a spy is, is asked of the PBX when it has begun."""

LEISURE = 9
"""A look that takes a second is followed by nine without one."""

MOVING = frozenset({"seconds", "since"})
"""What changes by itself, and does not count as a change."""


class Clock(Protocol):
    """What is needed of Twisted's clock."""

    def seconds(self) -> float:
        """Return seconds from some moment on."""
        ...

    def callLater(self, delay: float, callable: Callable[..., object]) -> Any:  # noqa: N802 (Twisted's name)
        """Call it after this number of seconds."""
        ...


class LiveList:
    """What one client watches.

    Parameters:
        look: returns the answer as it is now.
        send: takes an answer that has changed.
        clock: Twisted's.
    """

    def __init__(self, look: Callable[[], Row], send: Callable[[Row], None], clock: Clock) -> None:
        self._look = look
        self._send = send
        self._clock = clock
        self._sent: object = None
        self._timer: Any = None
        self._rung_at = self._not_before = clock.seconds()
        self._held = self._stopped = False

    def ring(self) -> None:
        """Something may have changed."""
        self._rung_at = self._clock.seconds()
        self._later()

    def hold(self) -> None:
        """The client does not take what was sent."""
        self._held = True

    def release(self) -> None:
        """It has taken it."""
        self._held = False
        self._later()

    def stop(self) -> None:
        """Look no more."""
        self._stopped = True
        if self._timer is not None and self._timer.active():
            self._timer.cancel()

    def _later(self) -> None:
        if not self._stopped and self._timer is None:
            wait = max(0.0, self._not_before - self._clock.seconds())
            self._timer = self._clock.callLater(wait, self._now)

    def _now(self) -> None:
        self._timer = None
        if self._stopped or self._held:
            return
        began = self._clock.seconds()
        row = self._look()
        told = _still(row)
        if told != self._sent:
            self._sent = told
            self._send(row)
        now = self._clock.seconds()
        self._not_before = now + max(LOOK_SECONDS, LEISURE * (now - began))
        if now - self._rung_at < SETTLE_SECONDS:
            self._later()


def _still(value: object) -> object:
    """An answer without what changes by itself."""
    if isinstance(value, dict):
        return {name: _still(one) for name, one in value.items() if name not in MOVING}
    return [_still(one) for one in value] if isinstance(value, list) else value
