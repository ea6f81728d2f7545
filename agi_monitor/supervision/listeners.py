"""Who hears a call, and how long each supervisor has heard of it: what rules about listeners and minutes count."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from agi_monitor.supervision.grant import Grant, Place
from agi_monitor.supervision.spies import Spy, SpyKind

MAX_HEARD = 10_000
"""Calls whose time is kept, each for one supervisor; those that are over are forgotten with the next list."""


class Listeners:
    """The places on the calls of one PBX, and the time that supervisors have heard of each call.

    A place belongs to a supervisor of this server. Other spies have none, and count as well: they are given to every
    question.
    """

    def __init__(self) -> None:
        self._places: dict[str, dict[str, Place]] = {}
        """By the channel that is heard, and by the one that hears."""
        self._heard: dict[tuple[str, str], tuple[float, float]] = {}
        """By supervisor and party of the agent: how long it was heard, and when it was heard last."""

    def take(self, place: Place) -> None:
        """A supervisor is about to hear a call, and counts until the place is left."""
        self._places.setdefault(place.spyee_uniqueid, {})[place.spyer_uniqueid] = place

    def leave(self, place: Place) -> None:
        """The supervisor counts no longer."""
        places = self._places.get(place.spyee_uniqueid, {})
        places.pop(place.spyer_uniqueid, None)
        if not places:
            self._places.pop(place.spyee_uniqueid, None)

    def count(self, place: Place, call: frozenset[str], spies: Iterable[Spy], *, begins: bool) -> int:
        """Count who else hears a call, by whatever right or none.

        Parameters:
            place: the one that is not counted.
            call: the channels of the call.
            spies: those without a place.
            begins: whether all count; otherwise those who were there before.
        """
        found = {
            other.spyer_uniqueid
            for other in self._on(call, spies)
            if other.spyer_uniqueid != place.spyer_uniqueid and (begins or other.order < place.order)
        }
        return len(found)

    def heard_since(self, supervisor: str, call: frozenset[str], spies: Iterable[Spy], now: float) -> float:
        """Return since when a supervisor hears a call, with what was heard of it before counted in; or now.

        Parameters:
            supervisor: the id of the supervisor.
            call: the channels of the call.
            spies: those without a place.
            now: seconds since 1970.
        """
        running = [other.since for other in self._on(call, spies) if other.supervisor == supervisor]
        heard = [self._heard.get((supervisor, uniqueid), (0.0, 0.0))[0] for uniqueid in call]
        return min([now, *running, *(now - seconds for seconds in heard)])

    def note(self, grant: Grant, parties: frozenset[str], now: float, heard: float) -> None:
        """Keep how long a call was heard by a grant that is over.

        Parameters:
            grant: the grant.
            parties: who talked to the agent; empty where that is not known.
            now: on the clock of ``Grants``.
            heard: in seconds.
        """
        # The agent's channel may outlive the conversation, and the conversation may continue with another agent.
        for party in parties or {grant.spyee_uniqueid}:
            key = grant.supervisor, party
            seconds, _ = self._heard.pop(key, (0.0, 0.0))
            self._heard[key] = max(seconds, heard), now
        while len(self._heard) > MAX_HEARD:
            del self._heard[next(iter(self._heard))]

    def forget(self, channels: Collection[str], asked_at: float) -> None:
        """Forget the calls whose parties a whole list no longer has.

        Parameters:
            channels: of the list.
            asked_at: when it was asked for.
        """
        over = [key for key, (_, last) in self._heard.items() if last < asked_at and key[1] not in channels]
        for key in over:
            del self._heard[key]

    def _on(self, call: frozenset[str], spies: Iterable[Spy]) -> Iterator[Place]:
        """Yield the places of those who hear a call; one may come twice."""
        for uniqueid in call:
            yield from self._places.get(uniqueid, {}).values()
        for spy in spies:
            if spy.kind is SpyKind.EXEMPT or (spy.idle and spy.grant is None):
                continue
            # A list does not always tell who is heard; the grant does.
            place = Place("", spy.spyer_uniqueid, spy.spyee_uniqueid, spy.at)
            place = place if spy.grant is None else spy.grant.place
            if place.spyee_uniqueid in call:
                yield place
