"""Reads configuration files as Asterisk does (main/config.c): templates, sections that go on, includes, comments.

``[a](!)`` is a template, ``[b](a)`` begins with all lines of ``a``, ``[b](+)`` goes on with a ``b`` that was there.
What is not understood is left out and told with its line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

MAX_DEPTH = 10
"""Files that include one another (MAX_INCLUDE_LEVEL, config.c)."""

_SECTION = re.compile(r"\[(?P<name>[^\]]+)\]\s*(?:\((?P<marks>[^)]*)\))?")
_INCLUDE = re.compile(r"#(?P<try>try)?include\s+[\"<]?(?P<path>[^\">]+?)[\">]?\s*$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a section.

    Parameters:
        where: file and number, for people.
        name: in lower case.
        value: without the comment.
    """

    where: str
    name: str
    value: str


@dataclass(slots=True, eq=False)
class Section:
    """A section, with what it took from its templates first.

    Parameters:
        name: as it stands there.
        where: file and number, for people.
        is_template: whether it is none by itself.
        lines: in their order.
    """

    name: str
    where: str
    is_template: bool
    lines: list[Line] = field(default_factory=list)

    def last(self, name: str) -> str | None:
        """Return the value that counts where one may stand; None without any."""
        return next((line.value for line in reversed(self.lines) if line.name == name), None)

    def values(self, name: str) -> list[str]:
        """Return all values of a name."""
        return [line.value for line in self.lines if line.name == name]


@dataclass(frozen=True, slots=True)
class Reading:
    """What a file says.

    Parameters:
        sections: in their order, templates too.
        notes: what was not understood, each with its file and line.
    """

    sections: Sequence[Section]
    notes: Sequence[str]


def read(folder: Path, name: str) -> Reading:
    """Read a file of Asterisk's configuration and what it includes.

    Parameters:
        folder: the configuration, which includes begin from.
        name: of the file.

    Raises:
        OSError: it cannot be read. An include that cannot be is told as a note.
    """
    sections: list[Section] = []
    known: dict[str, Section] = {}
    notes: list[str] = []
    section: Section | None = None
    seen: set[int] = set()
    for where, text in _lines(folder, folder / name, 0, notes):
        heading = _SECTION.match(text)
        if heading is not None:
            section = _opened(heading, where, known, notes)
            if id(section) not in seen:
                seen.add(id(section))
                sections.append(section)
            continue
        key, sign, value = text.partition("=")
        if not sign or not key.strip():
            notes.append(f"{where}: no name and value")
        elif key.rstrip().endswith("+"):
            notes.append(f"{where}: += is not understood")
        elif section is None:
            notes.append(f"{where}: stands in no section")
        else:
            value = value.removeprefix(">").strip().replace("\\;", ";")
            section.lines.append(Line(where, key.strip().lower(), value))
    return Reading(sections, notes)


def _opened(heading: re.Match[str], where: str, known: dict[str, Section], notes: list[str]) -> Section:
    name = heading["name"]
    marks = [mark.strip() for mark in (heading["marks"] or "").split(",") if mark.strip()]
    if "+" in marks and name in known:
        return known[name]
    if "+" in marks:
        notes.append(f"{where}: there is no [{name}] that this could go on with; Asterisk refuses the whole file")
    section = Section(name, where, "!" in marks)
    for mark in marks:
        if mark in known:
            section.lines += known[mark].lines
        elif mark not in "!+":
            notes.append(
                f"{where}: [{name}] is made from [{mark}], which is not there; Asterisk refuses the whole file"
            )
    known[name] = section
    return section


def _lines(folder: Path, path: Path, depth: int, notes: list[str]) -> Iterator[tuple[str, str]]:
    text = _without_block_comments(path.read_text(encoding="utf-8-sig", errors="replace"))
    for number, raw in enumerate(text.splitlines(), start=1):
        where = f"{path}:{number}"
        line = re.split(r"(?<!\\);", raw, maxsplit=1)[0].strip()
        include = _INCLUDE.match(line)
        if include is not None:
            yield from _included(folder, include, where, depth, notes)
        elif line.startswith("#"):
            notes.append(f"{where}: {line.split()[0]} is not followed")
        elif line:
            yield where, line


def _included(
    folder: Path, include: re.Match[str], where: str, depth: int, notes: list[str]
) -> Iterator[tuple[str, str]]:
    wanted = Path(include["path"])
    base, pattern = (Path("/"), str(wanted)[1:]) if wanted.is_absolute() else (folder, str(wanted))
    found = sorted(base.glob(pattern)) if pattern else []
    if depth >= MAX_DEPTH:
        notes.append(f"{where}: files include one another without an end")
        return
    if not found and not include["try"]:
        notes.append(f"{where}: {wanted} is not there")
    for other in found:
        try:
            yield from _lines(folder, other, depth + 1, notes)
        except OSError as error:
            notes.append(f"{where}: {other}: {error.strerror}")


def _without_block_comments(text: str) -> str:
    """``;--`` opens one and ``--;`` ends it; a semicolon and more dashes do not. Lines keep their numbers."""

    def blank(match: re.Match[str]) -> str:
        return "\n" * match[0].count("\n")

    return re.sub(r";--(?!-).*?(?:--;|\Z)", blank, text, flags=re.DOTALL)
