"""How the commands talk to whoever typed them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import click
from rich.console import Console

from agi_monitor.errors import AgiMonitorError

PIPE_COLUMNS = 200
"""The width of a table that goes into a pipe or a file, which has no width of its own."""


def console(pipe_columns: int = PIPE_COLUMNS) -> Console:
    """Standard output for tables. Where there is no terminal, rich takes 80 columns and cuts what is longer.

    Parameters:
        pipe_columns: the width where there is no terminal.
    """
    return Console(width=None if sys.stdout.isatty() else pipe_columns, highlight=False)


def readable(text: str) -> str:
    """Return a text without anything that a terminal would obey: what stands in others' files is shown, not done."""
    return "".join(letter if letter.isprintable() else f"\\x{ord(letter):02x}" for letter in text)


def fail(message: str) -> NoReturn:
    """Say what went wrong, and end with 1."""
    click.echo(message, err=True)
    sys.exit(1)


@contextmanager
def failing() -> Iterator[None]:
    """Let an expected error be its sentence, not a traceback."""
    try:
        yield
    except AgiMonitorError as error:
        fail(str(error))
