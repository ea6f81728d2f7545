"""What is said on the wire, as values: the request, a command, a reply. Nothing here does I/O.

Two rules: whatever goes out is quoted here and nowhere else; whatever comes in is text of a stranger.

::

    S: agi_network: yes                     the environment, one name and value a line,
    S: agi_network_script: spy              ended by an empty line
    S:
    C: GET DATA "agent-pass" "5000" "8"     one command, one line, then wait
    S: 200 result=1234 (timeout)            its reply
    S: HANGUP                               at any moment, the answer to nothing

S is Asterisk, which connects to us; C is this program.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cached_property, lru_cache
from types import MappingProxyType

from agi_monitor.errors import LocalProtocolError, RemoteProtocolError
from agi_monitor.limits import Limits

MAX_COMMAND_BYTES = 8_191
"""A command line with its line feed, as Asterisk reads it from 20.16, 21.11, 22.6 and 23.0 on: into 8,192 bytes
(AGI_BUF_LEN, res_agi.c). What does not fit would be taken for the next command."""

OLD_MAX_COMMAND_BYTES = 2_047
"""The same of every older Asterisk, and of one whose version says nothing: 2,048 bytes."""

LONG_LINES_SINCE = {20: 16, 21: 11, 22: 6}
"""Branch -> the first release that reads 8,192 bytes; all of 18 and before read 2,048, all from 23 on 8,192."""

RELEASE = re.compile(r"([0-9]{1,3})\.([0-9]{1,3})\.")

MAX_ARGUMENTS = 64
"""Asterisk splits a line into at most 127 words (MAX_ARGS 128, res_agi.c); beyond that the quoted words are written
past the end of its table and the PBX dies. Half of it is more than any command takes."""

UNKNOWN = "unknown"
"""What Asterisk writes for a missing caller id, name, dialled or redirecting number (setup_env, res_agi.c)."""

ARGUMENT_PREFIX = "agi_arg_"

ENVIRONMENT = (
    *("agi_network", "agi_network_script", "agi_request", "agi_channel", "agi_language", "agi_type", "agi_uniqueid"),
    *("agi_version", "agi_callerid", "agi_calleridname", "agi_callingpres", "agi_callingani2", "agi_callington"),
    *("agi_callingtns", "agi_dnid", "agi_rdnis", "agi_context", "agi_extension", "agi_priority", "agi_enhanced"),
    *("agi_accountcode", "agi_threadid"),
)
"""The names of an environment in the order that Asterisk writes them; the arguments follow (launch_netscript and
setup_env, res_agi.c)."""

CHOSEN_BY_OTHERS = frozenset(
    {"agi_callerid", "agi_calleridname", "agi_dnid", "agi_rdnis", "agi_extension", "agi_accountcode"}
)
"""Those whose value may be whatever a caller's phone sent, a line break among it: Asterisk escapes none of them."""

CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
"""What moves the cursor of a terminal or colours it, and is in no name that Asterisk makes."""

CONTROL_IN_LINES = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]")
"""The same in a text of several lines."""

PLACES = {name: place for place, name in enumerate(ENVIRONMENT)}
REQUIRED = frozenset(ENVIRONMENT[PLACES["agi_callerid"] :])
MADE_BY_ASTERISK = frozenset(ENVIRONMENT) - CHOSEN_BY_OTHERS


@lru_cache(maxsize=64)
def _misplaced(names: tuple[str, ...]) -> str | None:
    """Why names cannot stand in this order, or None. Those of almost all calls are the same."""
    places = [PLACES.get(name, -1) for name in names]
    for name, place, before in zip(names, places, [-1, *places], strict=False):
        if place <= before:
            known = name if place >= 0 else "a name that Asterisk does not write"
            return f"the environment has {known} where it does not belong"
    # Every Asterisk since 1.6 writes its version before anything that a caller chooses; programs that play Asterisk
    # write less than it does.
    if "agi_version" in names and not set(names) >= REQUIRED:
        return "the environment ends too early: a line break in a number or a name"
    return None


def check_environment(pairs: Sequence[tuple[str, str]], *, controls: bool = True) -> None:
    """Refuse an environment that Asterisk cannot have written.

    A caller whose number holds line breaks can add lines to it, and an empty one, which ends it. So the names have to
    stand in Asterisk's order, and behind ``agi_version`` all of them have to be there.

    Parameters:
        pairs: name and value of each line, in the order of the wire.
        controls: False when it is known that no value holds a control character.

    Raises:
        RemoteProtocolError: a name is unknown, out of its place or missing, or a value that Asterisk makes holds a
            control character. The message names the line, never a value.
    """
    misplaced = _misplaced(tuple([name for name, _ in pairs if not name.startswith(ARGUMENT_PREFIX)]))
    if misplaced is not None:
        raise RemoteProtocolError(misplaced)
    for name, value in pairs if controls else ():
        if name in MADE_BY_ASTERISK and CONTROL.search(value) is not None:
            raise RemoteProtocolError(f"the environment's {name} holds a control character")


# -- in: the environment ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class AGIRequest:
    """The environment of one call, as Asterisk sent it.

    Caller id, caller name and extension are whatever the caller's phone sent: never an identity.

    >>> request = AGIRequest.from_pairs([("agi_callerid", "unknown"), ("agi_extension", "700"), ("agi_arg_1", "de")])
    >>> request.caller_id, request.extension, request.arguments
    (None, '700', ('de',))

    Parameters:
        variables: every name and value in the order of the wire, ``agi_`` included.
        arguments: the arguments behind the URL in ``AGI(agi://host/script,first,second)``.
    """

    variables: Mapping[str, str]
    arguments: tuple[str, ...] = ()

    @classmethod
    def from_pairs(cls, pairs: Iterable[tuple[str, str]]) -> AGIRequest:
        """Build a request from the lines of an environment.

        Asterisk sends each name once and the ``agi_arg_N`` last, counted from 1 (setup_env, res_agi.c). It does not
        escape values. So a second line of the same name, or an argument out of its place, is a line break inside
        a caller name: neither the first nor the last of them can be trusted, and the call is refused.

        Parameters:
            pairs: name and value of each line, in the order of the wire.

        Raises:
            RemoteProtocolError: a name came twice or an argument out of its place.
        """
        variables: dict[str, str] = {}
        arguments: list[str] = []
        for name, value in pairs:
            if name in variables:
                raise RemoteProtocolError(f"the environment names {name[:40]!r} twice")
            variables[name] = value
            if name.startswith(ARGUMENT_PREFIX):
                if name != f"{ARGUMENT_PREFIX}{len(arguments) + 1}":
                    raise RemoteProtocolError(f"the environment has {name[:40]!r} where it does not belong")
                arguments.append(value)
            elif arguments:
                raise RemoteProtocolError(f"the environment has {name[:40]!r} where it does not belong")
        return cls(MappingProxyType(variables), tuple(arguments))

    def without_first_argument(self) -> AGIRequest:
        """The same request without ``agi_arg_1``, the others moved up: for an argument that must not be shown."""
        rest = self.arguments[1:]
        pairs = [(name, value) for name, value in self.variables.items() if not name.startswith(ARGUMENT_PREFIX)]
        pairs += [(f"{ARGUMENT_PREFIX}{number}", value) for number, value in enumerate(rest, 1)]
        return AGIRequest(MappingProxyType(dict(pairs)), rest)

    def _known(self, name: str) -> str | None:
        value = self.variables.get(name, "")
        return None if value in ("", UNKNOWN) else value

    @property
    def network_script(self) -> str:
        """What stands behind the host in the URL, undecoded (``spy?a=b`` stays so); empty when nothing does."""
        return self.variables.get("agi_network_script", "")

    @property
    def channel(self) -> str:
        """The name of the channel, such as ``PJSIP/2001-0000002a``."""
        return self.variables.get("agi_channel", "")

    @property
    def uniqueid(self) -> str:
        """The uniqueid of the channel."""
        return self.variables.get("agi_uniqueid", "")

    @property
    def language(self) -> str:
        """The language of the channel's prompts, such as ``en``."""
        return self.variables.get("agi_language", "")

    @property
    def caller_id(self) -> str | None:
        """The caller's number as the caller's phone sent it, or None."""
        return self._known("agi_callerid")

    @property
    def caller_id_name(self) -> str | None:
        """The caller's name as the caller's phone sent it, or None."""
        return self._known("agi_calleridname")

    @property
    def context(self) -> str:
        """The dialplan context that runs ``AGI()``."""
        return self.variables.get("agi_context", "")

    @property
    def extension(self) -> str:
        """The extension that runs ``AGI()``, usually what was dialled."""
        return self.variables.get("agi_extension", "")

    @property
    def priority(self) -> int:
        """The priority that runs ``AGI()``; 0 when it is missing or no number."""
        text = self.variables.get("agi_priority", "")
        return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else 0

    @property
    def account_code(self) -> str | None:
        """The channel's account code, or None."""
        return self.variables.get("agi_accountcode") or None

    @property
    def version(self) -> str:
        """Asterisk's version, such as ``22.10.1``; a vendor's build may say anything."""
        return self.variables.get("agi_version", "")


# -- out: a command ---------------------------------------------------------------------------------------------


class Deadline(Enum):
    """How long a reply may take: which of the limits counts."""

    def __init__(self, limit: str) -> None:
        self.limit = limit

    COMMAND = "command_seconds"
    """A look-up."""
    PLAYBACK = "playback_seconds"
    """A sound is played."""
    PROMPT = "prompt_seconds"
    """A caller is waited for."""
    EXECUTE = "execute_seconds"
    """An application runs."""


@dataclass(frozen=True, slots=True)
class Command:
    """One command, ready for the wire. Made by ``command``, which quotes.

    Parameters:
        verb: its name, for logs.
        wire: the line with its line feed.
        deadline: the limit that its reply is held to.
        extra_seconds: added to that limit, the time-out that the command itself carries.
        secret_reply: what comes back is not for any log.
        legal_when_dead: Asterisk takes it after the hang-up as well.
        hangs_up: it ends this very call, so its sender expects the hang-up that follows.
    """

    verb: str
    wire: bytes
    deadline: Deadline = Deadline.COMMAND
    extra_seconds: float = 0.0
    secret_reply: bool = False
    legal_when_dead: bool = False
    hangs_up: bool = False

    def seconds(self, limits: Limits) -> float:
        """How many seconds the reply may take.

        Parameters:
            limits: of the server.
        """
        base: float = getattr(limits, self.deadline.limit)
        return base + self.extra_seconds


LEGAL_WHEN_DEAD = frozenset(
    {
        "ASYNCAGI BREAK",
        "DATABASE DEL",
        "DATABASE DELTREE",
        "DATABASE GET",
        "DATABASE PUT",
        "EXEC",
        "GET FULL VARIABLE",
        "GET VARIABLE",
        "NOOP",
        "SET VARIABLE",
        "SPEECH DESTROY",
        "SPEECH UNLOAD GRAMMAR",
        "VERBOSE",
    }
)
"""The commands that Asterisk takes on a channel that has hung up (the last column of its table, res_agi.c)."""


def longest_command(version: str) -> int:
    """How many bytes of a command line, its line feed among them, an Asterisk reads.

    >>> longest_command("16.28.0~dfsg"), longest_command("22.10.1"), longest_command("")
    (2047, 8191, 2047)

    Parameters:
        version: as ``agi_version`` says it.
    """
    release = RELEASE.match(version)
    if release is None:
        return OLD_MAX_COMMAND_BYTES
    branch, minor = int(release[1]), int(release[2])
    long_lines = branch > 22 or minor >= LONG_LINES_SINCE.get(branch, 1_000)
    return MAX_COMMAND_BYTES if long_lines else OLD_MAX_COMMAND_BYTES


FORBIDDEN = re.compile(r"[\r\n\0]")
SPECIAL = re.compile(r'[\r\n\0"\\]')

PARAMETERS: Mapping[str, tuple[str, ...]] = {
    "CHANNEL STATUS": ("channel",),
    "CONTROL STREAM FILE": ("name", "escape_digits", "skip", "forward", "rewind", "pause", "offset"),
    "DATABASE DEL": ("family", "key"),
    "DATABASE DELTREE": ("family", "keytree"),
    "DATABASE GET": ("family", "key"),
    "DATABASE PUT": ("family", "key", "value"),
    "EXEC": ("application", "argument_string"),
    "GET DATA": ("prompt", "timeout", "max_digits"),
    "GET FULL VARIABLE": ("expression", "channel"),
    "GET OPTION": ("name", "escape_digits", "timeout"),
    "GET VARIABLE": ("name",),
    "GOSUB": ("context", "extension", "priority", "argument"),
    "HANGUP": ("channel",),
    "RECORD FILE": ("name", "format", "escape_digits", "timeout", "offset"),
    "SAY ALPHA": ("text", "escape_digits"),
    "SAY DATE": ("when", "escape_digits"),
    "SAY DATETIME": ("when", "escape_digits", "format", "timezone"),
    "SAY DIGITS": ("digits", "escape_digits"),
    "SAY NUMBER": ("number", "escape_digits", "gender"),
    "SAY PHONETIC": ("text", "escape_digits"),
    "SAY TIME": ("when", "escape_digits"),
    "SEND IMAGE": ("name",),
    "SEND TEXT": ("text",),
    "SET CALLERID": ("text",),
    "SET CONTEXT": ("context",),
    "SET EXTENSION": ("extension",),
    "SET PRIORITY": ("priority",),
    "SET VARIABLE": ("name", "value"),
    "SPEECH ACTIVATE GRAMMAR": ("name",),
    "SPEECH CREATE": ("engine",),
    "SPEECH DEACTIVATE GRAMMAR": ("name",),
    "SPEECH LOAD GRAMMAR": ("name", "path"),
    "SPEECH RECOGNIZE": ("prompt", "timeout", "offset"),
    "SPEECH SET": ("name", "value"),
    "SPEECH UNLOAD GRAMMAR": ("name",),
    "STREAM FILE": ("name", "escape_digits", "offset"),
    "TDD MODE": ("mode",),
    "VERBOSE": ("message", "level"),
}
"""Command -> how the methods of ``Session`` call its arguments, for messages."""


def quote(verb: str, argument: str) -> str:
    r"""One argument as Asterisk's word splitter (parse_args, res_agi.c) reads it: quoted, ``\`` and ``"`` escaped.

    Raises:
        LocalProtocolError: it holds CR, LF or NUL. There is no escape for them: behind a line feed the rest of the
            value would be a command, and ``EXEC System`` is one.
    """
    if SPECIAL.search(argument) is None:
        return f'"{argument}"'
    if FORBIDDEN.search(argument) is not None:
        raise LocalProtocolError(f"{verb}: an argument holds a line break or a NUL; nothing was sent")
    argument = argument.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{argument}"'


def _as_text(verb: str, place: int, argument: object) -> str:
    """Write a number as a number; anything else that is not text is the caller's mistake."""
    if isinstance(argument, str):
        return argument
    if isinstance(argument, int | float) and not isinstance(argument, bool):
        return str(argument)
    names = PARAMETERS.get(verb, ())
    name = names[place] if place < len(names) else f"argument {place + 1}"
    kind = type(argument).__name__
    raise LocalProtocolError(f"{verb}: {name} is neither text nor a number but {kind}; nothing was sent")


def command(
    verb: str,
    *arguments: str | float,
    deadline: Deadline = Deadline.COMMAND,
    extra_seconds: float = 0.0,
    secret_reply: bool = False,
) -> Command:
    r"""Make a command. The only way from text to the wire.

    >>> command("SET VARIABLE", "TEXT", 'say "hi"').wire
    b'SET VARIABLE "TEXT" "say \\"hi\\""\n'
    >>> command("SET VARIABLE", "TEXT", "one\nEXEC System reboot")
    Traceback (most recent call last):
    ...
    agi_monitor.errors.LocalProtocolError: SET VARIABLE: an argument holds a line break or a NUL; nothing was sent

    Parameters:
        verb: the command's words as Asterisk names them, such as ``GET DATA``.
        arguments: texts and numbers; each becomes exactly one word on the other side.
        deadline: which limit its reply is held to.
        extra_seconds: seconds added to it.
        secret_reply: keep the reply out of the logs.

    Raises:
        LocalProtocolError: it cannot be sent safely. The message names the verb and the parameter, never a value.
    """
    if len(arguments) > MAX_ARGUMENTS:
        raise LocalProtocolError(f"{verb}: more than {MAX_ARGUMENTS} arguments; nothing was sent")
    try:
        wire = " ".join([verb, *[quote(verb, argument) for argument in arguments]]).encode() + b"\n"  # type: ignore[arg-type]  # numbers follow
    except TypeError:
        texts = [_as_text(verb, place, argument) for place, argument in enumerate(arguments)]
        return command(verb, *texts, deadline=deadline, extra_seconds=extra_seconds, secret_reply=secret_reply)
    except UnicodeEncodeError:
        # The exception itself holds the value, so it must not travel on as the cause.
        raise LocalProtocolError(f"{verb}: an argument is not text; nothing was sent") from None
    if len(wire) > MAX_COMMAND_BYTES:
        raise LocalProtocolError(f"{verb}: longer than {MAX_COMMAND_BYTES} bytes; nothing was sent")
    return Command(verb, wire, deadline, extra_seconds, secret_reply, verb in LEGAL_WHEN_DEAD)


# -- in: a reply ------------------------------------------------------------------------------------------------

RESULT = re.compile(r"result=(\S*)(.*)", re.DOTALL)
END_POSITION = re.compile(r"(?:^| )endpos=(-?[0-9]{1,18})(?= |$)")
TAIL = re.compile(rb"(?: digit=.)? endpos=-?[0-9]+")
SPEECH_TAIL = re.compile(rb"\) endpos=-?[0-9]+ results=[0-9]+ ")


def value_is_open(line: bytes, *, started: bool) -> bool:
    """Whether a value in parentheses continues in the next line.

    A value may hold line breaks and ``)``. Every reply that carries one ends with its ``)``, except those that say
    where a sound stopped: ``(digit) digit=5 endpos=0`` (handle_speechrecognize and handle_recordfile, res_agi.c).

    Parameters:
        line: a line without its line feed.
        started: the parenthesis was opened on an earlier line.
    """
    if line.endswith(b")"):
        return False
    if not started:
        opening = line.find(b" (")
        # Only directly after the result: "200 result=-1 Gosub label not found (x" has no value.
        if opening < 0 or line.find(b" ", line.find(b"result=")) != opening:
            return False
    closing = line.rfind(b")")
    if closing >= 0 and TAIL.fullmatch(line, closing + 1) is not None:
        return False
    return SPEECH_TAIL.search(line) is None


@dataclass(frozen=True)
class Reply:
    """What Asterisk answered to one command.

    >>> reply = Reply.from_wire(200, b"result=42 (timeout)")
    >>> reply.result, reply.timed_out
    ('42', True)

    Parameters:
        code: 200, or 510, 511, 520 and whatever else says that the command failed.
        text: everything behind the code; for 520 the usage text.
        result: behind ``result=``: a number, or for GET DATA the digits, which may be none.
        data: what stood in parentheses, up to the last ``)``; None when there were none. For a variable this is its
            value, and a value may be any text, also ``timeout`` or ``hangup``.
    """

    code: int
    text: str
    result: str = ""
    data: str | None = None

    @classmethod
    def from_wire(cls, code: int, body: bytes) -> Reply:
        """Read what stands after ``200``, ``510`` and so on. Bytes that are not UTF-8 are replaced.

        Parameters:
            code: the number that begins the line.
            body: what stands after it and its space.
        """
        text = body.decode("utf-8", "replace")
        if code != 200:
            return cls(code, text)
        match = RESULT.fullmatch(text)
        if match is None:
            raise RemoteProtocolError("a reply without a result")
        result, rest = match.groups()
        data = None
        if rest.startswith(" ("):
            # A recognition's texts may hold a ")" themselves; there the reason ends at the first one.
            end = rest.find(")") if rest.startswith(" (speech) endpos=") else rest.rfind(")")
            if end >= 0:
                data = rest[2:end]
        return cls(code, text, result, data)

    @cached_property
    def end_position(self) -> int | None:
        """Where playback or recording stopped, in samples (8,000 a second unless the file differs), or None."""
        rest = self.text[len("result=") + len(self.result) :]
        if self.data is not None:
            rest = rest[len(" (") + len(self.data) + 1 :]
        match = END_POSITION.search(rest)
        return None if match is None else int(match[1])

    @property
    def timed_out(self) -> bool:
        """Whether the caller let the time pass. Only for commands that wait for a caller: GET DATA, RECEIVE CHAR,
        RECORD FILE, SPEECH RECOGNIZE. For a variable it would say something about its value."""
        return self.data == "timeout"

    @property
    def number(self) -> int:
        """The result as a number.

        Raises:
            RemoteProtocolError: it is not a number.
        """
        try:
            return int(self.result)
        except ValueError:
            raise RemoteProtocolError("a reply whose result is not a number") from None
