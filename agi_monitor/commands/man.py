"""The man pages: one for each command, from the same help texts as ``--help`` and the reference.

Not by click-man, which leaves a line that begins with a dot or an apostrophe to be obeyed by roff.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping

import click

from agi_monitor import __version__
from agi_monitor.commands.later import commands

PROGRAM = "agi-monitor"
SECTION = "1"


def pages(group: click.Group) -> Mapping[str, str]:
    """Return the pages, by file name.

    Parameters:
        group: the program.
    """
    found = {"": group, **dict(commands(group))}
    return {f"{_title(name)}.{SECTION}": page(name, found) for name in found}


def page(name: str, known: Mapping[str, click.Command]) -> str:
    """Return a page in roff, with the macros of man(7).

    Parameters:
        name: of the command, as it is typed after the program; empty for the program itself.
        known: all commands, by their names.
    """
    return "\n".join(_lines(name, known)) + "\n"


def _lines(name: str, known: Mapping[str, click.Command]) -> Iterator[str]:
    command = known[name]
    paragraphs = [" ".join(part.split()) for part in inspect.cleandoc(command.help or "").split("\n\n")]
    first, dot, rest = paragraphs[0].partition(". ")
    yield f'.TH "{_title(name).upper()}" "{SECTION}" "" "{PROGRAM} {__version__}" "{PROGRAM}"'
    yield ".SH NAME"
    yield f"{_text(_title(name))} \\- {_text(first.removesuffix('.'))}"
    yield ".SH SYNOPSIS"
    yield f".B {_text(f'{PROGRAM} {name}'.strip())}"
    yield _text(" ".join(_usage(command)))
    below = [one for one in known if one and one.rpartition(" ")[0] == name]
    paragraphs = [rest, *paragraphs[1:]] if dot else paragraphs[1:]
    if any(paragraphs):
        yield ".SH DESCRIPTION"
        for number, paragraph in enumerate(filter(None, paragraphs)):
            if number:
                yield ".PP"
            yield _text(paragraph)
    if below:
        yield ".SH COMMANDS"
        for one in below:
            yield ".TP"
            yield f".BR {_text(_title(one))} ({SECTION})"
            yield _text(
                inspect.cleandoc(known[one].help or "").partition(". ")[0].split("\n\n")[0].replace("\n", " ")
            )
    yield ".SH OPTIONS"
    for parameter in command.params:
        if isinstance(parameter, click.Option) and not parameter.hidden:
            yield from _option(parameter)
    yield ".TP"
    yield r"\fB\-h\fR, \fB\-\-help\fR"
    yield "Show the help and exit."
    above = name.rpartition(" ")[0]
    if name:
        yield ".SH SEE ALSO"
        yield f".BR {_text(_title(above))} ({SECTION})"


def _usage(command: click.Command) -> Iterator[str]:
    yield "[OPTIONS]"
    for parameter in command.params:
        if isinstance(parameter, click.Argument):
            word = (parameter.name or "").upper().rstrip("_")
            word = word if parameter.nargs != -1 else f"{word} ..."
            yield word if parameter.required else f"[{word}]"
    if isinstance(command, click.Group):
        yield "COMMAND [ARGUMENTS]"


def _option(option: click.Option) -> Iterator[str]:
    names = ", ".join(rf"\fB{_text(one)}\fR" for one in option.opts)
    if isinstance(option.type, click.Choice):
        word = "|".join(map(str, option.type.choices))
    else:
        kind = option.type.name if isinstance(option.type, click.Path) else option.name or ""
        word = option.metavar or ("" if option.is_flag else kind.upper())
    yield ".TP"
    yield names + (rf" \fI{_text(word)}\fR" if word else "")
    said = option.help or ""
    if option.required:
        said += " Required."
    elif isinstance(option.default, str):
        said += f" Default: {option.default}."
    if isinstance(option.envvar, str):
        said += f" Environment: {option.envvar}."
    yield _text(said)


def _title(name: str) -> str:
    return f"{PROGRAM} {name}".strip().replace(" ", "-")


def _text(text: str) -> str:
    """A text as roff prints it, whatever it is: nothing in it is an escape, and no line of it a request."""
    shown = text.replace("\\", r"\e").replace("-", r"\-")
    return rf"\&{shown}" if shown[:1] in (".", "'") else shown
