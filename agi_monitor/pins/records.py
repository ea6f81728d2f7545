"""What is kept of a PIN: an argon2id record, when it was made, and whether it has to be changed."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Set
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

from argon2 import PasswordHasher
from argon2.exceptions import VerificationError

from agi_monitor.pins.costs import USUAL, Cost, cost_of

PIN = re.compile(r"[0-9]{4,16}")
"""Keys of a phone, without ``*`` and ``#``."""

ID_CHARACTERS = 16
"""How long the name of a PIN is: 64 bits."""

_hasher = PasswordHasher()


@dataclass(frozen=True, slots=True)
class PinRecord:
    """What is kept of a supervisor's PIN.

    Parameters:
        hash: the argon2id record; None if there is no PIN, so that none is accepted.
        made: when the PIN was chosen, in seconds since 1970; None if that is not known.
        must_change: whether an administrator asked for another one.
    """

    hash: str | None
    made: float | None = None
    must_change: bool = False

    def __repr__(self) -> str:
        # A record of a short PIN can be tried out, and a repr ends up in tracebacks and assertion messages.
        return f"PinRecord(<{'none' if self.hash is None else 'a hash'}>, {self.made}, {self.must_change})"


class PinStore(Protocol):
    """Where PINs are kept when people live in the database. Both methods may block."""

    def read(self, supervisor_id: str) -> PinRecord | None:
        """Return what is kept now, or None if there is no such supervisor.

        Raises:
            StateUnavailable: that is not known.
        """
        ...

    def replace(self, supervisor_id: str, before: PinRecord, after: PinRecord, by: str, at: float) -> bool:
        """Put another record in the place of this one.

        Parameters:
            supervisor_id: whose it is.
            before: what is there.
            after: what takes its place.
            by: who changes it, for the audit.
            at: now, in seconds since 1970.

        Returns:
            False if the record was changed meanwhile; it then stays.

        Raises:
            StateUnavailable: nothing was changed.
        """
        ...


def make_hash(pin: str) -> str:
    """Return the argon2id record of a PIN.

    Raises:
        ValueError: the PIN is not four to sixteen digits; the message does not repeat it.
    """
    if PIN.fullmatch(pin) is None:
        raise ValueError("a PIN is 4 to 16 digits")
    return _hasher.hash(pin)


@lru_cache(maxsize=4_096)
def pin_id(pin_hash: str | None) -> str:
    """Return what names a PIN: another PIN has another name, even one with the same digits made in the same second.

    It may be shown to anyone: the record has a random salt, so that no PIN can be tried out with its name alone.

    Parameters:
        pin_hash: the record; None if there is no PIN, whose name is empty.
    """
    return "" if pin_hash is None else hashlib.sha256(pin_hash.encode("utf-8", "replace")).hexdigest()[:ID_CHARACTERS]


def look(pin_hash: str | None, digits: str, costs: Set[Cost]) -> bool:
    """Compare keyed digits with a record, with the same work for every caller. Call it in a thread.

    A supervisor without a record, an unassigned phone, and a record with other parameters must not be told apart by
    time. So each check does all the work that any check takes: a record of every cost, one of which may be their own.

    Parameters:
        pin_hash: the record; None if there is none.
        digits: as they were keyed in.
        costs: of all records in force.
    """
    own = cost_of(pin_hash)
    right = pin_hash is not None and own is not None and matches(pin_hash, digits)
    for cost in sorted((costs or {USUAL}) - {own}):
        matches(cost.dummy(), digits)
    return right


def matches(pin_hash: str, digits: str) -> bool:
    """Compare keyed digits with a record, whatever that takes: a usual one about 100 ms of a core and 64 MiB."""
    if PIN.fullmatch(digits) is None:
        digits = ""
    try:
        return _hasher.verify(pin_hash, digits) and bool(digits)
    except (VerificationError, ValueError):
        # Also a text that is not a record.
        return False


def is_old(pin_hash: str) -> bool:
    """Return whether the record was made with other parameters than a new one would be."""
    try:
        return _hasher.check_needs_rehash(pin_hash)
    except ValueError:
        return False
