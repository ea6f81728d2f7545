"""What a PBX tells, as it is handed over: an event or an item of a list, and what became of it."""

from __future__ import annotations

from enum import StrEnum
from typing import Protocol

MAX_TEXT = 256
"""Characters of a name or an identifier; Asterisk's own end at 150 (AST_MAX_UNIQUEID) and below."""

UNKNOWN = "<unknown>"
"""How a number or a name that is not there is written (manager_channels.c, manager_bridges.c)."""


class Headers(Protocol):
    """An event or a list item: whatever has ``get``. It is not changed after it was handed over."""

    def get(self, name: str, /) -> str | None:
        """Return the header, or None."""
        ...


class Outcome(StrEnum):
    """What became of an event."""

    TAKEN = "taken"
    """It was about something known, or made it known."""
    LATE = "late"
    """It was about a channel that has ended, or of which nothing was told before."""
    IGNORED = "ignored"
    """It does not change a call or a device."""
    MALFORMED = "malformed"
    """Its headers are missing, or longer than anything Asterisk writes."""
    TOO_MANY = "too_many"
    """It told of one channel, device, hint or queue member more than there may be."""


def text(headers: Headers, name: str) -> str:
    """Return a header; empty when it is absent, unknown, or longer than anything of its kind."""
    found = headers.get(name)
    return "" if found is None or found == UNKNOWN or len(found) > MAX_TEXT else found
