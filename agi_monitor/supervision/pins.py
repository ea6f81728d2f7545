"""Verify a PIN, count attempts, lock out.

An attempt is counted *before* the PIN is looked at, and only a right one takes the count back. So fifty calls
at once, on however many servers, get no more tries than one call does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol, TypeVar

import structlog

from agi_monitor.model import Locked, PinDue, Reason, Refusal, Supervisor
from agi_monitor.supervision import lock_outs
from agi_monitor.supervision.lock_outs import Limit, Limits, LockOutStore
from agi_monitor.supervision.pin_records import NOBODY, PinRecord, PinStore, is_old, make_hash, matches
from agi_monitor.supervision.pin_rules import PinRules

RENEWED = "agi-monitor"
"""Who hashes a PIN again, for the audit."""

Result = TypeVar("Result")

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class PinPolicy:
    """What the site wants of PINs.

    Parameters:
        attempts: tries in one call.
        limits: wrong PINs in a row, over all calls, before a lock-out.
        remember_seconds: so long a right PIN counts for the same endpoint; 0 asks every time.
        rules: what a new PIN must be.
        max_age: seconds after which a PIN has to be changed; None for never.
    """

    attempts: int
    limits: Limits
    remember_seconds: float = 0.0
    rules: PinRules = field(default_factory=PinRules)
    max_age: float | None = None

    def due(self, record: PinRecord, now: float) -> PinDue | None:
        """Say whether a PIN has to be changed, and why. One of an unknown age counts as too old."""
        if record.must_change:
            return PinDue.ASKED
        if self.max_age is not None and (record.made is None or now - record.made >= self.max_age):
            return PinDue.EXPIRED
        return None


@dataclass(frozen=True, slots=True)
class Claim:
    """Who says to be calling.

    Parameters:
        supervisor: whose phone it is; None for nobody's.
        endpoint: the phone.
        peer: the address of the PBX.
    """

    supervisor: Supervisor | None
    endpoint: str
    peer: str


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


class PinGuard:
    """Counts attempts, looks at PINs, and knows who is locked out.

    Parameters:
        policy: what the site wants.
        store: where lock-outs are.
        clock: seconds since 1970.
        hashing: runs argon2.
        storing: runs what reads and writes the store.
        records: where PINs are kept; None when they stand in the configuration, and can be changed there only.
    """

    def __init__(
        self,
        policy: PinPolicy,
        store: LockOutStore,
        clock: Callable[[], float],
        hashing: InThread,
        storing: InThread,
        records: PinStore | None = None,
    ) -> None:
        self.policy = policy
        self._store = store
        self._clock = clock
        self._hashing = hashing
        self._storing = storing
        self._records = records
        self._remembered: dict[tuple[str, str | None, str], float] = {}
        self._told: set[str] = set()
        """Supervisors whose old records are logged already."""

    @property
    def changeable(self) -> bool:
        """Whether a supervisor can change the PIN by phone."""
        return self._records is not None

    # ---- attempts --------------------------------------------------------------------------------------

    async def locked(self, claim: Claim) -> Mapping[Locked, float]:
        """Return what is locked out at this moment, each until when (seconds since 1970); nothing is counted.

        Raises:
            StateUnavailable: that is not known.
        """
        who = list(self._limits(claim))
        found = await self._storing(lambda: self._store.change(who, lambda before: before))
        return lock_outs.locked(found, self._clock())

    async def count(self, claim: Claim) -> Attempt | Refusal:
        """Put an attempt on record, before anybody looks at its PIN.

        Raises:
            StateUnavailable: it is not on record, so its PIN may not be looked at.
        """
        limits, now = self._limits(claim), self._clock()

        def decide(before: Mapping[str, lock_outs.LockOut]) -> Mapping[str, lock_outs.LockOut]:
            return lock_outs.counted(before, limits, now)

        before = await self._storing(lambda: self._store.change(list(limits), decide))
        if lock_outs.locked(before, now):
            return Refusal(Reason.PIN_LOCKED)
        return Attempt(claim, lock_outs.locked(decide(before), now))

    async def look(self, attempt: Attempt, digits: str) -> PinRecord | None:
        """Look at the PIN of an attempt that is on record. A right one takes back what was counted.

        Returns:
            The record of a right PIN, None for a wrong one.

        Raises:
            StateUnavailable: the record is not known, or the count could not be taken back.
        """
        claim = attempt.claim
        record = await self._record(claim)
        right = await self._hashing(lambda: matches(record.hash or NOBODY, digits))
        if claim.supervisor is None or record.hash is None or not right:
            return None
        who = list(self._limits(claim))
        await self._storing(lambda: self._store.change(who, lambda before: {}))
        return await self._renewed(claim.supervisor, record, digits)

    async def _record(self, claim: Claim) -> PinRecord:
        """What is kept of the PIN. A phone of nobody is looked up as well: it waits as long as any other."""
        supervisor, records = claim.supervisor, self._records
        if records is not None:
            found = await self._storing(lambda: records.read("" if supervisor is None else supervisor.id))
            return found or PinRecord(None)
        if supervisor is None:
            return PinRecord(None)
        return PinRecord(supervisor.pin_hash, supervisor.pin_set, supervisor.pin_must_change)

    async def _renewed(self, supervisor: Supervisor, record: PinRecord, digits: str) -> PinRecord:
        """Hash a right PIN again when its record is of an older kind."""
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
        return renewed if done else record

    def _limits(self, claim: Claim) -> Mapping[str, Limit]:
        supervisor = None if claim.supervisor is None else claim.supervisor.id
        return self.policy.limits.of(supervisor, claim.endpoint, claim.peer)

    # ---- a PIN that is remembered ----------------------------------------------------------------------

    async def remembered(self, claim: Claim) -> bool:
        """Say whether this endpoint gave this supervisor's present PIN a short while ago.

        Raises:
            StateUnavailable: that is not known.
        """
        supervisor = claim.supervisor
        if supervisor is None or not any(entry[0] == supervisor.id for entry in self._remembered):
            return False
        record = await self._record(claim)
        now = self._clock()
        until = self._remembered.get((supervisor.id, record.hash, claim.endpoint), 0.0)
        return until > now and self.policy.due(record, now) is None and not await self.locked(claim)

    def remember(self, claim: Claim, record: PinRecord) -> None:
        """Note that the PIN was right, for as long as the site wants."""
        now = self._clock()
        self._remembered = {entry: until for entry, until in self._remembered.items() if until > now}
        if self.policy.remember_seconds > 0 and claim.supervisor is not None:
            # The hash is part of the key: a changed PIN is asked for at once.
            self._remembered[claim.supervisor.id, record.hash, claim.endpoint] = now + self.policy.remember_seconds

    # ---- another PIN -----------------------------------------------------------------------------------

    def due(self, record: PinRecord) -> PinDue | None:
        """Say whether the PIN has to be changed, and why."""
        return self.policy.due(record, self._clock())

    async def new_record(self, pin: str) -> PinRecord:
        """Return what is to be kept of a PIN that was just chosen."""
        return PinRecord(await self._hashing(lambda: make_hash(pin)), self._clock())

    async def replace(self, supervisor: Supervisor, before: PinRecord, after: PinRecord) -> None:
        """Put a new PIN in the place of the old one, unless somebody else has changed that meanwhile.

        Raises:
            StateUnavailable: nothing was changed.
        """
        records = self._records
        if records is not None:
            by, now = f"{supervisor.id} by phone", self._clock()
            await self._storing(lambda: records.replace(supervisor.id, before, after, by, now))

    async def holds(self, claim: Claim, record: PinRecord) -> bool:
        """Say whether this is what is kept of the PIN at this moment.

        Raises:
            StateUnavailable: that is not known.
        """
        return (await self._record(claim)).hash == record.hash
