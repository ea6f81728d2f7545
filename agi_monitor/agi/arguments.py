"""From texts of the dialplan to the typed parameters of a handler.

Two rules: a text that does not fit its type refuses the call, and nothing is guessed; no value gets into a message.

``AGI(agi://host/menu/en,3)`` with the route ``menu/{language}`` and

::

    async def menu(session: Session, language: str, tries: int = 1) -> None: ...

gives ``language="en", tries=3``: what the path names comes from the path, the rest from the query (``?tries=3``) or,
in their order, from the AGI arguments.
"""

from __future__ import annotations

import inspect
import re
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any
from urllib.parse import unquote

Convert = Callable[[str], object]
"""From a text to a value; raises ValueError."""

INTEGER = re.compile(r"[+-]?[0-9]{1,18}")
DECIMAL = re.compile(r"[+-]?[0-9]{1,18}(?:\.[0-9]{1,18})?")
BOOLEANS = {
    **dict.fromkeys(("yes", "true", "y", "t", "1", "on"), True),
    **dict.fromkeys(("no", "false", "n", "f", "0", "off"), False),
}
"""What Asterisk itself reads as true and false (ast_true, utils.c)."""

SESSION_KINDS = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)

PLACE = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")


@dataclass(frozen=True, slots=True)
class Unfit:
    """Why a handler cannot be called with these arguments.

    Parameters:
        parameter: its name, or empty when there are too many arguments.
        why: in words, without the value.
    """

    parameter: str
    why: str


# -- one value --------------------------------------------------------------------------------------------------


def _integer(text: str) -> int:
    if INTEGER.fullmatch(text) is None:
        raise ValueError("no whole number")
    return int(text)


def _decimal(text: str) -> float:
    if DECIMAL.fullmatch(text) is None:
        raise ValueError("no number")
    return float(text)


def _boolean(text: str) -> bool:
    try:
        return BOOLEANS[text.lower()]
    except KeyError:
        raise ValueError("neither yes nor no") from None


def _one_of(kind: type[Enum]) -> Convert:
    def convert(text: str) -> Enum:
        for member in kind:
            if text == str(member.value):
                return member
        raise ValueError(f"none of {', '.join(str(member.value) for member in kind)}")

    return convert


def _literal(values: Sequence[object]) -> Convert:
    def convert(text: str) -> str:
        if text in values:
            return text
        raise ValueError(f"none of {', '.join(map(str, values))}")

    return convert


SIMPLE: Mapping[object, Convert] = {str: str, int: _integer, float: _decimal, bool: _boolean}


def converter(annotation: object) -> Convert:
    """How a text becomes this type: str, int, float, bool, an Enum (by its values), a Literal of texts, or one of
    these ``| None``.

    Raises:
        TypeError: no text can become it.
    """
    found = SIMPLE.get(annotation) if isinstance(annotation, type) else None
    if found is not None:
        return found
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return _one_of(annotation)
    arguments = typing.get_args(annotation)
    origin = typing.get_origin(annotation)
    if origin is typing.Literal and all(isinstance(value, str) for value in arguments):
        return _literal(arguments)
    if origin in (typing.Union, types.UnionType):
        rest = [one for one in arguments if one is not type(None)]
        if len(rest) == 1:
            return converter(rest[0])
    raise TypeError(f"{annotation!r} is not among str, int, float, bool, an Enum, a Literal of texts, or one | None")


# -- a handler's parameters -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a handler behind its session.

    Parameters:
        name: of the parameter.
        convert: from a text to its value.
        required: whether it has no default.
        positional: whether an AGI argument may fill it.
    """

    name: str
    convert: Convert
    required: bool
    positional: bool


@dataclass(frozen=True, slots=True)
class Parameters:
    """What a handler takes besides its session.

    Parameters:
        known: one by one, in their order.
        rest: for the AGI arguments that are left over (``*args``), or None when there may be none.
    """

    known: tuple[Parameter, ...] = ()
    rest: Convert | None = None

    @classmethod
    def of(cls, handler: Callable[..., object]) -> Parameters:
        """The parameters of a function, a method or a class, without the first one.

        Raises:
            TypeError: the first parameter cannot be a session, or the type of another one is not known.
        """
        name = getattr(handler, "__qualname__", type(handler).__qualname__)
        try:
            signature = inspect.signature(handler, eval_str=True)
        except NameError as error:
            raise TypeError(f"{name}: {error}; the types of a handler must be known where it is defined") from None
        parameters = list(signature.parameters.values())
        if not parameters or parameters[0].kind not in SESSION_KINDS:
            raise TypeError(f"{name}: the first parameter of a handler is the session")
        known: list[Parameter] = []
        rest: Convert | None = None
        for one in parameters[1:]:
            if one.kind is one.VAR_KEYWORD:
                raise TypeError(f"{name}: **{one.name} cannot be filled from a dialplan")
            try:
                convert = converter(str if one.annotation is one.empty else one.annotation)
            except TypeError as error:
                raise TypeError(f"{name}: {one.name}: {error}") from None
            if one.kind is one.VAR_POSITIONAL:
                rest = convert
            elif one.kind is one.POSITIONAL_ONLY:
                raise TypeError(f"{name}: {one.name} is passed by its name and may not be positional only")
            else:
                positional = one.kind is not one.KEYWORD_ONLY
                known.append(Parameter(one.name, convert, one.default is one.empty, positional))
        return cls(tuple(known), rest)

    @property
    def names(self) -> set[str]:
        """The names that a path may use."""
        return {parameter.name for parameter in self.known}

    def bind(
        self, named: Mapping[str, str], arguments: Sequence[str]
    ) -> tuple[dict[str, Any], tuple[object, ...]] | Unfit:
        """The values for a call of the handler, by name and the rest; or why it cannot be called.

        Parameters:
            named: from the path and the query.
            arguments: the AGI arguments; each fills the next parameter that is not named. An empty one leaves the
                default.
        """
        for name in named:
            if name not in self.names:
                return Unfit(name[:40], "is not a parameter")
        waiting = list(arguments)
        values: dict[str, Any] = {}
        for parameter in self.known:
            text = named.get(parameter.name)
            if text is None and parameter.positional and waiting:
                text = waiting.pop(0) or None
            if text is None:
                if parameter.required:
                    return Unfit(parameter.name, "is missing")
                continue
            try:
                values[parameter.name] = parameter.convert(text)
            except ValueError as error:
                return Unfit(parameter.name, f"is {error}")
        if not waiting:
            return values, ()
        if self.rest is None:
            return Unfit("", "more arguments than the handler takes")
        if any(parameter.positional and parameter.name not in values for parameter in self.known):
            return Unfit("", "more arguments, but one before them is missing")
        try:
            return values, tuple(self.rest(text) for text in waiting)
        except ValueError as error:
            return Unfit("", f"one of the last arguments is {error}")


# -- a path -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ScriptPath:
    """A path with places, such as ``menu/{language}``: each takes exactly one part that is not empty.

    Parameters:
        parts: the parts; a place stands with its braces.
        names: of the places.
    """

    parts: tuple[str, ...]
    names: frozenset[str]

    @classmethod
    def parse(cls, template: str) -> ScriptPath:
        """Read a template.

        Raises:
            ValueError: it has a ``?``, a brace that belongs to no place, or the same place twice.
        """
        parts = tuple(template.strip("/").split("/"))
        names = [match[1] for part in parts if (match := PLACE.fullmatch(part)) is not None]
        for part in parts:
            if "?" in part or (PLACE.fullmatch(part) is None and ("{" in part or "}" in part)):
                raise ValueError(f"a part of a path is a name or one {{place}}: {template!r}")
        if len(names) != len(set(names)):
            raise ValueError(f"the same place twice: {template!r}")
        return cls(parts, frozenset(names))

    @property
    def shape(self) -> tuple[str, ...]:
        """The parts with the places' names left out: two paths of the same shape match the same scripts."""
        return tuple("" if PLACE.fullmatch(part) else part for part in self.parts)

    def match(self, path: str) -> dict[str, str] | None:
        """The texts of the places in a path, decoded; None when it is another path."""
        given = path.strip("/").split("/")
        if len(given) != len(self.parts):
            return None
        found: dict[str, str] = {}
        for part, text in zip(self.parts, given, strict=True):
            place = PLACE.fullmatch(part)
            decoded = unquote(text)
            if place is None:
                if decoded != part:
                    return None
            elif decoded:
                found[place[1]] = decoded
            else:
                return None
        return found


def query_of(script: str) -> dict[str, str] | Unfit:
    """The names and values behind the ``?`` of a script, decoded. The same name twice does not fit."""
    found: dict[str, str] = {}
    _, _, query = script.partition("?")
    for pair in filter(None, query.split("&")):
        name, _, value = pair.partition("=")
        name = unquote(name)
        if name in found:
            return Unfit(name[:40], "stands twice in the query")
        found[name] = unquote(value)
    return found
