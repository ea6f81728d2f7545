"""What is shown: calls, spies and the server itself as values, and how text that others wrote may be shown.

The server makes the values once. Over the control socket they go as rows, which the commands and the doctor read into
the same values again: the name of a field is the key of its row, on both sides. What a row holds is made of what JSON
has: texts, numbers, None, lists and objects.

A terminal obeys what it is sent: an escape sequence in a caller's name can clear the screen, write into the clipboard
or set the colour of what comes next, and a bidirectional override makes a line read as another one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from typing import Any, ClassVar, Protocol, Self

Row = Mapping[str, object]
"""Names and values: what is shown, as an object of JSON, or a record of the audit."""


class NotShown(ValueError):
    """A row is not one of this version: something is missing, or of another type."""


@dataclass(frozen=True, slots=True)
class _Shown:
    what: ClassVar[str]
    """What it is called in an error."""

    def row(self) -> dict[str, object]:
        """Return it as an object of JSON. A field with a default is left out while it has that."""
        found = ((one, getattr(self, one.name)) for one in fields(self))
        return {one.name: _plain(value) for one, value in found if one.default is MISSING or value != one.default}

    @classmethod
    def read(cls, row: object) -> Self:
        """Read what ``row`` has returned, maybe in another version. Keys that are not known here are passed over.

        Parameters:
            row: from JSON.

        Raises:
            NotShown: a key is missing, or its value is of another type.
        """
        if not isinstance(row, Mapping):
            raise NotShown(f"{cls.what} is not an object")
        values: dict[str, Any] = {}
        for one in fields(cls):
            if one.name in row:
                try:
                    values[one.name] = _READERS[str(one.type)](row[one.name])
                except TypeError:
                    raise NotShown(f"{one.name!r} of {cls.what} is not of the type {one.type}") from None
            elif one.default is MISSING:
                raise NotShown(f"{cls.what} has no {one.name!r}")
        return cls(**values)

    @classmethod
    def read_each(cls, rows: object) -> list[Self]:
        """Read a list of them.

        Parameters:
            rows: from JSON.

        Raises:
            NotShown: it is not a list, or one of them is not of this version.
        """
        if not isinstance(rows, list):
            raise NotShown(f"instead of a list with {cls.what} in each place there is something else")
        return [cls.read(row) for row in rows]


@dataclass(frozen=True, slots=True)
class StatusShown(_Shown):
    """How the server is.

    Parameters:
        version: of agi-monitor.
        node: what the PBX is called; None without a manager interface.
        ami: the connection to it: ``up``, ``down``, ``connecting``, ``logging_in``, ``refused``, or ``off``.
        stale: why the picture of the PBX must not be trusted, or None.
        calls: how many are on; None where that is not known.
        spies: how many there are; None without a manager interface.
        resyncs: how often the lists were asked for; None without a manager interface.
        differences: how many the lists have shown.
    """

    what: ClassVar[str] = "the status"

    version: str
    node: str | None
    ami: str
    stale: str | None
    calls: int | None
    spies: int | None
    resyncs: int | None = None
    differences: int | None = None

    @property
    def troubles(self) -> frozenset[str]:
        """The fields that say something is wrong."""
        wrong = {"ami": self.ami not in ("up", "off"), "stale": bool(self.stale)}
        return frozenset(name for name, is_wrong in wrong.items() if is_wrong)

    @property
    def is_well(self) -> bool:
        """Whether there is a picture to be trusted, or none is wanted."""
        return self.ami == "off" or not self.troubles


@dataclass(frozen=True, slots=True)
class ChannelShown(_Shown):
    """One channel of a call.

    Parameters:
        name: such as ``PJSIP/1001-0000002a``.
        uniqueid: its identifier.
        endpoint: whose channel it is; None where it is not a device's.
        state: as Asterisk says it, as far as it matters.
        number: of the caller; may be empty.
        bridge: the identifier of the bridge that it is in, or None.
    """

    what: ClassVar[str] = "a channel"

    name: str
    uniqueid: str
    endpoint: str | None
    state: str
    number: str
    bridge: str | None


@dataclass(frozen=True, slots=True)
class CallShown(_Shown):
    """A call that is on.

    Parameters:
        node: what the PBX is called.
        id: the uniqueid of its oldest channel.
        agents: by their extensions, sorted.
        numbers: of the other parties, sorted.
        state: in one word, what matters most.
        queue: that it came out of, or empty.
        seconds: since its oldest channel began.
        channels: all of it.
        spies: the identifiers of those that hear it.
    """

    what: ClassVar[str] = "a call"

    node: str
    id: str
    agents: tuple[str, ...]
    numbers: tuple[str, ...]
    state: str
    queue: str
    seconds: float
    channels: tuple[ChannelShown, ...]
    spies: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SpyShown(_Shown):
    """Who hears whom. What only a grant says is None where there is none.

    Parameters:
        id: what ``agi-monitor spy kill`` is given.
        node: what the PBX is called.
        kind: by what right it is there, such as ``granted`` or ``rogue``.
        supervisor: the id.
        endpoint: the supervisor's device.
        spyer: the channel that hears.
        spyer_uniqueid: of that channel.
        extension: the agent.
        spyee: the channel that is heard; None where that is not known.
        spyee_uniqueid: of that channel.
        mode: the mode of the spy.
        rule: which rule allows it.
        since: the time of day when it began, as ISO 8601.
        seconds: since then.
    """

    what: ClassVar[str] = "a spy"

    id: str
    node: str
    kind: str
    supervisor: str | None
    endpoint: str | None
    spyer: str
    spyer_uniqueid: str
    extension: str | None
    spyee: str | None
    spyee_uniqueid: str | None
    mode: str | None
    rule: str | None
    since: str
    seconds: float

    @property
    def is_rogue(self) -> bool:
        """Whether it has no grant."""
        return self.kind == "rogue"

    @property
    def who(self) -> str:
        """Who hears, as far as is known: the supervisor, the phone, or the channel."""
        return self.supervisor or self.endpoint or self.spyer

    @property
    def whom(self) -> str:
        """Who is heard: the agent, or the channel; empty where that is not known."""
        return self.extension or self.spyee or ""


@dataclass(frozen=True, slots=True)
class SpyEnded:
    """A spy that was ended.

    Parameters:
        id: what was asked for.
        spy: as it was listed; None where it was not, such as between two lists.
    """

    id: str
    spy: SpyShown | None = None

    def row(self) -> dict[str, object]:
        """Return the spy as it was listed, or the identifier alone, as an object of JSON."""
        return {"id": self.id} if self.spy is None else self.spy.row()

    @classmethod
    def read(cls, row: object) -> Self:
        """Read what ``row`` has returned.

        Parameters:
            row: from JSON.

        Raises:
            NotShown: it is neither.
        """
        if isinstance(row, Mapping) and row.keys() == {"id"} and isinstance(row["id"], str):
            return cls(row["id"])
        spy = SpyShown.read(row)
        return cls(spy.id, spy)


@dataclass(frozen=True, slots=True)
class ReloadShown(_Shown):
    """The configuration was read again, and holds.

    Parameters:
        supervisors: how many there are now.
        agents: how many there are now.
        restart: the sections that were changed, and hold only after a restart of the server.
    """

    what: ClassVar[str] = "the answer to a reload"

    supervisors: int
    agents: int
    restart: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ReloadRefused:
    """The configuration was read again, and nothing has changed.

    Parameters:
        problems: why not; those of the file name its line and key.
    """

    problems: tuple[str, ...]


class Overview(Protocol):
    """The server as it is watched from outside. ``server.overview`` fits it."""

    def status(self) -> StatusShown:
        """Return how the server is. Never fails."""
        ...

    def calls(self) -> Sequence[CallShown]:
        """Return the calls that are on now.

        Raises:
            Unavailable: there is no picture to be trusted.
        """
        ...

    def spies(self) -> Sequence[SpyShown]:
        """Return who hears whom now.

        Raises:
            Unavailable: there is no picture to be trusted.
        """
        ...

    async def kill(self, spy: str, by: str) -> bool:
        """End a spy. Once it is asked for it is done, even if the client is gone before the answer.

        Parameters:
            spy: its ``id``.
            by: the user who wants it.

        Returns:
            False: there is no such spy.

        Raises:
            Unavailable: the PBX cannot be told now.
        """
        ...

    async def reload(self) -> ReloadShown | ReloadRefused:
        """Read the configuration again. Once it is asked for it is done, even if the client is gone."""
        ...

    def subscribe(self, listener: Callable[[Row], None]) -> Callable[[], None]:
        """Tell a listener each record of the audit, as it is written there.

        Parameters:
            listener: called in the reactor's thread. It returns at once and raises nothing, and may end its own
                subscription, or another one, while it is being told.

        Returns:
            how to end it.
        """
        ...

    def subscribe_changes(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Tell a listener that calls or spies may have changed.

        Parameters:
            listener: called in the reactor's thread, for each event of the PBX. It returns at once and raises
                nothing.

        Returns:
            how to end it.
        """
        ...


def visible(text: str, keep: str = "") -> str:
    r"""Return a text with everything that is not a visible character or a space as its number.

    Escape characters, line breaks, the control characters of C1, marks that change the direction of writing and
    halves of surrogate pairs become ``\x1b``, ``\u202e`` and the like.

    Parameters:
        text: anything.
        keep: characters that stay as they are, such as the line breaks of a text of several lines.
    """
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() or letter in keep else _escaped(letter) for letter in text)


def in_cell(text: str) -> str:
    """Return a text for a cell of a CSV file, so that no spreadsheet takes it, or what is left of it, for a formula.

    An apostrophe goes before whatever would begin one, at the front and behind what another program may take for the
    end of a cell; spreadsheets do the same with what is typed in. ``from_cell`` takes it away again.

    Parameters:
        text: anything.
    """
    return _FORMULA.sub("'", text)


def from_cell(cell: str) -> str:
    """Return the text that ``in_cell`` has made a cell of. What a person has written so loses its apostrophe.

    Parameters:
        cell: as it stands in the file.
    """
    return _NO_FORMULA.sub("", cell)


_BEGINS = r"[ \0\ufeff']*[=+\-@\uff1d\uff0b\uff0d\uff20]"
"""What begins a formula, in letters of full width too; spaces before it do not keep every program from it."""
_FORMULA = re.compile(rf"\A(?='*[\t\r\n])|(?<![^;\t\r\n])(?={_BEGINS})")
_NO_FORMULA = re.compile(rf"\A'(?='*[\t\r\n])|(?<![^;\t\r\n])'(?={_BEGINS})")


def in_json(line: str) -> str:
    """Return a JSON text with the same escapes as JSON has them: it says the same to a program.

    Parameters:
        line: JSON of one line.
    """
    if line.isprintable():
        return line
    return "".join(letter if letter.isprintable() else _units(letter) for letter in line)


def _escaped(letter: str) -> str:
    number = ord(letter)
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}" if number < 0x1_0000 else f"\\U{number:08x}"


def _units(letter: str) -> str:
    """In UTF-16, which the escapes of JSON are in."""
    units = letter.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))


def _plain(value: Any) -> object:
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    return value.row() if isinstance(value, _Shown) else value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError
    return value


def _count(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError
    return value


def _each(value: object, read: Callable[[object], Any]) -> tuple[Any, ...]:
    if not isinstance(value, list):
        raise TypeError
    return tuple(read(one) for one in value)


_READERS: Mapping[str, Callable[[object], object]] = {
    "str": _text,
    "str | None": lambda value: None if value is None else _text(value),
    "int": _count,
    "int | None": lambda value: None if value is None else _count(value),
    "float": _number,
    "tuple[str, ...]": lambda value: _each(value, _text),
    "tuple[ChannelShown, ...]": lambda value: _each(value, ChannelShown.read),
}
"""From JSON to the type of a field, as it is written above; a TypeError for a value of another one."""
