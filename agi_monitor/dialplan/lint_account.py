"""Checks the account for manager.conf before it is written, also the one that a site's own template made.

Asterisk takes an account without a complaint that everyone may use, or that may do everything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from agi_monitor.dialplan.lint import Problem, block_comments, control_characters, long_lines, source_of
from agi_monitor.dialplan.statements import Assignment, Directive, Section, Unreadable, statements

DANGEROUS = frozenset({"all", "command", "config", "originate", "system"})
"""In ``write=``, each of these can run programs on the PBX or change its configuration."""

NEEDED = ("secret", "deny", "permit", "read", "write")
"""What an account must say. Without ``deny`` and ``permit`` everyone may try the secret."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line that means something.

    Parameters:
        number: from 1.
        section: the name between the brackets above it.
        name: of the setting; empty for the line of the section itself.
        value: behind the ``=``.
    """

    number: int
    section: str
    name: str
    value: str


def lint_account(text: str) -> tuple[Problem, ...]:
    """Everything that is wrong with this text, in the order of its lines; empty when it may be written."""
    source = source_of(text)
    problems = [problem for rule in (control_characters, long_lines, block_comments) for problem in rule(source)]
    lines = tuple(read(text))
    problems += [problem for rule in RULES for problem in rule(lines)]
    return tuple(sorted(problems, key=lambda problem: problem.line))


def read(text: str) -> Iterator[Line]:
    """Yield the lines as Asterisk reads them; a line that is not a setting is its own name."""
    section = ""
    for statement in statements(text):
        match statement:
            case Section(number, name, options):
                section = name
                yield Line(number, section, "", options)
            case Assignment(number, key, value):
                yield Line(number, section, key.lower() or "=", value.strip())
            case Directive(number, line) | Unreadable(number, line):
                # Without a text it is too long, which is told of every line.
                if line:
                    yield Line(number, section, line.lower(), "")


def one_account(lines: tuple[Line, ...]) -> Iterator[Problem]:
    """The file is one account: another one, or [general], belongs into the site's own manager.conf."""
    sections = [line for line in lines if not line.name]
    for line in sections:
        if line.value:
            yield Problem(
                line.number, f"{line.value} after the section's name would mix it with another: leave it out"
            )
        elif line.section.lower() == "general":
            yield Problem(line.number, "[general] changes the whole manager interface: move it into manager.conf")
    for line in sections[1:]:
        yield Problem(line.number, f"[{line.section}] is a second account: move it into manager.conf")
    if not sections:
        yield Problem(1, "there is no account: write its name in brackets")
    for line in lines:
        if line.name and not line.section:
            yield Problem(line.number, "stands in no section, so that Asterisk would refuse the whole manager.conf")


def settings(lines: tuple[Line, ...]) -> Iterator[Problem]:
    """An account has a secret, addresses and permissions."""
    for line in lines:
        if line.name and (not line.value or line.name.startswith(("#", "="))):
            yield Problem(line.number, "is not a setting: write name = value")
    given = {line.name for line in lines}
    for name in NEEDED:
        if lines and name not in given:
            yield Problem(lines[0].number, f"the account has no {name}: add it")


def dangerous_classes(lines: tuple[Line, ...]) -> Iterator[Problem]:
    """The server needs none of these."""
    for line in lines:
        given = {one.strip().lower() for one in line.value.split(",")}
        if line.name == "write" and (found := sorted(given & DANGEROUS)):
            yield Problem(line.number, f"{' and '.join(found)} could run programs on the PBX: leave it out")


RULES: tuple[Callable[[tuple[Line, ...]], Iterator[Problem]], ...] = (one_account, settings, dangerous_classes)
