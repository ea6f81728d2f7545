"""agi_monitor.agi.connection: every form of reply, at every split, and what breaks the protocol."""

from __future__ import annotations

import gc
import itertools
import time
import tracemalloc
from collections.abc import Iterable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agi_monitor.agi.connection import (
    AFTER_SEND,
    MAX_HANGUPS,
    NEED_DATA,
    TRANSITIONS,
    AGIConnection,
    Closed,
    Event,
    HungUp,
    State,
)
from agi_monitor.agi.messages import AGIRequest, Command, Reply, command
from agi_monitor.errors import LocalProtocolError, RemoteProtocolError
from agi_monitor.limits import Limits

ENVIRONMENT = b"agi_network: yes\nagi_channel: PJSIP/1-1\nagi_arg_1: a: b\n\n"
USAGE = (
    b"520-Invalid command syntax.  Proper usage follows:\n Usage: X\n200 result=7\nHANGUP\n520 End of proper usage.\n"
)
NOOP = command("NOOP")
EXEC = command("EXEC", "App")


def drain(connection: AGIConnection) -> list[Event]:
    """Every event there is."""
    events: list[Event] = []
    while (event := connection.next_event()) is not NEED_DATA:
        events.append(event)
    return events


def feed(connection: AGIConnection, chunks: Iterable[bytes]) -> list[Event]:
    """Every event that these chunks cause, taken after each chunk."""
    events = []
    for chunk in chunks:
        connection.receive_data(chunk)
        events += drain(connection)
    return events


def splits(data: bytes) -> list[list[bytes]]:
    """The data whole, in single bytes, and cut in two at every place."""
    return [[data], [data[n : n + 1] for n in range(len(data))], *[[data[:n], data[n:]] for n in range(1, len(data))]]


def ready(sent: Command | None = None, limits: Limits | None = None) -> AGIConnection:
    """A connection whose environment is read, with a command in flight when one is given."""
    connection = AGIConnection(limits or Limits())
    assert [type(event) for event in feed(connection, [ENVIRONMENT])] == [AGIRequest]
    if sent is not None:
        assert connection.send(sent) == sent.wire
    return connection


def test_the_environment_at_every_split() -> None:
    """The request is the same however its bytes arrive."""
    for chunks in splits(ENVIRONMENT):
        (request,) = feed(AGIConnection(Limits()), chunks)
        assert isinstance(request, AGIRequest)
        assert dict(request.variables) == {"agi_network": "yes", "agi_channel": "PJSIP/1-1", "agi_arg_1": "a: b"}


@pytest.mark.parametrize(
    ("data", "code", "result", "value"),
    [
        (b"200 result=0\n", 200, "0", None),
        (b"200 result=1 (a) (b)\n", 200, "1", "a) (b"),
        (b"200 result=1 (first\nsecond (x) y\nlast)\n", 200, "1", "first\nsecond (x) y\nlast"),
        (b"200 result=1 (HANGUP\nHANGUP\n)\n", 200, "1", "HANGUP\nHANGUP\n"),
        (b"200 result=1 (digit) digit=5 endpos=0\n", 200, "1", "digit"),
        (b"200 result=-1 Gosub label not found in dialplan\n", 200, "-1", None),
        (b"510 Invalid or unknown command\n", 510, "", None),
        (b"511 Command Not Permitted on a dead channel\n", 511, "", None),
        (b"520 Invalid command syntax.  Proper usage not available.\n", 520, "", None),
        (USAGE, 520, "", None),
        (b"520-Usage follows:\nglued520 End of proper usage.\n", 520, "", None),
    ],
)
def test_replies_at_every_split(data: bytes, code: int, result: str, value: str | None) -> None:
    """Every form of reply is one event, alone and with HANGUP before and after it."""
    for before, behind in ((b"", b""), (b"HANGUP\n", b"HANGUP\n"), (b"", b"HANGUP\n"), (b"HANGUP\nHANGUP\n", b"")):
        for chunks in splits(before + data + behind):
            connection = ready(NOOP)
            events = feed(connection, chunks)
            replies = [event for event in events if isinstance(event, Reply)]
            assert [(reply.code, reply.result, reply.data) for reply in replies] == [(code, result, value)]
            assert events.count(HungUp()) == (1 if before or behind else 0)
            assert connection.state is State.IDLE


@pytest.mark.parametrize("extra", [USAGE, b"520 Invalid command syntax.  Proper usage not available.\n"])
def test_the_usage_text_after_exec_answers_nothing(extra: bytes) -> None:
    """EXEC of an application that returned 1 is followed by a 520 that must not answer the next command."""
    for chunks in splits(extra + b"200 result=5\n"):
        connection = ready(EXEC)
        (first,) = feed(connection, [b"200 result=1\n"])
        assert isinstance(first, Reply)
        connection.send(NOOP)
        (second,) = feed(connection, chunks)
        assert isinstance(second, Reply)
        assert second.result == "5"


def test_the_usage_text_may_come_before_the_next_command() -> None:
    """The same when it comes at once."""
    connection = ready(EXEC)
    assert len(feed(connection, [b"200 result=1\n" + USAGE])) == 1
    connection.send(NOOP)
    assert len(feed(connection, [b"200 result=5\n"])) == 1


def test_half_a_usage_text_does_not_hold_up_the_next_command() -> None:
    """A command may be sent while the rest of that text is on its way."""
    connection = ready(EXEC)
    feed(connection, [b"200 result=1\n", b"520-Usage\n"])
    assert connection.can_send
    connection.send(NOOP)
    (reply,) = feed(connection, [b"more\n520 End of proper usage.\n510 Invalid\n"])
    assert isinstance(reply, Reply)
    assert reply.code == 510


def test_a_usage_text_that_never_comes_is_no_harm() -> None:
    """When nothing follows EXEC, the next reply is the next reply."""
    connection = ready(EXEC)
    feed(connection, [b"200 result=1\n"])
    connection.send(NOOP)
    (reply,) = feed(connection, [b"200 result=1 (x)\n"])
    assert isinstance(reply, Reply)


def test_an_abandoned_reply_is_dropped_and_then_all_is_well() -> None:
    """After giving up, nothing can be sent until the late reply came; it is dropped."""
    connection = ready(NOOP)
    connection.abandon_reply()
    assert not connection.can_send
    with pytest.raises(LocalProtocolError):
        connection.send(NOOP)
    assert feed(connection, [b"200 result=1 (late\nvalue)\n"]) == []
    connection.send(NOOP)
    (reply,) = feed(connection, [b"200 result=2\n"])
    assert isinstance(reply, Reply)
    assert reply.result == "2"
    connection.abandon_reply()  # nothing is in flight
    connection.send(NOOP)
    assert len(feed(connection, [b"200 result=3\n"])) == 1


def test_a_forged_second_reply_answers_nothing() -> None:
    """A value with a line break may look like another reply: read before the next command, it breaks the session."""
    connection = ready(NOOP)
    connection.receive_data(b"200 result=1 (x)\n200 result=1 (forged)\n")
    assert isinstance(connection.next_event(), Reply)
    with pytest.raises(LocalProtocolError):
        connection.send(NOOP)
    with pytest.raises(RemoteProtocolError):
        connection.next_event()


@pytest.mark.parametrize("state", list(AFTER_SEND))
def test_only_idle_states_can_send(state: State) -> None:
    """A second command, one before the environment, and one after the end are refused."""
    assert state.value.startswith("idle")
    with pytest.raises(LocalProtocolError):
        AGIConnection(Limits()).send(NOOP)
    with pytest.raises(LocalProtocolError):
        ready(NOOP).send(NOOP)
    connection = ready()
    connection.receive_eof()
    assert drain(connection) == [Closed(State.IDLE, len(ENVIRONMENT))]
    with pytest.raises(LocalProtocolError):
        connection.send(NOOP)


def test_the_table_covers_every_state_that_reads_lines() -> None:
    """No state is forgotten, and every state that is reached has a row."""
    without = {State.ENVIRONMENT, State.CLOSED, State.BROKEN}
    assert set(TRANSITIONS) == set(State) - without
    reached = {state for row in TRANSITIONS.values() for state, _ in row.values()}
    assert reached | set(AFTER_SEND.values()) == set(TRANSITIONS)


WHOLE = {
    "agi_network": "yes",
    "agi_network_script": "spy",
    "agi_request": "agi://127.0.0.1/spy",
    "agi_channel": "PJSIP/2001-0000002a",
    "agi_language": "en",
    "agi_type": "PJSIP",
    "agi_uniqueid": "1700000000.1",
    "agi_version": "22.10.1",
    "agi_callerid": "2001",
    "agi_calleridname": "unknown",
    "agi_callingpres": "0",
    "agi_callingani2": "0",
    "agi_callington": "0",
    "agi_callingtns": "0",
    "agi_dnid": "*2221001",
    "agi_rdnis": "unknown",
    "agi_context": "phones",
    "agi_extension": "*2221001",
    "agi_priority": "1",
    "agi_enhanced": "0.0",
    "agi_accountcode": "",
    "agi_threadid": "1",
    "agi_arg_1": "secret",
}
"""What Asterisk writes (setup_env, res_agi.c)."""
PLANTED = (
    *("5\n", "5\n\n", "\n\n200 result=1 (x)", "5\n\nHANGUP\n", "5\nagi_channel: PJSIP/1001-1"),
    *("5\nagi_arg_1: x\n\n", "5\nagi_threadid: 1\n\n", "5\nagi_other: 1", "5\nagi_uniqueid: 1700000000.2"),
    *("5\nagi_arg_2: x", "5\nagi_enhanced: 1.0\n"),
)


def environment(**changes: str) -> bytes:
    """An environment with other values."""
    return "".join(f"{name}: {value}\n" for name, value in (WHOLE | changes).items()).encode() + b"\n"


def test_a_whole_environment_is_a_request() -> None:
    """What Asterisk writes is taken."""
    (request,) = feed(connection := AGIConnection(Limits()), [environment()])
    assert isinstance(request, AGIRequest)
    assert (request.channel, request.arguments, connection.buffered) == ("PJSIP/2001-0000002a", ("secret",), 0)


@pytest.mark.parametrize("name", ["agi_callerid", "agi_calleridname", "agi_dnid", "agi_rdnis", "agi_extension"])
@pytest.mark.parametrize("planted", PLANTED)
def test_a_line_break_in_what_a_caller_chose_is_refused(name: str, planted: str) -> None:
    """In one piece or byte by byte: no story begins with an environment that was added to or cut short."""
    data = environment(**{name: planted})
    for chunks in ([data], [data[n : n + 1] for n in range(len(data))]):
        connection = AGIConnection(Limits())
        with pytest.raises(RemoteProtocolError, match="environment") as refused:
            assert feed(connection, chunks) == []
        assert "1001" not in str(refused.value)


@pytest.mark.parametrize("name", ["agi_channel", "agi_uniqueid", "agi_context", "agi_language"])
def test_a_control_character_in_what_asterisk_makes_is_refused(name: str) -> None:
    """No channel is called so, and no console has to show it."""
    connection = AGIConnection(Limits())
    with pytest.raises(RemoteProtocolError, match=f"{name} holds a control character"):
        feed(connection, [environment(**{name: "PJSIP/1\x1b[2J"})])


def test_no_value_outlives_its_call() -> None:
    """Thousands of calls with other values leave as much as a hundred: on every Python, what is kept is bounded."""

    def calls(first: int, number: int) -> None:
        for each in range(first, first + number):
            data = environment(agi_callerid=f"{each:0500}", agi_uniqueid=f"1700000000.{each}")
            feed(AGIConnection(Limits()), [data])

    calls(0, 100)
    tracemalloc.start()
    try:
        gc.collect()
        before = tracemalloc.get_traced_memory()[0]
        calls(100, 3_000)
        gc.collect()
        left = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert left < 100_000


@pytest.mark.parametrize("data", [b"", b"agi_network: yes\n", b"agi_net"])
def test_closing_inside_the_environment(data: bytes) -> None:
    """A peer that goes away early is one clean event."""
    connection = AGIConnection(Limits())
    connection.receive_data(data)
    connection.receive_eof()
    assert drain(connection) == [Closed(State.ENVIRONMENT, len(data))]
    assert drain(connection) == []


@pytest.mark.parametrize("data", [b"", b"200 resu", b"200 result=1 (open\n", b"520-Usage\nmore\n"])
def test_closing_inside_a_reply(data: bytes) -> None:
    """The end of the connection inside a reply ends the conversation, not the loop that reads it."""
    connection = ready(NOOP)
    connection.receive_data(data)
    connection.receive_eof()
    (event,) = drain(connection)
    assert isinstance(event, Closed)
    connection.receive_data(b"200 result=0\n")
    assert drain(connection) == []


SMALL = Limits(max_environment_lines=3, max_environment_bytes=200, max_line_bytes=60, max_reply_bytes=100)


@pytest.mark.parametrize(
    "data",
    [
        b"\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"no name\n",
        b": x\n",
        b"HANGUP\n",
        b"agi_a: 1\nagi_a: 2\n\n",
        b"agi_a: 1\nagi_b: 1\nagi_c: 1\nagi_d: 1\n\n",
        b"agi_a: " + b"x" * 60 + b"\n",
        b"x" * 61,
        b"agi_abc: " + b"x" * 300,
        ENVIRONMENT + b"200 result=0\n",
        ENVIRONMENT + b"520 Invalid\n",
        ENVIRONMENT + b"junk\n",
        ENVIRONMENT + b"HANGUP\n" * (MAX_HANGUPS + 1),
    ],
)
def test_what_breaks_the_protocol(data: bytes) -> None:
    """It raises once and for all, and keeps nothing."""
    for chunks in ([data], [data[n : n + 1] for n in range(len(data))]):
        connection = AGIConnection(SMALL)
        with pytest.raises(RemoteProtocolError) as first:
            feed(connection, chunks)
        with pytest.raises(RemoteProtocolError) as second:
            connection.next_event()
        assert str(first.value) == str(second.value)
        connection.receive_data(b"x" * 1000)
        assert connection.buffered == 0
        assert connection.state is State.BROKEN


@pytest.mark.parametrize(
    "data",
    [
        b"junk\n",
        b"200 nothing\n",
        b"200 result=1 (a\n" + b"x\n" * 60,
        b"520-a\n" + b"x\n" * 60,
        b"030 x\n",
        b"300-x\n",
        b"100 x\n" * 60,
    ],
)
def test_replies_that_break_the_protocol(data: bytes) -> None:
    """No code, an unknown one whose end is not known, a reply without a result, and one without an end."""
    connection = ready(NOOP, SMALL)
    with pytest.raises(RemoteProtocolError):
        feed(connection, [data])


@pytest.mark.parametrize(
    ("said", "code", "text"),
    [
        (b"100 result=0 Trying...\n200 result=0 Gosub complete\n", 200, "result=0 Gosub complete"),
        (
            b"100 a\n102 b\n200 result=0 Gosub complete (abnormal exit)\n",
            200,
            "result=0 Gosub complete (abnormal exit)",
        ),
        (b"503 result=-2 Memory allocation failure\n", 503, "result=-2 Memory allocation failure"),
        (b"100 a\n503 b\n", 503, "b"),
        (b"599 what nobody knows\n", 599, "what nobody knows"),
        (b"201 result=1\n", 201, "result=1"),
    ],
)
def test_what_is_not_a_reply_yet_and_codes_that_nobody_knows(said: bytes, code: int, text: str) -> None:
    """A 1xx line goes before the reply; any other number is a reply of one line, and the next command has its own."""
    for chunks in splits(said):
        connection = ready(NOOP)
        (reply,) = feed(connection, chunks)
        assert isinstance(reply, Reply)
        assert (reply.code, reply.text) == (code, text)
        connection.send(NOOP)
        assert feed(connection, [b"200 result=7\n"]) == [Reply.from_wire(200, b"result=7")]


def test_a_progress_line_instead_of_the_usage_text_after_exec() -> None:
    """Then there is no such text, and the line belongs to the command in flight."""
    connection = ready(EXEC)
    feed(connection, [b"200 result=1\n"])
    connection.send(NOOP)
    assert feed(connection, [b"100 a\n200 result=3\n"]) == [Reply.from_wire(200, b"result=3")]


def test_a_progress_line_answers_nothing() -> None:
    """Without a command it is what any other line is: not AGI."""
    with pytest.raises(RemoteProtocolError):
        feed(ready(), [b"100 result=0 Trying...\n"])


@pytest.mark.parametrize(
    ("version", "longest"),
    [
        ("16.28.0~dfsg-0+deb11u4", 2_047),
        ("18.26.4", 2_047),
        ("20.15.2", 2_047),
        ("20.16.0", 8_191),
        ("21.10.2", 2_047),
        ("21.11.0", 8_191),
        ("22.5.0", 2_047),
        ("22.10.1+dfsg+~cs6.17.60671434-1", 8_191),
        ("23.0.0", 8_191),
        ("certified/20.7-cert5", 2_047),
        ("GIT-master-f0c1c1a", 2_047),
    ],
)
def test_a_command_is_as_long_as_this_asterisk_reads(version: str, longest: int) -> None:
    """One byte more is refused, with the bound."""
    connection = AGIConnection(Limits())
    feed(connection, [environment(agi_version=version)])
    empty = len(command("NOOP", "").wire)
    with pytest.raises(LocalProtocolError, match=f"longer than the {longest} bytes that this Asterisk reads"):
        connection.send(Command("NOOP", b"x" * (longest + 1)))
    assert len(connection.send(command("NOOP", "x" * (longest - empty)))) == longest


def test_an_endless_usage_text_after_exec_is_bounded() -> None:
    """What is dropped counts as well."""
    connection = ready(EXEC, SMALL)
    feed(connection, [b"200 result=1\n520-a\n"])
    with pytest.raises(RemoteProtocolError):
        for _ in range(200):
            feed(connection, [b"x\n"])


@given(
    st.lists(st.binary(max_size=80) | st.sampled_from([ENVIRONMENT, USAGE, b"HANGUP\n", b"200 result=1 (", b"\n"]))
)
def test_any_bytes_in_any_chunks(chunks: Sequence[bytes]) -> None:
    """Whatever comes in, it is events or RemoteProtocolError, and what is kept stays within the limits."""
    connection = AGIConnection(SMALL)
    most = max(SMALL.max_environment_bytes, SMALL.max_reply_bytes) + SMALL.max_line_bytes
    for chunk in chunks:
        connection.receive_data(chunk)
        try:
            drain(connection)
        except RemoteProtocolError:
            assert connection.buffered == 0
            return
        assert connection.buffered <= most
        if connection.can_send:
            connection.send(EXEC)
    connection.receive_eof()
    assert isinstance(drain(connection)[-1], Closed)


SCRIPT = st.tuples(
    st.sampled_from(["plain", "value", "lines", "usage", "exec", "dead"]),
    st.booleans(),
    st.booleans(),
    st.lists(st.integers(1, 400), max_size=6),
)


@given(st.lists(SCRIPT, max_size=12))
def test_reply_n_belongs_to_command_n(script: list[tuple[str, bool, bool, list[int]]]) -> None:
    """Replies, usage texts and HANGUP in any order and chunking: the n-th reply is the n-th command's."""
    connection = ready()
    hangups = 0
    leftover = b""
    for number, (kind, hangup_before, hangup_behind, cuts) in enumerate(script):
        connection.send(EXEC if kind == "exec" else NOOP)
        reply = {
            "plain": b"200 result=%d\n",
            "value": b"200 result=1 (%d)\n",
            "lines": b"200 result=1 (a\n510 x\nHANGUP\n%d)\n",
            "usage": b"520-Usage:\n%d\n520 End of proper usage.\n",
            "exec": b"200 result=1\n",
            "dead": b"511 %d\n",
        }[kind]
        reply = reply % number if b"%d" in reply else reply
        data = leftover
        leftover = USAGE if kind == "exec" else b""
        if hangup_before and hangups < MAX_HANGUPS:
            hangups += 1
            data += b"HANGUP\n"
        data += reply
        if hangup_behind and not leftover and hangups < MAX_HANGUPS:
            hangups += 1
            data += b"HANGUP\n"
        places = sorted({min(cut, len(data)) for cut in cuts} | {0, len(data)})
        events = feed(connection, [data[a:b] for a, b in itertools.pairwise(places)])
        (answer,) = [event for event in events if isinstance(event, Reply)]
        if kind != "exec":
            assert str(number) in (answer.result, answer.data, answer.text) or f"{number}" in answer.text
        else:
            assert (answer.result, answer.data) == ("1", None)


@pytest.mark.parametrize("chunk", [1, 7, 65_536])
def test_the_cost_is_linear(chunk: int) -> None:
    """A long line in tiny chunks is searched once, not again with every chunk."""
    size = 200_000
    limits = Limits(max_line_bytes=size + 100, max_reply_bytes=size + 100)
    connection = ready(NOOP, limits)
    data = b"200 result=1 (" + b"x" * size
    started = time.process_time()
    for start in range(0, len(data), chunk):
        connection.receive_data(data[start : start + chunk])
        assert connection.next_event() is NEED_DATA
    (reply,) = feed(connection, [b")\n"])
    assert isinstance(reply, Reply)
    # Searching again each time would take minutes with single bytes.
    assert time.process_time() - started < 5
