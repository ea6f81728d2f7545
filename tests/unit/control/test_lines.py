"""agi_monitor.control.lines and messages: any bytes in any chunks, and what a line says."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agi_monitor.control.lines import Lines
from agi_monitor.control.messages import MAX_ID, Ask, Failed, Problem, Request, answer, parse
from agi_monitor.errors import RemoteProtocolError

MAX = 64


def read(lines: Lines) -> list[bytes]:
    """Every whole line that is there."""
    found = []
    while (line := lines.next_line()) is not None:
        found.append(line)
    return found


@given(st.lists(st.binary(max_size=MAX).map(lambda line: line.replace(b"\n", b"")), max_size=20), st.data())
def test_any_chunks_are_the_same_lines(sent: list[bytes], data: st.DataObject) -> None:
    """However the bytes are cut, the lines that come out are those that were sent."""
    wire = b"".join(line + b"\n" for line in sent)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(wire)), max_size=10)))
    lines, found = Lines(MAX), []
    for begin, end in zip([0, *cuts], [*cuts, len(wire)], strict=True):
        lines.receive(wire[begin:end])
        found += read(lines)
    assert found == sent
    assert len(lines) == 0


@given(st.lists(st.binary(max_size=3 * MAX), max_size=20))
def test_random_bytes_never_make_it_grow(chunks: list[bytes]) -> None:
    """Whatever comes, no more is kept than one line, and a line that is too long is an error at once."""
    lines = Lines(MAX)
    for chunk in chunks:
        lines.receive(chunk)
        try:
            found = read(lines)
        except RemoteProtocolError:
            return
        assert all(len(line) <= MAX for line in found)
        assert len(lines) <= MAX


@pytest.mark.parametrize("end", [b"", b"\n", b"xxx\n"])
def test_a_line_that_is_too_long(end: bytes) -> None:
    """One byte more than allowed is refused, whether its end has come or not; the longest one is not."""
    lines = Lines(MAX)
    lines.receive(b"x" * MAX + b"\n")
    assert lines.next_line() == b"x" * MAX
    lines.receive(b"x" * (MAX + 1) + end)
    with pytest.raises(RemoteProtocolError, match="longer than 64 bytes"):
        lines.next_line()


# -- what a line says ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ask", [one for one in Ask if one is not Ask.KILL])
def test_a_request(ask: Ask) -> None:
    """Each one that needs nothing else is read as it was written; what else stands there changes nothing."""
    assert parse(Request(ask).to_wire()) == Request(ask)
    assert parse(json.dumps({"ask": ask, "id": 3, "more": []}).encode()) == Request(ask)


def test_the_end_of_a_spy() -> None:
    """It names the spy."""
    assert parse(Request(Ask.KILL, "a1b2.1").to_wire()) == Request(Ask.KILL, "a1b2.1")


@pytest.mark.parametrize(
    "line",
    [b"", b"calls", b"[]", b'"calls"', b"{}", b"\xff\xfe", b"[" * 4000, b'{"ask": "calls"', b"null", b"1" * 4000],
)
def test_what_is_no_request(line: bytes) -> None:
    """Is told what one looks like."""
    failed = parse(line)
    assert isinstance(failed, Failed)
    assert failed.problem is Problem.NO_REQUEST
    assert '{"ask": "calls"}' in failed.text


@pytest.mark.parametrize("ask", ['"coffee"', "1", "null", "[]", "{}", '""'])
def test_what_nobody_knows(ask: str) -> None:
    """Is told what is known."""
    failed = parse(f'{{"ask": {ask}}}'.encode())
    assert isinstance(failed, Failed)
    assert failed.problem is Problem.UNKNOWN_ASK
    assert failed.text.endswith("it knows: status, calls, spies, kill, reload, watch_calls, watch_spies, events")


@pytest.mark.parametrize("spy", ["", "x" * (MAX_ID + 1), "a\nb", "\x1b[2J", "\ud800", 7, None, ["a"]])
def test_no_identifier_of_a_spy(spy: object) -> None:
    """What no identifier looks like does not reach the server, nor its log."""
    failed = parse(json.dumps({"ask": "kill", "id": spy}).encode())
    assert isinstance(failed, Failed)
    assert failed.problem is Problem.NO_ID


@given(st.binary(max_size=200))
def test_random_bytes_are_a_request_or_a_no(line: bytes) -> None:
    """Nothing that a client sends raises, and every no can be sent."""
    said = parse(line)
    assert isinstance(said, Request) or json.loads(said.to_wire())["ok"] is False


def test_an_answer_is_one_line_of_ascii() -> None:
    """Whatever a PBX calls its channels: no line end and no escape sequence reaches a terminal."""
    wire = answer(event={"name": "a\nb\x1b\x9bZoë\u2028", "at": object})
    assert wire.endswith(b"}\n")
    assert all(0x20 <= byte < 0x7F for byte in wire[:-1])
