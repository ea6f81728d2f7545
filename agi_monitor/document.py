"""Documents in YAML, read as text and checked as a whole. Every problem names its key and its line.

``1001`` and ``"1001"`` are the same extension, and ``0100`` stays ``0100``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from io import StringIO
from typing import TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from agi_monitor.errors import ConfigError

MAX_BYTES = 16_777_216
"""Ten thousand people fit into 3 MiB."""

MAX_NODES = 250_000
"""Aliases of aliases grow without end. Ten thousand people have about 150,000 values."""

Path_ = tuple[str | int, ...]
Problem = tuple[Path_, str]
"""Where, and what is wrong there."""


class Section(BaseModel):
    """A mapping of known keys, frozen once it is read."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, hide_input_in_errors=True)


Document = TypeVar("Document", bound=Section)


def matching(pattern: str, what: str) -> AfterValidator:
    """Check that a text fits a regular expression as a whole; ``what`` is said when it does not."""
    expression = re.compile(pattern)

    def check(text: str) -> str:
        if expression.fullmatch(text) is None:
            raise ValueError(what)
        return text

    return AfterValidator(check)


def read_by(read: Callable[[str], object], what: str) -> AfterValidator:
    """Check that a function reads a text without a ValueError; ``what`` is said when it does not."""

    def check(text: str) -> str:
        try:
            read(text)
        except ValueError:
            raise ValueError(what) from None
        return text

    return AfterValidator(check)


def parse(
    content: bytes, name: str, model: type[Document], checks: Callable[[Document], Iterable[Problem]], empty: str
) -> Document:
    """Read a document and check it.

    Parameters:
        content: UTF-8.
        name: for the messages.
        model: what it must be.
        checks: finds what only the whole can show.
        empty: how to mend a document that has nothing in it.

    Raises:
        ConfigError: with every problem that was found, each with its line and key.
    """
    lines: dict[Path_, int] = {}
    try:
        tree = _tree(content, lines)
    except _Unreadable as error:
        raise ConfigError(f"{name}:{error.line}: {error.problem}") from None
    if not isinstance(tree, dict):
        raise ConfigError(f"{name}: is empty or no mapping. {empty}")
    try:
        document = model.model_validate(tree)
    except ValidationError as error:
        problems = found(error)
    else:
        problems = list(checks(document))
        if not problems:
            return document
    places = [(_line(lines, where), where, what) for where, what in problems]
    places.sort(key=lambda place: place[0])
    raise ConfigError(*(f"{name}:{line}: {place(where)}: {what}" for line, where, what in places))


def found(error: ValidationError) -> list[Problem]:
    """Return what pydantic has found, in plain words."""
    return list(_found(error))


def place(where: Path_) -> str:
    """Return a place in a document as people write it, such as ``rules[2].when``."""
    parts = [f"[{part}]" if isinstance(part, int) else f".{part}" for part in where if part != "[key]"]
    return "".join(parts).removeprefix(".") or "the file"


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


def _tree(content: bytes, lines: dict[Path_, int]) -> object:
    if len(content) > MAX_BYTES:
        raise _Unreadable(1, f"is larger than {MAX_BYTES} bytes")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _Unreadable(content[: error.start].count(b"\n") + 1, "is not UTF-8") from None
    try:
        node = YAML(typ="safe", pure=True).compose(text)
    except YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or "is not YAML"
        raise _Unreadable(mark.line + 1 if mark else 1, str(problem)) from None
    except Exception:
        # ruamel.yaml lets through whatever its own code trips over: AssertionError and KeyError for %YAML 1.0 and
        # 0.0, RecursionError for deep nesting, ValueError for characters that do not exist.
        raise _Unreadable(1, "is not YAML that a configuration needs") from None
    return _Reader(lines).value(node, ()) if node is not None else None


class _Reader:
    """Turns nodes into dicts, lists and texts, and notes the line of each."""

    def __init__(self, lines: dict[Path_, int]) -> None:
        self._lines = lines
        self._open: set[int] = set()
        self._count = 0

    def value(self, node: Node, where: Path_) -> object:
        line = node.start_mark.line + 1
        self._lines.setdefault(where, line)
        self._count += 1
        if self._count > MAX_NODES or id(node) in self._open or len(where) > 20:
            raise _Unreadable(line, "aliases make this endless")
        if isinstance(node, ScalarNode):
            return None if str(node.tag).endswith(":null") and node.style is None else node.value
        self._open.add(id(node))
        try:
            if isinstance(node, SequenceNode):
                return [self.value(item, (*where, position)) for position, item in enumerate(node.value)]
            assert isinstance(node, MappingNode)  # noqa: S101 - a composed tree has three kinds of nodes
            return self._mapping(node, where)
        finally:
            self._open.discard(id(node))

    def _mapping(self, node: MappingNode, where: Path_) -> dict[str, object]:
        mapping: dict[str, object] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, ScalarNode):
                raise _Unreadable(line, "a key must be one word")
            key = key_node.value
            if key in mapping:
                raise _Unreadable(
                    line, f"{place((*where, key))}: is here twice, first in line {self._lines[*where, key]}"
                )
            self._lines[*where, key] = line
            mapping[key] = self.value(value_node, (*where, key))
        return mapping


# ---- words ---------------------------------------------------------------------------------------------


_SENTENCES = {
    "extra_forbidden": "is not a key of this section",
    "unexpected_keyword_argument": "is not a key of this section",
    "missing": "is missing",
    "tuple_type": "must be a list, such as [one, two]",
    "dict_type": "must be a mapping, one key a line",
    "model_type": "must be a mapping, one key a line",
    "dataclass_type": "must be a mapping, one key a line",
    "string_type": "must be a text",
    "bool_parsing": "must be true or false",
}


def _sentence(kind: str, message: str) -> str:
    message = _SENTENCES.get(kind) or message.removeprefix("Value error, ")
    return message.replace("Input should be", "must be", 1)


def _found(error: ValidationError) -> Iterator[Problem]:
    problems = [(tuple(found["loc"]), found["type"], found["msg"]) for found in error.errors()]
    for where, kind, message in problems:
        # A list whose only item is wrong is reported as empty as well.
        if kind == "too_short" and any(other[: len(where)] == where != other for other, _, _ in problems):
            continue
        yield where, _sentence(kind, message)


def _line(lines: dict[Path_, int], where: Path_) -> int:
    while where and where not in lines:
        where = where[:-1]
    return lines.get(where, 1)
