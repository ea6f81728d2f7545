"""What the story of a call tells the watch over all spies, and asks it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from agi_monitor.live.port import LivePbx, NoLivePbx
from agi_monitor.supervision.grant import Grant, Place


class GrantWatch(Protocol):
    """Who holds grants against what is heard on the PBX. ``spy_watch.SpyWatch`` fits it."""

    def opened(self, grant: Grant) -> str | None:
        """A grant begins. Returns its proof, for the supervisor's channel.

        Returns:
            the proof; empty when it could not be signed, and there is no spy then; None where spies are not watched,
            so that nothing would look for a proof.
        """
        ...

    def closed(self, grant: Grant) -> None:
        """A grant is over: its story has ended it."""
        ...

    def heard_since(self, supervisor: str, call: frozenset[str], now: float) -> float:
        """Return since when a supervisor hears a call, with what was heard of it before counted in; or now.

        Parameters:
            supervisor: the id of the supervisor.
            call: the channels of the call.
            now: seconds since 1970.
        """
        ...

    def listeners(self, place: Place, call: frozenset[str], *, begins: bool) -> int | None:
        """Count who else hears a call; None where that is not known.

        Parameters:
            place: the one that is not counted.
            call: the channels of the call.
            begins: whether all count; otherwise those who were there before.
        """
        ...

    def heard_for(self, place: Place) -> float:
        """Return how many seconds a place has been taken, by a clock that cannot be set; with what counts in."""
        ...

    def place_taken(self, place: Place) -> None:
        """A supervisor is about to hear a call, and counts from now on, through all changes of mode."""
        ...

    def place_left(self, place: Place) -> None:
        """The supervisor leaves the place, and counts no longer."""
        ...

    def left_alone(self, grant: Grant) -> None:
        """Its story has lost the connection, and the spy continues. ``closed`` follows."""
        ...

    def revoked(self, grant: Grant) -> str | None:
        """Return why a grant was ended from outside, or None."""
        ...

    async def was_handed_over(self, grant: Grant) -> bool:
        """Return whether a spy was found at another phone, and is on record as such."""
        ...

    def begins_anew(self, grant: Grant) -> bool:
        """Return whether a spy was told to begin again, because another party is on the call."""
        ...

    def is_another_conversation(self, grant: Grant) -> bool:
        """Return whether all who talked to the agent before have left the call."""
        ...

    def conversation_over(self, grant: Grant) -> bool:
        """Return whether a spy was told to end because the agent is alone on the call."""
        ...

    async def silenced(self, grant: Grant) -> None:
        """Wait until nothing more is on its way that silences the supervisor's channel."""
        ...

    def notice_expected(self, spyee_uniqueid: str) -> str | None:
        """The agent on this channel is about to be told.

        Returns:
            what our helper carries and no other one can; None where it would not be seen whether the agent is told.
        """
        ...

    async def notice_given(self, notice: str) -> bool:
        """Wait until the agent has been told. False: it did not come to that."""
        ...

    def notice_over(self, notice: str) -> None:
        """It is no longer awaited."""
        ...


class NoGrantWatch:
    """``GrantWatch`` where there is no manager interface: spies are neither seen nor ended from outside.

    A story that is not watched executes, records and ends its spy by itself. What only a watch can know is not known,
    and a rule that depends on it allows nothing.
    """

    def opened(self, grant: Grant) -> None:
        """Return no proof: nothing would look for it."""

    def closed(self, grant: Grant) -> None:
        """Keep nothing."""

    def heard_since(self, supervisor: str, call: frozenset[str], now: float) -> float:
        """Return that it begins now: what was heard before is not known."""
        return now

    def listeners(self, place: Place, call: frozenset[str], *, begins: bool) -> None:
        """Return that it is not known."""

    def heard_for(self, place: Place) -> float:
        """Return nothing that could be longer than what the clock on the wall says."""
        return 0.0

    def place_taken(self, place: Place) -> None:
        """Keep nothing."""

    def place_left(self, place: Place) -> None:
        """Keep nothing."""

    def left_alone(self, grant: Grant) -> None:
        """Keep nothing: without a proof no spy is left to a watch."""

    def revoked(self, grant: Grant) -> None:
        """Return that nothing was ended from outside."""

    async def was_handed_over(self, grant: Grant) -> bool:
        """Return that none was found at another phone."""
        return False

    def begins_anew(self, grant: Grant) -> bool:
        """Return that none was told to begin again."""
        return False

    def is_another_conversation(self, grant: Grant) -> bool:
        """Return that no other party was seen."""
        return False

    def conversation_over(self, grant: Grant) -> bool:
        """Return that none was told to end."""
        return False

    async def silenced(self, grant: Grant) -> None:
        """Wait for nothing: no channel is silenced from outside."""

    def notice_expected(self, spyee_uniqueid: str) -> None:
        """Return that it would not be seen whether the agent is told."""

    async def notice_given(self, notice: str) -> bool:
        """Return that it was not."""
        return False

    def notice_over(self, notice: str) -> None:
        """Keep nothing."""


@dataclass(frozen=True, slots=True)
class ManagerInterface:
    """What the story of a call has of the PBX besides its own AGI session.

    Parameters:
        live: who talks to whom.
        watch: who hears whom, and by what right.
    """

    live: LivePbx
    watch: GrantWatch


NO_MANAGER = ManagerInterface(NoLivePbx(), NoGrantWatch())
"""There is none."""
