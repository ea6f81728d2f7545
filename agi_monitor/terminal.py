"""How the commands talk to whoever typed them."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NoReturn

import click
from rich.console import Console

from agi_monitor.errors import AgiMonitorError
from agi_monitor.folder import Folder

PIPE_COLUMNS = 200
"""The width of a table that goes into a pipe or a file, which has no width of its own."""


def console(pipe_columns: int = PIPE_COLUMNS) -> Console:
    """Standard output for tables. Where there is no terminal, rich takes 80 columns and cuts what is longer.

    Parameters:
        pipe_columns: the width where there is no terminal.
    """
    return Console(width=None if sys.stdout.isatty() else pipe_columns, highlight=False)


def fail(message: str) -> NoReturn:
    """Say what went wrong, and end with 1."""
    click.echo(message, err=True)
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
