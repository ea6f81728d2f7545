"""What is otherwise in the PBX than it was rendered."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agi_monitor.dialplan.parse import Context, parse
from agi_monitor.install.comparison import Differences, Row, compare

RENDERED = """\
[site]
include => more
switch => Realtime/more@extensions
exten => _*222X.,1(begin),AGI(agi://127.0.0.1/spy,secret-of-the-site)
 same => n,Hangup()
"""
BEGIN = {
    "Extension": "_*222X.",
    "Priority": "1",
    "ExtensionLabel": "begin",
    "Application": "AGI",
    "AppData": "agi://127.0.0.1/spy,secret-of-the-site",
}
END = {"Extension": "_*222X.", "Priority": "2", "Application": "Hangup"}
INCLUDE = {"IncludeContext": "more"}
SWITCH = {"Switch": "Realtime/more@extensions"}
LOADED = [BEGIN, END, INCLUDE, SWITCH]


def rendered() -> Context:
    """The context as it was rendered."""
    context = parse(RENDERED).context("site")
    assert context is not None
    return context


def test_what_is_loaded_as_it_was_rendered() -> None:
    """Nothing is wrong and nothing is foreign, in whichever order it is told."""
    assert compare(rendered(), LOADED) == compare(rendered(), reversed(LOADED)) == Differences()


def test_a_context_that_is_not_there() -> None:
    """Another thing than an empty one."""
    assert compare(rendered(), None).wrong == ("context site is not there",)
    assert len(compare(rendered(), []).wrong) == 4


def test_a_context_that_holds_nothing() -> None:
    """The PBX lists no row for it; what was put into it is foreign (main/pbx.c: "an empty context...")."""
    empty = parse("[site]\n").context("site")
    assert compare(empty, None) == Differences()
    assert compare(empty, [BEGIN]).foreign == ("_*222X.@site priority 1",)


@pytest.mark.parametrize(
    ("rows", "wrong"),
    [
        ([END, INCLUDE, SWITCH], "_*222X.@site priority 1 is not there"),
        ([{**BEGIN, "ExtensionLabel": "start"}, END, INCLUDE, SWITCH], "_*222X.@site priority 1 has another label"),
        ([{**BEGIN, "Application": "NoOp"}, END, INCLUDE, SWITCH], "_*222X.@site priority 1 has another application"),
        ([{**BEGIN, "AppData": "agi://x"}, END, INCLUDE, SWITCH], "_*222X.@site priority 1 has other arguments"),
        ([BEGIN, END, SWITCH], "context site does not include more"),
        ([BEGIN, END, INCLUDE], "context site has no switch to Realtime/more@extensions"),
    ],
    ids=["priority", "label", "application", "arguments", "include", "switch"],
)
def test_what_is_wrong(rows: list[Row], wrong: str) -> None:
    """One sentence for it; what stands in arguments is in none, for a secret may be among them."""
    assert compare(rendered(), rows) == Differences((wrong,))


@pytest.mark.parametrize(
    ("row", "foreign"),
    [
        ({"Extension": "*9", "Priority": "1", "Application": "ChanSpy"}, "*9@site priority 1"),
        ({**END, "Priority": "3"}, "_*222X.@site priority 3"),
        ({"IncludeContext": "theirs"}, "include of theirs in site"),
        ({"Switch": "DUNDi/theirs"}, "switch to DUNDi/theirs in site"),
    ],
    ids=["extension", "priority", "include", "switch"],
)
def test_what_is_foreign(row: Row, foreign: str) -> None:
    """It was put there; what was rendered is right all the same."""
    assert compare(rendered(), [*LOADED, row]) == Differences((), (foreign,))


@pytest.mark.parametrize("number", ["hint", "", "²", "-1", "9" * 5_000])
def test_a_priority_that_is_none(number: str) -> None:
    """It is neither wrong nor foreign."""
    assert compare(rendered(), [*LOADED, {**END, "Priority": number}]) == Differences()


@given(st.lists(st.dictionaries(st.sampled_from([*BEGIN, *INCLUDE, *SWITCH]), st.text(max_size=20)), max_size=6))
def test_no_garbage_breaks_it(rows: list[Row]) -> None:
    """Whatever the PBX says, what was rendered is found in it."""
    assert compare(rendered(), [*rows, *LOADED]).wrong == ()
