"""One AMI conversation without a socket: bytes in, events out, actions to bytes.

Three rules: an answer belongs to the action whose ActionID it carries, whatever its order or its words; nothing that
Asterisk cannot have written (``authentic``) comes out as anything but ``Forged``; nothing here knows a clock or a
transport.

::

    connection.receive_data(chunk)
    while (event := connection.next_event()) is not NEED_DATA:
        react(event)
    transport.write(connection.send(action))        # at any moment, many at once
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Final, Literal

from agi_monitor.ami.authentic import ITEMS, SHAPES, TEXTS, Authenticity, Why, is_privilege
from agi_monitor.ami.limits import MAX_GREETING_BYTES, AMILimits
from agi_monitor.ami.messages import Action, Message
from agi_monitor.errors import LocalProtocolError, RemoteProtocolError

GREETING = re.compile(rb"Asterisk Call Manager/([!-~]{1,64})")
END = b"\r\n\r\n"
EVENT = b"Event: "
RESPONSE = b"Response: "
PRIVILEGE = b"Privilege: "
ACTION_ID = b"\r\nActionID: "
A_CHANNEL = b"ChannelStateDesc: "
A_LINKED_CHANNEL = b"Linkedid: "

COMPLETE = "complete"
ENDS = frozenset({COMPLETE, "cancelled", "canceled"})
"""What ``EventList`` says at the end of a list, in lower case."""


MAX_PAST = 20_000
"""ActionIDs that are remembered after their answers: what is late for one of them is not a forgery."""


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
        why_forged: why its text is not to be believed, although it carries the ActionID; None for an honest answer.
    """

    action: Action
    message: Message
    why_forged: Why | None = None


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
        response: the answer that announced it; forged, when something came with the list that Asterisk cannot have
            written: then items may be missing.
        items: its items, in order.
        end: the event that ended it.
    """

    response: Response
    items: tuple[Event, ...]
    end: Event


@dataclass(frozen=True, slots=True)
class ListBroken:
    """A list is not whole: Asterisk has broken it off, or it is longer than the limits. What came of it is dropped.

    Parameters:
        response: the answer that announced it.
        end: the event that ended it.
        is_too_long: it is longer than the limits.
    """

    response: Response
    end: Event
    is_too_long: bool = False


@dataclass(frozen=True, slots=True)
class Forged:
    """A message that Asterisk cannot have written, or that a caller's text has torn. It is dropped.

    Parameters:
        name: of the event, when it is one that is known; otherwise empty. Never text of the message.
        why: what is wrong with it.
    """

    name: str
    why: Why


@dataclass(frozen=True, slots=True)
class Closed:
    """The peer has closed the connection. Reported once, always the last event.

    Parameters:
        received: bytes that came in all; 0 when nothing was said.
    """

    received: int


AMIEvent = Greeting | Response | Event | ListDone | ListBroken | Forged | Closed


@dataclass(slots=True)
class _Asked:
    """An action in flight."""

    action: Action
    as_list: bool
    response: Response | None = None
    items: list[Event] = field(default_factory=list)
    size: int = 0
    why_forged: Why | None = None
    is_too_long: bool = False


@dataclass(slots=True)
class _Read:
    """A message that was read, and what is thought of it."""

    message: Message
    name: str
    """Of the event; empty for a response, and where there is none."""
    size: int
    why: Why | None
    is_wanted: bool = True


_NOTHING = Message(())


def _why_not_unread(name: bytes, data: bytes, end: int) -> Why | None:
    """Return why an event that is not wanted is forged, by its second line alone."""
    if end < 0 or not data.startswith(PRIVILEGE, end + 2):
        return Why.NO_PRIVILEGE
    until = data.find(b"\r\n", end + 2)
    text = data[end + 2 + len(PRIVILEGE) : until if until >= 0 else len(data)]
    return None if is_privilege(name.decode("utf-8", "replace"), text.decode("utf-8", "replace")) else Why.VALUE


def _counts(asked: _Asked, end: Event) -> bool:
    """Whether a list has as many items as its end says; of items that are in no table it is not known."""
    said = end.message.text("ListItems")
    return any(item.name not in ITEMS for item in asked.items) or said == str(len(asked.items))


class AMIConnection:
    """The bytes of one conversation.

    Every byte is looked at a bounded number of times, whatever the chunks; what is kept is bounded by ``limits``.

    Parameters:
        limits: sizes that the peer is held to.
        wanted: the names of events to tell; others are dropped before their headers are read. All of
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
        self._past: dict[str, None] = {}  # ActionIDs that have had their answer, or were given up
        self._lists = 0  # how many of them are lists
        self._list_bytes = 0
        self._authenticity = Authenticity()
        self._ahead: _Read | None = None  # the message behind the one that was taken last
        self.forged = 0
        """Messages that Asterisk cannot have written."""
        self.dropped = 0
        """Events that were not wanted."""
        self.strays = 0
        """Answers that belong to no action: it was given up earlier, or Asterisk could not read it."""

    def want(self, names: frozenset[str]) -> None:
        """Tell other events from now on.

        Parameters:
            names: of all events to tell; see ``wanted``.
        """
        self._wanted = frozenset(name.encode() for name in names)

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
        self._ahead = None
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
        while True:
            read, self._ahead = self._ahead or self._read(), None
            if read is None:
                return self._at_end_of_data()
            if read.why is None:
                # Text that ends a message of its own is told by what stands after it, as soon as that has come.
                empty = not read.name and self._buffer.startswith(b"\r\n")
                self._ahead = self._read()
                forged = self._ahead is not None and self._ahead.why is not None
                if (empty or forged) and self._may_be_torn(read):
                    read.why = Why.BEFORE_FORGED
            event = self._taken(read)
            if event is not None:
                return event

    def _read(self) -> _Read | None:
        """Take the next whole message out of the buffer, and look at it."""
        buffer = self._buffer
        while buffer.startswith(b"\r\n"):
            # An empty line where a message should begin.
            del buffer[:2]
            self._searched = 0
        end = buffer.find(END, self._searched)
        if (end if end >= 0 else len(buffer)) > self._limits.max_message_bytes:
            raise RemoteProtocolError("a message is too long")
        if end < 0:
            self._searched = max(0, len(buffer) - len(END) + 1)
            return None
        data = bytes(buffer[:end])
        del buffer[: end + len(END)]
        self._searched = 0
        return self._judged(data)

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

    def _judged(self, data: bytes) -> _Read:
        wanted = self._wanted
        if wanted is not None and data.startswith(EVENT):
            end = data.find(b"\r\n")
            name = data[len(EVENT) : end] if end >= 0 else data[len(EVENT) :]
            whole = ACTION_ID in data or A_CHANNEL in data or A_LINKED_CHANNEL in data
            if name not in wanted and not whole:
                # It is not read, and holds nothing that a caller could have torn.
                return _Read(_NOTHING, "", 0, _why_not_unread(name, data, end), is_wanted=False)
        message = Message.from_wire(data, self._limits)
        if data.startswith(EVENT):
            return self._judged_event(message, len(data))
        if not data.startswith(RESPONSE):
            return _Read(message, "", len(data), Why.NO_BEGINNING)
        asked = self._asked.get(message.action_id)
        if asked is None:
            why = None if message.action_id in self._past else Why.ANSWERS_NOTHING
        else:
            why = self._authenticity.why_not_answer(asked.action.name, message.is_success, message.headers)
        return _Read(message, "", len(data), why)

    def _judged_event(self, message: Message, size: int) -> _Read:
        name, action_id = message.text("Event"), message.action_id
        is_wanted = self._wanted is None or name.encode("utf-8", "replace") in self._wanted
        asked = self._asked.get(action_id)
        in_list = asked is not None and asked.as_list and asked.response is not None
        late = message.get("Privilege") is None and (asked is not None or action_id in self._past)
        why: Why | None
        if in_list or late:
            if message.get("EventList") is not None:
                why = self._authenticity.why_not_end(message.headers)
            else:
                why = self._authenticity.why_not_item(name, message.headers)
        else:
            why = self._authenticity.why_not_event(name, message.headers)
        return _Read(message, name, size, why, is_wanted)

    def _may_be_torn(self, read: _Read) -> bool:
        """Whether a message may hold text of others: the end of a list and most answers are all Asterisk's own."""
        if read.name:
            return read.message.get("EventList") is None
        asked = self._asked.get(read.message.action_id)
        return asked is not None and asked.action.name in TEXTS

    def _taken(self, read: _Read) -> Response | Event | ListDone | ListBroken | Forged | None:
        message = read.message
        asks = not read.name and read.why is not Why.NO_BEGINNING and message.action_id in self._asked
        if read.why is not None and not asks:
            return self._forged(read)
        if read.name:
            return self._event(Event(read.name, message), read)
        if not read.is_wanted:
            self.dropped += 1
            return None
        if read.why is not None and read.why is not Why.BEFORE_FORGED:
            self.forged += 1
        return self._response(message, read.why)

    def _forged(self, read: _Read) -> Forged:
        self.forged += 1
        for asked in self._asked.values():
            # Whose list it was in cannot be told: all that are coming in have a hole now.
            if asked.as_list and asked.response is not None:
                asked.why_forged = asked.why_forged or read.why
        known = read.name if read.name in SHAPES or read.name in ITEMS else ""
        return Forged(known, read.why or Why.NO_BEGINNING)

    def _response(self, message: Message, why: Why | None) -> Response | None:
        asked = self._asked.get(message.action_id)
        if asked is None or asked.response is not None:
            self.strays += 1
            return None
        asked.response = Response(asked.action, message, why)
        if not asked.as_list or not message.is_success:
            self.forget(asked.action)
        return asked.response

    def _event(self, event: Event, read: _Read) -> Event | ListDone | ListBroken | None:
        asked = self._asked.get(event.message.action_id) if self._lists else None
        if asked is not None and asked.response is not None and asked.as_list:
            state = event.message.text("EventList").lower()
            if state in ENDS:
                self.forget(asked.action)
                if asked.is_too_long:
                    return ListBroken(asked.response, event, is_too_long=True)
                if state == COMPLETE:
                    why = asked.why_forged or (None if _counts(asked, event) else Why.COUNT)
                    return ListDone(replace(asked.response, why_forged=why), tuple(asked.items), event)
                return ListBroken(asked.response, event)
            if not asked.is_too_long:
                self._keep(asked, event, read.size)
            return None
        if not read.is_wanted:
            self.dropped += 1
            return None
        return event

    def _keep(self, asked: _Asked, event: Event, size: int) -> None:
        """Keep an item; of a list that becomes too long, nothing is kept: it costs its action, not the connection."""
        asked.size += size
        self._list_bytes += size
        if len(asked.items) < self._limits.max_list_items and self._list_bytes <= self._limits.max_list_bytes:
            asked.items.append(event)
            return
        asked.is_too_long = True
        asked.items.clear()
        self._list_bytes -= asked.size
        asked.size = 0

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
            if len(self._past) >= MAX_PAST:
                del self._past[next(iter(self._past))]
            self._past[action.action_id] = None
            self._lists -= asked.as_list
            self._list_bytes -= asked.size
