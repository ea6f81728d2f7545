"""What is kept of a PIN: an argon2id record, when it was made, and whether it has to be changed."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Protocol

from argon2 import PasswordHasher
from argon2.exceptions import VerificationError

PIN = re.compile(r"[0-9]{4,16}")
"""Keys of a phone, without ``*`` and ``#``."""

NOBODY = "$argon2id$v=19$m=65536,t=3,p=4$cO5bpQtg7ZBsZeYjz+irjw$LxlByVciaeiZZh+iU/oO9ef9ZmwwCbEq0g4H26+uOD0"
"""Of random bytes that nobody kept: a phone of nobody, and somebody without a PIN, wait as long as a wrong PIN."""

_hasher = PasswordHasher()


@dataclass(frozen=True, slots=True)
class PinRecord:
    """What is kept of a supervisor's PIN.

    Parameters:
        hash: the argon2id record; None when there is no PIN, and nobody can give it.
        made: when the PIN was chosen, seconds since 1970; None when that is not known.
        must_change: somebody asked for another one.
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
        """Return what is kept at this moment, or None when there is no such supervisor.

        Raises:
            StateUnavailable: that is not known.
        """
        ...

    def replace(self, supervisor_id: str, before: PinRecord, after: PinRecord, by: str, at: float) -> bool:
        """Put another record in the place of this one.

        Parameters:
            supervisor_id: whose it is.
            before: what is there.
            after: what shall be.
            by: who does it, for the audit.
            at: now, seconds since 1970.

        Returns:
            False when it is another one by now, which then stays.

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


def matches(pin_hash: str, digits: str) -> bool:
    """Compare keyed digits with a record. Takes about 50 ms and 64 MiB: call it in a thread."""
    if PIN.fullmatch(digits) is None:
        digits = ""
    try:
        return _hasher.verify(pin_hash, digits) and bool(digits)
    except (VerificationError, ValueError):
        # Also a record that is none.
        return False


def is_old(pin_hash: str) -> bool:
    """Say whether the record was made with other parameters than a new one would be."""
    try:
        return _hasher.check_needs_rehash(pin_hash)
    except ValueError:
        return False
