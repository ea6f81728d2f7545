"""agi_monitor.ami.messages: what may go out, what is read, and that no secret shows."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agi_monitor.ami.limits import AMILimits
from agi_monitor.ami.messages import (
    MAX_ACTION_HEADERS,
    MAX_ACTION_ID,
    MAX_ACTION_LINE_BYTES,
    Action,
    Message,
    action,
    variables,
)
from agi_monitor.errors import LocalProtocolError, RemoteProtocolError

SECRET = "kept-for-ourselves"


def read(data: bytes, limits: AMILimits | None = None) -> Message:
    """A message of these lines."""
    return Message.from_wire(data, limits or AMILimits())


def test_an_action_is_its_lines_and_an_empty_one() -> None:
    """Name, ActionID and headers go out in this order, repeated ones as often as given."""
    made = Action("Originate", (("Channel", "PJSIP/1001"), ("Variable", "A=1"), ("Variable", "B=ü")), "t-1")
    assert made.wire.decode() == (
        "Action: Originate\r\nActionID: t-1\r\nChannel: PJSIP/1001\r\nVariable: A=1\r\nVariable: B=ü\r\n\r\n"
    )
    assert action("Ping").wire == b"Action: Ping\r\n\r\n"


@pytest.mark.parametrize(
    "value", ["a\nAction: Logoff", "a\rb", "a\r\n\r\nAction: Command", "a\0b", "\ud800", "x" * 1_024]
)
def test_a_value_that_cannot_be_sent_is_refused(value: str) -> None:
    """Line breaks, NUL, half characters and long lines are refused; the error names the header, not the value."""
    with pytest.raises(LocalProtocolError, match=r"^Setvar: Value .*nothing was sent$") as caught:
        action("Setvar", ("Variable", "X"), ("Value", SECRET + value))
    assert SECRET not in repr(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("name", ["", "A B", "A:", "A\n", "\nA", "1", "ä", "A" * 65, "Action", "ACTIONID"])
def test_a_header_name_that_is_none_is_refused(name: str) -> None:
    """A name with anything but letters, digits, - and _ is refused, and so are the two that are not to be chosen."""
    with pytest.raises(LocalProtocolError):
        action("Ping", (name, "x"))


@pytest.mark.parametrize("name", ["", "Ping\r\nAction: Logoff", "Ping\n", "Core Show"])
def test_an_action_name_that_is_none_is_refused(name: str) -> None:
    """The action's name is held to the same rule."""
    with pytest.raises(LocalProtocolError):
        action(name)


@pytest.mark.parametrize("action_id", ["a b", "a\r\nb", "ä", "x" * (MAX_ACTION_ID + 1)])
def test_an_action_id_that_cannot_come_back_is_refused(action_id: str) -> None:
    """An ActionID is short and without spaces, so that its echo is the same text."""
    with pytest.raises(LocalProtocolError):
        _ = Action("Ping", (), action_id).wire


def test_the_limits_of_an_action_are_exact() -> None:
    """The longest line and the most headers go out, one more does not."""
    room = MAX_ACTION_LINE_BYTES - len("V: \r\n")
    assert len(action("X", ("V", "x" * room)).wire) == len("Action: X\r\n") + MAX_ACTION_LINE_BYTES + 2
    with pytest.raises(LocalProtocolError):
        action("X", ("V", "x" * (room + 1)))
    headers = [("V", "x")] * (MAX_ACTION_HEADERS - 2)
    assert Action("X", tuple(headers), "t-1").wire.count(b"\r\n") == MAX_ACTION_HEADERS + 1
    with pytest.raises(LocalProtocolError):
        action("X", *headers, ("V", "x"))


@given(st.lists(st.tuples(st.text(max_size=20), st.text(max_size=40)), max_size=5), st.text(max_size=20))
def test_any_headers_are_one_action_or_refused(headers: list[tuple[str, str]], name: str) -> None:
    """Whatever the values, the other side reads exactly these headers, or nothing is sent."""
    try:
        wire = action(name, *headers).wire
    except LocalProtocolError:
        return
    assert wire.endswith(b"\r\n\r\n")
    assert wire.count(b"\n") == wire.count(b"\r") == len(headers) + 2
    assert b"\0" not in wire
    assert [line.decode().partition(": ")[::2] for line in wire[:-4].split(b"\r\n")] == [("Action", name), *headers]


def test_no_value_of_an_action_shows() -> None:
    """The repr of an action names its headers only."""
    made = action("Login", ("Username", "monitor"), ("Key", SECRET))
    assert repr(made) == "<Action Login - (Username, Key)>"
    assert SECRET not in f"{made} {[made]!r}"


def test_variables_are_quoted_one_a_line() -> None:
    """A comma, a quote and a backslash stay inside the value."""
    assert variables([("A", "1,2"), ("__B", '"\\')]) == [("Variable", 'A="1,2"'), ("Variable", '__B="\\"\\\\"')]
    with pytest.raises(LocalProtocolError):
        variables([("A=1,B", "x")])


def test_the_first_of_equal_headers_is_the_value() -> None:
    """All values in order for those who want them."""
    message = read(b"Event: Hangup\r\nChanVariable: a=1\r\nChanVariable: b=2\r\nEvent: Fake")
    assert message.get("Event") == "Hangup"
    assert message.get_all("ChanVariable") == ["a=1", "b=2"]
    assert message.get("missing") is None
    assert message.get("missing", "x") == "x"
    assert message.text("missing") == ""


@pytest.mark.parametrize("name", ["uniqueid", "UNIQUEID", "Unique\u0131d", "Uniqueid ", " Uniqueid"])
def test_a_name_counts_as_it_is_spelled(name: str) -> None:
    """A header in other letters is another header: it stands in for nothing of Asterisk's."""
    message = read(f"Event: X\r\n{name}: theirs\r\nUniqueid: ours".encode())
    assert message.get("Uniqueid") == message.text("Uniqueid") == "ours"
    assert message.get_all("Uniqueid") == ["ours"]


def test_a_letter_that_only_looks_like_another_one_is_another_one() -> None:
    """U+212A, the Kelvin sign, is a k in lower case."""
    message = read("Event: X\r\n\u212aey: theirs\r\nKey: ours".encode())
    assert message.text("Key") == "ours"


def test_a_name_has_a_colon_and_a_space_behind_it() -> None:
    """Asterisk writes both, also before nothing; a line with less is not a header."""
    message = read(b"Event: X\r\nUniqueid:theirs\r\nUniqueid:\r\nUniqueid: \r\na:b: c")
    assert message.headers == (
        *(("Event", "X"), ("", "Uniqueid:theirs"), ("", "Uniqueid:"), ("Uniqueid", ""), ("", "a:b: c")),
    )


def test_the_output_of_a_command_is_a_list() -> None:
    """Every Output line is there, empty ones and those with colons too."""
    message = read(b"Response: Success\r\nActionID: t-1\r\nOutput: a: b\r\nOutput: \r\nOutput:  c")
    assert message.output == ["a: b", "", " c"]
    assert message.is_success
    assert message.action_id == "t-1"


def test_a_bare_line_feed_begins_no_header() -> None:
    """A value with a line feed cannot forge a header; a line without a colon is kept without a name."""
    message = read(b"Event: X\r\nCallerIDName: a\nChannel: forged\r\nno colon here")
    assert message.get("Channel") is None
    assert message.get_all("") == ["no colon here"]


def test_what_is_not_utf_8_is_replaced() -> None:
    """One Latin-1 byte in a name does not end the conversation."""
    assert read(b"Event: X\r\nCallerIDName: M\xfcller").text("CallerIDName") == "M\N{REPLACEMENT CHARACTER}ller"


def test_the_limits_of_a_message_are_exact() -> None:
    """The longest line and the most lines are read, one more is not."""
    limits = AMILimits(max_line_bytes=10, max_message_lines=3)
    assert len(read(b"A: 3456789\r\nB: 2\r\nC: 3", limits).headers) == 3
    with pytest.raises(RemoteProtocolError):
        read(b"A: 34567890\r\nB: 2", limits)
    with pytest.raises(RemoteProtocolError):
        read(b"A: 1\r\nB: 2\r\nC: 3\r\nD: 4", limits)


def test_no_value_of_a_message_shows() -> None:
    """The repr of a message says what it is, no more."""
    message = read(b"Response: Success\r\nPassword: " + SECRET.encode())
    assert repr(message) == "<Message Response 'Success', 2 headers>"
    assert repr(read(b"Event: X\r\nA: b")) == "<Message Event 'X', 2 headers>"


@given(st.binary(max_size=300))
def test_any_bytes_are_a_message_or_refused(data: bytes) -> None:
    """Reading raises nothing but RemoteProtocolError."""
    try:
        read(data, AMILimits(max_line_bytes=50, max_message_lines=5))
    except RemoteProtocolError:
        return


@pytest.mark.parametrize("value", [0, -1, float("inf"), float("nan")])
def test_a_limit_is_more_than_nothing_and_finite(value: float) -> None:
    """A limit that limits nothing, or everything, is refused."""
    with pytest.raises(ValueError, match="ping_seconds"):
        AMILimits(ping_seconds=value)
