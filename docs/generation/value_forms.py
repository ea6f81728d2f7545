"""What a value of the configuration looks like, in words, from its type."""

from __future__ import annotations

import ast
import inspect
import re
import types
import typing
from enum import Enum

from pydantic.fields import FieldInfo

from agi_monitor import model
from agi_monitor.config import people, sections, values


def plain(value: object) -> str:
    """A default as it would be written in the file."""
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, tuple):
        return "[" + ", ".join(plain(item) for item in value) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, str) and value.startswith(("*", "#")):
        return f'"{value}"'
    return str(value)


def form(annotation: str, field: FieldInfo) -> str:
    """What a value looks like, in words; the names of the file's own types are looked up in it."""
    words = word_of(annotation)
    limits_of = {name: getattr(item, name) for item in field.metadata for name in ("ge", "le") if hasattr(item, name)}
    if limits_of:
        words += f" from {plain(limits_of['ge'])} to {plain(limits_of['le'])}"
    return words


def form_of(kind: object) -> str:
    """The same for a type whose name is not at hand: it is found among the file's own."""
    if isinstance(kind, types.GenericAlias) and typing.get_origin(kind) is dict:
        key, value = typing.get_args(kind)
        inner = form_of(value)
        return f"a mapping from {form_of(key)} to {inner}"
    for name, other in vars(sections).items():
        if typing.get_origin(other) is typing.Annotated and other == kind:
            return word_of(name)
    return word_of(getattr(kind, "__name__", str(kind)))


WORDS = {
    "Address": "an IP address",
    "PinHash": "an argon2id record; make one with: agi-monitor pin",
    "Loopback": "an IP address of the loopback interface",
    "Network": "an IP address or network",
    "Words": "a list of sound files and placeholders",
    "Path": "a path",
    "str": "a text",
    "int": "a whole number",
    "bool": "`true` or `false`",
    "float": "a number",
    "Music": "`true`, `false`, or the name of a class in musiconhold.conf",
    "Beep": f"`true`, `false`, or a number from {values.MIN_BEEP_SECONDS} to {values.MAX_BEEP_SECONDS}",
    "Mode": "`listen`, `whisper`, `barge` or `take_over`",
    "LogLevel": "one of " + ", ".join(f"`{one.value}`" for one in sections.LogLevel),
    "LogFormat": "one of " + ", ".join(f"`{one.value}`" for one in sections.LogFormat),
    **{
        kind.__name__: "one of " + ", ".join(f"`{one.value}`" for one in kind)
        for kind in (
            people.RuleMode,
            sections.StopSpies,
            sections.WaitedFor,
            model.Barge,
            model.ModeMark,
            model.Direction,
            model.Flavour,
            model.Follow,
            model.Orphans,
            model.RogueSpies,
            model.ScanOrder,
        )
    },
}


def word_of(annotation: str) -> str:
    annotation = annotation.removesuffix(" | None")
    match = re.fullmatch(r"Annotated\[(.+), Field\(.*\)\]", annotation)
    if match:
        return word_of(match[1]) + (", at least one" if match[1].startswith("tuple") else "")
    match = re.fullmatch(r"Annotated\[(.+), Restart\.\w+\]", annotation)
    if match:
        return word_of(match[1])
    match = re.fullmatch(r"tuple\[(\w+), \.\.\.\]", annotation)
    if match:
        return f"a list; each is {word_of(match[1])}"
    return WORDS.get(annotation) or type_messages()[annotation]


def type_messages() -> dict[str, str]:
    """What ``config`` and ``people`` say of a value that is not of the type, by its name: ``must be ...``."""
    found: dict[str, str] = {}
    for statement in (*ast.parse(inspect.getsource(people)).body, *ast.parse(inspect.getsource(values)).body):
        if isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Subscript):
            for node in ast.walk(statement.value):
                if isinstance(node, ast.Constant) and str(node.value).startswith("must be "):
                    found[ast.unparse(statement.targets[0])] = str(node.value).removeprefix("must be ")
    return found
