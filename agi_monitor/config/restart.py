"""What of a configuration holds after a reload, and what waits for a restart.

A section says it for itself, by its class variable ``restart``; a key that is not a section of its own says it where
it stands, in its annotation. There is no default: a section that was forgotten would be taken by half, by those who
look again and not by those who looked at the start.
"""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Sequence
from enum import Enum, auto
from typing import ClassVar, TypeVar

from pydantic.fields import FieldInfo

from agi_monitor.config.document import Section


class Restart(Enum):
    """Whether a change of a section, or of one of its keys, waits for a restart."""

    NEEDED = auto()
    """It does: what was read at the start holds as long as the server runs."""
    NOT_NEEDED = auto()
    """It holds after a reload."""


class TopSection(Section):
    """A section of the file that is not within another one."""

    restart: ClassVar[Restart]


Document = TypeVar("Document", bound=Section)
Place = tuple[str, ...]
"""A section, or a section and one key in it."""


def needed_by(model: type[Section]) -> tuple[Place, ...]:
    """Return what only a restart changes, in the order of the file.

    Parameters:
        model: the whole file.

    Raises:
        TypeError: a section does not say whether it is one of these.
    """
    return tuple(place for name, field in model.model_fields.items() for place in _of(name, field))


def _of(name: str, field: FieldInfo) -> tuple[Place, ...]:
    section = _section_of(field)
    said = getattr(section, "restart", None) or next(
        (one for one in field.metadata if isinstance(one, Restart)), None
    )
    if said is None:
        raise TypeError(f"{name}: it does not say whether a change waits for a restart")
    if said is Restart.NEEDED:
        return ((name,),)
    keys = () if section is None else section.model_fields.items()
    places = tuple((name, key) for key, inner in keys if Restart.NEEDED in inner.metadata)
    if places and section is not field.annotation:
        raise TypeError(f"{name}: it may be left out, so one of its keys alone cannot wait for a restart")
    return places


def _section_of(field: FieldInfo) -> type[Section] | None:
    kinds = (field.annotation,)
    if isinstance(field.annotation, types.UnionType):
        kinds = typing.get_args(field.annotation)
    return next((kind for kind in kinds if inspect.isclass(kind) and issubclass(kind, Section)), None)


def taken(now: Document, read: Document, places: Sequence[Place]) -> tuple[Document, tuple[str, ...]]:
    """Return what holds after a reload, and the names of what was changed and waits for a restart.

    Parameters:
        now: what holds.
        read: what the file says.
        places: of ``needed_by``.
    """
    waiting = []
    for place in places:
        name, *keys = place
        mine, other = getattr(now, name), getattr(read, name)
        kept = other.model_copy(update={key: getattr(mine, key) for key in keys}) if keys else mine
        if kept != other:
            waiting.append(".".join(place))
        read = read.model_copy(update={name: kept})
    return read, tuple(waiting)
