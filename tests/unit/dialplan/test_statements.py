"""The grammar of Asterisk's configuration files. Each case was loaded by Asterisk 16 and 22 as it stands here."""

from __future__ import annotations

import pytest

from agi_monitor.dialplan.statements import Assignment, Directive, Section, Statement, Unreadable, statements


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("; a comment", []),
        ("[a]", [Section(1, "a")]),
        ("[a](!,b) ; c", [Section(1, "a", "(!,b)")]),
        ("[a", [Unreadable(1, "[a")]),
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
        ("a=b\n\\\nc=d", [Assignment(1, "a", "b"), Unreadable(2, "\\")]),
        ("\\ a=b\nc=d", [Unreadable(1, "\\ a=b")]),
        ("a=b --; c\nd=e", [Assignment(1, "a", "b --; c")]),
        ("a=b --;\n;-- c\nd=e", [Assignment(1, "a", "b --;"), Assignment(3, "d", "e")]),
        ("a=b;--;--; c\nd=e", [Assignment(1, "a", "b")]),
        ("a=b--\\;c\nd=e", [Assignment(1, "a", "b--;c"), Assignment(2, "d", "e")]),
    ],
)
def test_statements(text: str, expected: list[Statement]) -> None:
    """Comments go, what is left is one statement a line."""
    assert list(statements(text)) == expected
