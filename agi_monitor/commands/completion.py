"""The command ``agi-monitor completion``."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from agi_monitor.commands import terminal

PROGRAM = "agi-monitor"
ASKED_BY = "_AGI_MONITOR_COMPLETE"
"""The variable by which a shell asks the program for words. click makes its name of the program's."""


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the script that makes SHELL complete the commands, their options and the ids of spies."""
    found = get_completion_class(shell)
    if found is None:
        terminal.fail(f"{shell}: the installed click has no script for it")
    terminal.data(found(context.find_root().command, {}, PROGRAM, ASKED_BY).source())
