"""The command ``agi-monitor check-config``."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from agi_monitor.commands import terminal
from agi_monitor.commands.options import config_option, json_option
from agi_monitor.commands.people_source import load_with_people
from agi_monitor.config import translation
from agi_monitor.config.checks import tenant_mistakes
from agi_monitor.dialplan.render import render as render_dialplan
from agi_monitor.errors import AgiMonitorError, ConfigError
from agi_monitor.server.plugins import Ignored, ignored, installed
from agi_monitor.supervision.hooks import Plugin


def _must_have_driver(url: str) -> None:
    """Look whether the library for a database is installed. Nothing is connected to.

    Raises:
        StateUnavailable: it is not.
    """
    from agi_monitor.storage.database import Database  # only now: most configurations need none

    Database(url).close()


@click.command("check-config")
@config_option
@json_option
def check_config(config_path: Path, as_json: bool) -> None:
    """Check the configuration and the dialplan generated from it."""
    problems: tuple[str, ...] = ()
    plugins: tuple[Plugin, ...] = ()
    others: tuple[Ignored, ...] = ()
    try:
        config = load_with_people(config_path)
        # People of the store or of a plug-in are not in the file whose mistakes were looked for.
        problems = tenant_mistakes(config, config.people)
        render_dialplan(translation.site(config), config.dialplan.templates)
        if config.store.url is not None:
            _must_have_driver(config.store.url)
        plugins = installed(config.named_plugins)
        others = ignored(config.named_plugins)
    except ConfigError as error:
        problems = error.problems
    except AgiMonitorError as error:
        problems = (str(error),)
    if as_json:
        found = [{"name": one.name, "version": one.version, "hooks": one.hooks} for one in plugins]
        unnamed = [{"name": one.name, "distribution": one.distribution} for one in others]
        report = {"file": str(config_path), "ok": not problems, "problems": problems}
        click.echo(json.dumps({**report, "plugins": found, "plugins_ignored": unnamed}, indent=1))
    elif problems:
        terminal.say("\n".join(problems), err=True)
    else:
        terminal.say(
            f"{config_path}: valid. Supervisors: {len(config.supervisors)}, agents: {len(config.agents)}, "
            f"rules: {len(config.rules)}"
        )
        hinted = sum(1 for one in config.agents.values() if not one.endpoints)
        if hinted:
            terminal.say(f"Not verified here: the hints of {hinted} agents without endpoints. The PBX knows them.")
        for plugin in plugins:
            terminal.say(f"plug-in {plugin.name} {plugin.version}: {', '.join(plugin.hooks)}")
        for other in others:
            passed_over = f"plug-in {other.name} of {other.distribution}: ignored; plugins does not name it"
            terminal.say(passed_over)
    sys.exit(1 if problems else 0)
