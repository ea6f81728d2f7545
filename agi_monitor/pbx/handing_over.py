"""Spies that are at another phone than the one that was decided on: the grant follows the phone, or ends.

A transfer puts another phone into the supervisor's place, and the application continues there. The event that tells
of it only says where to look. That phone was never granted anything: it falls silent and is hung up, whatever the
configuration says about rogue spies.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import structlog
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import deferLater

from agi_monitor.audit.facts import End, SpyHandedOver
from agi_monitor.errors import AgiMonitorError
from agi_monitor.names import BridgeId
from agi_monitor.pbx.carriers import Carriers
from agi_monitor.pbx.pbx import Pbx
from agi_monitor.pbx.records import Records
from agi_monitor.pbx.revoking import take_step
from agi_monitor.pbx.under_way import UnderWay
from agi_monitor.pbx.watched import WatchedGrants
from agi_monitor.supervision import confirmation
from agi_monitor.supervision.confirmation import Confirmed
from agi_monitor.supervision.grant import Grant
from agi_monitor.supervision.spies import Spy, SpyKind

SEARCH_SECONDS = (0.05, 0.2, 0.75)
"""Between the looks for a spy that may have been handed over, after the first one, for which its story waits."""

AGAIN_SECONDS = 3.0
"""Between two tries to hang up a phone that a spy without a story was handed to."""

log = structlog.get_logger()


class HandingOver:
    """The handed-over spies of one PBX.

    Parameters:
        pbx: the PBX.
        reactor: Twisted's, or a ``Clock``.
        watched: the grants that are on.
        carriers: finds the channel that carries a grant.
        records: puts on record to whom a spy went.
        under_way: begins what is not waited for.
        transfers: begins what the story of a grant waits for.
    """

    def __init__(
        self,
        pbx: Pbx,
        reactor: IReactorTime,
        watched: WatchedGrants,
        carriers: Carriers,
        records: Records,
        under_way: UnderWay,
        transfers: UnderWay,
    ) -> None:
        self._pbx = pbx
        self._reactor = reactor
        self._watched = watched
        self._grants = watched.grants
        self._carriers = carriers
        self._records = records
        self._under_way = under_way
        self._transfers = transfers
        self._putting_out: dict[str, IDelayedCall | None] = {}
        """Phones that a spy was handed to and that are being hung up, and the next try where there is one."""
        self._stopping = False

    def stop(self) -> None:
        """Try no more."""
        self._stopping = True
        for again in self._putting_out.values():
            if again is not None:
                again.cancel()
        self._putting_out.clear()

    def is_putting_out(self, uniqueid: str) -> bool:
        """Return whether a phone is being hung up because a spy was handed to it."""
        return uniqueid in self._putting_out

    async def was_handed_over(self, grant: Grant) -> bool:
        """Return whether a spy was found at another phone, and is on record as such.

        The end of the application may come over the other connection before the event that tells why: what the PBX
        has told until now is waited for.
        """
        if not self._watched.of(grant).handed_over and await self._pbx.answers():
            await self._transfers.idle(grant.id)
        return self._watched.of(grant).handed_over

    # ---- where it has gone -----------------------------------------------------------------------------

    def begin(self, grant: Grant, guesses: Iterable[str] = ()) -> None:
        """Look for a spy whose channel is gone; its story waits for the first look.

        Parameters:
            grant: the grant.
            guesses: channels that an event names.
        """
        self._transfers.begin(self._take_handed_over(grant, guesses), grant.id)

    async def _take_handed_over(self, grant: Grant, guesses: Iterable[str] = ()) -> None:
        """The supervisor's channel is gone and its spy may continue at another phone: that phone hears nothing.

        It may be handed on while it is looked for, so it is looked for until its story is over; after a moment with
        each look at the call.
        """
        await self.look_for(grant, guesses)
        self._under_way.begin(self._look_on(grant))

    async def _look_on(self, grant: Grant) -> None:
        """Look on for a moment, at growing distances: each look is a list of all channels."""
        for seconds in SEARCH_SECONDS:
            await deferLater(self._reactor, seconds)
            if grant not in self._watched.ours():
                return
            await self.look_for(grant)

    async def look_for(self, grant: Grant, guesses: Iterable[str] = ()) -> None:
        """Look once for the phone that a spy was handed to, and end it there."""
        try:
            moved = await self._carriers.moved(grant, guesses, has_story=grant not in self._grants.adopted())
            if moved is not None:
                await self.end_handed_over(grant, moved)
        except AgiMonitorError as error:
            # The next look, or the next list, asks again.
            log.warning("spy_watch_unanswered", node=self._pbx.node, error=str(error))

    # ---- the phone that has it -------------------------------------------------------------------------

    async def end_handed_over(self, grant: Grant, moved: Confirmed) -> None:
        """End a spy at the phone that it was handed to, unless that is under way.

        Parameters:
            grant: the grant.
            moved: the phone.
        """
        if moved.uniqueid not in self._putting_out:
            await self._put_down(grant, moved)

    async def _put_down(self, grant: Grant, moved: Confirmed, *, again: bool = False) -> None:
        """Silence a phone that a spy was handed to, and hang it up. A story looks for it as long as it runs; where
        there is none, it is tried again for as long as the phone is there and hears."""
        self._putting_out[moved.uniqueid] = None
        is_over = False
        try:
            if again and not await self._carriers.hears(moved):
                is_over = True
            else:
                await self._hang_up_moved(grant, moved, again=again)
                is_over = await confirmation.same(self._pbx, moved.uniqueid, moved.name) is None
        finally:
            self._putting_out.pop(moved.uniqueid, None)
            if not is_over and not self._stopping and grant not in self._grants.granted():
                look = self._reactor.callLater(AGAIN_SECONDS, self._put_down_again, grant, moved)
                self._putting_out[moved.uniqueid] = look
        if is_over:
            self._watched.note_hung_up(grant)
            for spy in self._grants.unproven():
                if spy.spyer_uniqueid == moved.uniqueid:
                    self._grants.dropped(spy)
            if grant not in self._grants.granted():
                # It may have been handed on before it was hung up: lists show to whom.
                self._pbx.missed()
        elif self.is_putting_out(moved.uniqueid):
            self._keep(grant, moved)

    def _keep(self, grant: Grant, moved: Confirmed) -> None:
        """The PBX says that the phone is there: it is listed, and can be killed, until it is over."""
        now = self._reactor.seconds()
        self._grants.suspected(
            Spy(SpyKind.UNPROVEN, moved.name, moved.uniqueid, grant.spyee, grant.spyee_uniqueid, now, grant)
        )

    def _put_down_again(self, grant: Grant, moved: Confirmed) -> None:
        self._under_way.begin(self._put_down(grant, moved, again=True))

    async def _hang_up_moved(self, grant: Grant, moved: Confirmed, *, again: bool) -> None:
        log.error("spy_handed_over", node=self._pbx.node, grant=grant.id, to=moved.name)
        steps = [
            take_step(self._pbx, grant, moved, "mute", self._pbx.mute(moved)),
            take_step(self._pbx, grant, moved, "hang up", self._pbx.hang_up(moved)),
        ]
        told = DeferredList([Deferred.fromCoroutine(step) for step in steps], consumeErrors=True)
        if not again:
            self.note_handed_over(grant, moved, told)
        await told

    def note_handed_over(self, grant: Grant, to: Confirmed, told: Deferred[Any] | None = None) -> None:
        """Put on record, once for each grant, to whom its call went."""
        watched = self._watched.of(grant)
        if watched.handed_over:
            return
        if grant in self._watched:
            watched.handed_over = True
            if watched.revoked is None:
                watched.revoked = End.HANDED_OVER
            if told is not None:
                watched.telling = told
        self._records.record(
            SpyHandedOver(
                **self._records.common(grant),
                grant=grant.number,
                extension=grant.extension,
                to=to.name,
                to_uniqueid=to.uniqueid,
            )
        )

    async def take_out(self, grant: Grant, stranger: Confirmed, bridge: BridgeId) -> None:
        """Take a party out of a joined call who came there in the supervisor's place.

        Parameters:
            grant: of the supervisor.
            stranger: who came.
            bridge: of the call.
        """
        await take_step(self._pbx, grant, stranger, "remove", self._pbx.remove(stranger, bridge))
