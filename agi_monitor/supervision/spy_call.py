"""The story of one ``*222`` call, its steps in order.

::

    answer -> who -> PIN -> extension -> rule -> channel -> audit -> ChanSpy -> key? -> ... -> hang up

Every step says yes, or returns a ``Refusal`` that is spoken and audited. No step gives sound but ChanSpy, and
ChanSpy is executed in one place, after the audit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

import structlog

from agi_monitor.errors import AuditUnavailable, CallEnded, CommandFailed, StateUnavailable
from agi_monitor.model import Agent, Cue, Mode, Reason, Refusal, SpyRequest, Supervisor, endpoint_of
from agi_monitor.supervision import chanspy, feature_code, targets
from agi_monitor.supervision.audit import AuditLog, End, LockedOut, Refused, SpyEnded, SpyStarted
from agi_monitor.supervision.authorization import Rule, decide
from agi_monitor.supervision.pins import PinGuard, key
from agi_monitor.supervision.prompts import CHOICE, EXTENSION, NUMBER, PLACEHOLDERS, Prompts
from agi_monitor.supervision.targets import DeviceChannel, DeviceLookup

PIN_SECONDS = 8.0
"""Silence after which what was keyed in counts as the PIN; ``#`` ends it at once."""

PIN_DIGITS = 16
"""No PIN is longer."""

EXTENSION_SECONDS = 8.0
"""Silence after which what was keyed in counts as the extension."""

CHOICE_SECONDS = 8.0
"""So long the supervisor may think about which call is meant."""

MAX_CHOICES = 9
"""One key per call."""

MAX_MISSES = 5
"""Refused or empty requests in a row before the call is ended: nobody searches the extensions by ear."""

log = structlog.get_logger()


class Digits(Protocol):
    """What was keyed in."""

    @property
    def digits(self) -> str:
        """The keys, without the ``#`` that ended them."""
        ...


class Playback(Protocol):
    """How a sound file ended."""

    @property
    def digit(self) -> str:
        """The key that interrupted it, or an empty text."""
        ...

    @property
    def found(self) -> bool:
        """Whether the file could be played at all."""
        ...


class Caller(Protocol):
    """The supervisor on the line: what the story needs of an AGI session. ``agi.session.Session`` fits it.

    Every verb raises CallEnded when the supervisor hangs up, CommandFailed when Asterisk refuses.
    """

    @property
    def id(self) -> str: ...
    @property
    def hung_up(self) -> bool: ...
    async def answer(self) -> None: ...
    async def get_data(self, prompt: str, timeout: float, max_digits: int) -> Digits: ...
    async def stream_file(self, name: str, escape_digits: str = "") -> Playback: ...
    async def say_digits(self, digits: str, escape_digits: str = "") -> str: ...
    async def wait_for_digit(self, timeout: float) -> str: ...
    async def get_full_variable(self, expression: str, channel: str | None = None) -> str | None: ...
    async def set_variable(self, name: str, value: str) -> None: ...
    async def set_extension(self, extension: str) -> None: ...
    async def execute(self, application: str, arguments: str = "") -> int: ...
    async def hangup(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class Dialled:
    """What the environment of the AGI session says.

    Parameters:
        channel: the supervisor's channel. Its endpoint is who they are; the caller id is nobody's proof.
        uniqueid: of that channel.
        extension: the digits that were dialled.
        language: of the channel.
    """

    channel: str
    uniqueid: str
    extension: str
    language: str = "en"


@dataclass(frozen=True, slots=True)
class Policy:
    """Who may do what, as the configuration says at this moment.

    Parameters:
        codes: the feature code of each mode.
        supervisors: by endpoint.
        agents: by extension.
        rules: the permissions.
        prompts: what is said.
    """

    codes: Mapping[Mode, str]
    supervisors: Mapping[str, Supervisor]
    agents: Mapping[str, Agent]
    rules: tuple[Rule, ...]
    prompts: Prompts = field(default_factory=Prompts)


@dataclass(frozen=True, slots=True)
class _Permitted:
    """A yes of the rules, before anybody looked for a call."""

    supervisor: Supervisor
    agent: Agent
    rule: str


@dataclass(frozen=True, slots=True)
class _Grant:
    """One spy: who is heard, how, and which rule said so."""

    agent: Agent
    spyee: DeviceChannel
    mode: Mode
    rule: str
    number: int
    began: float


class SpyCall:
    """One call of a supervisor.

    Parameters:
        caller: the AGI session.
        dialled: its environment.
        policy: returns what the configuration says now; a reload takes effect at the next decision.
        pins: counts attempts.
        devices: looks agents up.
        audit: where facts go.
        clock: seconds since 1970.
    """

    def __init__(
        self,
        caller: Caller,
        dialled: Dialled,
        policy: Callable[[], Policy],
        pins: PinGuard,
        devices: DeviceLookup,
        audit: AuditLog,
        clock: Callable[[], float],
    ) -> None:
        self._caller = caller
        self._dialled = dialled
        self._policy = policy
        self._pins = pins
        self._devices = devices
        self._audit = audit
        self._clock = clock
        self._endpoint = endpoint_of(dialled.channel) or dialled.channel
        self._supervisor: Supervisor | None = None
        self._language = dialled.language
        self._grants = 0
        self._log = log.bind(call=caller.id, endpoint=self._endpoint)
        self.spying = False
        """Whether ChanSpy runs at this moment."""
        self.ended_by_server: End | None = None
        """Set by who stops the server, so that the audit tells a stop from a hang-up."""

    async def run(self) -> None:
        """Tell the story to its end. The call is over afterwards."""
        request = feature_code.parse(self._dialled.extension, self._policy().codes)
        if isinstance(request, SpyRequest):
            self._log.info("call_started", mode=request.mode, extension=self._agents_digits(request.extension))
        else:
            self._log.info("call_started", mode=None, extension=None)
        try:
            await self._caller.answer()
            await self._story(request)
            await self._say(Cue.GOODBYE)
        except CommandFailed as error:
            self._log.error("pbx_error", command=error.verb, code=error.code)
            await self._refuse(Refusal(Reason.PBX_ERROR, str(error)))
        finally:
            self._log.info("call_ended")
        await self._caller.hangup()

    async def _story(self, request: SpyRequest | Refusal) -> None:
        if isinstance(request, Refusal):
            await self._refuse(request)
            return
        refusal = await self._identify(request)
        if refusal is not None:
            await self._refuse(refusal, request.mode, request.extension)
            return
        await self._spy_on_one_after_another(request)

    # ---- who -------------------------------------------------------------------------------------------

    async def _identify(self, request: SpyRequest) -> Refusal | None:
        supervisor = self._policy().supervisors.get(self._endpoint)
        if supervisor is not None and supervisor.language:
            await self._caller.set_variable("CHANNEL(language)", supervisor.language)
            self._language = supervisor.language
        try:
            refusal = await self._ask_pin(supervisor)
        except StateUnavailable as error:
            self._log.error("state_unavailable", error=str(error))
            refusal = Refusal(Reason.STATE_UNAVAILABLE, str(error))
        if refusal is None:
            self._supervisor = supervisor
            self._log = self._log.bind(supervisor=supervisor.id if supervisor else None)
            self._log.info("supervisor_identified")
        return refusal

    async def _ask_pin(self, supervisor: Supervisor | None) -> Refusal | None:
        # A phone that belongs to nobody walks the same way as a wrong PIN, to the last word and the same time.
        who = key(supervisor, self._endpoint)
        if supervisor is not None and self._pins.remembered(supervisor, self._endpoint):
            return None
        prompt = Cue.ASK_PIN
        for attempt in range(1, self._pins.policy.attempts + 1):
            if self._pins.locked_until(who) is not None:
                return Refusal(Reason.PIN_LOCKED)
            self._log.info("pin_prompted", attempt=attempt)
            digits = await self._ask(prompt, PIN_SECONDS, PIN_DIGITS)
            refusal = await self._pins.verify(supervisor, self._endpoint, digits) if digits else None
            if digits and refusal is None:
                return None
            self._log.info("pin_refused", attempt=attempt, empty=not digits)
            until = self._pins.locked_until(who)
            if until is not None and refusal is not None and refusal.reason is Reason.PIN_WRONG:
                await self._locked_out(supervisor, until)
            prompt = Cue.ASK_PIN_AGAIN
        return Refusal(Reason.PIN_WRONG if supervisor else Reason.ENDPOINT_UNKNOWN)

    async def _locked_out(self, supervisor: Supervisor | None, until: float) -> None:
        self._log.warning("pin_locked_out", supervisor=supervisor.id if supervisor else None)
        await self._audit.append(LockedOut(**self._common(supervisor), until=datetime.fromtimestamp(until, UTC)))

    # ---- whom ------------------------------------------------------------------------------------------

    async def _spy_on_one_after_another(self, request: SpyRequest) -> None:
        extension, misses = request.extension, 0
        while misses < MAX_MISSES:
            if extension is None:
                extension = await self._ask_extension()
                if not extension:
                    if not self._grants:
                        await self._refuse(Refusal(Reason.EXTENSION_MISSING), request.mode)
                    return
            refusal = await self._spy_on(extension, request.mode)
            if refusal is not None and refusal.reason in _ENDS_THE_CALL:
                return
            misses = misses + 1 if refusal else 0
            extension = None

    async def _ask_extension(self) -> str:
        longest = max((len(extension) for extension in self._policy().agents), default=1)
        self._log.info("extension_prompted")
        return await self._ask(Cue.ASK_EXTENSION, EXTENSION_SECONDS, longest)

    async def _spy_on(self, extension: str, mode: Mode) -> Refusal | None:
        outcome: _Grant | Refusal | None = await self._choose(extension, mode)
        if isinstance(outcome, _Grant):
            outcome = await self._spy(outcome)
        if isinstance(outcome, Refusal):
            await self._refuse(outcome, mode, extension)
        return outcome

    async def _choose(self, extension: str, mode: Mode) -> _Grant | Refusal:
        permitted = self._permitted(extension, mode)
        if isinstance(permitted, Refusal):
            return permitted
        calls = targets.candidates(await self._devices.devices_of(permitted.agent), permitted.supervisor.endpoints)
        if isinstance(calls, Refusal):
            return calls
        spyee: DeviceChannel | None = calls[0]
        if len(calls) > 1:
            spyee = await self._ask_which(calls)
            # The question takes its time: the configuration may be another one by now.
            permitted = self._permitted(extension, mode)
            if isinstance(permitted, Refusal):
                return permitted
        if spyee is None:
            return Refusal(Reason.AMBIGUOUS, f"{len(calls)} calls")
        if spyee.on_hold:
            return Refusal(Reason.ON_HOLD)
        return self._grant(permitted, spyee, mode)

    def _permitted(self, extension: str, mode: Mode) -> _Permitted | Refusal:
        """Decide by the configuration of this moment; somebody taken out of it is nobody at once."""
        supervisor = self._policy().supervisors.get(self._endpoint)
        agent = self._policy().agents.get(extension)
        if supervisor is None or supervisor.id != (self._supervisor and self._supervisor.id):
            return Refusal(Reason.MODE_DENIED, "the supervisor is no longer configured")
        if agent is None:
            return Refusal(Reason.AGENT_UNKNOWN)
        verdict = decide(self._policy().rules, supervisor, agent, mode)
        if isinstance(verdict, Refusal):
            return verdict
        return _Permitted(supervisor, agent, verdict.rule)

    def _grant(self, permitted: _Permitted, spyee: DeviceChannel, mode: Mode) -> _Grant | Refusal:
        refusal = targets.possible(spyee, mode)
        if refusal is not None:
            return refusal
        self._grants += 1
        return _Grant(permitted.agent, spyee, mode, permitted.rule, self._grants, self._clock())

    async def _ask_which(self, calls: tuple[DeviceChannel, ...]) -> DeviceChannel | None:
        choices = {str(position): call for position, call in enumerate(calls[:MAX_CHOICES], start=1)}
        keys = "".join(choices)
        self._log.info("choice_prompted", calls=len(calls))
        for _ in range(2):
            for choice, call in choices.items():
                pressed = await self._say(Cue.CHOOSE_CALL, {CHOICE: choice, NUMBER: call.number}, keys)
                if pressed:
                    return choices[pressed]
            pressed = await self._caller.wait_for_digit(CHOICE_SECONDS)
            if pressed in choices:
                return choices[pressed]
        return None

    # ---- the spy ---------------------------------------------------------------------------------------

    async def _spy(self, grant: _Grant) -> Refusal | None:
        """Spy until it is over, through all changes of mode."""
        await self._caller.set_variable(chanspy.EXIT_CONTEXT_VARIABLE, chanspy.EXIT_CONTEXT)
        while True:
            pressed = await self._chanspy(grant)
            if isinstance(pressed, Refusal):
                return pressed
            wanted = chanspy.MODE_KEYS.get(pressed)
            if wanted is None:
                return None
            granted = await self._grant_again(grant, wanted)
            if isinstance(granted, Refusal):
                await self._refuse(granted, wanted, grant.agent.extension)
                granted = await self._grant_again(grant, grant.mode)
            if isinstance(granted, Refusal):
                return granted
            grant = granted

    async def _grant_again(self, grant: _Grant, mode: Mode) -> _Grant | Refusal:
        """Decide on a mode for the call that is being heard: by the rules, and by what the call is now."""
        permitted = self._permitted(grant.agent.extension, mode)
        if isinstance(permitted, Refusal):
            return permitted
        devices = await self._devices.devices_of(permitted.agent)
        present = [channel for channel in devices.channels if channel.uniqueid == grant.spyee.uniqueid]
        return self._grant(permitted, present[0] if present else grant.spyee, mode)

    async def _chanspy(self, grant: _Grant) -> str | Refusal:
        """Run ChanSpy once. Returns the key that ended it, or an empty text."""
        arguments = chanspy.arguments(grant.spyee.uniqueid, grant.mode)
        on_record = True
        why = End.ERROR
        try:
            # Inside, for a hang-up while the disk is busy leaves a record that wants its end.
            await self._audit.append(self._started(grant))
            self._log.info(
                "spy_started", grant=grant.number, mode=grant.mode, spyee=grant.spyee.name, rule=grant.rule
            )
            self.spying = True
            result = await self._caller.execute(chanspy.APPLICATION, arguments)
            self.spying = False
            pressed = await self._key_pressed()
            why = await self._why(grant, pressed, result)
        except AuditUnavailable as error:
            on_record = False
            return Refusal(Reason.AUDIT_UNAVAILABLE, str(error))
        except CallEnded:
            why = self.ended_by_server or (End.SUPERVISOR_HUNG_UP if self._caller.hung_up else End.CONNECTION_LOST)
            raise
        finally:
            self.spying = False
            if on_record:
                await self._audit.append(self._ended(grant, why))
                self._log.info("spy_ended", grant=grant.number, why=why)
        if why is End.TARGET_GONE:
            return Refusal(Reason.TARGET_GONE)
        if why is End.CALL_OVER:
            await self._say(Cue.CALL_OVER)
        return pressed

    async def _key_pressed(self) -> str:
        # Option X leaves to the pressed key in the exit context (app_chanspy.c); no other end moves the call.
        place = await self._caller.get_full_variable("${CONTEXT}:${EXTEN}")
        context, _, extension = (place or "").rpartition(":")
        if context != chanspy.EXIT_CONTEXT or extension == chanspy.NO_KEY:
            return ""
        await self._caller.set_extension(chanspy.NO_KEY)
        return extension

    async def _why(self, grant: _Grant, pressed: str, result: int) -> End:
        if pressed == chanspy.LEAVE_KEY:
            return End.SUPERVISOR_LEFT
        if pressed in chanspy.MODE_KEYS:
            return End.MODE_KEY
        if await self._caller.get_full_variable("${CHANNEL(state)}", grant.spyee.name):
            return End.PBX_ENDED
        # Option u: a channel that cannot be found ends ChanSpy with -1; one that was heard and is gone with 0.
        return End.TARGET_GONE if result == -1 else End.CALL_OVER

    # ---- words and records -----------------------------------------------------------------------------

    def _agents_digits(self, extension: str | None) -> str | None:
        """Only an agent's digits are written down: somebody may key in, or even dial, the PIN in their place."""
        return extension if extension in self._policy().agents else None

    async def _refuse(self, refusal: Refusal, mode: Mode | None = None, extension: str | None = None) -> None:
        await self._audit.append(
            Refused(
                **self._common(self._supervisor or self._policy().supervisors.get(self._endpoint)),
                reason=refusal.reason,
                mode=mode,
                extension=self._agents_digits(extension),
                detail=refusal.detail,
            )
        )
        self._log.info("refused", reason=refusal.reason, mode=mode, detail=refusal.detail)
        await self._say(refusal.reason, {EXTENSION: extension or ""})

    async def _say(self, moment: Cue | Reason, values: Mapping[str, str] | None = None, keys: str = "") -> str:
        """Play what is to be said; returns the key that interrupted it. A missing file is passed over."""
        for word in self._policy().prompts.words(moment, self._language):
            if word in PLACEHOLDERS:
                digits = (values or {}).get(word, "")
                pressed = await self._caller.say_digits(digits, keys) if digits else ""
            else:
                playback = await self._caller.stream_file(word, keys)
                pressed = playback.digit
                if not playback.found:
                    self._log.warning("prompt_missing", file=word, language=self._language)
            if pressed:
                return pressed
        return ""

    async def _ask(self, moment: Cue, seconds: float, most: int) -> str:
        """Play a prompt that keys may interrupt, and return what is keyed in."""
        (file,) = self._policy().prompts.words(moment, self._language)
        # GET DATA does not wait for keys when its file is missing, but answers -1 at once.
        for sound in (file, "beep"):
            try:
                return (await self._caller.get_data(sound, timeout=seconds, max_digits=most)).digits
            except CommandFailed:
                self._log.warning("prompt_missing", file=sound, language=self._language)
        return (await self._caller.get_data("", timeout=seconds, max_digits=most)).digits

    def _started(self, grant: _Grant) -> SpyStarted:
        return SpyStarted(
            **self._common(self._supervisor),
            grant=grant.number,
            extension=grant.agent.extension,
            mode=grant.mode,
            spyee=grant.spyee.name,
            spyee_uniqueid=grant.spyee.uniqueid,
            rule=grant.rule,
        )

    def _ended(self, grant: _Grant, why: End) -> SpyEnded:
        return SpyEnded(
            **self._common(self._supervisor),
            grant=grant.number,
            extension=grant.agent.extension,
            mode=grant.mode,
            why=why,
            seconds=round(self._clock() - grant.began, 3),
        )

    def _common(self, supervisor: Supervisor | None) -> dict[str, Any]:
        return {
            "at": datetime.fromtimestamp(self._clock(), UTC),
            "call": self._caller.id,
            "endpoint": self._endpoint,
            "spyer": self._dialled.channel,
            "spyer_uniqueid": self._dialled.uniqueid,
            "supervisor": supervisor.id if supervisor else None,
        }


_ENDS_THE_CALL = frozenset({Reason.AUDIT_UNAVAILABLE, Reason.STATE_UNAVAILABLE, Reason.PBX_ERROR})
