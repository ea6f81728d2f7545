"""After a call the supervisor stays: with the agent, or with the customer, until there is another call."""

from __future__ import annotations

from functools import partial

from agi_monitor.audit.facts import End
from agi_monitor.live.index import Stale
from agi_monitor.live.port import LivePbx
from agi_monitor.live.targets import AgentDevices, DeviceChannel, DeviceLookup
from agi_monitor.model import Cue, Follow, Mode, Refusal
from agi_monitor.supervision.hearing import Hearing, audible, unheard
from agi_monitor.supervision.line import SupervisorLine
from agi_monitor.supervision.owners import agents_at
from agi_monitor.supervision.spying import Spying
from agi_monitor.supervision.waiting import Waited, until_call, wait

AGENT_SECONDS = 0.2
"""The same, while they wait for one agent: that is a short look, and the first words of the call are the greeting."""


class Following:
    """Waits for the next call of an agent or of a customer.

    Parameters:
        line: the supervisor's.
        devices: looks agents up.
        live: the PBX as its manager interface shows it.
        spying: decides what is possible.
        hearing: hears the next call.
    """

    def __init__(
        self, line: SupervisorLine, devices: DeviceLookup, live: LivePbx, spying: Spying, hearing: Hearing
    ) -> None:
        self._line = line
        self._policy = line.policy
        self._devices = devices
        self._resolve = line.hooks is not None and line.hooks.resolve
        self._live = live
        self._spying = spying
        self._hearing = hearing

    async def follow(self, extension: str, mode: Mode) -> End | Refusal:
        """After a call: stay with the agent or with the customer, as the configuration says."""
        outcome: End | Refusal = End.CALL_OVER
        mode = unheard(mode)
        if self._live.stale() is Stale.NO_MANAGER:
            # Nothing would tell of the next call.
            return outcome
        # A call that was taken over was the supervisor's own in the end.
        while outcome is End.CALL_OVER and not self._spying.took_over:
            customer = self._hearing.customer
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
            outcome = await self._hearing.hear(extension, mode, self._hearing.name_of(customer))
        return outcome

    async def _wait_for_agent(self, extension: str, mode: Mode) -> bool:
        """Wait for the next call of an agent. False: the supervisor left with the star key."""
        said = [(Cue.WAITING_FOR, self._line.named(extension))]
        return await wait(self._line, partial(self.has_call, extension, mode), said, AGENT_SECONDS) is Waited.FOUND

    async def has_call(self, extension: str, mode: Mode, held: DeviceChannel | None = None) -> bool:
        """Return whether it is time to try.

        Parameters:
            extension: the agent.
            mode: how to hear.
            held: the only call that is meant, if any: it is over, or no longer on hold.
        """
        permitted = self._spying.possible(extension, mode, scan=False)
        if isinstance(permitted, Refusal):
            # An agent who may no longer be heard is not waited for: the next decision says so.
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
        return audible(channel) and not isinstance(
            self._spying.possible(extension, mode, scan=False, uniqueid=channel.uniqueid), Refusal
        )

    async def _wait_for_customer(self, customer: str) -> str | None:
        """Wait until the customer talks to an agent again. None: the customer, or the supervisor, is gone."""
        if self._gone(customer):
            return None

        async def met() -> bool:
            return self._gone(customer) or self._agent_of(customer) is not None

        return self._agent_of(customer) if await until_call(self._line, met) else None

    def _gone(self, uniqueid: str) -> bool:
        return self._live.channel(uniqueid) is None

    def _agent_of(self, customer: str) -> str | None:
        """The extension of the agent whom the customer talks to now."""
        partners = self._live.partners_of(customer)
        if isinstance(partners, Stale):
            return None
        name = self._hearing.name_of(customer)
        at = dict.fromkeys(partner.endpoint for partner in partners if partner.endpoint is not None)
        policy = self._policy()
        for agent in (agent for device in at for agent in agents_at(policy, self._live, device)):
            if agent.tenant != self._line.tenant:
                continue
            devices = self._live.devices_of(agent)
            if isinstance(devices, AgentDevices) and any(
                audible(one) and name in one.peers for one in devices.channels
            ):
                return agent.extension
        return None
