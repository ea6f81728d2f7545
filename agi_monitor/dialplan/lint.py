"""Checks the text of a dialplan before it is written, also the text that a site's own template made.

Asterisk drops a bad line with a warning and loads the rest; ``dialplan reload`` reports success all the same. So each
of these rules stands for a mistake that would go unnoticed until a call goes wrong.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from agi_monitor.dialplan.filters import MAX_SECTION_BYTES, SUBSTITUTIONS, is_control
from agi_monitor.dialplan.parse import Context, Dialplan, Extension, Priority, parse
from agi_monitor.dialplan.statements import MAX_LINE_BYTES, without_comments

LAST_APPLICATIONS = frozenset({"hangup", "goto"})
"""After anything else the call would continue with what autofallthrough or another context makes of it."""

SPYING = re.compile(r"(chan|exten)spy|dahdiscan", re.IGNORECASE)
"""Also inside of arguments: ExecIf and its like run an application by its name. Asterisk ignores case in names."""

BRACKETS = {")": "(", "]": "[", "}": "{"}


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with one line.

    Parameters:
        line: its number, from 1.
        text: for people, with the way to fix it.
    """

    line: int
    text: str


@dataclass(frozen=True, slots=True)
class Source:
    """A text and what Asterisk makes of it.

    Parameters:
        text: as it stands in the file.
        dialplan: what it means.
        foreign: contexts of other files that may be included, and switches that may be used.
    """

    text: str
    dialplan: Dialplan
    foreign: frozenset[str] = frozenset()

    @property
    def lines(self) -> Iterator[str]:
        """Its lines, one after the other: a large site has many."""
        for line in io.StringIO(self.text, newline="\n"):
            yield line.removesuffix("\n")

    @property
    def visible(self) -> Iterator[str]:
        """The same lines without their comments."""
        for line in self.lines:
            yield without_comments(line, 0)[0]

    def extensions(self) -> Iterator[tuple[str, Extension]]:
        """Every extension with the name of its context."""
        for context in self.dialplan.contexts:
            for extension in context.extensions:
                yield context.name, extension

    def priorities(self) -> Iterator[Priority]:
        """Every priority of every extension."""
        for _, extension in self.extensions():
            yield from extension.priorities


def lint(text: str, foreign: frozenset[str] = frozenset()) -> tuple[Problem, ...]:
    """Everything that is wrong with this text, in the order of its lines; empty when it may be written.

    Parameters:
        text: of the dialplan.
        foreign: contexts of other files that it may include, and switches that it may use.
    """
    source = replace(source_of(text), foreign=foreign)
    problems = [problem for rule in RULES for problem in rule(source)]
    return tuple(sorted(problems, key=lambda problem: problem.line))


def source_of(text: str) -> Source:
    """This text, and what it means."""
    return Source(text, parse(text))


def control_characters(source: Source) -> Iterator[Problem]:
    """A control character begins a new line, hides, or turns the text around it. A tab is an ordinary space."""
    for number, line in enumerate(source.lines, start=1):
        for character in line:
            if is_control(character) and character != "\t":
                yield Problem(number, f"control character U+{ord(character):04X}: leave it out")


def long_lines(source: Source) -> Iterator[Problem]:
    """Asterisk skips a line that is too long."""
    for number, line in enumerate(source.lines, start=1):
        # A surrogate cannot be encoded; it is a control character and reported as such.
        if len(line.encode("utf-8", "surrogatepass")) >= MAX_LINE_BYTES:
            yield Problem(number, f"{MAX_LINE_BYTES} bytes or more: Asterisk would skip the line; cut it")


def block_comments(source: Source) -> Iterator[Problem]:
    """An open block comment eats the rest of the file with no more than a warning; so does an end without a start."""
    for number, line in enumerate(source.lines, start=1):
        if re.search(r"(?<!\\);--(?!-)", line):
            yield Problem(number, "';--' opens a comment over many lines: put a space after the semicolon")
        elif without_comments(line, 0)[1] < 0:
            yield Problem(
                number, "'--;' outside of a comment hides the rest of the file: put a space before the semicolon"
            )


def unbalanced(source: Source) -> Iterator[Problem]:
    """One missing parenthesis moves the end of the arguments, and Asterisk only warns."""
    for number, line in enumerate(source.visible, start=1):
        if not is_balanced(line):
            yield Problem(number, "parentheses or brackets do not match: count them")
        if line.count('"') % 2:
            yield Problem(number, "a quotation mark without its partner: close it")


def dropped_lines(source: Source) -> Iterator[Problem]:
    """What Asterisk would leave out: unknown keys, duplicate priorities, no sections and so on."""
    for dropped in source.dialplan.dropped:
        yield Problem(dropped.line, dropped.why)


def long_section_names(source: Source) -> Iterator[Problem]:
    """Asterisk cuts the name of a section, so that two contexts could become one."""
    for context in source.dialplan.contexts:
        if len(context.name.encode("utf-8", "surrogatepass")) > MAX_SECTION_BYTES:
            yield Problem(context.line, f"the context's name has more than {MAX_SECTION_BYTES} bytes: shorten it")


def general_sections(source: Source) -> Iterator[Problem]:
    """[general] and [globals] are settings of the whole PBX and belong into the site's own file."""
    for context in source.dialplan.contexts:
        if context.name.lower() in ("general", "globals"):
            yield Problem(context.line, f"[{context.name}] changes the whole PBX: move it into extensions.conf")


def substituted_patterns(source: Source) -> Iterator[Problem]:
    """Asterisk evaluates the pattern while it loads the file, dangerous functions such as SHELL() included."""
    for _, extension in source.extensions():
        if any(opening in extension.pattern for opening in SUBSTITUTIONS):
            yield Problem(first_line(extension), "'${' or '$[' in an extension runs at load time: write it out")


def foreign_includes(source: Source) -> Iterator[Problem]:
    """A caller who reaches this file's contexts would reach the included one as well."""
    known = {context.name for context in source.dialplan.contexts} | source.foreign
    for context in source.dialplan.contexts:
        for include in context.includes:
            if include.context not in known:
                yield Problem(include.line, f"includes {include.context}, a context of another file: leave it out")
        for switch in context.switches:
            if switch.where not in source.foreign:
                yield Problem(switch.line, f"switch to {switch.where}, which was not checked: leave it out")


def spying_applications(source: Source) -> Iterator[Problem]:
    """Only the server runs ChanSpy, after its decision."""
    for priority in source.priorities():
        if SPYING.search(priority.application) or SPYING.search(priority.arguments):
            yield Problem(
                priority.line,
                "an application that spies stands in the dialplan: without the server, or after its crash, the call"
                " would reach it unauthorized (AGI goes on with the next priority); leave it to the server",
            )


def missing_applications(source: Source) -> Iterator[Problem]:
    """A priority without an application ends the call with an error in the log."""
    for priority in source.priorities():
        if not re.fullmatch(r"\w+", priority.application):
            yield Problem(priority.line, f"{priority.application!r} is not an application: write App(arguments)")


def gaps(source: Source) -> Iterator[Problem]:
    """An extension begins at priority 1; at a gap, the call ends or falls through."""
    for _, extension in source.extensions():
        for place, priority in enumerate(extension.priorities, start=1):
            if priority.number != place:
                yield Problem(priority.line, f"priority {priority.number} of {extension.pattern} should be {place}")
                break


def labelled_twice(source: Source) -> Iterator[Problem]:
    """Asterisk takes the second label of the same name away, with no more than a warning (pbx.c)."""
    for _, extension in source.extensions():
        first: dict[str, int] = {}
        for priority in extension.priorities:
            if priority.label and first.setdefault(priority.label, priority.line) != priority.line:
                where = f"stands in line {first[priority.label]} already"
                yield Problem(priority.line, f"the label {priority.label} of {extension.pattern} {where}")


def open_ends(source: Source) -> Iterator[Problem]:
    """Every extension ends the call or sends it on."""
    for _, extension in source.extensions():
        if extension.priorities and extension.priorities[-1].application.lower() not in LAST_APPLICATIONS:
            last = extension.priorities[-1]
            yield Problem(last.line, f"{extension.pattern} ends with {last.application}: add Hangup() after it")


def sound_after_agi(source: Source) -> Iterator[Problem]:
    """AGI continues with the next priority whatever happened to the server: that must be Hangup."""
    for _, extension in source.extensions():
        for priority, following in zip(extension.priorities, extension.priorities[1:], strict=False):
            if priority.application.lower() == "agi" and following.application.lower() != "hangup":
                yield Problem(
                    following.line,
                    f"{following.application} follows AGI: a server that is not there would count as a"
                    " yes; put Hangup() there",
                )


def open_transfers(source: Source) -> Iterator[Problem]:
    """A phone that may transfer its call can hand what it hears to any other (res_pjsip_refer.c)."""
    empty = {context.name for context in source.dialplan.contexts if is_empty(context)}
    for _, extension in source.extensions():
        given: dict[str, str] = {}
        for priority in extension.priorities:
            application = priority.application.lower()
            if application == "set":
                name, _, value = priority.arguments.partition("=")
                given[name.strip()] = value.strip()
            if application == "agi" and given.get("TRANSFER_CONTEXT") not in empty:
                text = (
                    "the call could be transferred to another phone: put Set(TRANSFER_CONTEXT=...) before AGI, with a"
                    " context of this file that has nothing in it"
                )
                yield Problem(priority.line, text)
            if application == "agi" and given.get("DYNAMIC_FEATURES") != "":
                text = "one-touch keys would work during the call: put Set(DYNAMIC_FEATURES=) before AGI"
                yield Problem(priority.line, text)


def is_empty(context: Context) -> bool:
    """Whether nothing can be reached in a context."""
    return not (context.extensions or context.includes or context.switches)


def two_meanings(source: Source) -> Iterator[Problem]:
    """A dialled code leads to the same place from every context; ending the call does not count as a second
    meaning."""
    meanings: dict[str, tuple[str, str]] = {}
    for context, extension in source.extensions():
        for first in extension.priorities[:1]:
            if first.application.lower() == "hangup":
                continue
            meaning = f"{first.application.lower()}({first.arguments})"
            where, known = meanings.setdefault(extension.pattern, (context, meaning))
            if known != meaning:
                yield Problem(
                    first.line, f"{extension.pattern} means something else in [{where}]: let both do the same"
                )


RULES: tuple[Callable[[Source], Iterator[Problem]], ...] = (
    control_characters,
    long_lines,
    block_comments,
    unbalanced,
    dropped_lines,
    long_section_names,
    general_sections,
    substituted_patterns,
    foreign_includes,
    spying_applications,
    missing_applications,
    gaps,
    labelled_twice,
    open_ends,
    sound_after_agi,
    open_transfers,
    two_meanings,
)


def is_balanced(line: str) -> bool:
    """Whether every bracket of a line is closed by its own kind, in order."""
    openings: list[str] = []
    for character in line:
        if character in "([{":
            openings.append(character)
        elif character in BRACKETS and (not openings or openings.pop() != BRACKETS[character]):
            return False
    return not openings


def first_line(extension: Extension) -> int:
    """Where an extension begins."""
    return extension.priorities[0].line if extension.priorities else 0
