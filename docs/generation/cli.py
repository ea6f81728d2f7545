"""The page of the commands, from their help."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

import click

from agi_monitor.commands import main as cli
from agi_monitor.commands.later import commands
from docs.generation.markdown import NOTE


def cli_page() -> Iterator[str]:
    yield "# The command agi-monitor"
    yield NOTE
    yield inspect.cleandoc(cli.__doc__ or "").partition(". ")[2]
    group = cli.main
    yield group.help or ""
    yield from option_list(group)
    for name, command in commands(group):
        yield f"## `agi-monitor {name}`"
        yield inspect.cleandoc(command.help or "")
        yield from option_list(command)


def option_list(command: click.Command) -> Iterator[str]:
    lines = [parameter_line(parameter) for parameter in command.params]
    yield "\n".join([*lines, "- `-h`, `--help`: Show the help and exit."])


def parameter_line(parameter: click.Parameter) -> str:
    """One option or argument. Not click's own words for it, which differ from release to release."""
    names = ", ".join(f"`{name}`" for name in parameter.opts)
    if isinstance(parameter, click.Argument):
        need = "Required." if parameter.required else f"Default: `{parameter.default}`."
        if parameter.nargs == -1:
            need = "May be repeated."
        return f"- `{(parameter.name or '').upper()}`: An argument. {need}"
    assert isinstance(parameter, click.Option)  # noqa: S101 - there is no third kind
    text = f"- {names}: {parameter.help}"
    if parameter.required:
        text += " Required."
    elif isinstance(parameter.default, str):
        text += f" Default: `{parameter.default}`."
    return text + (f" Environment: `{parameter.envvar}`." if isinstance(parameter.envvar, str) else "")
