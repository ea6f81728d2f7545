"""Verify a PIN, count attempts, lock out.

An attempt is counted *before* the PIN is looked at, and only a right one takes the count back. So fifty calls
at once get no more tries than one call does.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import VerificationError

from agi_monitor.model import Reason, Refusal, Supervisor

PIN = re.compile(r"[0-9]{4,16}")
"""Keys of a phone, without ``*`` and ``#``."""

FORGET_SECONDS = 86_400.0
"""A day after the last wrong PIN, or after the end of its lock-out, wrong PINs no longer count."""

MAX_STRANGERS = 1_000
"""Phones of nobody whose attempts are remembered; the oldest is forgotten, so that a liar cannot fill memory."""

_STRANGER = "endpoint:"

Result = TypeVar("Result")

_hasher = PasswordHasher()
_NOBODY = "$argon2id$v=19$m=65536,t=3,p=4$cO5bpQtg7ZBsZeYjz+irjw$LxlByVciaeiZZh+iU/oO9ef9ZmwwCbEq0g4H26+uOD0"
"""Of random bytes that nobody kept: a phone that belongs to nobody waits as long as one with a wrong PIN."""


def make_hash(pin: str) -> str:
    """Return the argon2id record of a PIN, for the configuration.

    Raises:
        ValueError: the PIN is not four to sixteen digits; the message does not repeat it.
    """
    if PIN.fullmatch(pin) is None:
        raise ValueError("a PIN is 4 to 16 digits")
    return _hasher.hash(pin)


def matches(pin_hash: str, digits: str) -> bool:
    """Compare keyed digits with a record. Takes about 50 ms and 64 MiB: call it in a thread."""
    if PIN.fullmatch(digits) is None:
        digits = ""
    try:
        return _hasher.verify(pin_hash, digits) and bool(digits)
    except VerificationError:
        return False


@dataclass(frozen=True, slots=True)
class PinPolicy:
    """How often a PIN may be wrong.

    Parameters:
        attempts: tries in one call.
        lock_after: wrong PINs in a row, over all calls, before a lock-out.
        lock_seconds: the first lock-out; every further wrong PIN doubles it.
        max_lock_seconds: the longest lock-out.
        remember_seconds: so long a right PIN counts for the same endpoint; 0 asks every time.
    """

    attempts: int
    lock_after: int
    lock_seconds: float
    max_lock_seconds: float
    remember_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class LockOut:
    """Wrong PINs of one supervisor (or stranger's phone) so far.

    Parameters:
        failures: in a row.
        last: time of the last one, seconds since 1970.
        until: locked until then, seconds since 1970; 0 when never locked.
    """

    failures: int = 0
    last: float = 0.0
    until: float = 0.0

    def failed(self, now: float, policy: PinPolicy) -> LockOut:
        """Return the state after one more wrong PIN."""
        failures = self.failures + 1 if now - max(self.last, self.until) < FORGET_SECONDS else 1
        over = failures - policy.lock_after
        if over < 0:
            return LockOut(failures, now, 0.0)
        # The exponent is bounded: 2**64 seconds are longer than any maximum, and floats end at 2**1024.
        seconds = min(policy.lock_seconds * 2.0 ** min(over, 64), policy.max_lock_seconds)
        return LockOut(failures, now, now + seconds)


class LockOutStore(Protocol):
    """Where lock-outs survive a restart. Both methods may block; they are called in a thread."""

    def load(self) -> Mapping[str, LockOut]:
        """Return all lock-outs; raises StateUnavailable when they cannot be read."""
        ...

    def save(self, lock_outs: Mapping[str, LockOut]) -> None:
        """Replace all lock-outs on disk; raises StateUnavailable when that fails."""
        ...


class InThread(Protocol):
    """Run a blocking function elsewhere and await its result."""

    async def __call__(self, function: Callable[[], Result], /) -> Result:
        """Return what the function returns, raise what it raises."""
        ...


class PinGuard:
    """Counts attempts and keeps lock-outs.

    Parameters:
        policy: the numbers.
        store: where lock-outs survive.
        clock: seconds since 1970.
        hashing: runs argon2.
        saving: runs the store, one call at a time and in order.
    """

    def __init__(
        self,
        policy: PinPolicy,
        store: LockOutStore,
        clock: Callable[[], float],
        hashing: InThread,
        saving: InThread,
    ) -> None:
        self.policy = policy
        self._store = store
        self._clock = clock
        self._hashing = hashing
        self._saving = saving
        self._lock_outs = dict(store.load())
        self._remembered: dict[tuple[str, str, str], float] = {}

    def locked_until(self, who: str) -> float | None:
        """Return until when this supervisor or stranger is locked out (seconds since 1970), or None."""
        until = self._lock_outs.get(who, LockOut()).until
        return until if until > self._clock() else None

    async def verify(self, supervisor: Supervisor | None, endpoint: str, digits: str) -> Refusal | None:
        """Judge one attempt; None means the PIN was right.

        Raises:
            StateUnavailable: the attempt could not be put on record, so it was not looked at.
        """
        who = key(supervisor, endpoint)
        if self.locked_until(who) is not None:
            return Refusal(Reason.PIN_LOCKED)
        before = self._lock_outs.pop(who, LockOut())
        # Taken out and put back at the end: the dictionary is in order of the last attempt.
        self._lock_outs[who] = before.failed(self._clock(), self.policy)
        self._forget_strangers()
        await self._save()
        pin_hash = supervisor.pin_hash if supervisor else _NOBODY
        right = await self._hashing(lambda: matches(pin_hash, digits))
        if supervisor is None or not right:
            return Refusal(Reason.PIN_WRONG)
        self._lock_outs.pop(who, None)
        await self._save()
        self._remember(supervisor, endpoint)
        return None

    def remembered(self, supervisor: Supervisor, endpoint: str) -> bool:
        """Say whether this endpoint gave this supervisor's present PIN a short while ago."""
        until = self._remembered.get((supervisor.id, supervisor.pin_hash, endpoint), 0.0)
        return until > self._clock() and self.locked_until(key(supervisor, endpoint)) is None

    def _remember(self, supervisor: Supervisor, endpoint: str) -> None:
        now = self._clock()
        self._remembered = {entry: until for entry, until in self._remembered.items() if until > now}
        if self.policy.remember_seconds > 0:
            # The hash is part of the key: a changed PIN is asked for at once.
            self._remembered[supervisor.id, supervisor.pin_hash, endpoint] = now + self.policy.remember_seconds

    def _forget_strangers(self) -> None:
        strangers = [who for who in self._lock_outs if who.startswith(_STRANGER)]
        for who in strangers[: max(0, len(strangers) - MAX_STRANGERS)]:
            del self._lock_outs[who]

    async def _save(self) -> None:
        snapshot = dict(self._lock_outs)
        await self._saving(lambda: self._store.save(snapshot))


def key(supervisor: Supervisor | None, endpoint: str) -> str:
    """Return the name under which attempts are counted: the supervisor, or a phone that is nobody's."""
    return f"supervisor:{supervisor.id}" if supervisor else f"{_STRANGER}{endpoint}"
