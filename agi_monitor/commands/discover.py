"""The command ``agi-monitor discover``."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from agi_monitor.commands import terminal
from agi_monitor.config import yaml
from agi_monitor.dialplan import discovery


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


@click.command()
@click.option(
    "--asterisk-dir",
    "folder",
    type=click.Path(path_type=Path),
    default="/etc/asterisk",
    show_default=True,
    help="Folder with Asterisk's configuration.",
)
@click.option(
    "--freepbx",
    "lists",
    type=click.Path(path_type=Path),
    multiple=True,
    help="CSV export of FreePBX's bulk handler with extensions; repeatable.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, notes included.")
def discover(folder: Path, lists: tuple[Path, ...], as_json: bool) -> None:
    """Find agents and their devices in Asterisk's files, and print them for 'people import'.

    Reads pjsip.conf, pjsip_wizard.conf, sip.conf, iax.conf and users.conf (devices), extensions.conf (whose they
    are), voicemail.conf (only names) and queues.conf (a queue becomes a group). Prints what it did not understand on
    standard error. Never makes a supervisor, a rule or a PIN. Exit code 1 when no agent was found.
    """
    found = discovery.look(folder, lists)
    agents = found.agents()
    if as_json:
        click.echo(json.dumps({"agents": agents, "notes": found.notes}, indent=1))
    else:
        for note in found.notes:
            terminal.say(note, err=True)
        terminal.say(f"{_count(len(agents), 'agent')}, {_count(len(found.notes), 'note')}", err=True)
        if agents:
            terminal.data(yaml.text({"agents": agents}))
    sys.exit(0 if agents else 1)
