"""What a story awaits: one method for each AGI command of Asterisk 16 to 22.

Arguments are plain text and numbers; times are seconds. A number may stand where a text is asked for. Every method
may raise

* ``CallEnded``: the caller has hung up, the connection is gone, or ``Session.end`` was called;
* ``InvalidCommand`` (510), ``WrongUsage`` (520): this Asterisk does not know the command, or not like this;
* ``CommandFailed``: the result says failure and is not itself a documented value;
* ``LocalProtocolError``: the arguments cannot be sent (the message names the parameter), or another command of this
  session is in flight.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import TypeVar

from agi_monitor.agi.conversation import Conversation
from agi_monitor.agi.menus import PlayedList, menu, play
from agi_monitor.agi.messages import Command, Deadline, command
from agi_monitor.agi.numbers import autohangup, digit_of, milliseconds, whole
from agi_monitor.agi.verb_results import (
    ChannelState,
    DialOutcome,
    DialStatus,
    Digits,
    Playback,
    Recognition,
    Recording,
    SpeechMatch,
)
from agi_monitor.errors import CallEnded, CommandFailed, LocalProtocolError, RemoteProtocolError

T = TypeVar("T")

MAX_DIGITS = 32
"""GET DATA takes 1,024 digits when not told; no prompt asks for more than a long number."""

CHANNEL_RESPONSE_SECONDS = 10.0
"""What Asterisk waits for a digit when GET DATA names no time-out (pbx.c: rtimeoutms)."""

DIALLED = "${DIALSTATUS},${ANSWEREDTIME}"
SPEECH_MATCH = re.compile(r'score[0-9]+=(-?[0-9]{1,9}) text[0-9]+="(.*?)" grammar[0-9]+=(\S*)')
SPEECH_DIGIT = re.compile(r"\) digit=(.) ")


class Session(Conversation):
    """One FastAGI conversation, as its story sees it.

    Parameters:
        id: unique among the sessions of its factory.
        request: the environment; a shared secret is already taken out.
        peer: the address of Asterisk.
        wire: the connection below.
    """

    # -- the call --

    async def answer(self) -> None:
        """Answer the call when it is not answered yet."""
        await self._succeed(command("ANSWER"))

    async def hangup(self, channel: str | None = None) -> bool:
        """Hang up this channel, or another by name.

        What the handler does afterwards is not interrupted, within ``limits.cleanup_seconds``. Its next command
        raises ``CallEnded``, unless it is one that Asterisk takes on a dead channel.

        Parameters:
            channel: such as ``PJSIP/1001-00000002``; None is this one.

        Returns:
            False when there is no channel of that name.
        """
        request = command("HANGUP") if channel is None else command("HANGUP", channel)
        if channel is None or channel.lower() in (self.request.channel.lower(), self.request.uniqueid):
            request = replace(request, hangs_up=True)
        return (await self.perform(request)).result == "1"

    async def channel_status(self, channel: str | None = None) -> ChannelState | None:
        """The state of this channel or another by name; None when there is none of that name.

        Parameters:
            channel: such as ``PJSIP/1001-00000002``; None is this one.
        """
        request = command("CHANNEL STATUS") if channel is None else command("CHANNEL STATUS", channel)
        number = (await self.perform(request)).number
        try:
            return ChannelState(number)
        except ValueError:
            return None

    async def execute(self, application: str, argument_string: str = "") -> int:
        """Run a dialplan application and wait until it ends.

        Parameters:
            application: its name, such as ``ChanSpy``.
            argument_string: its arguments as the dialplan writes them, comma-separated. Asterisk hands this text to
                the application as it is; joining values from outside with commas is the caller's risk.

        Returns:
            What the application returned. -1, which most use for "the caller is gone", comes back only while the
            caller is still there.

        Raises:
            CommandFailed: Asterisk has no such application (``result=-2``).
        """
        request = (
            command("EXEC", application, argument_string, deadline=Deadline.EXECUTE)
            if argument_string
            else command("EXEC", application, deadline=Deadline.EXECUTE)
        )
        if application.lower() == "hangup":
            return (await self.perform(replace(request, hangs_up=True))).number
        was_hung_up = self.hung_up
        reply = await self.perform(request)
        number = reply.number
        if number == -2:
            raise CommandFailed("EXEC", reply.code, f"{reply.text} (no application {application[:40]})")
        if number == -1 and not was_hung_up:
            await self._stay_alive("EXEC")
        return number

    async def dial(self, devices: str, timeout: float | None = None, options: str = "", url: str = "") -> DialOutcome:
        """Call devices and connect the first one that answers; returns when that call is over.

        Option ``g`` is added: without it ``Dial`` returns -1 when the called party hangs up, which ends a dialplan
        but not a script. When the caller hangs up, this still tells how the call went: see ``DialOutcome.hung_up``.

        Parameters:
            devices: joined by ``&``, such as ``PJSIP/1001&PJSIP/1002``.
            timeout: whole seconds to ring; None rings until a device answers or the caller hangs up.
            options: of ``Dial``, such as ``tT``.
            url: sent to the called party where its channel can.

        Raises:
            CommandFailed: Asterisk has no such application, or said no status.
            LocalProtocolError: a comma in the devices, behind which Asterisk would read options.
        """
        if "," in devices:
            raise LocalProtocolError("dial: the devices hold a comma; nothing was sent")
        seconds = "" if timeout is None else whole(timeout, "timeout")
        options = options if "g" in re.sub(r"\([^)]*\)", "", options) else f"{options}g"
        arguments = ",".join([devices, seconds, options, *([url] if url else [])])
        ended: CallEnded | None = None
        try:
            await self.execute("Dial", arguments)
        except CallEnded as error:
            # The caller has hung up; a variable can still be read then, unless the connection is gone.
            ended = error
        said = await self.get_full_variable(DIALLED)
        status, _, seconds_text = (said or "").partition(",")
        try:
            outcome = DialStatus(status)
        except ValueError:
            if ended is not None:
                raise ended from None
            raise CommandFailed("EXEC", 200, f"Dial left the status {status[:40]!r}") from None
        return DialOutcome(outcome, int(seconds_text) if seconds_text.isdecimal() else 0, self.hung_up)

    async def gosub(self, context: str, extension: str, priority: int | str, argument: str = "") -> None:
        """Run a dialplan subroutine to its ``Return``.

        Parameters:
            context: where the subroutine is.
            extension: the same.
            priority: a number or a label.
            argument: ARG1 to ARGn as the dialplan writes them, comma-separated.

        Raises:
            CommandFailed: there is no such place in the dialplan, or it failed.
        """
        arguments = [context, extension, str(priority), *([argument] if argument else [])]
        reply = await self.perform(command("GOSUB", *arguments, deadline=Deadline.EXECUTE))
        if reply.result != "0":
            raise await self._failed("GOSUB", reply)

    async def set_autohangup(self, seconds: float) -> None:
        """Hang up after this number of seconds; 0 cancels it.

        Parameters:
            seconds: from now on, 0 or more; fractions count (handle_autohangup, res_agi.c).
        """
        await self._succeed(command("SET AUTOHANGUP", autohangup(seconds)))

    async def set_callerid(self, text: str) -> None:
        """Change the caller id, as ``Name <number>`` or a number.

        Parameters:
            text: the name may be in quotation marks.
        """
        await self._confirm(command("SET CALLERID", text))

    async def set_context(self, context: str) -> None:
        """Where the dialplan continues afterwards. Asterisk does not check that it exists.

        Parameters:
            context: the name of a context.
        """
        await self._succeed(command("SET CONTEXT", context))

    async def set_extension(self, extension: str) -> None:
        """Where the dialplan continues afterwards. Asterisk does not check that it exists.

        Parameters:
            extension: the extension; set the priority after it, which is where Asterisk continues.
        """
        await self._succeed(command("SET EXTENSION", extension))

    async def set_priority(self, priority: int | str) -> None:
        """Where the dialplan continues afterwards: a number or a label.

        Parameters:
            priority: the number, or a label of the extension.
        """
        await self._succeed(command("SET PRIORITY", str(priority)))

    async def set_music(self, on: bool, music_class: str = "") -> None:
        """Start or stop music on hold.

        Parameters:
            on: whether it plays.
            music_class: of musiconhold.conf; empty for the channel's own.
        """
        words = ["on" if on else "off", *([music_class] if music_class else [])]
        await self._succeed(command("SET MUSIC", *words))

    async def noop(self) -> None:
        """Do nothing."""
        await self._succeed(command("NOOP"))

    async def verbose(self, message: str, level: int = 1) -> None:
        """Write to Asterisk's console at a level from 1 to 4.

        Parameters:
            message: one line.
            level: from 1 to 4; Asterisk shows what is not above its own.
        """
        await self._confirm(command("VERBOSE", message, str(level)))

    async def asyncagi_break(self) -> None:
        """Leave AsyncAGI; without effect elsewhere."""
        await self._succeed(command("ASYNCAGI BREAK"))

    # -- sounds and keys --

    async def get_data(self, prompt: str, timeout: float | None = None, max_digits: int = MAX_DIGITS) -> Digits:
        """Play a sound and collect keys until ``#``, ``max_digits`` or silence. The keys are kept out of all logs.

        Parameters:
            prompt: a sound; an empty one is allowed by Asterisk and plays nothing.
            timeout: seconds of silence after the sound and after each key (ast_readstring, channel.c); None leaves
                the channel's own, 10 and 5 by default. Below a millisecond counts as None, as for Asterisk.
            max_digits: stop after this number of keys.
        """
        wait = CHANNEL_RESPONSE_SECONDS if timeout is None else timeout
        reply = await self.perform(
            command(
                "GET DATA",
                prompt,
                milliseconds(timeout or 0),
                whole(max_digits, "max_digits", "keys"),
                deadline=Deadline.PROMPT,
                extra_seconds=wait * (max_digits + 1),
                secret_reply=True,
            )
        )
        if reply.result == "-1":
            raise await self._failed("GET DATA", reply)
        return Digits(reply.result, reply.timed_out)

    async def stream_file(self, name: str, escape_digits: str = "", offset: int = 0) -> Playback:
        """Play a sound.

        Parameters:
            name: without its suffix.
            escape_digits: keys that stop it.
            offset: samples to skip.
        """
        return await self._playback(
            command(
                "STREAM FILE",
                name,
                escape_digits,
                str(offset),
                deadline=Deadline.PLAYBACK,
                secret_reply=bool(escape_digits),
            )
        )

    async def play(self, *sounds: str | int, escape_digits: str = "") -> PlayedList:
        """Play sounds one after the other until a key stops them, such as
        ``await session.play("vm-youhave", 3, "vm-messages", escape_digits="1")``.

        What Asterisk cannot play is passed over, and named in the result.

        Parameters:
            sounds: names without a suffix; a number is said.
            escape_digits: keys that stop it.
        """
        return await play(self, sounds, escape_digits)

    async def menu(
        self,
        *prompts: str | int,
        choices: Mapping[str, T],
        timeout: float = 5.0,
        tries: int = 3,
        invalid: str = "pm-invalid-option",
    ) -> T | None:
        """Ask the caller to choose by one key, which counts as soon as it is pressed.

        Parameters:
            prompts: as for ``play``.
            choices: key -> what is returned when it is pressed.
            timeout: seconds to wait behind the prompts.
            tries: how often it is asked.
            invalid: played after another key; empty for nothing.

        Returns:
            The choice; None when none was made.

        Raises:
            LocalProtocolError: a choice is not a single key.
        """
        return await menu(self, prompts, choices, timeout=timeout, tries=tries, invalid=invalid)

    async def control_stream_file(
        self,
        name: str,
        escape_digits: str = "",
        skip: float = 3.0,
        forward: str = "#",
        rewind: str = "*",
        pause: str = "",
        offset: int = 0,
    ) -> Playback:
        """Play a sound that the caller winds.

        Parameters:
            name: without its suffix.
            escape_digits: keys that stop it.
            skip: seconds that one key winds.
            forward: the key that winds forward.
            rewind: the key that winds back.
            pause: the key that pauses.
            offset: milliseconds to skip at the start (res_agi.c calls it offsetms).
        """
        return await self._playback(
            command(
                "CONTROL STREAM FILE",
                name,
                escape_digits,
                milliseconds(skip, "skip"),
                forward,
                rewind,
                pause,
                str(offset),
                deadline=Deadline.EXECUTE,
                secret_reply=bool(escape_digits),
            )
        )

    async def get_option(self, name: str, escape_digits: str = "", timeout: float | None = None) -> Playback:
        """Play a sound and wait for one key.

        Parameters:
            name: without its suffix.
            escape_digits: the keys that count.
            timeout: seconds to wait after the sound; None leaves the channel's own.
        """
        arguments = [name, escape_digits, *([] if timeout is None else [milliseconds(timeout)])]
        wait = CHANNEL_RESPONSE_SECONDS if timeout is None else timeout
        return await self._playback(command("GET OPTION", *arguments, deadline=Deadline.PLAYBACK, extra_seconds=wait))

    async def wait_for_digit(self, timeout: float | None = None) -> str:
        """Wait for one key; empty when none came. Kept out of all logs.

        Parameters:
            timeout: seconds; None waits as long as the call lasts.
        """
        return await self._digit(
            command(
                "WAIT FOR DIGIT",
                "-1" if timeout is None else milliseconds(timeout),
                deadline=Deadline.EXECUTE if timeout is None else Deadline.PROMPT,
                extra_seconds=timeout or 0.0,
                secret_reply=True,
            )
        )

    async def say_alpha(self, text: str, escape_digits: str = "") -> str:
        """Spell a text; the key that stopped it, or empty.

        Parameters:
            text: letters, digits and signs.
            escape_digits: keys that stop it.
        """
        return await self._say("SAY ALPHA", text, escape_digits)

    async def say_digits(self, digits: str, escape_digits: str = "") -> str:
        """Say digits one by one; the key that stopped it, or empty.

        Parameters:
            digits: ``0`` to ``9``, ``*``, ``#`` and ``-``.
            escape_digits: keys that stop it.
        """
        return await self._say("SAY DIGITS", digits, escape_digits)

    async def say_number(self, number: int, escape_digits: str = "", gender: str = "") -> str:
        """Say a number; the key that stopped it, or empty.

        Parameters:
            number: the number.
            escape_digits: keys that stop it.
            gender: for languages that need one, such as ``f``.
        """
        return await self._say("SAY NUMBER", str(number), escape_digits, *([gender] if gender else []))

    async def say_phonetic(self, text: str, escape_digits: str = "") -> str:
        """Spell a text as alpha, bravo; the key that stopped it, or empty.

        Parameters:
            text: letters and digits.
            escape_digits: keys that stop it.
        """
        return await self._say("SAY PHONETIC", text, escape_digits)

    async def say_date(self, when: float, escape_digits: str = "") -> str:
        """Say a date given in seconds since 1970; the key that stopped it, or empty.

        Parameters:
            when: seconds since 1970; said in the time zone of the PBX.
            escape_digits: keys that stop it.
        """
        return await self._say("SAY DATE", whole(when, "when"), escape_digits)

    async def say_time(self, when: float, escape_digits: str = "") -> str:
        """Say a time of day given in seconds since 1970; the key that stopped it, or empty.

        Parameters:
            when: seconds since 1970; said in the time zone of the PBX.
            escape_digits: keys that stop it.
        """
        return await self._say("SAY TIME", whole(when, "when"), escape_digits)

    async def say_datetime(self, when: float, escape_digits: str = "", format: str = "", timezone: str = "") -> str:
        """Say a date and time; the key that stopped it, or empty.

        Parameters:
            when: seconds since 1970.
            escape_digits: keys that stop it.
            format: as in voicemail.conf; empty for the language's own.
            timezone: such as ``Europe/Berlin``; needs a format.
        """
        how = [format, *([timezone] if timezone else [])] if format else []
        return await self._say("SAY DATETIME", whole(when, "when"), escape_digits, *how)

    async def record_file(
        self,
        name: str,
        format: str,
        escape_digits: str = "",
        timeout: float | None = None,
        offset: int = 0,
        beep: bool = False,
        silence: int | None = None,
    ) -> Recording:
        """Record the caller.

        Parameters:
            name: without its suffix.
            format: such as ``wav``.
            escape_digits: keys that stop it.
            timeout: seconds at most; None records as long as the call lasts.
            offset: samples to keep of a file that exists.
            beep: beep first.
            silence: stop after this number of seconds of silence.
        """
        arguments = [name, format, escape_digits, "-1" if timeout is None else milliseconds(timeout), str(offset)]
        if beep:
            arguments.append("BEEP")
        if silence is not None:
            arguments.append(f"s={silence}")
        reply = await self._succeed(
            command(
                "RECORD FILE",
                *arguments,
                deadline=Deadline.EXECUTE if timeout is None else Deadline.PLAYBACK,
                extra_seconds=timeout or 0.0,
            )
        )
        return Recording(digit_of(reply.number), reply.end_position or 0, reply.data or "")

    # -- variables and the database --

    async def get_variable(self, name: str) -> str | None:
        """The value of a variable, or of a function such as ``CHANNEL(state)``; None when it is not set.

        Asterisk cuts at 1,023 bytes. A value with line breaks cannot be told from a reply that follows it: never
        ask for one that a stranger may write.

        Parameters:
            name: of a variable or function; upper and lower case differ.
        """
        reply = await self.perform(command("GET VARIABLE", name))
        return (reply.data or "") if reply.result == "1" else None

    async def get_full_variable(self, expression: str, channel: str | None = None) -> str | None:
        """Evaluate a dialplan expression such as ``${HINT(1001@default)}``, here or on another channel.

        Parameters:
            expression: as the dialplan writes it.
            channel: whose variables; None is this one.

        Returns:
            The text; None when there is no channel of that name. What is not set is empty.
        """
        arguments = [expression, *([] if channel is None else [channel])]
        reply = await self.perform(command("GET FULL VARIABLE", *arguments))
        return (reply.data or "") if reply.result == "1" else None

    async def set_variable(self, name: str, value: str) -> None:
        """Set a variable of this channel.

        Parameters:
            name: of a variable or a function that can be written, such as ``CALLERID(name)``.
            value: any text in one line. A leading ``_`` or ``__`` of the name hands it on to channels
                that this one creates.
        """
        await self._confirm(command("SET VARIABLE", name, value))

    async def database_get(self, family: str, key: str) -> str | None:
        """A value of Asterisk's database; None when there is none.

        Parameters:
            family: of the key.
            key: of the value.
        """
        reply = await self.perform(command("DATABASE GET", family, key))
        return (reply.data or "") if reply.result == "1" else None

    async def database_put(self, family: str, key: str, value: str) -> None:
        """Write a value into Asterisk's database.

        Parameters:
            family: of the key.
            key: of the value.
            value: one line.
        """
        await self._confirm(command("DATABASE PUT", family, key, value))

    async def database_del(self, family: str, key: str) -> bool:
        """Delete a key of Asterisk's database; False when it could not. A key that is not there counts as deleted.

        Parameters:
            family: of the key.
            key: to be deleted.
        """
        return (await self.perform(command("DATABASE DEL", family, key))).result == "1"

    async def database_deltree(self, family: str, keytree: str | None = None) -> bool:
        """Delete a family or a part of it; False when nothing was deleted.

        Asterisk answers the other way round than it documents: 0 when something was deleted (handle_dbdeltree).

        Parameters:
            family: of the keys.
            keytree: how they begin; None is all of the family.
        """
        arguments = [family, *([] if keytree is None else [keytree])]
        return (await self.perform(command("DATABASE DELTREE", *arguments))).result == "0"

    # -- text and pictures --

    async def receive_char(self, timeout: float) -> str:
        """Wait for one character of text; empty when none came. Few channels can: a phone on SIP
        raises ``CommandFailed``.

        Parameters:
            timeout: seconds; 0 waits without end (handle_recvchar, res_agi.c).
        """
        request = command(
            "RECEIVE CHAR", milliseconds(timeout), deadline=Deadline.PROMPT, extra_seconds=timeout, secret_reply=True
        )
        number = (await self._succeed(request)).number
        return chr(number) if 0 < number < 0x110000 else ""

    async def receive_text(self, timeout: float) -> str:
        """Wait for a line of text. Few channels can.

        Parameters:
            timeout: seconds.
        """
        request = command(
            "RECEIVE TEXT", milliseconds(timeout), deadline=Deadline.PROMPT, extra_seconds=timeout, secret_reply=True
        )
        return (await self._succeed(request)).data or ""

    async def send_text(self, text: str) -> None:
        """Send a line of text. Few channels can, and those that cannot say nothing about it.

        Parameters:
            text: one line.
        """
        await self._succeed(command("SEND TEXT", text))

    async def send_image(self, name: str) -> None:
        """Send a picture. Few channels can, and those that cannot say nothing about it.

        Parameters:
            name: of the file, without its suffix.
        """
        await self._succeed(command("SEND IMAGE", name))

    async def tdd_mode(self, mode: str) -> bool:
        """Switch TDD ``on``, ``off`` or to ``mate``; False when the channel cannot.

        Parameters:
            mode: ``on``, ``off`` or ``mate``.
        """
        return (await self.perform(command("TDD MODE", mode))).result == "1"

    # -- speech engines --

    async def speech_create(self, engine: str = "") -> None:
        """Open a speech engine; at most one a session.

        Parameters:
            engine: its name; empty for the default one.
        """
        await self._confirm(command("SPEECH CREATE", engine))

    async def speech_set(self, name: str, value: str) -> None:
        """Change a setting of the engine.

        Parameters:
            name: of the setting.
            value: of the setting.
        """
        await self._confirm(command("SPEECH SET", name, value))

    async def speech_destroy(self) -> None:
        """Close the engine."""
        await self._confirm(command("SPEECH DESTROY"))

    async def speech_load_grammar(self, name: str, path: str) -> None:
        """Load a grammar from a file on the PBX.

        Parameters:
            name: that the other commands call it by.
            path: on the PBX.
        """
        await self._confirm(command("SPEECH LOAD GRAMMAR", name, path))

    async def speech_unload_grammar(self, name: str) -> None:
        """Forget a grammar.

        Parameters:
            name: of a grammar that was loaded.
        """
        await self._confirm(command("SPEECH UNLOAD GRAMMAR", name))

    async def speech_activate_grammar(self, name: str) -> None:
        """Listen for a grammar.

        Parameters:
            name: of a grammar that was loaded.
        """
        await self._confirm(command("SPEECH ACTIVATE GRAMMAR", name))

    async def speech_deactivate_grammar(self, name: str) -> None:
        """Listen for it no longer.

        Parameters:
            name: of a grammar that was loaded.
        """
        await self._confirm(command("SPEECH DEACTIVATE GRAMMAR", name))

    async def speech_recognize(self, prompt: str, timeout: int, offset: int = 0) -> Recognition:
        """Play a sound and recognize what the caller says.

        Parameters:
            prompt: a sound, without its suffix.
            timeout: whole seconds to wait after the sound (atoi, handle_speechrecognize).
            offset: samples to skip.

        Raises:
            CommandFailed: no engine was opened.
        """
        arguments = [prompt, whole(timeout, "timeout"), *([str(offset)] if offset else [])]
        reply = await self.perform(
            command(
                "SPEECH RECOGNIZE",
                *arguments,
                deadline=Deadline.PROMPT,
                extra_seconds=float(timeout),
                secret_reply=True,
            )
        )
        if reply.result != "1":
            raise await self._failed("SPEECH RECOGNIZE", reply)
        reason = reply.data or ""
        if reason == "hangup":
            raise CallEnded("SPEECH RECOGNIZE: the channel has hung up")
        position = reply.end_position or 0
        if reason == "digit":
            match = SPEECH_DIGIT.search(reply.text)
            if match is None:
                raise RemoteProtocolError("a recognized digit without the digit")
            return Recognition(reason, match[1], position)
        matches = tuple(SpeechMatch(int(m[1]), m[2], m[3]) for m in SPEECH_MATCH.finditer(reply.text))
        return Recognition(reason, "", position, matches)

    # -- several verbs alike --

    async def _say(self, verb: str, what: str, escape_digits: str, *more: str) -> str:
        secret = bool(escape_digits)
        return await self._digit(
            command(verb, what, escape_digits, *more, deadline=Deadline.PLAYBACK, secret_reply=secret)
        )

    async def _playback(self, request: Command) -> Playback:
        reply = await self.perform(request)
        position = reply.end_position or 0
        if reply.result == "-1":
            await self._stay_alive(request.verb)
            return Playback("", position, found=False)
        return Playback(digit_of(reply.number), position)
