"""The supervisor on the line: what is said to them, what they key in, and what is recorded about their call."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

import structlog

from agi_monitor.audit.facts import AuditLog, End, Refused, RequestAbandoned, SpyHandedOver
from agi_monitor.errors import CommandFailed
from agi_monitor.model import Cue, Identity, Mode, Reason, Refusal
from agi_monitor.names import endpoint_of, names_its_caller
from agi_monitor.supervision.hooks import Hooks
from agi_monitor.supervision.policy import Policy
from agi_monitor.supervision.prompts import DEFAULTS, EXTENSION, PLACEHOLDERS, is_own, own

log = structlog.get_logger()

KEYS = "0123456789*#"
"""Every key ends what is being said: Asterisk throws away those that a sound file does not wait for (res_agi.c,
handle_streamfile)."""


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
    def peer(self) -> str: ...
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
    async def set_music(self, on: bool, music_class: str = "") -> None: ...
    async def execute(self, application: str, arguments: str = "") -> int: ...
    async def hangup(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class Dialled:
    """What the environment of the AGI session says.

    Parameters:
        channel: the supervisor's channel. Its endpoint is who they are; the caller id proves nothing.
        uniqueid: of that channel.
        extension: the digits that were dialled.
        language: of the channel.
    """

    channel: str
    uniqueid: str
    extension: str
    language: str = "en"


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked for.

    Parameters:
        mode: how the agent is to be heard; None if not known yet.
        extension: the agent; None if not known yet, or if it is not an agent's (it might be a PIN).
    """

    mode: Mode | None = None
    extension: str | None = None


class HandedOver(Exception):
    """The call is at another phone than the one that it came from: a transfer, a pick-up, a bridge.

    Parameters:
        to: the channel that has it now.
        to_uniqueid: the same channel's uniqueid.
    """

    def __init__(self, to: str, to_uniqueid: str) -> None:
        super().__init__(f"the call is at {to}")
        self.to = to
        self.to_uniqueid = to_uniqueid


class SupervisorLine:
    """One supervisor's line.

    Parameters:
        caller: the AGI session.
        dialled: its environment.
        policy: returns what the configuration says now.
        audit: where facts go.
        clock: seconds since 1970, for the records.
        seconds: on a monotonic clock, for how long something took.
        hooks: the site's plug-ins, if any.
        catch_up: takes in what others have changed of people, before the next look for it.
    """

    def __init__(
        self,
        caller: Caller,
        dialled: Dialled,
        policy: Callable[[], Policy],
        audit: AuditLog,
        clock: Callable[[], float],
        seconds: Callable[[], float],
        hooks: Hooks | None = None,
        catch_up: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self.caller = caller
        self.dialled = dialled
        self.policy = policy
        self.audit = audit
        self.clock = clock
        self.seconds = seconds
        self.hooks = hooks
        self._catch_up = catch_up
        self.endpoint = endpoint_of(dialled.channel) or dialled.channel
        self._is_named_by_caller = names_its_caller(dialled.channel)
        self.identity: Identity | None = None
        """Who it is, once the PIN was right."""
        assigned = policy().supervisors.get(self.endpoint)
        self.assigned = None if assigned is None else assigned.id
        """Whose phone it was when the PIN was asked for, or when the call began; on an unassigned phone, who
        they said they were before the PIN."""
        self.context = ""
        """Where in the dialplan the call came in, as the PBX said it."""
        self.request: Request | None = None
        """What was asked for and has no answer on record yet."""
        self.log = log.bind(call=caller.id, endpoint=self.endpoint)
        self._language = dialled.language
        self._keyed = ""
        """What was pressed while something was said, and has not been taken yet."""

    async def confirm(self) -> None:
        """Make sure that the call is still at the phone that it came from.

        Asterisk can put another phone into the place of this one while an application or a prompt runs, with all
        that the phone keys in from then on (ast_channel_masquerade, channel.c). Its uniqueid is another one then.

        Raises:
            HandedOver: it is elsewhere. Nothing more may be said or heard on it.
        """
        where = await self.caller.get_full_variable("${UNIQUEID}|${CONTEXT}|${CHANNEL}") or ""
        uniqueid, _, rest = where.partition("|")
        context, _, channel = rest.partition("|")
        self.context = self.context or context
        if (uniqueid, channel) != (self.dialled.uniqueid, self.dialled.channel):
            raise HandedOver(channel, uniqueid)
        if self._is_named_by_caller:
            self._is_named_by_caller = False
            peer = await self.caller.get_full_variable("${CHANNEL(peername)}") or ""
            if self.endpoint != f"SIP/{peer}":
                # A guest who calls themselves like a supervisor's phone: an unassigned phone.
                self.endpoint = self.dialled.channel

    # ---- who it is -------------------------------------------------------------------------------------

    @property
    def is_phone(self) -> bool:
        """Whether the channel is of a device that the PBX knows. A Local channel and that of a guest of chan_sip have
        another name in each call, so that wrong PINs would never lock them out.
        """
        return self.endpoint != self.dialled.channel

    async def identify(self, identity: Identity) -> Refusal | None:
        """Note who it is, unless the phone or the PIN was changed while the PIN was looked at.

        Parameters:
            identity: who has just given which PIN.
        """
        refusal = self._lost(identity)
        if refusal is not None and self._catch_up is not None:
            # The PIN may have been changed a moment ago, even on this very call: what holds is yet to learn of it.
            await self._catch_up()
            refusal = self._lost(identity)
        if refusal is None:
            self.identity = identity
            self.log = self.log.bind(supervisor=identity.supervisor)
            self.log.info("supervisor_identified")
        return refusal

    @property
    def tenant(self) -> str | None:
        """The tenant of the supervisor on this line; None for an unassigned phone."""
        return self.policy().tenant_on(self.endpoint, self.assigned)

    @property
    def assignment_lost(self) -> Refusal | None:
        """Why the supervisor cannot be identified, if the phone has changed hands since the PIN was asked for; or
        None.
        """
        found = self.policy().assigned(self.endpoint, self.assigned)
        return found if isinstance(found, Refusal) else None

    @property
    def identity_lost(self) -> Refusal | None:
        """Why the call may not continue, if it is no longer the identified supervisor's; or None."""
        return self._lost(self.identity)

    def _lost(self, identity: Identity | None) -> Refusal | None:
        found = self.policy().identified(self.endpoint, identity)
        return found if isinstance(found, Refusal) else None

    # ---- what is said and keyed in ---------------------------------------------------------------------

    async def speak(self, language: str) -> None:
        """Speak another language from now on."""
        await self.caller.set_variable("CHANNEL(language)", language)
        self._language = language

    async def say(
        self,
        moment: Cue | Reason,
        values: Mapping[str, str] | None = None,
        unless: Callable[[], Awaitable[bool]] | None = None,
        *,
        default_words: bool = False,
    ) -> None:
        """Play what is to be said, up to the first key: it counts for what comes next. Missing files are skipped.

        Parameters:
            moment: when.
            values: what the placeholders stand for.
            unless: asked before each word; the rest is left out once it says so.
            default_words: whether it is said in the default words, whatever the site has.
        """
        if any((values or {}).values()):
            # What is said of an agent or a number is for the ears of the supervisor alone.
            await self.confirm()
        words = DEFAULTS[moment] if default_words else self._words(moment)
        confirmed = True
        for word, is_digits in _spoken(words, values or {}, one_by_one=unless is not None):
            if unless is not None and await unless():
                return
            if is_digits:
                if not confirmed:
                    # The words before it took their time.
                    await self.confirm()
                    confirmed = True
                pressed = await self._say_digits(word, in_own_voice=is_own(words[0]))
            else:
                confirmed = False
                playback = await self.caller.stream_file(word, KEYS)
                pressed = playback.digit
                if not playback.found:
                    self.log.warning("prompt_missing", file=word, language=self._language)
                    if is_own(word):
                        # A sentence is said as a whole in the one voice or in the other.
                        await self.say(moment, values, unless, default_words=True)
                        return
            if pressed:
                await self.confirm()
                self._keyed += pressed
                return

    async def _say_digits(self, digits: str, *, in_own_voice: bool) -> str:
        """Say digits; returns the key that ended them."""
        for position, digit in enumerate(digits if in_own_voice else ""):
            playback = await self.caller.stream_file(own(f"digit-{digit}"), KEYS)
            if not playback.found:
                return await self.caller.say_digits(digits[position:], KEYS)
            if playback.digit:
                return playback.digit
        return "" if in_own_voice else await self.caller.say_digits(digits, KEYS)

    def take_key(self) -> str:
        """Return the first key that was pressed while something was said and is not taken yet, or an empty text."""
        pressed, self._keyed = self._keyed[:1], self._keyed[1:]
        return pressed

    def forget_keys(self) -> None:
        """Forget what was pressed until now: it was about another call than the one that comes next."""
        self._keyed = ""

    async def key(self, seconds: float) -> str:
        """Return the next key: one that is not taken yet, or one that is pressed within this time."""
        pressed = self.take_key()
        if not pressed:
            pressed = await self.caller.wait_for_digit(seconds)
            await self.confirm()
        return pressed

    async def ask(self, moment: Cue, seconds: float, most: int) -> str:
        """Play a prompt of one file that keys may interrupt, and return what is keyed in, without stars before it.

        Digits that were pressed while something else was said come first, and spare the prompt; a ``*`` or ``#`` did
        no more than to end it.
        """
        typed = "".join(filter(str.isdigit, self._keyed))[:most]
        self._keyed = ""
        file: str | None = None if typed else self._words(moment)[0]
        while len(typed) < most:
            asked = most - len(typed)
            keyed = await self._keyed_in(moment, file, seconds, asked)
            # What is keyed in at another phone is worth nothing here, a PIN least of all.
            await self.confirm()
            # Hands that know the star as the key to leave press it once more before the next extension.
            digits = keyed if typed else keyed.lstrip("*")
            typed += digits
            if len(digits) == len(keyed) or len(keyed) < asked:
                break
            # The stars took the places of digits that are still to come.
            file = None
        return typed

    async def _keyed_in(self, moment: Cue, file: str | None, seconds: float, most: int) -> str:
        default = DEFAULTS[moment] if file is not None and is_own(file) else ()
        # GET DATA does not wait for keys when its file is missing, but answers -1 at once.
        for sound in ("",) if file is None else (file, *default, "beep", ""):
            try:
                return (await self.caller.get_data(sound, timeout=seconds, max_digits=most)).digits
            except CommandFailed:
                if not sound:
                    raise
                self.log.warning("prompt_missing", file=sound, language=self._language)
        raise AssertionError("there is always a last sound, which answers or raises")

    def _words(self, moment: Cue | Reason) -> tuple[str, ...]:
        words = self.policy().prompts.words(moment, self._language)
        return words if self.hooks is None else self.hooks.words(moment, self._language, words)

    # ---- what is recorded ------------------------------------------------------------------------------

    def asks(self, mode: Mode | None, extension: str | None) -> Request:
        """Note what is asked for. It comes on record with its answer, or as abandoned.

        Parameters:
            mode: how the agent is to be heard.
            extension: as it was dialled or keyed in.
        """
        self.request = Request(mode, self.policy().agents_digits(extension, self.tenant))
        return self.request

    async def abandon(self, why: End) -> None:
        """Record that the supervisor did not wait for the answer to what was asked for, if there is none yet.

        Parameters:
            why: what ended the call, or the wait.
        """
        request, self.request = self.request, None
        if request is not None:
            await self.audit.append(
                RequestAbandoned(**self.common(), mode=request.mode, extension=request.extension, why=why)
            )

    async def handed_over(self, moved: HandedOver, grant: int | None = None, extension: str | None = None) -> None:
        """Record that the call is at another phone.

        Parameters:
            moved: where it is.
            grant: of the spy that was on, if any.
            extension: the agent who was heard, if any.
        """
        self.log.error("call_handed_over", to=moved.to)
        self.request = None
        await self.audit.append(
            SpyHandedOver(
                **self.common(),
                to=moved.to,
                to_uniqueid=moved.to_uniqueid,
                grant=grant,
                extension=extension,
            )
        )

    async def refuse(self, refusal: Refusal, mode: Mode | None = None, extension: str | None = None) -> None:
        """Record a refusal, and say it."""
        await self.record_refusal(refusal, mode, extension)
        await self.say(refusal.reason, self.named(extension))

    def named(self, extension: str | None) -> Mapping[str, str]:
        """Return what is said for an agent, for the placeholder of the extension."""
        return {EXTENSION: self.policy().spoken_digits(extension) if extension else ""}

    async def record_refusal(self, refusal: Refusal, mode: Mode | None = None, extension: str | None = None) -> None:
        """Record a refusal without a word."""
        self.request = None
        await self.audit.append(
            Refused(
                **self.common(),
                reason=refusal.reason,
                mode=mode,
                extension=self.policy().agents_digits(extension, self.tenant),
                detail=refusal.detail,
            )
        )
        self.log.info("refused", reason=refusal.reason, mode=mode, detail=refusal.detail)

    def common(self) -> dict[str, Any]:
        """Return the fields that every fact of this call has."""
        return {
            "at": datetime.fromtimestamp(self.clock(), UTC),
            "call": self.caller.id,
            "endpoint": self.endpoint,
            "spyer": self.dialled.channel,
            "spyer_uniqueid": self.dialled.uniqueid,
            "supervisor": self.assigned if self.identity is None else self.identity.supervisor,
        }


def _spoken(words: Iterable[str], values: Mapping[str, str], *, one_by_one: bool) -> Iterator[tuple[str, bool]]:
    """Yield sound files and digits, and whether it is digits."""
    for word in words:
        if word not in PLACEHOLDERS:
            yield word, False
            continue
        digits = values.get(word, "")
        for part in digits if one_by_one else filter(None, (digits,)):
            yield part, True
