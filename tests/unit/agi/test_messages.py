"""agi_monitor.agi.messages: quoting, the request, the reply."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agi_monitor.agi.messages import (
    LEGAL_WHEN_DEAD,
    MAX_ARGUMENTS,
    MAX_COMMAND_BYTES,
    PARAMETERS,
    AGIRequest,
    Deadline,
    Reply,
    command,
)
from agi_monitor.agi.session import Session
from agi_monitor.errors import LocalProtocolError, RemoteProtocolError
from agi_monitor.limits import Limits


def asterisk_words(line: bytes) -> list[bytes]:
    """A model of Asterisk's word splitter, written from its rules: 127 words, quotes group, a backslash escapes."""
    words: list[bytearray] = []
    in_word = quoted = escaped = False
    for byte in line:
        if byte == ord('"') and not escaped:
            quoted = not quoted
            if quoted and not in_word:
                words.append(bytearray())
                in_word = True
            continue
        if byte in b" \t" and not quoted and not escaped:
            in_word = False
            continue
        if byte == ord("\\") and not escaped:
            escaped = True
            continue
        if not in_word:
            words.append(bytearray())
            in_word = True
        words[-1].append(byte)
        escaped = False
    assert len(words) <= 127, "this would write past the end of Asterisk's table"
    return [bytes(word) for word in words]


@given(st.lists(st.text(max_size=60) | st.text("\"\\ \t'$%{}()", max_size=60), max_size=70))
def test_arguments_survive_asterisk(arguments: list[str]) -> None:
    """Any list of arguments is one line that Asterisk reads back as the same words, or is refused."""
    try:
        made = command("SET VARIABLE", *arguments)
    except LocalProtocolError:
        assert (
            len(arguments) > MAX_ARGUMENTS
            or any(set(argument) & set("\r\n\0") for argument in arguments)
            or any(0xD800 <= ord(character) < 0xE000 for argument in arguments for character in argument)
            or sum(len(argument.encode()) for argument in arguments) * 2 + len(arguments) * 3 + 13 > MAX_COMMAND_BYTES
        )
        return
    assert made.wire.endswith(b"\n")
    assert made.wire.count(b"\n") == 1
    assert len(made.wire) <= MAX_COMMAND_BYTES
    assert asterisk_words(made.wire[:-1]) == [b"SET", b"VARIABLE", *[argument.encode() for argument in arguments]]


@pytest.mark.parametrize("bad", ["a\nEXEC System x", "a\r", "\0", "\ud800", "x" * MAX_COMMAND_BYTES])
def test_a_dangerous_argument_is_refused_without_its_value(bad: str) -> None:
    """What Asterisk would misread is never sent, and the error names the command only."""
    with pytest.raises(LocalProtocolError) as caught:
        command("SET VARIABLE", "PIN", bad)
    assert str(caught.value).startswith("SET VARIABLE:")
    assert bad not in str(caught.value)
    assert caught.value.__cause__ is None


def test_too_many_arguments_are_refused() -> None:
    """More words than Asterisk's table is safe for are never sent."""
    command("NOOP", *["x"] * MAX_ARGUMENTS)
    with pytest.raises(LocalProtocolError):
        command("NOOP", *["x"] * (MAX_ARGUMENTS + 1))


def test_the_longest_line_is_what_asterisk_reads() -> None:
    """8,191 bytes with the line feed can be made, one more cannot; an old Asterisk is told by the connection."""
    room = MAX_COMMAND_BYTES - len('NOOP ""\n')
    assert len(command("NOOP", "x" * room).wire) == MAX_COMMAND_BYTES
    with pytest.raises(LocalProtocolError):
        command("NOOP", "x" * (room + 1))


def test_numbers_are_texts() -> None:
    """Where Asterisk takes a number, a number may be given."""
    assert command("SET VARIABLE", "A", 5).wire == b'SET VARIABLE "A" "5"\n'
    assert command("SET VARIABLE", "A", 2.5, deadline=Deadline.PROMPT).deadline is Deadline.PROMPT


@pytest.mark.parametrize("value", [None, True, b"x", ["x"], object()])
def test_what_is_neither_text_nor_number_is_named(value: Any) -> None:
    """The parameter as the session's method calls it, and the type; never the value."""
    with pytest.raises(LocalProtocolError) as caught:
        command("SET VARIABLE", "A", value)
    kind = type(value).__name__
    assert str(caught.value) == f"SET VARIABLE: value is neither text nor a number but {kind}; nothing was sent"
    with pytest.raises(LocalProtocolError, match="NO SUCH VERB: argument 2 is neither"):
        command("NO SUCH VERB", "A", value)


def test_the_names_of_parameters_are_those_of_the_session() -> None:
    """The table is what the methods say, in their order."""
    for verb, names in PARAMETERS.items():
        method = getattr(Session, {"EXEC": "execute"}.get(verb, verb.lower().replace(" ", "_")))
        taken = tuple(inspect.signature(method).parameters)[1:]
        assert taken[: len(names)] == names, verb


def test_everything_is_quoted() -> None:
    """An empty argument stays an argument, quotes and backslashes are escaped."""
    assert command("SET VARIABLE", "Q", 'say "hi" \\ back').wire == b'SET VARIABLE "Q" "say \\"hi\\" \\\\ back"\n'
    assert command("STREAM FILE", "beep", "").wire == b'STREAM FILE "beep" ""\n'


def test_a_deadline_adds_the_commands_own_time() -> None:
    """The limit of the class and the seconds of the command are added."""
    limits = Limits(prompt_seconds=90, command_seconds=10)
    assert command("GET DATA", "x", deadline=Deadline.PROMPT, extra_seconds=5).seconds(limits) == 95
    assert command("NOOP").seconds(limits) == 10


def test_dead_commands_are_marked() -> None:
    """What Asterisk takes after the hang-up is known from the verb."""
    assert command("SET VARIABLE", "a", "b").legal_when_dead
    assert not command("STREAM FILE", "a", "").legal_when_dead
    assert len(LEGAL_WHEN_DEAD) == 13


PAIRS = [
    ("agi_network", "yes"),
    ("agi_network_script", "spy?x=1"),
    ("agi_channel", "PJSIP/2001-0000002a"),
    ("agi_callerid", "2001"),
    ("agi_calleridname", "unknown"),
    ("agi_priority", "2"),
    ("agi_accountcode", ""),
    ("agi_arg_1", "one"),
    ("agi_arg_2", ""),
]


def test_request_properties() -> None:
    """The common values have names; what Asterisk does not know is None."""
    request = AGIRequest.from_pairs(PAIRS)
    assert list(request.variables) == [name for name, _ in PAIRS]
    assert request.network_script == "spy?x=1"
    assert request.channel == "PJSIP/2001-0000002a"
    assert (request.caller_id, request.caller_id_name, request.account_code) == ("2001", None, None)
    assert request.priority == 2
    assert request.arguments == ("one", "")
    assert (request.uniqueid, request.language, request.context, request.extension, request.version) == ("",) * 5


@pytest.mark.parametrize("priority", ["", "x", "²", "-1", "9" * 40])
def test_a_strange_priority_is_zero(priority: str) -> None:
    """A priority that is not a number is 0."""
    assert AGIRequest({"agi_priority": priority}).priority == 0


@pytest.mark.parametrize(
    "extra",
    [
        [("agi_channel", "PJSIP/forged")],
        [("agi_arg_4", "gap")],
        [("agi_arg_3", "x"), ("agi_callington", "0")],
    ],
)
def test_a_line_break_in_a_value_is_noticed(extra: list[tuple[str, str]]) -> None:
    """A name that comes twice or an argument out of its place is a line break of a caller's: refused."""
    with pytest.raises(RemoteProtocolError):
        AGIRequest.from_pairs([*PAIRS, *extra])


def test_the_first_argument_can_be_taken_out() -> None:
    """Without the first argument the others move up, and its text is nowhere."""
    request = AGIRequest.from_pairs(PAIRS).without_first_argument()
    assert request.arguments == ("",)
    assert request.variables["agi_arg_1"] == ""
    assert "one" not in repr(request)
    assert request.without_first_argument().without_first_argument().arguments == ()


@pytest.mark.parametrize(
    ("body", "result", "data", "position"),
    [
        (b"result=0", "0", None, None),
        (b"result=-1 endpos=0", "-1", None, 0),
        (b"result=49 endpos=8000", "49", None, 8000),
        (b"result=1 (hangup)", "1", "hangup", None),
        (b"result=1 (a (b) c)", "1", "a (b) c", None),
        (b"result=1 (x) endpos=5)", "1", "x) endpos=5", None),
        (b"result=1 (line\nline)", "1", "line\nline", None),
        (b"result=1 ()", "1", "", None),
        (b"result= (timeout)", "", "timeout", None),
        (b"result=12 (timeout)", "12", "timeout", None),
        (b"result=1 (digit) digit=5 endpos=7", "1", "digit", 7),
        (b'result=1 (speech) endpos=9 results=1 score0=8 text0="a) endpos=3 (b)" grammar0=g', "1", "speech", 9),
        (b"result=-1 Gosub label not found in dialplan", "-1", None, None),
        (b"result=1 (\xff)", "1", "�", None),
    ],
)
def test_replies(body: bytes, result: str, data: str | None, position: int | None) -> None:
    """Result, value and position are read from every form that Asterisk writes."""
    reply = Reply.from_wire(200, body)
    assert (reply.result, reply.data, reply.end_position) == (result, data, position)
    assert reply.timed_out is (data == "timeout")


def test_a_result_that_is_no_number_is_the_peers_fault() -> None:
    """Where a number is due, text breaks the protocol."""
    assert Reply.from_wire(200, b"result=-2").number == -2
    with pytest.raises(RemoteProtocolError):
        _ = Reply.from_wire(200, b"result=x").number
    with pytest.raises(RemoteProtocolError):
        Reply.from_wire(200, b"no result")
