"""Holds everybody who hears somebody on a PBX against the grants, and ends what must end.

What is decided is decided in ``supervision.grants`` and ``supervision.policy``; this is where it is done.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

import structlog
from twisted.internet.defer import Deferred, DeferredList, TimeoutError
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.python.failure import Failure

from agi_monitor.ami.messages import Message
from agi_monitor.errors import AgiMonitorError
from agi_monitor.model import Barge, Mode, Orphans, Refusal, RogueSpies
from agi_monitor.pbx import Pbx
from agi_monitor.supervision import chanspy, proof
from agi_monitor.supervision.audit import (
    AuditLog,
    End,
    Fact,
    RogueSpy,
    RogueSpyEnded,
    SpyAdopted,
    SpyEnded,
    SpyHeard,
    SpyRevoked,
    SpySilent,
)
from agi_monitor.supervision.channels import Stale
from agi_monitor.supervision.circumstances import Circumstances
from agi_monitor.supervision.grants import MAX_SPIES, NOTICE, Grant, Grants, Kind, Place, Spy
from agi_monitor.supervision.onlooker import Onlooker
from agi_monitor.supervision.owners import other_owner_refuses
from agi_monitor.supervision.policy import Permitted, Policy
from agi_monitor.supervision.proof import Signer
from agi_monitor.supervision.targets import DeviceChannel
from agi_monitor.under_way import UnderWay

KEY_SECONDS = 0.12
"""So long a spy has to end by a pressed key; then its channel is hung up. Both fit into 200 ms."""

CLOSE_SECONDS = 1.0
"""So long a story may take to say that its spy is over, once the PBX has said so."""

NOTICE_BEGIN_SECONDS = 3.0
"""So long it may take until the notice is heard; 0.1 s were seen. A channel that is gone hears none."""

NOTICE_SECONDS = 20.0
"""So long a notice may take to its end."""

HANGUP_SECONDS = 1.0
"""So long after the end of an orphan its channels have to hang up, to be the reason of it."""

KILLED = "killed"
"""Why a grant ends when somebody says so."""

ORPHANED = "orphaned"
"""Why it ends when its server had died."""

CHECK_SECONDS = 0.5
"""So often the clock is held against the grants, while there are rules that depend on it."""

CALL_EVENTS = frozenset({"AgentConnect", "AgentComplete", "QueueCallerJoin", "QueueCallerLeave", "DialBegin"})
"""After these a call may be one of another queue, or go the other way."""

log = structlog.get_logger()


@dataclass(slots=True, eq=False)
class _Notice:
    """An agent is told; the helper is known once it has begun."""

    spyee_uniqueid: str
    helper: str = ""
    begun: Deferred[None] = field(default_factory=Deferred)
    over: Deferred[None] = field(default_factory=Deferred)


class SpyWatch:
    """The spies of one PBX. Fits ``supervision.live_pbx.GrantWatch`` and ``pbx.Watcher``.

    Parameters:
        pbx: the PBX.
        reactor: Twisted's, or a ``Clock``.
        clock: seconds since 1970, for the records. How long something takes is told by the reactor, whose clock
            nobody sets.
        signer: signs grants.
        policy: returns what the configuration says now.
        audit: where facts go.
        hang_up_otherwise: ends a channel while the manager interface cannot; says whether it did.
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
    ) -> None:
        self.grants = Grants(policy().exceptions)
        self._pbx = pbx
        self._reactor = reactor
        self._clock = clock
        self._signer = signer
        self._policy = policy
        self._audit = audit
        self._hang_up_otherwise = hang_up_otherwise
        self._begun: dict[str, float] = {}
        """By grant, when it began, on the reactor's clock."""
        self._revoked: dict[str, str] = {}
        self._killed_by: dict[str, str] = {}
        self._telling: dict[str, Deferred[Any]] = {}
        self._closing: dict[str, list[Deferred[None]]] = {}
        self._ended: deque[tuple[float, str]] = deque()
        self._ending: dict[str, tuple[Mapping[str, End], Deferred[End]]] = {}
        self._other_party: dict[str, str] = {}
        """By grant, the uniqueid of the only other party of the call that is heard, once it was known."""
        self._anew: set[str] = set()
        """Grants whose spies were told to begin anew."""
        self._notices: dict[int, _Notice] = {}
        self._notice_count = 0
        self._proving: set[Spy] = set()
        self._onlooker = Onlooker(pbx, self)
        self._next_check: IDelayedCall | None = None
        self._stopping = False
        self._under_way = UnderWay(self._failed)

    def stop(self) -> None:
        """Look at the clock no more."""
        self._stopping = True
        if self._next_check is not None:
            self._next_check.cancel()
            self._next_check = None

    async def idle(self) -> None:
        """Wait for everything that is under way."""
        await self._under_way.idle()

    # ---- what the story of a call tells ----------------------------------------------------------------

    def opened(self, grant: Grant) -> str:
        """A grant begins. Returns its proof, for the supervisor's channel."""
        joins = grant.mode is Mode.BARGE and self._policy().barge is Barge.CONFERENCE
        self._begun[grant.id] = self._reactor.seconds()
        self.grants.opened(grant, self._begun[grant.id], by_chanspy=not joins and grant.mode is not Mode.TAKE_OVER)
        self._note_party(grant)
        # It was decided before its record was on disk, which takes its time.
        self._recheck(grant)
        self._check_within()
        try:
            return self._signer.sign(grant)
        except ValueError:
            # Without it the spy is the same, but another run of a server would take it for rogue.
            log.warning("grant_not_signed", node=self._pbx.node, grant=grant.id)
            return ""

    def closed(self, grant: Grant) -> None:
        """It is over."""
        self.grants.closed(grant, self._reactor.seconds(), self._clock())
        if grant in self._ours():
            return  # it was left alone
        self._begun.pop(grant.id, None)
        self._revoked.pop(grant.id, None)
        self._telling.pop(grant.id, None)
        self._other_party.pop(grant.id, None)
        self._anew.discard(grant.id)
        for waiting in self._closing.pop(grant.id, []):
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

    def place_taken(self, place: Place) -> None:
        """Somebody is about to hear a call, and counts from this moment on, through all changes of mode."""
        self.grants.place_taken(place)

    def place_left(self, place: Place) -> None:
        """Not any more."""
        self.grants.place_left(place)

    async def silenced(self, grant: Grant) -> None:
        """Wait until nothing more is on its way that silences the supervisor's channel."""
        telling = self._telling.get(grant.id)
        if telling is not None:
            await telling

    def revoked(self, grant: Grant) -> str | None:
        """Say why a grant was ended from outside, or None."""
        return self._revoked.get(grant.id)

    def begins_anew(self, grant: Grant) -> bool:
        """Say whether a spy was told to begin anew, because another party is on the call."""
        return grant.id in self._anew

    def notice_expected(self, spyee_uniqueid: str) -> int:
        """The agent on this channel is about to be told. Returns what the notice is called."""
        self.grants.notice_expected(spyee_uniqueid)
        self._notice_count += 1
        self._notices[self._notice_count] = _Notice(spyee_uniqueid)
        return self._notice_count

    async def notice_given(self, notice: int) -> bool:
        """Wait until the agent has been told. False: it did not come to that."""
        expected = self._notices[notice]
        try:
            await expected.begun.addTimeout(NOTICE_BEGIN_SECONDS, self._reactor)
            await expected.over.addTimeout(NOTICE_SECONDS, self._reactor)
        except TimeoutError:
            return False
        return True

    def notice_over(self, notice: int) -> None:
        """Nobody waits for it any more."""
        self.grants.notice_over(self._notices.pop(notice).spyee_uniqueid, self._reactor.seconds())

    # ---- what the PBX tells ----------------------------------------------------------------------------

    def take(self, name: str, event: Message) -> None:
        """An event came."""
        if name == "ChanSpyStart":
            now = self._reactor.seconds()
            self._note_heard(SpyHeard, self.grants.heard(event, now))
            self._take_start(self.grants.started(event, now, self._clock()))
        elif name == "ChanSpyStop":
            self._note_heard(SpySilent, self.grants.silent(event))
            self._note_end(event.text("SpyerUniqueid"))
            self._take_ends([spy for spy in [self.grants.stopped(event)] if spy is not None])
        elif name == "Hangup":
            self._note_end(event.text("Uniqueid"))
            self._take_ends(self.grants.gone(event.text("Uniqueid")))
            for why, first in list(self._ending.values()):
                if event.text("Uniqueid") in why and not first.called:
                    first.callback(why[event.text("Uniqueid")])
        elif name == "BridgeEnter":
            # Somebody joined a call: it may be one now that nobody may hear.
            for grant in self._ours():
                if event.text("Uniqueid") in self._on_the_call(grant):
                    self._recheck(grant)
                    self._follow_party(grant)
        elif name == "BridgeLeave":
            # A colleague may have taken the agent's place before the agent left it.
            for grant in self._ours():
                if grant.spyee_uniqueid == event.text("Uniqueid"):
                    self._recheck(grant)
        elif name in CALL_EVENTS:
            if self._policy().rights.depend_on_calls:
                self._recheck_call(event.text("Uniqueid"))
        elif name == "NewConnectedLine":
            # After a transfer the other party's number comes behind the other party.
            for grant in self._ours():
                if grant.spyee_uniqueid == event.text("Uniqueid"):
                    self._recheck(grant)

    def listed(self, channels: Sequence[Message], asked_at: float) -> None:
        """The lists came: what was missed while there was no connection."""
        # The list is older than the last events: who has ended since is not found again.
        over = {uniqueid for at, uniqueid in self._ended if at >= asked_at}
        channels = [item for item in channels if item.text("Uniqueid") not in over]
        listed = self.grants.listed(channels, asked_at, self._reactor.seconds(), self._clock())
        self._take_ends(listed.ended)
        for spy in (*(spy for spy in listed.found if spy.kind is not Kind.UNPROVEN), *self.grants.unproven()):
            self._take_start(spy)
        for spy in self.grants.of_others():
            self._under_way.begin(self._still_proven(spy))
        self.recheck()

    # ---- what ends from outside ------------------------------------------------------------------------

    def recheck(self) -> None:
        """Hold every spy of ours against what the policy says now, and end what it no longer allows."""
        self.grants.exceptions = self._policy().exceptions
        self.grants.no_longer_exempt()
        for spy in self.grants.unproven():
            self._take_start(spy)
        if self._policy().rogue is RogueSpies.HANG_UP:
            for spy in self.grants.rogues():
                self._under_way.begin(self._pbx.hang_up(spy.spyer))
        for grant in self._ours():
            self._recheck(grant)
        self._check_within()
        if self._policy().orphans is Orphans.END:
            for grant in self.grants.adopted():
                self._under_way.begin(self._end(grant, ORPHANED, ""))

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
            await self._end(spy.grant, KILLED, by)
            return True
        if spy.grant is not None:
            await self._audit.append(self._revocation(spy.grant, KILLED, by))
        self._killed_by[spy.spyer_uniqueid] = by
        try:
            await self._pbx.hang_up(spy.spyer)
        except AgiMonitorError:
            self._killed_by.pop(spy.spyer_uniqueid, None)
            raise
        return True

    def _ours(self) -> tuple[Grant, ...]:
        return (*self.grants.granted(), *self.grants.adopted())

    def _recheck(self, grant: Grant) -> None:
        decide = partial(self._permitted, grant, self._known(grant, grant.spyee_uniqueid), grant.spyee_uniqueid)
        permitted = decide(grant.extension)
        refusal = permitted if isinstance(permitted, Refusal) else self._protection(grant)
        refusal = refusal or other_owner_refuses(self._policy(), self._pbx, grant.extension, grant.spyee, decide)
        refusal = refusal or self._colleague_refuses(grant)
        if refusal is not None:
            self._under_way.begin(self._end(grant, refusal.reason, ""))

    def _known(self, grant: Grant, spyee_uniqueid: str) -> Circumstances:
        place = replace(grant.place, spyee_uniqueid=spyee_uniqueid)
        return self._onlooker.of_call(place, self._clock(), scan=grant.scan, reason=bool(grant.reason), begins=False)

    def _permitted(
        self, grant: Grant, known: Circumstances, spyee_uniqueid: str, extension: str
    ) -> Permitted | Refusal:
        policy = self._policy()
        # With the picture lost, or the agent with nobody, no more is known of the call than there is to be heard.
        # What it was when the spy began is not doubted then; the next list, or the next party, tells what it is.
        sure = self._onlooker.sees and len(self._onlooker.call_of(spyee_uniqueid)) > 1
        decide = policy.permitted if sure else policy.possible
        return decide(grant.endpoint, grant.supervisor, extension, grant.mode, known)

    def _colleague_refuses(self, grant: Grant) -> Refusal | None:
        """Say which agent, left on a call that a supervisor joined, may not be heard; or None.

        The right to hear an agent covers the agent's call, with whomever it is. Without that agent it is the call of
        the agents who are left, as after a transfer to a colleague.
        """
        if grant.mode is not Mode.BARGE or self._pbx.bridge_of(grant.spyer_uniqueid) is None:
            return None
        left = self._pbx.partners_of(grant.spyer_uniqueid)
        if isinstance(left, Stale) or grant.spyee_uniqueid in {party.uniqueid for party in left}:
            return None
        supervisors = {other.spyer_uniqueid for other in self._ours()}
        for party in left:
            if party.uniqueid in supervisors:
                continue
            known = self._known(grant, party.uniqueid)
            decide = partial(self._permitted, grant, known, party.uniqueid)
            refusal = other_owner_refuses(self._policy(), self._pbx, grant.extension, party.name, decide)
            if refusal is not None:
                return refusal
        return None

    def _recheck_call(self, uniqueid: str) -> None:
        """Hold the spies on one call against what it is now, by any of its channels."""
        for grant in self._ours():
            if uniqueid in self._on_the_call(grant):
                self._recheck(grant)

    def _check_within(self) -> None:
        """See to it that the clock is looked at, as long as it matters."""
        if self._next_check is None and not self._stopping and self._policy().rights.depend_on_time and self._ours():
            self._next_check = self._reactor.callLater(CHECK_SECONDS, self._check)

    def _check(self) -> None:
        self._next_check = None
        # With the picture lost nobody can be ended; the next list is followed by a look at all of them.
        for grant in self._ours() if self._onlooker.sees else ():
            self._recheck(grant)
        self._check_within()

    def _protection(self, grant: Grant) -> Refusal | None:
        spyee = self._pbx.channel(grant.spyee_uniqueid)
        if spyee is None:
            # In a conference, or after a take-over, the agent may be gone and the supervisor on the call.
            spyee = self._pbx.channel(grant.spyer_uniqueid)
        if spyee is None or isinstance(spyee, Stale):
            return None
        peers = self._pbx.partners_of(spyee.uniqueid)
        if isinstance(peers, Stale):
            return None
        names = tuple(peer.name for peer in peers)
        number = re.sub(r"[^0-9]", "", spyee.connected_number)
        channel = DeviceChannel(spyee.name, spyee.uniqueid, spyee.state, names, number=number)
        return self._policy().protected.refusal(channel)

    def _note_party(self, grant: Grant) -> bool:
        """Note who the other party is. True: it is another one than before."""
        partners = self._pbx.partners_of(grant.spyee_uniqueid)
        if isinstance(partners, Stale) or len(partners) != 1:
            return False
        before = self._other_party.get(grant.id)
        self._other_party[grant.id] = partners[0].uniqueid
        return before not in (None, partners[0].uniqueid)

    def _follow_party(self, grant: Grant) -> None:
        """Begin the spy anew when another party is on the call, as after a transfer by the customer.

        ChanSpy goes on and gives the agent alone: Asterisk 22.10 drops what the new party says as long as its RTP
        numbers are lower than those of the party before. A barge stays with the party before (app_chanspy.c).
        """
        if not self._note_party(grant) or grant.id in self._revoked or grant not in self.grants.granted():
            return
        if grant.mode is not Mode.TAKE_OVER and self._pbx.bridge_of(grant.spyer_uniqueid) is None:
            log.info("spy_begins_anew", node=self._pbx.node, grant=grant.id)
            self._anew.add(grant.id)
            self._under_way.begin(self._pbx.press(grant.spyer, chanspy.END_KEY))

    def _on_the_call(self, grant: Grant) -> frozenset[str]:
        """The channels that a supervisor hears by this grant, as far as is known, and both of its own."""
        found = {grant.spyee_uniqueid, grant.spyer_uniqueid}
        for uniqueid in (grant.spyee_uniqueid, grant.spyer_uniqueid):
            partners = self._pbx.partners_of(uniqueid)
            found |= set() if isinstance(partners, Stale) else {partner.uniqueid for partner in partners}
        return frozenset(found)

    def _note_end(self, uniqueid: str) -> None:
        self._ended.append((self._reactor.seconds(), uniqueid))
        while len(self._ended) > MAX_SPIES:
            self._ended.popleft()

    async def _end(self, grant: Grant, why: str, by: str) -> None:
        """Silence at once, then the key that ends ChanSpy: the supervisor's call goes on, and is told why."""
        if grant.id in self._revoked or grant not in self._ours():
            return
        self._revoked[grant.id] = why
        log.warning("spy_revoked", node=self._pbx.node, grant=grant.id, why=why, by=by)
        began = self._reactor.seconds()
        closing = self._closes_within(grant, KEY_SECONDS)
        bridge = self._pbx.bridge_of(grant.spyer_uniqueid)
        steps = [
            self._step(grant, "mute out", self._pbx.mute(grant.spyer, "out")),
            self._step(grant, "mute in", self._pbx.mute(grant.spyer, "in")),
            self._step(grant, "press", self._pbx.press(grant.spyer, chanspy.END_KEY))
            if bridge is None
            else self._step(grant, "remove", self._pbx.remove(grant.spyer, bridge)),
        ]
        told = DeferredList([Deferred.fromCoroutine(step) for step in steps], consumeErrors=True)
        self._telling[grant.id] = told
        # The record comes second, and nothing waits for the disk: what nobody may hear must fall silent.
        self._record(self._revocation(grant, why, by))
        is_closed = await closing
        if not is_closed and any(ended == grant.spyer_uniqueid and at >= began for at, ended in self._ended):
            # Nobody is heard any more: the supervisor keeps the call, if the story is only slow to say so.
            is_closed = await self._closes_within(grant, CLOSE_SECONDS)
        if not is_closed:
            await self._hang_up_revoked(grant)
        await told

    def _closes_within(self, grant: Grant, seconds: float) -> Deferred[bool]:
        """Wait from now on for the story to say that its spy is over; False when the time has passed."""
        closed: Deferred[None] = Deferred()
        waiting = self._closing.setdefault(grant.id, [])
        waiting.append(closed)

        def passed(failure: Failure) -> bool:
            failure.trap(TimeoutError)  # type: ignore[no-untyped-call]  # Twisted's own
            waiting.remove(closed)
            if not waiting:
                self._closing.pop(grant.id, None)
            return False

        return closed.addTimeout(seconds, self._reactor).addCallbacks(lambda _: True, passed)

    async def _step(self, grant: Grant, name: str, step: Coroutine[Any, Any, None]) -> None:
        try:
            await step
        except AgiMonitorError as error:
            if self._pbx.channel(grant.spyer_uniqueid) is not None:
                log.error("spy_not_silenced", node=self._pbx.node, grant=grant.id, step=name, error=str(error))

    async def _hang_up_revoked(self, grant: Grant) -> None:
        try:
            await self._pbx.hang_up(grant.spyer)
        except AgiMonitorError:
            if self._pbx.channel(grant.spyer_uniqueid) is None or await self._hang_up_otherwise(grant.spyer):
                return
            # It is on: the next list, or whoever says so again, tries it once more.
            self._revoked.pop(grant.id, None)
            raise

    # ---- spies of others -------------------------------------------------------------------------------

    def _take_start(self, spy: Spy | None) -> None:
        if spy is None:
            return
        if spy.kind is Kind.UNPROVEN:
            if spy not in self._proving:
                self._under_way.begin(self._prove(spy))
        elif spy.kind is Kind.ROGUE:
            self._under_way.begin(self._take_rogue(spy))
        elif spy.spyer.startswith(NOTICE):
            for notice in self._notices.values():
                if notice.spyee_uniqueid == spy.spyee_uniqueid and not notice.begun.called:
                    notice.helper = spy.spyer_uniqueid
                    notice.begun.callback(None)
                    return
        else:
            log.debug("spy_exempt", node=self._pbx.node, spyer=spy.spyer, why=spy.why)

    async def _prove(self, spy: Spy) -> None:
        """Ask the channel for a grant: it has none, or one of ours, of an earlier run, or of another server."""
        self._proving.add(spy)
        try:
            # A channel that is gone already proves nothing: somebody was heard.
            signed = await self._pbx.variable(spy.spyer, proof.VARIABLE) or ""
        except AgiMonitorError:
            if spy not in self.grants.unproven():
                await self._take_unasked(spy)
            raise
        finally:
            self._proving.discard(spy)
        if spy.idle and spy not in self.grants.unproven():
            # The supervisor, who was at a prompt, has begun to spy by a grant meanwhile, or is gone.
            return
        if spy.idle and not signed:
            # A supervisor of ours or of another server, at a prompt: with the end of a spy its proof is cleared.
            self.grants.dropped(spy)
            return
        proven = self._signer.read(signed)
        kind, why = self._kind(spy, proven)
        if kind is Kind.ADOPTED and proven is not None:
            # Only the clock on the wall goes on while no server runs.
            ago = max(0.0, self._clock() - proven.grant.began)
            self._begun.setdefault(proven.grant.id, self._reactor.seconds() - ago)
        settled = self.grants.proved(spy, kind, None if proven is None else proven.grant, why)
        if settled is not None and self._policy().rights.depend_on_listeners:
            # It may have begun before some of ours, by the grant of another server.
            self._recheck_call(settled.spyee_uniqueid if settled.grant is None else settled.grant.spyee_uniqueid)
        if kind is Kind.ROGUE:
            await self._take_rogue(settled or replace(spy, why=why))
            if settled is None:
                # Its end came before it was known to be rogue.
                self._take_rogues_end(spy, "")
        elif kind is Kind.ADOPTED and settled is not None and settled.grant is not None:
            await self._take_orphan(settled.grant)

    async def _still_proven(self, spy: Spy) -> None:
        """The end of another server's spy may have been missed; its proof ends with it."""
        if self._signer.read(await self._pbx.variable(spy.spyer, proof.VARIABLE) or "") is None:
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
            self._under_way.begin(self._pbx.hang_up(spy.spyer))
        await self._audit.append(
            RogueSpy(
                at=self._now(),
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
        self._check_within()
        log.warning("spy_adopted", node=self._pbx.node, grant=grant.id, policy=policy)
        await self._audit.append(
            SpyAdopted(
                **self._common(grant),
                grant=grant.number,
                extension=grant.extension,
                mode=grant.mode,
                spyee=grant.spyee,
                spyee_uniqueid=grant.spyee_uniqueid,
            )
        )
        if policy is Orphans.END:
            await self._end(grant, ORPHANED, "")
        else:
            self._recheck(grant)

    def _take_ends(self, ended: Iterable[Spy]) -> None:
        for spy in ended:
            by = self._killed_by.pop(spy.spyer_uniqueid, "")
            if spy.spyer.startswith(NOTICE):
                self._take_notices_end(spy)
            elif spy.kind is Kind.ROGUE:
                self._take_rogues_end(spy, by)
            elif spy.kind is Kind.ADOPTED and spy.grant is not None:
                self._take_orphans_end(spy.grant)
            elif spy.kind is Kind.UNPROVEN and not spy.idle and spy not in self._proving:
                self._under_way.begin(self._take_unasked(spy))

    async def _take_unasked(self, spy: Spy) -> None:
        """It is over, and its channel could not be asked for a grant: somebody was heard."""
        if not spy.idle:
            await self._take_rogue(replace(spy, why="its channel could not be asked"), on=False)
            self._take_rogues_end(spy, "")

    def _take_notices_end(self, spy: Spy) -> None:
        for notice in self._notices.values():
            if notice.helper == spy.spyer_uniqueid and not notice.over.called:
                notice.over.callback(None)
                return

    def _take_rogues_end(self, spy: Spy, by: str) -> None:
        self._record(
            RogueSpyEnded(
                at=self._now(),
                node=self._pbx.node,
                spyer=spy.spyer,
                spyer_uniqueid=spy.spyer_uniqueid,
                seconds=round(self._reactor.seconds() - spy.since, 3),
                by=by,
            )
        )

    def _take_orphans_end(self, grant: Grant) -> None:
        seconds = round(self._reactor.seconds() - self._begun[grant.id], 3)
        if self.revoked(grant) is not None:
            self._orphan_ended(grant, End.REVOKED, seconds)
        elif self._pbx.channel(grant.spyer_uniqueid) is None:
            self._orphan_ended(grant, End.SUPERVISOR_HUNG_UP, seconds)
        elif self._pbx.channel(grant.spyee_uniqueid) is None:
            self._orphan_ended(grant, End.CALL_OVER, seconds)
        else:
            self._under_way.begin(self._wait_for_hangup(grant, seconds))

    async def _wait_for_hangup(self, grant: Grant, seconds: float) -> None:
        """ChanSpyStop comes before the Hangup that it is for: who hangs up now says why it ended."""
        first: Deferred[End] = Deferred()
        self._ending[grant.id] = (
            {grant.spyer_uniqueid: End.SUPERVISOR_HUNG_UP, grant.spyee_uniqueid: End.CALL_OVER},
            first,
        )
        try:
            why = await first.addTimeout(HANGUP_SECONDS, self._reactor)
        except TimeoutError:
            why = End.PBX_ENDED
        finally:
            del self._ending[grant.id]
        self._orphan_ended(grant, why, seconds)

    def _orphan_ended(self, grant: Grant, why: End, seconds: float) -> None:
        self._record(
            SpyEnded(
                **self._common(grant),
                grant=grant.number,
                extension=grant.extension,
                mode=grant.mode,
                why=why,
                seconds=seconds,
            )
        )
        self.closed(grant)

    # ---- records ---------------------------------------------------------------------------------------

    def _note_heard(self, kind: type[SpyHeard], grant: Grant | None) -> None:
        if grant is not None:
            self._record(
                kind(
                    **self._common(grant),
                    grant=grant.number,
                    extension=grant.extension,
                    mode=grant.mode,
                    node=self._pbx.node,
                    spyee=grant.spyee,
                    spyee_uniqueid=grant.spyee_uniqueid,
                )
            )

    def _revocation(self, grant: Grant, why: str, by: str) -> SpyRevoked:
        return SpyRevoked(**self._common(grant), grant=grant.number, extension=grant.extension, why=why, by=by)

    def _common(self, grant: Grant) -> Mapping[str, Any]:
        return {
            "at": self._now(),
            "call": grant.call,
            "endpoint": grant.endpoint,
            "spyer": grant.spyer,
            "spyer_uniqueid": grant.spyer_uniqueid,
            "supervisor": grant.supervisor,
        }

    def _record(self, fact: Fact) -> None:
        self._under_way.begin(self._audit.append(fact))

    def _failed(self, failure: Failure) -> None:
        expected = isinstance(failure.value, AgiMonitorError)
        error = str(failure.value) if expected else failure.getTraceback()
        log.error("spy_watch_failed", node=self._pbx.node, error=error)

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock(), UTC)
