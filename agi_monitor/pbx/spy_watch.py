"""Holds everybody who hears somebody on a PBX against the grants, and ends what must end.

What is decided is decided in ``supervision.grants`` and ``supervision.policy``; this is where it is done.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

import structlog
from twisted.internet.defer import Deferred, DeferredList, TimeoutError
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from agi_monitor.ami.messages import Message
from agi_monitor.ami.states import Up
from agi_monitor.audit.facts import (
    AuditLog,
    End,
    Fact,
    RogueSpy,
    RogueSpyEnded,
    SpyAdopted,
    SpyEnded,
    SpyHandedOver,
    SpyHeard,
    SpyRevoked,
    SpySilent,
)
from agi_monitor.errors import ActionFailed, AgiMonitorError, Disconnected, ForgedAnswer, NoAnswer
from agi_monitor.live.index import Stale
from agi_monitor.live.over_agi import INTERNAL, MAX_CHANNELS, other_half
from agi_monitor.live.targets import ChannelState, DeviceChannel
from agi_monitor.model import Barge, Mode, Orphans, Refusal, RogueSpies
from agi_monitor.names import BridgeId, Uniqueid
from agi_monitor.pbx.carriers import GONE_SECONDS, LOOK_SECONDS, Carriers
from agi_monitor.pbx.joined_calls import JoinedCalls
from agi_monitor.pbx.pbx import Pbx
from agi_monitor.pbx.under_way import UnderWay
from agi_monitor.rights.circumstances import Circumstances
from agi_monitor.supervision import chanspy, confirmation, proof
from agi_monitor.supervision.confirmation import Confirmed
from agi_monitor.supervision.grants import (
    APPLICATIONS,
    BEEP_SECONDS,
    HOOKS,
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
from agi_monitor.supervision.owners import other_owner_refuses
from agi_monitor.supervision.policy import Permitted, Policy
from agi_monitor.supervision.proof import Signer

KEY_SECONDS = 0.12
"""How long a spy that could not be muted has to end by a pressed key; then its channel is hung up. Both fit into
200 ms."""

SEARCH_SECONDS = (0.05, 0.2, 0.75)
"""Between the looks for a spy that may have been handed over, after the first one, for which its story waits."""

STOP_SECONDS = (0.05, 0.05, 0.1, 0.2, 0.4, *(0.8,) * 5)
"""Between the looks whether a spy is over whose end was told. On a busy PBX its channel, or its story, takes a while
to go on; if it never does, somebody else wrote that."""

CLOSE_SECONDS = 1.0
"""How much longer a spy may take to end where it hears nothing already: it is muted, or the PBX has ended it."""

NOTICE_BEGIN_SECONDS = 3.0
"""So long it may take until the notice is heard; 0.1 s were seen. A channel that is gone hears none."""

NOTICE_SECONDS = 20.0
"""So long a notice may take to its end."""

HANGUP_SECONDS = 1.0
"""So long after the end of an orphan its channels have to hang up, to be the reason of it."""

OVER_SECONDS = 2.0
"""So long a kill waits for the channel of a spy that goes on without the supervisor's."""

KILLED = "killed"
"""Why a grant ends when somebody says so."""

ORPHANED = "orphaned"
"""Why it ends when its server had died."""

OVER = "conversation_over"
"""Why it ends when nobody talks to the agent any more and no story is there to end it."""

ALONE_SECONDS = 0.5
"""How long an agent may be on the line with nobody until their conversation is over: in a transfer the next party
comes within a few milliseconds."""

CHECK_SECONDS = 0.5
"""So often the clock is held against the grants, while there are rules that depend on it."""

BEEPS_WITHIN_SECONDS = 60.0
"""Within this time the beeps to one channel may be ``BEEP_SECONDS`` long, together."""

LOCAL = "Local/"
"""How the name of a Local channel begins. It says nothing of who talks."""

MAX_BEEPS = 100
"""Beeps to one channel that are kept of that time."""

PROMPT_SECONDS = 120.0
"""How long a supervisor of whom no grant is known may be at a prompt, as one of another server may: then it is a
spy."""

RETRY_SECONDS = 60.0
"""Between two tries by the clock to end a spy while there is no connection."""

SOURCE_SECONDS = 3.0
"""So often the PBX itself is asked who is on a call that is heard, also while the picture is trusted."""

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
        self._pbx = pbx
        self._reactor = reactor
        self._clock = clock
        self._signer = signer
        self._policy = policy
        self._audit = audit
        self._hang_up_otherwise = hang_up_otherwise
        self._has_other_way = has_other_way
        self._begun: dict[str, float] = {}
        """By grant, when it began, on the reactor's clock."""
        self._taken: dict[tuple[str, str], float] = {}
        """By the channels of a place, since when it counts as taken, on the reactor's clock."""
        self._refused: set[str] = set()
        """Grants that never began."""
        self._revoked: dict[str, str] = {}
        self._revoked_at: dict[str, float] = {}
        """By grant, when it was last ended from outside, on the reactor's clock."""
        self._on_record: dict[str, str] = {}
        """By grant, why it was ended from outside, as the audit has it."""
        self._killed_by: dict[str, str] = {}
        self._telling: dict[str, Deferred[Any]] = {}
        self._closing: dict[str, list[Deferred[None]]] = {}
        self._ended: deque[tuple[float, str]] = deque()
        self._ending: dict[str, tuple[Mapping[str, End], Deferred[End]]] = {}
        self._pressed: dict[str, float] = {}
        """When the ChanSpy of a grant was told to end; it begins again by another one."""
        self._muted: set[str] = set()
        """Grants that were ended and whose supervisor hears nothing and is not heard."""
        self._phone_hung_up: set[str] = set()
        """Adopted grants whose supervisor's phone asked for the end."""
        self._handed_over: set[str] = set()
        """Grants whose spies are at another phone."""
        self._parties: dict[str, frozenset[str]] = {}
        """By grant, who talks to the agent, once that was known."""
        self._conversation: dict[str, frozenset[str]] = {}
        """By grant, everybody who talked to the agent in the conversation that its minutes are of."""
        self._names_before: dict[str, frozenset[str]] = {}
        """By grant, who was on the line with the agent when the PBX itself last said so, and the picture as well."""
        self._only_local: dict[str, float] = {}
        """By grant, since when nobody is on the line with the agent but Local channels that lead to nobody."""
        self._only_party: dict[str, frozenset[str]] = {}
        """By grant, who talked to the agent alone the last time that somebody did."""
        self._stops: dict[str, float] = {}
        """By the supervisor's channel, when an event told the end of its spy."""
        self._anew: dict[str, bool] = {}
        """Grants whose spies were told to begin again, and whether nobody of the parties before is left."""
        self._over: set[str] = set()
        """Grants whose conversations are over."""
        self._alone: dict[str, IDelayedCall] = {}
        """By grant, the look at an agent who is on the line with nobody."""
        self._beeps: dict[str, IDelayedCall] = {}
        """By the helper's channel, the look whether a beep is over."""
        self._beeped_at: dict[str, deque[tuple[float, float]]] = {}
        """By the channel that is heard, the beeps of the last minute: when each ended, and how long it was."""
        self._prompts: dict[str, IDelayedCall] = {}
        """By channel, the look whether who may be at a prompt still is."""
        self._notices: dict[int, _Notice] = {}
        self._notice_count = 0
        self._proving: set[Spy] = set()
        self._onlooker = Onlooker(pbx, self)
        self._next_check: IDelayedCall | None = None
        self._stopping = False
        self._carriers = Carriers(pbx, reactor, signer, self._ours)
        self._joined = JoinedCalls(
            pbx, reactor, signer, self._ours, self._begin_transfer, self._take_out, self._note_handed_over
        )
        self._hung_up: set[str] = set()
        """Grants whose carriers were hung up and are gone."""
        self._putting_out: dict[str, IDelayedCall | None] = {}
        """Phones that a spy was handed to and that are being hung up, and the next try where there is one."""
        self._looking: set[str] = set()
        """Grants whose calls are looked at."""
        self._looked_at = float("-inf")
        self._under_way = UnderWay(self._failed)
        self._transfers = UnderWay(self._failed)

    def stop(self) -> None:
        """Look at the clock no more."""
        self._stopping = True
        waiting = [*self._alone.values(), *self._beeps.values(), *self._prompts.values()]
        waiting += [call for call in (self._next_check, *self._putting_out.values()) if call is not None]
        for call in waiting:
            call.cancel()
        self._next_check = None
        self._joined.stop()
        self._alone.clear()
        self._beeps.clear()
        self._prompts.clear()
        self._putting_out.clear()

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
        self._begun[grant.id] = self._reactor.seconds()
        try:
            self._carriers.signed[grant.id] = self._signer.sign(grant)
        except ValueError:
            # Whoever asked for it does not spy: a phone that the spy is handed to would not be found.
            log.warning("grant_not_signed", node=self._pbx.node, grant=grant.id)
            self._carriers.signed[grant.id] = ""
        self._carriers.take_caller(grant.spyer_uniqueid, grant.spyer)
        self.grants.opened(grant, self._begun[grant.id], by_chanspy=not joins and grant.mode is not Mode.TAKE_OVER)
        self._follow_party(grant)
        # It was decided before its record was on disk, which takes its time.
        self._recheck(grant)
        if isinstance(self._pbx.state, Up):
            self._under_way.begin(self._look_at_source(grant))
        self._check_within()
        return self._carriers.signed[grant.id]

    def closed(self, grant: Grant) -> None:
        """It is over."""
        if grant.id in self._refused:
            self._refused.discard(grant.id)
            return
        parties = self._conversation.get(grant.id, frozenset())
        self.grants.closed(grant, self._reactor.seconds(), self._clock(), self.heard_for(grant.place), parties)
        if grant in self._ours():
            return  # it was left alone
        self._begun.pop(grant.id, None)
        self._revoked.pop(grant.id, None)
        self._revoked_at.pop(grant.id, None)
        self._on_record.pop(grant.id, None)
        self._telling.pop(grant.id, None)
        self._carriers.forget(grant)
        self._hung_up.discard(grant.id)
        self._handed_over.discard(grant.id)
        self._phone_hung_up.discard(grant.id)
        self._muted.discard(grant.id)
        self._pressed.pop(grant.id, None)
        self._parties.pop(grant.id, None)
        self._only_party.pop(grant.id, None)
        self._conversation.pop(grant.id, None)
        self._names_before.pop(grant.id, None)
        self._only_local.pop(grant.id, None)
        self._joined.story_over(grant)
        self._stops.pop(grant.spyer_uniqueid, None)
        self._anew.pop(grant.id, None)
        self._over.discard(grant.id)
        if grant.id in self._alone:
            self._alone.pop(grant.id).cancel()
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

    def heard_for(self, place: Place) -> float:
        """Return how many seconds a place has been taken, by a clock that cannot be set; with what counts in."""
        taken = self._taken.get((place.spyer_uniqueid, place.spyee_uniqueid))
        return 0.0 if taken is None else self._reactor.seconds() - taken

    def place_taken(self, place: Place) -> None:
        """Somebody is about to hear a call, and counts from this moment on, through all changes of mode."""
        if self._is_in_use(place):
            return
        before = max(0.0, self._clock() - place.since)
        self._taken[place.spyer_uniqueid, place.spyee_uniqueid] = self._reactor.seconds() - before
        self.grants.place_taken(place)

    def place_left(self, place: Place) -> None:
        """Not any more."""
        if self._is_in_use(place):
            return
        if all(grant.place != place for grant in self.grants.adopted()):
            # Who lost their story goes on to hear the call.
            self._taken.pop((place.spyer_uniqueid, place.spyee_uniqueid), None)
        self.grants.place_left(place)

    def _is_in_use(self, place: Place) -> bool:
        """Whether the story of another session spies by it, whose channel this one claims to have."""
        grant = self.grants.granted_to(place.spyer_uniqueid)
        return grant is not None and grant.spyee_uniqueid == place.spyee_uniqueid

    async def silenced(self, grant: Grant) -> None:
        """Wait until nothing more is on its way that silences the supervisor's channel."""
        telling = self._telling.get(grant.id)
        if telling is not None:
            await telling

    def revoked(self, grant: Grant) -> str | None:
        """Say why a grant was ended from outside, or None."""
        return self._revoked.get(grant.id)

    async def was_handed_over(self, grant: Grant) -> bool:
        """Return whether a spy was found at another phone, and is on record as such.

        The end of the application may come over the other connection before the event that tells why: what the PBX
        has told until now is waited for.
        """
        if grant.id not in self._handed_over and await self._pbx.answers():
            await self._transfers.idle(grant.id)
        return grant.id in self._handed_over

    def begins_anew(self, grant: Grant) -> bool:
        """Return whether a spy was told to begin again, because another party is on the call."""
        return grant.id in self._anew

    def is_another_conversation(self, grant: Grant) -> bool:
        """Return whether nobody of those who talked to the agent before is left on the call."""
        return self._anew.get(grant.id, False)

    def conversation_over(self, grant: Grant) -> bool:
        """Return whether a spy was told to end because nobody talks to the agent any more."""
        return grant.id in self._over

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
        if not self._onlooker.sees:
            self._check_within()
        if name == "ChanSpyStart":
            if self.grants.contradicts(event, self._reactor.seconds()):
                self._under_way.begin(self._take_other_start(event))
            else:
                self._take_told_start(event)
        elif name == "ChanSpyStop":
            if self.grants.granted_to(event.text("SpyerUniqueid")) is not None:
                self._stops[event.text("SpyerUniqueid")] = self._reactor.seconds()
            if self.grants.is_told(event) or self.grants.is_known(event.text("SpyerUniqueid")):
                self._under_way.begin(self._or_list(self._take_stop(event)))
        elif name == "Hangup":
            uniqueid = event.text("Uniqueid")
            if self.grants.concerns(uniqueid) or any(uniqueid in why for why, _ in self._ending.values()):
                self._under_way.begin(self._or_list(self._take_hangup(uniqueid)))
        elif name in ("HangupRequest", "SoftHangupRequest"):
            for grant in self.grants.adopted():
                if grant.spyer_uniqueid == event.text("Uniqueid"):
                    self._phone_hung_up.add(grant.id)
        elif name in ("AttendedTransfer", "BlindTransfer"):
            self._take_transfer(name, event)
        elif name == "BridgeEnter":
            self._joined.take_entry(event, self._joins)
            # Somebody joined a call: it may be one now that nobody may hear.
            for grant in self._ours():
                if event.text("Uniqueid") in self._on_the_call(grant):
                    self._recheck(grant)
                    self._follow_party(grant)
        elif name == "BridgeLeave":
            self._joined.take_leave(event)
            # A colleague may have taken the agent's place before the agent left it.
            for grant in self._ours():
                if grant.spyee_uniqueid == event.text("Uniqueid"):
                    self._recheck(grant)
                self._follow_party(grant)
        elif name in CALL_EVENTS:
            if self._policy().rights.depend_on_calls:
                self._recheck_call(event.text("Uniqueid"))
        elif name == "NewConnectedLine":
            # After a transfer the other party's number comes behind the other party.
            for grant in self._ours():
                if grant.spyee_uniqueid == event.text("Uniqueid"):
                    self._recheck(grant)

    def doubted(self) -> None:
        """The picture is not to be trusted: the PBX itself is asked."""
        self._check_within()

    def listed(self, channels: Sequence[Message], asked_at: float, *, whole: bool = True) -> None:
        """The lists came: what was missed while there was no connection."""
        # The list is older than the last events: who has ended since is not found again.
        over = {uniqueid for at, uniqueid in self._ended if at >= asked_at}
        channels = [item for item in channels if item.text("Uniqueid") not in over]
        there = {item.text("Uniqueid") for item in channels}
        if whole:
            self._carriers.keep_callers(there | {grant.spyer_uniqueid for grant in self._ours()})
        for grant in self._ours():
            if grant.spyer_uniqueid not in there:
                # Its call may have been handed to another phone unseen.
                self._transfers.begin(self._take_handed_over(grant), grant.id)
        listed = self.grants.listed(channels, asked_at, self._reactor.seconds(), self._clock(), whole=whole)
        self._take_ends(listed.ended)
        for spy in (*(spy for spy in listed.found if spy.kind is not Kind.UNPROVEN), *self.grants.unproven()):
            self._take_start(spy)
        for spy in self.grants.of_others():
            self._under_way.begin(self._still_proven(spy))
        self._joined.listed(channels, asked_at, whole=whole)
        for grant in self._ours():
            at = self._revoked_at.get(grant.id)
            ended = grant.id in self._revoked and at is not None and at < asked_at - GONE_SECONDS
            if ended and grant.spyer_uniqueid in there:
                # It is still there: whoever said that it is over was wrong.
                self._under_way.begin(self._end(grant, self._revoked.pop(grant.id), ""))
        self.recheck()
        for grant in self._ours():
            self._follow_party(grant)

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
            await self._over_at_last(spy.grant)
            return True
        spying = await confirmation.spy(self._pbx, spy.spyer_uniqueid, APPLICATIONS | JOINING)
        if spying is None:
            return False
        if spy.grant is not None:
            await self._audit.append(self._revocation(spy.grant, KILLED, by))
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

    def _ours(self) -> tuple[Grant, ...]:
        return (*self.grants.granted(), *self.grants.adopted())

    def _recheck(self, grant: Grant) -> None:
        known = self._known(grant, grant.spyee_uniqueid)
        if self._agent_is_elsewhere(grant):
            # What is known of the agent's call is of another one.
            known = replace(known, queue=None, direction=None)
        decide = partial(self._permitted, grant, known, grant.spyee_uniqueid)
        permitted = decide(grant.extension)
        refusal = permitted if isinstance(permitted, Refusal) else self._protection(grant)
        refusal = refusal or other_owner_refuses(self._policy(), self._pbx, grant.extension, grant.spyee, decide)
        refusal = refusal or self._colleague_refuses(grant)
        if refusal is not None:
            self._under_way.begin(self._end(grant, refusal.reason, ""))

    def _known(self, grant: Grant, spyee_uniqueid: str) -> Circumstances:
        place, now = replace(grant.place, spyee_uniqueid=spyee_uniqueid), self._clock()
        known = self._onlooker.of_call(place, now, scan=grant.scan, reason=bool(grant.reason), begins=False)
        if self._onlooker.sees:
            return known
        # The clock needs no picture.
        heard = max(0.0, now - place.since, self.heard_for(place))
        return replace(known, at=datetime.fromtimestamp(now, UTC), heard_seconds=heard)

    def _permitted(
        self, grant: Grant, known: Circumstances, spyee_uniqueid: str, extension: str
    ) -> Permitted | Refusal:
        policy = self._policy()
        # With the picture lost, or the agent alone or elsewhere, no more is known of the call than that it is heard.
        # What it was when the spy began is not doubted then; the next list, or the next party, tells what it is.
        is_there = len(self._onlooker.call_of(spyee_uniqueid)) > 1 and not self._agent_is_elsewhere(grant)
        sure = self._onlooker.sees and is_there
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
        """See to it that the clock is looked at, and the calls themselves, as long as somebody is heard."""
        if self._stopping or not self._ours():
            return
        often = self._policy().rights.depend_on_time or not self._onlooker.sees
        seconds, coming = CHECK_SECONDS if often else SOURCE_SECONDS, self._next_check
        if coming is not None:
            if coming.getTime() - self._reactor.seconds() <= seconds:
                return
            coming.cancel()
        self._next_check = self._reactor.callLater(seconds, self._check)

    def _check(self) -> None:
        self._next_check = None
        now = self._reactor.seconds()
        looks = not self._onlooker.sees or now - self._looked_at >= SOURCE_SECONDS
        self._looked_at = now if looks else self._looked_at
        is_up = isinstance(self._pbx.state, Up)
        for grant in self._ours():
            # Without a connection only the site's own command can end somebody, and it is not tried all the time.
            tried = now - self._revoked_at.get(grant.id, float("-inf")) < RETRY_SECONDS
            if is_up or (self._has_other_way() and not tried):
                self._recheck(grant)
            if looks and is_up:
                self._under_way.begin(self._look(grant))
        self._check_within()

    async def _look(self, grant: Grant) -> None:
        """Ask the PBX itself where a spy is and who is on its call; one look at a time."""
        if grant.id in self._looking:
            return
        self._looking.add(grant.id)
        try:
            if await self._carriers.own(grant) is None and grant in self._ours():
                await self._look_for(grant)
            await self._look_at_source(grant)
            pressed_at = self._pressed.get(grant.id, float("inf"))
            if self._reactor.seconds() - pressed_at >= SOURCE_SECONDS and self._runs_chanspy(grant):
                # The key was lost on its way.
                await self._press(grant)
        finally:
            self._looking.discard(grant.id)

    def _agent_is_elsewhere(self, grant: Grant) -> bool:
        """Return whether the agent's channel lives on in another call than the one that the supervisor is on: after a
        take-over (AgentLogin), or when an agent has left a joined call."""
        if grant.mode is not Mode.TAKE_OVER and grant not in self._joined:
            return False
        own = self._pbx.bridge_of(grant.spyer_uniqueid)
        return own is not None and self._pbx.bridge_of(grant.spyee_uniqueid) != own

    def _protection(self, grant: Grant) -> Refusal | None:
        spyee = self._pbx.channel(grant.spyee_uniqueid)
        if spyee is None or self._agent_is_elsewhere(grant):
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

    def _talking_to(self, grant: Grant) -> frozenset[str] | None:
        """Who talks to the agent, without supervisors of ours; None while that is not known."""
        partners = self._pbx.partners_of(grant.spyee_uniqueid)
        if isinstance(partners, Stale):
            return None
        supervisors = {other.spyer_uniqueid for other in self._ours()}
        return frozenset(partner.uniqueid for partner in partners) - supervisors

    def _follow_party(self, grant: Grant, *, settled: bool = False) -> None:
        """End the spy with the conversation, or begin it again where another party is on the call.

        The agent's channel may outlive the customer: an agent who is logged in (AgentLogin), in a conference room or
        in a bridge of ARI. Who is alone there is not heard, and the next customer's call is a decision of its own.

        After a transfer by the customer ChanSpy goes on and gives the agent alone: Asterisk 22.10 drops what the new
        party says as long as its RTP numbers are lower than those of the party before. A barge stays with the party
        before (app_chanspy.c).
        """
        parties = self._talking_to(grant)
        if parties is None:
            return
        before, alone = self._parties.get(grant.id), self._alone.pop(grant.id, None)
        if alone is not None:
            alone.cancel()
        if not parties:
            if before:
                self._alone[grant.id] = self._reactor.callLater(ALONE_SECONDS, self._left_alone_on_the_line, grant)
            return
        if not settled and before and parties != before and all(map(self._is_local, parties)):
            # Of a call through a Local channel, a half may be there for a moment after the party is gone.
            self._alone[grant.id] = self._reactor.callLater(ALONE_SECONDS, self._left_alone_on_the_line, grant)
            return
        self._parties[grant.id] = parties
        if before is not None and parties != before:
            self._under_way.begin(self._look_at_source(grant))
        conversation = self._conversation.get(grant.id, frozenset())
        goes_on = grant in self.grants.granted() and not self._runs_chanspy(grant)
        if goes_on or not conversation or not parties.isdisjoint(conversation):
            self._conversation[grant.id] = conversation | parties
        only = self._only_party.get(grant.id)
        if len(parties) == 1:
            self._only_party[grant.id] = parties
        if before is not None and parties.isdisjoint(before) and grant in self.grants.adopted():
            self._under_way.begin(self._end(grant, OVER, ""))
        if before is None or grant not in self.grants.granted():
            return
        if parties.isdisjoint(before) or (len(parties) == 1 and only is not None and parties != only):
            self._press_end(grant, anew=parties.isdisjoint(before))

    def _left_alone_on_the_line(self, grant: Grant) -> None:
        self._alone.pop(grant.id, None)
        parties = self._talking_to(grant)
        if parties == frozenset():
            self._left_alone_for_certain(grant)
        elif parties is not None:
            self._follow_party(grant, settled=True)

    def _is_local(self, uniqueid: str) -> bool:
        channel = self._pbx.channel(uniqueid)
        return channel is not None and not isinstance(channel, Stale) and channel.name.startswith(LOCAL)

    def _left_alone_for_certain(self, grant: Grant) -> None:
        if grant in self.grants.adopted():
            self._under_way.begin(self._end(grant, OVER, ""))
        elif self._runs_chanspy(grant):
            self._over.add(grant.id)
            self._press_end(grant)

    def _runs_chanspy(self, grant: Grant) -> bool:
        joined = grant in self._joined or self._pbx.bridge_of(grant.spyer_uniqueid) is not None
        by_chanspy = grant.mode is not Mode.TAKE_OVER and not joined
        return by_chanspy and grant.id not in self._revoked and grant in self.grants.granted()

    def _press_end(self, grant: Grant, *, anew: bool | None = None) -> None:
        """Press the key that ends ChanSpy; its story asks why.

        Parameters:
            grant: whose.
            anew: the spy begins again, and whether with another conversation; None where it is over.
        """
        if not self._runs_chanspy(grant):
            return
        if anew is None:
            log.info("conversation_over", node=self._pbx.node, grant=grant.id)
        else:
            log.info("spy_begins_anew", node=self._pbx.node, grant=grant.id)
            self._anew[grant.id] = anew
        self._under_way.begin(self._press(grant))

    async def _press(self, grant: Grant) -> None:
        self._pressed[grant.id] = self._reactor.seconds()
        spyer = await confirmation.same(self._pbx, grant.spyer_uniqueid, grant.spyer)
        if spyer is not None:
            await self._pbx.press(spyer, chanspy.END_KEY)

    async def _look_at_source(self, grant: Grant) -> None:
        """Ask who is on the line with the agent: a protected phone, nobody, somebody else than before, or somebody
        of whom the picture knows nothing."""
        heard = await confirmation.same(self._pbx, grant.spyee_uniqueid, grant.spyee)
        with_agent = heard is not None and not self._agent_is_elsewhere(grant)
        if not with_agent and grant.mode in (Mode.BARGE, Mode.TAKE_OVER):
            # The supervisor may be on the call that the agent has left.
            heard = await self._carriers.own(grant)
        names = None if heard is None else await self._names_with(heard)
        if heard is None or names is None or grant not in self._ours():
            return
        number, behind = await self._number_with(heard), await self._behind(heard, names)
        peers = tuple(sorted(names | behind))
        channel = DeviceChannel(heard.name, heard.uniqueid, ChannelState.UP, peers, number=number)
        refusal = self._policy().protected.refusal(channel)
        if grant not in self._ours():
            return
        if refusal is not None:
            self._under_way.begin(self._end(grant, refusal.reason, ""))
        elif self._onlooker.sees:
            await self._compare(grant, heard, names, with_agent=with_agent)
        elif with_agent:
            self._follow_names(grant, behind)

    async def _compare(self, grant: Grant, heard: Confirmed, names: frozenset[str], *, with_agent: bool) -> None:
        """Compare the trusted picture with what the PBX said. Where it lacks somebody, the lists are asked for."""
        if not self._knows(heard, names):
            # The event may be on its way.
            await deferLater(self._reactor, ALONE_SECONDS)
            again = await self._names_with(heard)
            if again is None or grant not in self._ours():
                return
            names = again
            if not self._knows(heard, names):
                self._pbx.missed()
                return
        behind = await self._behind(heard, names)
        if with_agent and self._onlooker.sees and grant in self._ours():
            self._names_before[grant.id] = _devices(behind)
            self._only_local.pop(grant.id, None)

    def _knows(self, heard: Confirmed, names: frozenset[str]) -> bool:
        known = self._pbx.members_with(heard.uniqueid)
        return known is None or names <= known

    def _follow_names(self, grant: Grant, names: frozenset[str]) -> None:
        """While the picture is in doubt, end the spy with the conversation, or begin it again.

        Who is behind a Local channel is the party, so it is the same one when Asterisk takes that channel out of the
        way. One that leads to nobody says nothing for a moment; what stays is a party. Whom it leads to in the end is
        no other party than it was itself.
        """
        names, before = _devices(names), self._names_before.get(grant.id)
        if before and names.isdisjoint(before) and _are_local(names):
            since = self._only_local.setdefault(grant.id, self._reactor.seconds())
            if self._reactor.seconds() - since < ALONE_SECONDS:
                return
        self._only_local.pop(grant.id, None)
        self._names_before[grant.id] = names
        if not before or not names.isdisjoint(before) or grant.id in self._anew or grant.id in self._over:
            return
        if not names:
            self._left_alone_for_certain(grant)
        elif _are_local(before) and not _are_local(names):
            return
        elif grant in self.grants.adopted():
            self._under_way.begin(self._end(grant, OVER, ""))
        else:
            self._press_end(grant, anew=True)

    async def _names_with(self, heard: Confirmed) -> frozenset[str] | None:
        """Return who is in a bridge with a channel, without supervisors of ours; None where that cannot be read."""
        try:
            return self._named(await self._pbx.variable(heard.uniqueid, "BRIDGEPEER") or "")
        except ForgedAnswer:
            return None

    async def _behind(self, heard: Confirmed, names: frozenset[str]) -> frozenset[str]:
        """Return who talks to a channel, with each Local channel followed to whoever is behind it. One that leads to
        nobody, or to whom cannot be read, stays itself."""
        found: set[str] = set()
        ways = sorted(names)
        seen: set[str] = {heard.name}
        for way in ways:  # grows while it is walked
            other = other_half(way)
            if way in seen or other in seen:
                continue
            seen.add(way)
            behind: frozenset[str] = frozenset()
            if other is not None and len(seen) < MAX_CHANNELS:
                try:
                    behind = self._named(await self._pbx.variable_of(other, "BRIDGEPEER"))
                except ForgedAnswer:
                    log.debug("party_unreadable", node=self._pbx.node, way=way)
            if behind:
                ways += sorted(behind)
            else:
                found.add(way)
        return frozenset(found)

    def _named(self, peers: str) -> frozenset[str]:
        ours = {other.spyer for other in self._ours()}
        names = frozenset(peers.split(",")) - ours
        return frozenset(name for name in names if name and not name.startswith(INTERNAL))

    async def _number_with(self, heard: Confirmed) -> str:
        """Return the digits of the other party's number, where some are protected; none where it has a line break."""
        if not self._policy().protected.numbers:
            return ""
        try:
            return re.sub(r"[^0-9]", "", await self._pbx.variable(heard.uniqueid, "CONNECTEDLINE(num)") or "")
        except ForgedAnswer:
            return ""

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
        self._revoked_at[grant.id] = self._reactor.seconds()
        log.warning("spy_revoked", node=self._pbx.node, grant=grant.id, why=why, by=by)
        began = self._reactor.seconds()
        closing = self._closes_within(grant, KEY_SECONDS)
        told = self._telling[grant.id] = Deferred.fromCoroutine(self._silence(grant))
        # The record comes second, and nothing waits for the disk: what nobody may hear must fall silent.
        if by or self._on_record.get(grant.id) != why:
            # It may be tried again and again.
            self._on_record[grant.id] = why
            self._record(self._revocation(grant, why, by))
        is_closed = await closing
        has_stopped = self._stops.get(grant.spyer_uniqueid, began - 1.0) >= began
        has_story = grant in self.grants.granted()
        if not is_closed and (has_stopped or (has_story and grant.id in self._muted)):
            # Nothing is heard any more: the supervisor keeps the call, if the PBX or the story is only slow.
            is_closed = await self._closes_within(grant, CLOSE_SECONDS)
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
        bridge = self._pbx.bridge_of(carrier.uniqueid)
        if bridge is None and carrier.uniqueid == grant.spyer_uniqueid:
            bridge = self._joined.bridge_of(grant)
        steps = [
            self._step(grant, carrier, "mute out", self._pbx.mute(carrier, "out")),
            self._step(grant, carrier, "mute in", self._pbx.mute(carrier, "in")),
            self._step(grant, carrier, "press", self._pbx.press(carrier, chanspy.END_KEY))
            if bridge is None
            else self._step(grant, carrier, "remove", self._pbx.remove(carrier, bridge)),
        ]
        done = await DeferredList([Deferred.fromCoroutine(step) for step in steps], consumeErrors=True)
        if grant in self._ours() and all(success and worked for success, worked in done[:2]):
            self._muted.add(grant.id)

    async def _over_at_last(self, grant: Grant) -> None:
        """Make sure that a spy that was ended is over: its channel is gone, or its story says so. That no channel is
        found says nothing while the story goes on.

        Raises:
            ActionFailed: it goes on.
        """
        until = self._reactor.seconds() + OVER_SECONDS
        while grant in self._ours():
            carrier = await self._carriers.of(grant)
            if carrier is not None:
                await self._pbx.hang_up(carrier)
                await self._carriers.wait_until_gone(carrier.uniqueid)
                return
            if grant.id in self._hung_up or grant not in self.grants.granted():
                return
            if self._reactor.seconds() >= until:
                raise ActionFailed("Hangup", "nothing: no channel carries the spy, and its call is not over")
            await deferLater(self._reactor, LOOK_SECONDS)

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

    async def _step(self, grant: Grant, carrier: Confirmed, name: str, step: Coroutine[Any, Any, None]) -> bool:
        try:
            await step
        except AgiMonitorError as error:
            if self._pbx.channel(carrier.uniqueid) is not None:
                log.error("spy_not_silenced", node=self._pbx.node, grant=grant.id, step=name, error=str(error))
            return False
        return True

    async def _hang_up_revoked(self, grant: Grant) -> None:
        try:
            carrier = await self._carriers.of(grant)
            if carrier is not None:
                await self._pbx.hang_up(carrier)
                self._note_hung_up(grant)
        except AgiMonitorError:
            if await self._hang_up_otherwise(grant.spyer):
                return
            # It is on: the next list, or whoever says so again, tries it once more.
            self._revoked.pop(grant.id, None)
            raise

    # ---- the grant follows the phone, or ends ----------------------------------------------------------

    def _take_transfer(self, name: str, event: Message) -> None:
        """A transfer puts another phone into the place of the supervisor's, or brings one into a joined call: by way
        of a Local channel, in the supervisor's place, or by a merge of two calls (bridge.c).
        """
        sides = ("Transferer", "OrigTransferer", "SecondTransferer")
        transferers = {event.text(f"{side}Uniqueid") for side in sides}
        for grant in self._ours():
            if grant.spyer_uniqueid not in transferers:
                continue
            if grant in self._joined:
                if event.text("Result") == "Success":
                    self._joined.take_transfer(grant, name)
            elif name == "AttendedTransfer":
                guesses = (event.text("TransfereeUniqueid"), event.text("TransferTargetUniqueid"))
                self._transfers.begin(self._take_handed_over(grant, guesses), grant.id)

    async def _take_handed_over(self, grant: Grant, guesses: Iterable[str] = ()) -> None:
        """The supervisor's channel is gone and its spy may go on at another phone: that phone hears nothing.

        It may be handed on while it is looked for, so it is looked for until its story is over; after a moment with
        each look at the call.
        """
        await self._look_for(grant, guesses)
        self._under_way.begin(self._look_on(grant))

    async def _look_on(self, grant: Grant) -> None:
        """Look on for a moment, at growing distances: each look is a list of all channels."""
        for seconds in SEARCH_SECONDS:
            await deferLater(self._reactor, seconds)
            if grant not in self._ours():
                return
            await self._look_for(grant)

    async def _look_for(self, grant: Grant, guesses: Iterable[str] = ()) -> None:
        """Look once for the phone that a spy was handed to, and end it there."""
        try:
            moved = await self._carriers.moved(grant, guesses, has_story=grant not in self.grants.adopted())
            if moved is not None:
                await self._end_handed_over(grant, moved)
        except AgiMonitorError as error:
            # The next look, or the next list, asks again.
            log.warning("spy_watch_unanswered", node=self._pbx.node, error=str(error))

    async def _end_handed_over(self, grant: Grant, moved: Confirmed) -> None:
        if moved.uniqueid not in self._putting_out:
            await self._put_down(grant, moved)

    async def _put_down(self, grant: Grant, moved: Confirmed, *, again: bool = False) -> None:
        """Silence a phone that a spy was handed to, and hang it up. A story looks for it as long as it goes on; where
        there is none, it is tried again until its channel is gone."""
        self._putting_out[moved.uniqueid] = None
        is_gone = False
        try:
            if not again or await confirmation.same(self._pbx, moved.uniqueid, moved.name) is not None:
                await self._hang_up_moved(grant, moved, again=again)
            is_gone = await confirmation.same(self._pbx, moved.uniqueid, moved.name) is None
        finally:
            self._putting_out.pop(moved.uniqueid, None)
            if not is_gone and not self._stopping and grant not in self.grants.granted():
                look = self._reactor.callLater(SOURCE_SECONDS, self._put_down_again, grant, moved)
                self._putting_out[moved.uniqueid] = look
        if is_gone:
            self._note_hung_up(grant)
            for spy in self.grants.unproven():
                if spy.spyer_uniqueid == moved.uniqueid:
                    self.grants.dropped(spy)
            if grant not in self.grants.granted():
                # It may have been handed on before it was hung up: lists show to whom.
                self._pbx.missed()

    def _put_down_again(self, grant: Grant, moved: Confirmed) -> None:
        self._under_way.begin(self._put_down(grant, moved, again=True))

    async def _hang_up_moved(self, grant: Grant, moved: Confirmed, *, again: bool) -> None:
        log.error("spy_handed_over", node=self._pbx.node, grant=grant.id, to=moved.name)
        steps = [
            self._step(grant, moved, "mute out", self._pbx.mute(moved, "out")),
            self._step(grant, moved, "mute in", self._pbx.mute(moved, "in")),
            self._step(grant, moved, "hang up", self._pbx.hang_up(moved)),
        ]
        told = DeferredList([Deferred.fromCoroutine(step) for step in steps], consumeErrors=True)
        if not again:
            self._note_handed_over(grant, moved, told)
        await told

    def _note_hung_up(self, grant: Grant) -> None:
        if grant in self._ours():
            self._hung_up.add(grant.id)

    def _note_handed_over(self, grant: Grant, to: Confirmed, told: Deferred[Any] | None = None) -> None:
        """Put on record, once for each grant, to whom its call went."""
        if grant.id in self._handed_over:
            return
        if grant.id in self._begun:
            self._handed_over.add(grant.id)
            self._revoked.setdefault(grant.id, End.HANDED_OVER)
            if told is not None:
                self._telling[grant.id] = told
        self._record(
            SpyHandedOver(
                **self._common(grant),
                grant=grant.number,
                extension=grant.extension,
                to=to.name,
                to_uniqueid=to.uniqueid,
            )
        )

    def _begin_transfer(self, coroutine: Coroutine[Any, Any, None], about: str) -> None:
        self._transfers.begin(coroutine, about)

    async def _take_out(self, grant: Grant, stranger: Confirmed, bridge: BridgeId) -> None:
        await self._step(grant, stranger, "remove", self._pbx.remove(stranger, bridge))

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
        return spy in self._proving or spy.spyer_uniqueid in self._putting_out

    def _take_told_start(self, event: Message) -> None:
        now = self._reactor.seconds()
        self._note_heard(SpyHeard, self.grants.heard(event, now))
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
        if spy.spyer.startswith(NOTICE):
            for notice in self._notices.values():
                if notice.spyee_uniqueid == spy.spyee_uniqueid and not notice.begun.called:
                    notice.helper = spy.spyer_uniqueid
                    notice.begun.callback(None)
                    return
        if spy.spyer.startswith(HOOKS) and spy.spyer_uniqueid not in self._beeps and not self._stopping:
            left = max(0.0, BEEP_SECONDS - self._beeped(spy.spyee_uniqueid))
            look = self._reactor.callLater(left, self._beep_is_long, spy)
            self._beeps[spy.spyer_uniqueid] = look
        log.debug("spy_exempt", node=self._pbx.node, spyer=spy.spyer, why=spy.why)

    def _beeped(self, spyee_uniqueid: str) -> float:
        """Return for how many seconds beeps were played to a channel within the last minute."""
        since = self._reactor.seconds() - BEEPS_WITHIN_SECONDS
        return sum(seconds for at, seconds in self._beeped_at.get(spyee_uniqueid, ()) if at >= since)

    def _note_beep(self, spy: Spy) -> None:
        now = self._reactor.seconds()
        beeps = self._beeped_at.pop(spy.spyee_uniqueid, None)
        beeps = deque[tuple[float, float]](maxlen=MAX_BEEPS) if beeps is None else beeps
        beeps.append((now, now - spy.since))
        self._beeped_at[spy.spyee_uniqueid] = beeps
        while len(self._beeped_at) > MAX_SPIES or next(iter(self._beeped_at.values()))[-1][0] < now - (
            BEEPS_WITHIN_SECONDS
        ):
            del self._beeped_at[next(iter(self._beeped_at))]

    def _beep_is_long(self, spy: Spy) -> None:
        self._beeps.pop(spy.spyer_uniqueid, None)
        doubted = self.grants.doubted(spy)
        if doubted is not None:
            self._take_start(doubted)

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
            self._note_heard(SpySilent, grant)
            self._note_end(uniqueid)
            self._take_ends([spy for spy in [self.grants.stopped(event)] if spy is not None])
        elif not self._stopping and any(grant.spyer_uniqueid == uniqueid for grant in self._ours()):
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
        if any(grant.spyer_uniqueid == channel for grant in self._ours()):
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
        lost = [grant for grant in self._ours() if grant.spyer_uniqueid == uniqueid]
        names = {grant.spyer for grant in lost} | self.grants.names_of(uniqueid)
        if await self._is_there(uniqueid, names):
            self._pbx.contradicted("Hangup")
            return
        self._carriers.gone(uniqueid)
        for grant in lost:
            if grant in self.grants.adopted():
                # With its channel it is over for the list of spies: where it has gone to is asked before.
                await self._look_for(grant)
        self._note_end(uniqueid)
        self._take_ends(self.grants.gone(uniqueid))
        for why, first in list(self._ending.values()):
            if uniqueid in why and not first.called:
                first.callback(why[uniqueid])
        for grant in lost:
            if grant in self._ours():
                # Its story says in a moment that the supervisor has hung up, or its spy is at another phone.
                self._transfers.begin(self._take_handed_over(grant), grant.id)

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
            await self._end_handed_over(proven.grant, moved)
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
            self._begun.setdefault(proven.grant.id, self._reactor.seconds() - ago)
            heard = max(0.0, self._clock() - proven.grant.since)
            channels = proven.grant.spyer_uniqueid, proven.grant.spyee_uniqueid
            self._taken.setdefault(channels, self._reactor.seconds() - heard)
        settled = self.grants.proved(spy, kind, None if proven is None else proven.grant, why)
        if settled is not None and self._policy().rights.depend_on_listeners:
            # It may have begun before some of ours, by the grant of another server.
            self._recheck_call(settled.spyee_uniqueid if settled.grant is None else settled.grant.spyee_uniqueid)
        if kind is Kind.ROGUE:
            await self._take_rogue(settled or replace(spy, why=why))
            if settled is None:
                # Its end came before it was known to be rogue.
                self._take_rogues_end(spy, "")
        elif kind is Kind.ADOPTED and proven is not None:
            if settled is not None:
                await self._take_orphan(proven.grant)
            elif proven.grant not in self._ours():
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
        self._follow_party(grant)
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
            if spy.spyer_uniqueid in self._beeps:
                self._beeps.pop(spy.spyer_uniqueid).cancel()
                self._note_beep(spy)
            if spy.spyer.startswith(NOTICE):
                self._take_notices_end(spy)
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
        if why is End.SUPERVISOR_HUNG_UP and grant.id not in self._phone_hung_up:
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
        why = End.HANDED_OVER if grant.id in self._handed_over else why
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
        self._taken.pop((grant.spyer_uniqueid, grant.spyee_uniqueid), None)

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
        if isinstance(failure.value, (Disconnected, NoAnswer)):
            log.warning("spy_watch_unanswered", node=self._pbx.node, error=str(failure.value))
            return
        expected = isinstance(failure.value, AgiMonitorError)
        error = str(failure.value) if expected else failure.getTraceback()
        log.error("spy_watch_failed", node=self._pbx.node, error=error)

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock(), UTC)


def _are_local(names: frozenset[str]) -> bool:
    return bool(names) and all(name.startswith(LOCAL) for name in names)


def _devices(names: frozenset[str]) -> frozenset[str]:
    """Return those of several names that say who talks; all where none of them does."""
    return frozenset(name for name in names if not name.startswith(LOCAL)) or names
