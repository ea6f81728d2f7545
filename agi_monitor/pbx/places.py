"""Since when the places on calls are taken, by a clock that cannot be set: minutes that are allowed go by it, too."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IReactorTime

from agi_monitor.supervision.grant import Grant, Place
from agi_monitor.supervision.grants import Grants


class Places:
    """The places on the calls of one PBX, each with the moment since when it is taken.

    Parameters:
        grants: who hears whom.
        reactor: Twisted's, or a ``Clock``.
        clock: seconds since 1970.
    """

    def __init__(self, grants: Grants, reactor: IReactorTime, clock: Callable[[], float]) -> None:
        self._grants = grants
        self._reactor = reactor
        self._clock = clock
        self._taken: dict[tuple[str, str], float] = {}
        """By the channels of a place, since when it counts as taken, on the reactor's clock."""

    def heard_for(self, place: Place) -> float:
        """Return how many seconds a place has been taken, by a clock that cannot be set; with what counts in."""
        taken = self._taken.get((place.spyer_uniqueid, place.spyee_uniqueid))
        return 0.0 if taken is None else self._reactor.seconds() - taken

    def place_taken(self, place: Place) -> None:
        """A supervisor is about to hear a call, and counts from now on, through all changes of mode."""
        if self._is_in_use(place):
            return
        before = max(0.0, self._clock() - place.since)
        self._taken[place.spyer_uniqueid, place.spyee_uniqueid] = self._reactor.seconds() - before
        self._grants.place_taken(place)

    def place_left(self, place: Place) -> None:
        """The supervisor leaves the place, and counts no longer."""
        if self._is_in_use(place):
            return
        if all(grant.place != place for grant in self._grants.adopted()):
            # A supervisor whose story is lost still hears the call.
            self._taken.pop((place.spyer_uniqueid, place.spyee_uniqueid), None)
        self._grants.place_left(place)

    def _is_in_use(self, place: Place) -> bool:
        """Whether the story of another session spies by it, whose channel this one claims to have."""
        grant = self._grants.granted_to(place.spyer_uniqueid)
        return grant is not None and grant.spyee_uniqueid == place.spyee_uniqueid

    def adopted(self, grant: Grant) -> None:
        """A grant of an earlier run continues in its place."""
        heard = max(0.0, self._clock() - grant.since)
        self._taken.setdefault((grant.spyer_uniqueid, grant.spyee_uniqueid), self._reactor.seconds() - heard)

    def orphan_ended(self, grant: Grant) -> None:
        """A spy that had no story is over: nothing else leaves its place."""
        self._taken.pop((grant.spyer_uniqueid, grant.spyee_uniqueid), None)
