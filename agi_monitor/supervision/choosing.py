"""Which call of an agent is meant: the only one, that of a customer, or the one that the supervisor chooses."""

from __future__ import annotations

from functools import partial

from agi_monitor.live import targets
from agi_monitor.live.port import LivePbx
from agi_monitor.live.targets import DeviceChannel, DeviceLookup
from agi_monitor.model import Cue, Mode, Reason, Refusal
from agi_monitor.names import unusable_characters
from agi_monitor.supervision import chanspy
from agi_monitor.supervision.deciding import Spyee
from agi_monitor.supervision.line import SupervisorLine
from agi_monitor.supervision.owners import other_owner_refuses
from agi_monitor.supervision.prompts import CHOICE, NUMBER
from agi_monitor.supervision.spying import Spying

CHOICE_SECONDS = 8.0
"""How long the supervisor may think about which call is meant."""

MAX_CHOICES = 9
"""One key per call."""


class Choosing:
    """Chooses one call of an agent, of those that may be heard.

    Parameters:
        line: the supervisor's.
        devices: looks agents up.
        live: the PBX as its manager interface shows it.
        spying: decides what is possible.
    """

    def __init__(self, line: SupervisorLine, devices: DeviceLookup, live: LivePbx, spying: Spying) -> None:
        self._line = line
        self._policy = line.policy
        self._devices = devices
        self._live = live
        self._spying = spying
        self.held: DeviceChannel | None = None
        """The call that could not be heard last, because it is on hold."""

    async def choose(self, extension: str, mode: Mode, customer: str, *, scan: bool) -> Spyee | Refusal:
        permitted = self._spying.possible(extension, mode, scan=scan)
        if isinstance(permitted, Refusal):
            return permitted
        devices = await self._devices.devices_of(permitted.agent)
        for identifier in devices.unusable:
            unusable = unusable_characters(identifier)
            self._line.log.error("identifier_unusable", identifier=repr(identifier), characters=repr(unusable))
        calls = targets.candidates(devices, permitted.own)
        if not isinstance(calls, Refusal):
            # Nothing is said of a call that may not be heard, not even its number.
            calls = self.may_be_heard(extension, mode, calls, scan=scan)
        if isinstance(calls, Refusal):
            return calls
        calls = tuple(call for call in calls if customer in call.peers) or calls
        if len(calls) > 1:
            # Nor of a call that the dialplan has marked.
            calls = tuple([call for call in calls if not await self._spying.is_marked(call)]) or calls[:1]
        spyee = calls[0]
        if len(calls) > 1:
            chosen = await self._ask_which(extension, mode, calls, scan=scan)
            if isinstance(chosen, Refusal):
                return chosen
            # The question takes its time: the configuration and the call may have changed.
            permitted = self._spying.possible(extension, mode, scan=scan)
            if isinstance(permitted, Refusal):
                return permitted
            if chosen is None:
                return Refusal(Reason.AMBIGUOUS, f"{len(calls)} calls")
            devices = await self._devices.devices_of(permitted.agent)
            own = permitted.own
            found = targets.found_again(devices, own, chosen.uniqueid, chosen.peers)
            if isinstance(found, Refusal):
                return found
            spyee = found
        if spyee.on_hold:
            self.held = spyee
            return Refusal(Reason.ON_HOLD)
        because = targets.because(spyee, calls)
        return Spyee(permitted.agent, spyee, because, devices.source, devices.stale)

    def may_be_heard(
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
                still = self.may_be_heard(extension, mode, (call,), scan=scan)
                if isinstance(still, Refusal):
                    return still
                cue = Cue.CHOOSE_HELD_CALL if call.on_hold else Cue.CHOOSE_CALL
                await self._line.say(cue, {CHOICE: choice, NUMBER: call.number})
                # Any other key only leads to the next call.
                pressed = self._line.take_key()
                if pressed in choices or pressed == chanspy.LEAVE_KEY:
                    return choices.get(pressed)
            pressed = await self._line.key(CHOICE_SECONDS)
            if pressed in choices or pressed == chanspy.LEAVE_KEY:
                return choices.get(pressed)
        return None
