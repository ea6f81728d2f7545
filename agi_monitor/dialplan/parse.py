"""Reads a dialplan as Asterisk does (pbx/pbx_config.c, pbx_load_config).

Like Asterisk it never fails on a single bad line: the line is dropped. Unlike Asterisk it keeps what it dropped.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from agi_monitor.dialplan.statements import Assignment, Directive, Section, Unreadable, statements

NUMBER = re.compile("[0-9]{1,9}")
"""A priority that is a number. In other people's text there are other digits than these, and more of them."""

PRIORITY = re.compile(r"(?P<number>[0-9]{1,9}|[nsNS])(?:\+(?P<plus>[0-9]{1,9}))?(?:\((?P<label>[^()]*)\))?")
"""``1``, ``n``, ``s`` (the same again), ``n+10``, each with a label in parentheses or without."""


@dataclass(frozen=True, slots=True)
class Priority:
    """One step.

    Parameters:
        number: its place, from 1.
        application: such as ``Goto``.
        arguments: what stands between the first ``(`` and the last ``)``.
        label: None without one.
        line: where it stands; no part of what it means.
    """

    number: int
    application: str
    arguments: str
    label: str | None = None
    line: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Extension:
    """What happens for one extension or pattern, priorities in their order."""

    pattern: str
    priorities: tuple[Priority, ...]


@dataclass(frozen=True, slots=True)
class Include:
    """``include => context``."""

    context: str
    line: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Switch:
    """``switch => where``: extensions that stand elsewhere, such as ``Realtime/phones@extensions``."""

    where: str
    line: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Context:
    """One context, also when it was written in several sections."""

    name: str
    extensions: tuple[Extension, ...]
    includes: tuple[Include, ...] = ()
    switches: tuple[Switch, ...] = ()
    line: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Dropped:
    """What Asterisk would leave out, with a warning in its log at best.

    Parameters:
        line: where it stands.
        why: for people.
    """

    line: int
    why: str


@dataclass(frozen=True, slots=True)
class Dialplan:
    """A whole file: what it means, and what of it is lost."""

    contexts: tuple[Context, ...]
    dropped: tuple[Dropped, ...] = ()

    def context(self, name: str) -> Context:
        """The context of this name.

        Raises:
            KeyError: there is none.
        """
        for context in self.contexts:
            if context.name == name:
                return context
        raise KeyError(name)


def parse(text: str) -> Dialplan:
    """What Asterisk makes of the text of an ``extensions.conf``."""
    reader = _Reader()
    for statement in statements(text):
        match statement:
            case Section():
                reader.section(statement)
            case Assignment():
                reader.assignment(statement)
            case Directive(line, directive):
                reader.drop(line, f"{directive.split()[0]} reads another file, whose content was not checked")
            case Unreadable(line, line_text):
                if not line_text:
                    continue  # too long, which the lint says of every line
                reader.drop(line, "neither a [section] nor key => value")
    return reader.dialplan()


class _Reader:
    """The state of reading: the current context, extension and priority."""

    def __init__(self) -> None:
        self._lines: dict[str, int] = {}
        self._extensions: dict[str, dict[str, dict[int, Priority]]] = {}
        self._includes: dict[str, list[Include]] = {}
        self._switches: dict[str, list[Switch]] = {}
        self._dropped: list[Dropped] = []
        self._context: str | None = None
        self._pattern: str | None = None
        self._number: int | None = None

    def drop(self, line: int, why: str) -> None:
        self._dropped.append(Dropped(line, why))

    def section(self, section: Section) -> None:
        self._context, self._pattern, self._number = section.name, None, None
        self._lines.setdefault(section.name, section.line)
        self._extensions.setdefault(section.name, {})
        self._includes.setdefault(section.name, [])
        self._switches.setdefault(section.name, [])
        if section.options:
            self.drop(
                section.line, f"[{section.name}]{section.options}: a template or an addition to another section"
            )

    def assignment(self, assignment: Assignment) -> None:
        key = assignment.key.lower()
        if assignment.appends:
            self.drop(assignment.line, f"{assignment.key} += goes on with another line")
        elif self._context is None:
            self.drop(assignment.line, f"{assignment.key} stands before the first [section]")
        elif key == "exten":
            pattern, _, rest = assignment.value.partition(",")
            if pattern.strip() != self._pattern:
                self._pattern, self._number = pattern.strip(), None
            self._step(self._context, assignment.line, rest)
        elif key.startswith("same"):
            self._step(self._context, assignment.line, assignment.value)
        elif key == "include":
            self._includes[self._context].append(Include(assignment.value, assignment.line))
        elif key == "switch":
            self._switches[self._context].append(Switch(assignment.value, assignment.line))
        else:
            keys = "exten, same, include, switch"
            self.drop(assignment.line, f"{assignment.key} is not a key that this dialplan uses ({keys})")

    def _step(self, context: str, line: int, text: str) -> None:
        priority, _, call = text.partition(",")
        number, label, why = self._priority(priority.strip())
        if self._pattern is None:
            self.drop(line, "same => without an exten => before it")
        elif number is None:
            self.drop(line, why)
        elif number in (taken := self._extensions[context].setdefault(self._pattern, {})):
            self.drop(line, f"priority {number} of {self._pattern} is there already, in line {taken[number].line}")
            self._number = number
        else:
            application, arguments = application_of(call)
            taken[number] = Priority(number, application, arguments, label, line)
            self._number = number

    def _priority(self, text: str) -> tuple[int | None, str | None, str]:
        """The number, the label, and why there is no number."""
        match = PRIORITY.fullmatch(text)
        if match is None:
            return None, None, f"{text!r} is not a priority"
        if match["number"].isdigit():
            number = int(match["number"])
        elif self._number is None:
            return None, None, f"priority {text!r} is the first one of its extension: it has to be a number"
        else:
            number = self._number + (1 if match["number"] in "nN" else 0)
        return number + int(match["plus"] or 0), match["label"], ""

    def dialplan(self) -> Dialplan:
        return Dialplan(
            contexts=tuple(
                Context(
                    name,
                    tuple(
                        Extension(pattern, tuple(priority for _, priority in sorted(priorities.items())))
                        for pattern, priorities in extensions.items()
                    ),
                    tuple(self._includes[name]),
                    tuple(self._switches[name]),
                    self._lines[name],
                )
                for name, extensions in self._extensions.items()
            ),
            dropped=tuple(self._dropped),
        )


def application_of(call: str) -> tuple[str, str]:
    """The application and its arguments: from the first ``(`` to the LAST ``)``; without one, to the end."""
    application, _, rest = call.strip().partition("(")
    arguments, closing, _ = rest.rpartition(")")
    return application.strip(), arguments if closing else rest
