"""Spies that are not ours: the alarm about those without a grant, and how they end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import structlog
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from agi_monitor.audit.facts import RogueSpy, RogueSpyEnded
from agi_monitor.errors import AgiMonitorError
from agi_monitor.model import RogueSpies
from agi_monitor.names import Uniqueid
from agi_monitor.pbx.carriers import Carriers
from agi_monitor.pbx.pbx import Pbx
from agi_monitor.pbx.records import Records
from agi_monitor.pbx.under_way import UnderWay
from agi_monitor.supervision import confirmation
from agi_monitor.supervision.grants import Grants
from agi_monitor.supervision.policy import Policy
from agi_monitor.supervision.spies import SETTLED, Spy, SpyKind
from agi_monitor.supervision.spying_applications import APPLICATIONS, JOINING

KILLED = "killed"
"""Why a grant ends on request."""

AGAIN_SECONDS = 3.0
"""Between two tries to hang up a rogue spy."""

log = structlog.get_logger()


class Rogues:
    """The rogue spies of one PBX.

    Parameters:
        pbx: the PBX.
        reactor: Twisted's, or a ``Clock``.
        policy: returns what the configuration says now.
        grants: who hears whom.
        carriers: waits until a channel is gone.
        records: puts on record who heard whom.
        under_way: begins what is not waited for.
    """

    def __init__(
        self,
        pbx: Pbx,
        reactor: IReactorTime,
        policy: Callable[[], Policy],
        grants: Grants,
        carriers: Carriers,
        records: Records,
        under_way: UnderWay,
    ) -> None:
        self._pbx = pbx
        self._reactor = reactor
        self._policy = policy
        self._grants = grants
        self._carriers = carriers
        self._records = records
        self._under_way = under_way
        self._killed_by: dict[str, str] = {}
        """By the channel that hears, who had it ended."""
        self._hanging_up: dict[str, IDelayedCall | None] = {}
        """Channels of rogue spies that are being hung up, and the next try where there is one."""
        self._stopping = False

    def stop(self) -> None:
        """Try no more."""
        self._stopping = True
        for again in self._hanging_up.values():
            if again is not None:
                again.cancel()
        self._hanging_up.clear()

    async def take_rogue(self, spy: Spy, *, on: bool = True) -> None:
        """Raise the alarm about a spy, and do what the configuration wants done.

        Parameters:
            spy: the spy.
            on: whether it is still on.
        """
        node, reaction = self._pbx.node, self._policy().rogue if on else RogueSpies.ALARM
        log.warning("rogue_spy", node=node, spyer=spy.spyer, spyee=spy.spyee, why=spy.why, action=reaction)
        if reaction is RogueSpies.HANG_UP:
            self._under_way.begin(self.hang_up_rogue(spy))
        await self._records.append(
            RogueSpy(
                at=self._records.now(),
                node=node,
                spyer=spy.spyer,
                spyer_uniqueid=spy.spyer_uniqueid,
                spyee=spy.spyee,
                spyee_uniqueid=spy.spyee_uniqueid,
                why=spy.why,
                action=reaction,
            )
        )

    async def take_unasked(self, spy: Spy) -> None:
        """It is over, and its channel could not be asked for a grant: a call was heard."""
        if not spy.idle:
            await self.take_rogue(replace(spy, why="its channel could not be asked"), on=False)
            self.take_rogues_end(spy, "")

    async def hang_up_rogue(self, spy: Spy) -> None:
        """Hang up a rogue spy, and nothing that only an event or a list calls one. It is tried again while it
        lasts."""
        if spy.spyer_uniqueid in self._hanging_up:
            return
        self._hanging_up[spy.spyer_uniqueid] = None
        is_found = True
        try:
            is_found = await self._hang_up_found(spy)
        finally:
            self._hanging_up.pop(spy.spyer_uniqueid, None)
            if is_found and not self._stopping and self._wanted(spy.spyer_uniqueid) is not None:
                again = self._reactor.callLater(AGAIN_SECONDS, self._hang_up_again, spy.spyer_uniqueid)
                self._hanging_up[spy.spyer_uniqueid] = again

    def _hang_up_again(self, uniqueid: str) -> None:
        self._hanging_up.pop(uniqueid, None)
        spy = self._wanted(uniqueid)
        if spy is not None:
            self._under_way.begin(self.hang_up_rogue(spy))

    def _wanted(self, uniqueid: str) -> Spy | None:
        """Return the rogue spy that is to be hung up on a channel."""
        if self._policy().rogue is not RogueSpies.HANG_UP:
            return None
        return next((spy for spy in self._grants.rogues() if spy.spyer_uniqueid == uniqueid), None)

    async def _hang_up_found(self, spy: Spy) -> bool:
        spying = await confirmation.spy(self._pbx, spy.spyer_uniqueid, APPLICATIONS)
        by_right = await self.hears_by_grant(spy.spyer_uniqueid) or await self._carriers.hears_by_another(spy)
        if spying is None or by_right or await self._is_over(spy):
            log.warning("rogue_spy_not_found", node=self._pbx.node, spyer=spy.spyer)
            return False
        await self._pbx.hang_up(spying)
        return True

    async def _is_over(self, spy: Spy) -> bool:
        """Return whether a spy is known to be over: in our context a channel still names the application."""
        return not self._grants.is_known(spy.spyer_uniqueid) and await self._carriers.is_ours(spy.spyer_uniqueid)

    async def hears_by_grant(self, uniqueid: str) -> bool | None:
        """Return whether a channel hears just whom its grant names, as the PBX says itself, or no channel. None: it
        is gone, or no longer has a grant."""
        channel = Uniqueid.read(uniqueid)
        of_channel = (spy for spy in self._grants.spies() if spy.spyer_uniqueid == uniqueid)
        # A rogue spy may have a grant that is over, or another spy's.
        by_right = next((spy for spy in of_channel if spy.kind in (SpyKind.GRANTED, *SETTLED)), None)
        if channel is None or by_right is None:
            return None
        granted = by_right.spyee_uniqueid if by_right.grant is None else by_right.grant.spyee_uniqueid
        application = await self._pbx.variable(channel, "CHANNEL(appname)")
        if application is None:
            return None
        if application not in APPLICATIONS:
            return True
        heard = (await self._pbx.variable(channel, "CHANNEL(appdata)") or "").partition(",")[0]
        return heard == granted

    async def kill(self, spy: Spy, by: str) -> bool:
        """End a spy on request. False: its channel spies no more.

        Parameters:
            spy: one that is not ours.
            by: who says so.

        Raises:
            Disconnected, NoAnswer, ActionFailed: the PBX could not be told.
        """
        spying = await confirmation.spy(self._pbx, spy.spyer_uniqueid, APPLICATIONS | JOINING)
        if spying is None:
            return False
        if spy.grant is not None:
            await self._records.append(self._records.revocation(spy.grant, KILLED, by))
        self._killed_by[spy.spyer_uniqueid] = by
        try:
            await self._pbx.hang_up(spying)
            await self._carriers.wait_until_gone(spying.uniqueid)
        except AgiMonitorError:
            self._killed_by.pop(spy.spyer_uniqueid, None)
            raise
        # The end may have been taken in while it was told.
        self._killed_by = {one: who for one, who in self._killed_by.items() if self._grants.is_known(one)}
        return True

    def take_killer(self, spy: Spy) -> str:
        """Return who had a spy ended that is over, and forget it; may be empty."""
        return self._killed_by.pop(spy.spyer_uniqueid, "")

    def take_rogues_end(self, spy: Spy, by: str) -> None:
        """Put the end of a rogue spy on record.

        Parameters:
            spy: the spy.
            by: who had it ended; may be empty.
        """
        self._records.record(
            RogueSpyEnded(
                at=self._records.now(),
                node=self._pbx.node,
                spyer=spy.spyer,
                spyer_uniqueid=spy.spyer_uniqueid,
                seconds=round(self._reactor.seconds() - spy.since, 3),
                by=by,
            )
        )
