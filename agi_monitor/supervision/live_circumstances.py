"""Finds out what is known of a request: what the PBX tells of the call, who hears it, what the clock says.

Without the manager interface nothing of it is known, not even the time: a spy could not be ended when its hours do,
so a rule that depends on them may not let it begin. The same is so while the live picture is not to be trusted.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from agi_monitor.live.index import Stale
from agi_monitor.live.port import LivePbx
from agi_monitor.model import Identity, Mode, Refusal
from agi_monitor.rights.circumstances import Circumstances
from agi_monitor.supervision.grant import Place
from agi_monitor.supervision.grant_watch import GrantWatch
from agi_monitor.supervision.policy import Permitted, Policy


class LiveCircumstances:
    """Says what is known now.

    Parameters:
        live: the PBX as its manager interface shows it.
        watch: who hears whom there.
    """

    def __init__(self, live: LivePbx, watch: GrantWatch) -> None:
        self._live = live
        self._watch = watch

    @property
    def are_live(self) -> bool:
        """Whether the manager interface shows the PBX now."""
        return self._live.stale() is None

    def before_the_call(self, now: float, *, scan: bool) -> Circumstances:
        """Return what is known before a call was looked for.

        Parameters:
            now: seconds since 1970.
            scan: whether the scan came to the agent.
        """
        return Circumstances(scan=scan, at=_moment(now)) if self.are_live else Circumstances(scan=scan)

    def of_call(self, place: Place, now: float, *, scan: bool, reason: bool | None, begins: bool) -> Circumstances:
        """Return what is known of a supervisor and a call.

        Parameters:
            place: who hears which channel, and since when as the rules count it.
            now: seconds since 1970.
            scan: whether the scan came to the agent.
            reason: whether the supervisor gave a reason; None where that is still to be asked.
            begins: whether the supervisor asks for a place. Then everyone who has one counts, otherwise only those
                who have had one for longer.
        """
        if not self.are_live:
            return Circumstances(scan=scan, reason=reason)
        origin = self._live.origin_of(place.spyee_uniqueid)
        known = None if isinstance(origin, Stale) else origin
        return Circumstances(
            scan=scan,
            at=_moment(now),
            queue=None if known is None else known.queue,
            direction=None if known is None else known.direction,
            reason=reason,
            listeners=self._watch.listeners(place, self.call_of(place.spyee_uniqueid), begins=begins),
            # Of two clocks the one that says more: neither set back nor set forward is anyone heard for longer.
            heard_seconds=max(0.0, now - place.since, self._watch.heard_for(place)),
        )

    def place(self, supervisor: str, spyer_uniqueid: str, spyee_uniqueid: str, now: float) -> Place:
        """Return the place that a supervisor has on a call, or would get.

        Parameters:
            supervisor: the id of the supervisor.
            spyer_uniqueid: the supervisor's channel.
            spyee_uniqueid: the agent's.
            now: seconds since 1970.
        """
        since = self._watch.heard_since(supervisor, self.call_of(spyee_uniqueid), now)
        return Place(supervisor, spyer_uniqueid, spyee_uniqueid, since)

    def call_of(self, uniqueid: str) -> frozenset[str]:
        """Return the channels of a call, by one of them."""
        partners = self._live.partners_of(uniqueid)
        others = () if isinstance(partners, Stale) else partners
        return frozenset({uniqueid, *(partner.uniqueid for partner in others)})

    def possible(
        self,
        policy: Policy,
        endpoint: str,
        identity: Identity | None,
        extension: str,
        mode: Mode,
        known: Circumstances,
    ) -> Permitted | Refusal:
        """Decide whether it may come to be permitted, for the question whether to look further.

        Where nothing more will be known this is as strict as the last word, but for the reason, which may be asked
        for: a supervisor who may never hear an agent does not learn whether there is a call.

        Parameters:
            policy: what the configuration says now.
            endpoint: the supervisor's device.
            identity: who gave which PIN; None for an unidentified caller.
            extension: the agent.
            mode: the mode of the spy.
            known: so far.
        """
        if self.are_live:
            return policy.possible(endpoint, identity, extension, mode, known)
        reason = True if known.reason is None else known.reason
        return policy.permitted(endpoint, identity, extension, mode, replace(known, reason=reason))


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
