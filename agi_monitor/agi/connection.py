"""One AGI conversation without a socket: bytes in, events out, commands to bytes.

Two rules: every transition is in ``TRANSITIONS``; nothing here knows a clock or a transport.

Feed it with ``receive_data``, then take events until ``NEED_DATA`` *before* sending anything: what is still unread
was said before the next command, so it must not be taken for that command's reply.

::

    connection.receive_data(chunk)
    while (event := connection.next_event()) is not NEED_DATA:
        react(event)
    transport.write(connection.send(command))
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import Final, Literal

from agi_monitor.agi.messages import (
    CONTROL_IN_LINES,
    ENVIRONMENT,
    OLD_MAX_COMMAND_BYTES,
    AGIRequest,
    Command,
    Reply,
    check_environment,
    longest_command,
    value_is_open,
)
from agi_monitor.errors import LocalProtocolError, RemoteProtocolError
from agi_monitor.limits import Limits

MAX_HANGUPS = 8
"""Asterisk says HANGUP once when the channel hangs up and once more when the session ends (run_agi, res_agi.c)."""


class State(StrEnum):
    """Where the conversation stands."""

    ENVIRONMENT = "environment"
    """The environment is coming in."""
    IDLE = "idle"
    """Nothing is asked; a command may be sent."""
    AWAITING = "awaiting"
    """A command is in flight."""
    IN_VALUE = "in_value"
    """Its reply holds a value of several lines, which is coming in."""
    IN_USAGE = "in_usage"
    """Its reply is a usage text, which is coming in."""
    IDLE_EXTRA = "idle_extra"
    """As IDLE; a usage text that answers nothing is still to come."""
    AWAITING_EXTRA = "awaiting_extra"
    """As AWAITING; that usage text comes first."""
    IDLE_IN_EXTRA = "idle_in_extra"
    """As IDLE_EXTRA, in the middle of that usage text."""
    AWAITING_IN_EXTRA = "awaiting_in_extra"
    """As AWAITING_EXTRA, in the middle of that usage text."""
    CLOSED = "closed"
    """The peer has closed; nothing more comes."""
    BROKEN = "broken"
    """The peer broke the protocol; nothing more is read."""


class Line(StrEnum):
    """What a line is, given the state."""

    HANGUP = "HANGUP"
    """The channel has hung up."""
    REPLY = "200, 510, 511"
    """A whole reply. So is a line with any other number that does not begin with 1, such as 503 (handle_gosub,
    app_stack.c): the command has failed."""
    PROGRESS = "100"
    """Not a reply yet: one follows. GOSUB says so before it runs (handle_gosub, app_stack.c)."""
    EXEC_ONE = "200 result=1 to EXEC"
    """A whole reply that a usage text follows: the EXEC command returns what its application returned, and 1 is also
    what a command returns to have its usage shown (handle_exec and RESULT_SHOWUSAGE, res_agi.c)."""
    VALUE = "200 result=1 (..."
    """A reply whose value continues in the next line."""
    USAGE = "520-"
    """The first line of a usage text."""
    NO_USAGE = "520"
    """A wrong usage in one line: this Asterisk was built without the texts."""
    TEXT = "text"
    """A line inside a value or a usage text."""
    LAST = "last"
    """The last one."""


class Act(Enum):
    """What to do besides going to the next state."""

    NOTHING = "nothing"
    HANG_UP = "hang_up"
    """Report the hang-up."""
    ANSWER = "answer"
    """Report the reply."""
    START = "start"
    """Keep the line as the first of a reply."""
    KEEP = "keep"
    """Keep the line as one more of a reply."""
    FINISH = "finish"
    """Keep the line and report the reply."""
    COUNT = "count"
    """Keep nothing, but let its size count."""


TRANSITIONS: Final[dict[State, dict[Line, tuple[State, Act]]]] = {
    State.IDLE: {
        Line.HANGUP: (State.IDLE, Act.HANG_UP),
    },
    State.AWAITING: {
        Line.HANGUP: (State.AWAITING, Act.HANG_UP),
        Line.PROGRESS: (State.AWAITING, Act.COUNT),
        Line.REPLY: (State.IDLE, Act.ANSWER),
        Line.EXEC_ONE: (State.IDLE_EXTRA, Act.ANSWER),
        Line.NO_USAGE: (State.IDLE, Act.ANSWER),
        Line.VALUE: (State.IN_VALUE, Act.START),
        Line.USAGE: (State.IN_USAGE, Act.START),
    },
    State.IN_VALUE: {
        Line.TEXT: (State.IN_VALUE, Act.KEEP),
        Line.LAST: (State.IDLE, Act.FINISH),
    },
    State.IN_USAGE: {
        Line.TEXT: (State.IN_USAGE, Act.KEEP),
        Line.LAST: (State.IDLE, Act.FINISH),
    },
    State.IDLE_EXTRA: {
        Line.HANGUP: (State.IDLE_EXTRA, Act.HANG_UP),
        Line.NO_USAGE: (State.IDLE, Act.NOTHING),
        Line.USAGE: (State.IDLE_IN_EXTRA, Act.COUNT),
    },
    State.AWAITING_EXTRA: {
        Line.HANGUP: (State.AWAITING_EXTRA, Act.HANG_UP),
        Line.NO_USAGE: (State.AWAITING, Act.NOTHING),
        Line.USAGE: (State.AWAITING_IN_EXTRA, Act.COUNT),
        # No usage text came after all: this is the reply.
        Line.PROGRESS: (State.AWAITING, Act.COUNT),
        Line.REPLY: (State.IDLE, Act.ANSWER),
        Line.EXEC_ONE: (State.IDLE_EXTRA, Act.ANSWER),
        Line.VALUE: (State.IN_VALUE, Act.START),
    },
    State.IDLE_IN_EXTRA: {
        Line.TEXT: (State.IDLE_IN_EXTRA, Act.COUNT),
        Line.LAST: (State.IDLE, Act.NOTHING),
    },
    State.AWAITING_IN_EXTRA: {
        Line.TEXT: (State.AWAITING_IN_EXTRA, Act.COUNT),
        Line.LAST: (State.AWAITING, Act.NOTHING),
    },
}
"""What may come in which state. A line that is not in the row of its state breaks the protocol."""

AFTER_SEND: Final[dict[State, State]] = {
    State.IDLE: State.AWAITING,
    State.IDLE_EXTRA: State.AWAITING_EXTRA,
    State.IDLE_IN_EXTRA: State.AWAITING_IN_EXTRA,
}
"""The states in which a command may be sent, and what follows."""

ENVIRONMENT_LINE = re.compile(r"^(agi_.*?): (.*)$", re.MULTILINE)
NAMES: Final = {name: name for name in (*ENVIRONMENT, *(f"agi_arg_{number}" for number in range(1, 17)))}
"""One text for each name, however many calls there are."""
PLAIN_REPLY = re.compile(rb"200 (result=([^\s()]*)(?: \(([^()\n]*)\))?)\n")
"""A reply that is one whole line and nothing else, as almost all are. All else is read line by line."""
CODE = re.compile(rb"[1-9][0-9]{2} ")
"""What every reply of one line begins with."""
USAGE_STATES = frozenset({State.IN_USAGE, State.IDLE_IN_EXTRA, State.AWAITING_IN_EXTRA})
USAGE_END = b"520 End of proper usage."
"""The last line of a usage text. Older versions glue it to the text when that ends without a line feed."""


class _NeedData(Enum):
    NEED_DATA = "NEED_DATA"

    def __repr__(self) -> str:
        return "NEED_DATA"


NEED_DATA: Final = _NeedData.NEED_DATA
"""No event yet: feed more bytes."""


@dataclass(frozen=True, slots=True)
class HungUp:
    """The channel has hung up. Reported once, however often Asterisk says it."""


@dataclass(frozen=True, slots=True)
class Closed:
    """The peer has closed the connection. Reported once, always the last event.

    Parameters:
        state: where the conversation stood.
        received: bytes that came in all; 0 for a health check.
    """

    state: State
    received: int


Event = AGIRequest | Reply | HungUp | Closed


class AGIConnection:
    """The bytes of one conversation.

    Every byte is looked at a bounded number of times, whatever the chunks; what is kept is bounded by ``limits``.

    Parameters:
        limits: sizes that the peer is held to.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._state = State.ENVIRONMENT
        self._buffer = bytearray()
        self._searched = 0  # the buffer holds no line feed before this
        self._received = 0
        self._eof = False
        self._error: str | None = None
        self._pairs: list[tuple[str, str]] = []
        self._controls = False  # the environment holds a control character
        self._lines: list[bytes] = []  # of the reply that is coming in
        self._collected = 0  # bytes of the environment, reply or usage text that is coming in
        self._hangups = 0
        self._command: Command | None = None
        self._abandoned = False
        self.longest_command = OLD_MAX_COMMAND_BYTES
        """How many bytes of a command the Asterisk at hand reads, as soon as it has said which one it is."""
        self._max_buffer = max(limits.max_environment_bytes, limits.max_reply_bytes) + limits.max_line_bytes

    @property
    def state(self) -> State:
        """Where the conversation stands."""
        return self._state

    @property
    def can_send(self) -> bool:
        """Whether ``send`` would take a command now."""
        return self._state in AFTER_SEND and not self._buffer

    @property
    def has_unread(self) -> bool:
        """Whether a line is coming in of which only a part is here."""
        return bool(self._buffer)

    @property
    def hung_up(self) -> bool:
        """Whether the channel has hung up."""
        return self._hangups > 0

    @property
    def buffered(self) -> int:
        """Bytes kept at the moment."""
        return len(self._buffer) + self._collected

    # -- in --

    def receive_data(self, data: bytes) -> None:
        """Take bytes from the peer, in any chunking. Only buffers; ``next_event`` reads them."""
        if self._eof or self._error is not None:
            return
        self._received += len(data)
        self._buffer += data

    def receive_eof(self) -> None:
        """The peer sends nothing more."""
        self._eof = True

    def next_event(self) -> Event | Literal[_NeedData.NEED_DATA]:
        """The next thing that happened, or NEED_DATA.

        Raises:
            RemoteProtocolError: the peer broke the protocol, or sent more than the limits allow. Every later call
                raises it again.
        """
        if self._error is not None:
            raise RemoteProtocolError(self._error)
        try:
            return self._next_event()
        except RemoteProtocolError as error:
            self._error = str(error)
            self._state = State.BROKEN
            self._buffer.clear()
            self._pairs.clear()
            self._lines.clear()
            self._collected = 0
            raise

    def _next_event(self) -> Event | Literal[_NeedData.NEED_DATA]:
        buffer = self._buffer
        if len(buffer) > self._max_buffer:
            raise RemoteProtocolError("more bytes at once than any message may have")
        if self._state is State.ENVIRONMENT:
            request = self._environment()
            if request is not None:
                return request
        elif self._state is State.AWAITING and not self._searched and not self._abandoned:
            # Only at the first look at it: what comes in pieces is not to be read again with each of them.
            plain = PLAIN_REPLY.fullmatch(buffer)
            if plain is not None and len(buffer) <= self._limits.max_line_bytes and not self._is_exec_one(plain[1]):
                return self._plain_reply(plain)
        while True:
            end = buffer.find(b"\n", self._searched)
            if end < 0:
                if len(buffer) > self._limits.max_line_bytes:
                    raise RemoteProtocolError("a line is too long")
                self._searched = len(buffer)
                return self._at_end_of_data()
            if end > self._limits.max_line_bytes:
                raise RemoteProtocolError("a line is too long")
            line = bytes(buffer[:end])
            del buffer[: end + 1]
            self._searched = 0
            event = self._line(line)
            if event is not None:
                return event

    def _plain_reply(self, match: re.Match[bytes]) -> Reply:
        """The reply that is all there is to read."""
        text, result, data = match[1], match[2], match[3]
        self._buffer = bytearray()
        self._searched = self._collected = 0
        self._state = State.IDLE
        self._command = None
        return Reply(
            200,
            text.decode("utf-8", "replace"),
            result.decode("utf-8", "replace"),
            None if data is None else data.decode("utf-8", "replace"),
        )

    def _is_exec_one(self, text: bytes) -> bool:
        return text == b"result=1" and self._command is not None and self._command.verb == "EXEC"

    def _at_end_of_data(self) -> Closed | Literal[_NeedData.NEED_DATA]:
        if not self._eof or self._state is State.CLOSED:
            return NEED_DATA
        event = Closed(self._state, self._received)
        self._state = State.CLOSED
        self._buffer.clear()
        self._searched = 0
        return event

    def _environment(self) -> AGIRequest | None:
        """Take all whole lines at once, up to the empty one: the environment is most of what a session reads."""
        buffer = self._buffer
        end = buffer.rfind(b"\n", self._searched)
        if end < 0:
            self._searched = len(buffer)
            return None
        self._searched = 0
        empty = -1 if buffer.startswith(b"\n") else buffer.find(b"\n\n")
        complete = empty >= 0 or buffer.startswith(b"\n")
        if complete:
            end = empty + 1
        lines = bytes(buffer[: end - 1 if complete else end]) if end > 0 else b""
        del buffer[: end + 1]
        self._collected += end + 1
        if self._collected > self._limits.max_environment_bytes:
            raise RemoteProtocolError("the environment is too long")
        if lines:
            self._environment_lines(lines)
        if not complete:
            return None
        if not self._pairs:
            raise RemoteProtocolError("the environment is empty")
        check_environment(self._pairs, controls=self._controls)
        request = AGIRequest.from_pairs(self._pairs)
        self._pairs = []
        self._collected = 0
        self._state = State.IDLE
        self.longest_command = longest_command(request.version)
        return request

    def _environment_lines(self, lines: bytes) -> None:
        pairs = self._pairs
        if len(pairs) + lines.count(b"\n") >= self._limits.max_environment_lines:
            raise RemoteProtocolError("the environment has too many lines")
        if len(lines) > self._limits.max_line_bytes and self._too_long(lines):
            raise RemoteProtocolError("a line is too long")
        text = lines.decode("utf-8", "replace")
        self._controls = self._controls or CONTROL_IN_LINES.search(text) is not None
        found = ENVIRONMENT_LINE.findall(text)
        if len(found) != lines.count(b"\n") + 1:
            raise RemoteProtocolError("a line of the environment has no name")
        # Names are the same in every call, and are held once. Values are not: each belongs to a stranger, and what is
        # interned stays for ever from Python 3.12 on.
        pairs += [(NAMES.get(name, name), value) for name, value in found]

    def _too_long(self, lines: bytes) -> bool:
        return any(len(line) > self._limits.max_line_bytes for line in lines.split(b"\n"))

    def _kind(self, line: bytes) -> Line:
        if self._state is State.IN_VALUE:
            return Line.TEXT if value_is_open(line, started=True) else Line.LAST
        if self._state in USAGE_STATES:
            return Line.LAST if line.endswith(USAGE_END) else Line.TEXT
        if line == b"HANGUP":
            return Line.HANGUP
        code = line[:4]
        if code == b"200 ":
            if value_is_open(line, started=False):
                return Line.VALUE
            if self._is_exec_one(line[4:]):
                return Line.EXEC_ONE
            return Line.REPLY
        if code == b"520-":
            return Line.USAGE
        if code == b"520 ":
            return Line.NO_USAGE
        if CODE.fullmatch(code) is not None:
            return Line.PROGRESS if code.startswith(b"1") else Line.REPLY
        raise RemoteProtocolError("a line that is not a reply")

    def _line(self, line: bytes) -> Reply | HungUp | None:
        kind = self._kind(line)
        following = TRANSITIONS[self._state].get(kind)
        if following is None:
            raise RemoteProtocolError(f"a line ({kind.value}) that answers nothing ({self._state.value})")
        self._state, act = following
        if act is Act.ANSWER:
            return self._answer(int(line[:3]), line[4:])
        if act is Act.HANG_UP:
            return self._hang_up()
        if act is Act.NOTHING:
            self._collected = 0
            return None
        self._collected += len(line) + 1
        if self._collected > self._limits.max_reply_bytes:
            raise RemoteProtocolError("a reply is too long")
        if act is Act.COUNT:
            return None
        self._lines.append(line)
        if act is not Act.FINISH:
            return None
        whole = b"\n".join(self._lines)
        self._lines = []
        self._collected = 0
        return self._answer(int(whole[:3]), whole[4:])

    def _answer(self, code: int, body: bytes) -> Reply | None:
        self._command = None
        self._collected = 0
        if self._abandoned:
            self._abandoned = False
            return None
        return Reply.from_wire(code, body)

    def _hang_up(self) -> HungUp | None:
        self._hangups += 1
        if self._hangups > MAX_HANGUPS:
            raise RemoteProtocolError("HANGUP again and again")
        return HungUp() if self._hangups == 1 else None

    # -- out --

    def too_long(self, command: Command) -> LocalProtocolError | None:
        """Why a command cannot be sent to the Asterisk at hand: it is longer than what that one reads."""
        if len(command.wire) <= self.longest_command:
            return None
        return LocalProtocolError(
            f"{command.verb}: longer than the {self.longest_command} bytes that this Asterisk reads; nothing was sent"
        )

    def send(self, command: Command) -> bytes:
        """The bytes of a command, to be written at once in one piece.

        Raises:
            LocalProtocolError: a command is in flight, unread bytes are left, the environment is not complete, the
                conversation is over, or the command is too long.
        """
        too_long = self.too_long(command)
        if too_long is not None:
            raise too_long
        following = AFTER_SEND.get(self._state)
        if following is None:
            raise LocalProtocolError(f"{command.verb}: not now ({self._state.value}); nothing was sent")
        if self._buffer:
            # Asterisk writes whole lines. What is left here was said before this command, and must not answer it.
            raise LocalProtocolError(f"{command.verb}: there are unread bytes; nothing was sent")
        self._state = following
        self._command = command
        return command.wire

    def abandon_reply(self) -> None:
        """Give up the reply of the command in flight.

        A late reply cannot be told from the next command's. So no command can be sent until it has come after all;
        it is then dropped without an event.
        """
        if self._command is not None:
            self._abandoned = True
