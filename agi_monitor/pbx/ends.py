"""Ends of spies and of channels that an event tells: each counts once the PBX, asked, says so as well.

Anyone who can put a line break into what Asterisk writes can write such an event. A false end would hide a spy that
continues.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Set
from typing import Any

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from agi_monitor.ami.messages import Message
from agi_monitor.audit.facts import SpySilent
from agi_monitor.errors import NoAnswer
from agi_monitor.names import Uniqueid
from agi_monitor.pbx.adopting import Adopting
from agi_monitor.pbx.carriers import Carriers
from agi_monitor.pbx.handing_over import HandingOver
from agi_monitor.pbx.notices import Notices
from agi_monitor.pbx.pbx import Pbx
from agi_monitor.pbx.proving import Proving
from agi_monitor.pbx.records import Records
from agi_monitor.pbx.rogues import Rogues
from agi_monitor.pbx.under_way import UnderWay
from agi_monitor.pbx.watched import WatchedGrants
from agi_monitor.supervision import confirmation, proof
from agi_monitor.supervision.exemptions import NOTICE, TEST_SUPERVISOR
from agi_monitor.supervision.grants import MAX_SPIES
from agi_monitor.supervision.spies import LOCAL, Spy, SpyKind
from agi_monitor.supervision.spying_applications import APPLICATIONS, JOINING, OUR_CONTEXTS

STOP_SECONDS = (0.05, 0.05, 0.1, 0.2, 0.4, *(0.8,) * 5)
"""Between the looks whether a spy is over whose end was told. On a busy PBX its channel, or its story, takes a while
to continue; if it never does, the event was forged."""


class Ends:
    """The ends of the spies of one PBX.

    Parameters:
        pbx: the PBX.
        reactor: Twisted's, or a ``Clock``.
        watched: the grants that are on.
        carriers: told of channels that are gone.
        records: puts on record what the PBX has confirmed.
        handing_over: looks for a spy whose channel is gone.
        notices: told of the ends of helpers.
        rogues: told of the ends of spies without a grant.
        adopting: told of the ends of spies without a story.
        proving: says which are still being asked.
        under_way: begins what is not waited for.
        look_for_moved: asks for all channels soon, as a spy of others may be at another phone.
    """

    def __init__(
        self,
        pbx: Pbx,
        reactor: IReactorTime,
        watched: WatchedGrants,
        carriers: Carriers,
        records: Records,
        handing_over: HandingOver,
        notices: Notices,
        rogues: Rogues,
        adopting: Adopting,
        proving: Proving,
        under_way: UnderWay,
        look_for_moved: Callable[[], None],
    ) -> None:
        self._pbx = pbx
        self._reactor = reactor
        self._watched = watched
        self._grants = watched.grants
        self._carriers = carriers
        self._records = records
        self._handing_over = handing_over
        self._notices = notices
        self._rogues = rogues
        self._adopting = adopting
        self._proving = proving
        self._under_way = under_way
        self._look_for_moved = look_for_moved
        self._ended: deque[tuple[float, str]] = deque()
        """When which channels ended, or ceased to spy, on the reactor's clock."""
        self._stopping = False

    def stop(self) -> None:
        """Ask no more whether an end was false."""
        self._stopping = True

    def since(self, moment: float) -> set[str]:
        """Return the channels that ended, or ceased to spy, since a moment on the reactor's clock."""
        return {uniqueid for at, uniqueid in self._ended if at >= moment}

    def _note_end(self, uniqueid: str) -> None:
        self._ended.append((self._reactor.seconds(), uniqueid))
        while len(self._ended) > MAX_SPIES:
            self._ended.popleft()

    def take_ends(self, ended: Iterable[Spy]) -> None:
        """Spies are over: every part that has to do with one is told."""
        for spy in ended:
            by = self._rogues.take_killer(spy)
            self._notices.take_beeps_end(spy)
            if spy.spyer.startswith((NOTICE, TEST_SUPERVISOR)):
                self._notices.take_notices_end(spy)
            if spy.kind is SpyKind.ROGUE:
                self._rogues.take_rogues_end(spy, by)
            elif spy.kind is SpyKind.ADOPTED and spy.grant is not None:
                self._adopting.take_orphans_end(spy.grant)
            elif spy.kind is SpyKind.UNPROVEN and not spy.idle and not self._proving.is_settled_soon(spy):
                self._under_way.begin(self._rogues.take_unasked(spy))

    # ---- what an event tells ---------------------------------------------------------------------------

    async def or_list(self, end: Coroutine[Any, Any, None]) -> None:
        """Confirm an end that was told; lists tell of it soon where the PBX does not answer."""
        try:
            await end
        except NoAnswer:
            self._pbx.missed()
            raise

    async def take_stop(self, event: Message) -> None:
        """The PBX told the end of a spy. It is one when the PBX, asked, no longer has it."""
        uniqueid = event.text("SpyerUniqueid")
        # The next spy of that channel may be told of before this end is confirmed.
        grant, is_over = self._grants.silent(event), False
        try:
            is_over = await self._stopped(uniqueid)
        finally:
            if not is_over and grant is not None:
                self._grants.not_silent(grant, self._reactor.seconds())
        if is_over:
            self._records.note_heard(SpySilent, grant)
            self._note_end(uniqueid)
            self.take_ends([spy for spy in [self._grants.stopped(event)] if spy is not None])
        elif not self._stopping and any(grant.spyer_uniqueid == uniqueid for grant in self._watched.ours()):
            # ChanSpy without our options ends with one channel and continues with the next: only of ours it is not
            # true.
            self._pbx.contradicted("ChanSpyStop")

    async def _stopped(self, uniqueid: str) -> bool:
        """Return whether a channel spies no more, as the PBX says itself, or whether its story has ended that spy."""
        channel, grant = Uniqueid.read(uniqueid), self._grants.granted_to(uniqueid)
        looks = iter(STOP_SECONDS)
        while channel is not None and await self._spies(channel):
            if grant is not None and self._grants.granted_to(uniqueid) != grant:
                return True
            seconds = next(looks, None)
            if seconds is None or self._stopping:
                return False
            await deferLater(self._reactor, seconds)
        return True

    async def _spies(self, channel: Uniqueid) -> bool:
        name = await self._pbx.variable(channel, "CHANNEL(name)")
        application = await self._pbx.variable(channel, "CHANNEL(appname)")
        if application in JOINING and any(grant.spyer_uniqueid == channel for grant in self._grants.adopted()):
            # No ChanSpy is over there: the supervisor is on the call.
            return True
        if application not in APPLICATIONS and not (name or "").startswith(confirmation.SNOOP):
            return False
        # Under AGI a channel still names the application that is over; its story clears the proof with the spy.
        # Where no story is left, the proof is not cleared for that reason, and the dialplan continues with another
        # application.
        if any(grant.spyer_uniqueid == channel for grant in self._watched.ours()):
            return True
        return not await self._is_idle(channel)

    async def _is_idle(self, channel: Uniqueid) -> bool:
        """Return whether a channel of ours is between two spies: at a prompt, and without a proof."""
        if await self._pbx.variable(channel, "CHANNEL(context)") not in OUR_CONTEXTS:
            return False
        return not await self._pbx.variable(channel, proof.VARIABLE)

    async def take_hangup(self, uniqueid: str) -> None:
        """The PBX told that a channel is gone. It is when the PBX, asked, does not know it; a channel of another name
        that has its uniqueid is another one."""
        lost = [grant for grant in self._watched.ours() if grant.spyer_uniqueid == uniqueid]
        names = {grant.spyer for grant in lost} | self._grants.names_of(uniqueid)
        if await self._is_there(uniqueid, names):
            self._pbx.contradicted("Hangup")
            return
        self._carriers.gone(uniqueid)
        for grant in lost:
            if grant in self._grants.adopted():
                # With its channel it is over for the list of spies: where it has gone to is asked before.
                await self._handing_over.look_for(grant)
        self._note_end(uniqueid)
        ended = self._grants.gone(uniqueid)
        self.take_ends(ended)
        if any(spy.spyer_uniqueid == uniqueid and not spy.spyer.startswith(LOCAL) for spy in ended):
            # A phone may have taken its place, in the same application; nothing tells of that.
            self._look_for_moved()
        self._adopting.take_hangup(uniqueid)
        for grant in lost:
            if grant in self._watched.ours():
                # Its story says in a moment that the supervisor has hung up, or its spy is at another phone.
                self._handing_over.begin(grant)

    async def _is_there(self, uniqueid: str, names: Set[str]) -> bool:
        """Return whether a channel is there, under one of the names that it had; under any where none is known."""
        channel = Uniqueid.read(uniqueid)
        name = None if channel is None else await self._pbx.variable(channel, "CHANNEL(name)")
        return name is not None and (not names or name in names)
