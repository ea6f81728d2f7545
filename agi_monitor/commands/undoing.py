"""What ``uninstall`` undoes of a setup."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path

import click

from agi_monitor.commands import terminal
from agi_monitor.errors import ConfigError, InstallFailed
from agi_monitor.install.places import ROOT_BOOKS
from agi_monitor.setup import shipped, surroundings
from agi_monitor.setup.making import Maker
from agi_monitor.setup.record import Record

MANY = 4
"""Lines that would push what matters off the screen."""
DIALLED_FROM = ("agi-monitor-phone-", "agi-monitor-group-")
"""How the contexts begin from which the phones of supervisors dial."""


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
    for line in in_few_lines(f"{thing.shown}: made by setup" for thing in reversed(made)):
        terminal.say(line, err=err)
    if not made or dry_run:
        return
    if not yes:
        click.confirm("Remove these as well, where they are unchanged?", abort=True, err=True)
    for line in in_few_lines(Maker(record).undo()):
        terminal.say(line, err=err)
    if shipped.PACKAGED.is_file():
        terminal.say("what is left is the program: apt remove agi-monitor", err=True)
    elif (Path(sys.prefix) / "pyvenv.cfg").is_file():
        terminal.say(f"what is left is the program: rm -r {sys.prefix}", err=True)


def in_few_lines(lines: Iterable[str]) -> Iterator[str]:
    """Make one line of many neighbours in one folder of which the same is said, such as the man pages.

    Parameters:
        lines: each a path or a name, a colon, and what is said of it.
    """
    for (folder, said), alike in groupby(lines, _folder_and_word):
        same = list(alike)
        if folder and len(same) >= MANY:
            yield f"{folder}: {len(same)} files in it: {said}"
        else:
            yield from same


def stranded_phones(folder: Path) -> tuple[str, ...]:
    """Return file, line and name of each phone that dials from a context which an uninstall takes away.

    Parameters:
        folder: Asterisk's.
    """
    try:
        found = surroundings.look(folder).phones.values()
    except ConfigError:
        return ()
    return tuple(
        f"{phone.where}: [{phone.device.removeprefix('PJSIP/')}] context = {phone.context}"
        for phone in found
        if phone.context.startswith(DIALLED_FROM)
    )


def _folder_and_word(line: str) -> tuple[str, str]:
    name, _, said = line.partition(": ")
    return name.rpartition("/")[0], said
