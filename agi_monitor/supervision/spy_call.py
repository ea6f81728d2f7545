"""The story of one ``*222`` call, its steps in order.

::

    answer -> who -> PIN -> extension -> rule -> channel -> audit -> ChanSpy -> key? -> ... -> hang up
                            one after the other (*222*)                            -> the next call of the agent, or
                                                                                      of the customer -> rule -> ...

Every step says yes, or returns a ``Refusal`` that is spoken and audited.
"""

from __future__ import annotations

import random
from functools import partial

from agi_monitor.audit.facts import End
from agi_monitor.errors import CallEnded, CommandFailed
from agi_monitor.live.targets import DeviceLookup
from agi_monitor.model import Cue, Mode, Reason, Refusal, SpyRequest
from agi_monitor.pins.guard import PinGuard
from agi_monitor.supervision import feature_code
from agi_monitor.supervision.choosing import Choosing
from agi_monitor.supervision.following import AGENT_SECONDS, Following
from agi_monitor.supervision.grant import Grant
from agi_monitor.supervision.grant_watch import NO_MANAGER, ManagerInterface
from agi_monitor.supervision.hearing import Hearing, unheard
from agi_monitor.supervision.hooks import ResolvedDevices
from agi_monitor.supervision.identification import identify
from agi_monitor.supervision.line import HandedOver, SupervisorLine
from agi_monitor.supervision.scan_order import Choice, before
from agi_monitor.supervision.scanning import Scanning
from agi_monitor.supervision.spying import ENDS_THE_CALL, Spying
from agi_monitor.supervision.waiting import Waited, wait

EXTENSION_SECONDS = 8.0
"""Silence after which what was keyed in counts as the extension."""

MAX_MISSES = 5
"""Refused or empty requests in a row before the call is ended: extensions cannot be searched by ear."""

MAX_TRIES = 5
"""Calls of an agent who is waited for that come to nothing, before the refusal is said: what the live picture says of
the agent and what the PBX says may differ for longer."""


class SpyCall:
    """One call of a supervisor.

    Parameters:
        line: the supervisor's.
        pins: counts attempts.
        devices: looks agents up.
        manager: the PBX as its manager interface shows it. Without one there is no scan, and no call is waited for.
        choice: picks one of several, for a scan in random order.
    """

    def __init__(
        self,
        line: SupervisorLine,
        pins: PinGuard,
        devices: DeviceLookup,
        manager: ManagerInterface = NO_MANAGER,
        choice: Choice = random.choice,
    ) -> None:
        self._line = line
        self._caller = line.caller
        self._policy = line.policy
        self._pins = pins
        devices = devices if line.hooks is None else ResolvedDevices(devices, line.hooks)
        live = manager.live
        self._spying = Spying(line, devices, manager)
        self._choosing = Choosing(line, devices, live, self._spying)
        self._hearing = Hearing(line, live, self._spying, self._choosing)
        self._following = Following(line, devices, live, self._spying, self._hearing)
        self._scanning = Scanning(line, live, self._spying, self._hearing, choice)

    @property
    def spying(self) -> bool:
        """Whether something that gives sound runs now."""
        return self._spying.spying

    @property
    def grant(self) -> Grant | None:
        """By which grant something that gives sound runs now."""
        return self._spying.grant if self._spying.spying else None

    def ends_by_server(self, why: End) -> None:
        """Note that the server ends this call, so that the audit tells it from a hang-up."""
        self._spying.ended_by_server = why

    async def run(self) -> None:
        """Tell the story to its end. The call is over afterwards."""
        request = feature_code.parse(self._line.dialled.extension, self._policy().codes)
        asked = self._line.asks(
            *((request.mode, request.extension) if isinstance(request, SpyRequest) else (None, None))
        )
        self._line.log.info("call_started", mode=asked.mode, extension=asked.extension)
        try:
            await self._caller.answer()
            await self._line.confirm()
            await self._story(request)
            await self._line.abandon(End.SUPERVISOR_LEFT)
            await self._line.say(Cue.GOODBYE)
        except HandedOver as moved:
            # The phone that has the call now is played nothing more.
            if not self._spying.handed_over:
                await self._line.handed_over(moved)
        except CommandFailed as error:
            self._line.log.error("pbx_error", command=error.verb, code=error.code)
            await self._line.refuse(Refusal(Reason.PBX_ERROR, str(error)))
        except CallEnded:
            await self._line.abandon(self._spying.why_the_call_ended())
            raise
        finally:
            self._line.log.info("call_ended")
        await self._caller.hangup()

    async def _story(self, request: SpyRequest | Refusal) -> None:
        if isinstance(request, Refusal):
            await self._line.refuse(request)
            return
        refusal = await identify(self._line, self._pins)
        if refusal is not None:
            await self._line.refuse(refusal, request.mode, request.extension)
        elif request.scan:
            await self._scanning.run(request.mode, request.number)
        else:
            await self._one_after_another(request)

    async def _one_after_another(self, request: SpyRequest) -> None:
        extension, misses = request.extension, 0
        heard: list[str] = []
        while misses < MAX_MISSES:
            if extension is not None and len(extension) < self._policy().shortest_extension(self._line.tenant):
                extension = await self._ask_rest(extension)
            if extension is None:
                if self._line.identity_lost is not None:
                    await self._line.refuse(self._line.identity_lost, request.mode)
                    return
                extension = await self._ask_extension()
                if not extension:
                    if not self._spying.grants:
                        await self._line.refuse(Refusal(Reason.EXTENSION_MISSING), request.mode)
                    return
            # From here on it is the agent, and not what another tenant's supervisor would mean by the same digits.
            agent = self._policy().agent_for(self._line.tenant, extension)
            extension = extension if agent is None else agent.extension
            outcome = await self._reach(extension, request.mode)
            if outcome is End.CALL_OVER:
                outcome = await self._following.follow(extension, request.mode)
            if isinstance(outcome, Refusal) and outcome.reason in ENDS_THE_CALL:
                return
            misses = misses + 1 if isinstance(outcome, Refusal) else 0
            went_back = outcome is End.SUPERVISOR_LEFT and self._spying.went_back
            extension = before(heard, extension, went_back=went_back)

    async def _ask_extension(self) -> str:
        longest = self._policy().longest_extension(self._line.tenant)
        self._line.log.info("extension_prompted")
        return await self._line.ask(Cue.ASK_EXTENSION, EXTENSION_SECONDS, longest)

    async def _ask_rest(self, begun: str) -> str:
        """Ask for the digits that are missing. If the whole extension is keyed in instead, it is that one."""
        longest = self._policy().longest_extension(self._line.tenant)
        self._line.log.info("extension_prompted")
        keyed = await self._line.ask(Cue.ASK_REST, EXTENSION_SECONDS, longest)
        whole = begun + keyed
        known = self._policy().agent_for(self._line.tenant, whole)
        return keyed if known is None and self._policy().agent_for(self._line.tenant, keyed) is not None else whole

    async def _reach(self, extension: str, mode: Mode) -> End | Refusal:
        """Hear an agent until it is over; an agent who has no call yet is waited for, where the site wants that."""
        outcome = await self._hearing.attempt(extension, mode)
        waiting, began = self._policy().waiting, self._line.seconds()
        waited_for, tries = waiting.reasons, 1
        while isinstance(outcome, Refusal) and outcome.reason in waited_for and tries < MAX_TRIES:
            held = self._choosing.held
            state = () if outcome.reason is Reason.NO_CALL else (outcome.reason,)
            named = self._line.named(extension)
            waited = await wait(
                self._line,
                partial(self._following.has_call, extension, unheard(mode), held),
                [(moment, named) for moment in (*state, Cue.WAITING_FOR)],
                AGENT_SECONDS,
                began + waiting.seconds - self._line.seconds(),
            )
            if waited is Waited.LEFT:
                await self._line.record_refusal(outcome, mode, extension)
                return outcome
            if waited is Waited.IN_VAIN:
                break
            mode, tries = unheard(mode), tries + 1
            outcome = await self._hearing.attempt(extension, mode, "" if held is None else held.peers[0])
            # A call that was over before it was heard does not end the wait.
            waited_for = waiting.reasons | {Reason.TARGET_GONE}
        if isinstance(outcome, Refusal):
            await self._line.refuse(outcome, mode, extension)
        return outcome
