"""The gates that a supervisor passes on the way to an agent's call.

::

      look at the call <---------------------- WAITED --------------------------+
            |                                                                   |
            v                                                                   |
    decide -> why? -> plug-ins -> marked? -> is the agent told? -> which mode? -> decide, take the place
                 |         |          |               |                                |
                 +---------+----------+---------------+--------------------------------+---> Refusal

A question on the phone, a plug-in and a notice take seconds. In that time a right may be taken away, the call may
end, and another customer may be on the agent's channel. So no decision outlives a wait: after it the call is looked
at, and everything is decided again, from the first gate to the last.

What has been answered is not asked again. A reason holds for this call of the agent. An agent who was told knows it
until the call is over. A plug-in that said yes is asked again only where it would be asked something else, such as
with the reason that was given meanwhile. So a gate waits once for one answer, and the way comes to an end.

The mark of the dialplan is asked each time: it is one answer of the PBX. The rules are asked again after it, and the
PBX is asked for the mark once more right before the sound.

The place among the listeners is taken last, in the same step as the last decision: of two who ask at once for the
last place, one gets it. What comes after it is in ``spying``: the record on disk, the proof on the channel, the
confirmation at the source, the application.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from enum import Enum
from typing import Protocol

from agi_monitor.live import targets
from agi_monitor.live.targets import DeviceChannel, DeviceLookup
from agi_monitor.model import Cue, Mode, ModeMark, Reason, Refusal
from agi_monitor.names import Uniqueid
from agi_monitor.supervision import chanspy, protected
from agi_monitor.supervision.deciding import Decided, Deciding, Spyee
from agi_monitor.supervision.grant_watch import GrantWatch
from agi_monitor.supervision.hooks import Asked
from agi_monitor.supervision.line import Caller, SupervisorLine
from agi_monitor.supervision.policy import Permitted

REASON_SECONDS = 8.0
"""How long the supervisor may think about which reason it is."""

NOTICE_CONTEXT = "agi-monitor-notice"
"""The generated context that plays the notice."""


class Passage(Enum):
    """What a gate answers that does not refuse."""

    PASSED = "passed"
    """It is open, and nothing was waited for that took time."""
    WAITED = "waited"
    """It is open, and time has passed: what was decided before is decided again."""


class Gate(Protocol):
    """One thing that must be so before an agent is heard."""

    async def ask(self, spyee: Spyee, mode: Mode, permitted: Permitted) -> Passage | Refusal:
        """Ask whether it is so, and do what makes it so.

        Parameters:
            spyee: whom, as the call was looked at last.
            mode: the mode of the spy.
            permitted: what the rules say now.
        """
        ...


class ReasonGate:
    """Why? Asked where the rules lack nothing but a reason.

    Parameters:
        line: the supervisor's.
        deciding: takes the reason in.
    """

    def __init__(self, line: SupervisorLine, deciding: Deciding) -> None:
        self._line = line
        self._deciding = deciding

    async def ask(self, spyee: Spyee, refusal: Refusal) -> Passage | Refusal:
        """Ask for the digit that stands for a reason.

        Parameters:
            spyee: whose call it is about.
            refusal: what the rules say without one. It stays where it is about something else, or none is given.
        """
        if refusal.reason is not Reason.REASON_MISSING:
            return refusal
        self._line.log.info("reason_prompted")
        digit = await self._line.ask(Cue.ASK_REASON, REASON_SECONDS, 1)
        if not digit:
            # Said once more; it may have been the # behind an extension that was complete without it.
            digit = await self._line.ask(Cue.ASK_REASON, REASON_SECONDS, 1)
        reason = self._line.policy().reasons.get(digit)
        if reason is None:
            return refusal
        self._line.log.info("reason_given", reason=reason)
        self._deciding.give_reason(spyee.channel, reason)
        return Passage.WAITED


class PluginGate:
    """Do the plug-ins agree? For one grant.

    Parameters:
        line: the supervisor's, with the plug-ins of the site.
        deciding: says what they are told.
    """

    def __init__(self, line: SupervisorLine, deciding: Deciding) -> None:
        self._hooks = line.hooks
        self._deciding = deciding
        self._agreed: Asked | None = None
        """What they were asked last and agreed to."""

    def has_agreed(self, spyee: Spyee, mode: Mode, permitted: Permitted) -> bool:
        """Return whether they would be asked nothing but what they have agreed to."""
        if self._hooks is None or not self._hooks.ask:
            return True
        return self._deciding.asked(spyee, mode, permitted) == self._agreed

    async def ask(self, spyee: Spyee, mode: Mode, permitted: Permitted) -> Passage | Refusal:
        """Ask those that may deny, and let those act that have a step before a spy."""
        if self._hooks is None:
            return Passage.PASSED
        if self.has_agreed(spyee, mode, permitted):
            return Passage.PASSED
        asked = self._deciding.asked(spyee, mode, permitted)
        denied = await self._hooks.refusal(asked) or await self._hooks.before(asked)
        if denied is not None:
            return denied
        self._agreed = asked
        return Passage.WAITED


class MarkGate:
    """Has the dialplan marked the call as one that may not be heard?

    Parameters:
        caller: on whose call the PBX is asked.
    """

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    async def ask(self, spyee: Spyee, mode: Mode, permitted: Permitted) -> Passage | Refusal:
        """Ask for the mark on the agent's channel."""
        return await self.refusal(spyee.channel) or Passage.PASSED

    async def refusal(self, channel: DeviceChannel) -> Refusal | None:
        """Return the refusal where an agent's channel is marked, or None."""
        mark = await self._caller.get_full_variable(f"${{{protected.VARIABLE}}}", channel.uniqueid)
        return Refusal(Reason.PROTECTED, "the dialplan says so") if protected.marked(mark) else None


class NoticeGate:
    """Has the agent been told, where that is wanted?

    Parameters:
        line: the supervisor's.
        watch: sees whether the agent is told.
    """

    def __init__(self, line: SupervisorLine, watch: GrantWatch) -> None:
        self._line = line
        self._watch = watch
        self.told = False
        """Whether the agent was told that this call is heard."""

    def is_owed(self, mode: Mode, permitted: Permitted) -> bool:
        """Return whether the agent has to be told and was not."""
        notice = self._line.policy().notice
        return not self.told and notice is not None and notice.concerns(permitted.agent, mode)

    async def ask(self, spyee: Spyee, mode: Mode, permitted: Permitted) -> Passage | Refusal:
        """Tell the agent, once for each call."""
        if not self.is_owed(mode, permitted):
            return Passage.PASSED
        self.told = await self._tell(spyee.channel)
        return Passage.WAITED if self.told else Refusal(Reason.NOTICE_FAILED)

    async def _tell(self, channel: DeviceChannel) -> bool:
        notice = self._watch.notice_expected(channel.uniqueid)
        if notice is None:
            return False
        try:
            self._line.log.info("notice_begun", spyee=channel.name)
            await self._line.confirm()
            helper = chanspy.notice(Uniqueid(channel.uniqueid), NOTICE_CONTEXT, notice)
            await self._line.caller.execute("Originate", helper)
            given = await self._watch.notice_given(notice)
        finally:
            self._watch.notice_over(notice)
        if given:
            self._line.log.info("notice_given", spyee=channel.name)
        else:
            self._line.log.warning("notice_failed", spyee=channel.name)
        return given


class ModeMarkGate:
    """Does the supervisor know which mode begins? For one grant.

    It is played on the supervisor's own channel while nothing is heard there and no channel hears it: no spy is on.

    Parameters:
        line: the supervisor's.
        marked: the mode that the supervisor knows of.
    """

    def __init__(self, line: SupervisorLine, marked: Mode) -> None:
        self._line = line
        self.marked = marked

    async def ask(self, spyee: Spyee, mode: Mode, permitted: Permitted) -> Passage | Refusal:
        """Tell the supervisor which mode begins, where that is wanted and it is another one than before."""
        how = self._line.policy().mode_mark
        if how is ModeMark.NONE or mode is self.marked:
            return Passage.PASSED
        self.marked = mode
        await self._line.say(MODE_CUES[mode], default_words=how is ModeMark.TONE)
        return Passage.WAITED


MODE_CUES = {
    Mode.LISTEN: Cue.MODE_LISTEN,
    Mode.WHISPER: Cue.MODE_WHISPER,
    Mode.BARGE: Cue.MODE_BARGE,
    Mode.TAKE_OVER: Cue.MODE_TAKE_OVER,
}


@dataclass(frozen=True, slots=True)
class Admitted:
    """All gates are passed, and the place is taken.

    Parameters:
        spyee: whom, as the call was looked at last.
        decided: the last word of the rules.
    """

    spyee: Spyee
    decided: Decided


class Gates:
    """All gates, for the spies of one supervisor's call.

    Parameters:
        line: the supervisor's.
        devices: looks at the call.
        deciding: decides on it.
        watch: sees whether the agent is told.
    """

    def __init__(self, line: SupervisorLine, devices: DeviceLookup, deciding: Deciding, watch: GrantWatch) -> None:
        self._line = line
        self._devices = devices
        self._deciding = deciding
        self._reason = ReasonGate(line, deciding)
        self._plugins = PluginGate(line, deciding)
        self.mark = MarkGate(line.caller)
        self.notice = NoticeGate(line, watch)
        self.marked = Mode.LISTEN
        """The mode that the supervisor knows of: without a mark it is listen."""

    async def admit(self, spyee: Spyee, mode: Mode) -> Admitted | Refusal:
        """Lead a supervisor through all gates, to a place among those who hear the call.

        Parameters:
            spyee: whom, as the call has just been looked at.
            mode: the mode of the spy.
        """
        mode_mark = ModeMarkGate(self._line, self.marked)
        # They are asked for each grant.
        self._plugins = PluginGate(self._line, self._deciding)
        gates = (self._plugins, self.mark, self.notice, mode_mark)
        while True:
            answer = await self._ask(gates, spyee, mode)
            if isinstance(answer, Refusal):
                return answer
            if answer is Passage.PASSED:
                self.marked = mode
                return self._take_place(spyee, mode)
            # What was said while something was waited for was about who was on the call then.
            looked = await self.look(spyee, mode, spyee.channel.peers)
            if isinstance(looked, Refusal):
                return looked
            if looked.channel.on_hold and not spyee.channel.on_hold:
                return Refusal(Reason.ON_HOLD)
            spyee = looked

    async def _ask(self, gates: tuple[Gate, ...], spyee: Spyee, mode: Mode) -> Passage | Refusal:
        for gate in gates:
            decided = self._deciding.decide(spyee, mode)
            if isinstance(decided, Refusal):
                return await self._reason.ask(spyee, decided)
            answer = await gate.ask(spyee, mode, decided.permitted)
            if answer is not Passage.PASSED:
                return answer
        return Passage.PASSED

    def _take_place(self, spyee: Spyee, mode: Mode) -> Admitted | Refusal:
        # Nothing is waited for between the decision and the place: two who ask at once do not both get the last one.
        decided = self._deciding.decide(spyee, mode)
        if isinstance(decided, Refusal):
            return decided
        self._deciding.take_place(decided.place)
        return Admitted(spyee, decided)

    def owed(self, spyee: Spyee, mode: Mode, permitted: Permitted) -> Refusal | None:
        """Return what would have to be asked or told once more before the sound, after what the gates let through was
        recorded; or None.

        Parameters:
            spyee: the agent and the channel that is meant.
            mode: the mode of the spy.
            permitted: what the rules say now.
        """
        if self.notice.is_owed(mode, permitted):
            return Refusal(Reason.NOTICE_FAILED, "the agent has to be told since")
        if not self._plugins.has_agreed(spyee, mode, permitted):
            return Refusal(Reason.REVOKED, "the plug-ins agreed to something else")
        return None

    async def look(self, spyee: Spyee, mode: Mode, parties: Collection[str] | None) -> Spyee | Refusal:
        """Look at the call again, as it is now.

        Parameters:
            spyee: the agent and the channel that is meant.
            mode: the mode of the spy.
            parties: one of them must be on the call still; None for any.
        """
        extension = spyee.agent.extension
        # A supervisor who may no longer hear the agent is not told whether the call is still on.
        permitted = self._deciding.possible(
            extension, mode, scan=self._deciding.scan, uniqueid=spyee.channel.uniqueid
        )
        if isinstance(permitted, Refusal):
            return permitted
        devices = await self._devices.devices_of(permitted.agent)
        own, uniqueid = permitted.own, spyee.channel.uniqueid
        channel = targets.found_again(devices, own, uniqueid, parties)
        if isinstance(channel, Refusal):
            return channel
        return replace(spyee, agent=permitted.agent, channel=channel, source=devices.source, stale=devices.stale)

    def begin_another_call(self) -> None:
        """Ask and tell again: what was said was about a call that is over."""
        self.notice.told = False
        self._deciding.begin_another_call()
