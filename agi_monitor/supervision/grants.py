"""Grants that are on now, compared with what the PBX says is heard: what is heard without a grant is rogue.

::

    the story of a call   opened(grant) ............................ closed(grant)
    the PBX                       ChanSpyStart ... ChanSpyStop, Hangup
    and at every list                    channels that run an application that spies

Events and stories come over different connections, in any order: a start that comes late is also compared with the
grants that were closed a moment ago before their own start was seen; each explains one. A start without a stop ends
with the hang-up of either party, or with a list in which it no longer spies.

``now`` is in seconds on a monotonic clock: a change of the time of day must not make a grant last. ``at`` is
that moment in seconds since 1970, by which the rules count; it is ``now`` when not given.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from agi_monitor.live.headers import Headers, text
from agi_monitor.names import endpoint_of
from agi_monitor.supervision.exemptions import EXCEPTED, HOOKS, NOTICE, TELLS, TEST_AGENT, TEST_SUPERVISOR
from agi_monitor.supervision.grant import Grant, Place
from agi_monitor.supervision.listeners import Listeners
from agi_monitor.supervision.spies import SETTLED, Listed, Spy, SpyKind
from agi_monitor.supervision.spying_applications import OUR_CONTEXTS, is_spying, spied_on

LATE_SECONDS = 10.0
"""How long after its end a grant still explains its start, if that has not come yet."""

UNTOLD_SECONDS = 2.0
"""How much older than a list a beginning is that will no longer be told: what is told comes in the order in
which it was made, but for a moment (see ``live.index.SETTLE_SECONDS``)."""

MAX_SPIES = 10_000
"""Spies of others that are kept. Each is a channel, and more than that a PBX does not carry."""


class Grants:
    """Who hears whom on one PBX, and by what right.

    Parameters:
        exceptions: devices that may spy without a grant.
    """

    def __init__(self, exceptions: Iterable[str] = ()) -> None:
        self.exceptions = frozenset(exceptions)
        self._open: dict[str, Grant] = {}
        self._since: dict[str, float] = {}
        self._expected: set[str] = set()
        """The open grants whose starts have not come."""
        self._by_spyer: dict[str, Grant] = {}
        self._closed: deque[tuple[float, tuple[str, str]]] = deque()
        self._last: dict[str, tuple[float, Grant]] = {}
        """By spyer, the grant that was closed last, and when."""
        self._told: dict[str, tuple[float, Grant]] = {}
        """By spyer, the grant whose beginning the PBX has told, and not its end; and when."""
        self._observed: dict[str, Spy] = {}
        self._notices: Counter[str] = Counter()
        self._listeners = Listeners()

    # ---- what the story of a call tells ----------------------------------------------------------------

    def opened(self, grant: Grant, now: float, *, by_chanspy: bool = True) -> None:
        """A grant begins; its record is on disk.

        Parameters:
            grant: the grant.
            now: on the clock of all of these.
            by_chanspy: its application is ChanSpy, so that a start of it will come.
        """
        before = self._observed.get(grant.spyer_uniqueid)
        if before is not None and before.idle:
            # A list took this supervisor, at a prompt until now, for one who spies.
            del self._observed[before.spyer_uniqueid]
        self._open[grant.id] = self._by_spyer[grant.spyer_uniqueid] = grant
        self._since[grant.id] = now
        if by_chanspy:
            self._expected.add(grant.id)

    def closed(
        self,
        grant: Grant,
        now: float,
        at: float | None = None,
        heard: float = 0.0,
        parties: frozenset[str] = frozenset(),
    ) -> None:
        """It is over.

        Parameters:
            grant: the grant.
            now: on the clock of all of these.
            at: in seconds since 1970.
            heard: for how many seconds the call was heard, by the clock of ``now``.
            parties: the channels that talked to the agent in that conversation; none where that is not known.
        """
        self._open.pop(grant.id, None)
        self._since.pop(grant.id, None)
        if self._by_spyer.get(grant.spyer_uniqueid) == grant:
            del self._by_spyer[grant.spyer_uniqueid]
        if grant.id in self._expected:
            self._expected.discard(grant.id)
            self._closed.append((now, (grant.spyer_uniqueid, grant.spyee_uniqueid)))
        self._last.pop(grant.spyer_uniqueid, None)
        self._last[grant.spyer_uniqueid] = (now, grant)
        self._forget(now)
        self._listeners.note(grant, parties, now, max(heard, (now if at is None else at) - grant.since))

    def place_taken(self, place: Place) -> None:
        """A supervisor is about to hear a call, and counts until the place is left."""
        self._listeners.take(place)

    def place_left(self, place: Place) -> None:
        """The supervisor counts no longer."""
        self._listeners.leave(place)

    def left_alone(self, grant: Grant, now: float, *, in_bridge: bool = False) -> None:
        """Its story is over, and the spy continues.

        Parameters:
            grant: the grant.
            now: on the clock of all of these.
            in_bridge: the supervisor has joined the call or taken it over.
        """
        self._observed[grant.spyer_uniqueid] = Spy(
            SpyKind.ADOPTED,
            grant.spyer,
            grant.spyer_uniqueid,
            grant.spyee,
            grant.spyee_uniqueid,
            now,
            grant,
            in_bridge=in_bridge,
        )

    def notice_expected(self, spyee_uniqueid: str) -> None:
        """Our helper is about to tell this channel's agent."""
        self._notices[spyee_uniqueid] += 1

    def notice_over(self, spyee_uniqueid: str, now: float) -> None:
        """It is no longer awaited; a helper that is on its way may still begin."""
        self._notices[spyee_uniqueid] -= 1
        self._notices = +self._notices
        self._closed.append((now, (NOTICE, spyee_uniqueid)))
        self._forget(now)

    # ---- what the PBX tells ----------------------------------------------------------------------------

    def heard(self, event: Headers, now: float) -> Grant | None:
        """Return the grant that a ChanSpyStart is the beginning of: one that is open, or was a moment ago."""
        spyer, spyee = text(event, "SpyerUniqueid"), text(event, "SpyeeUniqueid")
        self._forget(now)
        grant = self._by_spyer.get(spyer)
        if grant is None and spyer in self._last and self._was_closed(spyer, spyee, now):
            grant = self._last[spyer][1]
        if grant is None or grant.spyee_uniqueid != spyee:
            return None
        self._told[spyer] = now, grant
        return grant

    def silent(self, event: Headers) -> Grant | None:
        """Return the grant that a ChanSpyStop is the end of, when its beginning was told."""
        spyer = text(event, "SpyerUniqueid")
        _, grant = self._told.get(spyer, (0.0, None))
        if grant is None or text(event, "SpyeeUniqueid") not in ("", grant.spyee_uniqueid):
            return None
        del self._told[spyer]
        return grant

    def not_silent(self, grant: Grant, now: float) -> None:
        """Take back what ``silent`` has taken in: it was not so."""
        self._told.setdefault(grant.spyer_uniqueid, (now, grant))

    def started(self, event: Headers, now: float, at: float | None = None) -> Spy | None:
        """Take in a ChanSpyStart.

        Returns:
            None when a grant explains it, or it is known. Otherwise the spy: ``UNPROVEN`` is to be settled by
            ``proved``.
        """
        spyer, spyer_uniqueid = text(event, "SpyerChannel"), text(event, "SpyerUniqueid")
        spyee, spyee_uniqueid = text(event, "SpyeeChannel"), text(event, "SpyeeUniqueid")
        if not spyer_uniqueid:
            return None
        if self._take_late(spyer_uniqueid, spyee_uniqueid, now):
            return None
        grant = self._by_spyer.get(spyer_uniqueid)
        if grant is not None and grant.spyee_uniqueid == spyee_uniqueid:
            self._expected.discard(grant.id)
            return None
        known = self._observed.get(spyer_uniqueid)
        settled = known is not None and (not known.idle or known.kind in SETTLED)
        if known is not None and settled and known.spyer == spyer and known.spyee_uniqueid in ("", spyee_uniqueid):
            # A list was faster than the event.
            return None
        kind, why = SpyKind.UNPROVEN, ""
        if grant is not None:
            kind, why = SpyKind.ROGUE, "another channel than the one that was granted"
        elif exempt := self._exempt(spyer, text(event, "SpyeeChannel"), spyee_uniqueid, now):
            kind, why = SpyKind.EXEMPT, exempt
        at = now if at is None else at
        return self._keep(Spy(kind, spyer, spyer_uniqueid, spyee, spyee_uniqueid, now, None, why, at=at))

    def contradicts(self, event: Headers, now: float) -> bool:
        """Return whether a ChanSpyStart tells of a channel whose right is settled that it hears another one: only the
        channel itself can say that. One that comes late is explained by a grant that is over."""
        spyer, spyee = text(event, "SpyerUniqueid"), text(event, "SpyeeUniqueid")
        if self._was_closed(spyer, spyee, now):
            return False
        granted, known = self._by_spyer.get(spyer), self._observed.get(spyer)
        if granted is not None:
            return granted.spyee_uniqueid != spyee
        return known is not None and known.kind in SETTLED and known.spyee_uniqueid not in ("", spyee)

    def stopped(self, event: Headers) -> Spy | None:
        """Take in a ChanSpyStop. Returns the spy of others that has ended."""
        spy = self._observed.get(text(event, "SpyerUniqueid"))
        spyee_uniqueid = text(event, "SpyeeUniqueid")
        if spy is None or (spy.spyee_uniqueid and spyee_uniqueid and spy.spyee_uniqueid != spyee_uniqueid):
            return None
        return self._observed.pop(spy.spyer_uniqueid)

    def gone(self, uniqueid: str) -> tuple[Spy, ...]:
        """A channel is hung up, and with it ends every spy from it or on it. Who is in a bridge stays there."""
        ended = [spy for spy in self._observed.values() if _ends_with(spy, uniqueid)]
        for spy in ended:
            del self._observed[spy.spyer_uniqueid]
        self._told.pop(uniqueid, None)
        return tuple(ended)

    def is_told(self, event: Headers) -> bool:
        """Return whether an event is about a grant whose beginning the PBX has told, and not its end."""
        return text(event, "SpyerUniqueid") in self._told

    def is_known(self, spyer_uniqueid: str) -> bool:
        """Return whether a spy without a grant of a story is known on a channel."""
        return spyer_uniqueid in self._observed

    def granted_to(self, spyer_uniqueid: str) -> Grant | None:
        """Return the open grant of a channel."""
        return self._by_spyer.get(spyer_uniqueid)

    def names_of(self, uniqueid: str) -> set[str]:
        """Return the names under which a channel hears another, or is heard without a grant of a story."""
        found = {spy.spyer for spy in self._observed.values() if spy.spyer_uniqueid == uniqueid}
        return found | {spy.spyee for spy in self._observed.values() if spy.spyee_uniqueid == uniqueid and spy.spyee}

    def has_grant(self, spyer_uniqueid: str) -> bool:
        """Return whether a channel has a grant that is on, of this server or another one."""
        known = self._observed.get(spyer_uniqueid)
        return spyer_uniqueid in self._by_spyer or (known is not None and known.grant is not None)

    def concerns(self, uniqueid: str) -> bool:
        """Return whether a channel hears another, or is heard without a grant of a story."""
        known = uniqueid in self._by_spyer or uniqueid in self._told or uniqueid in self._observed
        return known or any(_ends_with(spy, uniqueid) for spy in self._observed.values())

    def doubted(self, spy: Spy, why: str = "") -> Spy | None:
        """Take back that a spy is exempt. Returns it as one that is to be proved; None when it has ended.

        Parameters:
            spy: the spy.
            why: by what it may be exempt all the same, once the PBX says so; empty for nothing.
        """
        if self._observed.get(spy.spyer_uniqueid) != spy:
            return None
        return self._keep(replace(spy, kind=SpyKind.UNPROVEN, why=why))

    def listed(
        self,
        channels: Sequence[Headers],
        asked_at: float,
        now: float,
        at: float | None = None,
        *,
        whole: bool = True,
    ) -> Listed:
        """Take in the items of CoreShowChannels: what was missed while there was no connection.

        Parameters:
            channels: the items.
            asked_at: when they were asked for; what began later may be missing in them.
            now: on the same clock.
            at: in seconds since 1970.
            whole: these are all; otherwise nothing has ended because it is not among them.
        """
        at = now if at is None else at
        spying = {text(item, "Uniqueid"): item for item in channels if is_spying(item)}
        names = {text(item, "Uniqueid"): text(item, "Channel") for item in channels}
        ended = self._no_longer_listed(spying, names, asked_at) if whole else ()
        ended += self._under_another_name(names, asked_at)
        if whole:
            self._forget_untold(asked_at - UNTOLD_SECONDS)
            self._expected = {one for one in self._expected if self._since[one] >= asked_at - UNTOLD_SECONDS}
        found = []
        for uniqueid, item in spying.items():
            if not uniqueid or uniqueid in self._by_spyer or uniqueid in self._observed:
                continue
            spyer, spyee_uniqueid = text(item, "Channel"), spied_on(item, names)
            if item.get("Context") in (None, *OUR_CONTEXTS) and (
                self._was_closed(uniqueid, spyee_uniqueid, now) or self._was_open(uniqueid, asked_at)
            ):
                # It still names the application that is over, or the list is older than that end.
                continue
            exempt = self._exempt(spyer, names.get(spyee_uniqueid, ""), spyee_uniqueid, now)
            kind = SpyKind.EXEMPT if exempt else SpyKind.UNPROVEN
            spyee = names.get(spyee_uniqueid, "")
            idle = item.get("Context") in OUR_CONTEXTS
            spy = Spy(
                kind, spyer, uniqueid, spyee, spyee_uniqueid, now, None, exempt, idle, now if at is None else at
            )
            found.append(self._keep(spy))
        return Listed(tuple(found), ended)

    def _no_longer_listed(
        self, spying: Collection[str], channels: Collection[str], asked_at: float
    ) -> tuple[Spy, ...]:
        ended = tuple(
            spy for spy in self._observed.values() if spy.since < asked_at and spy.spyer_uniqueid not in spying
        )
        for spy in ended:
            del self._observed[spy.spyer_uniqueid]
        self._told = {spyer: told for spyer, told in self._told.items() if spyer in channels or told[0] >= asked_at}
        self._listeners.forget(channels, asked_at)
        return ended

    def _under_another_name(self, names: Mapping[str, str], asked_at: float) -> tuple[Spy, ...]:
        """Forget the spies whose uniqueids are now other channels', because they were used again: no right goes with
        it. Where an adopted one has gone to is asked by its proof."""
        others = tuple(
            spy
            for spy in self._observed.values()
            if spy.kind is not SpyKind.ADOPTED and spy.since < asked_at
            if names.get(spy.spyer_uniqueid, spy.spyer) != spy.spyer
        )
        for spy in others:
            del self._observed[spy.spyer_uniqueid]
        # One that is still to be proved had no right yet, and is found again.
        return tuple(spy for spy in others if spy.kind is not SpyKind.UNPROVEN)

    def connected(self) -> None:
        """A connection is made: what began before it, and is over, will no longer be told."""
        self._forget_untold(math.inf)

    def _forget_untold(self, before: float) -> None:
        """Forget the grants that are over and whose starts have not come: they were missed. A helper that is to tell
        an agent may really begin later."""
        self._closed = deque(one for one in self._closed if one[0] >= before or one[1][0] == NOTICE)

    def dropped(self, spy: Spy) -> None:
        """It is not a spy, or no longer one."""
        if self._observed.get(spy.spyer_uniqueid) == spy:
            del self._observed[spy.spyer_uniqueid]

    def called(self, spy: Spy, name: str, now: float) -> Spy | None:
        """The PBX says that an ``UNPROVEN`` spy has a name other than an event, or a list, has said. Returns it
        with that name, and with what it is exempt by under it; None when it has ended meanwhile.

        Parameters:
            spy: the spy.
            name: of its channel.
            now: on the clock of all of these.
        """
        if self._observed.get(spy.spyer_uniqueid) != spy:
            return None
        return self._keep(replace(spy, spyer=name, why=self._exempt(name, spy.spyee, spy.spyee_uniqueid, now)))

    def suspected(self, spy: Spy) -> Spy | None:
        """It was taken for a supervisor at a prompt. Returns it as one that is to be proved; None where its channel
        already has a right."""
        if spy.spyer_uniqueid in self._by_spyer or spy.spyer_uniqueid in self._observed:
            return None
        return self._keep(replace(spy, kind=SpyKind.UNPROVEN))

    def proved(self, spy: Spy, kind: SpyKind, grant: Grant | None, why: str = "") -> Spy | None:
        """Settle an ``UNPROVEN`` spy. Returns it as it is now; None when it has ended meanwhile."""
        if self._observed.get(spy.spyer_uniqueid) != spy:
            return None
        return self._keep(replace(spy, kind=kind, grant=grant, why=why))

    # ---- what is asked ---------------------------------------------------------------------------------

    def granted(self) -> tuple[Grant, ...]:
        """Return the grants of this server whose stories are on."""
        return tuple(self._open.values())

    def adopted(self) -> tuple[Grant, ...]:
        """Return the grants of an earlier run of this server that are still on."""
        return tuple(spy.grant for spy in self._observed.values() if spy.kind is SpyKind.ADOPTED and spy.grant)

    def no_longer_exempt(self) -> None:
        """Doubt the spies of devices that the configuration no longer excepts."""
        for spy in list(self._observed.values()):
            if spy.why == EXCEPTED and endpoint_of(spy.spyer) not in self.exceptions:
                self._observed[spy.spyer_uniqueid] = replace(spy, kind=SpyKind.UNPROVEN, why="")

    def rogues(self) -> tuple[Spy, ...]:
        """Return the spies without a grant."""
        return tuple(spy for spy in self._observed.values() if spy.kind is SpyKind.ROGUE)

    def unproven(self) -> tuple[Spy, ...]:
        """Return the spies whose channels have not said yet what right they have."""
        return tuple(spy for spy in self._observed.values() if spy.kind is SpyKind.UNPROVEN)

    def of_others(self) -> tuple[Spy, ...]:
        """Return the spies by grants of other servers."""
        return tuple(spy for spy in self._observed.values() if spy.kind is SpyKind.OTHERS)

    def spies(self) -> tuple[Spy, ...]:
        """Return all spies, in the order of their beginning."""
        ours = [
            Spy(SpyKind.GRANTED, one.spyer, one.spyer_uniqueid, one.spyee, one.spyee_uniqueid, self._since[name], one)
            for name, one in self._open.items()
        ]
        return tuple(sorted([*ours, *self._observed.values()], key=lambda spy: spy.since))

    def listeners(self, place: Place, call: frozenset[str], *, begins: bool) -> int:
        """Count who else hears a call, by whatever right or none.

        Parameters:
            place: the one that is not counted.
            call: the channels of the call.
            begins: whether all count; otherwise those who were there before.
        """
        return self._listeners.count(place, call, self._observed.values(), begins=begins)

    def heard_since(self, supervisor: str, call: frozenset[str], now: float) -> float:
        """Return since when a supervisor hears a call, with what was heard of it before counted in; or now.

        Parameters:
            supervisor: the id of the supervisor.
            call: the channels of the call.
            now: seconds since 1970.
        """
        return self._listeners.heard_since(supervisor, call, self._observed.values(), now)

    def find(self, identifier: str) -> Spy | None:
        """Return the spy that is called so."""
        return next((spy for spy in self.spies() if spy.id == identifier), None)

    # ---- inside ----------------------------------------------------------------------------------------

    def _exempt(self, spyer: str, spyee: str, spyee_uniqueid: str, now: float) -> str:
        if spyer.startswith(HOOKS):
            return "a beep of Asterisk's own"
        if spyer.startswith(NOTICE) and (
            self._notices[spyee_uniqueid] > 0 or self._was_closed(NOTICE, spyee_uniqueid, now)
        ):
            return TELLS
        if spyer.startswith(TEST_SUPERVISOR) and spyee.startswith(TEST_AGENT):
            return "a test call of the doctor"
        if endpoint_of(spyer) in self.exceptions:
            return EXCEPTED
        return ""

    def _take_late(self, spyer_uniqueid: str, spyee_uniqueid: str, now: float) -> bool:
        """Whether it is the start of a grant that is over; another one is explained by another grant only."""
        self._forget(now)
        for closed in self._closed:
            if closed[1] == (spyer_uniqueid, spyee_uniqueid):
                self._closed.remove(closed)
                return True
        return False

    def _was_closed(self, spyer_uniqueid: str, spyee_uniqueid: str, now: float) -> bool:
        self._forget(now)
        return any(pair == (spyer_uniqueid, spyee_uniqueid) for _, pair in self._closed)

    def _was_open(self, spyer_uniqueid: str, asked_at: float) -> bool:
        """Return whether a channel's grant ended after a list was asked for."""
        return spyer_uniqueid in self._last and self._last[spyer_uniqueid][0] >= asked_at

    def _forget(self, now: float) -> None:
        while self._closed and (len(self._closed) > MAX_SPIES or self._closed[0][0] < now - LATE_SECONDS):
            self._closed.popleft()
        while self._last:
            spyer, (at, _) = next(iter(self._last.items()))
            if at >= now - LATE_SECONDS and len(self._last) <= MAX_SPIES:
                break
            del self._last[spyer]

    def _keep(self, spy: Spy) -> Spy:
        if len(self._observed) < MAX_SPIES or spy.spyer_uniqueid in self._observed:
            self._observed[spy.spyer_uniqueid] = spy
        return spy


def _ends_with(spy: Spy, uniqueid: str) -> bool:
    """Return whether a spy is over when a channel is gone."""
    return uniqueid == spy.spyer_uniqueid or (uniqueid == spy.spyee_uniqueid and not spy.in_bridge)
