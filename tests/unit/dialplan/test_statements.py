"""The grammar of Asterisk's configuration files. Each case was loaded by Asterisk 16 and 22 as it stands here."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agi_monitor.dialplan.statements import (
    MAX_NESTED,
    Assignment,
    Directive,
    Section,
    Statement,
    Unreadable,
    statements,
    without_comments,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("; a comment", []),
        ("[a]", [Section(1, "a")]),
        ("[a](!,b) ; c", [Section(1, "a", "(!,b)")]),
        ("[a\nb=c", [Unreadable(1, "[a", ends=True)]),
        ("key = value", [Assignment(1, "key", "value")]),
        ("key => a=b;c", [Assignment(1, "key", "a=b")]),
        (" key=\tvalue ", [Assignment(1, "key", "value")]),
        ("key => a\\;b;c", [Assignment(1, "key", "a;b")]),
        ("word", [Unreadable(1, "word")]),
        ('#tryinclude "x"', [Directive(1, '#tryinclude "x"')]),
        (";-- a\nb=c\n--; d=e", [Assignment(3, "d", "e")]),
        ("a=b ;-- c --; d", [Assignment(1, "a", "b  d")]),
        (";--- a\nb=c", [Assignment(2, "b", "c")]),
        ("; ;-- a\nb=c", [Assignment(2, "b", "c")]),
        (";-- ;-- --; a=b\n--;\nc=d", [Assignment(3, "c", "d")]),
        (";-- a", []),
        ("\\a=b", [Assignment(1, "a", "b")]),
        ("a=b\n\\\nc=d", [Assignment(1, "a", "b"), Unreadable(2, "\\", ends=True)]),
        ("\\ a=b\nc=d", [Unreadable(1, "\\ a=b", ends=True)]),
        ("a=b --; c\nd=e", [Assignment(1, "a", "b --; c")]),
        ("a=b --;\n;-- c\nd=e", [Assignment(1, "a", "b --;"), Assignment(3, "d", "e")]),
        ("a=b;--;--; c\nd=e", [Assignment(1, "a", "b")]),
        (";;-- a\nb=c", [Assignment(2, "b", "c")]),
        ("; x ;-- y\na=b", [Assignment(2, "a", "b")]),
        ("\\;-- a\nb=c", [Unreadable(1, ";-- a"), Assignment(2, "b", "c")]),
        ("[a] (b)", [Section(1, "a", " (b)")]),
        ("a += b", [Assignment(1, "a", " b", appends=True)]),
        ("\\=a=b", [Assignment(1, "=a", "b")]),
        ("a=b\0c\nd=e", [Assignment(1, "a", "b"), Assignment(2, "d", "e")]),
        ("\ufeffa=b\n\ufeffc=d", [Assignment(1, "a", "b"), Assignment(2, "\ufeffc", "d")]),
        (f"a={'b' * 8188}\nc=d", [Assignment(1, "a", "b" * 8188), Assignment(2, "c", "d")]),
        (f"a={'b' * 8189}\nc=d", [Unreadable(1, ""), Assignment(2, "c", "d")]),
        (f"a={'b' * 20_000}\nc=d", [Unreadable(1, ""), Assignment(2, "c", "d")]),
        ("\xa0a=b\x1f", [Assignment(1, "\xa0a", "b")]),
        ("a=b--\\;c\nd=e", [Assignment(1, "a", "b--;c"), Assignment(2, "d", "e")]),
    ],
)
def test_statements(text: str, expected: list[Statement]) -> None:
    """Comments go, what is left is one statement a line."""
    assert list(statements(text)) == expected


def loaded_by_c(raw: str, comment: int) -> tuple[str, int]:
    """What config_text_file_load does with one line: arrays, ends of text and pointers as they are there."""
    buffer = [*raw, "\0"]

    def strchr(begin: int) -> int | None:
        place = begin
        while buffer[place] != "\0":
            if buffer[place] == ";":
                return place
            place += 1
        return None

    def strlen(begin: int) -> int:
        return buffer.index("\0", begin) - begin

    def memmove(target: int, source: int, length: int) -> None:
        buffer[target : target + length] = buffer[source : source + length]

    new = 0
    process = None if comment else 0
    while (found := strchr(new)) is not None:
        if found > new and buffer[found - 1] == "\\":
            new = found
            memmove(found - 1, found, strlen(found) + 1)
        elif buffer[found + 1 : found + 3] == ["-", "-"] and buffer[found + 3] != "-":
            assert comment < MAX_NESTED
            buffer[found] = "\0"
            new = found + 3
            comment += 1
        elif found >= new + 2 and buffer[found - 2 : found] == ["-", "-"]:
            comment -= 1
            new = found + 1
            if comment == 0:
                if process is None:
                    process = new
                else:
                    old = process + strlen(process)
                    memmove(old, new, strlen(new) + 1)
                    new = old
        elif comment == 0:
            buffer[found] = "\0"
            new = found
        else:
            new = found + 1
    return ("" if process is None else "".join(buffer[process : process + strlen(process)])), comment


@given(st.text(st.sampled_from(";-\\a "), max_size=24), st.integers(-2, 2))
def test_comments_go_as_asterisk_takes_them_out(raw: str, depth: int) -> None:
    """Step by step, with every mistake."""
    assert without_comments(raw, depth) == loaded_by_c(raw, depth)


def test_more_comments_in_comments_than_asterisk_bears() -> None:
    """Asterisk would hang at the next one; here it opens nothing, and the line ends."""
    assert without_comments(";--" * (MAX_NESTED + 5), 0) == ("", MAX_NESTED)
