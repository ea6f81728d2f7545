"""``asterisk.agi.AGI`` of pyst2 as a script knows it, with its defects fixed: the same methods and exceptions.

Two rules: a script that ran on pyst2 runs on it unmodified; every line goes through ``AGIConnection`` or a session,
so nothing of pyst2's own reading and writing is left.

What is sent
    pyst2 escapes nothing, so its scripts escape for themselves. Each argument therefore goes out in the bytes that
    pyst2 would send, as long as Asterisk reads exactly one word in them: quotes are balanced, no space stands outside
    of them, no line break is in them. Only what pyst2 would break is quoted here: ``my file`` becomes ``"my file"``.

What is different from pyst2 0.5.1, line by line, is in docs/howto/from-pyst2.md and in tests/unit/agi/test_pyst2.py.
"""

from __future__ import annotations

import contextlib
import re
import signal
import sys
import threading
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NoReturn, Protocol

import asterisk.agi
from asterisk.agi import (
    AGIAppError,
    AGIDBError,
    AGIError,
    AGIHangup,
    AGIInvalidCommand,
    AGIResultHangup,
    AGISIGHUPHangup,
    AGISIGPIPEHangup,
    AGIUsageError,
)

from agi_monitor.agi.connection import NEED_DATA, AGIConnection, Closed, HungUp
from agi_monitor.agi.messages import (
    FORBIDDEN,
    LEGAL_WHEN_DEAD,
    MAX_ARGUMENTS,
    MAX_COMMAND_BYTES,
    AGIRequest,
    Command,
    Deadline,
    Reply,
    command,
)
from agi_monitor.errors import (
    AgiMonitorError,
    CallEnded,
    CommandFailed,
    InvalidCommand,
    LocalProtocolError,
    RemoteProtocolError,
    WrongUsage,
)
from agi_monitor.limits import Limits

PLAYBACK = frozenset(
    {"STREAM FILE", "SAY ALPHA", "SAY DATE", "SAY DATETIME", "SAY DIGITS", "SAY NUMBER", "SAY PHONETIC", "SAY TIME"}
)
WAITING = frozenset(
    {
        "CONTROL STREAM FILE",
        "EXEC",
        "GET DATA",
        "GET OPTION",
        "GOSUB",
        "RECEIVE CHAR",
        "RECEIVE TEXT",
        "RECORD FILE",
        "SPEECH RECOGNIZE",
        "WAIT FOR DIGIT",
    }
)
"""Commands that take as long as the script told Asterisk, somewhere in the line: only the longest limit fits all."""

SECRET = frozenset({"GET DATA", "GET OPTION", "RECEIVE CHAR", "RECEIVE TEXT", "SPEECH RECOGNIZE", "WAIT FOR DIGIT"})
"""Commands whose reply is what the caller keyed in or said."""

VERBS = PLAYBACK | WAITING | LEGAL_WHEN_DEAD

ONE_WORD = re.compile(r'(?:[^\s"\\]|\\.|"(?:[^"\\]|\\.)*")++')
r"""What Asterisk reads as exactly one word (parse_args, res_agi.c): spaces in quotes only, which may begin and end
inside the word, ``\`` before a literal character, nothing left open."""

LINE_BREAK = re.compile(r"\r\n|\r|\n")

EXEC_HANGUP = ("EXEC", "hangup")

DATETIME_FORMAT = "ABdY 'digits/at' IMp"
"""Asterisk's own for English (handle_saydatetime, res_agi.c)."""


# -- what a script may catch: each is pyst2's exception and ours, so one except fits both ----------------------------


class Hangup(CallEnded, AGIHangup):  # type: ignore[misc]  # pyst2 is untyped
    """The caller is gone."""


class ResultHangup(CallEnded, AGIResultHangup):  # type: ignore[misc]  # pyst2 is untyped
    """The caller hung up while a command ran."""


class SighupHangup(CallEnded, AGISIGHUPHangup):  # type: ignore[misc]  # pyst2 is untyped
    """The caller has hung up."""

    def __init__(self, why: str = "the caller has hung up") -> None:
        # Python makes it without arguments where it interrupts a thread.
        super().__init__(why)


class SigpipeHangup(CallEnded, AGISIGPIPEHangup):  # type: ignore[misc]  # pyst2 is untyped
    """The connection to Asterisk is gone."""


class NotSent(LocalProtocolError, AGIError):  # type: ignore[misc]  # pyst2 is untyped
    """The script was about to send something that Asterisk would misread. Nothing was sent."""


class NotAGI(RemoteProtocolError, AGIError):  # type: ignore[misc]  # pyst2 is untyped
    """The peer sent something that is not AGI, or more than the limits allow."""


class AppError(CommandFailed, AGIAppError):  # type: ignore[misc]  # pyst2 is untyped
    """Asterisk answered a command with an error."""


class UnknownCommand(InvalidCommand, AppError, AGIInvalidCommand):  # type: ignore[misc]  # pyst2 is untyped
    """510: this Asterisk does not know the command."""


class UsageError(WrongUsage, AppError, AGIUsageError):  # type: ignore[misc]  # pyst2 is untyped
    """520: Asterisk knows the command, but not with these arguments."""


_AS_PYST2: Mapping[type[AgiMonitorError], type[AgiMonitorError]] = {
    CallEnded: Hangup,
    LocalProtocolError: NotSent,
    RemoteProtocolError: NotAGI,
}
"""The errors of a line, which knows nothing of pyst2, and what a script catches."""


def as_pyst2(error: AgiMonitorError) -> AgiMonitorError:
    """Return an error of a line as one of pyst2's; one that is so already, or never comes to a script, as it is.

    Parameters:
        error: that a line has raised.
    """
    known = _AS_PYST2.get(type(error))
    return error if known is None else known(*error.args).with_traceback(error.__traceback__)


class Keyed(str):
    """What was keyed in: a text as ever, that also knows how it ended.

    Parameters:
        digits: the keys.
        timed_out: the caller let the time pass instead of ending with ``#`` or the last digit.
    """

    __slots__ = ("timed_out",)
    timed_out: bool

    def __new__(cls, digits: str, timed_out: bool) -> Keyed:
        keyed = super().__new__(cls, digits)
        keyed.timed_out = timed_out
        return keyed


class Line(Protocol):
    """What a blocking script needs of the connection below it."""

    has_agi: bool

    @property
    def request(self) -> AGIRequest:
        """The environment."""

    def perform(self, command: Command) -> Reply:
        """Send a command and wait for its reply.

        Raises:
            CallEnded: the caller has hung up, or the connection is gone.
        """

    def test_hangup(self) -> None:
        """Tell, once, that the caller has hung up.

        Raises:
            CallEnded: that is so, and the script does not know yet.
        """


def use_line(line: Line | None, thread: threading.Thread | None = None) -> None:
    """Which call ``AGI()`` without arguments is about, in a thread; the one that runs when none is given."""
    (thread or threading.current_thread()).agi_line = line  # type: ignore[attr-defined]


def line_of_thread() -> Line | None:
    """The call that this thread serves."""
    line: Line | None = getattr(threading.current_thread(), "agi_line", None)
    return line


class _NoStream:
    """Standard input and output of a call that has none."""

    def __getattr__(self, name: str) -> NoReturn:
        raise NotSent(
            f"no .{name} here: a call that is served has no standard input and output; use the methods of AGI"
        )


# -- a command as a script writes it ------------------------------------------------------------------------------


def raw_command(text: str) -> Command:
    """A line of AGI that a script put together itself.

    Raises:
        LocalProtocolError: it holds a line break or a NUL, is empty or too long, or has too many words.
    """
    text = text.strip()
    words = text.split()
    if not words:
        raise LocalProtocolError("an empty command; nothing was sent")
    for length in (3, 2, 1):
        verb = " ".join(words[:length]).upper()
        if verb in VERBS:
            break
    if FORBIDDEN.search(text) is not None:
        raise LocalProtocolError(f"{verb}: an argument holds a line break or a NUL; nothing was sent")
    if len(words) > MAX_ARGUMENTS:
        raise LocalProtocolError(f"{verb}: more than {MAX_ARGUMENTS} words; nothing was sent")
    try:
        wire = text.encode() + b"\n"
    except UnicodeEncodeError:
        raise LocalProtocolError(f"{verb}: an argument is not text; nothing was sent") from None
    if len(wire) > MAX_COMMAND_BYTES:
        raise LocalProtocolError(f"{verb}: longer than {MAX_COMMAND_BYTES} bytes; nothing was sent")
    deadline = Deadline.PLAYBACK if verb in PLAYBACK else Deadline.EXECUTE if verb in WAITING else Deadline.COMMAND
    hangs_up = words[0].upper() == "HANGUP" if len(words) == 1 else (verb, words[1].strip('"').lower()) == EXEC_HANGUP
    return Command(verb, wire, deadline, 0.0, verb in SECRET, verb in LEGAL_WHEN_DEAD, hangs_up)


def _text(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _escaped(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _quoted(value: object) -> str:
    """A word where pyst2 puts quotes around whatever it is given."""
    text = _text(value)
    as_pyst2_sends = f'"{text}"'
    return as_pyst2_sends if ONE_WORD.fullmatch(as_pyst2_sends) is not None else _escaped(text)


def _word(value: object) -> str:
    """A word where pyst2 puts none."""
    text = _text(value)
    return text if ONE_WORD.fullmatch(text) is not None else _escaped(text)


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


# -- standard input and output ------------------------------------------------------------------------------------


class StreamLine:
    """A line on two files, such as those that Asterisk gives to a script it starts.

    Parameters:
        stdin: to read from, text or bytes.
        stdout: to write to, text or bytes.
        limits: sizes that the peer is held to.

    Raises:
        CallEnded: the file ended before the environment was complete.
        RemoteProtocolError: what comes is not AGI.
    """

    has_agi = True

    def __init__(self, stdin: Any, stdout: Any, limits: Limits | None = None) -> None:
        self._stdin = getattr(stdin, "buffer", stdin)
        self._stdout = getattr(stdout, "buffer", stdout)
        self._is_text = hasattr(self._stdout, "encoding")
        self._limits = limits or Limits()
        self._connection = AGIConnection(self._limits)
        self._hung_up = False
        self._asked_for_hangup = False
        self._told = False
        self._one_by_one = threading.RLock()  # commands of several threads
        self._busy = True
        self._watch_sighup()
        self.request: AGIRequest = self._next(AGIRequest)
        self._busy = False
        with contextlib.suppress(AttributeError):  # what cannot be marked is not standard input
            stdin.agi_line = self

    def _watch_sighup(self) -> None:
        """Asterisk tells a script that it started by SIGHUP, which would end it. A script's own way stays."""
        if _in_main_thread() and signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:
            signal.signal(signal.SIGHUP, self._sighup)

    def _sighup(self, *_: object) -> None:
        self._hung_up = True
        # Not in the middle of a reply: it comes at once, and tells. Nor where the script itself wanted it: there the
        # next command tells.
        if not self._busy and not self._asked_for_hangup:
            self.test_hangup()

    def test_hangup(self) -> None:
        """Tell, once, that the caller has hung up."""
        if self._hung_up and not self._told:
            self._told = True
            raise SighupHangup

    def perform(self, command: Command) -> Reply:
        """Send a command and wait for its reply; several threads take turns."""
        with self._one_by_one:
            return self._perform(command)

    def _perform(self, command: Command) -> Reply:
        wire = self._connection.send(command)
        self._busy = True
        if command.hangs_up:
            self._asked_for_hangup = True
        try:
            self._stdout.write(wire.decode() if self._is_text else wire)
            self._stdout.flush()
            reply: Reply = self._next(Reply)
        except BrokenPipeError:
            raise SigpipeHangup("the connection to Asterisk is gone") from None
        finally:
            self._busy = False
        if reply.code == 511:
            self._told = True
        return reply

    def _next(self, wanted: type[Any]) -> Any:
        while True:
            event = self._connection.next_event()
            if event is NEED_DATA:
                line = self._stdin.readline(self._limits.max_line_bytes)
                data = line.encode() if isinstance(line, str) else line
                if data:
                    self._connection.receive_data(data)
                else:
                    self._connection.receive_eof()
            elif isinstance(event, HungUp):
                self._hung_up = True
            elif isinstance(event, Closed):
                raise SigpipeHangup("the connection to Asterisk is gone")
            elif isinstance(event, wanted):
                return event


# -- the object ---------------------------------------------------------------------------------------------------


class BlockingAGI(asterisk.agi.AGI):  # type: ignore[misc]  # pyst2 is untyped
    """An ``asterisk.agi.AGI`` that keeps its word. Its methods are pyst2's: times are milliseconds, a key is a text.

    ``execute`` sends a line as the script wrote it. All others send each argument as pyst2 does, unless Asterisk
    would not read one word in it: see the module.

    Parameters:
        stdin: to read from. Without it: the call that this thread serves, or standard input.
        stdout: to write to.
        stderr: kept for scripts that write to it; nothing is written here.
        line: the call, when it is known.

    Raises:
        AGIHangup, AGIAppError, AGIUsageError, AGIInvalidCommand, AGIDBError: of pyst2, from every method.
    """

    def __init__(
        self, stdin: Any = None, stdout: Any = None, stderr: Any = None, *, line: Line | None = None
    ) -> None:
        if line is None:
            # The call of this thread; or the one that is on this standard input already, for a second AGI() or when
            # the standard input of a script that is served is passed on.
            line = line_of_thread() if stdin is None else None
            line = line or getattr(sys.stdin if stdin is None else stdin, "agi_line", None)
            if line is not None:
                line.has_agi = True
            elif stdin is None and asterisk.agi.AGI is BlockingAGI and not _in_main_thread():
                raise NotSent(
                    "AGI() in a thread that belongs to no call; a thread of a script begins by threading.Thread"
                )
        served = line is not None and not isinstance(line, StreamLine)
        self.stdin = stdin or (_NoStream() if served else sys.stdin)
        self.stdout = stdout or (_NoStream() if served else sys.stdout)
        self.stderr = sys.stderr if stderr is None else stderr
        try:
            self._line: Line = StreamLine(self.stdin, self.stdout) if line is None else line
        except AgiMonitorError as error:
            raise as_pyst2(error) from error.__cause__
        self._command: Command | None = None
        self.env: dict[str, str] = {name: text.strip() for name, text in self._line.request.variables.items()}

    # -- the wire --

    def _quote(self, string: object) -> str:
        return _quoted(string)

    def test_hangup(self) -> None:
        """Raise ``AGIHangup``, once, when the caller has hung up and the script does not know yet."""
        try:
            self._line.test_hangup()
        except AgiMonitorError as error:
            raise as_pyst2(error) from error.__cause__

    def send_command(self, command: str, *args: object) -> None:
        """Set the command that comes next; ``get_result`` sends it and waits."""
        try:
            self._command = raw_command(" ".join([_text(command).strip(), *map(_text, args)]))
        except LocalProtocolError as error:
            raise as_pyst2(error) from None

    def get_result(self, stdin: Any = None) -> dict[str, tuple[str, str]]:
        """The result of the command that was sent last.

        Raises:
            AGIHangup, AGIAppError, AGIUsageError, AGIInvalidCommand: see the class.
        """
        sent, self._command = self._command, None
        if sent is None:
            raise NotSent("no command was sent")
        reply = self._perform(sent)
        if reply.code == 510:
            raise UnknownCommand(sent.verb, reply.code, reply.text)
        if reply.code == 511:
            raise SighupHangup(f"{sent.verb}: the channel has hung up")
        if reply.code == 520:
            raise UsageError(sent.verb, reply.code, reply.text)
        if reply.code != 200:
            raise AppError(sent.verb, reply.code, reply.text)
        if reply.result == "-1":
            self._stay_alive(sent.verb)
            raise AppError(sent.verb, reply.code, reply.text)
        result = {"result": (reply.result, reply.data or "")}
        if "endpos=" in reply.text and reply.end_position is not None:
            result["endpos"] = (str(reply.end_position), "")
        return result

    def _perform(self, command: Command) -> Reply:
        try:
            return self._line.perform(command)
        except AgiMonitorError as error:
            raise as_pyst2(error) from error.__cause__

    def _stay_alive(self, verb: str) -> None:
        """-1 is a failure or a hang-up. A dead channel does not permit CHANNEL STATUS."""
        try:
            dead = self._perform(command("CHANNEL STATUS")).code == 511
        except CallEnded:
            dead = True
        if dead:
            raise ResultHangup(f"{verb}: the caller hung up")

    def execute(self, command: str, *args: object) -> dict[str, tuple[str, str]]:
        """Send a line and wait for its result."""
        self.test_hangup()
        self.send_command(command, *args)
        return self.get_result()

    def _key(self, command: str, *args: object) -> str:
        """Execute a command that answers a key."""
        number = self.execute(command, *args)["result"][0]
        if number == "0":
            return ""
        try:
            return chr(int(number))
        except ValueError:
            raise asterisk.agi.AGIError(f"Unable to convert result to char: {number}") from None

    # -- methods whose arguments pyst2 does not quote, or whose result it misreads --

    def stream_file(self, filename: str, escape_digits: Any = "", sample_offset: int = 0) -> str:
        return self._key(
            "STREAM FILE", _word(filename), self._process_digit_list(escape_digits), _word(sample_offset)
        )

    def get_data(self, filename: str, timeout: int = asterisk.agi.DEFAULT_TIMEOUT, max_digits: int = 255) -> Keyed:
        """The keys; ``timed_out`` of what is returned tells whether the time passed."""
        result = self.execute("GET DATA", _word(filename), _word(timeout), _word(max_digits))["result"]
        return Keyed(result[0], result[1] == "timeout")

    def get_option(self, filename: str, escape_digits: Any = "", timeout: int = 0) -> str:
        words = [_word(filename), self._process_digit_list(escape_digits), *([_word(timeout)] if timeout else [])]
        return self._key("GET OPTION", *words)

    def record_file(
        self,
        filename: str,
        format: str = "gsm",
        escape_digits: Any = "#",
        timeout: int = asterisk.agi.DEFAULT_RECORD,
        offset: int = 0,
        beep: str = "beep",
        silence: int = 0,
    ) -> str:
        """The key that ended it; empty when none did."""
        digits = self._process_digit_list(escape_digits)
        more = [*([_word(beep)] if beep else []), f"s={int(silence)}"]
        return self._key(
            "RECORD FILE", self._quote(filename), _word(format), digits, _word(timeout), _word(offset), *more
        )

    def say_datetime(self, seconds: Any, escape_digits: Any = "", format: str = "", zone: str = "") -> str:
        how = [self._quote(format or DATETIME_FORMAT), *([_word(zone)] if zone else [])] if format or zone else []
        return self._key("SAY DATETIME", seconds, self._process_digit_list(escape_digits), *how)

    def send_image(self, filename: str) -> None:
        if self.execute("SEND IMAGE", _word(filename))["result"][0] != "0":
            raise AGIAppError(f"Channel falure on channel {self.env.get('agi_channel', 'UNKNOWN')}")

    def set_context(self, context: str) -> None:
        self.execute("SET CONTEXT", _word(context))

    def set_extension(self, extension: Any) -> None:
        self.execute("SET EXTENSION", _word(extension))

    def set_priority(self, priority: Any) -> None:
        self.execute("set priority", _word(priority))

    def set_callerid(self, number: Any) -> None:
        self.execute("SET CALLERID", _word(number))

    def hangup(self, channel: str = "") -> None:
        self.test_hangup()
        self.send_command("HANGUP", *([_word(channel)] if channel else []))
        own = (self.env.get("agi_channel", "").lower(), self.env.get("agi_uniqueid", ""))
        if self._command is not None and _text(channel).lower() in own:
            self._command = replace(self._command, hangs_up=True)
        self.get_result()

    def channel_status(self, channel: str = "") -> int:
        """The state of a channel as a number; -1 when there is none of that name."""
        try:
            return int(self.execute("CHANNEL STATUS", *([_word(channel)] if channel else []))["result"][0])
        except CommandFailed:
            return -1

    def appexec(self, application: str, options: Any = "") -> str:
        result = self.execute("EXEC", _word(application), self._quote(options))["result"][0]
        if result == "-2":
            raise AGIAppError(f"Unable to find application: {application}")
        return result

    def exec_command(self, command: str, *args: object) -> dict[str, tuple[str, str]]:
        return self.execute("EXEC", _word(command), _word(",".join(map(_text, args))))

    def verbose(self, message: Any, level: int = 1) -> None:
        """Write to Asterisk's console; each line of the message is a command."""
        for line in [one for one in LINE_BREAK.split(_text(message)) if one] or [""]:
            self.execute("VERBOSE", self._quote(line), _word(level))

    def tdd_mode(self, mode: str = "off") -> None:
        if self.execute("TDD MODE", _word(mode))["result"][0] == "0":
            raise AGIAppError(f"Channel {self.env.get('agi_channel', 'UNKNOWN')} is not TDD-capable")

    def get_variable(self, name: str) -> str:
        return self.execute("GET VARIABLE", self._quote(name))["result"][1]

    def get_full_variable(self, name: str, channel: str | None = None) -> str:
        words = [self._quote(name), *([self._quote(channel)] if channel else [])]
        return self.execute("GET FULL VARIABLE", *words)["result"][1]

    def database_get(self, family: str, key: str) -> str:
        result, value = self.execute("DATABASE GET", self._quote(family), self._quote(key))["result"]
        if result != "1":
            raise AGIDBError(f"Key not found in database: family={family}, key={key}")
        return value

    def database_deltree(self, family: str, key: str = "") -> None:
        words = [self._quote(family), self._quote(key)]
        # Asterisk answers the other way round than it documents: 0 when something was deleted (handle_dbdeltree).
        if self.execute("DATABASE DELTREE", *words)["result"][0] != "0":
            raise AGIDBError(f"Unable to delete tree from database: family={family}, key={key}")
