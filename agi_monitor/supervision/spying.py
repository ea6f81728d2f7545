"""One agent's call is heard: from the first grant to the end, through every change of mode.

::

    decide -> ask why? -> tell the agent? -> decide -> audit -> ChanSpy, or a conference, or the take-over -> audit
      ^                                                                                                        |
      +----------------------------------------------- key? <--------------------------------------------------+

No step gives sound but the application, and the application is executed in one place, after the audit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from agi_monitor import names
from agi_monitor.audit.facts import End, SpyEnded, SpyStarted
from agi_monitor.errors import AgiMonitorError, AuditUnavailable, CallEnded, CommandFailed
from agi_monitor.live import targets
from agi_monitor.live.calls import Origin
from agi_monitor.live.port import LivePbx
from agi_monitor.live.targets import DeviceChannel, DeviceLookup, Source
from agi_monitor.model import Agent, Barge, Cue, Mode, Reason, Refusal
from agi_monitor.names import Uniqueid, endpoint_of
from agi_monitor.rights.circumstances import Circumstances
from agi_monitor.supervision import bridging, chanspy, origins, proof, protected
from agi_monitor.supervision.grant_watch import GrantWatch
from agi_monitor.supervision.grants import Grant, Place
from agi_monitor.supervision.hooks import Asked
from agi_monitor.supervision.line import HandedOver, Line
from agi_monitor.supervision.onlooker import Onlooker
from agi_monitor.supervision.owners import other_owner_refuses
from agi_monitor.supervision.policy import Permitted, Policy

REASON_SECONDS = 8.0
"""So long the supervisor may think about which reason it is."""

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
    another: bool = False
    """Another conversation is on the agent's channel."""


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
        self._onlooker = Onlooker(live, watch)
        self.grants = 0
        """So many were given."""
        self.spying = False
        """Whether an application that gives sound runs at this moment."""
        self._told = False
        """Whether the agent was told that this call is heard."""
        self._scan = False
        """Whether the scan came to the agent."""
        self._place: Place | None = None
        """On the call that is being heard, through all changes of mode."""
        self._reason = ("", "")
        """The agent's channel for which a reason was given last, and which."""
        self.took_over = False
        """Whether the call that was heard last was taken over."""
        self.grant: Grant | None = None
        """The one that was given last."""
        self.handed_over = False
        """Whether a spy was found at another phone, and is on record as such."""
        self.ended_by_server: End | None = None
        """Set by who stops the server, so that the audit tells a stop from a hang-up."""

    def possible(self, extension: str, mode: Mode, *, scan: bool, uniqueid: str = "") -> Permitted | Refusal:
        """Decide whether an agent may come to be heard, for the question whether to look further.

        Parameters:
            extension: the agent.
            mode: how.
            scan: whether it is the scan that asks.
            uniqueid: the agent's channel, when it is known.
        """
        now = self._line.clock()
        if uniqueid:
            place = self._place_on(uniqueid, now)
            reason = True if self._reason_for(uniqueid) else None
            known = self._onlooker.of_call(place, now, scan=scan, reason=reason, begins=place is not self._place)
        else:
            known = self._onlooker.before_the_call(now, scan=scan)
        return self._onlooker.possible(
            self._line.policy(), self._line.endpoint, self._supervisor_id, extension, mode, known
        )

    async def spy(self, spyee: Spyee, mode: Mode, *, scan: bool) -> End | Refusal:
        """Spy until it is over, through all changes of mode. Returns why it is over.

        Parameters:
            spyee: whom.
            mode: to begin with.
            scan: whether the scan came to them.
        """
        self._told, self._scan = False, scan
        try:
            return await self._through_all_modes(spyee, mode)
        finally:
            self._leave_place()

    def _begin_another_call(self) -> None:
        """Ask and tell anew: what was said, and how long was heard, was about a call that is over."""
        self._told, self._reason = False, ("", "")
        self._leave_place()

    def _leave_place(self) -> None:
        if self._place is not None and self._watch is not None:
            self._watch.place_left(self._place)
        self._place = None

    async def _through_all_modes(self, spyee: Spyee, mode: Mode) -> End | Refusal:
        granted = await self._grant(spyee, mode)
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
            if step.another:
                self._begin_another_call()
                if wanted in _SPOKEN_TO_ALL:
                    # Whoever came later is not on the call that the supervisor chose to speak into.
                    wanted = Mode.LISTEN
            if wanted is None:
                return step.why
            granted = await self._again(spyee, wanted)
            before = Mode.LISTEN if step.another and grant.mode in _SPOKEN_TO_ALL else grant.mode
            if isinstance(granted, Refusal) and granted.reason is not Reason.TARGET_GONE and wanted is not before:
                await self._line.refuse(granted, wanted, spyee.agent.extension)
                granted = await self._again(spyee, before)
            if isinstance(granted, Refusal):
                return granted

    # ---- may it be? ------------------------------------------------------------------------------------

    async def _grant(self, spyee: Spyee, mode: Mode, *, passed: bool = False) -> tuple[Grant, Spyee] | Refusal:
        decided = self._decide(spyee, mode)
        if isinstance(decided, Refusal):
            if decided.reason is Reason.REASON_MISSING and await self._ask_reason(spyee):
                # The question takes its time: the configuration and the call may be others by now.
                return await self._after_waiting(spyee, mode)
            return decided
        permitted, _ = decided
        hooks = self._line.hooks
        if not passed and hooks is not None and hooks.ask:
            asked = self._asked(spyee, mode, permitted.rule)
            denied = await hooks.refusal(asked) or await hooks.before(asked)
            # A plug-in takes its time, as a question does.
            return denied or await self._after_waiting(spyee, mode, passed=True)
        if await self._is_marked(spyee.channel):
            return Refusal(Reason.PROTECTED, "the dialplan says so")
        notice = self._line.policy().notice
        if not self._told and notice is not None and notice.concerns(permitted.agent, mode):
            self._told = await self._tell(spyee.channel)
            # As does the notice.
            if not self._told:
                return Refusal(Reason.NOTICE_FAILED)
            return await self._after_waiting(spyee, mode, passed=True)
        decided = self._decide(spyee, mode)
        if isinstance(decided, Refusal):
            return decided
        # Nothing is waited for between the decision and the place: two who ask at once do not both get the last one.
        permitted, self._place = decided
        if self._watch is not None:
            self._watch.place_taken(self._place)
        self.grants += 1
        grant = Grant(
            call=self._caller.id,
            number=self.grants,
            supervisor=permitted.supervisor.id,
            endpoint=self._line.endpoint,
            spyer=self._line.dialled.channel,
            spyer_uniqueid=self._line.dialled.uniqueid,
            extension=permitted.agent.extension,
            spyee=spyee.channel.name,
            spyee_uniqueid=spyee.channel.uniqueid,
            mode=mode,
            rule=permitted.rule,
            began=self._line.clock(),
            since=self._place.since,
            reason=self._reason_for(spyee.channel.uniqueid),
            scan=self._scan,
        )
        return grant, spyee

    async def _is_marked(self, channel: DeviceChannel) -> bool:
        mark = await self._caller.get_full_variable(f"${{{protected.VARIABLE}}}", channel.uniqueid)
        return protected.marked(mark)

    def _asked(self, spyee: Spyee, mode: Mode, rule: str) -> Asked:
        return Asked(
            call=self._caller.id,
            supervisor=self._supervisor_id or "",
            supervisor_groups=frozenset() if self._line.supervisor is None else self._line.supervisor.groups,
            endpoint=self._line.endpoint,
            extension=spyee.agent.extension,
            agent_groups=spyee.agent.groups,
            channel=spyee.channel.name,
            uniqueid=spyee.channel.uniqueid,
            mode=mode,
            rule=rule,
            reason=self._reason_for(spyee.channel.uniqueid),
            scan=self._scan,
        )

    def _decide(self, spyee: Spyee, mode: Mode, source: Origin | None = None) -> tuple[Permitted, Place] | Refusal:
        """Decide by everything that is known at this moment."""
        policy, channel, now = self._line.policy(), spyee.channel, self._line.clock()
        place = self._place_on(channel.uniqueid, now)
        known = self._onlooker.of_call(
            place,
            now,
            scan=self._scan,
            reason=bool(self._reason_for(channel.uniqueid)),
            begins=place is not self._place,
        )
        cases = (known,) if source is None else tuple(origins.confirmed(known, source))
        decide = partial(self._permitted, policy, mode, cases)
        permitted = decide(spyee.agent.extension)
        if isinstance(permitted, Refusal):
            return permitted
        refusal = (
            targets.possible(channel, mode, policy.barge)
            or policy.protected.refusal(channel)
            or targets.uncertain(channel)
            or other_owner_refuses(policy, self._live, spyee.agent.extension, channel.name, decide)
        )
        return (permitted, place) if refusal is None else refusal

    def _permitted(
        self, policy: Policy, mode: Mode, cases: Sequence[Circumstances], extension: str
    ) -> Permitted | Refusal:
        decided = [
            policy.permitted(self._line.endpoint, self._supervisor_id, extension, mode, known) for known in cases
        ]
        return next((one for one in decided if isinstance(one, Refusal)), decided[0])

    @property
    def _supervisor_id(self) -> str | None:
        return None if self._line.supervisor is None else self._line.supervisor.id

    def _place_on(self, uniqueid: str, now: float) -> Place:
        if self._place is not None and self._place.spyee_uniqueid == uniqueid:
            return self._place
        return self._onlooker.place(self._supervisor_id or "", self._line.dialled.uniqueid, uniqueid, now)

    async def _after_waiting(
        self, spyee: Spyee, mode: Mode, *, passed: bool = False
    ) -> tuple[Grant, Spyee] | Refusal:
        """Decide anew after a question or the notice; what was said there was about who was on the call then."""
        return await self._again(spyee, mode, passed=passed, same=True)

    async def _again(
        self, spyee: Spyee, mode: Mode, *, passed: bool = False, same: bool = False
    ) -> tuple[Grant, Spyee] | Refusal:
        """Decide on a mode for the call that is being heard: by the rules, and by what the call is now.

        Parameters:
            spyee: whom.
            mode: how.
            passed: the plug-ins were asked already.
            same: whether somebody who was on the call must be on it still.
        """
        extension = spyee.agent.extension
        # Whoever may not hear the agent any more is not told whether the call is still on.
        permitted = self.possible(extension, mode, scan=self._scan, uniqueid=spyee.channel.uniqueid)
        if isinstance(permitted, Refusal):
            return permitted
        devices = await self._devices.devices_of(permitted.agent)
        for channel in devices.channels:
            if channel.uniqueid == spyee.channel.uniqueid:
                if same and set(channel.peers).isdisjoint(spyee.channel.peers):
                    return Refusal(Reason.TARGET_GONE, "the call went on with another party")
                now = replace(
                    spyee, agent=permitted.agent, channel=channel, source=devices.source, stale=devices.stale
                )
                return await self._grant(now, mode, passed=passed)
        return Refusal(Reason.TARGET_GONE)

    # ---- why? ------------------------------------------------------------------------------------------

    async def _ask_reason(self, spyee: Spyee) -> bool:
        """Ask for the digit that stands for a reason; it holds for this call of the agent, in every mode."""
        self._line.log.info("reason_prompted")
        digit = await self._line.ask(Cue.ASK_REASON, REASON_SECONDS, 1)
        if not digit:
            # Said once more; it may have been the # behind an extension that was complete without it.
            digit = await self._line.ask(Cue.ASK_REASON, REASON_SECONDS, 1)
        reason = self._line.policy().reasons.get(digit)
        if reason is None:
            return False
        self._line.log.info("reason_given", reason=reason)
        self._reason = (spyee.channel.uniqueid, reason)
        return True

    def _reason_for(self, uniqueid: str) -> str:
        return self._reason[1] if self._reason[0] == uniqueid else ""

    # ---- the agent is told -----------------------------------------------------------------------------

    async def _tell(self, channel: DeviceChannel) -> bool:
        if self._watch is None:
            return False
        notice = self._watch.notice_expected(channel.uniqueid)
        try:
            self._line.log.info("notice_begun", spyee=channel.name)
            await self._line.confirm()
            helper = chanspy.notice(Uniqueid(channel.uniqueid), NOTICE_CONTEXT)
            await self._caller.execute("Originate", helper)
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
        self.took_over = grant.mode is Mode.TAKE_OVER
        on_record = True
        why = End.ERROR
        pressed = ""
        another = False
        revoked: str | None = None
        try:
            # Inside, for a hang-up while the disk is busy leaves a record that wants its end.
            await self._line.audit.append(self._started(grant, spyee))
            self._line.log.info(
                "spy_started", grant=grant.number, mode=grant.mode, spyee=grant.spyee, rule=grant.rule
            )
            if self._watch is not None:
                signed = self._watch.opened(grant)
                await self._caller.set_variable(proof.VARIABLE, signed)
                # Without its proof the spy could not be found at a phone that it is handed to.
                revoked = None if signed else _NOT_SIGNED
            revoked = revoked or self._no_longer(grant, spyee)
            confirmed = None if revoked is not None else await self._confirm(grant, spyee)
            if isinstance(confirmed, Refusal):
                revoked = confirmed.reason
            elif confirmed is not None:
                # Nothing is waited for between this decision and the application.
                revoked = self._no_longer(grant, *confirmed)
            if isinstance(confirmed, tuple) and revoked is None:
                application, arguments = self._application(grant, confirmed[0].channel)
                self.spying, self.grant = True, grant
                result = await self._caller.execute(application, arguments)
                self.spying = False
                await self._line.confirm()
                pressed = await self._key_pressed(application, result)
                why = await self._why(grant, pressed, result)
                another = self._watch is not None and self._watch.is_another_conversation(grant)
            if self._watch is not None:
                # The proof would go on being one for a spy that somebody else starts on this channel.
                await self._caller.set_variable(proof.VARIABLE, "")
            # It may have been revoked up to this moment, and has silenced the channel then.
            revoked = self._revoked(grant) or revoked
            if revoked == Reason.TARGET_GONE:
                why = End.TARGET_GONE
            elif revoked is not None:
                why = End.HANDED_OVER if revoked == End.HANDED_OVER else End.REVOKED
                await self._unmute(grant)
        except AuditUnavailable as error:
            on_record = False
            return Refusal(Reason.AUDIT_UNAVAILABLE, str(error))
        except HandedOver as moved:
            why = End.HANDED_OVER
            if self._watch is None or not await self._watch.was_handed_over(grant):
                await self._line.handed_over(moved, grant.number, grant.extension)
            self.handed_over = True
            raise
        except CallEnded:
            why = await self._why_the_call_ended(grant)
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
                seconds = self._line.seconds() - began
                await self._line.audit.append(self._ended(grant, why, seconds))
                self._line.log.info("spy_ended", grant=grant.number, why=why)
                if self._line.hooks is not None:
                    await self._line.hooks.after(self._asked(spyee, grant.mode, grant.rule), why.value, seconds)
        if why is End.TARGET_GONE:
            return Refusal(Reason.TARGET_GONE)
        if why in (End.REVOKED, End.HANDED_OVER):
            return Refusal(_SAID.get(revoked or "", Reason.REVOKED), revoked or "")
        if why is End.CALL_OVER:
            await self._line.say(Cue.CALL_OVER)
        return _Step(why, pressed, another)

    async def _confirm(self, grant: Grant, spyee: Spyee) -> tuple[Spyee, Origin] | Refusal:
        """Ask the PBX itself, right before the application, who is about to hear whom.

        The record took its time, and what was known before it came from events. Now the agent's channel must be the
        one that was decided on, on the agent's device, in a conversation, and not protected. Who is taken over must
        be who was to be. The supervisor's call must be at the phone that it came from: that is asked last, because
        another phone may take the call while the questions before it are answered.
        """
        now = await self._devices.confirmed(spyee.agent, spyee.channel)
        if now is None or not now.talking:
            return Refusal(Reason.TARGET_GONE)
        if grant.mode is Mode.TAKE_OVER and now.peers != spyee.channel.peers:
            return Refusal(Reason.TARGET_GONE, "the call went on with another party")
        if await self._is_marked(now):
            return Refusal(Reason.PROTECTED, "the dialplan says so")
        if await self._hides_owner(now):
            return Refusal(Reason.STALE, "who is logged in at the phone is not known for certain")
        source = origins.UNKNOWN
        if self._line.policy().rights.depend_on_calls and self._onlooker.sees:
            source = await origins.at_source(self._caller, now)
        await self._line.confirm()
        return replace(spyee, channel=now), source

    async def _hides_owner(self, channel: DeviceChannel) -> bool:
        device = endpoint_of(channel.name)
        if self._live is None or device is None:
            return False
        try:
            return await self._live.hides_owner(device)
        except AgiMonitorError:
            # One who logged out may still be there.
            return True

    def _application(self, grant: Grant, channel: DeviceChannel) -> tuple[str, str]:
        if grant.mode is Mode.TAKE_OVER:
            return bridging.TAKE, bridging.take(names.DeviceChannel(channel.peers[0]))
        if grant.mode is Mode.BARGE and self._line.policy().barge is Barge.CONFERENCE:
            return bridging.JOIN, bridging.join(names.DeviceChannel(channel.name))
        return chanspy.APPLICATION, chanspy.arguments(Uniqueid(channel.uniqueid), grant.mode)

    def _no_longer(self, grant: Grant, spyee: Spyee, source: Origin | None = None) -> str | None:
        """Say why the grant does not hold any more: the records took their time.

        Parameters:
            grant: the grant.
            spyee: whom.
            source: where the call came from, by its channels; None where they were not asked yet.
        """
        revoked = self._revoked(grant)
        if revoked is not None:
            return revoked
        decided = self._decide(spyee, grant.mode, source)
        return decided.reason if isinstance(decided, Refusal) else None

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
        if pressed == chanspy.END_KEY and self._watch is not None and self._watch.conversation_over(grant):
            return End.CALL_OVER
        if pressed:
            anew = pressed == chanspy.END_KEY and self._watch is not None and self._watch.begins_anew(grant)
            return End.PARTY_CHANGED if anew else End.MODE_KEY
        if grant.mode is Mode.TAKE_OVER:
            # features.c, bridge_exec: SUCCESS also at the end of a bridge that was made.
            made = await self._caller.get_full_variable("${BRIDGERESULT}")
            return End.CALL_OVER if made == "SUCCESS" else End.TARGET_GONE
        if await self._caller.get_full_variable("${CHANNEL(state)}", grant.spyee_uniqueid):
            # Somebody else may have come into its place in the call, while the supervisor's own is still here.
            moved = self._watch is not None and await self._watch.was_handed_over(grant)
            return End.HANDED_OVER if moved else End.PBX_ENDED
        # Option u: a channel that cannot be found ends ChanSpy with -1; one that was heard and is gone with 0.
        return End.TARGET_GONE if result == -1 else End.CALL_OVER

    def _revoked(self, grant: Grant) -> str | None:
        return None if self._watch is None else self._watch.revoked(grant)

    async def _why_the_call_ended(self, grant: Grant) -> End:
        if self._watch is not None and await self._watch.was_handed_over(grant):
            return End.HANDED_OVER
        if self._revoked(grant) is not None:
            return End.REVOKED
        why = self.why_the_call_ended()
        return End.HANDED_OVER if why is End.SUPERVISOR_HUNG_UP and await self._was_moved() else why

    async def _was_moved(self) -> bool:
        """Return whether the call left this server without a hang-up: it was redirected, or bridged with somebody.

        Asterisk answers both as it does a hang-up, and goes on elsewhere: in another place of the dialplan, or on a
        channel with another uniqueid (ast_async_goto, pbx.c; ast_channel_yank, channel.c). What is left says so.
        """
        try:
            # The proof goes with the channel, and would be one for whoever lets it spy there.
            await self._caller.set_variable(proof.VARIABLE, "")
            where = await self._caller.get_full_variable("${UNIQUEID}|${CONTEXT}") or ""
        except (CallEnded, CommandFailed):
            return False
        uniqueid, _, context = where.partition("|")
        return uniqueid != self._line.dialled.uniqueid or context not in (self._line.context, chanspy.EXIT_CONTEXT)

    def why_the_call_ended(self) -> End:
        """Say why the supervisor's call is over."""
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
            reason=grant.reason,
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


_NOT_SIGNED = "grant_not_signed"

_SPOKEN_TO_ALL = frozenset({Mode.BARGE, Mode.TAKE_OVER})
"""In these the agent is not the only one who hears the supervisor."""

_SAID = {reason.value: reason for reason in (Reason.TIME_IS_UP, Reason.TOO_MANY_LISTENERS)}
"""What a supervisor is told whose spy was ended; anything else is told as ``revoked``."""
