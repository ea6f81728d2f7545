"""What Asterisk makes of a dialplan, and what it drops."""

from __future__ import annotations

import pytest

from agi_monitor.dialplan.parse import Context, Dialplan, Extension, Include, Priority, parse


def test_contexts_extensions_and_priorities() -> None:
    """A file becomes contexts, extensions and numbered priorities with their labels."""
    plan = parse(
        "[a]\n"
        "exten => _*222XXXX,1,Goto(b,${EXTEN},1)\n"
        "exten => 1,1,NoOp\n"
        " same => n(x),Set(a=(b))\n"
        "exten => 1,n+2,Hangup()\n"
        "[b]\n"
        "include => a\n"
    )
    assert plan == Dialplan(
        (
            Context(
                "a",
                (
                    Extension("_*222XXXX", (Priority(1, "Goto", "b,${EXTEN},1"),)),
                    Extension(
                        "1",
                        (Priority(1, "NoOp", ""), Priority(2, "Set", "a=(b)", "x"), Priority(5, "Hangup", "")),
                    ),
                ),
            ),
            Context("b", (), (Include("a"),)),
        )
    )


def test_line_numbers() -> None:
    """Every priority knows its line."""
    plan = parse("\n[a]\n\nexten => 1,1,Hangup()\n")
    assert (plan.context("a").line, plan.context("a").extensions[0].priorities[0].line) == (2, 4)


def test_sections_of_one_name_are_one_context() -> None:
    """A context may be written in several sections."""
    plan = parse("[a]\nexten => 1,1,Hangup()\n[b]\n[a]\nexten => 2,1,Hangup()\n")
    assert [extension.pattern for extension in plan.context("a").extensions] == ["1", "2"]


def test_arguments_end_at_the_last_parenthesis() -> None:
    """One missing parenthesis moves the end of the arguments: this is what lint looks for."""
    plan = parse("[a]\nexten => 1,1,NoOp(q,g(x)\n")
    assert plan.context("a").extensions[0].priorities[0].arguments == "q,g(x"


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("exten => 1,1,Hangup()\nexten => 1,1,NoOp()", "priority 1 of 1 is there already, in line 2"),
        ("exten => 1,n,Hangup()", "has to be a number"),
        ("exten => 1,x,Hangup()", "'x' is not a priority"),
        ("exten => 1,hint,PJSIP/1", "'hint' is not a priority"),
        (f"exten => 1,{'9' * 5_000},NoOp()", "is not a priority"),
        (f"exten => 1,1,NoOp()\nexten => 1,n+{'9' * 5_000},NoOp()", "is not a priority"),
        ("same => n,Hangup()", "without an exten"),
        ("swich => Realtime", "swich is not a key"),
        ("hello", "neither a"),
        ("#include x.conf", "#include reads another file"),
    ],
)
def test_dropped(line: str, why: str) -> None:
    """What Asterisk would leave out is kept aside with its reason."""
    (dropped,) = parse(f"[a]\n{line}\n").dropped
    assert why in dropped.why
    assert dropped.line == 1 + len(line.splitlines())


def test_key_before_the_first_section() -> None:
    """A line before the first section belongs to no context."""
    assert [dropped.line for dropped in parse("exten => 1,1,Hangup()\n").dropped] == [1]


def test_unknown_context() -> None:
    """Asking for a context that is not there is an error."""
    with pytest.raises(KeyError):
        parse("").context("a")
