"""Watches over all spies of one PBX, and ends what must end.

::

    granted     by a grant of this server, and the story of its call is on
    adopted     by a grant of this server without a story: of an earlier run, or the story lost its connection
    others      by a grant of another server, which watches over it
    exempt      a beep, our own notice, or a device that the configuration excepts
    unproven    its channel is being asked for a grant
    rogue       it has none

The first two are ours. They end when the policy no longer allows them, when the conversation is over, when another
phone has taken the supervisor's place, or when an administrator says so. A rogue spy ends by the configuration or by
an administrator, one of another server by an administrator alone. What is exempt and lasts too long has to be proved.

Stories, events and lists come in any order, and events carry text that callers wrote. So what is told only says where
to look: the PBX itself confirms a beginning, an end, and a channel before anything is done to it. A spy that has to
end is silenced first; its record and the hang-up come after, for what must not be heard waits for no disk. Its story
is told why, and records the end; without a story it is recorded here.

This file passes on what happens, and the parts beside it do it, each with the help of those below it. What is known
of a grant is one entry (``watched``): made where it begins or is adopted, and forgotten in ``closed`` alone.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import structlog
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.python.failure import Failure

from agi_monitor.ami.messages import Message
from agi_monitor.ami.states import Up
from agi_monitor.audit.facts import AuditLog
from agi_monitor.errors import AgiMonitorError, Disconnected, NoAnswer
from agi_monitor.model import Barge, Mode, Orphans, RogueSpies
from agi_monitor.pbx.adopting import Adopting
from agi_monitor.pbx.carriers import GONE_SECONDS, Carriers
from agi_monitor.pbx.ends import Ends
from agi_monitor.pbx.handing_over import HandingOver
from agi_monitor.pbx.joined_calls import JoinedCalls
from agi_monitor.pbx.looks import Looks
from agi_monitor.pbx.notices import Notices
from agi_monitor.pbx.parties import Parties
from agi_monitor.pbx.pbx import Pbx
from agi_monitor.pbx.places import Places
from agi_monitor.pbx.proving import Proving
from agi_monitor.pbx.rechecking import Rechecking
from agi_monitor.pbx.records import Records
from agi_monitor.pbx.revoking import Revoking
from agi_monitor.pbx.rogues import KILLED, Rogues
from agi_monitor.pbx.starts import Starts
from agi_monitor.pbx.under_way import UnderWay
from agi_monitor.pbx.watched import WatchedGrants
from agi_monitor.supervision.grant import Grant, Place
from agi_monitor.supervision.grants import Grants
from agi_monitor.supervision.live_circumstances import LiveCircumstances
from agi_monitor.supervision.policy import Policy
from agi_monitor.supervision.proof import Signer
from agi_monitor.supervision.spies import Spy, SpyKind

ORPHANED = "orphaned"
"""Why it ends when its server had died."""

MOVED_SECONDS = 0.5
"""Between two looks for phones that have taken the place of a spy: each is a list of all channels."""

CALL_EVENTS = frozenset({"AgentConnect", "AgentComplete", "QueueCallerJoin", "QueueCallerLeave", "DialBegin"})
"""After these a call may be one of another queue, or go the other way."""

log = structlog.get_logger()


class SpyWatch:
    """The spies of one PBX. Fits ``supervision.grant_watch.GrantWatch`` and ``pbx.Watcher``.

    Parameters:
        pbx: the PBX.
        reactor: Twisted's, or a ``Clock``.
        clock: seconds since 1970, for the records. How long something takes is told by the reactor, whose clock
            is monotonic.
        signer: signs grants.
        policy: returns what the configuration says now.
        audit: where facts go.
        hang_up_otherwise: ends a channel while the manager interface cannot; says whether it did.
        has_other_way: returns whether there is something by which that could be.
    """

    def __init__(
        self,
        pbx: Pbx,
        reactor: IReactorTime,
        clock: Callable[[], float],
        signer: Signer,
        policy: Callable[[], Policy],
        audit: AuditLog,
        hang_up_otherwise: Callable[[str], Coroutine[Any, Any, bool]],
        has_other_way: Callable[[], bool],
    ) -> None:
        self.grants = grants = Grants(policy().exceptions)
        self._pbx = pbx
        self._reactor = reactor
        self._clock = clock
        self._signer = signer
        self._policy = policy
        self._moved_look: IDelayedCall | None = None
        """The next look for spies that were moved."""
        self._looked_at = -MOVED_SECONDS
        """When the last one was."""
        self._stopping = False
        self._refused: set[str] = set()
        """Grants that never began."""
        self._under_way = under_way = UnderWay(self._failed)
        self._transfers = transfers = UnderWay(self._failed)
        self._circumstances = circumstances = LiveCircumstances(pbx, self)
        # Each part stands on those before it.
        self._watched = watched = WatchedGrants(grants, reactor.seconds)
        self._records = records = Records(pbx.node, clock, audit, under_way)
        self._places = places = Places(grants, reactor, clock)
        self._carriers = carriers = Carriers(pbx, reactor, signer, watched.ours)
        self._handing_over = moves = HandingOver(pbx, reactor, watched, carriers, records, under_way, transfers)
        self._joined = joined = JoinedCalls(
            pbx, reactor, signer, watched.ours, transfers.begin, moves.take_out, moves.note_handed_over
        )
        self._revoking = revoking = Revoking(
            pbx, reactor, watched, carriers, records, joined.bridge_of, hang_up_otherwise
        )
        self._parties = parties = Parties(
            pbx, reactor, policy, watched, carriers, joined, revoking, circumstances, under_way
        )
        self._rechecking = rechecking = Rechecking(
            pbx, clock, policy, watched, places, circumstances, parties, revoking, under_way
        )
        self._looks = Looks(
            pbx,
            reactor,
            policy,
            watched,
            carriers,
            circumstances,
            moves,
            parties,
            rechecking,
            has_other_way,
            under_way,
        )
        self._notices = notices = Notices(reactor, grants, signer.notice, circumstances.call_of, self._take_start)
        self._rogues = rogues = Rogues(pbx, reactor, policy, grants, carriers, records, under_way)
        self._adopting = adopting = Adopting(
            pbx, reactor, clock, watched, carriers, places, records, under_way, self.closed
        )
        self._proving = proving = Proving(
            pbx,
            reactor,
            signer,
            watched,
            carriers,
            moves,
            rogues,
            adopting,
            rechecking,
            under_way,
            self._take_start,
            self._take_orphan,
        )
        self._ends = ends = Ends(
            pbx,
            reactor,
            watched,
            carriers,
            records,
            moves,
            notices,
            rogues,
            adopting,
            proving,
            under_way,
            self._look_for_moved,
        )
        self._starts = Starts(pbx, reactor, clock, grants, records, notices, rogues, proving, ends, under_way)

    def stop(self) -> None:
        """Look at the clock no more."""
        self._stopping = True
        if self._moved_look is not None:
            self._moved_look.cancel()
        self._looks.stop()
        self._parties.stop()
        self._joined.stop()
        self._handing_over.stop()
        self._notices.stop()
        self._rogues.stop()
        self._proving.stop()
        self._starts.stop()
        self._ends.stop()

    async def idle(self) -> None:
        """Wait for everything that is under way."""
        await self._transfers.idle()
        await self._under_way.idle()

    # ---- what the story of a call tells ----------------------------------------------------------------

    def opened(self, grant: Grant) -> str:
        """A grant begins. Returns its proof, for the supervisor's channel; empty: there is none, and no spy."""
        if self.grants.has_grant(grant.spyer_uniqueid):
            # A channel has one session. This one claims the channel of a supervisor who spies, and with its end that
            # spy would no longer have a grant.
            log.error("channel_claimed_twice", node=self._pbx.node, grant=grant.id, channel=grant.spyer)
            self._refused.add(grant.id)
            return ""
        began = self._reactor.seconds()
        self._watched.begin(grant, began)
        try:
            self._carriers.signed[grant.id] = self._signer.sign(grant)
        except ValueError:
            # The one who asked for it does not spy: a phone that the spy is handed to would not be found.
            log.warning("grant_not_signed", node=self._pbx.node, grant=grant.id)
            self._carriers.signed[grant.id] = ""
        self._carriers.take_caller(grant.spyer_uniqueid, grant.spyer)
        self.grants.opened(grant, began, by_chanspy=not self._is_for_a_bridge(grant))
        self._parties.follow_party(grant)
        # It was decided before its record was on disk, which takes its time.
        self._rechecking.recheck(grant)
        if isinstance(self._pbx.state, Up):
            self._under_way.begin(self._parties.look_at_source(grant))
        self._looks.check_within()
        return self._carriers.signed[grant.id]

    def closed(self, grant: Grant) -> None:
        """A grant is over: its story has ended it."""
        if grant.id in self._refused:
            self._refused.discard(grant.id)
            return
        parties = self._watched.of(grant).conversation
        self.grants.closed(grant, self._reactor.seconds(), self._clock(), self.heard_for(grant.place), parties)
        if grant in self._watched.ours():
            return  # it was left alone
        watched = self._watched.forget(grant)
        self._carriers.forget(grant)
        self._joined.story_over(grant)
        self._revoking.forget(grant)
        if watched.alone is not None:
            watched.alone.cancel()
        for waiting in watched.closing:
            waiting.callback(None)

    def left_alone(self, grant: Grant) -> None:
        """Its story has lost the connection, and the spy continues: it is watched over from here."""
        in_bridge = self._is_for_a_bridge(grant) or self._parties.in_bridge(grant)
        self.grants.left_alone(grant, self._reactor.seconds(), in_bridge=in_bridge)
        self._under_way.begin(self._take_orphan(grant))

    def heard_since(self, supervisor: str, call: frozenset[str], now: float) -> float:
        """Return since when a supervisor hears a call, with what was heard of it before counted in; or now."""
        return self.grants.heard_since(supervisor, call, now)

    def listeners(self, place: Place, call: frozenset[str], *, begins: bool) -> int:
        """Count who else hears a call."""
        return self.grants.listeners(place, call, begins=begins)

    def heard_for(self, place: Place) -> float:
        """Return how many seconds a place has been taken, by a clock that cannot be set; with what counts in."""
        return self._places.heard_for(place)

    def place_taken(self, place: Place) -> None:
        """A supervisor is about to hear a call, and counts from now on, through all changes of mode."""
        self._places.place_taken(place)

    def place_left(self, place: Place) -> None:
        """The supervisor leaves the place, and counts no longer."""
        self._places.place_left(place)

    async def silenced(self, grant: Grant) -> None:
        """Wait until nothing more is on its way that silences the supervisor's channel."""
        telling = self._watched.of(grant).telling
        if telling is not None:
            await telling

    def revoked(self, grant: Grant) -> str | None:
        """Return why a grant was ended from outside, or None."""
        return self._watched.of(grant).revoked

    async def was_handed_over(self, grant: Grant) -> bool:
        """Return whether a spy was found at another phone, and is on record as such."""
        return await self._handing_over.was_handed_over(grant)

    def begins_anew(self, grant: Grant) -> bool:
        """Return whether a spy was told to begin again, because another party is on the call."""
        return self._watched.of(grant).again is not None

    def is_another_conversation(self, grant: Grant) -> bool:
        """Return whether all who talked to the agent before have left the call."""
        return self._watched.of(grant).again is True

    def conversation_over(self, grant: Grant) -> bool:
        """Return whether a spy was told to end because the agent is alone on the call."""
        return self._watched.of(grant).over

    def notice_expected(self, spyee_uniqueid: str) -> str:
        """The agent on this channel is about to be told. Returns what our helper carries, and no other one can."""
        return self._notices.notice_expected(spyee_uniqueid)

    async def notice_given(self, notice: str) -> bool:
        """Wait until the agent has been told. False: it did not come to that."""
        return await self._notices.notice_given(notice)

    def notice_over(self, notice: str) -> None:
        """It is no longer awaited."""
        self._notices.notice_over(notice)

    # ---- what the PBX tells ----------------------------------------------------------------------------

    def take(self, name: str, event: Message) -> None:
        """Take in an event of the PBX."""
        if not self._circumstances.are_live:
            self._looks.check_within()
        if name == "ChanSpyStart":
            if self.grants.contradicts(event, self._reactor.seconds()):
                self._under_way.begin(self._starts.take_other_start(event))
            else:
                self._starts.take_told_start(event)
        elif name == "ChanSpyStop":
            self._revoking.stop_told(event.text("SpyerUniqueid"))
            self._proving.take_stop(event.text("SpyerUniqueid"), event.text("SpyeeUniqueid"))
            if self.grants.is_told(event) or self.grants.is_known(event.text("SpyerUniqueid")):
                self._under_way.begin(self._ends.or_list(self._ends.take_stop(event)))
        elif name == "Hangup":
            uniqueid = event.text("Uniqueid")
            if self.grants.concerns(uniqueid) or self._adopting.waits_for(uniqueid):
                self._under_way.begin(self._ends.or_list(self._ends.take_hangup(uniqueid)))
        elif name == "HangupRequest":
            # SoftHangupRequest comes at the end of each dialplan (pbx.c, __ast_pbx_run) and tells of no phone.
            self._adopting.take_hangup_request(event.text("Uniqueid"))
        elif name in ("AttendedTransfer", "BlindTransfer"):
            self._take_transfer(name, event)
        elif name == "BridgeEnter":
            self._joined.take_entry(event, self._joins)
            # A party joined a call: it may be one now that must not be heard.
            for grant in self._watched.ours():
                if event.text("Uniqueid") in self._parties.on_the_call(grant):
                    self._rechecking.recheck(grant)
                    self._parties.follow_party(grant)
        elif name == "BridgeLeave":
            self._joined.take_leave(event)
            # A colleague may have taken the agent's place before the agent left it.
            for grant in self._watched.ours():
                if grant.spyee_uniqueid == event.text("Uniqueid"):
                    self._rechecking.recheck(grant)
                self._parties.follow_party(grant)
        elif name in CALL_EVENTS:
            if self._policy().rights.depend_on_calls:
                self._rechecking.recheck_call(event.text("Uniqueid"))
        elif name == "NewConnectedLine":
            # After a transfer the other party's number comes behind the other party.
            for grant in self._watched.ours():
                if grant.spyee_uniqueid == event.text("Uniqueid"):
                    self._rechecking.recheck(grant)

    def connected(self) -> None:
        """A connection was made."""
        self.grants.connected()

    def doubted(self) -> None:
        """The picture is not to be trusted: the PBX itself is asked."""
        self._looks.check_within()

    def listed(self, channels: Sequence[Message], asked_at: float, *, whole: bool = True) -> None:
        """The lists came: what was missed while there was no connection."""
        # The list is older than the last events: who has ended since is not found again.
        over = self._ends.since(asked_at)
        told, channels = channels, [item for item in channels if item.text("Uniqueid") not in over]
        there = {item.text("Uniqueid") for item in channels}
        if whole:
            self._carriers.keep_callers(there | {grant.spyer_uniqueid for grant in self._watched.ours()}, asked_at)
        self._carriers.take_list(channels, asked_at, whole=whole)
        for grant in self._watched.ours():
            if grant.spyer_uniqueid not in there:
                # Its call may have been handed to another phone unseen.
                self._handing_over.begin(grant)
        listed = self.grants.listed(channels, asked_at, self._reactor.seconds(), self._clock(), whole=whole)
        self._ends.take_ends(listed.ended)
        for spy in (*(spy for spy in listed.found if spy.kind is not SpyKind.UNPROVEN), *self.grants.unproven()):
            self._starts.take_start(spy)
        for spy in self.grants.of_others():
            self._under_way.begin(self._proving.still_proven(spy))
        self._joined.listed(told, asked_at, whole=whole)
        for grant in self._watched.ours():
            watched = self._watched.of(grant)
            why, at = watched.revoked, watched.revoked_at
            ended = at is not None and at < asked_at - GONE_SECONDS
            if why is not None and ended and grant.spyer_uniqueid in there:
                # It is still there: the word that it is over was wrong.
                watched.revoked = None
                self._under_way.begin(self._revoking.end(grant, why, ""))
        self.recheck()
        for grant in self._watched.ours():
            self._parties.follow_party(grant)

    def _take_transfer(self, name: str, event: Message) -> None:
        """A transfer puts another phone into the place of the supervisor's, or brings one into a joined call: by way
        of a Local channel, in the supervisor's place, or by a merge of two calls (bridge.c).
        """
        sides = ("Transferer", "OrigTransferer", "SecondTransferer")
        transferers = {event.text(f"{side}Uniqueid") for side in sides}
        if any(map(self.grants.is_known, transferers)):
            self._look_for_moved()
        for grant in self._watched.ours():
            if grant.spyer_uniqueid not in transferers:
                continue
            if grant in self._joined:
                if event.text("Result") == "Success":
                    self._joined.take_transfer(grant, name)
            elif name == "AttendedTransfer":
                guesses = (event.text("TransfereeUniqueid"), event.text("TransferTargetUniqueid"))
                self._handing_over.begin(grant, guesses)

    def _look_for_moved(self) -> None:
        """A spy of others may be at another phone: the next list tells, and is not waited for."""
        now = self._reactor.seconds()
        if self._moved_look is None and not self._stopping:
            self._moved_look = self._reactor.callLater(
                max(0.0, self._looked_at + MOVED_SECONDS - now), self._look_now
            )

    def _look_now(self) -> None:
        self._moved_look, self._looked_at = None, self._reactor.seconds()
        self._under_way.begin(self._ends.or_list(self._find_moved()))

    async def _find_moved(self) -> None:
        asked_at = self._reactor.seconds()
        items = await self._pbx.channels()
        over = self._ends.since(asked_at)
        channels = [item for item in items if item.text("Uniqueid") not in over]
        listed = self.grants.listed(channels, asked_at, self._reactor.seconds(), self._clock(), whole=False)
        self._ends.take_ends(listed.ended)
        for spy in listed.found:
            self._starts.take_start(spy)

    def _joins(self, grant: Grant) -> bool:
        return grant.mode is Mode.BARGE and self._policy().barge is Barge.CONFERENCE

    def _is_for_a_bridge(self, grant: Grant) -> bool:
        """Return whether the application of a grant puts the supervisor into the call."""
        return grant.mode is Mode.TAKE_OVER or self._joins(grant)

    # ---- what ends from outside ------------------------------------------------------------------------

    def recheck(self) -> None:
        """Hold every spy of ours against what the policy says now, and end what it no longer allows."""
        self.grants.exceptions = self._policy().exceptions
        self.grants.no_longer_exempt()
        for spy in self.grants.unproven():
            self._starts.take_start(spy)
        if self._policy().rogue is RogueSpies.HANG_UP:
            for spy in self.grants.rogues():
                self._under_way.begin(self._rogues.hang_up_rogue(spy))
        for grant in self._watched.ours():
            self._rechecking.recheck(grant)
        self._looks.check_within()
        if self._policy().orphans is Orphans.END:
            for grant in self.grants.adopted():
                self._under_way.begin(self._revoking.end(grant, ORPHANED, ""))

    async def kill(self, identifier: str, by: str) -> bool:
        """End a spy on request. False: there is no such spy.

        Parameters:
            identifier: as ``spies.Spy.id``.
            by: who says so.

        Raises:
            Disconnected, NoAnswer, ActionFailed: the PBX could not be told.
        """
        spy = self.grants.find(identifier)
        if spy is None:
            return False
        if spy.grant is not None and spy.kind in (SpyKind.GRANTED, SpyKind.ADOPTED):
            await self._revoking.end(spy.grant, KILLED, by)
            await self._revoking.over_at_last(spy.grant)
            return True
        return await self._rogues.kill(spy, by)

    async def hang_up(self, grant: Grant) -> bool:
        """Hang up the call of a grant, wherever it is. False: the PBX has no channel that carries it.

        Raises:
            Disconnected, NoAnswer, ActionFailed: the PBX could not be told.
        """
        carrier = await self._carriers.of(grant)
        if carrier is None:
            return False
        await self._pbx.hang_up(carrier)
        return True

    # ---- inside ----------------------------------------------------------------------------------------

    async def _take_orphan(self, grant: Grant) -> None:
        policy = self._policy().orphans
        self._parties.follow_party(grant)
        self._looks.check_within()
        log.warning("spy_adopted", node=self._pbx.node, grant=grant.id, policy=policy)
        await self._records.append(self._records.adoption(grant))
        if policy is Orphans.END:
            await self._revoking.end(grant, ORPHANED, "")
        else:
            self._rechecking.recheck(grant)

    def _take_start(self, spy: Spy | None) -> None:
        self._starts.take_start(spy)

    def _failed(self, failure: Failure) -> None:
        if isinstance(failure.value, (Disconnected, NoAnswer)):
            log.warning("spy_watch_unanswered", node=self._pbx.node, error=str(failure.value))
            return
        expected = isinstance(failure.value, AgiMonitorError)
        error = str(failure.value) if expected else failure.getTraceback()
        log.error("spy_watch_failed", node=self._pbx.node, error=error)
