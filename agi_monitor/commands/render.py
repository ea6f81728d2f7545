"""The command ``agi-monitor render``."""

from __future__ import annotations

import json
from pathlib import Path

import click

from agi_monitor.commands import terminal
from agi_monitor.commands.options import config_option, json_option
from agi_monitor.commands.people_source import load_with_people
from agi_monitor.config import translation
from agi_monitor.dialplan.render import MANAGER, PJSIP, REALTIME
from agi_monitor.dialplan.render import render as render_dialplan
from agi_monitor.dialplan.write import write


@click.command()
@config_option
@click.option(
    "--out",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder to write the files to, such as /etc/asterisk/agi-monitor.",
)
@json_option
def render(config_path: Path, out: Path, as_json: bool) -> None:
    """Write the dialplan files and the manager.conf account. Files that would not change are left alone."""
    config = load_with_people(config_path)
    files = render_dialplan(translation.site(config), config.dialplan.templates)
    changed = write(files, out)
    written = {str(path) for path in changed}
    states = {str(out / name): "written" if str(out / name) in written else "unchanged" for name in files}
    if as_json:
        click.echo(json.dumps({"files": states}, indent=1))
        return
    for name, state in states.items():
        terminal.say(f"{name}: {state}")
    if {path.name for path in changed} - {MANAGER, PJSIP, REALTIME}:
        terminal.say(
            "Next: asterisk -rx 'dialplan reload'; extensions.conf.sample shows which context to include where"
        )
    if out / MANAGER in changed:
        terminal.say(f"Next: asterisk -rx 'manager reload'; {MANAGER} says how to include it, once")
    elif MANAGER not in files and (out / MANAGER).exists():
        terminal.say(
            f"{MANAGER}: is left from a configuration with ami. Remove it, then run asterisk -rx 'manager reload'"
        )
    if out / PJSIP in changed:
        terminal.say(f"Next: asterisk -rx 'module reload res_pjsip.so'; {PJSIP} says how to include it, once")
    if out / REALTIME in changed:
        terminal.say(f"Next: run {REALTIME} on the database of the phones")
