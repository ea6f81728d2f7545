"""One agent's call is heard: from the first grant to the end, through every change of mode.

::

    gates -> audit -> proof -> the source -> ChanSpy, or a conference, or the take-over -> audit
      ^                                                                                  |
      +------------------------------------- key? <--------------------------------------+

No step gives sound but the application, and the application is executed in one place, after the audit.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from agi_monitor import names
from agi_monitor.audit.facts import End, SpyEnded, SpyStarted
from agi_monitor.errors import AgiMonitorError, AuditUnavailable, CallEnded, CommandFailed
from agi_monitor.live.calls import Origin
from agi_monitor.live.index import Stale
from agi_monitor.live.targets import DeviceChannel, DeviceLookup
from agi_monitor.model import Barge, Cue, Mode, Reason, Refusal
from agi_monitor.names import Uniqueid, endpoint_of
from agi_monitor.pins.records import pin_id
from agi_monitor.supervision import bridging, chanspy, origins, proof
from agi_monitor.supervision.deciding import Deciding, Spyee
from agi_monitor.supervision.gates import Gates
from agi_monitor.supervision.grant import Grant
from agi_monitor.supervision.grant_watch import ManagerInterface
from agi_monitor.supervision.hooks import Asked
from agi_monitor.supervision.line import HandedOver, SupervisorLine
from agi_monitor.supervision.policy import Permitted


@dataclass(frozen=True, slots=True)
class _Granted:
    """A grant that was decided on, and is not on record yet.

    Parameters:
        grant: the grant.
        spyee: the agent and the channel that is meant.
        asked: what the plug-ins were told of it.
    """

    grant: Grant
    spyee: Spyee
    asked: Asked


@dataclass(frozen=True, slots=True)
class _Step:
    """One application that was to be executed, and what ended it.

    Parameters:
        why: it is over.
        pressed: the key that ended it, or empty.
        another: whether another conversation is on the agent's channel.
        parties: who talked to the agent then.
        revoked: why the grant no longer held, or empty.
    """

    why: End
    pressed: str = ""
    another: bool = False
    parties: frozenset[str] = frozenset()
    revoked: str = ""

    def unless_revoked(self, revoked: str | None) -> _Step:
        """Return the step, or what it is where its grant was revoked: that says why it is over."""
        return self if revoked is None else replace(self, why=_ENDS.get(revoked, End.REVOKED), revoked=revoked)

    @property
    def refusal(self) -> Refusal | None:
        """What the supervisor is told who can hear the agent no more."""
        if self.why is End.TARGET_GONE:
            return Refusal(Reason.TARGET_GONE)
        if self.why in (End.REVOKED, End.HANDED_OVER):
            return Refusal(_SAID.get(self.revoked, Reason.REVOKED), self.revoked)
        return None


class Spying:
    """The spies of one supervisor's call, one after the other.

    Parameters:
        line: the supervisor's.
        devices: looks agents up.
        manager: the PBX as its manager interface shows it.
    """

    def __init__(self, line: SupervisorLine, devices: DeviceLookup, manager: ManagerInterface) -> None:
        self._line = line
        self._caller = line.caller
        self._devices = devices
        self._live = manager.live
        self._watch = manager.watch
        self._deciding = Deciding(line, manager)
        self._gates = Gates(line, devices, self._deciding, manager.watch)
        self.grants = 0
        """How many were given."""
        self.spying = False
        """Whether an application that gives sound runs now."""
        self._over_at: float | None = None
        """When the application that gave sound last was over; None where the last grant came to none."""
        self.went_back = False
        """Whether the supervisor left the agent who was heard last for the one before."""
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
            mode: the mode of the spy.
            scan: whether it is the scan that asks.
            uniqueid: the agent's channel, when it is known.
        """
        return self._deciding.possible(extension, mode, scan=scan, uniqueid=uniqueid)

    async def is_marked(self, channel: DeviceChannel) -> bool:
        """Return whether the dialplan has marked an agent's call as one that may not be heard."""
        return await self._gates.mark.refusal(channel) is not None

    async def spy(self, spyee: Spyee, mode: Mode, *, scan: bool) -> End | Refusal:
        """Spy until it is over, through all changes of mode. Returns why it is over.

        Parameters:
            spyee: the agent and the channel that is meant.
            mode: to begin with.
            scan: whether the scan came to them.
        """
        self._gates.notice.told, self._deciding.scan = False, scan
        self._gates.marked, self.went_back = Mode.LISTEN, False
        self._line.forget_keys()
        try:
            return await self._through_all_modes(spyee, mode)
        finally:
            self._deciding.leave_place()

    async def _through_all_modes(self, spyee: Spyee, mode: Mode) -> End | Refusal:
        granted = await self._grant(spyee, mode)
        if isinstance(granted, Refusal):
            return granted
        await self._caller.set_variable(chanspy.EXIT_CONTEXT_VARIABLE, chanspy.EXIT_CONTEXT)
        while True:
            grant, spyee = granted.grant, granted.spyee
            pressed = self._line.take_key()
            if pressed in _SPY_KEYS:
                # While the supervisor was told which mode begins: no sound yet.
                await self._line.abandon(End.SUPERVISOR_LEFT)
                self.grants -= 1
                parties = frozenset(spyee.channel.peers)
                step: _Step | Refusal = _Step(_LEAVES.get(pressed, End.MODE_KEY), pressed, parties=parties)
            else:
                step = await self._execute(granted)
            if isinstance(step, Refusal):
                return step
            if step.pressed == chanspy.HELP_KEY:
                step = await self._help(step)
            self.went_back = step.pressed == chanspy.BACK_KEY
            wanted = chanspy.MODE_KEYS.get(step.pressed)
            if wanted is None and step.why in (End.MODE_KEY, End.PARTY_CHANGED):
                wanted = grant.mode  # also for a key that means nothing, before ChanSpy could pass over it
            before = grant.mode
            if step.another:
                self._gates.begin_another_call()
                if before in _SPOKEN_TO_ALL:
                    # A party who came later is not on the call that the supervisor chose to speak into.
                    before = Mode.LISTEN
                # Nor was a key meant for them that was pressed while the call before ended.
                wanted = None if wanted is None else before
            if wanted is None:
                return step.why
            granted = await self._again(spyee, wanted, step.parties)
            while isinstance(granted, Refusal) and granted.reason not in _NOTHING_LEFT and wanted is not before:
                await self._line.refuse(granted, wanted, spyee.agent.extension)
                pressed = self._line.take_key()
                self.went_back = pressed == chanspy.BACK_KEY
                if pressed in _LEAVES:
                    return _LEAVES[pressed]
                # A key that was pressed meanwhile is for another mode; and no spy was watched while that was said.
                wanted = chanspy.MODE_KEYS.get(pressed, before)
                granted = await self._again(spyee, wanted, step.parties)
            if isinstance(granted, Refusal):
                return granted

    async def _help(self, step: _Step) -> _Step:
        """Tell what the keys do; the one that ends the words is as good as one during the spy."""
        await self._line.say(Cue.HELP)
        pressed = self._line.take_key()
        if pressed not in _SPY_KEYS or pressed == chanspy.HELP_KEY:
            return step
        return replace(step, why=_LEAVES.get(pressed, End.MODE_KEY), pressed=pressed)

    # ---- may it be? ------------------------------------------------------------------------------------

    async def _again(self, spyee: Spyee, mode: Mode, parties: frozenset[str]) -> _Granted | Refusal:
        """Decide on a mode for the call that is being heard: by the rules, and by what the call is now.

        Parameters:
            spyee: the agent and the channel that is meant.
            mode: the mode of the spy.
            parties: who was on the call when the spy before ended. The record of that end takes its time, and so do
                plug-ins and a refusal that is said: a key was not meant for who has come since.
        """
        self._line.asks(mode, spyee.agent.extension)
        looked = await self._gates.look(spyee, mode, parties)
        return looked if isinstance(looked, Refusal) else await self._grant(looked, mode)

    async def _grant(self, spyee: Spyee, mode: Mode) -> _Granted | Refusal:
        admitted = await self._gates.admit(spyee, mode)
        if isinstance(admitted, Refusal):
            return admitted
        spyee, permitted = admitted.spyee, admitted.decided.permitted
        self.grants += 1
        grant = Grant(
            call=self._caller.id,
            number=self.grants,
            supervisor=permitted.supervisor.id,
            pin=pin_id(permitted.supervisor.pin_hash),
            endpoint=self._line.endpoint,
            spyer=self._line.dialled.channel,
            spyer_uniqueid=self._line.dialled.uniqueid,
            extension=permitted.agent.extension,
            spyee=spyee.channel.name,
            spyee_uniqueid=spyee.channel.uniqueid,
            mode=mode,
            rule=permitted.rule,
            began=self._line.clock(),
            since=admitted.decided.place.since,
            reason=self._deciding.reason_for(spyee.channel),
            scan=self._deciding.scan,
        )
        return _Granted(grant, spyee, self._deciding.asked(spyee, mode, permitted))

    # ---- it is -----------------------------------------------------------------------------------------

    async def _execute(self, granted: _Granted) -> _Step | Refusal:
        """Run one application from record to record."""
        grant, spyee = granted.grant, granted.spyee
        # A hang-up while the disk is busy leaves this record: the request has its answer.
        self._line.request = None
        began, self._over_at = self._line.seconds(), None
        self.took_over = grant.mode is Mode.TAKE_OVER
        signed: str | None = None
        on_record, step = True, _Step(End.ERROR)
        try:
            # Inside, for a hang-up while the disk is busy leaves a record that wants its end.
            await self._line.audit.append(self._started(grant, spyee))
            self._line.log.info(
                "spy_started", grant=grant.number, mode=grant.mode, spyee=grant.spyee, rule=grant.rule
            )
            signed = self._watch.opened(grant)
            step = await self._hear(grant, spyee, signed)
            if signed is not None:
                # The proof would still count for a spy that another program starts on this channel.
                await self._caller.set_variable(proof.VARIABLE, "")
            # It may have been revoked up to this moment, and has silenced the channel then.
            step = step.unless_revoked(self._watch.revoked(grant))
            if step.revoked and step.why is not End.TARGET_GONE and signed is not None:
                await self._unmute(grant)
        except AuditUnavailable as error:
            on_record = False
            return Refusal(Reason.AUDIT_UNAVAILABLE, str(error))
        except HandedOver as moved:
            step = _Step(End.HANDED_OVER)
            if not await self._watch.was_handed_over(grant):
                await self._line.handed_over(moved, grant.number, grant.extension)
            self.handed_over = True
            raise
        except CallEnded:
            step = _Step(await self._why_the_call_ended(grant))
            if signed is not None and self._goes_on():
                # It continues with its proof: the watch finds it by that, and records its end.
                on_record = False
                self._watch.left_alone(grant)
            raise
        finally:
            self.spying = False
            self._watch.closed(grant)
            if on_record:
                # Why it ended may have been asked at a PBX that takes its time: nothing was heard meanwhile.
                over_at = self._line.seconds() if self._over_at is None else self._over_at
                await self._end(granted, step.why, over_at - began)
        if step.why is End.CALL_OVER:
            await self._line.say(Cue.CALL_OVER)
        return step.refusal or step

    async def _hear(self, grant: Grant, spyee: Spyee, signed: str | None) -> _Step:
        """Execute the application, where the grant still holds once the PBX itself was asked.

        Parameters:
            grant: the grant; its record is on disk.
            spyee: the agent and the channel that is meant.
            signed: its proof; None where none is needed.
        """
        if signed is not None:
            await self._caller.set_variable(proof.VARIABLE, signed)
        # Without its proof the spy could not be found at a phone that it is handed to.
        revoked = _NOT_SIGNED if signed == "" else self._no_longer(grant, spyee)
        if revoked is not None:
            return _Step(End.ERROR).unless_revoked(revoked)
        confirmed = await self._confirm(grant, spyee)
        if isinstance(confirmed, Refusal):
            return _Step(End.ERROR).unless_revoked(confirmed.reason)
        # Nothing is waited for between this decision and the application.
        revoked = self._no_longer(grant, *confirmed)
        if revoked is not None:
            return _Step(End.ERROR).unless_revoked(revoked)
        application, arguments = self._application(grant, confirmed[0].channel)
        self.spying, self.grant = True, grant
        try:
            result = await self._caller.execute(application, arguments)
        finally:
            self._over_at = self._line.seconds()
        self.spying = False
        await self._line.confirm()
        pressed = await self._key_pressed(application, result)
        why = await self._why(grant, pressed, result)
        return _Step(why, pressed, self._watch.is_another_conversation(grant), self._parties(confirmed[0]))

    def _parties(self, spyee: Spyee) -> frozenset[str]:
        """Return who talks to the agent now. Where that is not known, or where the agent is alone for a moment, it is
        who did when the spy began: a key that is pressed between two calls is not meant for who comes next.

        Parameters:
            spyee: whom, as the PBX confirmed it before the spy.
        """
        partners = self._live.partners_of(spyee.channel.uniqueid)
        names = () if isinstance(partners, Stale) else (one.name for one in partners)
        return frozenset(names) or frozenset(spyee.channel.peers)

    async def _end(self, granted: _Granted, why: End, seconds: float) -> None:
        await self._line.audit.append(self._ended(granted.grant, why, seconds))
        self._line.log.info("spy_ended", grant=granted.grant.number, why=why)
        if self._line.hooks is not None:
            await self._line.hooks.after(granted.asked, why.value, seconds)

    async def _confirm(self, grant: Grant, spyee: Spyee) -> tuple[Spyee, Origin] | Refusal:
        """Ask the PBX itself, right before the application, who is about to hear whom.

        The record took its time, and what was known before it came from events. Now the agent's channel must be the
        one that was decided on, on the agent's device, in a conversation with one of the same parties, and not
        protected. Who is taken over must be who was to be. The supervisor's call must be at the phone that it came
        from: that is asked last, because another phone may take the call while the questions before it are answered.
        """
        # As the configuration has the agent now: the phone may be another's since it was decided.
        agent = self._line.policy().agents.get(spyee.agent.extension, spyee.agent)
        now = await self._devices.confirmed(agent, spyee.channel)
        if now is None or not now.talking:
            return Refusal(Reason.TARGET_GONE)
        before = spyee.channel.peers
        stays = not before or not set(now.peers).isdisjoint(before)
        if not stays or (grant.mode is Mode.TAKE_OVER and now.peers != before):
            return Refusal(Reason.TARGET_GONE, "the call went on with another party")
        marked = await self._gates.mark.refusal(now)
        if marked is not None:
            return marked
        if await self._hides_owner(now):
            return Refusal(Reason.STALE, "who is logged in at the phone is not known for certain")
        source = origins.UNKNOWN
        if self._line.policy().rights.depend_on_calls and self._live.stale() is None:
            source = await origins.at_source(self._caller, now)
        await self._line.confirm()
        return replace(spyee, agent=agent, channel=now), source

    async def _hides_owner(self, channel: DeviceChannel) -> bool:
        device = endpoint_of(channel.name)
        if device is None:
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
        """Return why the grant no longer holds, or None: the records took their time.

        Parameters:
            grant: the grant.
            spyee: the agent and the channel that is meant.
            source: where the call came from, by its channels; None where they were not asked yet.
        """
        revoked = self._watch.revoked(grant)
        if revoked is not None:
            return revoked
        decided = self._deciding.decide(spyee, grant.mode)
        if isinstance(decided, Refusal):
            return decided.reason
        if decided.permitted.rule != grant.rule:
            return _OTHER_RULE
        owed = self._gates.owed(spyee, grant.mode, decided.permitted)
        if owed is None and source is not None:
            confirmed = self._deciding.decide(spyee, grant.mode, source)
            owed = confirmed if isinstance(confirmed, Refusal) else None
        return None if owed is None else owed.reason

    def _goes_on(self) -> bool:
        """Whether sound continues although the story is over."""
        return self.spying and not self._caller.hung_up and self.ended_by_server is None

    async def _unmute(self, grant: Grant) -> None:
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
        if pressed in _LEAVES:
            return _LEAVES[pressed]
        if pressed == chanspy.END_KEY and self._watch.conversation_over(grant):
            return End.CALL_OVER
        if pressed:
            again = pressed == chanspy.END_KEY and self._watch.begins_anew(grant)
            return End.PARTY_CHANGED if again else End.MODE_KEY
        if grant.mode is Mode.TAKE_OVER:
            # features.c, bridge_exec: SUCCESS also at the end of a bridge that was made.
            made = await self._caller.get_full_variable("${BRIDGERESULT}")
            return End.CALL_OVER if made == "SUCCESS" else End.TARGET_GONE
        if await self._caller.get_full_variable("${CHANNEL(state)}", grant.spyee_uniqueid):
            # Another party may have come into its place in the call, while the supervisor's own is still here.
            return End.HANDED_OVER if await self._watch.was_handed_over(grant) else End.PBX_ENDED
        # Option u: a channel that cannot be found ends ChanSpy with -1; one that was heard and is gone with 0.
        return End.TARGET_GONE if result == -1 else End.CALL_OVER

    async def _why_the_call_ended(self, grant: Grant) -> End:
        if await self._watch.was_handed_over(grant):
            return End.HANDED_OVER
        if self._watch.revoked(grant) is not None:
            return End.REVOKED
        why = self.why_the_call_ended()
        return End.HANDED_OVER if why is End.SUPERVISOR_HUNG_UP and await self._was_moved() else why

    async def _was_moved(self) -> bool:
        """Return whether the call left this server without a hang-up: it was redirected, or bridged with another
        channel.

        Asterisk answers both as it does a hang-up, and continues elsewhere: in another place of the dialplan, or on a
        channel with another uniqueid (ast_async_goto, pbx.c; ast_channel_yank, channel.c). What is left says so.
        """
        try:
            # The proof goes with the channel, and would count for any spy there.
            await self._caller.set_variable(proof.VARIABLE, "")
            where = await self._caller.get_full_variable("${UNIQUEID}|${CONTEXT}") or ""
        except (CallEnded, CommandFailed):
            return False
        uniqueid, _, context = where.partition("|")
        return uniqueid != self._line.dialled.uniqueid or context not in (self._line.context, chanspy.EXIT_CONTEXT)

    def why_the_call_ended(self) -> End:
        """Return why the supervisor's call is over."""
        return self.ended_by_server or (End.SUPERVISOR_HUNG_UP if self._caller.hung_up else End.CONNECTION_LOST)

    # ---- records ---------------------------------------------------------------------------------------

    def _started(self, grant: Grant, spyee: Spyee) -> SpyStarted:
        return SpyStarted(
            **self._line.common(),
            grant=grant.number,
            extension=grant.extension,
            mode=grant.mode,
            spyee=grant.spyee,
            spyee_uniqueid=grant.spyee_uniqueid,
            rule=grant.rule,
            source=spyee.source,
            stale=spyee.stale,
            because=spyee.because,
            told=self._gates.notice.told,
            reason=grant.reason,
        )

    def _ended(self, grant: Grant, why: End, seconds: float) -> SpyEnded:
        return SpyEnded(
            **self._line.common(),
            grant=grant.number,
            extension=grant.extension,
            mode=grant.mode,
            why=why,
            seconds=round(seconds, 3),
        )


ENDS_THE_CALL = frozenset(
    {Reason.AUDIT_UNAVAILABLE, Reason.STATE_UNAVAILABLE, Reason.PBX_ERROR, Reason.IDENTITY_CHANGED}
)
"""After these nothing else can be asked for."""

_NOTHING_LEFT = ENDS_THE_CALL | {Reason.TARGET_GONE}
"""After these the mode from before is not asked for again."""

_NOT_SIGNED = "grant_not_signed"

_LEAVES = {chanspy.LEAVE_KEY: End.SUPERVISOR_LEFT, chanspy.BACK_KEY: End.SUPERVISOR_LEFT}
"""The keys that leave an agent, and what the record says."""

_SPY_KEYS = frozenset({*chanspy.MODE_KEYS, *_LEAVES, chanspy.HELP_KEY})
"""The keys that mean something during a spy."""

_OTHER_RULE = "rule_changed"
"""Another rule allows it than the one on record."""

_ENDS = {Reason.TARGET_GONE.value: End.TARGET_GONE, End.HANDED_OVER.value: End.HANDED_OVER}
"""How a revoked spy ends on record, by why it was revoked; any other is ``revoked``."""

_SPOKEN_TO_ALL = frozenset({Mode.BARGE, Mode.TAKE_OVER})
"""In these the agent is not the only one who hears the supervisor."""

_TOLD = (Reason.TIME_IS_UP, Reason.TOO_MANY_LISTENERS, Reason.IDENTITY_CHANGED)
_SAID = {reason.value: reason for reason in _TOLD}
"""What a supervisor is told whose spy was ended; anything else is told as ``revoked``."""
