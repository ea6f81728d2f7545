"""A scan: the calls of all agents that may be heard, one after the other."""

from __future__ import annotations

from functools import partial

from agi_monitor.audit.facts import End
from agi_monitor.live import targets
from agi_monitor.live.calls import Origin
from agi_monitor.live.index import Stale
from agi_monitor.live.port import LivePbx
from agi_monitor.live.targets import DeviceChannel
from agi_monitor.model import Cue, Mode, Reason, Refusal
from agi_monitor.rights.authorization import ALL
from agi_monitor.supervision import chanspy
from agi_monitor.supervision.hearing import Hearing
from agi_monitor.supervision.line import SupervisorLine
from agi_monitor.supervision.owners import agents_at
from agi_monitor.supervision.policy import ScanOf
from agi_monitor.supervision.scan_order import AgentCall, Choice, before, next_call
from agi_monitor.supervision.spying import ENDS_THE_CALL, Spying
from agi_monitor.supervision.waiting import until_call

MAX_REFUSED = 100
"""Calls that one scan may be refused, before it ends: what is protected cannot be tried out by ear."""

ALL_CALLS = ScanOf(frozenset({ALL}))
"""What a scan without a number comes to."""


class Scanning:
    """Hears one call after the other, without an extension.

    Parameters:
        line: the supervisor's.
        live: the PBX as its manager interface shows it.
        spying: decides what is possible.
        hearing: hears each call.
        choice: picks one of several, for a scan in random order.
    """

    def __init__(self, line: SupervisorLine, live: LivePbx, spying: Spying, hearing: Hearing, choice: Choice) -> None:
        self._line = line
        self._policy = line.policy
        self._live = live
        self._spying = spying
        self._hearing = hearing
        self._choice = choice
        self._scannable: tuple[str, ...] = ()
        """The agent, if any, whom the scan was last found to be allowed to come to."""

    async def run(self, mode: Mode, number: str) -> None:
        """Hear the calls of all agents that may be heard; no agent twice in a round.

        Parameters:
            mode: to begin with.
            number: of the scan, which says whose calls; empty for those of all.
        """
        if number and number not in self._policy().scans:
            await self._line.refuse(Refusal(Reason.CODE_UNKNOWN, f"there is no scan {number}"), mode)
            return
        order: list[str] = []
        again: str | None = None
        heard: set[str] = set()
        refused: set[str] = set()  # calls, by the agent's channel: what was refused once is not tried all the time
        while len(refused) < MAX_REFUSED:
            call = self._next(heard, refused, mode, number)
            if isinstance(call, Refusal):
                await self._line.refuse(call, mode)
                return
            if again is not None:
                extension, uniqueid = again, ""
            elif call is not None:
                extension, uniqueid = call.extension, call.uniqueid
            else:
                if not heard and not await until_call(self._line, partial(self._has_next, refused, mode, number)):
                    return
                heard.clear()
                continue
            heard.add(extension)
            self._line.log.info("scanned", extension=extension)
            self._line.forget_keys()
            await self._line.say(Cue.SCANNED, self._line.named(extension))
            pressed = self._line.take_key()
            if pressed == chanspy.LEAVE_KEY:
                again = None
                continue
            if pressed == chanspy.BACK_KEY:
                again = before(order, extension, went_back=True)
                continue
            chosen = chanspy.MODE_KEYS.get(pressed, mode)
            # A call is taken over from another mode only, once it is heard.
            outcome = await self._hearing.hear(extension, mode if chosen is Mode.TAKE_OVER else chosen, scan=True)
            if isinstance(outcome, Refusal) and outcome.reason in ENDS_THE_CALL:
                return
            went_back = outcome is End.SUPERVISOR_LEFT and self._spying.went_back
            again = before(order, extension, went_back=went_back)
            if isinstance(outcome, Refusal) or outcome is End.PBX_ENDED:
                refused.add(uniqueid)

    async def _has_next(self, refused: set[str], mode: Mode, number: str) -> bool:
        return self._next(set(), refused, mode, number) is not None

    def _next(self, heard: set[str], refused: set[str], mode: Mode, number: str) -> AgentCall | Refusal | None:
        if self._line.identity_lost is not None:
            return self._line.identity_lost
        endpoints = self._live.endpoints()
        if isinstance(endpoints, Stale):
            return Refusal(Reason.STALE, endpoints or "there is no manager interface")
        of = self._policy().scans.get(number) if number else ALL_CALLS
        if of is None:
            return Refusal(Reason.CODE_UNKNOWN, f"there is no scan {number}")
        # Those who have a channel, and not all agents: a scan that waits looks twice a second.
        agents = {
            agent.extension: agent
            for endpoint in endpoints
            for agent in agents_at(self._policy(), self._live, endpoint)
            if of.names(agent)
        }
        calls = []
        for extension in (extension for extension in agents if extension not in heard):
            permitted = self._spying.possible(extension, mode, scan=True)
            if isinstance(permitted, Refusal):
                continue
            devices = self._live.devices_of(permitted.agent)
            if devices is Stale.RELOADED:
                continue  # this agent's hint alone is in doubt
            if isinstance(devices, Stale):
                return Refusal(Reason.STALE, devices)
            found = targets.candidates(devices, permitted.own)
            if not isinstance(found, Refusal):
                found = self._hearing.choosing.may_be_heard(extension, mode, found, scan=True)
            if isinstance(found, Refusal) or found[0].uniqueid in refused or not self._is_of(of, found[0]):
                continue
            if self._can_be_heard(found[0], mode):
                calls.append(AgentCall(extension, found[0].uniqueid))
        if not calls and not self._may_scan(mode):
            return Refusal(Reason.MODE_DENIED, "no rule allows it on any agent")
        return next_call(calls, self._policy().scan_order, self._choice)

    def _is_of(self, of: ScanOf, channel: DeviceChannel) -> bool:
        if not of.queues:
            return True
        origin = self._live.origin_of(channel.uniqueid)
        return isinstance(origin, Origin) and origin.queue in of.queues

    def _may_scan(self, mode: Mode) -> bool:
        """Return whether the scan may come to any agent."""
        policy = self._policy()
        # The one who was found the last time is asked first.
        for extension in (*filter(policy.agents.__contains__, self._scannable), *policy.agents):
            if not isinstance(self._spying.possible(extension, mode, scan=True), Refusal):
                self._scannable = (extension,)
                return True
        return False

    def _can_be_heard(self, channel: DeviceChannel, mode: Mode) -> bool:
        policy = self._policy()
        return targets.possible(channel, mode, policy.barge) is None and not channel.on_hold
