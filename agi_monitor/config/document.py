"""Documents checked as a whole. Every problem names its key and its line."""

from __future__ import annotations

import re
import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from difflib import get_close_matches
from typing import Annotated, Any, TypeVar, get_args, get_origin

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError

from agi_monitor.config.yaml import Parsed, Path_, place
from agi_monitor.errors import ConfigError

Problem = tuple[Path_, str]
"""Where, and what is wrong there."""


class Section(BaseModel):
    """A mapping of known keys, frozen once it is read."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, hide_input_in_errors=True)


Document = TypeVar("Document", bound=Section)


def matching(pattern: str | re.Pattern[str], what: str) -> AfterValidator:
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


def check(
    read: Parsed, name: str, model: type[Document], checks: Callable[[Document], Iterable[Problem]], empty: str
) -> Document:
    """Check a document.

    Parameters:
        read: what it says.
        name: for the messages.
        model: what it must be.
        checks: finds what only the whole can show.
        empty: how to fix a document that has nothing in it.

    Raises:
        ConfigError: with every problem that was found, each with its line and key.
    """
    if not isinstance(read.tree, dict):
        raise ConfigError(f"{name}: is empty or no mapping. {empty}")
    try:
        document = model.model_validate(read.tree)
    except ValidationError as error:
        problems = found(error, model)
    else:
        problems = list(checks(document))
        if not problems:
            return document
    places = [(_line(read.lines, where), where, what) for where, what in problems]
    places.sort(key=lambda place: place[0])
    raise ConfigError(*(f"{name}:{line}: {place(where)}: {what}" for line, where, what in places))


def found(error: ValidationError, model: type[BaseModel] | None = None) -> list[Problem]:
    """Return what pydantic has found, in plain words.

    Parameters:
        error: of pydantic.
        model: what was checked, to name the key that was probably meant; None where that does not matter.
    """
    return [
        (where, f"{what}{_meant(model, where)}" if what == _SENTENCES["extra_forbidden"] else what)
        for where, what in _found(error)
    ]


def _meant(model: type[BaseModel] | None, where: Path_) -> str:
    """The key that is nearest to one that there is not."""
    kind: Any = model
    for part in where[:-1]:
        kind = _within(kind, part)
    known = list(kind.model_fields) if _is_model(kind) else []
    near = get_close_matches(str(where[-1]), known, 1) if where else []
    return f"; did you mean {near[0]}?" if near else ""


def _within(kind: Any, part: str | int) -> Any:
    """What stands at a place in a mapping, a list or a section; None where that is not known."""
    if _is_model(kind):
        field = kind.model_fields.get(part)
        kind = None if field is None else field.annotation
    else:
        kind = next((one for one in reversed(get_args(kind)) if one is not Ellipsis), None)
    while kind is not None and (get_origin(kind) is Annotated or isinstance(kind, types.UnionType)):
        kind = next((one for one in get_args(kind) if one is not type(None)), None)
    return kind


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


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
    "int_parsing": "must be a whole number",
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


def _line(lines: Mapping[Path_, int], where: Path_) -> int:
    while where and where not in lines:
        where = where[:-1]
    return lines.get(where, 1)
