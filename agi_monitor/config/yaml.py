"""YAML, read as text and with the line of everything, and written.

``1001`` and ``"1001"`` are the same extension, and ``0100`` stays ``0100``.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    Event,
    MappingEndEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
)

from agi_monitor.errors import ConfigError

MAX_BYTES = 16_777_216
"""Ten thousand people fit into 3 MiB."""

MAX_NODES = 250_000
"""Aliases of aliases grow without end. Ten thousand people have about 150,000 values."""

MAX_DEPTH = 20
"""A configuration is nested six deep."""

NOT_NEEDED = "is not YAML that a configuration needs"

_WORD = re.compile(r"[\w.@+-]{1,60}")
"""A key that is shown; all that a configuration needs are words."""

Path_ = tuple[str | int, ...]


def read(path: Path) -> bytes:
    """Return what a file holds, and no more of it than is needed to see that it is too much.

    Parameters:
        path: a file, or a link to one. A FIFO or a device is refused: it may never end, or not even begin.

    Raises:
        OSError: it cannot be read.
    """
    # O_NONBLOCK: opening a FIFO without a writer would wait.
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    try:
        mode = os.fstat(descriptor).st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            raise OSError(errno.EINVAL, "It is not a regular file")
        content = bytearray()
        while len(content) <= MAX_BYTES and (piece := os.read(descriptor, MAX_BYTES + 1 - len(content))):
            content += piece
        return bytes(content)
    finally:
        os.close(descriptor)


@dataclass(frozen=True, slots=True)
class Parsed:
    """A document as YAML says it, not yet checked.

    Parameters:
        tree: mappings, lists and texts; None where nothing is said.
        lines: where each of them begins.
    """

    tree: object
    lines: Mapping[Path_, int] = field(default_factory=dict)


def parsed(content: bytes, name: str) -> Parsed:
    """Read a document.

    Parameters:
        content: UTF-8.
        name: for the messages.

    Raises:
        ConfigError: it is not YAML, or more of it than a configuration needs.
    """
    lines: dict[Path_, int] = {}
    try:
        return Parsed(_tree(content, lines), lines)
    except _Unreadable as error:
        raise ConfigError(f"{name}:{error.line}: {error.problem}") from None


def place(where: Path_) -> str:
    """Return a place in a document as people write it, such as ``rules[2].when``."""
    parts = [f"[{part}]" if isinstance(part, int) else f".{shown(part)}" for part in where if part != "[key]"]
    return "".join(parts).removeprefix(".") or "the file"


def shown(key: str) -> str:
    """Return a key as it is shown, or what stands for it when it is not a word.

    A key may be any text, or a line of a file that is not a document: no line break of it makes a line of a
    log, no ESC reaches a console, and no secret of another file is repeated.

    Parameters:
        key: of a document.
    """
    return key if _WORD.fullmatch(key) else "(not a word)"


def text(tree: object) -> str:
    """Return a document as YAML: mappings, lists and texts, in their order."""
    out = StringIO()
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    yaml.allow_unicode = True
    yaml.width = 118
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]  # typed as what it is by default
    yaml.dump(tree, out)
    return out.getvalue()


# ---- YAML, with lines ----------------------------------------------------------------------------------


class _Unreadable(Exception):
    def __init__(self, line: int, problem: str) -> None:
        super().__init__(problem)
        self.line = line
        self.problem = problem


@dataclass(slots=True, eq=False)
class _Scalar:
    line: int
    text: str
    is_null: bool


@dataclass(slots=True, eq=False)
class _Sequence:
    line: int
    items: list[_Node]


@dataclass(slots=True, eq=False)
class _Mapping:
    line: int
    pairs: list[tuple[_Node, _Node]]


_Node = _Scalar | _Sequence | _Mapping


def _tree(content: bytes, lines: dict[Path_, int]) -> object:
    if len(content) > MAX_BYTES:
        raise _Unreadable(1, f"is larger than {MAX_BYTES} bytes")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _Unreadable(content[: error.start].count(b"\n") + 1, "is not UTF-8") from None
    try:
        node = _Composer(YAML(typ="safe", pure=True).parse(text)).document()
    except YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or "is not YAML"
        raise _Unreadable(mark.line + 1 if mark else 1, _without_values(str(problem))) from None
    except _Unreadable:
        raise
    except Exception:
        # ruamel.yaml lets through whatever its own code trips over, such as ValueError for characters that do not
        # exist.
        raise _Unreadable(1, NOT_NEEDED) from None
    return _Reader(lines).value(node, ()) if node is not None else None


def _without_values(problem: str) -> str:
    """What ruamel.yaml says, without what stands in the file: it may be a secret that begins with * or !."""
    if problem.startswith("found undefined alias"):
        return "found undefined alias: a text that begins with * needs quotes"
    if r"'\t'" in problem:
        return "a tab at the beginning: YAML takes spaces only"
    if "codec" in problem:
        return NOT_NEEDED
    return _QUOTED.sub(lambda quoted: quoted[0] if _SIGN.fullmatch(quoted[0][1:-1]) else "another text", problem)


_QUOTED = re.compile(r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\"""")
_SIGN = re.compile(r"<[a-z ]+>|[][{},:?&*!|>'\"%@`# -]|\\[tnr]|\\x00")
"""What YAML calls its tokens, one sign, or what cannot be seen."""


class _Composer:
    """Makes nodes of the events of one document, no more and no deeper than a configuration has.

    ruamel.yaml has a composer of its own, which bounds neither, and prints the lines of the file when an anchor
    stands there twice.

    Parameters:
        events: of ruamel.yaml, in their order.
    """

    def __init__(self, events: Iterator[Event]) -> None:
        self._events = events
        self._anchors: dict[str, _Node] = {}
        self._count = 0

    def document(self) -> _Node | None:
        """Return the only document; None when there is none."""
        next(self._events)  # the start of the stream
        start = next(self._events)
        if isinstance(start, StreamEndEvent):
            return None
        if getattr(start, "version", None) not in (None, (1, 1), (1, 2)):
            raise _Unreadable(_line_of(start), NOT_NEEDED)
        node = self._node(next(self._events), 0)
        next(self._events)  # the end of the document
        end = next(self._events)
        if not isinstance(end, StreamEndEvent):
            raise _Unreadable(_line_of(end), "but found another document")
        return node

    def _node(self, event: Event, depth: int) -> _Node:
        line = _line_of(event)
        if isinstance(event, AliasEvent):
            if event.anchor not in self._anchors:
                raise _Unreadable(line, _without_values("found undefined alias"))
            return self._anchors[event.anchor]
        self._count += 1
        if self._count > MAX_NODES:
            raise _Unreadable(line, f"has more than {MAX_NODES} values")
        if depth > MAX_DEPTH:
            raise _Unreadable(line, "is nested more deeply than a configuration is")
        if isinstance(event, ScalarEvent):
            scalar = _Scalar(line, event.value, _is_null(event))
            return self._named(event, scalar)
        if isinstance(event, SequenceStartEvent):
            sequence = _Sequence(line, [])
            self._named(event, sequence)
            while not isinstance(item := next(self._events), SequenceEndEvent):
                sequence.items.append(self._node(item, depth + 1))
            return sequence
        mapping = _Mapping(line, [])
        self._named(event, mapping)
        while not isinstance(key := next(self._events), MappingEndEvent):
            # A key that is not a word is refused later; until then it is as deep as it looks.
            key_node = self._node(key, depth if isinstance(key, ScalarEvent) else depth + 1)
            mapping.pairs.append((key_node, self._node(next(self._events), depth + 1)))
        return mapping

    def _named(self, event: Event, node: _Node) -> _Node:
        anchor = getattr(event, "anchor", None)
        if anchor is not None:
            self._anchors[anchor] = node
        return node


def _line_of(event: Event) -> int:
    return int(event.start_mark.line) + 1


def _is_null(event: ScalarEvent) -> bool:
    # What says nothing, by itself or by its tag. In quotes it is a text.
    if event.tag not in (None, "!"):
        return event.style is None and str(event.tag).endswith(":null")
    return bool(event.implicit[0]) and event.value in ("", "~", "null", "Null", "NULL")


class _Reader:
    """Turns nodes into dicts, lists and texts, and notes the line of each."""

    def __init__(self, lines: dict[Path_, int]) -> None:
        self._lines = lines
        self._open: set[int] = set()
        self._count = 0

    def value(self, node: _Node, where: Path_) -> object:
        self._lines.setdefault(where, node.line)
        self._count += 1
        if self._count > MAX_NODES or id(node) in self._open or len(where) > MAX_DEPTH:
            raise _Unreadable(node.line, "aliases make this endless")
        if isinstance(node, _Scalar):
            return None if node.is_null else node.text
        self._open.add(id(node))
        try:
            if isinstance(node, _Sequence):
                return [self.value(item, (*where, position)) for position, item in enumerate(node.items)]
            return self._mapping(node, where)
        finally:
            self._open.discard(id(node))

    def _mapping(self, node: _Mapping, where: Path_) -> dict[str, object]:
        mapping: dict[str, object] = {}
        for key_node, value_node in node.pairs:
            if not isinstance(key_node, _Scalar):
                raise _Unreadable(key_node.line, "a key must be one word")
            key = key_node.text
            if key in mapping:
                raise _Unreadable(
                    key_node.line, f"{place((*where, key))}: is here twice, first in line {self._lines[*where, key]}"
                )
            self._lines[*where, key] = key_node.line
            mapping[key] = self.value(value_node, (*where, key))
        return mapping
