"""Commands that are imported when they are called: a command needs its own libraries, not those of all others."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from typing import Any, cast

import click


class Later(click.Command):
    """Stands for a command in the list of its group: for ``--help``, and for a shell that completes a word.

    Parameters:
        name: as it is typed.
        place: its module and its name there, such as ``agi_monitor.commands.pin:pin``.
        help: the first sentence of its own help.
    """

    def __init__(self, name: str, place: str, help: str) -> None:
        super().__init__(name, help=help)
        self.module, _, self._attribute = place.partition(":")

    def command(self) -> click.Command:
        """Import the command."""
        return cast(click.Command, getattr(import_module(self.module), self._attribute))

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """Let the command itself read what was typed. Its context leads to it, and no longer to this one."""
        return self.command().make_context(info_name, args, parent, **extra)


def commands(group: click.Group) -> Iterator[tuple[str, click.Command]]:
    """Yield every command below a group with its whole name, subcommands after their group.

    Parameters:
        group: the program, or one of its groups.
    """
    for name, listed in sorted(group.commands.items()):
        command = listed.command() if isinstance(listed, Later) else listed
        yield name, command
        if isinstance(command, click.Group):
            yield from ((f"{name} {below}", one) for below, one in commands(command))
