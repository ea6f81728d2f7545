"""The command ``agi-monitor discover``."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from agi_monitor import document, site_people
from agi_monitor.errors import AgiMonitorError
from agi_monitor.terminal import readable


@click.command()
@click.option(
    "--asterisk-dir",
    "folder",
    type=click.Path(path_type=Path),
    default="/etc/asterisk",
    show_default=True,
    help="The folder with Asterisk's configuration.",
)
@click.option(
    "--freepbx",
    "lists",
    type=click.Path(path_type=Path),
    multiple=True,
    help="Extensions as FreePBX's bulk handler exports them, CSV; repeatable.",
)
@click.option("--json", "as_json", is_flag=True, help="For machines, with the notes.")
def discover(folder: Path, lists: tuple[Path, ...], as_json: bool) -> None:
    """Find agents and their devices in what a site has, and print them as 'people import' takes them.

    Looks into pjsip.conf, voicemail.conf (names alone) and queues.conf (a queue makes a group). Says on standard
    error what was not understood. Never makes a supervisor, a right or a PIN. Exit code 1 when nobody was found.
    """
    try:
        found = site_people.look(folder, lists)
    except AgiMonitorError as error:
        click.echo(readable(str(error)), err=True)
        sys.exit(1)
    agents = found.agents()
    if as_json:
        click.echo(json.dumps({"agents": agents, "notes": found.notes}, indent=1))
    else:
        for note in found.notes:
            click.echo(readable(note), err=True)
        click.echo(f"{len(agents)} agents, {len(found.notes)} notes", err=True)
        if agents:
            click.echo(document.text({"agents": agents}), nl=False)
    sys.exit(0 if agents else 1)
