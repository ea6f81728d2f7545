"""What a setup has made, so that it can be undone: written down before each thing is made."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from agi_monitor.errors import InstallFailed
from agi_monitor.files.folder import Folder
from agi_monitor.install.places import open_books

NAME = "setup.json"
VERSION = 1
LIMIT = 1_048_576
MODE = 0o600


class Kind(StrEnum):
    """What it is."""

    USER = "user"
    FOLDER = "folder"
    FILE = "file"
    LINK = "link"
    UNIT = "unit"
    """A unit of systemd that was enabled."""


@dataclass(frozen=True, slots=True)
class Thing:
    """Something that was made.

    Parameters:
        kind: what it is.
        name: its absolute path, or its name.
        proof: the SHA-256 of a file, or where a link leads: without it, it is no longer ours.
    """

    kind: Kind
    name: str
    proof: str = ""

    @property
    def shown(self) -> str:
        """What it is called for people: a user and a unit have the name of the program."""
        return f"{self.kind} {self.name}" if self.kind in (Kind.USER, Kind.UNIT) else self.name


class Record:
    """The list of what was made, in the books of root.

    Parameters:
        books: the folder of all books.
        asterisk: Asterisk's folder, which the setup was for.
    """

    def __init__(self, books: Path, asterisk: Path) -> None:
        self._books = books
        self._asterisk = str(asterisk)
        self._things: list[Thing] = []
        folder = open_books(books, make=False)
        if folder is not None:
            with folder:
                self._read(folder)

    def _read(self, folder: Folder) -> None:
        try:
            row = json.loads(folder.read(NAME, LIMIT))
            if row["version"] != VERSION:
                raise ValueError(f"version {row['version']}")
            things = [Thing(Kind(one["kind"]), str(one["name"]), str(one["proof"])) for one in row["things"]]
        except FileNotFoundError:
            return
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InstallFailed(
                f"{folder.path / NAME}: cannot be read ({error}). Without it what the setup has made is not known: "
                "move it away, and nothing that is there counts as made by it"
            ) from None
        if row["asterisk"] != self._asterisk:
            raise InstallFailed(
                f"{folder.path / NAME}: this machine was set up for {row['asterisk']}: name it with --asterisk-dir"
            )
        self._things = things

    def __iter__(self) -> Iterator[Thing]:
        return iter(self._things)

    def find(self, kind: Kind, name: str) -> Thing | None:
        """Return what was made under a name."""
        return next((one for one in self._things if (one.kind, one.name) == (kind, name)), None)

    def add(self, thing: Thing) -> None:
        """Write down what is about to be made, in the place of what was made under that name.

        Raises:
            InstallFailed: it cannot be written.
        """
        if thing not in self._things:
            self._things = [one for one in self._things if (one.kind, one.name) != (thing.kind, thing.name)]
            self._things.append(thing)
            self._write()

    def remove(self, thing: Thing) -> None:
        """Forget what is gone, or is no longer ours."""
        self._things = [one for one in self._things if one != thing]
        self._write()

    def _write(self) -> None:
        things = [{"kind": one.kind, "name": one.name, "proof": one.proof} for one in self._things]
        row = {"version": VERSION, "asterisk": self._asterisk, "things": things}
        books = open_books(self._books, make=True)
        assert books is not None  # noqa: S101 (it was made)
        try:
            with books:
                if things:
                    books.replace(NAME, json.dumps(row, indent=1).encode() + b"\n", MODE)
                    return
                books.remove(NAME)
        except OSError as error:
            raise InstallFailed(f"{error.filename}: cannot be written: {error.strerror}") from error
