"""The commands that ask a running server: ``status``, ``calls``, ``spies``, ``spy kill`` and ``events``.

They are called again and again, by ``watch`` and by scripts. So only the client of the control socket and YAML are
imported here; what draws a table, and what checks a whole configuration, is imported where it is needed.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from agi_monitor.commands import live, terminal
from agi_monitor.commands.completing import SAFE_WORD
from agi_monitor.commands.options import DEFAULT_CONFIG, config_option, json_option, socket_option
from agi_monitor.config import control_socket
from agi_monitor.control import client
from agi_monitor.control.socket_file import socket_path
from agi_monitor.errors import AgiMonitorError, ControlFailed
from agi_monitor.shown import Row

if TYPE_CHECKING:
    from rich.console import RenderableType

Value = TypeVar("Value")

COMPLETION_SECONDS = 1.0
"""Who has pressed a key for the rest of a word waits no longer."""

watch_option = click.option(
    "--watch",
    is_flag=True,
    help="Show every change as it happens, until Ctrl-C: in place on a terminal, otherwise one per line.",
)


@click.command()
@config_option
@socket_option
@json_option
def status(config_path: Path, socket: Path | None, as_json: bool) -> None:
    """Show the state of the running server. Exit code 1 when its picture of the PBX cannot be trusted."""
    found = _ask(config_path, socket, client.status)
    if as_json:
        click.echo(json.dumps(found.row(), indent=1))
    else:
        from agi_monitor.commands import tables

        _show(tables.status_table(found))
    sys.exit(0 if found.is_well else 1)


@click.command()
@config_option
@socket_option
@watch_option
@json_option
def calls(config_path: Path, socket: Path | None, watch: bool, as_json: bool) -> None:
    """Show current calls: agent, other party, state, duration, queue, and who is listening."""
    if watch:
        with _server(config_path, socket) as path:
            live.calls(path, as_json)
        return
    found = _ask(config_path, socket, client.calls)
    if as_json:
        click.echo(json.dumps({"calls": [call.row() for call in found]}, indent=1))
    elif found:
        from agi_monitor.commands import tables

        _show(tables.calls_table(found))
    else:
        click.echo("no calls", err=True)


@click.command()
@config_option
@socket_option
@watch_option
@json_option
def spies(config_path: Path, socket: Path | None, watch: bool, as_json: bool) -> None:
    """Show who is listening to whom, through this server or past it. Unauthorized spies are red."""
    if watch:
        with _server(config_path, socket) as path:
            live.spies(path, as_json)
        return
    found = _ask(config_path, socket, client.spies)
    if as_json:
        click.echo(json.dumps({"spies": [spy.row() for spy in found]}, indent=1))
    elif found:
        from agi_monitor.commands import tables

        _show(tables.spies_table(found))
    else:
        click.echo("no spies", err=True)


@click.group()
def spy() -> None:
    """Act on a running spy."""


def _ids(context: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """The ids of the spies that there are, for a shell that completes a word; none when the server cannot say."""
    config_path, socket = context.params.get("config_path"), context.params.get("socket")
    try:
        with _server(config_path or Path(DEFAULT_CONFIG), socket) as path:
            found = client.spies(path, COMPLETION_SECONDS)
    except AgiMonitorError:
        return []
    return [spy.id for spy in found if spy.id.startswith(incomplete) and SAFE_WORD.fullmatch(spy.id)]


@spy.command()
@click.argument("id", shell_complete=_ids)
@config_option
@socket_option
@json_option
def kill(id: str, config_path: Path, socket: Path | None, as_json: bool) -> None:
    """End the spy with this ID, as shown by 'agi-monitor spies'. The audit records who did it."""
    ended = _ask(config_path, socket, lambda path: client.kill(path, id))
    if as_json:
        click.echo(json.dumps({"ended": ended.row()}, indent=1))
    else:
        from agi_monitor.commands import tables

        terminal.say(f"ended: {tables.ended_line(ended)}")


@click.command()
@config_option
@socket_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line.")
def events(config_path: Path, socket: Path | None, as_json: bool) -> None:
    """Print audit records as they are written, until Ctrl-C."""
    try:
        with _server(config_path, socket) as path:
            _print_events(client.follow(path), as_json)
    except KeyboardInterrupt:
        # The only way to end it, and so no failure.
        sys.exit(0)


def _print_events(records: Iterator[Row], as_json: bool) -> None:
    if as_json:
        for record in records:
            click.echo(json.dumps(record))
        return
    from agi_monitor.commands import tables
    from agi_monitor.commands.console import console

    screen = console()
    for record in records:
        screen.print(tables.event_line(record), soft_wrap=True)


def _ask(config_path: Path, socket: Path | None, ask: Callable[[Path], Value]) -> Value:
    with _server(config_path, socket) as path:
        return ask(path)


@contextmanager
def _server(config_path: Path, given: Path | None) -> Iterator[Path]:
    """Find the socket of the server.

    Where nothing answers there, the whole configuration is checked after all: a mistake in it says more than a socket
    that is missing.

    Raises:
        ConfigError: the configuration does not say where the socket is, or nothing answers and it has a mistake.
    """
    path = given or control_socket.named_in(config_path)
    if path is None:
        yield _socket_of_all(config_path)
        return
    try:
        yield path
    except ControlFailed as error:
        if given is None and isinstance(error.__cause__, OSError):
            _socket_of_all(config_path)
        raise


def _socket_of_all(config_path: Path) -> Path:
    """Check the whole configuration for where the socket is."""
    from agi_monitor.config.loading import load

    config = load(config_path).config
    return socket_path(config.control.socket, config.state.directory)


def _show(what: RenderableType) -> None:
    from agi_monitor.commands.console import console

    console().print(what)
