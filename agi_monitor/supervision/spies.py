"""A spy: who hears whom now, and by what right; and what a list of the PBX changes of that."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from agi_monitor.supervision.grant import Grant

LOCAL = "Local/"
"""How the name of a Local channel begins: it is not a phone, and says nothing of who talks."""


class SpyKind(StrEnum):
    """By what right a channel hears another."""

    GRANTED = "granted"
    """By a grant of this server, which its story watches over."""
    ADOPTED = "adopted"
    """By a grant of this server, whose story died with an earlier run of it."""
    OTHERS = "others"
    """By a grant of another server of this PBX; which one is not known where that is of another version."""
    EXEMPT = "exempt"
    """It is a helper of Asterisk's or of ours, or a device that the configuration excepts."""
    UNPROVEN = "unproven"
    """Its channel is being asked for a grant."""
    ROGUE = "rogue"
    """By no right."""


SETTLED = frozenset({SpyKind.ADOPTED, SpyKind.OTHERS})
"""By the signed grant on the channel: no event alone takes that back."""


@dataclass(frozen=True, slots=True)
class Spy:
    """A channel that hears another now.

    Parameters:
        kind: by what right.
        spyer: the channel that hears; ``spyer_uniqueid`` is its identifier.
        spyee: the channel that is heard, or empty where a list does not tell; so may be ``spyee_uniqueid``.
        since: on the clock of ``Grants``.
        grant: the grant, where there is one.
        why: for a rogue or exempt one, in a few words; for one that is to be proved, by what it may be exempt.
        idle: a list names it, but it may be over: it is one only with a proof.
        at: when that was, in seconds since 1970.
        in_bridge: the supervisor has joined the call or taken it over, and may be on it without the channel that was
            heard.
    """

    kind: SpyKind
    spyer: str
    spyer_uniqueid: str
    spyee: str
    spyee_uniqueid: str
    since: float
    grant: Grant | None = None
    why: str = ""
    idle: bool = False
    at: float = 0.0
    in_bridge: bool = False

    @property
    def id(self) -> str:
        """What it is called on the command line."""
        return self.grant.id if self.grant is not None else self.spyer_uniqueid


@dataclass(frozen=True, slots=True)
class Listed:
    """What a list changed.

    Parameters:
        found: spies that no event had told of.
        ended: spies of whose end no event had told.
    """

    found: tuple[Spy, ...]
    ended: tuple[Spy, ...]
