"""Spies that begin, by an event or a list: what is done about each is a question of its right."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import structlog
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from agi_monitor.ami.messages import Message
from agi_monitor.audit.facts import SpyHeard
from agi_monitor.errors import AgiMonitorError, Disconnected, ForgedAnswer, NoAnswer
from agi_monitor.names import Uniqueid, endpoint_of, names_its_caller
from agi_monitor.pbx.ends import Ends
from agi_monitor.pbx.notices import Notices
from agi_monitor.pbx.pbx import Pbx
from agi_monitor.pbx.proving import Proving
from agi_monitor.pbx.records import Records
from agi_monitor.pbx.rogues import AGAIN_SECONDS, Rogues
from agi_monitor.pbx.under_way import UnderWay
from agi_monitor.supervision import chanspy, confirmation
from agi_monitor.supervision.exemptions import EXCEPTED, HOOKS, TELLS, TEST_SUPERVISOR
from agi_monitor.supervision.grants import Grants
from agi_monitor.supervision.spies import Spy, SpyKind

log = structlog.get_logger()


class Starts:
    """The beginnings of spies on one PBX.

    Parameters:
        pbx: the PBX.
        reactor: Twisted's, or a ``Clock``.
        clock: seconds since 1970.
        grants: who hears whom.
        records: puts on record what the PBX has confirmed.
        notices: takes helpers.
        rogues: takes spies without a grant.
        proving: asks for a grant.
        ends: told where a spy has ended with that.
        under_way: begins what is not waited for.
    """

    def __init__(
        self,
        pbx: Pbx,
        reactor: IReactorTime,
        clock: Callable[[], float],
        grants: Grants,
        records: Records,
        notices: Notices,
        rogues: Rogues,
        proving: Proving,
        ends: Ends,
        under_way: UnderWay,
    ) -> None:
        self._pbx = pbx
        self._reactor = reactor
        self._clock = clock
        self._grants = grants
        self._records = records
        self._notices = notices
        self._rogues = rogues
        self._proving = proving
        self._ends = ends
        self._under_way = under_way
        self._asking_again: dict[str, IDelayedCall] = {}
        """By channel, the next question whom it hears."""
        self._stopping = False

    def stop(self) -> None:
        """Ask no more."""
        self._stopping = True
        for again in self._asking_again.values():
            again.cancel()
        self._asking_again.clear()

    def take_start(self, spy: Spy | None) -> None:
        """Do about a spy what its right asks for; nothing where there is none."""
        if spy is None:
            return
        if spy.kind is SpyKind.UNPROVEN:
            if not self._proving.is_settled_soon(spy):
                # One that may be exempt was not answered for: it is still to be confirmed.
                story = self._take_exempt(spy) if spy.why else self._proving.prove(spy)
                self._under_way.begin(self._ends.or_list(story))
        elif spy.kind is SpyKind.ROGUE:
            self._under_way.begin(self._rogues.take_rogue(spy))
        else:
            self._under_way.begin(self._ends.or_list(self._take_exempt(spy)))

    def take_told_start(self, event: Message) -> None:
        """The PBX told that a spy begins."""
        spyer, spyee = event.text("SpyerUniqueid"), event.text("SpyeeUniqueid")
        before = [spy for spy in self._grants.rogues() if spy.spyer_uniqueid == spyer]
        if any(spy.spyee_uniqueid not in ("", spyee) for spy in before):
            self._under_way.begin(self._ends.or_list(self._take_next_start(event, before)))
        else:
            self._take_believed_start(event, before)

    async def _take_next_start(self, event: Message, before: Sequence[Spy]) -> None:
        """The PBX told that a rogue spy has gone on to another channel. That would be the end of what it was, so the
        channels are asked whether it can be.

        Parameters:
            event: the ChanSpyStart.
            before: the spy, as it was.
        """
        spyer = await confirmation.same(self._pbx, event.text("SpyerUniqueid"), event.text("SpyerChannel"))
        spyee = Uniqueid.read(event.text("SpyeeUniqueid"))
        name = None if spyee is None else await self._pbx.variable(spyee, "CHANNEL(name)")
        arguments = None if spyer is None else await self._pbx.variable(spyer.uniqueid, "CHANNEL(appdata)")
        if name is None or arguments is None:
            # One of the two is gone, and with it what was told.
            return
        heard = arguments.partition(",")[0]
        if name != event.text("SpyeeChannel") or any(heard in (spy.spyee_uniqueid, spy.spyee) for spy in before):
            # It names exactly the one that it has heard, so it continues with that.
            self._pbx.contradicted("ChanSpyStart")
            return
        self._take_believed_start(event, [spy for spy in before if spy in self._grants.rogues()])

    def _take_believed_start(self, event: Message, before: Sequence[Spy]) -> None:
        now = self._reactor.seconds()
        self._records.note_heard(SpyHeard, self._grants.heard(event, now))
        spy = self._grants.started(event, now, self._clock())
        if spy is not None:
            for rogue in before:
                # It has gone on to another channel, and was not seen to end.
                self._rogues.take_rogues_end(rogue, "")
        self.take_start(spy)

    async def take_other_start(self, event: Message) -> None:
        """The PBX told that a channel with a grant hears another channel. It does when its own application says so.
        Lists do not tell, so it is asked until it answers."""
        uniqueid = event.text("SpyerUniqueid")
        try:
            hears = await self._rogues.hears_by_grant(uniqueid)
        except (Disconnected, NoAnswer):
            if uniqueid not in self._asking_again and not self._stopping:
                again = self._reactor.callLater(AGAIN_SECONDS, self._take_other_start_again, event)
                self._asking_again[uniqueid] = again
            raise
        if hears:
            self._pbx.contradicted("ChanSpyStart")
        elif hears is not None:
            for spy in self._grants.spies():
                if spy.kind is SpyKind.ADOPTED and spy.spyer_uniqueid == uniqueid:
                    # By its grant it no longer hears any channel.
                    self._grants.dropped(spy)
                    self._ends.take_ends([spy])
            self.take_told_start(event)

    def _take_other_start_again(self, event: Message) -> None:
        self._asking_again.pop(event.text("SpyerUniqueid"), None)
        if self._grants.contradicts(event, self._reactor.seconds()):
            self._under_way.begin(self.take_other_start(event))

    async def _hears(self, spy: Spy) -> bool:
        channel = Uniqueid.read(spy.spyer_uniqueid)
        if channel is None or await confirmation.same(self._pbx, spy.spyee_uniqueid, spy.spyee) is None:
            return False
        heard = (await self._pbx.variable(channel, "CHANNEL(appdata)") or "").partition(",")[0]
        return heard in (spy.spyee_uniqueid, spy.spyee)

    async def _is_peer(self, spy: Spy) -> bool:
        channel = Uniqueid.read(spy.spyer_uniqueid)
        peer = None if channel is None else await self._pbx.variable(channel, "CHANNEL(peername)")
        return endpoint_of(spy.spyer) == f"SIP/{peer}"

    async def _carried(self, spy: Spy) -> str:
        channel = Uniqueid.read(spy.spyer_uniqueid)
        try:
            return "" if channel is None else await self._pbx.variable(channel, chanspy.NOTICE_VARIABLE) or ""
        except ForgedAnswer:
            # Ours has no line break in it.
            return ""

    async def _take_exempt(self, spy: Spy) -> None:
        """Exempt is who the PBX itself calls so: a beep while it is short, and one helper for each notice."""
        # The helper may have gone on to another channel before the PBX answers.
        self._notices.take_beep(spy)
        try:
            is_there = await confirmation.same(self._pbx, spy.spyer_uniqueid, spy.spyer) is not None
            if is_there and spy.why == EXCEPTED and names_its_caller(spy.spyer):
                is_there = await self._is_peer(spy)
            if is_there and not spy.spyer.startswith(HOOKS) and spy.why != EXCEPTED:
                # By whom it hears it is exempt, and only an event may have said that.
                is_there = await self._hears(spy)
            carried = await self._carried(spy) if is_there and spy.why == TELLS else ""
        except AgiMonitorError:
            # The next list asks again, and for the same.
            self._grants.doubted(spy, spy.why)
            raise
        if not is_there:
            self._notices.forget_beep(spy.spyer_uniqueid)
            doubted = self._grants.doubted(spy)
            if doubted is not None and await self._proving.exists(spy.spyer_uniqueid):
                self.take_start(doubted)
            return
        if spy.kind is SpyKind.UNPROVEN:
            settled = self._grants.proved(spy, SpyKind.EXEMPT, None, spy.why)
            if settled is None:
                return
            spy = settled
            self._notices.take_beep(spy)
        if spy.why == TELLS:
            if not self._notices.take_helper(spy, carried):
                self.take_start(self._grants.doubted(spy))
            return
        if spy.spyer.startswith(TEST_SUPERVISOR):
            self._notices.take_test(spy)
        log.debug("spy_exempt", node=self._pbx.node, spyer=spy.spyer, why=spy.why)
