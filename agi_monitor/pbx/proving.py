"""Asks the channel of a spy for its grant: it has none, or one of ours, of an earlier run, or of another server.

::

    no grant, or a copied one                      rogue
    of another server                              it is left to that one
    of an earlier run of this server               adopted: it is watched over like one of ours
    of this server, and its own channel is gone    the spy was handed over: it ends
    none, in our context, where only a list        a supervisor at a prompt; one who stays there for too long without
      has named it, or its end was told              ever having had a grant is looked at again
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from agi_monitor.errors import AgiMonitorError
from agi_monitor.names import Uniqueid
from agi_monitor.pbx.adopting import Adopting
from agi_monitor.pbx.carriers import Carriers
from agi_monitor.pbx.handing_over import HandingOver
from agi_monitor.pbx.pbx import Pbx
from agi_monitor.pbx.rechecking import Rechecking
from agi_monitor.pbx.rogues import Rogues
from agi_monitor.pbx.under_way import UnderWay
from agi_monitor.pbx.watched import WatchedGrants
from agi_monitor.supervision import confirmation, proof
from agi_monitor.supervision.grant import Grant
from agi_monitor.supervision.proof import Signer
from agi_monitor.supervision.spies import Spy, SpyKind
from agi_monitor.supervision.spying_applications import APPLICATIONS

PROMPT_SECONDS = 120.0
"""How long a supervisor of whom no grant is known may be at a prompt, as one of another server may: then it is a
spy."""


class Proving:
    """Asks the spies of one PBX for their grants.

    Parameters:
        pbx: the PBX.
        reactor: Twisted's, or a ``Clock``.
        signer: reads grants.
        watched: the grants that are on.
        carriers: knows the channels of supervisors.
        handing_over: ends a spy that was handed over.
        rogues: takes those without a grant.
        adopting: takes those of an earlier run.
        rechecking: decides again about those who hear the same call.
        under_way: begins what is not waited for.
        take_start: takes a spy that is to be proved.
        take_orphan: watches over one that was adopted.
    """

    def __init__(
        self,
        pbx: Pbx,
        reactor: IReactorTime,
        signer: Signer,
        watched: WatchedGrants,
        carriers: Carriers,
        handing_over: HandingOver,
        rogues: Rogues,
        adopting: Adopting,
        rechecking: Rechecking,
        under_way: UnderWay,
        take_start: Callable[[Spy | None], None],
        take_orphan: Callable[[Grant], Coroutine[Any, Any, None]],
    ) -> None:
        self._pbx = pbx
        self._reactor = reactor
        self._signer = signer
        self._watched = watched
        self._grants = watched.grants
        self._carriers = carriers
        self._handing_over = handing_over
        self._rogues = rogues
        self._adopting = adopting
        self._rechecking = rechecking
        self._under_way = under_way
        self._take_start = take_start
        self._take_orphan = take_orphan
        self._proving: dict[Spy, bool] = {}
        """Who is being asked, and whether the end of that spy was told meanwhile."""
        self._prompts: dict[str, IDelayedCall] = {}
        """By channel, the look whether who may be at a prompt still is."""
        self._stopping = False

    def stop(self) -> None:
        """Look at prompts no more."""
        self._stopping = True
        for look in self._prompts.values():
            look.cancel()
        self._prompts.clear()

    def take_stop(self, spyer_uniqueid: str, spyee_uniqueid: str) -> None:
        """The PBX told the end of a spy, which is not confirmed yet.

        Parameters:
            spyer_uniqueid: the channel that hears.
            spyee_uniqueid: the one that is heard; empty where that is not told.
        """
        for spy in self._proving:
            if spy.spyer_uniqueid == spyer_uniqueid and spyee_uniqueid in ("", spy.spyee_uniqueid):
                self._proving[spy] = True

    def is_settled_soon(self, spy: Spy) -> bool:
        """Return whether a spy is being asked for a grant, or hung up because it has one that was handed to it."""
        return spy in self._proving or self._handing_over.is_putting_out(spy.spyer_uniqueid)

    async def prove(self, spy: Spy) -> None:
        """Ask the channel for a grant: it has none, or one of ours, of an earlier run, or of another server."""
        self._proving[spy] = False
        asked_at = self._reactor.seconds()
        try:
            # A channel that is gone already proves nothing: a call was heard.
            signed = await self._carriers.proof_on(spy.spyer_uniqueid)
            proven = self._signer.read(signed)
            was_moved = proven is not None and await self._was_moved(spy, proven)
            moved = await confirmation.carrier(self._pbx, spy.spyer_uniqueid, signed) if was_moved else None
            if was_moved and moved is None:
                if not await self.exists(spy.spyer_uniqueid):
                    self._grants.dropped(spy)
                return
            # With the end of a spy its proof is cleared, which may be before the PBX has answered for it.
            was_ended = self._proving[spy] and not signed and await self._carriers.is_ours(spy.spyer_uniqueid)
        except AgiMonitorError:
            if spy not in self._grants.unproven():
                await self._rogues.take_unasked(spy)
            raise
        finally:
            self._proving.pop(spy, None)
        if moved is not None and proven is not None:
            # A list has shown the phone that a spy was handed to unseen. It is not a rogue: it ends whatever the
            # policy.
            await self._handing_over.end_handed_over(proven.grant, moved)
            return
        if (spy.idle or was_ended) and spy not in self._grants.unproven():
            # The supervisor, who was at a prompt, has begun to spy by a grant meanwhile, or is gone.
            return
        if (spy.idle or was_ended) and not signed:
            # A supervisor of ours or of another server, at a prompt.
            self._grants.dropped(spy)
            if not spy.idle:
                self._carriers.take_prompt(spy.spyer_uniqueid, spy.spyer)
            known = self._carriers.is_caller(spy.spyer_uniqueid, spy.spyer)
            if not known and spy.spyer_uniqueid not in self._prompts and not self._stopping:
                look = self._reactor.callLater(PROMPT_SECONDS, self._begin_prompt_look, spy)
                self._prompts[spy.spyer_uniqueid] = look
            return
        kind, why = self._kind(spy, signed, proven)
        if kind is SpyKind.ROGUE and await self._is_called_otherwise(spy):
            return
        if kind in (SpyKind.ADOPTED, SpyKind.OTHERS):
            self._carriers.take_caller(spy.spyer_uniqueid, spy.spyer)
        if kind is SpyKind.ADOPTED and proven is not None:
            self._adopting.adopt(proven.grant, signed)
            self._carriers.was_there(proven.grant, asked_at)
        settled = self._grants.proved(spy, kind, None if proven is None else proven.grant, why)
        if settled is not None:
            # It may have begun before some of ours, by the grant of another server.
            self._rechecking.recheck_listeners(settled)
        if kind is SpyKind.ROGUE:
            await self._rogues.take_rogue(settled or replace(spy, why=why))
            if settled is None:
                # Its end came before it was known to be rogue.
                self._rogues.take_rogues_end(spy, "")
        elif kind is SpyKind.ADOPTED and proven is not None:
            if settled is not None:
                await self._take_orphan(proven.grant)
            elif proven.grant not in self._watched.ours():
                # It ended before it was known whose it was.
                self._adopting.take_orphans_end(proven.grant)

    def _kind(self, spy: Spy, signed: str, proven: proof.Proof | None) -> tuple[SpyKind, str]:
        if self._signer.is_of_another(signed, spy.spyer_uniqueid, spy.spyee_uniqueid):
            return SpyKind.OTHERS, ""
        if proven is None:
            return SpyKind.ROGUE, "nobody granted it"
        grant = proven.grant
        if grant.spyer_uniqueid != spy.spyer_uniqueid or spy.spyee_uniqueid not in ("", grant.spyee_uniqueid):
            return SpyKind.ROGUE, "the grant on its channel is for another call"
        if proven.run == self._signer.run:
            return SpyKind.ROGUE, "its grant is over"
        return SpyKind.ADOPTED, ""

    async def _is_called_otherwise(self, spy: Spy) -> bool:
        """Return whether the PBX has another name for the channel of a spy than what told of it: by that name it is
        judged, and for a device that is excepted the name is all that counts."""
        channel = Uniqueid.read(spy.spyer_uniqueid)
        name = None if channel is None else await self._pbx.variable(channel, "CHANNEL(name)")
        if not name or name == spy.spyer:
            return False
        self._take_start(self._grants.called(spy, name, self._reactor.seconds()))
        return True

    async def _was_moved(self, spy: Spy, proven: proof.Proof) -> bool:
        """Return whether a grant of this server, of this run or an earlier one, stands on another phone because the
        supervisor's channel is gone. While that is there, its proof was copied."""
        grant = proven.grant
        if proven.server != self._signer.server or grant.spyer_uniqueid == spy.spyer_uniqueid:
            return False
        if spy.spyee_uniqueid not in ("", grant.spyee_uniqueid):
            return False
        return await self._carriers.own(grant) is None

    async def still_proven(self, spy: Spy) -> None:
        """The end of another server's spy may have been missed; its proof ends with it."""
        signed = await self._carriers.proof_on(spy.spyer_uniqueid)
        if not self._signer.is_of_another(signed, spy.spyer_uniqueid, ""):
            self._grants.dropped(spy)

    async def exists(self, uniqueid: str) -> bool:
        """Return whether the PBX has a channel."""
        channel = Uniqueid.read(uniqueid)
        return channel is not None and await self._pbx.variable(channel, "CHANNEL(state)") is not None

    # ---- at a prompt -----------------------------------------------------------------------------------

    def _begin_prompt_look(self, spy: Spy) -> None:
        self._prompts.pop(spy.spyer_uniqueid, None)
        if not self._carriers.is_caller(spy.spyer_uniqueid, spy.spyer):
            self._under_way.begin(self._look_at_prompt(spy))

    async def _look_at_prompt(self, spy: Spy) -> None:
        """No prompt lasts this long: it spies, and its context is not its own."""
        if await confirmation.same(self._pbx, spy.spyer_uniqueid, spy.spyer) is None:
            return
        if await confirmation.spy(self._pbx, spy.spyer_uniqueid, APPLICATIONS) is not None:
            self._take_start(self._grants.suspected(replace(spy, idle=False)))
