"""Reads what ``dialplan show <context>`` prints and compares it with what a file should have made of it.

Asterisk drops a bad line without failing, so this is the proof that it loaded what was written. The text is the same
in Asterisk 16 and 22 (main/pbx.c, show_dialplan_helper)::

    [ Context 'agi-monitor-call' created by 'pbx_config' ]
      '_[0-9*#]!' =>    1. GotoIf(...)                                [agi-monitor.conf:98]
                        2. Set(AGIEXITONHANGUP=yes)                   [agi-monitor.conf:99]
         [end]          5. Hangup()                                   [agi-monitor.conf:102]
      Include =>        'phones'                                      [pbx_config]
      Alt. Switch =>    'Realtime/phones@extensions'                  [pbx_config]
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from agi_monitor.dialplan.parse import Context, Extension, Include, Priority, Switch, application_of

HEADING = re.compile(r"\[ Context '(?P<name>.*)' created by '.*' \]")
INCLUDE = re.compile(r" {2}Include => +'(?P<context>.*)' +\[[^\[\]]*\]")
SWITCH = re.compile(r" {2}Alt\. Switch => +'(?P<where>.*)' +\[[^\[\]]*\]")
STEP = re.compile(
    r" +(?:'(?P<pattern>.*)' =>|\[(?P<label>[^\[\]]*)\])? +(?P<number>[0-9]+)\. (?P<call>.*\)) +\[[^\[\]]*\]"
)


class UnknownOutput(AssertionError):
    """The text is not what ``dialplan show`` prints of an existing context."""


@dataclass(frozen=True, slots=True)
class Step:
    """One printed line of an extension."""

    pattern: str | None
    priority: Priority


def shown(text: str) -> Context:
    """The one context that is printed in this text, extensions in the order of their patterns.

    Raises:
        UnknownOutput: there is no context in it, or more than one, or a line of another kind in it.
    """
    lines = [line.rstrip() for line in text.splitlines()]
    headings = [(place, match) for place, line in enumerate(lines) if (match := HEADING.fullmatch(line))]
    if len(headings) != 1:
        raise UnknownOutput(f"{len(headings)} contexts in what Asterisk printed:\n{text}")
    ((place, heading),) = headings
    extensions: dict[str, list[Priority]] = {}
    includes: list[Include] = []
    switches: list[Switch] = []
    pattern = ""
    for line in lines[place + 1 :]:
        if not line:
            break
        if match := INCLUDE.fullmatch(line):
            includes.append(Include(match["context"]))
            continue
        if match := SWITCH.fullmatch(line):
            switches.append(Switch(match["where"]))
            continue
        step = step_of(line)
        pattern = pattern if step.pattern is None else step.pattern
        extensions.setdefault(pattern, []).append(step.priority)
    return ordered(
        Context(
            heading["name"],
            tuple(Extension(pattern, tuple(priorities)) for pattern, priorities in extensions.items()),
            tuple(includes),
            tuple(switches),
        )
    )


def step_of(line: str) -> Step:
    """What one line says.

    Raises:
        UnknownOutput: it is not a step: a hint, or an extension with a caller id, which this project never writes.
    """
    match = STEP.fullmatch(line)
    if match is None:
        raise UnknownOutput(f"not a line of an extension: {line!r}")
    application, arguments = application_of(match["call"])
    return Step(match["pattern"], Priority(int(match["number"]), application, arguments, match["label"]))


def ordered(context: Context) -> Context:
    """The context in a form that compares: Asterisk sorts extensions as it matches them, and prints no label of the
    first priority of an extension.
    """
    return replace(
        context,
        extensions=tuple(
            Extension(
                extension.pattern,
                tuple(
                    replace(priority, label=None) if place == 0 else priority
                    for place, priority in enumerate(extension.priorities)
                ),
            )
            for extension in sorted(context.extensions, key=lambda extension: extension.pattern)
        ),
    )


def differences(text: str, wanted: Context) -> list[str]:
    """What Asterisk loaded that differs from what is wanted, one sentence for each; empty when it is the same.

    Parameters:
        text: what ``dialplan show`` printed for this context.
        wanted: the context as ``parse`` read it from the file.

    Raises:
        UnknownOutput: the text shows no context.
    """
    loaded, wanted = shown(text), ordered(wanted)
    if loaded.name != wanted.name:
        return [f"context {loaded.name} instead of {wanted.name}"]
    found = {extension.pattern: extension.priorities for extension in loaded.extensions}
    expected = {extension.pattern: extension.priorities for extension in wanted.extensions}
    said = [f"{pattern} is missing" for pattern in expected if pattern not in found]
    said += [f"{pattern} was not written" for pattern in found if pattern not in expected]
    for pattern in expected.keys() & found.keys():
        if expected[pattern] != found[pattern]:
            said.append(f"{pattern} is {described(found[pattern])} instead of {described(expected[pattern])}")
    if loaded.includes != wanted.includes:
        said.append(f"includes {loaded.includes} instead of {wanted.includes}")
    if loaded.switches != wanted.switches:
        said.append(f"switches {loaded.switches} instead of {wanted.switches}")
    return sorted(said)


def described(priorities: tuple[Priority, ...]) -> str:
    """Priorities in one line."""
    return " ".join(
        f"{priority.number}{f'({priority.label})' if priority.label else ''}."
        f" {priority.application}({priority.arguments})"
        for priority in priorities
    )
