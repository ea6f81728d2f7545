"""Each rule has a text that only it refuses."""

from __future__ import annotations

import pytest

from agi_monitor.dialplan.lint import RULES, lint

GOOD = "[a]\nexten => 1,1,Playback(beep)\n same => n,Hangup()\n"
STAYS = "[none]\n[a]\nexten => 1,1,Set(TRANSFER_CONTEXT=none)\n same => n,Set(DYNAMIC_FEATURES=)\n"
"""What has to stand before AGI."""
AGI = " same => n,AGI(agi://127.0.0.1/spy)\n same => n,Hangup()\n"

REFUSED = {
    "control_characters": (GOOD + "; \u202e\n", 4, "U+202E"),
    "long_lines": (GOOD + f"; {'ö' * 4096}\n", 4, "8191 bytes"),
    "block_comments": (GOOD + ";-- x\n", 4, "opens a comment"),
    "block comment that ends twice": (GOOD + "exten => 2,1,Hangup() --; x\n", 4, "hides the rest of the file"),
    "unbalanced": ("[a]\nexten => 1,1,Set(x=(y)\n same => n,Hangup()\n", 2, "do not match"),
    "unbalanced quotes": ('[a]\nexten => 1,1,Set(x="y)\n same => n,Hangup()\n', 2, "quotation mark"),
    "wrong bracket": ("[a]\nexten => 1,1,Set(x=(y])\n same => n,Hangup()\n", 2, "do not match"),
    "dropped_lines": (GOOD + "ignorepat => 9\n", 4, "ignorepat is not a key"),
    "foreign switch": (GOOD + "switch => Realtime/x@y\n", 4, "switch to Realtime/x@y, which was not checked"),
    "duplicate": (GOOD + "exten => 1,1,Hangup()\n", 4, "is there already"),
    "hint": (GOOD + "exten => 2,hint,PJSIP/2\n", 4, "'hint' is not a priority"),
    "long_section_names": (GOOD + f"[{'a' * 80}]\n", 4, "79 bytes"),
    "general_sections": (GOOD + "[globals]\n", 4, "whole PBX"),
    "substituted_patterns": (GOOD + "exten => ${SHELL(id)},1,Hangup()\n", 4, "load time"),
    "foreign_includes": (GOOD + "include => from-trunk\n", 4, "from-trunk, a context of another file"),
    "spying_applications": ("[a]\nexten => 1,1,cHanSpy(PJSIP/1)\n same => n,Hangup()\n", 2, "unauthorized"),
    "spying inside": ("[a]\nexten => 1,1,ExecIf($[1]?ExtenSpy(1@a))\n same => n,Hangup()\n", 2, "unauthorized"),
    "missing_applications": ("[a]\nexten => 1,1,\n same => n,Hangup()\n", 2, "not an application"),
    "gaps": ("[a]\nexten => 1,1,NoOp()\n same => n+1,Hangup()\n", 3, "priority 3 of 1 should be 2"),
    "labelled_twice": (
        "[a]\nexten => 1,1(x),NoOp()\n same => n(x),Hangup()\n",
        3,
        "the label x of 1 stands in line 2 already",
    ),
    "open_ends": ("[a]\nexten => 1,1,Playback(beep)\n", 2, "add Hangup()"),
    "sound_after_agi": (STAYS + " same => n,AGI(agi://h)\n same => n,Goto(b,1,1)\n", 6, "follows AGI"),
    "open_transfers": (STAYS.replace("TRANSFER_CONTEXT=none", "X=1") + AGI, 5, "transferred to another phone"),
    "transfers into a context with something in it": (STAYS.replace("=none", "=a") + AGI, 5, "nothing in it"),
    "transfers into a context of another file": (STAYS.replace("=none", "=phones") + AGI, 5, "of this file"),
    "open features": (STAYS.replace("FEATURES=", "FEATURES=record") + AGI, 5, "one-touch keys"),
    "two_meanings": (
        "[a]\nexten => 1,1,Goto(x,1,1)\n[b]\nexten => 1,1,Goto(y,1,1)\n",
        4,
        "something else in [a]",
    ),
}


def test_good_text() -> None:
    """An ordinary file has no problem."""
    assert lint(GOOD) == ()
    assert lint(STAYS + AGI) == ()


@pytest.mark.parametrize(("text", "line", "told"), REFUSED.values(), ids=REFUSED.keys())
def test_refused(text: str, line: int, told: str) -> None:
    """The problem is found, alone, in its line, and says what it is."""
    (problem,) = lint(text)
    assert problem.line == line
    assert told in problem.text


def test_every_rule_is_tested() -> None:
    """A rule without a refused text is a rule that may never fire."""
    assert {rule.__name__ for rule in RULES} <= REFUSED.keys()


def test_ending_the_call_is_no_second_meaning() -> None:
    """A key that ends the call in one context may be a code in another."""
    assert lint("[a]\nexten => 4,1,Goto(b,1,1)\n[b]\nexten => 4,1,Hangup()\n") == ()


def test_comments_may_say_anything() -> None:
    """Behind a semicolon there are no parentheses to count and no applications to refuse."""
    assert lint(GOOD + '; ChanSpy( " ;--- --;\n') == ()


def test_escaped_semicolon_opens_no_comment() -> None:
    """``\\;--`` is a text."""
    assert lint("[a]\nexten => 1,1,NoOp(\\;--)\n same => n,Hangup()\n") == ()


def test_problems_come_in_the_order_of_lines() -> None:
    """All problems are told at once, from top to bottom."""
    assert [problem.line for problem in lint("[a]\nx\n; \u202e\ny\n")] == [2, 3, 4]
