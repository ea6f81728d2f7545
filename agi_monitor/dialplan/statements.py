"""The grammar of every Asterisk configuration file (main/config.c, config_text_file_load and process_text_line).

A line is cut at the first ``;`` that no backslash stands before. ``;--`` opens a comment that goes on until ``--;``,
over many lines and nested; ``;---`` opens none. What is left is a section, a directive, or a key and its value.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Section:
    """``[name]`` or ``[name](options)``."""

    line: int
    name: str
    options: str = ""


@dataclass(frozen=True, slots=True)
class Assignment:
    """``key => value`` or ``key = value``, which are the same to Asterisk."""

    line: int
    key: str
    value: str


@dataclass(frozen=True, slots=True)
class Directive:
    """``#include`` and its like."""

    line: int
    text: str


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A line that is none of these. Asterisk warns and goes on; for a bad section it refuses the whole file, and
    behind a backslash that escapes nothing it reads no further."""

    line: int
    text: str


END = "\0"
"""Where a line ends for Asterisk, which reads C strings."""

Statement = Section | Assignment | Directive | Unreadable


def statements(text: str) -> Iterator[Statement]:
    """The statements of a file in their order, each with its line number (from 1).

    A backslash at the beginning escapes the next character; before a space, the line's end or a character outside
    of ASCII it makes Asterisk give up, and what was read so far stays (process_text_line: "Invalid escape").
    """
    depth = 0
    for number, raw in enumerate(text.split("\n"), start=1):
        visible, depth = without_comments(raw, depth)
        line = visible.strip()
        if line.startswith("\\") and not "!" <= line[1:2] <= "~":
            yield Unreadable(number, line)
            return
        if line:
            yield statement(number, line)


def statement(number: int, line: str) -> Statement:
    """What one line says, its comments and outer spaces taken away."""
    if line.startswith("["):
        name, closing, options = line[1:].partition("]")
        return Section(number, name, options.strip()) if closing else Unreadable(number, line)
    if line.startswith("#"):
        return Directive(number, line)
    key, equals, value = line.removeprefix("\\").partition("=")
    if not equals:
        return Unreadable(number, line)
    return Assignment(number, key.strip(), value.removeprefix(">").strip())


def without_comments(raw: str, depth: int) -> tuple[str, int]:
    """The part of a line that Asterisk reads, and how many block comments are open after it.

    This follows Asterisk step by step, its mistakes included: ``--;`` outside of a block comment closes one that was
    never opened, so that the count is -1 and nothing of the rest of the file is read.

    Parameters:
        raw: the line.
        depth: how many block comments are open before it.
    """
    text = raw
    begin = 0 if depth == 0 else None
    place = 0
    while (semicolon := text.find(";", place)) >= 0:
        behind = text[semicolon + 1 :]
        if semicolon > place and text[semicolon - 1] == "\\":
            # An escaped semicolon: the backslash goes, the semicolon stays.
            text, place = text[: semicolon - 1] + text[semicolon:], semicolon
        elif behind.startswith("--") and not behind.startswith("---"):
            # What was read so far ends here, unless the comment ends in this line as well.
            text, place, depth = text[:semicolon] + END + behind, semicolon + 3, depth + 1
        elif semicolon >= place + 2 and text[semicolon - 2 : semicolon] == "--":
            depth -= 1
            place = semicolon + 1
            if depth == 0 and begin is None:
                begin = place
            elif depth == 0 and begin is not None:
                read = text[begin:].partition(END)[0]
                text, place = text[:begin] + read + behind, begin + len(read)
        elif depth == 0:
            text = text[:semicolon] + END
        else:
            place = semicolon + 1
    return ("" if begin is None else text[begin:].partition(END)[0]), depth
