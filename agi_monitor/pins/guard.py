"""Verify a PIN, count attempts, lock out.

An attempt is counted *before* the PIN is looked at, and only a right one takes the count back. So fifty calls
at once, on however many servers, get no more tries than one call does.

Until a counted attempt is settled it looks like a wrong one, and at the start of a shift everyone keys in a PIN at
once. So attempts come one after the other: few are counted at the same time, and who would be refused only because
of attempts that are not settled yet waits for them and looks again. A wait never looks at a PIN: it is the same as
calling a little later.

The time of day is set by people and by the network, so no permission goes by it alone: a second clock, which only
runs forward, stands beside it, and whatever ends first by either of them is over.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol, TypeVar

import structlog

from agi_monitor.model import Locked, PinDue, Reason, Refusal, Supervisor
from agi_monitor.names import peer_name
from agi_monitor.pins import lock_outs
from agi_monitor.pins.costs import Cost, cost_of, with_one_more
from agi_monitor.pins.lock_outs import MAX_STRANGERS, Limit, Limits, LockOutStore
from agi_monitor.pins.records import PinRecord, PinStore, is_old, look, make_hash, matches
from agi_monitor.pins.rules import PinRules
from agi_monitor.pins.waiting import Progress, Turns, Wait

RENEWED = "agi-monitor"
"""Who hashes a PIN again, for the audit."""

CLOCK_SECONDS = 1.0
"""By less than this the two clocks always differ: the network keeps the time of day right in small steps."""

MAX_SEEN = 4 * MAX_STRANGERS
"""Names whose lock-outs are known to last although the clock was set; the oldest is forgotten."""

AT_ONCE = 2
"""How many attempts are counted and not settled at the same time, on one server: as many as are hashed at once."""

FUTURE_SECONDS = 86_400.0
"""A PIN that was made further in the future than this was made by a wrong clock, and its age is not known."""

Result = TypeVar("Result")

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class PinPolicy:
    """What the site wants of PINs.

    Parameters:
        attempts: tries in one call.
        limits: wrong PINs in a row, over all calls, before a lock-out.
        remember_seconds: how long a correct PIN counts for the same endpoint; 0 asks every time.
        rules: what a new PIN must be.
        max_age: seconds after which a PIN must be changed; None for never.
        costs: of the records of all supervisors; each check takes the work of all of them.
        seconds: of silence after which what was keyed in counts as the PIN; ``#`` ends it at once.
    """

    attempts: int
    limits: Limits
    remember_seconds: float = 0.0
    rules: PinRules = field(default_factory=PinRules)
    max_age: float | None = None
    costs: frozenset[Cost] = frozenset()
    seconds: float = 8.0

    def due(self, record: PinRecord, now: float) -> PinDue | None:
        """Return why a PIN has to be changed, or None. One of an unknown age counts as too old."""
        if record.must_change:
            return PinDue.ASKED
        if self.max_age is None:
            return None
        if record.made is None or not -FUTURE_SECONDS <= now - record.made < self.max_age:
            return PinDue.EXPIRED
        return None


@dataclass(frozen=True, slots=True)
class Claim:
    """Who claims to be calling.

    Parameters:
        supervisor: whose phone it is; None if it is not assigned.
        endpoint: the phone.
        peer: the address of the PBX.
        is_named: whether they have said who they are, on a phone that is assigned to no supervisor. A PIN is not
            remembered there: the number of another supervisor is not a secret.
        stranger: what an unknown number is counted under, from ``PinGuard.stranger``; empty for none.
    """

    supervisor: Supervisor | None
    endpoint: str
    peer: str
    is_named: bool = False
    stranger: str = ""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try that is on record, so that its PIN may be looked at.

    Parameters:
        claim: who tries.
        locks: what it locks unless the PIN is right, each until when (seconds since 1970).
    """

    claim: Claim
    locks: Mapping[Locked, float]


class InThread(Protocol):
    """Run a blocking function elsewhere and await its result."""

    async def __call__(self, function: Callable[[], Result], /) -> Result:
        """Return what the function returns, raise what it raises."""
        ...


@dataclass(frozen=True, slots=True)
class _Moment:
    """When something was, by both clocks.

    Parameters:
        wall: seconds since 1970; anyone may set them.
        running: seconds of a clock that only runs forward.
    """

    wall: float
    running: float

    def over(self, seconds: float, now: _Moment) -> bool:
        """Return whether this many seconds have passed since, by either clock."""
        return now.wall - self.wall >= seconds or now.running - self.running >= seconds


@dataclass(frozen=True, slots=True)
class _Seen:
    """What is on record under a name, and when this server saw it first."""

    row: lock_outs.LockOut
    at: _Moment


def _moved(row: lock_outs.LockOut, seen: _Seen | None, now: _Moment) -> lock_outs.LockOut:
    """A lock-out as it would have been set by the clock of now."""
    if seen is None or seen.row != row:
        return row
    ahead = (now.wall - seen.at.wall) - (now.running - seen.at.running)
    if ahead <= CLOCK_SECONDS:
        # Also a clock that was set back: the lock-out lasts longer by as much, unless it is ended by command.
        return row
    return replace(row, last=row.last + ahead, until=row.until + ahead if row.until else 0.0)


class PinGuard:
    """Counts attempts, looks at PINs, and knows who is locked out.

    Parameters:
        policy: what the site wants.
        store: where lock-outs are.
        clock: seconds since 1970.
        seconds: of a clock that only runs forward.
        hashing: runs argon2.
        storing: runs what reads and writes the store.
        new_wait: makes a wait for calls that have to wait for others.
        records: where PINs are kept; None when they stand in the configuration, and can be changed there only.
    """

    def __init__(
        self,
        policy: PinPolicy,
        store: LockOutStore,
        clock: Callable[[], float],
        seconds: Callable[[], float],
        hashing: InThread,
        storing: InThread,
        new_wait: Callable[[], Wait],
        records: PinStore | None = None,
    ) -> None:
        self.policy = policy
        self._store = store
        self._clock = clock
        self._seconds = seconds
        self._hashing = hashing
        self._storing = storing
        self._records = records
        self._start = self._now()
        self._turns = Turns(AT_ONCE, new_wait)
        self._settled = Progress(new_wait)
        self._unsettled: list[Attempt] = []
        """Counted, and it is not known yet whether the PIN is right."""
        self._seen: dict[str, _Seen] = {}
        self._remembered: dict[tuple[str, str | None, str, str], _Moment] = {}
        self._made: tuple[PinPolicy, frozenset[Cost]] = (policy, policy.costs)
        """The costs of the policy, and of records that are newer than it."""
        self._stranger_key = secrets.token_bytes(32)
        self._told: set[str] = set()
        """Supervisors whose old records are logged already."""

    def _now(self) -> _Moment:
        return _Moment(self._clock(), self._seconds())

    def _latest(self) -> float:
        """Seconds since 1970, as late as it can be: a clock that was set back makes nothing younger."""
        return max(self._clock(), self._start.wall + self._seconds() - self._start.running)

    @property
    def changeable(self) -> bool:
        """Whether a supervisor can change the PIN by phone."""
        return self._records is not None

    def stranger(self, number: str) -> str:
        """Return what an unknown number is counted under: wrong PINs lock it on every phone, as they lock a
        supervisor. Otherwise the lock-out would reveal whose numbers are supervisors'.

        The digits may be a PIN, so they are not to be found out from this: its key is in the memory of this process.

        Parameters:
            number: what was keyed in.
        """
        return "?" + hashlib.blake2b(number.encode(), key=self._stranger_key, digest_size=16).hexdigest()

    # ---- attempts --------------------------------------------------------------------------------------

    async def locked(self, claim: Claim) -> Mapping[Locked, float]:
        """Return what is locked out now, each until when (seconds since 1970); nothing is counted.

        Waits for attempts that are not settled yet, if one of them may take a lock-out back.

        Raises:
            StateUnavailable: that is not known.
        """
        limits = self._limits(claim)
        while True:
            settled, now = self._settled.number, self._now()
            found = lock_outs.locked(await self._on_record(list(limits), now), now.wall)
            if not found or not await self._look_again(found, limits, settled):
                return found

    async def count(self, claim: Claim) -> Attempt | Refusal:
        """Put an attempt on record, before anyone looks at its PIN. ``look`` has to follow at once.

        Waits for its turn, and for attempts that are not settled yet where one of them may take a lock-out back.

        Raises:
            StateUnavailable: it is not on record, so its PIN may not be looked at.
        """
        await self._turns.take()
        attempt: Attempt | Refusal | None = None
        try:
            attempt = await self._counted(claim)
        finally:
            if not isinstance(attempt, Attempt):
                self._turns.leave()
        return attempt

    async def _counted(self, claim: Claim) -> Attempt | Refusal:
        limits = self._limits(claim)
        while True:
            settled, now = self._settled.number, self._now()
            before = await self._on_record(list(limits), now, limits)
            found = lock_outs.locked(before, now.wall)
            if not found:
                attempt = Attempt(claim, lock_outs.locked(lock_outs.counted(before, limits, now.wall), now.wall))
                self._unsettled.append(attempt)
                return attempt
            if not await self._look_again(found, limits, settled):
                return Refusal(Reason.PIN_LOCKED)

    async def _look_again(self, found: Mapping[Locked, float], limits: Mapping[str, Limit], settled: int) -> bool:
        """Return whether a lock-out may be gone, after waiting for the attempts that may take it back.

        Parameters:
            found: what is locked.
            limits: the names that were looked up.
            settled: how many attempts had been settled before that.
        """
        if self._settled.number != settled:
            # One was settled while the store was read: what was read may be from before.
            return True
        names = {name for name in limits if lock_outs.kind_of(name) in found}
        if all(names.isdisjoint(self._limits(attempt.claim)) for attempt in self._unsettled):
            return False
        await self._settled.next()
        return True

    async def look(self, attempt: Attempt, digits: str) -> PinRecord | None:
        """Check the PIN of an attempt that is on record. A correct one takes back what was counted.

        Returns:
            The record of a correct PIN, None for a wrong one.

        Raises:
            StateUnavailable: the record is not known, or the count could not be taken back.
        """
        try:
            return await self._look(attempt.claim, digits)
        finally:
            self._unsettled.remove(attempt)
            self._turns.leave()
            self._settled.made()

    async def _look(self, claim: Claim, digits: str) -> PinRecord | None:
        record = await self._record(claim)
        pin_hash = None if claim.supervisor is None else record.hash
        costs = self._costs()
        own = cost_of(pin_hash)
        if own is not None and own not in costs:
            # There are as many kinds as may be: it counts as none.
            log.error("pin_record_refused", supervisor="" if claim.supervisor is None else claim.supervisor.id)
            pin_hash = None
        right = await self._hashing(lambda: look(pin_hash, digits, costs))
        if claim.supervisor is None or not right:
            return None
        who = list(self._limits(claim))
        await self._storing(lambda: self._store.change(who, lambda before: {}))
        return await self._renewed(claim, claim.supervisor, record, digits)

    def _costs(self) -> frozenset[Cost]:
        """Of all records in force: those that the policy knows, and those that this server has seen since."""
        if self._made[0] is not self.policy:
            self._made = self.policy, self.policy.costs
        return self._made[1]

    def _note_cost(self, pin_hash: str | None) -> None:
        cost = cost_of(pin_hash)
        if cost is not None:
            self._made = self.policy, with_one_more(self._costs(), cost)

    # ---- lock-outs and the clock -----------------------------------------------------------------------

    async def _on_record(
        self, who: Sequence[str], now: _Moment, limits: Mapping[str, Limit] | None = None
    ) -> Mapping[str, lock_outs.LockOut]:
        """Return what is on record under these names, and count one more attempt where limits are given.

        Where the time of day was set forward since a row was first seen here, the row moves with it: a lock-out lasts
        its seconds on this server, and wrong PINs are not forgotten early.
        """
        # The thread, and what is made of its answer, use what is known now: other calls continue meanwhile.
        seen = {name: self._seen.get(name) for name in who}

        def in_time(rows: Mapping[str, lock_outs.LockOut]) -> Mapping[str, lock_outs.LockOut]:
            return {name: _moved(row, seen[name], now) for name, row in rows.items()}

        def decide(rows: Mapping[str, lock_outs.LockOut]) -> Mapping[str, lock_outs.LockOut]:
            return rows if limits is None else lock_outs.counted(in_time(rows), limits, now.wall)

        found = await self._storing(lambda: self._store.change(who, decide))
        self._see(who, decide(found), now)
        return in_time(found)

    def _see(self, who: Sequence[str], rows: Mapping[str, lock_outs.LockOut], now: _Moment) -> None:
        for name in who:
            row, seen = rows.get(name), self._seen.get(name)
            if row is None:
                self._seen.pop(name, None)
            elif seen is None or seen.row != row:
                self._seen.pop(name, None)
                self._seen[name] = _Seen(row, now)
        while len(self._seen) > MAX_SEEN:
            del self._seen[next(iter(self._seen))]

    # ---- records ---------------------------------------------------------------------------------------

    async def _record(self, claim: Claim) -> PinRecord:
        """Return what is kept of the PIN. An unassigned phone is looked up as well: it waits as long as any other."""
        supervisor, records = claim.supervisor, self._records
        if records is not None:
            found = await self._storing(lambda: records.read("" if supervisor is None else supervisor.id))
            record = found or PinRecord(None)
        elif supervisor is None:
            record = PinRecord(None)
        else:
            record = PinRecord(supervisor.pin_hash, supervisor.pin_set, supervisor.pin_must_change)
        self._note_cost(record.hash)
        return record

    async def _renewed(
        self, claim: Claim, supervisor: Supervisor, record: PinRecord, digits: str
    ) -> PinRecord | None:
        """Hash a correct PIN again if its record is of an older kind; None where it is no longer the PIN."""
        if record.hash is None or not is_old(record.hash):
            return record
        records = self._records
        if records is None:
            if supervisor.id not in self._told:
                self._told.add(supervisor.id)
                log.warning("pin_record_old", supervisor=supervisor.id)
            return record
        renewed = replace(record, hash=await self._hashing(lambda: make_hash(digits)))
        now = self._clock()
        done = await self._storing(lambda: records.replace(supervisor.id, record, renewed, RENEWED, now))
        if done:
            log.info("pin_record_renewed", supervisor=supervisor.id)
            return renewed
        # Another call has renewed it, or the PIN was changed meanwhile.
        now_kept = await self._record(claim)
        right = await self._hashing(lambda: now_kept.hash is not None and matches(now_kept.hash, digits))
        return now_kept if right else None

    def _limits(self, claim: Claim) -> Mapping[str, Limit]:
        supervisor = (claim.stranger or None) if claim.supervisor is None else claim.supervisor.id
        return self.policy.limits.of(supervisor, claim.endpoint, claim.peer)

    # ---- a PIN that is remembered ----------------------------------------------------------------------

    async def remembered(self, claim: Claim) -> PinRecord | None:
        """Return the record of this supervisor's present PIN if this phone of this PBX gave it a short while ago, by
        both clocks.

        Raises:
            StateUnavailable: that is not known.
        """
        supervisor = claim.supervisor
        if supervisor is None or claim.is_named or not any(entry[0] == supervisor.id for entry in self._remembered):
            return None
        record = await self._record(claim)
        given = self._remembered.get((supervisor.id, record.hash, claim.endpoint, peer_name(claim.peer)))
        if given is None or given.over(self.policy.remember_seconds, self._now()):
            return None
        return record if self.due(record) is None and not await self.locked(claim) else None

    def remember(self, claim: Claim, record: PinRecord) -> None:
        """Note that the PIN was right, for as long as the site wants."""
        now, seconds = self._now(), self.policy.remember_seconds
        self._remembered = {entry: given for entry, given in self._remembered.items() if not given.over(seconds, now)}
        if seconds > 0 and claim.supervisor is not None and not claim.is_named:
            # The hash is part of the key: a changed PIN is asked for at once. So is the PBX: two of them may have
            # phones of one name, and another address can claim to be any phone.
            self._remembered[claim.supervisor.id, record.hash, claim.endpoint, peer_name(claim.peer)] = now

    # ---- another PIN -----------------------------------------------------------------------------------

    def due(self, record: PinRecord) -> PinDue | None:
        """Return why the PIN has to be changed, or None."""
        return self.policy.due(record, self._latest())

    async def new_record(self, pin: str) -> PinRecord:
        """Return what is to be kept of a PIN that was just chosen."""
        return PinRecord(await self._hashing(lambda: make_hash(pin)), self._clock())

    async def replace(self, supervisor: Supervisor, before: PinRecord, after: PinRecord) -> None:
        """Replace the old PIN by a new one, unless the old one was changed meanwhile.

        Raises:
            StateUnavailable: nothing was changed.
        """
        records = self._records
        if records is not None:
            by, now = f"{supervisor.id} by phone", self._clock()
            await self._storing(lambda: records.replace(supervisor.id, before, after, by, now))

    async def holds(self, claim: Claim, record: PinRecord) -> bool:
        """Return whether this is what is kept of the PIN now.

        Raises:
            StateUnavailable: that is not known.
        """
        return (await self._record(claim)).hash == record.hash
