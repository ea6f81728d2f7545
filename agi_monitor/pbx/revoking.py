"""Ends a spy from outside, with its story or without: silence first, then the key, then the hang-up.

::

    at once                  mute both ways
    after that               the key that ends ChanSpy; out of the bridge where it joined
    KEY_SECONDS later        hang-up; not yet where its story is on and it is muted, or the PBX told its end
    CLOSE_SECONDS later      hang-up there, too

Many spies may end at the same moment. So the mutes of all of them are on their way before anything else is done about
one of them: what must not be heard waits for no key, no log and no disk. The key leaves the supervisor's call as it
is, and its story says why.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import structlog
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from agi_monitor.errors import ActionFailed, AgiMonitorError
from agi_monitor.names import BridgeId
from agi_monitor.pbx.carriers import LOOK_SECONDS, Carriers
from agi_monitor.pbx.pbx import Pbx
from agi_monitor.pbx.records import Records
from agi_monitor.pbx.watched import WatchedGrants
from agi_monitor.supervision import chanspy
from agi_monitor.supervision.confirmation import Confirmed
from agi_monitor.supervision.grant import Grant

KEY_SECONDS = 0.12
"""How long a spy that could not be muted has to end by a pressed key; then its channel is hung up. Both fit into
200 ms."""

MUTE_SECONDS = 1.0
"""How long the answer to a mute is waited for. Asterisk does what it is told in the order in which it was told, so a
hang-up is not done any sooner than a mute that is on its way; but a PBX that does not answer may not do either."""

CLOSE_SECONDS = 1.0
"""How much longer a spy may take to end where it hears nothing already: it is muted, or the PBX has ended it."""

OVER_SECONDS = 2.0
"""How long a kill waits for the channel of a spy that continues without the supervisor's."""

log = structlog.get_logger()


class Revoking:
    """Ends the spies of one PBX.

    Parameters:
        pbx: the PBX.
        reactor: Twisted's, or a ``Clock``.
        watched: the grants that are on.
        carriers: finds the channel that carries a grant.
        records: puts on record why it ends.
        bridge_of: returns the bridge that a supervisor has joined.
        hang_up_otherwise: ends a channel while the manager interface cannot; says whether it did.
    """

    def __init__(
        self,
        pbx: Pbx,
        reactor: IReactorTime,
        watched: WatchedGrants,
        carriers: Carriers,
        records: Records,
        bridge_of: Callable[[Grant], BridgeId | None],
        hang_up_otherwise: Callable[[str], Coroutine[Any, Any, bool]],
    ) -> None:
        self._pbx = pbx
        self._reactor = reactor
        self._watched = watched
        self._grants = watched.grants
        self._carriers = carriers
        self._records = records
        self._bridge_of = bridge_of
        self._hang_up_otherwise = hang_up_otherwise
        self._stops: dict[str, float] = {}
        """By the supervisor's channel, when an event told the end of its spy."""

    def stop_told(self, spyer_uniqueid: str) -> None:
        """An event told that the spy of a supervisor is over."""
        if self._grants.granted_to(spyer_uniqueid) is not None:
            self._stops[spyer_uniqueid] = self._reactor.seconds()

    def forget(self, grant: Grant) -> None:
        """Forget the spy of a grant that is over."""
        self._stops.pop(grant.spyer_uniqueid, None)

    async def end(self, grant: Grant, why: str, by: str) -> None:
        """Silence at once, then the key that ends ChanSpy: the supervisor's call continues, and is told why."""
        watched = self._watched.of(grant)
        if watched.revoked is not None or grant not in self._watched.ours():
            return
        watched.revoked = why
        began = watched.revoked_at = self._reactor.seconds()
        record = self._records.revocation(grant, why, by)
        closed = self._closing(grant)
        told = watched.telling = Deferred.fromCoroutine(self._silence(grant))
        await self._within(told, MUTE_SECONDS)
        log.warning("spy_revoked", node=self._pbx.node, grant=grant.id, why=why, by=by)
        if by or watched.on_record != why:
            # It may be tried again and again.
            watched.on_record = why
            self._records.record(record)
        is_closed = await self._within(closed, began + KEY_SECONDS - self._reactor.seconds())
        has_stopped = self._stops.get(grant.spyer_uniqueid, began - 1.0) >= began
        has_story = grant in self._grants.granted()
        if not is_closed and (has_stopped or (has_story and watched.muted)):
            # Nothing more is heard: the supervisor keeps the call, if the PBX or the story is only slow.
            is_closed = await self._within(closed, CLOSE_SECONDS)
        if closed in watched.closing:
            watched.closing.remove(closed)
        if not is_closed:
            await self._hang_up_revoked(grant)
        await told

    async def _silence(self, grant: Grant) -> None:
        try:
            carrier = await self._carriers.of(grant)
        except AgiMonitorError as error:
            log.error("spy_not_silenced", node=self._pbx.node, grant=grant.id, step="find", error=str(error))
            return
        if carrier is None:
            return
        is_muted = await take_step(self._pbx, grant, carrier, "mute", self._pbx.mute(carrier))
        if grant in self._watched.ours() and is_muted:
            self._watched.of(grant).muted = True
        bridge = self._pbx.bridge_of(carrier.uniqueid)
        if bridge is None and carrier.uniqueid == grant.spyer_uniqueid:
            bridge = self._bridge_of(grant)
        if bridge is None:
            await take_step(self._pbx, grant, carrier, "press", self._pbx.press(carrier, chanspy.END_KEY))
        else:
            await take_step(self._pbx, grant, carrier, "remove", self._pbx.remove(carrier, bridge))

    async def over_at_last(self, grant: Grant) -> None:
        """Make sure that a spy that was ended is over: its channel is gone, or its story says so. That no channel is
        found says nothing while the story runs.

        Raises:
            ActionFailed: it continues.
        """
        until = self._reactor.seconds() + OVER_SECONDS
        while grant in self._watched.ours():
            carrier = await self._carriers.of(grant)
            if carrier is not None:
                await self._pbx.hang_up(carrier)
                await self._carriers.wait_until_gone(carrier.uniqueid)
                return
            if self._watched.of(grant).hung_up or grant not in self._grants.granted():
                return
            if self._reactor.seconds() >= until:
                raise ActionFailed("Hangup", "nothing: no channel carries the spy, and its call is not over")
            await deferLater(self._reactor, LOOK_SECONDS)

    def _closing(self, grant: Grant) -> Deferred[None]:
        """Return what fires when the story of a grant says that its spy is over."""
        closed: Deferred[None] = Deferred()
        self._watched.of(grant).closing.append(closed)
        return closed

    async def _within(self, awaited: Deferred[None], seconds: float) -> bool:
        """Wait for something, and leave it as it is; False when the time has passed."""
        if awaited.called:
            return True
        over: Deferred[bool] = Deferred()
        passed = self._reactor.callLater(max(0.0, seconds), over.callback, False)

        def fired(result: None) -> None:
            if passed.active():
                passed.cancel()
                over.callback(True)

        awaited.addCallback(fired)
        return await over

    async def _hang_up_revoked(self, grant: Grant) -> None:
        try:
            carrier = await self._carriers.of(grant)
            if carrier is not None:
                await self._pbx.hang_up(carrier)
                self._watched.note_hung_up(grant)
        except AgiMonitorError:
            if await self._hang_up_otherwise(grant.spyer):
                return
            # It is on: the next list, or a repeated request, tries it once more.
            self._watched.of(grant).revoked = None
            raise


async def take_step(pbx: Pbx, grant: Grant, carrier: Confirmed, name: str, step: Coroutine[Any, Any, None]) -> bool:
    """Take a step towards the end of a spy. Returns whether it worked; a failure at a live channel is logged.

    Parameters:
        pbx: the PBX.
        grant: of the spy.
        carrier: the channel that is told.
        name: of the step, for the log.
        step: what is done.
    """
    try:
        await step
    except AgiMonitorError as error:
        if pbx.channel(carrier.uniqueid) is not None:
            log.error("spy_not_silenced", node=pbx.node, grant=grant.id, step=name, error=str(error))
        return False
    return True
