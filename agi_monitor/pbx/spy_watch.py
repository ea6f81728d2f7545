"""Holds everybody who hears somebody on a PBX against the grants, and ends what must end.

What is decided is decided in ``supervision.grants`` and ``supervision.policy``; this is where it is done.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence, Set
from dataclasses import replace
from typing import Any

import structlog
from twisted.internet.defer import Deferred, TimeoutError
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from agi_monitor.ami.messages import Message
from agi_monitor.ami.states import Up
from agi_monitor.audit.facts import (
    AuditLog,
    End,
    RogueSpy,
    RogueSpyEnded,
    SpyAdopted,
    SpyEnded,
    SpyHeard,
    SpySilent,
)
from agi_monitor.errors import AgiMonitorError, Disconnected, NoAnswer
from agi_monitor.model import Barge, Mode, Orphans, RogueSpies
from agi_monitor.names import Uniqueid
from agi_monitor.pbx.carriers import GONE_SECONDS, Carriers
from agi_monitor.pbx.handing_over import HandingOver
from agi_monitor.pbx.joined_calls import JoinedCalls
from agi_monitor.pbx.looks import Looks
from agi_monitor.pbx.notices import Notices
from agi_monitor.pbx.parties import Parties
from agi_monitor.pbx.pbx import Pbx
from agi_monitor.pbx.places import Places
from agi_monitor.pbx.rechecking import Rechecking
from agi_monitor.pbx.records import Records
from agi_monitor.pbx.revoking import Revoking
from agi_monitor.pbx.under_way import UnderWay
from agi_monitor.pbx.watched import WatchedGrants
from agi_monitor.supervision import confirmation, proof
from agi_monitor.supervision.grants import (
    APPLICATIONS,
    JOINING,
    MAX_SPIES,
    NOTICE,
    OUR_CONTEXTS,
    Grant,
    Grants,
    Kind,
    Place,
    Spy,
)
from agi_monitor.supervision.onlooker import Onlooker
from agi_monitor.supervision.policy import Policy
from agi_monitor.supervision.proof import Signer

STOP_SECONDS = (0.05, 0.05, 0.1, 0.2, 0.4, *(0.8,) * 5)
"""Between the looks whether a spy is over whose end was told. On a busy PBX its channel, or its story, takes a while
to go on; if it never does, somebody else wrote that."""

HANGUP_SECONDS = 1.0
"""So long after the end of an orphan its channels have to hang up, to be the reason of it."""

KILLED = "killed"
"""Why a grant ends when somebody says so."""

ORPHANED = "orphaned"
"""Why it ends when its server had died."""

PROMPT_SECONDS = 120.0
"""How long a supervisor of whom no grant is known may be at a prompt, as one of another server may: then it is a
spy."""

CALL_EVENTS = frozenset({"AgentConnect", "AgentComplete", "QueueCallerJoin", "QueueCallerLeave", "DialBegin"})
"""After these a call may be one of another queue, or go the other way."""

log = structlog.get_logger()


class SpyWatch:
    """The spies of one PBX. Fits ``supervision.grant_watch.GrantWatch`` and ``pbx.Watcher``.

    Parameters:
        pbx: the PBX.
        reactor: Twisted's, or a ``Clock``.
        clock: seconds since 1970, for the records. How long something takes is told by the reactor, whose clock
            nobody sets.
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
        self.grants = Grants(policy().exceptions)
        self._watched = WatchedGrants(self.grants, reactor.seconds)
        ours = self._watched.ours
        self._under_way = UnderWay(self._failed)
        self._transfers = UnderWay(self._failed)
        self._records = Records(pbx.node, clock, audit, self._under_way)
        self._carriers = Carriers(pbx, reactor, signer, ours)
        self._handing_over = HandingOver(
            pbx, reactor, self._watched, self._carriers, self._records, self._under_way, self._transfers
        )
        self._joined = JoinedCalls(
            pbx,
            reactor,
            ours,
            self._transfers.begin,
            self._handing_over.take_out,
            self._handing_over.note_handed_over,
        )
        self._revoking = Revoking(
            pbx, reactor, self._watched, self._carriers, self._records, self._joined.bridge_of, hang_up_otherwise
        )
        self._places = Places(self.grants, reactor, clock)
        self._onlooker = Onlooker(pbx, self)
        self._parties = Parties(
            pbx,
            reactor,
            policy,
            self._watched,
            self._carriers,
            self._joined,
            self._revoking,
            self._onlooker,
            self._under_way,
        )
        self._rechecking = Rechecking(
            pbx,
            clock,
            policy,
            self._watched,
            self._places,
            self._onlooker,
            self._parties,
            self._revoking,
            self._under_way,
        )
        self._looks = Looks(
            pbx,
            reactor,
            policy,
            self._watched,
            self._carriers,
            self._onlooker,
            self._handing_over,
            self._parties,
            self._rechecking,
            has_other_way,
            self._under_way,
        )
        self._notices = Notices(reactor, self.grants, self._take_start)
        self._pbx = pbx
        self._reactor = reactor
        self._clock = clock
        self._signer = signer
        self._policy = policy
        self._refused: set[str] = set()
        """Grants that never began."""
        self._killed_by: dict[str, str] = {}
        self._ended: deque[tuple[float, str]] = deque()
        self._ending: dict[str, tuple[Mapping[str, End], Deferred[End]]] = {}
        self._prompts: dict[str, IDelayedCall] = {}
        """By channel, the look whether who may be at a prompt still is."""
        self._proving: set[Spy] = set()
        self._stopping = False

    def stop(self) -> None:
        """Look at the clock no more."""
        self._stopping = True
        for look in self._prompts.values():
            look.cancel()
        self._prompts.clear()
        self._looks.stop()
        self._parties.stop()
        self._joined.stop()
        self._handing_over.stop()
        self._notices.stop()

    async def idle(self) -> None:
        """Wait for everything that is under way."""
        await self._transfers.idle()
        await self._under_way.idle()

    # ---- what the story of a call tells ----------------------------------------------------------------

    def opened(self, grant: Grant) -> str:
        """A grant begins. Returns its proof, for the supervisor's channel; empty: there is none, and no spy."""
        if self.grants.has_grant(grant.spyer_uniqueid):
            # A channel has one session. This one claims the channel of a supervisor who spies, and with its end that
            # spy would have no grant any more.
            log.error("channel_claimed_twice", node=self._pbx.node, grant=grant.id, channel=grant.spyer)
            self._refused.add(grant.id)
            return ""
        joins = grant.mode is Mode.BARGE and self._policy().barge is Barge.CONFERENCE
        began = self._reactor.seconds()
        self._watched.begin(grant, began)
        try:
            self._carriers.signed[grant.id] = self._signer.sign(grant)
        except ValueError:
            # Whoever asked for it does not spy: a phone that the spy is handed to would not be found.
            log.warning("grant_not_signed", node=self._pbx.node, grant=grant.id)
            self._carriers.signed[grant.id] = ""
        self._carriers.take_caller(grant.spyer_uniqueid, grant.spyer)
        self.grants.opened(grant, began, by_chanspy=not joins and grant.mode is not Mode.TAKE_OVER)
        self._parties.follow_party(grant)
        # It was decided before its record was on disk, which takes its time.
        self._rechecking.recheck(grant)
        if isinstance(self._pbx.state, Up):
            self._under_way.begin(self._parties.look_at_source(grant))
        self._looks.check_within()
        return self._carriers.signed[grant.id]

    def closed(self, grant: Grant) -> None:
        """It is over."""
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
        """Its story has lost the connection, and it goes on: it is watched over from here."""
        self.grants.left_alone(grant, self._reactor.seconds())
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
        """Somebody is about to hear a call, and counts from this moment on, through all changes of mode."""
        self._places.place_taken(place)

    def place_left(self, place: Place) -> None:
        """Not any more."""
        self._places.place_left(place)

    async def silenced(self, grant: Grant) -> None:
        """Wait until nothing more is on its way that silences the supervisor's channel."""
        telling = self._watched.of(grant).telling
        if telling is not None:
            await telling

    def revoked(self, grant: Grant) -> str | None:
        """Say why a grant was ended from outside, or None."""
        return self._watched.of(grant).revoked

    async def was_handed_over(self, grant: Grant) -> bool:
        """Return whether a spy was found at another phone, and is on record as such."""
        return await self._handing_over.was_handed_over(grant)

    def begins_anew(self, grant: Grant) -> bool:
        """Return whether a spy was told to begin again, because another party is on the call."""
        return self._watched.of(grant).anew is not None

    def is_another_conversation(self, grant: Grant) -> bool:
        """Return whether nobody of those who talked to the agent before is left on the call."""
        return self._watched.of(grant).anew is True

    def conversation_over(self, grant: Grant) -> bool:
        """Return whether a spy was told to end because nobody talks to the agent any more."""
        return self._watched.of(grant).over

    def notice_expected(self, spyee_uniqueid: str) -> int:
        """The agent on this channel is about to be told. Returns what the notice is called."""
        return self._notices.notice_expected(spyee_uniqueid)

    async def notice_given(self, notice: int) -> bool:
        """Wait until the agent has been told. False: it did not come to that."""
        return await self._notices.notice_given(notice)

    def notice_over(self, notice: int) -> None:
        """Nobody waits for it any more."""
        self._notices.notice_over(notice)

    # ---- what the PBX tells ----------------------------------------------------------------------------

    def take(self, name: str, event: Message) -> None:
        """An event came."""
        if not self._onlooker.sees:
            self._looks.check_within()
        if name == "ChanSpyStart":
            if self.grants.contradicts(event, self._reactor.seconds()):
                self._under_way.begin(self._take_other_start(event))
            else:
                self._take_told_start(event)
        elif name == "ChanSpyStop":
            self._revoking.stop_told(event.text("SpyerUniqueid"))
            if self.grants.is_told(event) or self.grants.is_known(event.text("SpyerUniqueid")):
                self._under_way.begin(self._or_list(self._take_stop(event)))
        elif name == "Hangup":
            uniqueid = event.text("Uniqueid")
            if self.grants.concerns(uniqueid) or any(uniqueid in why for why, _ in self._ending.values()):
                self._under_way.begin(self._or_list(self._take_hangup(uniqueid)))
        elif name in ("HangupRequest", "SoftHangupRequest"):
            for grant in self.grants.adopted():
                if grant.spyer_uniqueid == event.text("Uniqueid"):
                    self._watched.of(grant).phone_hung_up = True
        elif name in ("AttendedTransfer", "BlindTransfer"):
            self._take_transfer(name, event)
        elif name == "BridgeEnter":
            self._joined.take_entry(event, self._joins)
            # Somebody joined a call: it may be one now that nobody may hear.
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

    def doubted(self) -> None:
        """The picture is not to be trusted: the PBX itself is asked."""
        self._looks.check_within()

    def listed(self, channels: Sequence[Message], asked_at: float, *, whole: bool = True) -> None:
        """The lists came: what was missed while there was no connection."""
        # The list is older than the last events: who has ended since is not found again.
        over = {uniqueid for at, uniqueid in self._ended if at >= asked_at}
        channels = [item for item in channels if item.text("Uniqueid") not in over]
        there = {item.text("Uniqueid") for item in channels}
        if whole:
            self._carriers.keep_callers(there | {grant.spyer_uniqueid for grant in self._watched.ours()})
        for grant in self._watched.ours():
            if grant.spyer_uniqueid not in there:
                # Its call may have been handed to another phone unseen.
                self._handing_over.begin(grant)
        listed = self.grants.listed(channels, asked_at, self._reactor.seconds(), self._clock(), whole=whole)
        self._take_ends(listed.ended)
        for spy in (*(spy for spy in listed.found if spy.kind is not Kind.UNPROVEN), *self.grants.unproven()):
            self._take_start(spy)
        for spy in self.grants.of_others():
            self._under_way.begin(self._still_proven(spy))
        self._joined.listed(channels, whole=whole)
        for grant in self._watched.ours():
            watched = self._watched.of(grant)
            why, at = watched.revoked, watched.revoked_at
            ended = at is not None and at < asked_at - GONE_SECONDS
            if why is not None and ended and grant.spyer_uniqueid in there:
                # It is still there: whoever said that it is over was wrong.
                watched.revoked = None
                self._under_way.begin(self._revoking.end(grant, why, ""))
        self.recheck()
        for grant in self._watched.ours():
            self._parties.follow_party(grant)

    # ---- what ends from outside ------------------------------------------------------------------------

    def recheck(self) -> None:
        """Hold every spy of ours against what the policy says now, and end what it no longer allows."""
        self.grants.exceptions = self._policy().exceptions
        self.grants.no_longer_exempt()
        for spy in self.grants.unproven():
            self._take_start(spy)
        if self._policy().rogue is RogueSpies.HANG_UP:
            for spy in self.grants.rogues():
                self._under_way.begin(self._hang_up_rogue(spy))
        for grant in self._watched.ours():
            self._rechecking.recheck(grant)
        self._looks.check_within()
        if self._policy().orphans is Orphans.END:
            for grant in self.grants.adopted():
                self._under_way.begin(self._revoking.end(grant, ORPHANED, ""))

    async def kill(self, identifier: str, by: str) -> bool:
        """End a spy because somebody says so. False: there is no such spy.

        Parameters:
            identifier: as ``grants.Spy.id``.
            by: who says so.

        Raises:
            Disconnected, NoAnswer, ActionFailed: the PBX could not be told.
        """
        spy = self.grants.find(identifier)
        if spy is None:
            return False
        if spy.grant is not None and spy.kind in (Kind.GRANTED, Kind.ADOPTED):
            await self._revoking.end(spy.grant, KILLED, by)
            await self._revoking.over_at_last(spy.grant)
            return True
        spying = await confirmation.spy(self._pbx, spy.spyer_uniqueid, APPLICATIONS | JOINING)
        if spying is None:
            return False
        if spy.grant is not None:
            await self._records.append(self._records.revocation(spy.grant, KILLED, by))
        self._killed_by[spy.spyer_uniqueid] = by
        try:
            await self._pbx.hang_up(spying)
            await self._carriers.wait_until_gone(spying.uniqueid)
        except AgiMonitorError:
            self._killed_by.pop(spy.spyer_uniqueid, None)
            raise
        return True

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

    def _note_end(self, uniqueid: str) -> None:
        self._ended.append((self._reactor.seconds(), uniqueid))
        while len(self._ended) > MAX_SPIES:
            self._ended.popleft()

    # ---- the grant follows the phone, or ends ----------------------------------------------------------

    def _take_transfer(self, name: str, event: Message) -> None:
        """A transfer puts another phone into the place of the supervisor's, or brings one into a joined call: by way
        of a Local channel, in the supervisor's place, or by a merge of two calls (bridge.c).
        """
        sides = ("Transferer", "OrigTransferer", "SecondTransferer")
        transferers = {event.text(f"{side}Uniqueid") for side in sides}
        for grant in self._watched.ours():
            if grant.spyer_uniqueid not in transferers:
                continue
            if grant in self._joined:
                if event.text("Result") == "Success":
                    self._joined.take_transfer(grant, name)
            elif name == "AttendedTransfer":
                guesses = (event.text("TransfereeUniqueid"), event.text("TransferTargetUniqueid"))
                self._handing_over.begin(grant, guesses)

    def _joins(self, grant: Grant) -> bool:
        return grant.mode is Mode.BARGE and self._policy().barge is Barge.CONFERENCE

    # ---- spies of others -------------------------------------------------------------------------------

    def _take_start(self, spy: Spy | None) -> None:
        if spy is None:
            return
        if spy.kind is Kind.UNPROVEN:
            if not self._is_settled_soon(spy):
                self._under_way.begin(self._prove(spy))
        elif spy.kind is Kind.ROGUE:
            self._under_way.begin(self._take_rogue(spy))
        else:
            self._under_way.begin(self._take_exempt(spy))

    def _is_settled_soon(self, spy: Spy) -> bool:
        """Return whether a spy is being asked for a grant, or hung up because it has one that was handed to it."""
        return spy in self._proving or self._handing_over.is_putting_out(spy.spyer_uniqueid)

    def _take_told_start(self, event: Message) -> None:
        now = self._reactor.seconds()
        self._records.note_heard(SpyHeard, self.grants.heard(event, now))
        self._take_start(self.grants.started(event, now, self._clock()))

    async def _take_other_start(self, event: Message) -> None:
        """The PBX told that a channel with a grant hears somebody else. It does when its own application says so."""
        uniqueid = event.text("SpyerUniqueid")
        hears = await self._hears_by_grant(uniqueid)
        if hears:
            self._pbx.contradicted("ChanSpyStart")
        elif hears is not None:
            for spy in self.grants.spies():
                if spy.kind is Kind.ADOPTED and spy.spyer_uniqueid == uniqueid:
                    # By its grant it hears nobody any more.
                    self.grants.dropped(spy)
                    self._take_ends([spy])
            self._take_told_start(event)

    async def _hears_by_grant(self, uniqueid: str) -> bool | None:
        """Return whether a channel hears just whom its grant names, as the PBX says itself; or nobody. None: it is
        gone, or has no grant any more."""
        channel = Uniqueid.read(uniqueid)
        of_channel = (spy.grant for spy in self.grants.spies() if spy.spyer_uniqueid == uniqueid)
        grant = next((grant for grant in of_channel if grant is not None), None)
        if channel is None or grant is None:
            return None
        application = await self._pbx.variable(channel, "CHANNEL(appname)")
        if application is None:
            return None
        if application not in APPLICATIONS:
            return True
        heard = (await self._pbx.variable(channel, "CHANNEL(appdata)") or "").partition(",")[0]
        return heard == grant.spyee_uniqueid

    async def _take_exempt(self, spy: Spy) -> None:
        """Exempt is who the PBX itself calls so, and a beep only for as long as a beep lasts."""
        try:
            is_there = await confirmation.same(self._pbx, spy.spyer_uniqueid, spy.spyer) is not None
        except AgiMonitorError:
            # The next list asks again.
            self.grants.doubted(spy)
            raise
        if not is_there:
            doubted = self.grants.doubted(spy)
            if doubted is not None and await self._exists(spy.spyer_uniqueid):
                self._take_start(doubted)
            return
        if self._notices.take_helper(spy):
            return
        self._notices.take_beep(spy)
        log.debug("spy_exempt", node=self._pbx.node, spyer=spy.spyer, why=spy.why)

    async def _exists(self, uniqueid: str) -> bool:
        channel = Uniqueid.read(uniqueid)
        return channel is not None and await self._pbx.variable(channel, "CHANNEL(state)") is not None

    async def _is_there(self, uniqueid: str, names: Set[str]) -> bool:
        """Return whether a channel is there, under one of the names that it had; under any where none is known."""
        channel = Uniqueid.read(uniqueid)
        name = None if channel is None else await self._pbx.variable(channel, "CHANNEL(name)")
        return name is not None and (not names or name in names)

    async def _or_list(self, end: Coroutine[Any, Any, None]) -> None:
        """Confirm an end that was told; lists tell of it soon where the PBX does not answer."""
        try:
            await end
        except NoAnswer:
            self._pbx.missed()
            raise

    async def _take_stop(self, event: Message) -> None:
        """The PBX told the end of a spy. It is one when the PBX, asked, no longer has it."""
        uniqueid = event.text("SpyerUniqueid")
        # The next spy of that channel may be told of before this end is confirmed.
        grant, is_over = self.grants.silent(event), False
        try:
            is_over = await self._stopped(uniqueid)
        finally:
            if not is_over and grant is not None:
                self.grants.not_silent(grant, self._reactor.seconds())
        if is_over:
            self._records.note_heard(SpySilent, grant)
            self._note_end(uniqueid)
            self._take_ends([spy for spy in [self.grants.stopped(event)] if spy is not None])
        elif not self._stopping and any(grant.spyer_uniqueid == uniqueid for grant in self._watched.ours()):
            # ChanSpy without our options ends with one channel and goes on to the next: only of ours it is not true.
            self._pbx.contradicted("ChanSpyStop")

    async def _stopped(self, uniqueid: str) -> bool:
        """Return whether a channel spies no more, as the PBX says itself, or whether its story has ended that spy."""
        channel, grant = Uniqueid.read(uniqueid), self.grants.granted_to(uniqueid)
        looks = iter(STOP_SECONDS)
        while channel is not None and await self._spies(channel):
            if grant is not None and self.grants.granted_to(uniqueid) != grant:
                return True
            seconds = next(looks, None)
            if seconds is None or self._stopping:
                return False
            await deferLater(self._reactor, seconds)
        return True

    async def _spies(self, channel: Uniqueid) -> bool:
        name = await self._pbx.variable(channel, "CHANNEL(name)")
        application = await self._pbx.variable(channel, "CHANNEL(appname)")
        if application not in APPLICATIONS and not (name or "").startswith(confirmation.SNOOP):
            return False
        # Behind AGI a channel goes on naming the application that is over; its story clears the proof with the spy.
        # Where no story is left, nobody does so for that reason, and the dialplan goes on to another application.
        if any(grant.spyer_uniqueid == channel for grant in self._watched.ours()):
            return True
        return not await self._is_idle(channel)

    async def _is_idle(self, channel: Uniqueid) -> bool:
        """Return whether a channel of ours is between two spies: at a prompt, and without a proof."""
        if await self._pbx.variable(channel, "CHANNEL(context)") not in OUR_CONTEXTS:
            return False
        return not await self._pbx.variable(channel, proof.VARIABLE)

    async def _take_hangup(self, uniqueid: str) -> None:
        """The PBX told that a channel is gone. It is when the PBX, asked, does not know it; a channel of another name
        that has its uniqueid is another one."""
        lost = [grant for grant in self._watched.ours() if grant.spyer_uniqueid == uniqueid]
        names = {grant.spyer for grant in lost} | self.grants.names_of(uniqueid)
        if await self._is_there(uniqueid, names):
            self._pbx.contradicted("Hangup")
            return
        self._carriers.gone(uniqueid)
        for grant in lost:
            if grant in self.grants.adopted():
                # With its channel it is over for the list of spies: where it has gone to is asked before.
                await self._handing_over.look_for(grant)
        self._note_end(uniqueid)
        self._take_ends(self.grants.gone(uniqueid))
        for why, first in list(self._ending.values()):
            if uniqueid in why and not first.called:
                first.callback(why[uniqueid])
        for grant in lost:
            if grant in self._watched.ours():
                # Its story says in a moment that the supervisor has hung up, or its spy is at another phone.
                self._handing_over.begin(grant)

    async def _hang_up_rogue(self, spy: Spy) -> None:
        """Hang up a rogue spy, and nothing that only an event or a list calls one."""
        spying = await confirmation.spy(self._pbx, spy.spyer_uniqueid, APPLICATIONS)
        if spying is None or await self._hears_by_grant(spy.spyer_uniqueid):
            log.warning("rogue_spy_not_found", node=self._pbx.node, spyer=spy.spyer)
        else:
            await self._pbx.hang_up(spying)

    async def _prove(self, spy: Spy) -> None:
        """Ask the channel for a grant: it has none, or one of ours, of an earlier run, or of another server."""
        self._proving.add(spy)
        try:
            # A channel that is gone already proves nothing: somebody was heard.
            signed = await self._asked_for_proof(spy)
            proven = self._signer.read(signed)
            was_moved = proven is not None and await self._was_moved(spy, proven)
            moved = await confirmation.carrier(self._pbx, spy.spyer_uniqueid, signed) if was_moved else None
            if was_moved and moved is None:
                if not await self._exists(spy.spyer_uniqueid):
                    self.grants.dropped(spy)
                return
        except AgiMonitorError:
            if spy not in self.grants.unproven():
                await self._take_unasked(spy)
            raise
        finally:
            self._proving.discard(spy)
        if moved is not None and proven is not None:
            # A list has shown the phone that a spy was handed to unseen. It is no rogue: it ends whatever the policy.
            await self._handing_over.end_handed_over(proven.grant, moved)
            return
        if spy.idle and spy not in self.grants.unproven():
            # The supervisor, who was at a prompt, has begun to spy by a grant meanwhile, or is gone.
            return
        if spy.idle and not signed:
            # A supervisor of ours or of another server, at a prompt: with the end of a spy its proof is cleared.
            self.grants.dropped(spy)
            known = self._carriers.is_caller(spy.spyer_uniqueid, spy.spyer)
            if not known and spy.spyer_uniqueid not in self._prompts and not self._stopping:
                look = self._reactor.callLater(PROMPT_SECONDS, self._begin_prompt_look, spy)
                self._prompts[spy.spyer_uniqueid] = look
            return
        kind, why = self._kind(spy, proven)
        if kind in (Kind.ADOPTED, Kind.OTHERS):
            self._carriers.take_caller(spy.spyer_uniqueid, spy.spyer)
        if kind is Kind.ADOPTED and proven is not None:
            self._carriers.signed[proven.grant.id] = signed
            # Only the clock on the wall goes on while no server runs.
            ago = max(0.0, self._clock() - proven.grant.began)
            self._watched.begin(proven.grant, self._reactor.seconds() - ago)
            self._places.adopted(proven.grant)
        settled = self.grants.proved(spy, kind, None if proven is None else proven.grant, why)
        if settled is not None and self._policy().rights.depend_on_listeners:
            # It may have begun before some of ours, by the grant of another server.
            self._rechecking.recheck_call(
                settled.spyee_uniqueid if settled.grant is None else settled.grant.spyee_uniqueid
            )
        if kind is Kind.ROGUE:
            await self._take_rogue(settled or replace(spy, why=why))
            if settled is None:
                # Its end came before it was known to be rogue.
                self._take_rogues_end(spy, "")
        elif kind is Kind.ADOPTED and proven is not None:
            if settled is not None:
                await self._take_orphan(proven.grant)
            elif proven.grant not in self._watched.ours():
                # It ended before it was known whose it was.
                self._take_orphans_end(proven.grant)

    def _begin_prompt_look(self, spy: Spy) -> None:
        self._prompts.pop(spy.spyer_uniqueid, None)
        if not self._carriers.is_caller(spy.spyer_uniqueid, spy.spyer):
            self._under_way.begin(self._look_at_prompt(spy))

    async def _look_at_prompt(self, spy: Spy) -> None:
        """Nobody is at a prompt for so long: it spies, and its context is not its own."""
        if await confirmation.same(self._pbx, spy.spyer_uniqueid, spy.spyer) is None:
            return
        if await confirmation.spy(self._pbx, spy.spyer_uniqueid, APPLICATIONS) is not None:
            self._take_start(self.grants.suspected(replace(spy, idle=False)))

    async def _was_moved(self, spy: Spy, proven: proof.Proof) -> bool:
        """Return whether a grant of this server, of this run or an earlier one, stands on another phone because the
        supervisor's channel is gone. While that is there, somebody has copied its proof."""
        grant = proven.grant
        if proven.server != self._signer.server or grant.spyer_uniqueid == spy.spyer_uniqueid:
            return False
        if spy.spyee_uniqueid not in ("", grant.spyee_uniqueid):
            return False
        return await self._carriers.own(grant) is None

    async def _asked_for_proof(self, spy: Spy) -> str:
        """Return the proof on a channel of ours. One that was redirected elsewhere took it along, and it is worth
        nothing there: what is on in another context nobody of ours has started.
        """
        channel = Uniqueid.read(spy.spyer_uniqueid)
        signed = "" if channel is None else await self._pbx.variable(channel, proof.VARIABLE) or ""
        if channel is None or not signed:
            return ""
        return signed if await self._pbx.variable(channel, "CHANNEL(context)") in OUR_CONTEXTS else ""

    async def _still_proven(self, spy: Spy) -> None:
        """The end of another server's spy may have been missed; its proof ends with it."""
        if self._signer.read(await self._asked_for_proof(spy)) is None:
            self.grants.dropped(spy)

    def _kind(self, spy: Spy, proven: proof.Proof | None) -> tuple[Kind, str]:
        if proven is None:
            return Kind.ROGUE, "nobody granted it"
        grant = proven.grant
        if grant.spyer_uniqueid != spy.spyer_uniqueid or spy.spyee_uniqueid not in ("", grant.spyee_uniqueid):
            return Kind.ROGUE, "the grant on its channel is for another call"
        if proven.server != self._signer.server:
            return Kind.OTHERS, ""
        if proven.run == self._signer.run:
            return Kind.ROGUE, "its grant is over"
        return Kind.ADOPTED, ""

    async def _take_rogue(self, spy: Spy, *, on: bool = True) -> None:
        node, reaction = self._pbx.node, self._policy().rogue if on else RogueSpies.ALARM
        log.warning("rogue_spy", node=node, spyer=spy.spyer, spyee=spy.spyee, why=spy.why, action=reaction)
        if reaction is RogueSpies.HANG_UP:
            self._under_way.begin(self._hang_up_rogue(spy))
        await self._records.append(
            RogueSpy(
                at=self._records.now(),
                node=node,
                spyer=spy.spyer,
                spyer_uniqueid=spy.spyer_uniqueid,
                spyee=spy.spyee,
                spyee_uniqueid=spy.spyee_uniqueid,
                why=spy.why,
                action=reaction,
            )
        )

    async def _take_orphan(self, grant: Grant) -> None:
        policy = self._policy().orphans
        self._parties.follow_party(grant)
        self._looks.check_within()
        log.warning("spy_adopted", node=self._pbx.node, grant=grant.id, policy=policy)
        await self._records.append(
            SpyAdopted(
                **self._records.common(grant),
                grant=grant.number,
                extension=grant.extension,
                mode=grant.mode,
                spyee=grant.spyee,
                spyee_uniqueid=grant.spyee_uniqueid,
            )
        )
        if policy is Orphans.END:
            await self._revoking.end(grant, ORPHANED, "")
        else:
            self._rechecking.recheck(grant)

    def _take_ends(self, ended: Iterable[Spy]) -> None:
        for spy in ended:
            by = self._killed_by.pop(spy.spyer_uniqueid, "")
            self._notices.take_beeps_end(spy)
            if spy.spyer.startswith(NOTICE):
                self._notices.take_notices_end(spy)
            elif spy.kind is Kind.ROGUE:
                self._take_rogues_end(spy, by)
            elif spy.kind is Kind.ADOPTED and spy.grant is not None:
                self._take_orphans_end(spy.grant)
            elif spy.kind is Kind.UNPROVEN and not spy.idle and not self._is_settled_soon(spy):
                self._under_way.begin(self._take_unasked(spy))

    async def _take_unasked(self, spy: Spy) -> None:
        """It is over, and its channel could not be asked for a grant: somebody was heard."""
        if not spy.idle:
            await self._take_rogue(replace(spy, why="its channel could not be asked"), on=False)
            self._take_rogues_end(spy, "")

    def _take_rogues_end(self, spy: Spy, by: str) -> None:
        self._records.record(
            RogueSpyEnded(
                at=self._records.now(),
                node=self._pbx.node,
                spyer=spy.spyer,
                spyer_uniqueid=spy.spyer_uniqueid,
                seconds=round(self._reactor.seconds() - spy.since, 3),
                by=by,
            )
        )

    def _take_orphans_end(self, grant: Grant) -> None:
        seconds = round(self._reactor.seconds() - self._watched.of(grant).began, 3)
        if self.revoked(grant) is not None:
            self._orphan_ended(grant, End.REVOKED, seconds)
        elif self._pbx.channel(grant.spyee_uniqueid) is None:
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
        self.closed(grant)
        self._places.orphan_ended(grant)

    def _failed(self, failure: Failure) -> None:
        if isinstance(failure.value, (Disconnected, NoAnswer)):
            log.warning("spy_watch_unanswered", node=self._pbx.node, error=str(failure.value))
            return
        expected = isinstance(failure.value, AgiMonitorError)
        error = str(failure.value) if expected else failure.getTraceback()
        log.error("spy_watch_failed", node=self._pbx.node, error=error)
