"""Dial by name: the caller keys in how a name begins, and picks from the matches."""

from __future__ import annotations

import csv
import sys
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from agi_monitor import Session, serve

KEYS = {
    letter: key
    for key, letters in enumerate(("ABC", "DEF", "GHI", "JKL", "MNO", "PQRS", "TUV", "WXYZ"), 2)
    for letter in letters
}
LETTERS = 3
MOST = 8
"""How many matches are read out; a caller does not listen to more."""
TRIES = 3
SECONDS = 5.0


@dataclass(frozen=True)
class Person:
    """A person who may be asked for.

    Parameters:
        number: an extension of the dialplan.
        name: as it is written, such as ``Zoë Müller``.
    """

    number: str
    name: str

    @property
    def letters(self) -> str:
        """The name without accents, for Asterisk to spell and for phones to key in."""
        parts = unicodedata.normalize("NFKD", self.name.replace("ß", "ss"))
        return parts.encode("ascii", "ignore").decode().upper()

    def is_called(self, keyed: str) -> bool:
        """Whether one of the names begins with these keys."""
        words = self.letters.replace("-", " ").split()
        return any("".join(str(KEYS.get(letter, "")) for letter in word).startswith(keyed) for word in words)


@dataclass(frozen=True)
class DialByName:
    """A handler that leads to the extension of whom the caller picks. Without a choice the dialplan continues.

    Parameters:
        people: who may be asked for.
    """

    people: tuple[Person, ...]

    async def __call__(self, session: Session) -> None:
        await session.answer()
        for _ in range(TRIES):
            keyed = await session.get_data("dir-intro", timeout=SECONDS, max_digits=LETTERS)
            if not keyed.digits:
                continue
            matches = [person for person in self.people if person.is_called(keyed.digits)]
            if not matches:
                await session.stream_file("dir-nomatch")
                continue
            for person in matches[:MOST]:
                if await self._is_meant(session, person):
                    await session.set_extension(person.number)
                    await session.set_priority(1)
                    return
            await session.stream_file("dir-nomore")

    async def _is_meant(self, session: Session, person: Person) -> bool:
        """Say the name, as it was recorded or else spelled, and wait for 1 or *."""
        said = await session.stream_file(f"names/{person.number}", "1*")
        key = said.digit
        if not said.found:
            key = await session.say_alpha(person.letters, "1*")
        if not key:
            key = (await session.get_option("dir-instr", "1*", timeout=SECONDS)).digit
        return key == "1"


def read_people(path: Path) -> Iterator[Person]:
    """The rows of a file with the columns ``number`` and ``name``."""
    with path.open(encoding="utf-8", newline="") as rows:
        for row in csv.DictReader(rows):
            yield Person(row["number"], row["name"])


if __name__ == "__main__":
    serve(DialByName(tuple(read_people(Path(sys.argv[1])))))
