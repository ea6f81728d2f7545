"""Holds a spy that is on against what the policy says now, by what is known of the call now."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial

from agi_monitor.live.index import Stale
from agi_monitor.live.targets import DeviceChannel
from agi_monitor.model import Mode, Refusal
from agi_monitor.pbx.parties import Parties
from agi_monitor.pbx.pbx import Pbx
from agi_monitor.pbx.places import Places
from agi_monitor.pbx.revoking import Revoking
from agi_monitor.pbx.under_way import UnderWay
from agi_monitor.pbx.watched import WatchedGrants
from agi_monitor.rights.circumstances import Circumstances
from agi_monitor.supervision.grant import Grant
from agi_monitor.supervision.live_circumstances import LiveCircumstances
from agi_monitor.supervision.owners import other_owner_refuses
from agi_monitor.supervision.policy import Permitted, Policy
from agi_monitor.supervision.spies import Spy


class Rechecking:
    """Decides again about the spies of one PBX.

    Parameters:
        pbx: the PBX.
        clock: seconds since 1970.
        policy: returns what the configuration says now.
        watched: the grants that are on.
        places: since when each hears its call.
        circumstances: says what is known of a call.
        parties: says who is on it.
        revoking: ends what is no longer allowed.
        under_way: begins what is not waited for.
    """

    def __init__(
        self,
        pbx: Pbx,
        clock: Callable[[], float],
        policy: Callable[[], Policy],
        watched: WatchedGrants,
        places: Places,
        circumstances: LiveCircumstances,
        parties: Parties,
        revoking: Revoking,
        under_way: UnderWay,
    ) -> None:
        self._pbx = pbx
        self._clock = clock
        self._policy = policy
        self._watched = watched
        self._places = places
        self._circumstances = circumstances
        self._parties = parties
        self._revoking = revoking
        self._under_way = under_way

    def recheck(self, grant: Grant) -> None:
        """Hold one spy against what the policy says now, and end it where that no longer allows it."""
        known = self._known(grant, grant.spyee_uniqueid)
        if self._parties.agent_is_elsewhere(grant):
            # What is known of the agent's call is of another one.
            known = replace(known, queue=None, direction=None)
        decide = partial(self._permitted, grant, known, grant.spyee_uniqueid)
        permitted = decide(grant.extension)
        refusal = permitted if isinstance(permitted, Refusal) else self._protection(grant)
        refusal = refusal or other_owner_refuses(self._policy(), self._pbx, grant.extension, grant.spyee, decide)
        refusal = refusal or self._colleague_refuses(grant)
        if refusal is not None:
            self._under_way.begin(self._revoking.end(grant, refusal.reason, ""))

    def recheck_call(self, uniqueid: str) -> None:
        """Compare the spies on one call with what it is now, by any of its channels."""
        for grant in self._watched.ours():
            if uniqueid in self._parties.on_the_call(grant):
                self.recheck(grant)

    def recheck_listeners(self, spy: Spy) -> None:
        """Another listener hears a call: that counts where rules depend on it."""
        if self._policy().rights.depend_on_listeners:
            self.recheck_call(spy.spyee_uniqueid if spy.grant is None else spy.grant.spyee_uniqueid)

    def _known(self, grant: Grant, spyee_uniqueid: str) -> Circumstances:
        place, now = replace(grant.place, spyee_uniqueid=spyee_uniqueid), self._clock()
        known = self._circumstances.of_call(place, now, scan=grant.scan, reason=bool(grant.reason), begins=False)
        if self._circumstances.are_live:
            return known
        # The clock needs no picture.
        heard = max(0.0, now - place.since, self._places.heard_for(place))
        return replace(known, at=datetime.fromtimestamp(now, UTC), heard_seconds=heard)

    def _permitted(
        self, grant: Grant, known: Circumstances, spyee_uniqueid: str, extension: str
    ) -> Permitted | Refusal:
        policy = self._policy()
        # With the picture lost, or the agent alone or elsewhere, no more is known of the call than that it is heard.
        # What it was when the spy began is not doubted then; the next list, or the next party, tells what it is.
        is_there = len(self._circumstances.call_of(spyee_uniqueid)) > 1
        sure = self._circumstances.are_live and is_there and not self._parties.agent_is_elsewhere(grant)
        decide = policy.permitted if sure else policy.possible
        return decide(grant.endpoint, grant.identity, extension, grant.mode, known)

    def _colleague_refuses(self, grant: Grant) -> Refusal | None:
        """Return which agent, left on a call that a supervisor joined, may not be heard; or None.

        The right to hear an agent covers the agent's call with any party. Without that agent it is the call of
        the agents who are left, as after a transfer to a colleague.
        """
        if grant.mode is not Mode.BARGE:
            return None
        for name, uniqueid in self._left_with(grant):
            known = self._known(grant, uniqueid)
            decide = partial(self._permitted, grant, known, uniqueid)
            refusal = other_owner_refuses(self._policy(), self._pbx, grant.extension, name, decide)
            if refusal is not None:
                return refusal
        return None

    def _left_with(self, grant: Grant) -> Sequence[tuple[str, str]]:
        """Return who is on a call that a supervisor joined and the agent has left, by name and uniqueid; empty while
        the agent is on it. With the picture in doubt it is what the PBX said at the last look."""
        if not self._circumstances.are_live:
            return [(name, grant.spyee_uniqueid) for name in sorted(self._watched.of(grant).left_with)]
        left = self._pbx.partners_of(grant.spyer_uniqueid)
        if isinstance(left, Stale) or self._pbx.bridge_of(grant.spyer_uniqueid) is None:
            return []
        if grant.spyee_uniqueid in {party.uniqueid for party in left}:
            return []
        supervisors = {other.spyer_uniqueid for other in self._watched.ours()}
        return [(party.name, party.uniqueid) for party in left if party.uniqueid not in supervisors]

    def _protection(self, grant: Grant) -> Refusal | None:
        spyee = self._pbx.channel(grant.spyee_uniqueid)
        if spyee is None or self._parties.agent_is_elsewhere(grant):
            # In a conference, or after a take-over, the agent may be gone and the supervisor on the call.
            spyee = self._pbx.channel(grant.spyer_uniqueid)
        if spyee is None or isinstance(spyee, Stale):
            return None
        peers = self._pbx.partners_of(spyee.uniqueid)
        if isinstance(peers, Stale):
            return None
        names = tuple(peer.name for peer in peers)
        number = re.sub(r"[^0-9]", "", spyee.connected_number)
        channel = DeviceChannel(spyee.name, spyee.uniqueid, spyee.state, names, number=number)
        return self._policy().protected.refusal(channel)
