"""The story of one ``*222`` call, its steps in order.

::

    answer -> who -> PIN -> extension -> rule -> channel -> audit -> ChanSpy -> key? -> ... -> hang up
                            one after the other (*222*)                            -> the next call of the agent, or
                                                                                      of the customer -> rule -> ...

Every step says yes, or returns a ``Refusal`` that is spoken and audited.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from functools import partial

from agi_monitor.audit.facts import End
from agi_monitor.errors import CallEnded, CommandFailed
from agi_monitor.live import targets
from agi_monitor.live.calls import Origin
from agi_monitor.live.index import Stale
from agi_monitor.live.targets import AgentDevices, DeviceChannel, DeviceLookup
from agi_monitor.model import Cue, Follow, Mode, Reason, Refusal, SpyRequest
from agi_monitor.names import unusable_characters
from agi_monitor.pins.guard import PinGuard
from agi_monitor.rights.authorization import ALL
from agi_monitor.supervision import chanspy, feature_code, scan
from agi_monitor.supervision.deciding import Spyee
from agi_monitor.supervision.grant_watch import NO_MANAGER, ManagerInterface
from agi_monitor.supervision.grants import Grant
from agi_monitor.supervision.hooks import ResolvedDevices
from agi_monitor.supervision.identification import identify
from agi_monitor.supervision.line import HandedOver, SupervisorLine
from agi_monitor.supervision.owners import agents_at, other_owner_refuses
from agi_monitor.supervision.policy import ScanOf
from agi_monitor.supervision.prompts import CHOICE, NUMBER
from agi_monitor.supervision.spying import ENDS_THE_CALL, Spying
from agi_monitor.supervision.waiting import Waited, wait

EXTENSION_SECONDS = 8.0
"""Silence after which what was keyed in counts as the extension."""

CHOICE_SECONDS = 8.0
"""So long the supervisor may think about which call is meant."""

MAX_CHOICES = 9
"""One key per call."""

MAX_MISSES = 5
"""Refused or empty requests in a row before the call is ended: nobody searches the extensions by ear."""

MAX_TRIES = 5
"""Calls of an agent who is waited for that come to nothing, before the refusal is said: what the live picture says of
the agent and what the PBX says may differ for longer."""

MAX_REFUSED = 100
"""Calls that one scan may be refused, before it ends: nobody tries out by ear what is protected."""

WAIT_SECONDS = 0.5
"""Between two looks for the next call, while a supervisor waits for one; a key is noticed at once."""

AGENT_SECONDS = 0.2
"""The same, while they wait for one agent: that is a short look, and the first words of the call are the greeting."""


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
        choice: scan.Choice = random.choice,
    ) -> None:
        self._line = line
        self._caller = line.caller
        self._policy = line.policy
        self._pins = pins
        self._devices = devices if line.hooks is None else ResolvedDevices(devices, line.hooks)
        self._resolve = line.hooks is not None and line.hooks.resolve
        self._live = manager.live
        self._choice = choice
        self._spying = Spying(line, self._devices, manager)
        self._customer = ""
        """The uniqueid of the other party of the call that was heard last."""
        self._held: DeviceChannel | None = None
        """The call that could not be heard last, because it is on hold."""
        self._scannable: tuple[str, ...] = ()
        """The agent, if any, whom the scan was last found to be allowed to come to."""

    @property
    def spying(self) -> bool:
        """Whether something that gives sound runs at this moment."""
        return self._spying.spying

    @property
    def grant(self) -> Grant | None:
        """By which grant something that gives sound runs at this moment."""
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
            # Whoever is there now hears nothing more, and is told nothing.
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
            await self._scan(request.mode, request.number)
        else:
            await self._one_after_another(request)

    # ---- whom ------------------------------------------------------------------------------------------

    async def _one_after_another(self, request: SpyRequest) -> None:
        extension, misses = request.extension, 0
        heard: list[str] = []
        while misses < MAX_MISSES:
            if extension is not None and len(extension) < self._policy().shortest_extension(self._line.endpoint):
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
            agent = self._policy().agent_for(self._line.endpoint, extension)
            extension = extension if agent is None else agent.extension
            outcome = await self._reach(extension, request.mode)
            if outcome is End.CALL_OVER:
                outcome = await self._follow(extension, request.mode)
            if isinstance(outcome, Refusal) and outcome.reason in ENDS_THE_CALL:
                return
            misses = misses + 1 if isinstance(outcome, Refusal) else 0
            went_back = outcome is End.SUPERVISOR_LEFT and self._spying.went_back
            extension = _before(heard, extension, went_back=went_back)

    async def _ask_extension(self) -> str:
        longest = self._policy().longest_extension(self._line.endpoint)
        self._line.log.info("extension_prompted")
        return await self._line.ask(Cue.ASK_EXTENSION, EXTENSION_SECONDS, longest)

    async def _ask_rest(self, begun: str) -> str:
        """Ask for the digits that are missing. Whoever keys in the whole extension instead means that one."""
        longest = self._policy().longest_extension(self._line.endpoint)
        self._line.log.info("extension_prompted")
        keyed = await self._line.ask(Cue.ASK_REST, EXTENSION_SECONDS, longest)
        whole = begun + keyed
        known = self._policy().agent_for(self._line.endpoint, whole)
        return keyed if known is None and self._policy().agent_for(self._line.endpoint, keyed) is not None else whole

    async def _spy_on(self, extension: str, mode: Mode, customer: str = "", *, scan: bool = False) -> End | Refusal:
        """Hear an agent until it is over.

        Parameters:
            extension: the agent.
            mode: to begin with.
            customer: of several calls, the one with this channel.
            scan: whether the scan came to the agent.
        """
        outcome = await self._try(extension, mode, customer, scan=scan)
        if isinstance(outcome, Refusal):
            await self._line.refuse(outcome, mode, extension)
        return outcome

    async def _try(self, extension: str, mode: Mode, customer: str = "", *, scan: bool = False) -> End | Refusal:
        """The same, without a word about a refusal."""
        self._held = None
        self._line.asks(mode, extension)
        chosen = await self._choose(extension, mode, customer, scan=scan)
        if isinstance(chosen, Refusal):
            return chosen
        self._customer = self._partner(chosen.channel)
        return await self._spying.spy(chosen, mode, scan=scan)

    async def _reach(self, extension: str, mode: Mode) -> End | Refusal:
        """Hear an agent until it is over; an agent who has no call yet is waited for, where the site wants that."""
        outcome = await self._try(extension, mode)
        waiting, began = self._policy().waiting, self._line.seconds()
        waited_for, tries = waiting.reasons, 1
        while isinstance(outcome, Refusal) and outcome.reason in waited_for and tries < MAX_TRIES:
            held = self._held
            state = () if outcome.reason is Reason.NO_CALL else (outcome.reason,)
            named = self._line.named(extension)
            waited = await wait(
                self._line,
                partial(self._has_call, extension, _unheard(mode), held),
                [(moment, named) for moment in (*state, Cue.WAITING_FOR)],
                AGENT_SECONDS,
                began + waiting.seconds - self._line.seconds(),
            )
            if waited is Waited.LEFT:
                await self._line.record_refusal(outcome, mode, extension)
                return outcome
            if waited is Waited.IN_VAIN:
                break
            mode, tries = _unheard(mode), tries + 1
            outcome = await self._try(extension, mode, "" if held is None else held.peers[0])
            # A call that was over before it was heard is no reason to give up.
            waited_for = waiting.reasons | {Reason.TARGET_GONE}
        if isinstance(outcome, Refusal):
            await self._line.refuse(outcome, mode, extension)
        return outcome

    async def _choose(self, extension: str, mode: Mode, customer: str, *, scan: bool) -> Spyee | Refusal:
        permitted = self._spying.possible(extension, mode, scan=scan)
        if isinstance(permitted, Refusal):
            return permitted
        devices = await self._devices.devices_of(permitted.agent)
        for identifier in devices.unusable:
            unusable = unusable_characters(identifier)
            self._line.log.error("identifier_unusable", identifier=repr(identifier), characters=repr(unusable))
        calls = targets.candidates(devices, permitted.supervisor.endpoints)
        if not isinstance(calls, Refusal):
            # Of a call that may not be heard nothing is said, not even the number.
            calls = self._may_be_heard(extension, mode, calls, scan=scan)
        if isinstance(calls, Refusal):
            return calls
        calls = tuple(call for call in calls if customer in call.peers) or calls
        if len(calls) > 1:
            # Nor of one that the dialplan has marked.
            calls = tuple([call for call in calls if not await self._spying.is_marked(call)]) or calls[:1]
        spyee = calls[0]
        if len(calls) > 1:
            chosen = await self._ask_which(extension, mode, calls, scan=scan)
            if isinstance(chosen, Refusal):
                return chosen
            # The question takes its time: the configuration and the call may be others by now.
            permitted = self._spying.possible(extension, mode, scan=scan)
            if isinstance(permitted, Refusal):
                return permitted
            if chosen is None:
                return Refusal(Reason.AMBIGUOUS, f"{len(calls)} calls")
            devices = await self._devices.devices_of(permitted.agent)
            own = permitted.supervisor.endpoints
            found = targets.found_again(devices, own, chosen.uniqueid, chosen.peers)
            if isinstance(found, Refusal):
                return found
            spyee = found
        if spyee.on_hold:
            self._held = spyee
            return Refusal(Reason.ON_HOLD)
        because = targets.because(spyee, calls)
        return Spyee(permitted.agent, spyee, because, devices.source, devices.stale)

    def _may_be_heard(
        self, extension: str, mode: Mode, calls: tuple[DeviceChannel, ...], *, scan: bool
    ) -> tuple[DeviceChannel, ...] | Refusal:
        """Leave out the calls of an agent that the rules do not allow."""
        found = []
        refusals = []
        for call in calls:
            possible = partial(self._spying.possible, mode=mode, scan=scan, uniqueid=call.uniqueid)
            decided = possible(extension)
            refusal = (
                decided
                if isinstance(decided, Refusal)
                else self._policy().protected.refusal(call)
                or other_owner_refuses(self._policy(), self._live, extension, call.name, possible)
            )
            if refusal is not None:
                refusals.append(refusal)
            else:
                found.append(call)
        return tuple(found) or refusals[0]

    async def _ask_which(
        self, extension: str, mode: Mode, calls: tuple[DeviceChannel, ...], *, scan: bool
    ) -> DeviceChannel | Refusal | None:
        choices = {str(position): call for position, call in enumerate(calls[:MAX_CHOICES], start=1)}
        self._line.log.info("choice_prompted", calls=len(calls))
        self._line.forget_keys()
        for _ in range(2):
            for choice, call in choices.items():
                # Saying the others took its time.
                still = self._may_be_heard(extension, mode, (call,), scan=scan)
                if isinstance(still, Refusal):
                    return still
                cue = Cue.CHOOSE_HELD_CALL if call.on_hold else Cue.CHOOSE_CALL
                await self._line.say(cue, {CHOICE: choice, NUMBER: call.number})
                # Any other key only goes on to the next call.
                pressed = self._line.take_key()
                if pressed in choices or pressed == chanspy.LEAVE_KEY:
                    return choices.get(pressed)
            pressed = await self._line.key(CHOICE_SECONDS)
            if pressed in choices or pressed == chanspy.LEAVE_KEY:
                return choices.get(pressed)
        return None

    # ---- stay ------------------------------------------------------------------------------------------

    async def _follow(self, extension: str, mode: Mode) -> End | Refusal:
        """After a call: stay with the agent or with the customer, as the configuration says."""
        outcome: End | Refusal = End.CALL_OVER
        mode = _unheard(mode)
        if self._live.stale() is Stale.NO_MANAGER:
            # Nothing would tell of the next call.
            return outcome
        # A call that was taken over was the supervisor's own in the end.
        while outcome is End.CALL_OVER and not self._spying.took_over:
            customer = self._customer
            if self._policy().follow is Follow.AGENT:
                if not await self._wait_for_agent(extension, mode):
                    return End.SUPERVISOR_LEFT
            elif self._policy().follow is Follow.CUSTOMER and customer:
                found = await self._wait_for_customer(customer)
                if found is None:
                    return End.CALL_OVER
                extension = found
            else:
                return outcome
            outcome = await self._spy_on(extension, mode, self._name(customer))
        return outcome

    async def _wait(self, found: Callable[[], Awaitable[bool]]) -> bool:
        """Wait for a call. False: the supervisor left with the star key."""
        return await wait(self._line, found, [(Cue.WAITING, {})], WAIT_SECONDS) is Waited.FOUND

    async def _wait_for_agent(self, extension: str, mode: Mode) -> bool:
        """Wait for the next call of an agent. False: the supervisor left with the star key."""
        said = [(Cue.WAITING_FOR, self._line.named(extension))]
        return await wait(self._line, partial(self._has_call, extension, mode), said, AGENT_SECONDS) is Waited.FOUND

    async def _has_call(self, extension: str, mode: Mode, held: DeviceChannel | None = None) -> bool:
        """Return whether it is time to try.

        Parameters:
            extension: the agent.
            mode: how.
            held: the only call that is meant, if any: it is over, or not on hold any more.
        """
        permitted = self._spying.possible(extension, mode, scan=False)
        if isinstance(permitted, Refusal):
            # Somebody who may not be heard any more is not waited for: the next decision says so.
            return True
        # The live picture does not know what a plug-in says of devices.
        devices = None if self._resolve else self._live.devices_of(permitted.agent)
        if not isinstance(devices, AgentDevices) or not devices.endpoints:
            devices = await self._devices.devices_of(permitted.agent)
        channels = devices.channels
        if held is not None:
            channels = tuple(one for one in channels if one.uniqueid == held.uniqueid)
            if not channels:
                return True
        return any(self._waited_for(extension, mode, one) for one in channels)

    def _waited_for(self, extension: str, mode: Mode, channel: DeviceChannel) -> bool:
        return _audible(channel) and not isinstance(
            self._spying.possible(extension, mode, scan=False, uniqueid=channel.uniqueid), Refusal
        )

    async def _wait_for_customer(self, customer: str) -> str | None:
        """Wait until the customer talks to an agent again. None: the customer, or the supervisor, is gone."""
        if self._gone(customer):
            return None

        async def met() -> bool:
            return self._gone(customer) or self._agent_of(customer) is not None

        return self._agent_of(customer) if await self._wait(met) else None

    def _gone(self, uniqueid: str) -> bool:
        return self._live.channel(uniqueid) is None

    def _agent_of(self, customer: str) -> str | None:
        """The extension of the agent whom the customer talks to at this moment."""
        partners = self._live.partners_of(customer)
        if isinstance(partners, Stale):
            return None
        name = self._name(customer)
        at = dict.fromkeys(partner.endpoint for partner in partners if partner.endpoint is not None)
        policy = self._policy()
        for agent in (agent for device in at for agent in agents_at(policy, self._live, device)):
            if not policy.shares_tenant(self._line.endpoint, agent):
                continue
            devices = self._live.devices_of(agent)
            if isinstance(devices, AgentDevices) and any(
                _audible(one) and name in one.peers for one in devices.channels
            ):
                return agent.extension
        return None

    def _partner(self, channel: DeviceChannel) -> str:
        partners = self._live.partners_of(channel.uniqueid)
        return partners[0].uniqueid if not isinstance(partners, Stale) and len(partners) == 1 else ""

    def _name(self, uniqueid: str) -> str:
        found = self._live.channel(uniqueid) if uniqueid else None
        return "" if found is None or isinstance(found, Stale) else found.name

    # ---- one call after the other ----------------------------------------------------------------------

    async def _scan(self, mode: Mode, number: str) -> None:
        """Hear the calls of all agents that may be heard; nobody twice in a round.

        Parameters:
            mode: how.
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
                if not heard and not await self._wait(partial(self._has_next, refused, mode, number)):
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
                again = _before(order, extension, went_back=True)
                continue
            chosen = chanspy.MODE_KEYS.get(pressed, mode)
            # A call is taken over from another mode only, once it is heard.
            outcome = await self._spy_on(extension, mode if chosen is Mode.TAKE_OVER else chosen, scan=True)
            if isinstance(outcome, Refusal) and outcome.reason in ENDS_THE_CALL:
                return
            went_back = outcome is End.SUPERVISOR_LEFT and self._spying.went_back
            again = _before(order, extension, went_back=went_back)
            if isinstance(outcome, Refusal) or outcome is End.PBX_ENDED:
                refused.add(uniqueid)

    async def _has_next(self, refused: set[str], mode: Mode, number: str) -> bool:
        return self._next(set(), refused, mode, number) is not None

    def _next(self, heard: set[str], refused: set[str], mode: Mode, number: str) -> scan.AgentCall | Refusal | None:
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
            found = targets.candidates(devices, permitted.supervisor.endpoints)
            if not isinstance(found, Refusal):
                found = self._may_be_heard(extension, mode, found, scan=True)
            if isinstance(found, Refusal) or found[0].uniqueid in refused or not self._is_of(of, found[0]):
                continue
            if self._can_be_heard(found[0], mode):
                calls.append(scan.AgentCall(extension, found[0].uniqueid))
        if not calls and not self._may_scan(mode):
            return Refusal(Reason.MODE_DENIED, "no rule allows it on any agent")
        return scan.next_call(calls, self._policy().scan_order, self._choice)

    def _is_of(self, of: ScanOf, channel: DeviceChannel) -> bool:
        if not of.queues:
            return True
        origin = self._live.origin_of(channel.uniqueid)
        return isinstance(origin, Origin) and origin.queue in of.queues

    def _may_scan(self, mode: Mode) -> bool:
        """Say whether there is any agent whom the scan may come to."""
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


def _before(order: list[str], extension: str, *, went_back: bool) -> str | None:
    """Return whom to go back to, or None where that is not wanted.

    Parameters:
        order: the agents who were heard before this one, which it is kept in.
        extension: this one. It is the one to go back to where there was none before.
        went_back: whether the supervisor wants to go back.
    """
    if not went_back:
        order.append(extension)
        return None
    return order.pop() if order else extension


ALL_CALLS = ScanOf(frozenset({ALL}))
"""What a scan without a number comes to."""


def _unheard(mode: Mode) -> Mode:
    """The mode for a call that the supervisor has not heard yet: a barge would surprise everybody on it."""
    return Mode.LISTEN if mode is Mode.BARGE else mode


def _audible(channel: DeviceChannel) -> bool:
    """Whether there is a conversation to be heard on an agent's channel now."""
    return channel.talking and not channel.on_hold
