"""The command ``agi-monitor init``."""

from __future__ import annotations

from pathlib import Path

import click

from agi_monitor.commands import terminal
from agi_monitor.commands.options import DEFAULT_CONFIG
from agi_monitor.config.sample import SAMPLE
from agi_monitor.files.folder import Folder


@click.command()
@click.argument("path", type=click.Path(dir_okay=False, path_type=Path), default=DEFAULT_CONFIG)
@click.option("--force", is_flag=True, help="Overwrite an existing file.")
def init(path: Path, force: bool) -> None:
    """Write a commented sample configuration to PATH."""
    try:
        with Folder.at(path.parent) as folder, folder.new(path.name) as file:
            file.write(SAMPLE.encode())
            file.belongs(0o640, *folder.owner_of_new())
            file.take_place(of_nothing=not force)
    except FileExistsError:
        terminal.fail(f"{path}: exists already; --force overwrites it")
    except OSError as error:
        terminal.fail(f"{path}: cannot be written: {error.strerror}")
    terminal.say(
        f"{path}: written. Next: make a PIN with 'agi-monitor pin', put it in, then 'agi-monitor check-config'"
    )
