"""What the story of a call tells the watch over all spies, and asks it."""

from __future__ import annotations

from typing import Protocol

from agi_monitor.supervision.grants import Grant, Place


class GrantWatch(Protocol):
    """Who holds grants against what is heard on the PBX. ``spy_watch.SpyWatch`` fits it."""

    def opened(self, grant: Grant) -> str:
        """A grant begins. Returns its proof, for the supervisor's channel; empty: there is none, and no spy."""
        ...

    def closed(self, grant: Grant) -> None:
        """It is over."""
        ...

    def heard_since(self, supervisor: str, call: frozenset[str], now: float) -> float:
        """Return since when a supervisor hears a call, with what was heard of it before counted in; or now.

        Parameters:
            supervisor: who.
            call: the channels of the call.
            now: seconds since 1970.
        """
        ...

    def listeners(self, place: Place, call: frozenset[str], *, begins: bool) -> int:
        """Count who else hears a call.

        Parameters:
            place: whoever is not counted.
            call: the channels of the call.
            begins: whether all count; otherwise those who were there before.
        """
        ...

    def heard_for(self, place: Place) -> float:
        """Return how many seconds a place has been taken, by a clock that cannot be set; with what counts in."""
        ...

    def place_taken(self, place: Place) -> None:
        """Somebody is about to hear a call, and counts from this moment on, through all changes of mode."""
        ...

    def place_left(self, place: Place) -> None:
        """Not any more."""
        ...

    def left_alone(self, grant: Grant) -> None:
        """Its story has lost the connection, and it goes on. ``closed`` follows."""
        ...

    def revoked(self, grant: Grant) -> str | None:
        """Say why a grant was ended from outside, or None."""
        ...

    async def was_handed_over(self, grant: Grant) -> bool:
        """Return whether a spy was found at another phone, and is on record as such."""
        ...

    def begins_anew(self, grant: Grant) -> bool:
        """Return whether a spy was told to begin again, because another party is on the call."""
        ...

    def is_another_conversation(self, grant: Grant) -> bool:
        """Return whether nobody of those who talked to the agent before is left on the call."""
        ...

    def conversation_over(self, grant: Grant) -> bool:
        """Return whether a spy was told to end because nobody talks to the agent any more."""
        ...

    async def silenced(self, grant: Grant) -> None:
        """Wait until nothing more is on its way that silences the supervisor's channel."""
        ...

    def notice_expected(self, spyee_uniqueid: str) -> int:
        """The agent on this channel is about to be told. Returns what the notice is called."""
        ...

    async def notice_given(self, notice: int) -> bool:
        """Wait until the agent has been told. False: it did not come to that."""
        ...

    def notice_over(self, notice: int) -> None:
        """Nobody waits for it any more."""
        ...
