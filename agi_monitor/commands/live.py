"""What ``calls --watch`` and ``spies --watch`` show: the list as it is at every moment.

The server sends it whenever it has changed. In between only the durations move, which needs no question.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from agi_monitor.control import client
from agi_monitor.shown import CallShown, SpyShown

if TYPE_CHECKING:
    from rich.console import RenderableType

TICK_SECONDS = 1.0
"""Durations are shown in seconds."""

One = TypeVar("One", CallShown, SpyShown)
Watch = Callable[[Path, float | None], Iterator[list[One] | str | None]]


def calls(path: Path, as_json: bool) -> None:
    """Show the calls until Ctrl-C.

    Parameters:
        path: the socket of the server.
        as_json: one JSON object for each change.

    Raises:
        ControlFailed: there is no server, or it has stopped.
    """
    _follow(path, as_json, client.watch_calls, "calls")


def spies(path: Path, as_json: bool) -> None:
    """Show who hears whom until Ctrl-C: see ``calls``."""
    _follow(path, as_json, client.watch_spies, "spies")


def _follow(path: Path, as_json: bool, watch: Watch[One], what: str) -> None:
    # Ctrl-C is the only way to end it, and so no failure. The exit code is given where rich has let go of the screen.
    try:
        if as_json:
            _objects(watch(path, None), what)
        elif sys.stdout.isatty():
            _in_place(watch(path, TICK_SECONDS), what)
        else:
            _lines(watch(path, None))
    except KeyboardInterrupt:
        sys.exit(0)


def _objects(found: Iterator[list[One] | str | None], what: str) -> None:
    for one in found:
        row = {"unavailable": one} if isinstance(one, str) else {what: [each.row() for each in one or ()]}
        click.echo(json.dumps(row))


def _in_place(found: Iterator[list[One] | str | None], what: str) -> None:
    from rich.live import Live

    from agi_monitor.commands import tables
    from agi_monitor.commands.console import console

    last: list[One] | str = []
    came = time.monotonic()

    def shown() -> RenderableType:
        if isinstance(last, str):
            return tables.plain(last)
        if not last:
            return tables.plain(f"no {what}")
        passed = time.monotonic() - came
        return tables.table_of([replace(one, seconds=one.seconds + passed) for one in last])

    with Live(tables.plain(""), console=console(), auto_refresh=False) as screen:
        for one in found:
            if one is not None:
                last, came = one, time.monotonic()
            screen.update(shown(), refresh=True)


def _lines(found: Iterator[list[One] | str | None]) -> None:
    """A line for each call or spy that came, changed or went."""
    from agi_monitor.commands import tables
    from agi_monitor.commands.console import console

    screen = console()
    known: dict[str, One] = {}
    for one in found:
        if isinstance(one, str):
            screen.print(tables.change_line(_now(), "unknown", one), soft_wrap=True)
            continue
        for word, row in _changes(known, one or ()):
            screen.print(tables.change_line(_now(), word, row), soft_wrap=True)
        known = {f"{row.node}/{row.id}": row for row in one or ()}


def _changes(known: dict[str, One], found: Sequence[One]) -> Iterator[tuple[str, One]]:
    here = {f"{row.node}/{row.id}": row for row in found}
    for key, row in known.items():
        if key not in here:
            yield "over", row
    for key, row in here.items():
        before = known.get(key)
        if before is None:
            yield "new", row
        elif _without_time(before) != _without_time(row):
            yield "changed", row


def _without_time(row: One) -> One:
    return replace(row, seconds=0.0) if isinstance(row, CallShown) else replace(row, seconds=0.0, since="")


def _now() -> str:
    return datetime.now().astimezone().isoformat()
