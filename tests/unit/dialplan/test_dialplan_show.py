"""Reading ``dialplan show``, on what Asterisk 16 and 22 printed after they loaded a golden file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from agi_monitor.dialplan.parse import Context, Extension, Priority, parse
from tests.scenarios.dialplan_show import UnknownOutput, differences, shown

TESTS = Path(__file__).resolve().parents[2]
GOLDEN = parse((TESTS / "golden" / "three-groups.conf").read_text(encoding="utf-8"))


def recorded(version: str) -> dict[str, str]:
    """What this Asterisk printed, context by context."""
    text = (TESTS / "transcripts" / f"dialplan-show-{version}.txt").read_text(encoding="utf-8")
    parts = [f"[ Context {part}" for part in text.split("[ Context ")[1:]]
    return {shown(part).name: part for part in parts}


@pytest.mark.parametrize("version", ["16", "22"])
def test_recorded_text_is_the_golden_file(version: str) -> None:
    """Asterisk loaded exactly what the golden file says, in every context."""
    texts = recorded(version)
    assert {context.name: differences(texts[context.name], context) for context in GOLDEN.contexts} == {
        context.name: [] for context in GOLDEN.contexts
    }


def test_every_kind_of_difference_is_told() -> None:
    """What is missing, too much or otherwise is told by its extension."""
    text = recorded("22")["agi-monitor-mode"]
    wanted = Context(
        "agi-monitor-mode",
        (
            Extension("4", (Priority(1, "Hangup", "21"),)),
            Extension("5", (Priority(1, "Hangup", ""),)),
            Extension("6", (Priority(1, "Hangup", ""), Priority(2, "Hangup", "", "end"))),
            Extension("9", (Priority(1, "Hangup", ""),)),
        ),
    )
    assert differences(text, wanted) == [
        "* was not written",
        "0 was not written",
        "4 is 1. Hangup() instead of 1. Hangup(21)",
        "6 is 1. Hangup() instead of 1. Hangup() 2(end). Hangup()",
        "7 was not written",
        "8 was not written",
        "9 is missing",
        "D was not written",
        "s was not written",
    ]
    assert differences(text, replace(wanted, name="other")) == ["context agi-monitor-mode instead of other"]


def test_includes_and_long_columns() -> None:
    """Includes are read, and texts that are wider than their columns."""
    context = shown(
        "[ Context 'odd' created by 'pbx_config' ]\n"
        "  '_*222XXXXXXXXXXXXXXXXXXXX' => 1. Goto(odd,1,1)                              [odd.conf:6]\n"
        '     [a_label_longer_than_usual_columns] 2. Set(x="a [b:1]")                           [odd.conf:4]\n'
        "  Include =>        'phones'                                      [pbx_config]\n"
        "\n"
        "-= 1 extension (2 priorities) in 1 context. =-\n"
    )
    (extension,) = context.extensions
    assert extension.pattern == "_*222XXXXXXXXXXXXXXXXXXXX"
    assert extension.priorities[1] == Priority(2, "Set", 'x="a [b:1]"', "a_label_longer_than_usual_columns")
    assert [include.context for include in context.includes] == ["phones"]
    assert differences("[ Context 'odd' created by 'x' ]\n", context)[-1].startswith("includes () instead of")


@pytest.mark.parametrize(
    "text",
    [
        "There is no existence of 'nonesuch' context\nCommand 'dialplan show nonesuch' failed.\n",
        "[ Context 'a' created by 'x' ]\n\n[ Context 'b' created by 'x' ]\n",
        "[ Context 'a' created by 'x' ]\n  '7' =>            hint: PJSIP/7                      [odd.conf:8]\n",
    ],
)
def test_unknown_output(text: str) -> None:
    """No context, several, or a line of another kind is an error and not an empty context."""
    with pytest.raises(UnknownOutput):
        shown(text)
