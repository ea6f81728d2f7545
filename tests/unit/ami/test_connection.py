"""agi_monitor.ami.connection: every message, at every split, and which answer belongs to which action."""

from __future__ import annotations

import time
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agi_monitor.ami.authentic import Why
from agi_monitor.ami.connection import (
    NEED_DATA,
    AMIConnection,
    AMIEvent,
    Closed,
    Event,
    Forged,
    Greeting,
    ListBroken,
    ListDone,
    Response,
)
from agi_monitor.ami.limits import AMILimits
from agi_monitor.ami.messages import Action
from agi_monitor.errors import LocalProtocolError, RemoteProtocolError

GREETING = b"Asterisk Call Manager/9.0.0\r\n"
LIMITS = AMILimits()


def drain(connection: AMIConnection) -> list[AMIEvent]:
    """Every event there is."""
    events: list[AMIEvent] = []
    while (event := connection.next_event()) is not NEED_DATA:
        events.append(event)
    return events


def feed(connection: AMIConnection, *chunks: bytes) -> list[AMIEvent]:
    """Every event that these chunks cause, taken after each chunk."""
    events = []
    for chunk in chunks:
        connection.receive_data(chunk)
        events += drain(connection)
    return events


def splits(data: bytes) -> list[list[bytes]]:
    """The data whole, in single bytes, and cut in two at every place."""
    return [[data], [data[n : n + 1] for n in range(len(data))], *[[data[:n], data[n:]] for n in range(1, len(data))]]


def message(*lines: str) -> bytes:
    """The bytes of a message."""
    return "".join(f"{line}\r\n" for line in lines).encode() + b"\r\n"


def event(name: str, *lines: str) -> bytes:
    """The bytes of an event that is in no table."""
    return message(f"Event: {name}", "Privilege: call,all", *lines)


def ready(limits: AMILimits = LIMITS, wanted: frozenset[str] | None = None) -> AMIConnection:
    """A connection that was greeted."""
    connection = AMIConnection(limits, wanted)
    assert feed(connection, GREETING) == [Greeting("9.0.0")]
    return connection


def ask(connection: AMIConnection, *action_ids: str, as_list: bool = False) -> None:
    """Actions in flight."""
    for action_id in action_ids:
        connection.send(Action("Ask", (), action_id), as_list=as_list)


def success(action_id: str, *more: str) -> bytes:
    """The answer to an action."""
    return message("Response: Success", f"ActionID: {action_id}", *more)


def item(action_id: str, text: str) -> bytes:
    """An item of a list."""
    return message("Event: Item", f"ActionID: {action_id}", f"Text: {text}")


def done(action_id: str) -> bytes:
    """The end of a list."""
    return message("Event: AskComplete", f"ActionID: {action_id}", "EventList: Complete", "ListItems: 1")


def shape(events: Iterable[AMIEvent]) -> list[tuple[str, ...]]:
    """The events in short, to compare."""
    found: list[tuple[str, ...]] = []
    for event in events:
        if isinstance(event, Response):
            found.append(("response", event.action.action_id))
        elif isinstance(event, ListDone):
            texts = [one.message.text("Text") for one in event.items]
            found.append(("list", event.response.action.action_id, *texts))
        elif isinstance(event, ListBroken):
            found.append(("broken", event.response.action.action_id))
        elif isinstance(event, Event):
            found.append(("event", event.name))
        else:
            found.append((type(event).__name__.lower(),))
    return found


def test_the_conversation_at_every_split() -> None:
    """Greeting, answer, list and events are the same however their bytes arrive."""
    data = (
        success("1")
        + event("Began", "Uniqueid: 1.1")
        + success("2", "EventList: start")
        + item("2", "a")
        + event("Ended")
        + item("2", "b")
        + done("2")
    )
    for chunks in splits(data):
        connection = ready()
        ask(connection, "1")
        ask(connection, "2", as_list=True)
        assert shape(feed(connection, *chunks)) == [
            ("response", "1"),
            ("event", "Began"),
            ("response", "2"),
            ("event", "Ended"),
            ("list", "2", "a", "b"),
        ]
        assert connection.in_flight == connection.buffered == 0


def test_the_greeting_at_every_split() -> None:
    """The version is read whatever the chunks."""
    for chunks in splits(GREETING):
        assert feed(AMIConnection(LIMITS), *chunks) == [Greeting("9.0.0")]


@pytest.mark.parametrize(
    "data", [b"SSH-2.0-x\r\n", b"Asterisk Call Manager/\r\n", b"Asterisk Call Manager/1 2\r\n", b"\r\n", b"x" * 300]
)
def test_another_greeting_breaks_the_protocol(data: bytes) -> None:
    """A peer that greets differently is not a manager interface, and the error stays."""
    connection = AMIConnection(LIMITS)
    connection.receive_data(data)
    for _ in range(2):
        with pytest.raises(RemoteProtocolError):
            connection.next_event()
    assert connection.buffered == 0


def test_answers_in_another_order() -> None:
    """The ActionID alone says whose answer it is."""
    connection = ready()
    ask(connection, "a", "b", "c")
    assert shape(feed(connection, success("c") + success("a") + success("b"))) == [
        ("response", "c"),
        ("response", "a"),
        ("response", "b"),
    ]


@pytest.mark.parametrize("action_id", ["", "x", "A"])
def test_an_answer_to_nothing_is_counted(action_id: str) -> None:
    """An unknown ActionID, none, or another case is not from Asterisk; a second answer is only late."""
    connection = ready()
    ask(connection, "a")
    assert feed(connection, success(action_id)) == [Forged("", Why.ANSWERS_NOTHING)]
    assert (connection.forged, connection.strays) == (1, 0)
    assert shape(feed(connection, success("a"), success("a"))) == [("response", "a")]
    assert (connection.forged, connection.strays) == (1, 1)


def test_a_list_that_is_refused_is_one_answer() -> None:
    """An error ends a list before it began."""
    connection = ready()
    ask(connection, "a", as_list=True)
    (answer,) = feed(connection, message("Response: Error", "ActionID: a", "Message: Permission denied"))
    assert isinstance(answer, Response)
    assert not answer.message.is_success
    assert connection.in_flight == 0


@pytest.mark.parametrize("word", ["cancelled", "Cancelled", "Canceled"])
def test_a_list_that_is_broken_off_is_told(word: str) -> None:
    """What came of it is dropped, and nothing more belongs to it."""
    connection = ready(wanted=frozenset())
    ask(connection, "a", as_list=True)
    end = message("Event: AskComplete", "ActionID: a", f"EventList: {word}")
    assert shape(feed(connection, success("a") + item("a", "1") + end)) == [("response", "a"), ("broken", "a")]
    assert connection.in_flight == connection.buffered == 0
    assert feed(connection, item("a", "2") + done("a")) == []


def test_two_lists_at_once() -> None:
    """Items go where their ActionID says."""
    connection = ready()
    ask(connection, "a", "b", as_list=True)
    data = success("b") + item("b", "1") + success("a") + item("a", "2") + item("b", "3") + done("a") + done("b")
    assert shape(feed(connection, data))[-2:] == [("list", "a", "2"), ("list", "b", "1", "3")]


def test_an_event_that_names_an_action_is_no_item() -> None:
    """OriginateResponse carries the ActionID of an action that was answered: it is an event."""
    connection = ready()
    ask(connection, "a")
    data = success("a") + event("OriginateResponse", "ActionID: a")
    assert shape(feed(connection, data)) == [("response", "a"), ("event", "OriginateResponse")]


def test_nothing_of_an_action_that_was_given_up_comes_out() -> None:
    """A late answer and a late item are dropped."""
    connection = ready(wanted=frozenset())
    ask(connection, "a", as_list=True)
    feed(connection, success("a"), item("a", "1"))
    assert connection.buffered > 0
    connection.forget(Action("Ask", (), "a"))
    connection.forget(Action("Ask", (), "a"))
    assert connection.buffered == connection.in_flight == 0
    assert feed(connection, item("a", "2"), done("a"), success("a")) == []


def test_unwanted_events_are_dropped_unread() -> None:
    """Only the wanted names come out; items of a list come all the same, while it is open."""
    connection = ready(AMILimits(max_message_lines=4), frozenset({"Ended"}))
    noise = event("VarSet", *["Value: x"] * 20)
    assert shape(feed(connection, noise, event("Ended"), event("EndedSoon"))) == [("event", "Ended")]
    ask(connection, "a", as_list=True)
    assert shape(feed(connection, success("a"), noise, item("a", "1"), event("Item"), done("a"))) == [
        ("response", "a"),
        ("list", "a", "1"),
    ]
    assert connection.dropped == 4


def test_many_actions_are_bounded() -> None:
    """One more than the limit is refused, until an answer came."""
    connection = ready(AMILimits(max_in_flight=2))
    ask(connection, "a", "b")
    with pytest.raises(LocalProtocolError, match="too many"):
        ask(connection, "c")
    feed(connection, success("b"))
    ask(connection, "c")


@pytest.mark.parametrize("action_id", ["", "a"])
def test_an_action_needs_its_own_id(action_id: str) -> None:
    """Without an ActionID, or with one in use, the answers could not be told apart."""
    connection = ready()
    ask(connection, "a")
    with pytest.raises(LocalProtocolError, match="ActionID"):
        ask(connection, action_id)


def test_nothing_is_sent_before_the_greeting_or_after_the_end() -> None:
    """An action needs a conversation."""
    connection = AMIConnection(LIMITS)
    with pytest.raises(LocalProtocolError, match="no conversation"):
        ask(connection, "a")
    feed(connection, GREETING)
    connection.receive_eof()
    with pytest.raises(LocalProtocolError, match="no conversation"):
        ask(connection, "a")
    assert drain(connection) == [Closed(len(GREETING))]
    assert drain(connection) == []
    connection.receive_data(b"x")
    assert connection.buffered == 0


def test_an_action_that_cannot_be_sent_is_not_in_flight() -> None:
    """What was refused waits for no answer."""
    connection = ready()
    with pytest.raises(LocalProtocolError):
        connection.send(Action("Ask", (("A", "\n"),), "a"))
    assert connection.in_flight == 0


@pytest.mark.parametrize(
    ("limits", "data"),
    [
        (AMILimits(max_message_bytes=100), b"Event: " + b"x" * 101),
        (AMILimits(max_message_bytes=100), b"Event: " + b"x" * 101 + b"\r\n\r\n"),
        (AMILimits(max_line_bytes=100), message("Event: X", "A: " + "x" * 100)),
        (AMILimits(max_message_lines=3), message("Event: X", "A: 1", "B: 1", "C: 1")),
    ],
)
def test_more_than_the_limits_breaks_the_protocol(limits: AMILimits, data: bytes) -> None:
    """A flood ends the conversation, and nothing of it is kept."""
    connection = ready(limits)
    ask(connection, "a", as_list=True)
    with pytest.raises(RemoteProtocolError):
        feed(connection, data)
    assert connection.buffered == connection.in_flight == 0
    connection.receive_data(b"more")
    assert connection.buffered == 0
    with pytest.raises(LocalProtocolError):
        ask(connection, "b")


@pytest.mark.parametrize("limits", [AMILimits(max_list_items=2), AMILimits(max_list_bytes=100)])
def test_a_list_that_is_too_long_costs_its_action_alone(limits: AMILimits) -> None:
    """Nothing of it is kept, also while it comes in; another list and the conversation continue."""
    connection = ready(limits)
    ask(connection, "a", "b", as_list=True)
    shapes = shape(feed(connection, success("a"), success("b"), item("b", "1")))
    for number in range(50):
        shapes += shape(feed(connection, item("a", str(number))))
        assert connection.buffered < 200
    shapes += shape(feed(connection, done("a"), done("b"), event("Item")))
    assert shapes == [("response", "a"), ("response", "b"), ("broken", "a"), ("list", "b", "1"), ("event", "Item")]


def test_empty_lines_between_messages_are_nothing() -> None:
    """They neither are messages nor pile up."""
    connection = ready()
    assert shape(feed(connection, b"\r\n" * 500 + event("X") + b"\r\n")) == [("event", "X")]
    assert connection.buffered == 0


def test_a_long_message_in_single_bytes_takes_no_square_of_time() -> None:
    """Every byte is looked at a bounded number of times."""
    connection = ready()
    data = event("X", *["A: " + "x" * 1_000] * 200)
    started = time.perf_counter()
    assert len(feed(connection, *[data[n : n + 1] for n in range(len(data))])) == 1
    assert time.perf_counter() - started < 5


@given(
    st.lists(st.binary(max_size=60) | st.sampled_from([b"\r\n", b"Event: X\r\n", b"ActionID: a\r\n", success("a")]))
)
def test_any_bytes_only_break_the_protocol(chunks: list[bytes]) -> None:
    """Nothing but RemoteProtocolError comes out, and what is kept stays below the limits."""
    limits = AMILimits(max_line_bytes=100, max_message_bytes=200, max_message_lines=5, max_list_bytes=300)
    connection = ready(limits, frozenset({"X"}))
    ask(connection, "a", as_list=True)
    try:
        for chunk in chunks:
            feed(connection, chunk)
            assert connection.buffered <= limits.max_message_bytes + limits.max_list_bytes + 4
    except RemoteProtocolError:
        assert connection.buffered == 0


Conversation = tuple[dict[str, list[str] | None], list[bytes]]
NOISE = event("Noise", "ActionID: nobody")


@st.composite
def conversations(draw: st.DrawFn) -> Conversation:
    """Actions and lists whose answers, items and events come in any order that each of them allows."""
    asked: dict[str, list[str] | None] = {}
    queues: list[list[bytes]] = [[NOISE] * draw(st.integers(0, 4))]
    for number in range(draw(st.integers(1, 6))):
        name = f"t-{number}"
        items = draw(st.none() | st.lists(st.sampled_from("abc"), max_size=4))
        asked[name] = items
        if items is None:
            queues.append([success(name, f"Text: {name}")])
        else:
            queues.append([success(name), *[item(name, text) for text in items], done(name)])
    order = draw(st.permutations([number for number, queue in enumerate(queues) for _ in queue]))
    return asked, [queues[number].pop(0) for number in order]


@given(conversations(), st.integers(1, 50))
def test_every_answer_finds_its_action(conversation: Conversation, size: int) -> None:
    """In any interleaving and any chunks, answer and items are those of the action."""
    asked, messages = conversation
    connection = ready()
    for name, items in asked.items():
        ask(connection, name, as_list=items is not None)
    data = b"".join(messages)
    events = feed(connection, *[data[n : n + size] for n in range(0, len(data), size)])
    answered = {event.action.action_id for event in events if isinstance(event, Response)}
    assert answered == set(asked)
    for event in events:
        if isinstance(event, Response) and asked[event.action.action_id] is None:
            assert event.message.text("Text") == event.action.action_id
    lists = {e.response.action.action_id: e for e in events if isinstance(e, ListDone)}
    assert {name: [one.message.text("Text") for one in found.items] for name, found in lists.items()} == {
        name: items for name, items in asked.items() if items is not None
    }
    assert sum(isinstance(event, Event) for event in events) == messages.count(NOISE)
    assert connection.in_flight == connection.buffered == 0
