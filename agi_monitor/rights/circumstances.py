"""What is known of a request on the phone, besides who asks for whom and how."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from agi_monitor.model import Direction


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What is known about a request. None means not known.

    Parameters:
        scan: whether the scan reached the agent.
        at: when.
        queue: that gave the call to the agent; empty for a call of no queue.
        direction: of the call, as the agent sees it.
        reason: whether the supervisor gave a reason.
        listeners: how many others already hear the call.
        heard_seconds: how long this supervisor has been hearing the call.
    """

    scan: bool | None = None
    at: datetime | None = None
    queue: str | None = None
    direction: Direction | None = None
    reason: bool | None = None
    listeners: int | None = None
    heard_seconds: float | None = None


NOTHING = Circumstances()
"""Nothing is known."""
