"""The page of the configuration, from its sections."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import types
import typing
from collections.abc import Iterator
from enum import Enum

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from agi_monitor import limits
from agi_monitor.config import sections
from docs.generation.docstrings import member_docs, source_of, texts_below
from docs.generation.markdown import NOTE, listing, sentence
from docs.generation.value_forms import form, form_of, plain


def configuration() -> Iterator[str]:
    yield "# Configuration"
    yield NOTE
    yield (
        "The configuration is one YAML file, `/etc/agi-monitor/agi-monitor.yaml` unless `--config` or "
        "`AGI_MONITOR_CONFIG` names another. `agi-monitor init` writes a commented sample, `agi-monitor "
        "check-config` reports every mistake with its line and key. A key that is not listed here is a mistake. "
        'Values are read as text: `1001` and `"1001"` are the same extension, and `0100` stays `0100`.'
    )
    yield (
        "`agi-monitor reload` (or SIGHUP) reads the file again. A file with a mistake changes nothing. These "
        f"sections wait for a restart: {listing(waiting_for_restart(1))}; "
        f"and so does {listing(waiting_for_restart(2))}. "
        f"After a change of {listing(DIALPLAN_SECTIONS)}, render and reload the dialplan as well."
    )
    for name, field in sections.Config.model_fields.items():
        yield from section(name, field)


DIALPLAN_SECTIONS = ("fastagi", "codes", "supervisors", "agents", "rules", "notice", "ami", "dialplan")
"""What ``translation.site`` reads."""


def waiting_for_restart(deep: int) -> tuple[str, ...]:
    """What only a restart changes: sections (1), or keys of the other sections (2)."""
    return tuple(".".join(place) for place in sections.AFTER_RESTART if len(place) == deep)


def section(name: str, field: FieldInfo) -> Iterator[str]:
    yield f"## {name}"
    kind = section_of(field) or field.annotation
    description = field.description or ""
    longer = inspect.cleandoc(kind.__doc__ or "") if inspect.isclass(kind) else ""
    yield longer if longer.startswith(description) else description
    if field.default is None:
        yield "The whole section may be left out."
    if kind is limits.Limits:
        yield from limit_entries()
        return
    arguments = typing.get_args(kind)
    origin = typing.get_origin(kind)
    if origin is dict and inspect.isclass(arguments[1]) and issubclass(arguments[1], BaseModel):
        yield f"A mapping; each key is {form_of(arguments[0])}. {need(field)}"
        yield from keys(f"{name}.<key>", arguments[1])
    elif origin is tuple and inspect.isclass(arguments[0]) and issubclass(arguments[0], BaseModel):
        yield f"A list. {need(field)}"
        yield from keys(f"{name}[]", arguments[0])
    elif origin is tuple:
        more = "See [write a plug-in](../howto/write-a-plug-in.md)."
        yield f"A list; each is {form_of(arguments[0])}. {need(field)} {more}"
    elif inspect.isclass(kind) and issubclass(kind, BaseModel):
        yield from keys(name, kind)
    else:
        yield f"{sentence(form_of(kind))}. {need(field)} See [prompts](prompts.md)."


def keys(prefix: str, kind: type[BaseModel]) -> Iterator[str]:
    annotations = {
        statement.target.id: ast.unparse(statement.annotation)
        for statement in source_of(kind).body
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name)
    }
    note = inspect.cleandoc(kind.__doc__ or "")
    if note and prefix.endswith((">", "]")):
        yield note
    for name, field in kind.model_fields.items():
        yield f"### `{prefix}.{name}`"
        inner = section_of(field)
        if inner is not None:
            yield f"A section. {need(field)}"
            yield field.description or ""
            yield from keys(f"{prefix}.{name}", inner)
            continue
        yield f"{sentence(form(annotations[name], field))}. {need(field)}"
        yield field.description or ""
        if inspect.isclass(field.annotation) and issubclass(field.annotation, Enum):
            docs = member_docs(field.annotation)
            if any(docs.values()):
                yield "\n".join(f"- `{value}`: {text}" for value, text in docs.items())


def section_of(field: FieldInfo) -> type[BaseModel] | None:
    """The section that a field is, if it is one; it may be left out of the file altogether."""
    optional = typing.get_origin(field.annotation) in (types.UnionType, typing.Union)
    for kind in (field.annotation, *(typing.get_args(field.annotation) if optional else ())):
        if inspect.isclass(kind) and issubclass(kind, BaseModel):
            return kind
    return None


def limit_entries() -> Iterator[str]:
    reasons = texts_below(ast.parse(inspect.getsource(limits)).body)
    yield "Every limit is more than 0 and finite."
    for field in dataclasses.fields(limits.Limits):
        unit = "bytes" if field.name.endswith("bytes") else "seconds" if field.name.endswith("seconds") else ""
        whole = "a number" if isinstance(field.default, float) else "a whole number"
        yield f"### `limits.{field.name}`"
        yield f"{sentence(whole)}{f', {unit}' if unit else ''}. Default: `{plain(field.default)}`."
        yield reasons[field.name.upper()]


def need(field: FieldInfo) -> str:
    if field.is_required():
        return "Required."
    default = field.get_default(call_default_factory=True)
    if default is None or default is PydanticUndefined:
        return "Not set by default."
    if default in ((), {}, ""):
        return "Empty by default."
    return f"Default: `{plain(default)}`."
