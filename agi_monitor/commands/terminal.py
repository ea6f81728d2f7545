"""How the commands talk to the person who typed them."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NoReturn

import click

from agi_monitor.errors import AgiMonitorError
from agi_monitor.files.folder import Folder
from agi_monitor.shown import visible

LAYOUT = "\n\t"
"""What a text of several lines may have besides visible characters."""


def say(message: str, *, err: bool = False, nl: bool = True) -> None:
    """Print a text for people. What others wrote in it is shown and not obeyed.

    Parameters:
        message: of one or more lines.
        err: to standard error.
        nl: with a line break after it.
    """
    click.echo(visible(message, LAYOUT), err=err, nl=nl)


def data(text: str) -> None:
    """Print a document for a program as it is, or as text for people where it goes to a terminal.

    Parameters:
        text: the whole document.
    """
    click.echo(visible(text, LAYOUT) if sys.stdout.isatty() else text, nl=False)


def readable(text: str) -> str:
    """Return a text without anything that a terminal would obey: what stands in others' files is shown, not done."""
    return "".join(letter if letter.isprintable() else f"\\x{ord(letter):02x}" for letter in text)


def fail(message: str) -> NoReturn:
    """Print what went wrong, and exit with 1."""
    say(message, err=True)
    sys.exit(1)


@contextmanager
def output(path: Path, mode: int) -> Iterator[IO[str]]:
    """Open what a command writes its result to: standard output for ``-``, or a file, which is whole or as it was.

    Parameters:
        path: as it was given. What it names is replaced if it is a file, and never followed if it is a link.
        mode: permission bits of the file.
    """
    if str(path) == "-":
        with click.open_file("-", "w", encoding="utf-8") as standard:
            yield standard
        return
    try:
        with Folder.at(path.parent) as folder, folder.new(path.name) as new:
            new.belongs(mode)
            text = io.TextIOWrapper(new.file, encoding="utf-8", newline="")
            try:
                yield text
                text.flush()
            finally:
                text.detach()
            new.take_place()
    except OSError as error:
        fail(f"{error.filename or path}: cannot be written: {error.strerror}")


@contextmanager
def failing() -> Iterator[None]:
    """Let an expected error be its sentence, not a traceback."""
    try:
        yield
    except AgiMonitorError as error:
        fail(str(error))
