"""Looks that no event asks for: the clock is compared with the grants, and the PBX is asked about the calls."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from agi_monitor.ami.states import Up
from agi_monitor.pbx.carriers import Carriers
from agi_monitor.pbx.handing_over import HandingOver
from agi_monitor.pbx.parties import Parties
from agi_monitor.pbx.pbx import Pbx
from agi_monitor.pbx.rechecking import Rechecking
from agi_monitor.pbx.under_way import UnderWay
from agi_monitor.pbx.watched import WatchedGrants
from agi_monitor.supervision.grant import Grant
from agi_monitor.supervision.live_circumstances import LiveCircumstances
from agi_monitor.supervision.policy import Policy

CHECK_SECONDS = 0.5
"""Between two comparisons of the clock with the grants, while there are rules that depend on it."""

RETRY_SECONDS = 60.0
"""Between two tries by the clock to end a spy while there is no connection."""

SOURCE_SECONDS = 3.0
"""Between two questions to the PBX itself who is on a call that is heard, also while the picture is trusted."""


class Looks:
    """Looks at the spies of one PBX, as long as there are some.

    Parameters:
        pbx: the PBX.
        reactor: Twisted's, or a ``Clock``.
        policy: returns what the configuration says now.
        watched: the grants that are on.
        carriers: finds the supervisor's own channel.
        circumstances: says whether the picture can be trusted.
        handing_over: looks for a spy whose channel is gone.
        parties: looks at who is on a call.
        rechecking: decides again.
        has_other_way: returns whether a channel can be ended without a connection.
        under_way: begins what is not waited for.
    """

    def __init__(
        self,
        pbx: Pbx,
        reactor: IReactorTime,
        policy: Callable[[], Policy],
        watched: WatchedGrants,
        carriers: Carriers,
        circumstances: LiveCircumstances,
        handing_over: HandingOver,
        parties: Parties,
        rechecking: Rechecking,
        has_other_way: Callable[[], bool],
        under_way: UnderWay,
    ) -> None:
        self._pbx = pbx
        self._reactor = reactor
        self._policy = policy
        self._watched = watched
        self._carriers = carriers
        self._circumstances = circumstances
        self._handing_over = handing_over
        self._parties = parties
        self._rechecking = rechecking
        self._has_other_way = has_other_way
        self._under_way = under_way
        self._next_check: IDelayedCall | None = None
        self._looked_at = float("-inf")
        self._stopping = False

    def stop(self) -> None:
        """Look no more."""
        self._stopping = True
        if self._next_check is not None:
            self._next_check.cancel()
        self._next_check = None

    def check_within(self) -> None:
        """See to it that the clock is looked at, and the calls themselves, as long as a call is heard."""
        if self._stopping or not self._watched.ours():
            return
        often = self._policy().rights.depend_on_time or not self._circumstances.are_live
        seconds, coming = CHECK_SECONDS if often else SOURCE_SECONDS, self._next_check
        if coming is not None:
            if coming.getTime() - self._reactor.seconds() <= seconds:
                return
            coming.cancel()
        self._next_check = self._reactor.callLater(seconds, self._check)

    def _check(self) -> None:
        self._next_check = None
        now = self._reactor.seconds()
        looks = not self._circumstances.are_live or now - self._looked_at >= SOURCE_SECONDS
        self._looked_at = now if looks else self._looked_at
        is_up = isinstance(self._pbx.state, Up)
        for grant in self._watched.ours():
            # Without a connection only the site's own command can end a spy, and it is not tried all the time.
            at = self._watched.of(grant).revoked_at
            tried = at is not None and now - at < RETRY_SECONDS
            if is_up or (self._has_other_way() and not tried):
                self._rechecking.recheck(grant)
            if looks and is_up:
                self._under_way.begin(self._look(grant))
        self.check_within()

    async def _look(self, grant: Grant) -> None:
        """Ask the PBX itself where a spy is and who is on its call; one look at a time."""
        watched = self._watched.of(grant)
        if watched.looking:
            return
        watched.looking = True
        try:
            if await self._carriers.own(grant) is None and grant in self._watched.ours():
                await self._handing_over.look_for(grant)
            await self._parties.look_at_source(grant)
            pressed_at = self._watched.of(grant).pressed
            is_lost = pressed_at is not None and self._reactor.seconds() - pressed_at >= SOURCE_SECONDS
            if is_lost and self._parties.runs_chanspy(grant):
                # The key was lost on its way.
                await self._parties.press(grant)
        finally:
            watched.looking = False
