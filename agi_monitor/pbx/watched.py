"""What is known of each grant that is on: one entry, made when it begins or is adopted, and gone with its end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall

from agi_monitor.supervision.grant import Grant
from agi_monitor.supervision.grants import Grants


@dataclass(slots=True, eq=False)
class Watched:
    """What has become of the spy of one grant. Moments are on the reactor's clock.

    Parameters:
        began: when it began.
        revoked: why it was ended from outside; None while it was not.
        revoked_at: when it was last ended from outside.
        on_record: why it was ended from outside, as the audit has it.
        telling: what silences the supervisor's channel, under way or done.
        closing: who waits for its story to say that it is over.
        pressed: when its ChanSpy was last told to end.
        muted: it was ended, and its supervisor hears nothing and is not heard.
        hung_up: what carried it was hung up and is gone.
        handed_over: its spy is at another phone.
        phone_hung_up: the supervisor's phone asked for the end; known of an adopted one.
        parties: who talks to the agent, once that was known.
        conversation: all who talked to the agent in the conversation that its minutes are of.
        only_party: who talked to the agent alone, the last time that only one did.
        names_before: who was on the line with the agent when the PBX itself last said so, and the picture as well.
        left_with: who was on the call of a supervisor that the agent is not on, when the PBX itself last said so.
        only_local: since when only Local channels that lead nowhere are on the line with the agent.
        again: whether its spy begins again with another conversation; None while it was not told to begin again.
        over: its conversation is over.
        alone: the look at an agent who is alone on the line.
        looking: its call is looked at.
    """

    began: float
    revoked: str | None = None
    revoked_at: float | None = None
    on_record: str | None = None
    telling: Deferred[Any] | None = None
    closing: list[Deferred[None]] = field(default_factory=list)
    pressed: float | None = None
    muted: bool = False
    hung_up: bool = False
    handed_over: bool = False
    phone_hung_up: bool = False
    parties: frozenset[str] | None = None
    conversation: frozenset[str] = frozenset()
    only_party: frozenset[str] | None = None
    names_before: frozenset[str] = frozenset()
    left_with: frozenset[str] = frozenset()
    only_local: float | None = None
    again: bool | None = None
    over: bool = False
    alone: IDelayedCall | None = None
    looking: bool = False


class WatchedGrants:
    """The grants of this server that are on, on one PBX, each with its entry.

    Parameters:
        grants: who hears whom there, and by what right.
        seconds: returns the reactor's clock.
    """

    def __init__(self, grants: Grants, seconds: Callable[[], float]) -> None:
        self.grants = grants
        self._seconds = seconds
        self._by_id: dict[str, Watched] = {}

    def __len__(self) -> int:
        """Count the entries."""
        return len(self._by_id)

    def __contains__(self, grant: Grant) -> bool:
        """Return whether a grant has its entry: it began, and its end was not taken in."""
        return grant.id in self._by_id

    def ours(self) -> tuple[Grant, ...]:
        """Return the grants that are on: with their stories, or without."""
        return (*self.grants.granted(), *self.grants.adopted())

    def begin(self, grant: Grant, began: float) -> None:
        """Make the entry of a grant that has none.

        Parameters:
            grant: the grant.
            began: when, on the reactor's clock.
        """
        self._by_id.setdefault(grant.id, Watched(began))

    def note_hung_up(self, grant: Grant) -> None:
        """What carried a grant was hung up and is gone."""
        if grant in self.ours():
            self.of(grant).hung_up = True

    def of(self, grant: Grant) -> Watched:
        """Return the entry of a grant. Nothing is known of one that has not begun, or is over, and nothing is kept:
        a story or an answer that is late may ask all the same."""
        return self._by_id.get(grant.id) or Watched(self._seconds())

    def forget(self, grant: Grant) -> Watched:
        """A grant is over. Returns its last entry."""
        return self._by_id.pop(grant.id, None) or Watched(self._seconds())

    def entries(self) -> tuple[Watched, ...]:
        """Return all entries."""
        return tuple(self._by_id.values())
