"""The command ``agi-monitor reload``."""

from __future__ import annotations

import signal
from pathlib import Path

import click

from agi_monitor.commands import terminal
from agi_monitor.commands.options import config_option
from agi_monitor.commands.people_source import load_with_people
from agi_monitor.config.loading import load
from agi_monitor.control import client
from agi_monitor.control.messages import Problem
from agi_monitor.control.socket_file import socket_path
from agi_monitor.errors import AgiMonitorError, ControlFailed
from agi_monitor.storage.state_folder import StateFolder


@click.command()
@click.option(
    "--asterisk-dir",
    "folder",
    type=click.Path(path_type=Path),
    default="/etc/asterisk",
    show_default=True,
    help="Folder with Asterisk's configuration, to see whether what is installed there still fits.",
)
@config_option
def reload(config_path: Path, folder: Path) -> None:
    """Make the running server read its configuration again, and print the result.

    A file with a mistake is refused before the server is told. Where the control socket does not answer, the process
    that holds the state folder gets a signal, and its log has the result. A change of the codes, the groups or the
    manager account also needs 'agi-monitor install', where it was installed on this machine.
    """
    config = load(config_path).config
    try:
        path = socket_path(config.control.socket, config.state.directory)
        reloaded = client.reload(path)
    except ControlFailed as error:
        if error.problem not in ("", Problem.UNKNOWN_ASK):
            raise
        _reload_by_signal(config.state.directory, error)
        _say_what_waits(config_path, folder)
        return
    terminal.say(f"reloaded: {reloaded.supervisors} supervisors, {reloaded.agents} agents")
    if reloaded.restart:
        terminal.say(f"needs a restart of the server: {', '.join(reloaded.restart)}", err=True)
    _say_what_waits(config_path, folder)


def _say_what_waits(config_path: Path, folder: Path) -> None:
    """Tell which installed files no longer fit the configuration."""
    from agi_monitor.doctor import own_files  # only now: the server is told before templates are read

    try:
        waiting = own_files.differences(load_with_people(config_path), folder)
    except AgiMonitorError as error:
        terminal.say(f"whether the dialplan still fits is not known: {error}", err=True)
        return
    for line in waiting:
        terminal.say(f"needs agi-monitor install: {line}", err=True)


def _reload_by_signal(directory: Path, silence: ControlFailed) -> None:
    told = StateFolder(directory).tell(signal.SIGHUP)
    if told is None and isinstance(silence.__cause__, PermissionError):
        raise silence
    if told is None:
        terminal.fail(f"{directory}: no agi-monitor runs with this folder. Start one with: agi-monitor serve")
    terminal.say(f"process {told}: told to reload; its log has the result")
