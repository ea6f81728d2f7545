"""Spies whose stories are gone, of this run or an earlier one: what is known of them, and why they end.

No story asks for the reason of such an end, and no event tells it: it is in who hangs up about that time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from twisted.internet.defer import Deferred, TimeoutError
from twisted.internet.interfaces import IReactorTime

from agi_monitor.audit.facts import End, SpyEnded
from agi_monitor.pbx.carriers import Carriers
from agi_monitor.pbx.pbx import Pbx
from agi_monitor.pbx.places import Places
from agi_monitor.pbx.records import Records
from agi_monitor.pbx.under_way import UnderWay
from agi_monitor.pbx.watched import WatchedGrants
from agi_monitor.supervision.grant import Grant

HANGUP_SECONDS = 1.0
"""How long after the end of an orphan its channels have to hang up, to be the reason of it."""


class Adopting:
    """Watches over the spies of one PBX that have no story.

    Parameters:
        pbx: the PBX.
        reactor: Twisted's, or a ``Clock``.
        clock: seconds since 1970.
        watched: the grants that are on.
        carriers: keeps their proofs.
        places: since when each hears its call.
        records: puts their ends on record.
        under_way: begins what is not waited for.
        closed: takes in that a grant is over.
    """

    def __init__(
        self,
        pbx: Pbx,
        reactor: IReactorTime,
        clock: Callable[[], float],
        watched: WatchedGrants,
        carriers: Carriers,
        places: Places,
        records: Records,
        under_way: UnderWay,
        closed: Callable[[Grant], None],
    ) -> None:
        self._pbx = pbx
        self._reactor = reactor
        self._clock = clock
        self._watched = watched
        self._grants = watched.grants
        self._carriers = carriers
        self._places = places
        self._records = records
        self._under_way = under_way
        self._closed = closed
        self._ending: dict[str, tuple[Mapping[str, End], Deferred[End]]] = {}
        """By grant, what the end of a channel would mean, and who waits for it."""

    def adopt(self, grant: Grant, signed: str) -> None:
        """A grant of an earlier run is on: know of it what a story would have told.

        Parameters:
            grant: the grant.
            signed: its proof, as it stands on the channel.
        """
        self._carriers.signed[grant.id] = signed
        # Only the time of day continues while no server runs.
        ago = max(0.0, self._clock() - grant.began)
        self._watched.begin(grant, self._reactor.seconds() - ago)
        self._places.adopted(grant)

    def take_hangup_request(self, uniqueid: str) -> None:
        """A phone asks for the end of its call."""
        for grant in self._grants.adopted():
            if grant.spyer_uniqueid == uniqueid:
                self._watched.of(grant).phone_hung_up = True

    def waits_for(self, uniqueid: str) -> bool:
        """Return whether the end of a channel would be the reason for the end of a spy."""
        return any(uniqueid in why for why, _ in self._ending.values())

    def take_hangup(self, uniqueid: str) -> None:
        """A channel is gone, as the PBX says itself."""
        for why, first in list(self._ending.values()):
            if uniqueid in why and not first.called:
                first.callback(why[uniqueid])

    def take_orphans_end(self, grant: Grant) -> None:
        """A spy without a story is over: find out why, and put it on record."""
        watched = self._watched.of(grant)
        seconds = round(self._reactor.seconds() - watched.began, 3)
        if watched.revoked is not None:
            self._orphan_ended(grant, End.REVOKED, seconds)
        elif self._pbx.channel(grant.spyee_uniqueid) is None and not watched.phone_hung_up:
            # A supervisor who has joined the call, or taken it over, may be on it for longer than the agent.
            self._orphan_ended(grant, End.CALL_OVER, seconds)
        else:
            self._under_way.begin(self._wait_for_hangup(grant, seconds))

    async def _wait_for_hangup(self, grant: Grant, seconds: float) -> None:
        """ChanSpyStop comes before the Hangup that it is for: who hangs up now says why it ended.

        When a call is over ChanSpy ends before the agent's channel is gone. On a busy PBX the supervisor's channel is
        gone first. Its phone hung up where Asterisk said so (HangupRequest).
        """
        over = {grant.spyee_uniqueid: End.CALL_OVER}
        by_phone = {grant.spyer_uniqueid: End.SUPERVISOR_HUNG_UP}
        why: End | None = End.SUPERVISOR_HUNG_UP
        if self._pbx.channel(grant.spyer_uniqueid) is not None:
            why = await self._first_hangup(grant, over | by_phone)
        if why is End.SUPERVISOR_HUNG_UP and not self._watched.of(grant).phone_hung_up:
            why = await self._first_hangup(grant, over) or why
        self._orphan_ended(grant, why or End.PBX_ENDED, seconds)

    async def _first_hangup(self, grant: Grant, why: Mapping[str, End]) -> End | None:
        """Wait for the first of these channels to hang up, and return what that means; None where none does in time.

        Parameters:
            grant: that is over.
            why: what the end of a channel means, by its uniqueid.
        """
        first: Deferred[End] = Deferred()
        self._ending[grant.id] = (why, first)
        try:
            return await first.addTimeout(HANGUP_SECONDS, self._reactor)
        except TimeoutError:
            return None
        finally:
            del self._ending[grant.id]

    def _orphan_ended(self, grant: Grant, why: End, seconds: float) -> None:
        why = End.HANDED_OVER if self._watched.of(grant).handed_over else why
        self._records.record(
            SpyEnded(
                **self._records.common(grant),
                grant=grant.number,
                extension=grant.extension,
                mode=grant.mode,
                why=why,
                seconds=seconds,
            )
        )
        self._closed(grant)
        self._places.orphan_ended(grant)
