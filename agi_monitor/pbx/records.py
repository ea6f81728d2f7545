"""The records of the audit about spies: what all of them hold, and the way there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from agi_monitor.audit.facts import AuditLog, Fact, SpyAdopted, SpyHeard, SpyRevoked
from agi_monitor.pbx.under_way import UnderWay
from agi_monitor.supervision.grant import Grant


class Records:
    """The records about the spies of one PBX.

    Parameters:
        node: the PBX.
        clock: seconds since 1970.
        audit: where they go.
        under_way: begins what is not waited for.
    """

    def __init__(self, node: str, clock: Callable[[], float], audit: AuditLog, under_way: UnderWay) -> None:
        self._node = node
        self._clock = clock
        self._audit = audit
        self._under_way = under_way

    async def append(self, fact: Fact) -> None:
        """Put a fact on record, and wait until it is.

        Parameters:
            fact: what happened.

        Raises:
            AuditUnavailable: it could not be recorded.
        """
        await self._audit.append(fact)

    def record(self, fact: Fact) -> None:
        """Put a fact on record; nothing waits for the disk."""
        self._under_way.begin(self._audit.append(fact))

    def note_heard(self, kind: type[SpyHeard], grant: Grant | None) -> None:
        """The PBX has confirmed that a grant is heard, or no longer is.

        Parameters:
            kind: which of both.
            grant: None where it is not known of which.
        """
        if grant is not None:
            self.record(
                kind(
                    **self.common(grant),
                    grant=grant.number,
                    extension=grant.extension,
                    mode=grant.mode,
                    node=self._node,
                    spyee=grant.spyee,
                    spyee_uniqueid=grant.spyee_uniqueid,
                )
            )

    def revocation(self, grant: Grant, why: str, by: str) -> SpyRevoked:
        """Return that a grant was ended from outside.

        Parameters:
            grant: the grant.
            why: the reason.
            by: who ended it, or empty.
        """
        return SpyRevoked(**self.common(grant), grant=grant.number, extension=grant.extension, why=why, by=by)

    def adoption(self, grant: Grant) -> SpyAdopted:
        """Return that a grant continues without a story."""
        return SpyAdopted(
            **self.common(grant),
            grant=grant.number,
            extension=grant.extension,
            mode=grant.mode,
            spyee=grant.spyee,
            spyee_uniqueid=grant.spyee_uniqueid,
        )

    def common(self, grant: Grant) -> Mapping[str, Any]:
        """Return the fields that every record about a grant has."""
        return {
            "at": self.now(),
            "call": grant.call,
            "endpoint": grant.endpoint,
            "spyer": grant.spyer,
            "spyer_uniqueid": grant.spyer_uniqueid,
            "supervisor": grant.supervisor,
        }

    def now(self) -> datetime:
        """Return the moment for a record."""
        return datetime.fromtimestamp(self._clock(), UTC)
