"""Every command has a man page, and roff understands it."""

from __future__ import annotations

import subprocess

import click
import pytest

from agi_monitor.commands.later import commands
from agi_monitor.commands.main import main
from agi_monitor.commands.man import page, pages
from contrib.lab.engine import ensure_programs
from contrib.lab.images import CACHE
from contrib.lab.progress import Progress

PAGES = pages(main)


def test_every_command_has_a_page_with_its_options() -> None:
    """Of every storey, and the program itself."""
    known = dict(commands(main))
    assert set(PAGES) == {"agi-monitor.1", *(f"agi-monitor-{name.replace(' ', '-')}.1" for name in known)}
    for name, command in known.items():
        text = PAGES[f"agi-monitor-{name.replace(' ', '-')}.1"].replace("\\-", "-")
        assert f".B agi-monitor {name}\n" in text
        options = [one for one in command.params if isinstance(one, click.Option)]
        assert [one.opts for one in options if not all(f"\\fB{word}\\fR" in text for word in one.opts)] == []


@pytest.fixture(scope="module")
def groff() -> None:
    """The formatter behind man."""
    ensure_programs({"groff": "groff-base"}, CACHE, Progress())


@pytest.mark.usefixtures("groff")
@pytest.mark.parametrize("name", PAGES)
def test_roff_has_no_complaint(name: str) -> None:
    """With all of its warnings."""
    assert formatted(PAGES[name]).startswith("AGI-MONITOR")


@pytest.mark.usefixtures("groff")
def test_no_text_is_obeyed() -> None:
    """A sentence that begins with a dot or an apostrophe is a request to roff, and a backslash an escape."""

    @click.command()
    @click.option("--path", help=".so /etc/shadow")
    def odd() -> None:
        """First. Then.

        'pi \\fIis\\fR not -- obeyed
        """

    shown = " ".join(formatted(page("odd", {"odd": odd})).split())
    assert "'pi \\fIis\\fR not -- obeyed" in shown
    assert "--path PATH .so /etc/shadow" in shown


def formatted(text: str) -> str:
    """A page as it is read; a warning is an error."""
    command = ["groff", "-man", "-Tascii", "-ww", "-P-c", "-P-b", "-P-u"]
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return done.stdout.lstrip()
