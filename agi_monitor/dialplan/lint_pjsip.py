"""Checks what goes into pjsip.conf before it is written, also what a site's own template made.

One bad line there, and Asterisk refuses the whole file: no phone would be known after the next reload.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from agi_monitor.dialplan.lint import Problem, block_comments, control_characters, long_lines, source_of
from agi_monitor.dialplan.lint_account import Line, read


def lint_pjsip(text: str) -> tuple[Problem, ...]:
    """Everything that is wrong with this text, in the order of its lines; empty when it may be written."""
    source = source_of(text)
    problems = [problem for rule in (control_characters, long_lines, block_comments) for problem in rule(source)]
    lines = tuple(read(text))
    problems += [problem for rule in (templates, settings) for problem in rule(lines)]
    return tuple(sorted(problems, key=lambda problem: problem.line))


def templates(lines: tuple[Line, ...]) -> Iterator[Problem]:
    """Templates, and transports; each with another name, and made from those that stand before it."""
    known: set[str] = set()
    transports = {line.section for line in lines if (line.name, line.value) == ("type", "transport")}
    for line in lines:
        if line.name:
            continue
        marks = re.fullmatch(r"\(([^()]*)\)", line.value)
        names = [] if marks is None else [mark.strip() for mark in marks[1].split(",")]
        if line.section in known:
            yield Problem(line.number, f"[{line.section}] is there twice: Asterisk would mix them")
        if line.section not in transports and "!" not in names:
            yield Problem(line.number, f"[{line.section}] is not a template: write [{line.section}](!)")
        for name in names:
            if name != "!" and name not in known:
                yield Problem(line.number, f"[{line.section}] is made from {name!r}, which is not above it")
        known.add(line.section)


def settings(lines: tuple[Line, ...]) -> Iterator[Problem]:
    """Each line is a setting of a section."""
    for line in lines:
        if line.name and not line.section:
            yield Problem(line.number, "stands in no section, so that Asterisk would refuse the whole pjsip.conf")
        elif line.name and (not line.value or line.name.startswith(("#", "="))):
            yield Problem(line.number, "is not a setting: write name = value")
