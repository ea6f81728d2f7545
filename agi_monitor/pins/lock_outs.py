"""How often a PIN may be wrong: counted for the supervisor, for the phone and for the PBX that it is given over.

Pure functions of what is on record; ``LockOutStore`` holds it. A caller who is locked out by any of the three waits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from agi_monitor.model import Locked
from agi_monitor.names import peer_name

FORGET_SECONDS = 86_400.0
"""A day after the last wrong PIN, or after the end of its lock-out, wrong PINs no longer count."""

MAX_STRANGERS = 1_000
"""Phones, and as many addresses, whose attempts are remembered; the oldest is forgotten, so that a liar fills
nothing up. Supervisors are never forgotten for want of room."""

MAX_KEY = 200
"""No name that attempts are counted under is longer; a phone's is what a client says."""


@dataclass(frozen=True, slots=True)
class Limit:
    """How often one kind may be wrong.

    Parameters:
        after: wrong PINs in a row, over all calls, before a lock-out.
        seconds: the first lock-out; every further wrong PIN doubles it.
        longest: the longest lock-out, in seconds.
    """

    after: int
    seconds: float
    longest: float


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of a site.

    Parameters:
        supervisor: for a supervisor, on any phone.
        endpoint: for a phone, assigned or not.
        peer: for the address that the call's FastAGI connection comes from, which is a PBX.
    """

    supervisor: Limit
    endpoint: Limit
    peer: Limit

    def of(self, supervisor: str | None, endpoint: str, peer: str) -> Mapping[str, Limit]:
        """Return under which names an attempt is counted, and how often each may be wrong.

        Parameters:
            supervisor: the id, or what an unknown number is counted under; None where nothing says who calls.
            endpoint: the phone.
            peer: the address of the PBX.
        """
        phone, pbx = key(Locked.ENDPOINT, endpoint), key(Locked.PEER, peer_name(peer))
        if supervisor is None:
            # As early as a supervisor would be: otherwise the lock-out would reveal which phones are unassigned.
            return {phone: min(self.endpoint, self.supervisor, key=lambda limit: limit.after), pbx: self.peer}
        return {key(Locked.SUPERVISOR, supervisor): self.supervisor, phone: self.endpoint, pbx: self.peer}


@dataclass(frozen=True, slots=True)
class LockOut:
    """Wrong PINs under one name so far.

    Parameters:
        failures: in a row.
        last: time of the last one, seconds since 1970.
        until: locked until then, seconds since 1970; 0 when never locked.
    """

    failures: int = 0
    last: float = 0.0
    until: float = 0.0

    def failed(self, now: float, limit: Limit) -> LockOut:
        """Return the state after one more wrong PIN."""
        failures = self.failures + 1 if now - max(self.last, self.until) < FORGET_SECONDS else 1
        over = failures - limit.after
        if over < 0:
            return LockOut(failures, now, 0.0)
        # The exponent is bounded: 2**64 seconds are longer than any maximum, and floats end at 2**1024.
        seconds = min(limit.seconds * 2.0 ** min(over, 64), limit.longest)
        return LockOut(failures, now, now + seconds)


class LockOutStore(Protocol):
    """Where lock-outs survive a restart, shared by all servers of a site."""

    def change(
        self, who: Sequence[str], decide: Callable[[Mapping[str, LockOut]], Mapping[str, LockOut]]
    ) -> Mapping[str, LockOut]:
        """Read these lock-outs, decide, and store the result in their place. May block.

        No other server or thread reads or writes one of them meanwhile.

        Parameters:
            who: the names to read and write.
            decide: gets those that are on record and returns the new ones; one that it leaves out is removed.
                Pure: it may be called again.

        Returns:
            What was on record before.

        Raises:
            StateUnavailable: nothing was changed.
        """
        ...


def key(kind: Locked, name: str) -> str:
    """Return the name under which attempts are counted. Any text makes one that every database takes."""
    return f"{kind}:{ascii(name)[1:-1]}"[:MAX_KEY]


def kind_of(who: str) -> Locked:
    """Return what kind of thing a name stands for."""
    return Locked(who.partition(":")[0])


def name_of(who: str) -> str:
    """Return whose name it is, as ``key`` wrote it."""
    return who.partition(":")[2]


def counted(before: Mapping[str, LockOut], limits: Mapping[str, Limit], now: float) -> Mapping[str, LockOut]:
    """Return what is on record after one more attempt. Where one of them is locked nothing is counted."""
    if locked(before, now):
        return before
    return {who: before.get(who, LockOut()).failed(now, limit) for who, limit in limits.items()}


def locked(found: Mapping[str, LockOut], now: float) -> Mapping[Locked, float]:
    """Return what is locked now, each until when (seconds since 1970)."""
    return {kind_of(who): lock_out.until for who, lock_out in found.items() if lock_out.until > now}
