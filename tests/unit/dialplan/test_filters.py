"""The escapes, place by place."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agi_monitor.dialplan import filters
from agi_monitor.dialplan.filters import RefusedValue, Text
from agi_monitor.dialplan.parse import parse

ORDINARY_NAMES = [
    "Anna Kowalska",
    "O'Brien-Smith, Jr.",
    "Zoë Müller",
    "李小龍",
    "Мария Ивановна",
    "علی‌رضا",
    "ශ්‍රී",
    "יעל",
    "100% (team #2) = best",
    "50$",
]


@pytest.mark.parametrize("name", ORDINARY_NAMES)
def test_comment_keeps_ordinary_names(name: str) -> None:
    """Names of all languages stand in a comment as they are."""
    assert filters.comment(name) == name


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("a\nb", "U+000A"),
        ("a\rb", "U+000D"),
        ("a\x00b", "U+0000"),
        ("a\x85b", "U+0085"),
        ("a\u2028b", "U+2028 (LINE SEPARATOR)"),
        ("a\u202eb", "U+202E (RIGHT-TO-LEFT OVERRIDE)"),
        ("a\u200fb", "U+200F (RIGHT-TO-LEFT MARK)"),
        ("a\ud800b", "U+D800"),
        ("a\ufeffb", "U+FEFF"),
        ("${SHELL(id)}", "${"),
        ("$[1+1]", "$["),
    ],
)
def test_comment_refuses(value: str, told: str) -> None:
    """A character that could end or turn a line is refused, and the refusal names value and character."""
    with pytest.raises(RefusedValue) as caught:
        filters.comment(Text(value, "the name of agent 1001"))
    assert str(caught.value).startswith("the name of agent 1001 holds")
    assert told in str(caught.value)
    assert value not in str(caught.value)


def test_comment_takes_semicolons_away() -> None:
    """No value can open a comment over many lines, even where a template forgot the space."""
    assert filters.comment("--x;--y") == "--x,--y"


def test_comment_cuts_long_names() -> None:
    """A name of ten thousand letters becomes sixty characters."""
    assert filters.comment("ö" * 10_000) == "ö" * 59 + "…"
    assert filters.comment("ö" * 60) == "ö" * 60


def test_pattern_has_a_fixed_length() -> None:
    """A code and a number of digits make one pattern."""
    assert filters.pattern("*222", 4) == "_*222XXXX"


@pytest.mark.parametrize("value", ["", "*22.", "*22!", "X", "*2a", "${X}", "1,1", "1\n"])
def test_pattern_and_extension_refuse_other_than_digits(value: str) -> None:
    """Letters that Asterisk takes for a pattern never come from a value."""
    with pytest.raises(RefusedValue):
        filters.pattern(value, 4)
    with pytest.raises(RefusedValue):
        filters.extension(value)


def test_extension_is_as_dialled() -> None:
    """Digits, star and hash stay."""
    assert filters.extension("#9*0") == "#9*0"


@pytest.mark.parametrize("character", list(',"\\()[]{}$\n\u2028'))
def test_argument_refuses_what_cuts_arguments(character: str) -> None:
    """What no escape protects in every application is refused."""
    with pytest.raises(RefusedValue):
        filters.argument(f"a{character}b")


@given(st.text(max_size=30))
def test_argument_arrives_whole(value: str) -> None:
    """Whatever the filter lets through, Asterisk reads as that one argument."""
    try:
        text = filters.argument(value)
    except RefusedValue:
        return
    plan = parse(f"[a]\nexten => 1,1,Log(NOTICE,{text})\n same => n,Hangup()\n")
    assert plan.context("a").extensions[0].priorities[0].arguments == f"NOTICE,{value}"


@pytest.mark.parametrize(
    ("value", "text"), [("127.0.0.1", "127.0.0.1"), ("::1", "[::1]"), ("2001:DB8:0::5", "[2001:db8::5]")]
)
def test_host_is_ready_for_a_url(value: str, text: str) -> None:
    """An IPv6 address stands in brackets."""
    assert filters.host(value) == text


@pytest.mark.parametrize("value", ["pbx.example", "", "1.2.3", "fe80::1%eth0", "[::1]", "127.0.0.1\n"])
def test_host_refuses_names(value: str) -> None:
    """Only addresses are hosts."""
    with pytest.raises(RefusedValue):
        filters.host(value)


@pytest.mark.parametrize("value", ["", "1a", "a]", "a b", "a,b", "ä", "a" * 80])
def test_context_refuses(value: str) -> None:
    """What is not a name for a context, or too long for one, is refused."""
    with pytest.raises(RefusedValue):
        filters.context(value)


def test_refusal_of_a_nameless_value() -> None:
    """A value that a template made itself has no key, and is not told either."""
    with pytest.raises(RefusedValue, match=r"^a value holds"):
        filters.comment("x\ny")
