"""The PBX as its manager interface shows it: what the decisions need of it, and a look-up that falls back on AGI."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

from agi_monitor.errors import AgiMonitorError
from agi_monitor.live.calls import Channel, Origin
from agi_monitor.live.devices import AtDevice
from agi_monitor.live.index import Stale
from agi_monitor.live.targets import AgentDevices, DeviceChannel, DeviceLookup, KnownBy, Source
from agi_monitor.model import Agent
from agi_monitor.names import endpoint_of


class LivePbx(Protocol):
    """The PBX as it is now. ``pbx.Pbx`` fits it."""

    async def is_fresh(self) -> bool:
        """Return whether the PBX was heard a moment ago, or answers now; otherwise the picture may be an old one."""
        ...

    async def is_member(self, agent: Agent, device: str) -> bool:
        """Ask the queues themselves whether one of them watches a device for an agent."""
        ...

    async def hides_owner(self, device: str) -> bool:
        """Ask the queues and the hints themselves whether one has a device still that an event has taken from it."""
        ...

    def stale(self) -> Stale | None:
        """Return why the live picture is not to be trusted, or None."""
        ...

    def devices_of(self, agent: Agent) -> AgentDevices | Stale:
        """Return what an agent's devices are doing."""
        ...

    def channel(self, uniqueid: str) -> Channel | Stale | None:
        """Return a channel; None when there is no such one."""
        ...

    def partners_of(self, uniqueid: str) -> tuple[Channel, ...] | Stale:
        """Return who hears a channel and is heard by it."""
        ...

    def origin_of(self, uniqueid: str) -> Origin | Stale | None:
        """Return where an agent's call came from, by the agent's channel; None when there is no such one."""
        ...

    def at_device(self, device: str) -> AtDevice | Stale:
        """Return the extensions that a device belongs to now."""
        ...

    def endpoints(self) -> tuple[str, ...] | Stale:
        """Return the devices that have a channel."""
        ...


class NoLivePbx:
    """``LivePbx`` where there is no manager interface: nothing is known of the PBX but what AGI answers."""

    async def is_fresh(self) -> bool:
        """Nothing was heard of it."""
        return False

    async def is_member(self, agent: Agent, device: str) -> bool:
        """No queue can be asked, so no device is an agent's by a login."""
        return False

    async def hides_owner(self, device: str) -> bool:
        """There are no events, so none has taken a device from its owner."""
        return False

    def stale(self) -> Stale:
        """Return that there is no picture."""
        return Stale.NO_MANAGER

    def devices_of(self, agent: Agent) -> Stale:
        """Return that there is no picture: AGI is asked."""
        return Stale.NO_MANAGER

    def channel(self, uniqueid: str) -> Stale:
        """Return that there is no picture: it may be there, or not."""
        return Stale.NO_MANAGER

    def partners_of(self, uniqueid: str) -> Stale:
        """Return that there is no picture."""
        return Stale.NO_MANAGER

    def origin_of(self, uniqueid: str) -> Stale:
        """Return that there is no picture: a rule about queues or directions allows nothing."""
        return Stale.NO_MANAGER

    def at_device(self, device: str) -> Stale:
        """Return that there is no picture: whose device it is, the configuration alone says."""
        return Stale.NO_MANAGER

    def endpoints(self) -> Stale:
        """Return that there is no picture: there is no scan."""
        return Stale.NO_MANAGER


class Devices:
    """``targets.DeviceLookup``: the live index, and AGI wherever the index is not to be trusted.

    Parameters:
        live: the PBX as its manager interface shows it.
        over_agi: asks on the supervisor's own call.
        answered: told each time who answered.
        asker: the uniqueid of the supervisor's own channel. A picture without it is not true.
    """

    def __init__(
        self,
        live: LivePbx,
        over_agi: DeviceLookup,
        answered: Callable[[Source], object] = lambda _: None,
        asker: str = "",
    ) -> None:
        self._live = live
        self._asker = asker
        self._over_agi = over_agi
        self._answered = answered

    async def devices_of(self, agent: Agent) -> AgentDevices:
        """Look the agent up."""
        # A PBX that has fallen silent shows its last picture until it is asked.
        fresh = self._live.stale() is not None or await self._live.is_fresh()
        found = self._in_the_picture(agent) if fresh else Stale.LOST
        if isinstance(found, Stale):
            found = replace(await self._over_agi.devices_of(agent), stale=found)
        self._answered(found.source)
        return found

    async def confirmed(self, agent: Agent, channel: DeviceChannel) -> DeviceChannel | None:
        """Ask the PBX itself, on the supervisor's own call, whether a channel is what it was decided to be.

        Parameters:
            agent: whose it was.
            channel: as it was when it was decided on.

        Returns:
            the channel as it is now, with whom it talks to; None when it is gone, is called otherwise, or its device
            is not the agent's.
        """
        if channel.known_by is KnownBy.QUEUE and not await self._is_logged_in(agent, channel):
            return None
        return await self._over_agi.confirmed(agent, channel)

    async def _is_logged_in(self, agent: Agent, channel: DeviceChannel) -> bool:
        device = endpoint_of(channel.name)
        if device is None:
            return False
        try:
            return await self._live.is_member(agent, device)
        except AgiMonitorError:
            return False

    def _in_the_picture(self, agent: Agent) -> AgentDevices | Stale:
        found = self._live.devices_of(agent)
        if isinstance(found, Stale):
            return found
        if self._asker and self._live.channel(self._asker) is None:
            # The PBX asks on it: no event told of it, so others may be untold as well.
            return Stale.DEAF
        if not all(channel.hold_known for channel in found.channels):
            return Stale.HOLD_UNKNOWN
        # A hint in a context that another one includes, or by a pattern, is known to the PBX alone.
        return found if found.endpoints else Stale.NO_HINT
