"""What each AGI command does on the fake PBX, and how it waits for keys (res_agi.c)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final, Self

from twisted.internet.task import Clock

from agi_monitor.agi.verb_results import ChannelState
from agi_monitor.testing.expressions import evaluate, variable
from agi_monitor.testing.fake_channel import FakeChannel
from agi_monitor.testing.fake_pbx import Blocks, FakePbx
from agi_monitor.testing.turns import Turns

CHANNEL_SECONDS = 10.0
"""What a channel waits for a key by default (pbx.c: rtimeoutms)."""

USAGE = "520-Invalid command syntax.  Proper usage follows:\nUsage: {}\n520 End of proper usage."


@dataclass(slots=True)
class _Prompt:
    """A command that waits for keys."""

    verb: str
    seconds: float | None
    deadline: float | None
    look: Callable[[], str | None]
    timed_out: Callable[[], str]


def _seconds(arguments: list[str], place: int, otherwise: float = CHANNEL_SECONDS) -> float:
    """A time-out of the wire; 0 and none leave the channel's own."""
    given = int(arguments[place]) / 1_000 if len(arguments) > place and arguments[place] else 0.0
    return given or otherwise


class FakeCommands(FakePbx, ABC):
    """The commands of a call, without the wire that they come by.

    Parameters:
        channel: that calls.
        clock: passes by what a command waits for.
        time_passes: whether it does.
    """

    def __init__(self, channel: FakeChannel, clock: Clock, time_passes: bool) -> None:
        super().__init__(channel)
        self.clock = clock
        """Time, of the server under test too; see ``advance``."""
        self.happened: list[str] = []
        """Everything, in one order: commands and answers, what was played, said and recorded, the hang-up."""
        self.commands: list[list[str]] = []
        """The commands, each as its words."""
        self.played: list[str] = []
        """The sounds; what SAY says is ``digits:42`` and the like."""
        self.executed: list[tuple[str, str]] = []
        """The applications, each with its argument text."""
        self.error: BaseException | None = None
        self._turns = Turns()
        self._later = self._turns.later
        self._keys: deque[str] = deque()
        self._blocked: str | None = None
        self._prompt: _Prompt | None = None
        self._time_passes = time_passes
        self._dead = False
        self._hang_up_at_commands: set[int] = set()
        self._hang_up_during: dict[str, int] = {}
        self._hang_up_at_prompts: set[str] = set()

    @abstractmethod
    def _answer(self, text: str) -> None:
        """Send one line to the server."""

    def keys(self, keys: str) -> None:
        """The caller will press these keys, one after the other, at whatever waits for a key.

        Parameters:
            keys: ``0`` to ``9``, ``*`` and ``#``.
        """
        self._keys.extend(keys)
        self._later(self._let_time_pass)

    def next_key(self) -> str:
        """Take the next key, for an application that reads keys itself; empty when there is none."""
        return self._keys.popleft() if self._keys else ""

    def hang_up_at_command(self, number: int) -> None:
        """The caller hangs up while the n-th command runs, counted from 1.

        Parameters:
            number: of the command.
        """
        self._hang_up_at_commands.add(number)

    def hang_up_during(self, name: str, nth: int = 1) -> None:
        """The caller hangs up during a command (``GET DATA``) or application (``ChanSpy``), the n-th of that name.

        Parameters:
            name: of the command or application.
            nth: which of them, counted from 1.
        """
        self._hang_up_during[name.upper()] = nth

    def hang_up_at_prompt(self, sound: str) -> None:
        """The caller hangs up while this sound is played.

        Parameters:
            sound: its name.
        """
        self._hang_up_at_prompts.add(sound)

    def check(self) -> None:
        """Raise what went wrong so far, in the story or in the fake."""
        if self.error is not None:
            error, self.error = self.error, None
            raise error

    def _report(self, error: BaseException) -> None:
        if self.error is None:
            self.error = error

    def _hang_up_channel(self) -> None:
        if self.channel.alive:
            self.channel.alive = False
            self.happened.append("the caller hangs up")

    def _notice_hangup(self) -> None:
        """Asterisk notices between two commands, and says so once."""
        if not self.channel.alive and not self._dead and self._blocked is None and self._prompt is None:
            self._dead = True
            self._answer("HANGUP")

    def _maybe_hang_up(self, name: str) -> None:
        count = self._hang_up_during.get(name.upper())
        if count is not None:
            self._hang_up_during[name.upper()] = count - 1
        if count == 1 or len(self.commands) in self._hang_up_at_commands:
            self._hang_up_channel()

    def _until_key(
        self, verb: str, seconds: float | None, look: Callable[[], str | None], timed_out: Callable[[], str]
    ) -> str | None:
        """Wait for keys; the answer, or None when it comes later.

        Parameters:
            verb: of the command.
            seconds: without a key; None for as long as the caller is there.
            look: the answer by the keys that are there; None when they are not enough.
            timed_out: the answer when no more come.
        """
        answer = look()
        if answer is not None or not self.channel.alive:
            return self._alive(answer or "")
        if not self._time_passes:
            return timed_out()
        deadline = None if seconds is None else self.clock.seconds() + seconds
        self._prompt = _Prompt(verb, seconds, deadline, look, timed_out)
        self._later(self._let_time_pass)
        return None

    def _let_time_pass(self) -> None:
        """Up to the next thing that is planned, or to the end of the prompt."""
        prompt = self._prompt
        if prompt is None:
            return
        keys, now = len(self._keys), self.clock.seconds()
        answer = prompt.look()
        if answer is None and len(self._keys) < keys and prompt.seconds is not None:
            prompt.deadline = now + prompt.seconds
        if answer is None and prompt.deadline is not None and now >= prompt.deadline:
            answer = prompt.timed_out()
        if answer is not None:
            self._prompt = None
            self._answer(answer)
            self._later(self._notice_hangup)
        elif prompt.deadline is not None:
            planned = [call.getTime() for call in self.clock.getDelayedCalls()]
            self.clock.advance(max(0.0, min([prompt.deadline, *planned]) - now))
            self._later(self._let_time_pass)

    def _alive(self, answer: str) -> str:
        return answer if self.channel.alive else "200 result=-1"

    def _play(self, sound: str) -> bool:
        """Play a sound; whether it exists."""
        if sound in self.missing_sounds:
            self.happened.append(f"missing {sound}")
            return False
        self.played.append(sound)
        self.happened.append(f"plays {sound}")
        if sound in self._hang_up_at_prompts:
            self._hang_up_channel()
        return True

    def _key_of(self, escape_digits: str) -> int:
        """The key that stops a sound: a key that is not listened for is lost, as on a phone."""
        while self._keys:
            key = self._keys.popleft()
            if key in escape_digits:
                return ord(key)
            if not escape_digits:
                self._keys.appendleft(key)
                break
        return 0

    def _do_answer(self, arguments: list[str]) -> str:
        if self.channel.alive:
            self.channel.state = ChannelState.UP
        return self._alive("200 result=0")

    def _do_nothing(self, arguments: list[str]) -> str:
        return "200 result=0"

    def _do_verbose(self, arguments: list[str]) -> str:
        return "200 result=1" if arguments else USAGE.format("VERBOSE <message> <level>")

    def _do_channel_status(self, arguments: list[str]) -> str:
        if len(arguments) > 1:
            return USAGE.format("CHANNEL STATUS [<channelname>]")
        channel = self._find(arguments[0]) if arguments else self.channel
        return f"200 result={-1 if channel is None else int(channel.state)}"

    def _do_hangup(self, arguments: list[str]) -> str:
        channel = self._find(arguments[0]) if arguments else self.channel
        if channel is None:
            return "200 result=-1"
        if channel is self.channel:
            self._hang_up_channel()
        channel.alive = False
        return "200 result=1"

    def _do_get_data(self, arguments: list[str]) -> str | None:
        if not 1 <= len(arguments) <= 3:
            return USAGE.format("GET DATA <file> [timeout] [maxdigits]")
        most = int(arguments[2]) if len(arguments) > 2 else 1024
        if arguments[0] and not self._play(arguments[0]):
            return "200 result=-1"
        digits: list[str] = []

        def look() -> str | None:
            while self._keys and len(digits) < most:
                key = self._keys.popleft()
                if key == "#":
                    return f"200 result={''.join(digits)}"
                digits.append(key)
            return f"200 result={''.join(digits)}" if len(digits) == most else None

        if not self.channel.alive:
            return "200 result=-1"
        return self._until_key(
            "GET DATA", _seconds(arguments, 1), look, lambda: f"200 result={''.join(digits)} (timeout)"
        )

    def _do_stream_file(self, arguments: list[str]) -> str:
        if not 2 <= len(arguments) <= 8:
            return USAGE.format("STREAM FILE <filename> <escape digits> [sample offset]")
        if not self._play(arguments[0]):
            return "200 result=-1 endpos=0"
        if not self.channel.alive:
            return "200 result=-1 endpos=160"
        return f"200 result={self._key_of(arguments[1])} endpos=8000"

    def _do_control_stream_file(self, arguments: list[str]) -> str:
        # Asterisk says a position only of a sound that was stopped (handle_controlstreamfile, res_agi.c).
        answer = self._do_stream_file(arguments)
        return answer.replace("result=0 endpos=8000", "result=0 endpos=-1")

    def _do_get_option(self, arguments: list[str]) -> str | None:
        if not 2 <= len(arguments) <= 3:
            return USAGE.format("GET OPTION <filename> <escape_digits> [timeout]")
        answer = self._do_stream_file(arguments[:2])
        if not answer.startswith("200 result=0 "):
            return answer
        return self._until_key(
            "GET OPTION",
            _seconds(arguments, 2),
            lambda: f"200 result={key} endpos=8000" if (key := self._key_of(arguments[1])) else None,
            lambda: answer,
        )

    def _do_say(self, kind: str, arguments: list[str]) -> str:
        if len(arguments) < 2:
            return USAGE.format(f"SAY {kind.upper()} <text> <escape digits>")
        self.played.append(f"{kind}:{arguments[0]}")
        self.happened.append(f"says {kind} {arguments[0]}")
        return self._alive(f"200 result={self._key_of(arguments[1])}")

    def _do_wait_for_digit(self, arguments: list[str]) -> str | None:
        if len(arguments) != 1:
            return USAGE.format("WAIT FOR DIGIT <timeout>")
        seconds = None if arguments[0].startswith("-") else _seconds(arguments, 0, 0.0)
        return self._until_key(
            "WAIT FOR DIGIT",
            seconds,
            lambda: f"200 result={ord(key)}" if (key := self.next_key()) else None,
            lambda: "200 result=0",
        )

    def _do_record_file(self, arguments: list[str]) -> str | None:
        if len(arguments) < 4:
            return USAGE.format("RECORD FILE <filename> <format> <escape digits> <timeout>")
        self.happened.append(f"records {arguments[0]}")
        if not self.channel.alive:
            return "200 result=-1 (hangup) endpos=160"
        silence = [float(one[2:]) for one in arguments[4:] if one.startswith("s=")]
        lasts = [*silence, *([] if arguments[3].startswith("-") else [_seconds(arguments, 3, 0.0)])]
        return self._until_key(
            "RECORD FILE",
            min(lasts, default=None),
            lambda: f"200 result={key} (dtmf) endpos=8000" if (key := self._key_of(arguments[2])) else None,
            lambda: "200 result=0 (timeout) endpos=8000",
        )

    def _do_get_variable(self, arguments: list[str]) -> str:
        if len(arguments) != 1:
            return USAGE.format("GET VARIABLE <variablename>")
        value = variable(self, self.channel, arguments[0]).encode()[:1023].decode("utf-8", "ignore")
        return f"200 result=1 ({value})" if value or arguments[0] in self.channel.variables else "200 result=0"

    def _do_get_full_variable(self, arguments: list[str]) -> str:
        if not 1 <= len(arguments) <= 2:
            return USAGE.format("GET FULL VARIABLE <variablename> [<channel name>]")
        channel = self._find(arguments[1]) if len(arguments) == 2 else self.channel
        return "200 result=0" if channel is None else f"200 result=1 ({evaluate(self, channel, arguments[0])})"

    def _do_set_variable(self, arguments: list[str]) -> str:
        if len(arguments) != 2:
            return USAGE.format("SET VARIABLE <variablename> <value>")
        self.channel.variables[arguments[0]] = arguments[1]
        return "200 result=1"

    def _do_set_place(self, attribute: str, arguments: list[str]) -> str:
        if len(arguments) != 1:
            return USAGE.format(f"SET {attribute.upper()} <desired {attribute}>")
        setattr(self.channel, attribute, arguments[0])
        return "200 result=0"

    def _do_set_callerid(self, arguments: list[str]) -> str:
        self.channel.caller_id = arguments[0] if arguments else None
        return "200 result=1"

    def _do_database_get(self, arguments: list[str]) -> str:
        if len(arguments) != 2:
            return USAGE.format("DATABASE GET <family> <key>")
        value = self.database.get((arguments[0], arguments[1]))
        return "200 result=0" if value is None else f"200 result=1 ({value})"

    def _do_database_put(self, arguments: list[str]) -> str:
        if len(arguments) != 3:
            return USAGE.format("DATABASE PUT <family> <key> <value>")
        self.database[arguments[0], arguments[1]] = arguments[2]
        return "200 result=1"

    def _do_database_del(self, arguments: list[str]) -> str:
        if len(arguments) != 2:
            return USAGE.format("DATABASE DEL <family> <key>")
        self.database.pop((arguments[0], arguments[1]), None)
        return "200 result=1"  # whether there was such a key or not (ast_db_del, db.c)

    def _do_database_deltree(self, arguments: list[str]) -> str:
        if not 1 <= len(arguments) <= 2:
            return USAGE.format("DATABASE DELTREE <family> [keytree]")
        tree = arguments[1] if len(arguments) == 2 else ""
        gone = [
            (family, key)
            for family, key in self.database
            if family == arguments[0] and (not tree or key == tree or key.startswith(f"{tree}/"))
        ]
        for place in gone:
            del self.database[place]
        # The other way round than documented, as handle_dbdeltree has it.
        return f"200 result={0 if gone else 1}"

    def _do_receive_text(self, arguments: list[str]) -> str:
        return "200 result=-1"

    def _do_receive_char(self, arguments: list[str]) -> str:
        # A phone on SIP has no such characters, and Asterisk does not tell that from a hang-up.
        return "200 result=-1 (hangup)"

    def _do_speech(self, arguments: list[str]) -> str:
        return "200 result=0"

    def _do_gosub(self: Self, arguments: list[str]) -> str:
        if not 3 <= len(arguments) <= 4:
            return USAGE.format("GOSUB <context> <extension> <priority> [<optional-argument>]")
        context, extension, priority = arguments[:3]
        function = self.subroutines.get((context, extension))
        if function is None or (context, extension, priority) in self.missing_subroutines:
            if (context, extension, priority) not in self.missing_subroutines:
                place = f"{context!r}, {extension!r}"
                self._report(
                    LookupError(
                        f"GOSUB: give the fake what it runs, fake.subroutine({place}, ...), or add "
                        f"({place}, {priority!r}) to fake.missing_subroutines"
                    )
                )
            return "200 result=-1 Gosub label not found"
        self.happened.append(f"runs {context},{extension},{priority}")
        self._answer("100 result=0 Trying...")
        returned = function(self, self.channel, arguments[3] if len(arguments) > 3 else "")
        self.channel.variables["GOSUB_RETVAL"] = returned
        return "200 result=0 Gosub complete"

    def _do_exec(self: Self, arguments: list[str]) -> str | None:
        if not arguments:
            return USAGE.format("EXEC <application> <options>")
        name = arguments[0]
        argument = arguments[1] if len(arguments) > 1 else ""
        self.executed.append((name, argument))
        function = self.applications.get(name.lower())
        if function is None:
            if name not in self.missing_applications:
                self._report(
                    LookupError(
                        f"EXEC {name}: give the fake the application, fake.application({name!r}, ...), or add it to "
                        "fake.missing_applications"
                    )
                )
            return "200 result=-2"
        self._maybe_hang_up(name)
        result = function(self, self.channel, argument)
        if not self.channel.alive:
            return "200 result=-1"
        if isinstance(result, Blocks):
            self._blocked = name
            return None
        self._application_over(result)
        return None

    def _application_over(self, result: int) -> None:
        self._answer(f"200 result={result}")
        if result == 1:
            # The command returns what its application returned, and 1 also asks for the usage (handle_exec).
            self._answer(USAGE.format("EXEC <application> <options>"))
        self._later(self._notice_hangup)


COMMANDS: Final[dict[str, Callable[[FakeCommands, list[str]], str | None]]] = {
    "ANSWER": FakeCommands._do_answer,
    "ASYNCAGI BREAK": FakeCommands._do_nothing,
    "CHANNEL STATUS": FakeCommands._do_channel_status,
    "CONTROL STREAM FILE": FakeCommands._do_control_stream_file,
    "DATABASE DEL": FakeCommands._do_database_del,
    "DATABASE DELTREE": FakeCommands._do_database_deltree,
    "DATABASE GET": FakeCommands._do_database_get,
    "DATABASE PUT": FakeCommands._do_database_put,
    "EXEC": FakeCommands._do_exec,
    "GET DATA": FakeCommands._do_get_data,
    "GET FULL VARIABLE": FakeCommands._do_get_full_variable,
    "GET OPTION": FakeCommands._do_get_option,
    "GET VARIABLE": FakeCommands._do_get_variable,
    "GOSUB": FakeCommands._do_gosub,
    "HANGUP": FakeCommands._do_hangup,
    "NOOP": FakeCommands._do_nothing,
    "RECEIVE CHAR": FakeCommands._do_receive_char,
    "RECEIVE TEXT": FakeCommands._do_receive_text,
    "RECORD FILE": FakeCommands._do_record_file,
    "SEND IMAGE": FakeCommands._do_nothing,
    "SEND TEXT": FakeCommands._do_nothing,
    "SET AUTOHANGUP": FakeCommands._do_nothing,
    "SET CALLERID": FakeCommands._do_set_callerid,
    "SET MUSIC": FakeCommands._do_nothing,
    "SET VARIABLE": FakeCommands._do_set_variable,
    "SPEECH ACTIVATE GRAMMAR": FakeCommands._do_speech,
    "SPEECH CREATE": FakeCommands._do_speech,
    "SPEECH DEACTIVATE GRAMMAR": FakeCommands._do_speech,
    "SPEECH DESTROY": FakeCommands._do_speech,
    "SPEECH LOAD GRAMMAR": FakeCommands._do_speech,
    "SPEECH RECOGNIZE": FakeCommands._do_speech,
    "SPEECH SET": FakeCommands._do_speech,
    "SPEECH UNLOAD GRAMMAR": FakeCommands._do_speech,
    "STREAM FILE": FakeCommands._do_stream_file,
    "TDD MODE": FakeCommands._do_nothing,
    "VERBOSE": FakeCommands._do_verbose,
    "WAIT FOR DIGIT": FakeCommands._do_wait_for_digit,
    **{
        f"SAY {kind.upper()}": partial(lambda kind, fake, arguments: fake._do_say(kind, arguments), kind)
        for kind in ("alpha", "digits", "number", "phonetic", "date", "time", "datetime")
    },
    **{
        f"SET {place.upper()}": partial(lambda place, fake, arguments: fake._do_set_place(place, arguments), place)
        for place in ("context", "extension", "priority")
    },
}
"""What each command does."""
