"""One AMI conversation without a socket: bytes in, events out, actions to bytes.

Two rules: an answer belongs to the action whose ActionID it carries, whatever its order or its words; nothing here
knows a clock or a transport.

::

    connection.receive_data(chunk)
    while (event := connection.next_event()) is not NEED_DATA:
        react(event)
    transport.write(connection.send(action))        # at any moment, many at once
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, Literal

from agi_monitor.ami.limits import MAX_GREETING_BYTES, AMILimits
from agi_monitor.ami.messages import Action, Message
from agi_monitor.errors import LocalProtocolError, RemoteProtocolError

GREETING = re.compile(rb"Asterisk Call Manager/([!-~]{1,64})")
END = b"\r\n\r\n"
EVENT = b"Event: "
ACTION_ID = b"\r\nActionID: "

COMPLETE = "complete"
ENDS = frozenset({COMPLETE, "cancelled", "canceled"})
"""What ``EventList`` says at the end of a list, in lower case."""


class _NeedData(Enum):
    NEED_DATA = "NEED_DATA"

    def __repr__(self) -> str:
        return "NEED_DATA"


NEED_DATA: Final = _NeedData.NEED_DATA
"""No event yet: feed more bytes."""


@dataclass(frozen=True, slots=True)
class Greeting:
    """The first line: Asterisk speaks AMI.

    Parameters:
        version: of AMI, such as ``9.0.0``; not of Asterisk.
    """

    version: str


@dataclass(frozen=True, slots=True)
class Response:
    """The answer to an action.

    Parameters:
        action: what was asked.
        message: what Asterisk said.
    """

    action: Action
    message: Message


@dataclass(frozen=True, slots=True)
class Event:
    """Something happened on the PBX.

    Parameters:
        name: such as ``Newchannel``.
        message: its headers.
    """

    name: str
    message: Message


@dataclass(frozen=True, slots=True)
class ListDone:
    """A list is complete.

    Parameters:
        response: the answer that announced it.
        items: its items, in order.
        end: the event that ended it.
    """

    response: Response
    items: tuple[Event, ...]
    end: Event


@dataclass(frozen=True, slots=True)
class ListBroken:
    """Asterisk has broken off a list: what came of it is not the whole, and is dropped.

    Parameters:
        response: the answer that announced it.
        end: the event that said so.
    """

    response: Response
    end: Event


@dataclass(frozen=True, slots=True)
class Closed:
    """The peer has closed the connection. Reported once, always the last event.

    Parameters:
        received: bytes that came in all; 0 when nothing was said.
    """

    received: int


AMIEvent = Greeting | Response | Event | ListDone | ListBroken | Closed


@dataclass(slots=True)
class _Asked:
    """An action in flight."""

    action: Action
    as_list: bool
    response: Response | None = None
    items: list[Event] = field(default_factory=list)
    size: int = 0


class AMIConnection:
    """The bytes of one conversation.

    Every byte is looked at a bounded number of times, whatever the chunks; what is kept is bounded by ``limits``.

    Parameters:
        limits: sizes that the peer is held to.
        wanted: the names of events that somebody wants; others are dropped before their headers are read. All of
            them when not given.
    """

    def __init__(self, limits: AMILimits, wanted: frozenset[str] | None = None) -> None:
        self._limits = limits
        self._wanted = None if wanted is None else frozenset(name.encode() for name in wanted)
        self._buffer = bytearray()
        self._searched = 0  # the buffer holds no end of a message before this
        self._received = 0
        self._greeted = False
        self._eof = False
        self._closed = False
        self._error: str | None = None
        self._asked: dict[str, _Asked] = {}
        self._lists = 0  # how many of them are lists
        self._list_bytes = 0
        self.dropped = 0
        """Events that nobody wanted."""
        self.strays = 0
        """Answers that belong to no action: it was given up earlier, or Asterisk could not read it."""

    @property
    def in_flight(self) -> int:
        """Actions without an answer, and lists that are not complete."""
        return len(self._asked)

    @property
    def buffered(self) -> int:
        """Bytes kept at the moment."""
        return len(self._buffer) + self._list_bytes

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

    def next_event(self) -> AMIEvent | Literal[_NeedData.NEED_DATA]:
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
            self._forget_everything()
            raise

    def _forget_everything(self) -> None:
        self._buffer.clear()
        self._searched = 0
        self._asked.clear()
        self._lists = 0
        self._list_bytes = 0

    def _next_event(self) -> AMIEvent | Literal[_NeedData.NEED_DATA]:
        if not self._greeted:
            greeting = self._greeting()
            if greeting is not None:
                return greeting
            return self._at_end_of_data()
        buffer = self._buffer
        while True:
            if buffer.startswith(b"\r\n"):
                # An empty line where a message should begin.
                del buffer[:2]
                self._searched = 0
                continue
            end = buffer.find(END, self._searched)
            if (end if end >= 0 else len(buffer)) > self._limits.max_message_bytes:
                raise RemoteProtocolError("a message is too long")
            if end < 0:
                self._searched = max(0, len(buffer) - len(END) + 1)
                return self._at_end_of_data()
            data = bytes(buffer[:end])
            del buffer[: end + len(END)]
            self._searched = 0
            event = self._message(data)
            if event is not None:
                return event

    def _greeting(self) -> Greeting | None:
        end = self._buffer.find(b"\r\n")
        if (end if end >= 0 else len(self._buffer)) > MAX_GREETING_BYTES:
            raise RemoteProtocolError("the greeting is too long")
        if end < 0:
            return None
        found = GREETING.fullmatch(bytes(self._buffer[:end]))
        if found is None:
            raise RemoteProtocolError("the peer did not greet as Asterisk's manager interface does")
        del self._buffer[: end + 2]
        self._greeted = True
        return Greeting(found[1].decode())

    def _at_end_of_data(self) -> Closed | Literal[_NeedData.NEED_DATA]:
        if not self._eof or self._closed:
            return NEED_DATA
        self._closed = True
        self._forget_everything()
        return Closed(self._received)

    def _message(self, data: bytes) -> Response | Event | ListDone | ListBroken | None:
        if self._wanted is not None and data.startswith(EVENT):
            end = data.find(b"\r\n")
            name = data[len(EVENT) : end] if end >= 0 else data[len(EVENT) :]
            if name not in self._wanted and not (self._lists and ACTION_ID in data):
                self.dropped += 1
                return None
        message = Message.from_wire(data, self._limits)
        if message.get("Response") is not None:
            return self._response(message)
        name_text = message.get("Event")
        if name_text is None:
            self.strays += 1
            return None
        return self._event(Event(name_text, message), len(data))

    def _response(self, message: Message) -> Response | None:
        asked = self._asked.get(message.action_id)
        if asked is None or asked.response is not None:
            self.strays += 1
            return None
        asked.response = Response(asked.action, message)
        if not asked.as_list or not message.is_success:
            self.forget(asked.action)
        return asked.response

    def _event(self, event: Event, size: int) -> Event | ListDone | ListBroken | None:
        asked = self._asked.get(event.message.action_id) if self._lists else None
        if asked is not None and asked.response is not None and asked.as_list:
            state = event.message.text("EventList").lower()
            if state in ENDS:
                self.forget(asked.action)
                if state == COMPLETE:
                    return ListDone(asked.response, tuple(asked.items), event)
                return ListBroken(asked.response, event)
            asked.size += size
            self._list_bytes += size
            if len(asked.items) >= self._limits.max_list_items or self._list_bytes > self._limits.max_list_bytes:
                raise RemoteProtocolError("a list is too long")
            asked.items.append(event)
            return None
        if self._wanted is not None and event.name.encode("utf-8", "replace") not in self._wanted:
            self.dropped += 1
            return None
        return event

    # -- out --

    def send(self, action: Action, *, as_list: bool = False) -> bytes:
        """The bytes of an action, to be written in one piece.

        Parameters:
            action: with an ActionID that no other action in flight has.
            as_list: Asterisk answers with a list: ``ListDone`` or ``ListBroken`` follows its ``Response`` unless that
                is an error.

        Raises:
            LocalProtocolError: it cannot be sent, or too many are without an answer.
        """
        if not self._greeted or self._eof or self._error is not None:
            raise LocalProtocolError(f"{action.name}: there is no conversation; nothing was sent")
        if not action.action_id or action.action_id in self._asked:
            raise LocalProtocolError(f"{action.name}: its ActionID is missing or in use; nothing was sent")
        if len(self._asked) >= self._limits.max_in_flight:
            raise LocalProtocolError(f"{action.name}: too many actions without an answer; nothing was sent")
        wire = action.wire
        self._asked[action.action_id] = _Asked(action, as_list)
        self._lists += as_list
        return wire

    def forget(self, action: Action) -> None:
        """Give up an action: what still comes for it is dropped."""
        asked = self._asked.pop(action.action_id, None)
        if asked is not None:
            self._lists -= asked.as_list
            self._list_bytes -= asked.size
