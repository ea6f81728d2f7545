"""The grammar of every Asterisk configuration file (main/config.c, config_text_file_load and process_text_line).

A line is cut at the first ``;`` without a backslash before it. ``;--`` opens a comment that lasts until ``--;``, over
many lines and nested; ``;---`` opens none. What is left is a section, a directive, or a key and its value.

This is the only reader of that grammar here: ``parse`` makes a dialplan of its statements, ``conf_files`` follows
templates and includes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Section:
    """``[name]`` or ``[name](options)``.

    Parameters:
        line: its number, from 1.
        name: what stands between the brackets.
        options: what stands after them. Asterisk looks at it only when it begins with the ``(``, without a space.
    """

    line: int
    name: str
    options: str = ""


@dataclass(frozen=True, slots=True)
class Assignment:
    """``key => value`` or ``key = value``, which are the same to Asterisk.

    Parameters:
        line: its number, from 1.
        key: as written; may be empty, which Asterisk leaves out with a warning.
        value: as written, without the spaces around it.
        appends: whether it is ``key += value``, which continues the last value of the key in the section. The spaces
            before the value then belong to it.
    """

    line: int
    key: str
    value: str
    appends: bool = False


@dataclass(frozen=True, slots=True)
class Directive:
    """``#include`` and similar lines."""

    line: int
    text: str


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Any other line.

    Parameters:
        line: its number, from 1.
        text: the line; empty if it is too long.
        ends: whether Asterisk reads the file no further. Without it, Asterisk warns and leaves the line out.
        reason: for people.
    """

    line: int
    text: str
    ends: bool = False
    reason: str = field(default="no name and value", compare=False)


MAX_LINE_BYTES = 8_191
"""A longer line is skipped with a warning; the line feed counts (config_text_file_load: buf[8192])."""

MAX_NESTED = 128
"""Comments in comments (MAX_NESTED_COMMENTS). Asterisk hangs at one more; here it opens nothing."""

BLANKS = "".join(map(chr, range(1, 33)))
"""What Asterisk takes away around a text (strings.h, ast_strip): no other space of Unicode."""

Statement = Section | Assignment | Directive | Unreadable


class Reader:
    """Reads files as one call of config_text_file_load does: a comment stays open over the files of a pattern."""

    def __init__(self) -> None:
        self._depth = 0
        self._is_first = True

    def statements(self, text: str) -> Iterator[Statement]:
        """Yield the statements of a file in their order.

        Parameters:
            text: of the file.
        """
        for number, line in enumerate(_split(text), start=1):
            is_short = len(line) * 4 < MAX_LINE_BYTES and "\0" not in line
            for raw in (line,) if is_short else _as_read(line):
                if raw is None:
                    yield Unreadable(number, "", reason=f"has {MAX_LINE_BYTES} bytes or more: Asterisk skips it")
                    continue
                if self._is_first:
                    # A byte order mark is taken away in the first line that was read, and nowhere else.
                    raw = raw.removeprefix("\ufeff")
                    self._is_first = False
                visible, self._depth = without_comments(raw, self._depth)
                if stripped := visible.strip(BLANKS):
                    yield statement(number, stripped)
        # Its end counts as a line: behind an empty file, no mark is taken away either.
        self._is_first = False


def statements(text: str) -> Iterator[Statement]:
    """Yield the statements of a file in their order, up to the one after which Asterisk reads no further.

    Parameters:
        text: of the file.
    """
    for found in Reader().statements(text):
        yield found
        if isinstance(found, Unreadable) and found.ends:
            return


def _split(text: str) -> Iterator[str]:
    """The lines with their ends, one after the other: a list of them would be many times as large as the text."""
    begin = 0
    while begin < len(text):
        end = text.find("\n", begin) + 1 or len(text)
        yield text[begin:end]
        begin = end


def _as_read(line: str) -> Iterator[str | None]:
    """What fgets makes of a line: a text ends at a NUL, and None stands for one that is too long."""
    data = line.encode("utf-8", "surrogatepass")
    is_skipped = False
    for begin in range(0, len(data), MAX_LINE_BYTES):
        part = data[begin : begin + MAX_LINE_BYTES]
        is_cut = len(part) == MAX_LINE_BYTES and b"\0" not in part and not part.endswith(b"\n")
        if is_cut and not is_skipped:
            yield None
        elif not is_cut and not is_skipped:
            yield part.partition(b"\0")[0].decode("utf-8", "replace")
        # What is behind a part that was too long is skipped with it, up to the first that is not.
        is_skipped = is_cut


def statement(number: int, line: str) -> Statement:
    """Return what one line says (process_text_line).

    Parameters:
        number: of the line.
        line: without its comments and outer spaces.
    """
    if line.startswith("["):
        name, closing, options = line[1:].partition("]")
        return Section(number, name, options) if closing else Unreadable(number, line, True, "a [ without its ]")
    if line.startswith("#"):
        return Directive(number, line)
    # A backslash at the beginning escapes the next character, so that it is neither a section nor a directive.
    is_escaped = line.startswith("\\")
    line = line[1:] if is_escaped else line
    if is_escaped and not "!" <= line[:1] <= "~":
        return Unreadable(number, f"\\{line}", True, "a backslash that escapes nothing")
    equals = line.find("=", 1 if is_escaped else 0)
    if equals < 0:
        return Unreadable(number, line)
    appends = equals > is_escaped and line[equals - 1] == "+"
    key, value = line[: equals - appends], line[equals + 1 :]
    value = value.rstrip(BLANKS) if appends else value.removeprefix(">").strip(BLANKS)
    return Assignment(number, key.strip(BLANKS), value, appends)


def without_comments(raw: str, depth: int) -> tuple[str, int]:
    """Return the part of a line that Asterisk reads, and how many block comments are open after it.

    This follows Asterisk step by step, its mistakes included: ``--;`` outside of a block comment closes one that was
    never opened, so that the count is -1 and nothing of the rest of the file is read.

    Parameters:
        raw: the line.
        depth: how many block comments are open before it.
    """
    if ";" not in raw:
        return ("" if depth else raw), depth
    shown: list[str] = []
    is_read, is_cut = depth == 0, False
    # What stands from ``begin`` on was not taken yet; Asterisk looks back from a semicolon no further than ``place``.
    begin = place = 0
    while (semicolon := raw.find(";", place)) >= 0:
        if semicolon > place and raw[semicolon - 1] == "\\":
            # An escaped semicolon: the backslash goes, the semicolon stays.
            if is_read and not is_cut:
                shown.append(raw[begin : semicolon - 1] + ";")
            begin = place = semicolon + 1
        elif raw.startswith("--", semicolon + 1) and not raw.startswith("-", semicolon + 3):
            if depth >= MAX_NESTED:
                place = semicolon + 3
                continue
            # What was read so far ends here, unless the comment ends in this line as well.
            if is_read and not is_cut:
                shown.append(raw[begin:semicolon])
                is_cut = True
            depth += 1
            place = semicolon + 3
        elif semicolon >= place + 2 and raw.startswith("--", semicolon - 2):
            depth -= 1
            place = semicolon + 1
            if depth == 0:
                is_read, is_cut = True, False
                begin = place
        elif depth == 0:
            if is_read and not is_cut:
                shown.append(raw[begin:semicolon])
            is_cut = True
            break
        else:
            place = semicolon + 1
    if is_read and not is_cut:
        shown.append(raw[begin:])
    return "".join(shown), depth
