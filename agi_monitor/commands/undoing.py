"""What ``uninstall`` undoes of a setup."""

from __future__ import annotations

import os
from pathlib import Path

import click

from agi_monitor.commands import terminal
from agi_monitor.errors import InstallFailed
from agi_monitor.install.places import ROOT_BOOKS
from agi_monitor.setup.making import Maker
from agi_monitor.setup.record import Record


def undo_setup(folder: Path, *, yes: bool, dry_run: bool, err: bool) -> None:
    """Undo what a setup for one of Asterisk's folders has made, as far as it was not changed since.

    Parameters:
        folder: Asterisk's.
        yes: do not ask.
        dry_run: change nothing.
        err: say it on standard error.
    """
    if os.geteuid() != 0:
        return
    try:
        record = Record(ROOT_BOOKS, folder)
    except InstallFailed as error:
        terminal.say(f"what setup has made is left: {error}", err=True)
        return
    made = list(record)
    for thing in reversed(made):
        terminal.say(f"{thing.name}: was made by setup", err=err)
    if not made or dry_run:
        return
    if not yes:
        click.confirm("Remove these as well, where they are unchanged?", abort=True, err=True)
    for line in Maker(record).undo():
        terminal.say(line, err=err)
