"""One agent's call is heard: from the first grant to the end, through every change of mode.

::

    decide -> tell the agent? -> audit -> ChanSpy, or a conference, or the take-over -> audit -> key? -> decide -> ...

No step gives sound but the application, and the application is executed in one place, after the audit.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from agi_monitor.errors import AuditUnavailable, CallEnded
from agi_monitor.model import Agent, Barge, Cue, Mode, Reason, Refusal
from agi_monitor.supervision import bridging, chanspy, proof, protected, targets
from agi_monitor.supervision.audit import End, SpyEnded, SpyStarted
from agi_monitor.supervision.grants import Grant
from agi_monitor.supervision.line import Line
from agi_monitor.supervision.live_pbx import GrantWatch, LivePbx
from agi_monitor.supervision.owners import other_owner_refuses
from agi_monitor.supervision.policy import Permitted
from agi_monitor.supervision.targets import DeviceChannel, DeviceLookup, Source

NOTICE_CONTEXT = "agi-monitor-notice"
"""The generated context that plays the notice."""


@dataclass(frozen=True, slots=True)
class Spyee:
    """Whom it is about.

    Parameters:
        agent: the agent.
        channel: the agent's channel.
        because: why it is this channel.
        source: who knew it.
        stale: why it was not the live picture, or empty.
    """

    agent: Agent
    channel: DeviceChannel
    because: str
    source: Source
    stale: str = ""


@dataclass(frozen=True, slots=True)
class _Step:
    """One application to be executed, and the key that ended it."""

    why: End
    pressed: str = ""


class Spying:
    """The spies of one supervisor's call, one after the other.

    Parameters:
        line: the supervisor's.
        devices: looks agents up.
        live: the PBX as its manager interface shows it; None without one.
        watch: holds grants against what is heard there; None without one.
    """

    def __init__(self, line: Line, devices: DeviceLookup, live: LivePbx | None, watch: GrantWatch | None) -> None:
        self._line = line
        self._caller = line.caller
        self._devices = devices
        self._live = live
        self._watch = watch
        self.grants = 0
        """So many were given."""
        self.spying = False
        """Whether an application that gives sound runs at this moment."""
        self._told = False
        """Whether the agent was told that this call is heard."""
        self.took_over = False
        """Whether the call that was heard last was taken over."""
        self.ended_by_server: End | None = None
        """Set by who stops the server, so that the audit tells a stop from a hang-up."""

    async def spy(self, permitted: Permitted, spyee: Spyee, mode: Mode) -> End | Refusal:
        """Spy until it is over, through all changes of mode. Returns why it is over."""
        self._told = False
        granted = await self._grant(permitted, spyee, mode)
        if isinstance(granted, Refusal):
            return granted
        await self._caller.set_variable(chanspy.EXIT_CONTEXT_VARIABLE, chanspy.EXIT_CONTEXT)
        while True:
            grant, spyee = granted
            step = await self._execute(grant, spyee)
            if isinstance(step, Refusal):
                return step
            wanted = chanspy.MODE_KEYS.get(step.pressed)
            if wanted is None and step.why in (End.MODE_KEY, End.PARTY_CHANGED):
                wanted = grant.mode  # also for a key that means nothing, before ChanSpy could pass over it
            if wanted is None:
                return step.why
            granted = await self._again(spyee, wanted)
            if isinstance(granted, Refusal) and granted.reason is not Reason.TARGET_GONE and wanted is not grant.mode:
                await self._line.refuse(granted, wanted, spyee.agent.extension)
                granted = await self._again(spyee, grant.mode)
            if isinstance(granted, Refusal):
                return granted

    # ---- may it be? ------------------------------------------------------------------------------------

    async def _grant(self, permitted: Permitted, spyee: Spyee, mode: Mode) -> tuple[Grant, Spyee] | Refusal:
        policy, channel = self._line.policy(), spyee.channel
        refusal = (
            targets.possible(channel, mode, policy.barge)
            or policy.protected.refusal(channel)
            or other_owner_refuses(
                policy,
                self._live,
                self._line.endpoint,
                permitted.supervisor.id,
                permitted.agent.extension,
                mode,
                channel.name,
            )
        )
        if refusal is not None:
            return refusal
        mark = await self._caller.get_full_variable(f"${{{protected.VARIABLE}}}", channel.name)
        if protected.marked(mark):
            return Refusal(Reason.PROTECTED, "the dialplan says so")
        if not self._told and policy.notice is not None and policy.notice.concerns(permitted.agent, mode):
            self._told = await self._tell(channel)
            # The notice takes its time: the configuration and the call may be others by now.
            return await self._again(spyee, mode) if self._told else Refusal(Reason.NOTICE_FAILED)
        self.grants += 1
        grant = Grant(
            call=self._caller.id,
            number=self.grants,
            supervisor=permitted.supervisor.id,
            endpoint=self._line.endpoint,
            spyer=self._line.dialled.channel,
            spyer_uniqueid=self._line.dialled.uniqueid,
            extension=permitted.agent.extension,
            spyee=channel.name,
            spyee_uniqueid=channel.uniqueid,
            mode=mode,
            rule=permitted.rule,
            began=self._line.clock(),
        )
        return grant, spyee

    async def _again(self, spyee: Spyee, mode: Mode) -> tuple[Grant, Spyee] | Refusal:
        """Decide on a mode for the call that is being heard: by the rules, and by what the call is now."""
        supervisor = self._line.supervisor
        permitted = self._line.policy().permitted(
            self._line.endpoint, supervisor.id if supervisor else None, spyee.agent.extension, mode
        )
        if isinstance(permitted, Refusal):
            return permitted
        devices = await self._devices.devices_of(permitted.agent)
        for channel in devices.channels:
            if channel.uniqueid == spyee.channel.uniqueid:
                known = replace(spyee, channel=channel, source=devices.source, stale=devices.stale)
                return await self._grant(permitted, known, mode)
        return Refusal(Reason.TARGET_GONE)

    # ---- the agent is told -----------------------------------------------------------------------------

    async def _tell(self, channel: DeviceChannel) -> bool:
        if self._watch is None:
            return False
        notice = self._watch.notice_expected(channel.uniqueid)
        try:
            self._line.log.info("notice_begun", spyee=channel.name)
            await self._caller.execute("Originate", chanspy.notice(channel.uniqueid, NOTICE_CONTEXT))
            given = await self._watch.notice_given(notice)
        finally:
            self._watch.notice_over(notice)
        if given:
            self._line.log.info("notice_given", spyee=channel.name)
        else:
            self._line.log.warning("notice_failed", spyee=channel.name)
        return given

    # ---- it is -----------------------------------------------------------------------------------------

    async def _execute(self, grant: Grant, spyee: Spyee) -> _Step | Refusal:
        """Run one application from record to record."""
        began = self._line.seconds()
        application, arguments = self._application(grant, spyee.channel)
        self.took_over = grant.mode is Mode.TAKE_OVER
        on_record = True
        why = End.ERROR
        pressed = ""
        revoked: str | None = None
        try:
            # Inside, for a hang-up while the disk is busy leaves a record that wants its end.
            await self._line.audit.append(self._started(grant, spyee))
            self._line.log.info(
                "spy_started", grant=grant.number, mode=grant.mode, spyee=grant.spyee, rule=grant.rule
            )
            if self._watch is not None:
                await self._caller.set_variable(proof.VARIABLE, self._watch.opened(grant))
            revoked = self._no_longer(grant, spyee.channel)
            if revoked is None:
                self.spying = True
                result = await self._caller.execute(application, arguments)
                self.spying = False
                pressed = await self._key_pressed(application, result)
                why = await self._why(grant, pressed, result)
            if self._watch is not None:
                # The proof would go on being one for a spy that somebody else starts on this channel.
                await self._caller.set_variable(proof.VARIABLE, "")
            # It may have been revoked up to this moment, and has silenced the channel then.
            revoked = self._revoked(grant) or revoked
            if revoked is not None:
                why = End.REVOKED
                await self._unmute(grant)
        except AuditUnavailable as error:
            on_record = False
            return Refusal(Reason.AUDIT_UNAVAILABLE, str(error))
        except CallEnded:
            why = self._why_the_call_ended(grant)
            if self._goes_on() and self._watch is not None:
                # It goes on: whoever watches records its end.
                on_record = False
                self._watch.left_alone(grant)
            raise
        finally:
            self.spying = False
            if self._watch is not None:
                self._watch.closed(grant)
            if on_record:
                await self._line.audit.append(self._ended(grant, why, self._line.seconds() - began))
                self._line.log.info("spy_ended", grant=grant.number, why=why)
        if why is End.TARGET_GONE:
            return Refusal(Reason.TARGET_GONE)
        if why is End.REVOKED:
            return Refusal(Reason.REVOKED, revoked or "")
        if why is End.CALL_OVER:
            await self._line.say(Cue.CALL_OVER)
        return _Step(why, pressed)

    def _application(self, grant: Grant, channel: DeviceChannel) -> tuple[str, str]:
        if grant.mode is Mode.TAKE_OVER:
            return bridging.TAKE, bridging.take(channel.peers[0])
        if grant.mode is Mode.BARGE and self._line.policy().barge is Barge.CONFERENCE:
            return bridging.JOIN, bridging.join(channel.name)
        return chanspy.APPLICATION, chanspy.arguments(channel.uniqueid, grant.mode)

    def _no_longer(self, grant: Grant, channel: DeviceChannel) -> str | None:
        """Say why the grant does not hold any more: the records took their time."""
        revoked = self._revoked(grant)
        if revoked is not None:
            return revoked
        policy = self._line.policy()
        permitted = policy.permitted(grant.endpoint, grant.supervisor, grant.extension, grant.mode)
        refusal = permitted if isinstance(permitted, Refusal) else policy.protected.refusal(channel)
        refusal = refusal or other_owner_refuses(
            policy, self._live, grant.endpoint, grant.supervisor, grant.extension, grant.mode, grant.spyee
        )
        return None if refusal is None else refusal.reason

    def _goes_on(self) -> bool:
        """Whether sound goes on although the story is over."""
        return self.spying and not self._caller.hung_up and self.ended_by_server is None

    async def _unmute(self, grant: Grant) -> None:
        if self._watch is not None:
            # An action that silences the channel may still be on its way.
            await self._watch.silenced(grant)
            await self._caller.set_variable("MUTEAUDIO(out)", "off")
            await self._caller.set_variable("MUTEAUDIO(in)", "off")

    async def _key_pressed(self, application: str, result: int) -> str:
        # Option X leaves to the pressed key in the exit context (app_chanspy.c); no other end moves the call.
        place = await self._caller.get_full_variable("${CONTEXT}:${EXTEN}")
        context, _, extension = (place or "").rpartition(":")
        if context != chanspy.EXIT_CONTEXT or extension == chanspy.NO_KEY:
            # A key within the first 100 ms ends ChanSpy before it looks where the key leads: the result is the key.
            return chr(result) if application == chanspy.APPLICATION and 0 < result < 128 else ""
        await self._caller.set_extension(chanspy.NO_KEY)
        return extension

    async def _why(self, grant: Grant, pressed: str, result: int) -> End:
        if pressed == chanspy.LEAVE_KEY:
            return End.SUPERVISOR_LEFT
        if pressed:
            anew = pressed == chanspy.END_KEY and self._watch is not None and self._watch.begins_anew(grant)
            return End.PARTY_CHANGED if anew else End.MODE_KEY
        if grant.mode is Mode.TAKE_OVER:
            # features.c, bridge_exec: SUCCESS also at the end of a bridge that was made.
            made = await self._caller.get_full_variable("${BRIDGERESULT}")
            return End.CALL_OVER if made == "SUCCESS" else End.TARGET_GONE
        if await self._caller.get_full_variable("${CHANNEL(state)}", grant.spyee):
            return End.PBX_ENDED
        # Option u: a channel that cannot be found ends ChanSpy with -1; one that was heard and is gone with 0.
        return End.TARGET_GONE if result == -1 else End.CALL_OVER

    def _revoked(self, grant: Grant) -> str | None:
        return None if self._watch is None else self._watch.revoked(grant)

    def _why_the_call_ended(self, grant: Grant) -> End:
        if self._revoked(grant) is not None:
            return End.REVOKED
        return self.ended_by_server or (End.SUPERVISOR_HUNG_UP if self._caller.hung_up else End.CONNECTION_LOST)

    # ---- records ---------------------------------------------------------------------------------------

    def _started(self, grant: Grant, spyee: Spyee) -> SpyStarted:
        return SpyStarted(
            **self._line.common(self._line.supervisor),
            grant=grant.number,
            extension=grant.extension,
            mode=grant.mode,
            spyee=grant.spyee,
            spyee_uniqueid=grant.spyee_uniqueid,
            rule=grant.rule,
            source=spyee.source,
            stale=spyee.stale,
            because=spyee.because,
            told=self._told,
        )

    def _ended(self, grant: Grant, why: End, seconds: float) -> SpyEnded:
        return SpyEnded(
            **self._line.common(self._line.supervisor),
            grant=grant.number,
            extension=grant.extension,
            mode=grant.mode,
            why=why,
            seconds=round(seconds, 3),
        )
