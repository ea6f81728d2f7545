"""The include between markers: put behind any content, and taken out without a trace."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agi_monitor.install.include_lines import (
    BEGIN,
    BOM,
    END,
    BrokenMarkers,
    include_of,
    includes_by_hand,
    with_include,
    without,
)

TARGET = "agi-monitor/agi-monitor.conf"
LINES = [b"[general]", b"exten => 1,1,NoOp(\xe4)", b"; x", b"", b"\r", b'#include "a.conf"', b"\x00"]
CONTENTS = st.one_of(
    st.binary(max_size=200).filter(lambda content: b"; agi-monitor" not in content),
    st.lists(st.sampled_from(LINES)).flatmap(
        lambda lines: st.sampled_from([b"\n", b"\r\n", b"\n\n"]).map(lambda end: end.join(lines) + end)
    ),
)


@given(CONTENTS)
@example(b"")
@example(b"[general]")
@example(b"[general]\r\nx=1")
@example(b"\r")
@example(b"\r\n\r")
@example(b"\n")
def test_what_was_put_in_comes_out(content: bytes) -> None:
    """Any content is byte for byte the same after the include was added and taken out."""
    added = with_include(content, TARGET)
    assert added.startswith(content)
    assert without(added) == content
    assert include_of(added) == TARGET


@given(CONTENTS)
def test_a_second_time_changes_nothing(content: bytes) -> None:
    """The include is added once."""
    added = with_include(content, TARGET)
    assert with_include(added, TARGET) == added


@given(CONTENTS, st.sampled_from([b"[more]\n", b"[more]\r\nx=1", b"\n"]))
def test_what_was_added_behind_stays(content: bytes, more: bytes) -> None:
    """Lines that a person has put behind the include stay when it is taken out."""
    assert without(with_include(content, TARGET) + more) == content + more


def test_the_line_ends_of_the_file_are_used() -> None:
    """A file with CRLF gets CRLF, so that no editor asks about mixed line ends."""
    added = with_include(b"[general]\r\n", TARGET)
    assert added.count(b"\n") == added.count(b"\r\n") == 4


@pytest.mark.parametrize(
    "content",
    [
        with_include(with_include(b"", TARGET).replace(BEGIN, b"").replace(END, b""), TARGET) + BEGIN + b"\n",
        with_include(b"", TARGET) * 2,
        BEGIN + b"\n",
        END + b"\n",
        END + b"\n" + BEGIN + b"\n",
        BEGIN + b"\n" + END + b"\n",
        BEGIN + b'\n#tryinclude "a"\n[secret]\n' + END + b"\n",
    ],
)
def test_broken_markers_are_refused(content: bytes) -> None:
    """It is not guessed what markers mean that are there twice, halves of a pair, or around something else."""
    for look in (without, include_of):
        with pytest.raises(BrokenMarkers):
            look(content)


@pytest.mark.parametrize(
    ("line", "reads"),
    [
        (b'#tryinclude "agi-monitor/agi-monitor.conf"', True),
        (b"#include agi-monitor/*.conf", True),
        (b'#include\t"/etc/asterisk/agi-monitor/agi-monitor.conf"', True),
        (b"#INCLUDE </etc/asterisk/agi-monitor/agi-monitor.conf> ; ours", True),
        (b'; #include "agi-monitor/agi-monitor.conf"', False),
        (b'#include "agi-monitor/manager.conf.include"', False),
        (b'#exec "agi-monitor/agi-monitor.conf"', False),
        (b";--\n#include agi-monitor/agi-monitor.conf\n--;", False),
    ],
)
def test_an_include_by_hand_is_seen(line: bytes, reads: bool) -> None:
    """A line of the site that reads our file already is known, whatever it looks like; a comment is not one."""
    assert includes_by_hand(b"[a]\n" + line + b"\n", TARGET, "/etc/asterisk") is reads


def test_our_own_include_is_not_by_hand() -> None:
    """What stands between the markers is ours."""
    assert not includes_by_hand(with_include(b"", TARGET), TARGET, "/etc/asterisk")


def test_an_end_behind_a_byte_order_mark_is_an_end() -> None:
    """As a beginning there is one: otherwise a block put before it would have two ends, and never be taken out."""
    with pytest.raises(BrokenMarkers):
        with_include(BOM + END + b"\n", "agi-monitor/agi-monitor.conf", at_front=True)
