"""Hears an agent until the call is over, and remembers who the other party was."""

from __future__ import annotations

from agi_monitor.audit.facts import End
from agi_monitor.live.index import Stale
from agi_monitor.live.port import LivePbx
from agi_monitor.live.targets import DeviceChannel
from agi_monitor.model import Mode, Refusal
from agi_monitor.supervision.choosing import Choosing
from agi_monitor.supervision.line import SupervisorLine
from agi_monitor.supervision.spying import Spying


class Hearing:
    """Hears one agent after the other.

    Parameters:
        line: the supervisor's.
        live: the PBX as its manager interface shows it.
        spying: gives the sound.
        choosing: says which call.
    """

    def __init__(self, line: SupervisorLine, live: LivePbx, spying: Spying, choosing: Choosing) -> None:
        self._line = line
        self._live = live
        self._spying = spying
        self.choosing = choosing
        self.customer = ""
        """The uniqueid of the other party of the call that was heard last."""

    async def hear(self, extension: str, mode: Mode, customer: str = "", *, scan: bool = False) -> End | Refusal:
        """Hear an agent until it is over.

        Parameters:
            extension: the agent.
            mode: to begin with.
            customer: of several calls, the one with this channel.
            scan: whether the scan came to the agent.
        """
        outcome = await self.attempt(extension, mode, customer, scan=scan)
        if isinstance(outcome, Refusal):
            await self._line.refuse(outcome, mode, extension)
        return outcome

    async def attempt(self, extension: str, mode: Mode, customer: str = "", *, scan: bool = False) -> End | Refusal:
        """As ``hear``; a refusal is returned, and not said to the supervisor."""
        self.choosing.held = None
        self._line.asks(mode, extension)
        chosen = await self.choosing.choose(extension, mode, customer, scan=scan)
        if isinstance(chosen, Refusal):
            return chosen
        self.customer = self._partner(chosen.channel)
        return await self._spying.spy(chosen, mode, scan=scan)

    def _partner(self, channel: DeviceChannel) -> str:
        partners = self._live.partners_of(channel.uniqueid)
        return partners[0].uniqueid if not isinstance(partners, Stale) and len(partners) == 1 else ""

    def name_of(self, uniqueid: str) -> str:
        """Return the name of a channel; empty where it is not known."""
        found = self._live.channel(uniqueid) if uniqueid else None
        return "" if found is None or isinstance(found, Stale) else found.name


def unheard(mode: Mode) -> Mode:
    """The mode for a call that the supervisor has not heard yet: a barge would surprise all on it."""
    return Mode.LISTEN if mode is Mode.BARGE else mode


def audible(channel: DeviceChannel) -> bool:
    """Whether there is a conversation to be heard on an agent's channel now."""
    return channel.talking and not channel.on_hold
