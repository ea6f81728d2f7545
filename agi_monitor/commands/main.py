"""The command ``agi-monitor``. Exit codes: 0 all is well, 1 something is wrong, 2 the command was called wrongly."""

from __future__ import annotations

from typing import Any

import click

from agi_monitor import __version__
from agi_monitor.commands.later import Later

ROOM = "agi_monitor.commands"


class _Commands(click.Group):
    """Commands that may fail: an expected error of any of them is its sentence, and exit code 1."""

    def invoke(self, ctx: click.Context) -> Any:
        from agi_monitor.commands import terminal  # only now: --help and --version can do without

        with terminal.failing():
            return super().invoke(ctx)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="agi-monitor")
def main() -> None:
    """Live call monitoring for Asterisk: listen, whisper and barge from a desk phone."""


for _command in (
    Later("audit", f"{ROOM}.audit:audit", "Read, verify and report on the record of who listened to whom."),
    Later(
        "calls",
        f"{ROOM}.watching:calls",
        "Show current calls: agent, other party, state, duration, queue, and who is listening.",
    ),
    Later(
        "check-config",
        f"{ROOM}.check_config:check_config",
        "Check the configuration and the dialplan generated from it.",
    ),
    Later(
        "completion",
        f"{ROOM}.completion:completion",
        "Print the script that makes SHELL complete the commands, their options and the ids of spies.",
    ),
    Later(
        "discover",
        f"{ROOM}.discover:discover",
        "Find agents and their devices in Asterisk's files, and print them for 'people import'.",
    ),
    Later(
        "doctor",
        f"{ROOM}.doctor:doctor",
        "Check the site for what is unsafe, with the evidence, why it matters and how to fix it.",
    ),
    Later("events", f"{ROOM}.watching:events", "Print audit records as they are written, until Ctrl-C."),
    Later(
        "explain",
        f"{ROOM}.explain:explain",
        "Explain whether SUPERVISOR may use MODE on AGENT: which rule decides, and why the others do not.",
    ),
    Later("init", f"{ROOM}.init:init", "Write a commented sample configuration to PATH."),
    Later(
        "install",
        f"{ROOM}.install:install",
        "Put the rendered files into Asterisk's folder and include them from its own files.",
    ),
    Later("people", f"{ROOM}.people:people", "Show and change supervisors and agents."),
    Later("pin", f"{ROOM}.pin:pin", "Ask for a PIN and print its record for the configuration."),
    Later(
        "reload",
        f"{ROOM}.reload:reload",
        "Make the running server read its configuration again, and print the result.",
    ),
    Later("render", f"{ROOM}.render:render", "Write the dialplan files and the manager.conf account."),
    Later("rules", f"{ROOM}.people:rules", "Show and change who may listen to whom."),
    Later("serve", f"{ROOM}.serve:serve", "Run the FastAGI server until SIGTERM."),
    Later(
        "setup", f"{ROOM}.setup:setup", "Set up everything on the machine of the PBX, from nothing to a first call."
    ),
    Later("spies", f"{ROOM}.watching:spies", "Show who is listening to whom, through this server or past it."),
    Later("spy", f"{ROOM}.watching:spy", "Act on a running spy."),
    Later("status", f"{ROOM}.watching:status", "Show the state of the running server."),
    Later(
        "uninstall",
        f"{ROOM}.install:uninstall",
        "Remove what install put into Asterisk's folder, and what setup has made.",
    ),
):
    main.add_command(_command)
