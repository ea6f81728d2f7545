"""The command ``agi-monitor``. Exit codes: 0 all is well, 1 something is wrong, 2 the command was called wrongly."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn, cast

import click
import structlog

from agi_monitor import __version__, assembly, logs
from agi_monitor.config import Config, load
from agi_monitor.dialplan.render import render as render_dialplan
from agi_monitor.dialplan.write import write
from agi_monitor.errors import AgiMonitorError, ConfigError
from agi_monitor.sample import SAMPLE
from agi_monitor.storage.state_folder import StateFolder
from agi_monitor.supervision.pins import make_hash

DEFAULT_CONFIG = "/etc/agi-monitor/agi-monitor.yaml"

_config_option = click.option(
    "--config",
    "-c",
    "config_path",
    type=click.Path(dir_okay=False, path_type=Path),
    default=DEFAULT_CONFIG,
    envvar="AGI_MONITOR_CONFIG",
    show_default=True,
    show_envvar=True,
    help="The configuration file.",
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="agi-monitor")
def main() -> None:
    """Live call monitoring for Asterisk: listen, whisper and barge from a desk phone."""


@main.command()
@click.argument("path", type=click.Path(dir_okay=False, path_type=Path), default=DEFAULT_CONFIG)
@click.option("--force", is_flag=True, help="Replace a file that is there.")
def init(path: Path, force: bool) -> None:
    """Write a commented sample configuration to PATH."""
    try:
        with path.open("w" if force else "x", encoding="utf-8") as file:
            path.chmod(0o640)
            file.write(SAMPLE)
    except FileExistsError:
        _fail(f"{path}: is there already; --force replaces it")
    except OSError as error:
        _fail(f"{path}: cannot be written: {error.strerror}")
    click.echo(
        f"{path}: written. Next: make a PIN with 'agi-monitor pin', put it in, then 'agi-monitor check-config'"
    )


@main.command("check-config")
@_config_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def check_config(config_path: Path, as_json: bool) -> None:
    """Check the configuration and the dialplan that comes out of it."""
    problems: tuple[str, ...] = ()
    try:
        config = load(config_path).config
        render_dialplan(assembly.site(config), config.dialplan.templates)
    except ConfigError as error:
        problems = error.problems
    except AgiMonitorError as error:
        problems = (str(error),)
    if as_json:
        click.echo(json.dumps({"file": str(config_path), "ok": not problems, "problems": problems}, indent=1))
    elif problems:
        click.echo("\n".join(problems), err=True)
    else:
        click.echo(
            f"{config_path}: right. Supervisors: {len(config.supervisors)}, agents: {len(config.agents)}, "
            f"rules: {len(config.rules)}"
        )
    sys.exit(1 if problems else 0)


@main.command()
def pin() -> None:
    """Ask for a PIN and print its record for the configuration.

    Asks twice without showing it; reads one line where standard input is no terminal.
    """
    if sys.stdin.isatty():
        digits = click.prompt("PIN", hide_input=True, confirmation_prompt=True, err=True)
    else:
        digits = sys.stdin.readline().strip()
    try:
        click.echo(make_hash(digits))
    except ValueError as error:
        _fail(str(error))


@main.command()
@_config_option
@click.option(
    "--out",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="The folder the files are written to, such as /etc/asterisk/agi-monitor.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def render(config_path: Path, out: Path, as_json: bool) -> None:
    """Write the dialplan files. Files that would not change are left alone."""
    try:
        config = load(config_path).config
        files = render_dialplan(assembly.site(config), config.dialplan.templates)
        changed = write(files, out)
    except AgiMonitorError as error:
        _fail(str(error))
    written = {str(path) for path in changed}
    states = {str(out / name): "written" if str(out / name) in written else "unchanged" for name in files}
    if as_json:
        click.echo(json.dumps({"files": states}, indent=1))
        return
    for name, state in states.items():
        click.echo(f"{name}: {state}")
    if changed:
        click.echo(
            "Next: asterisk -rx 'dialplan reload'; extensions.conf.sample shows which context to include where"
        )


@main.command()
@_config_option
def reload(config_path: Path) -> None:
    """Make the running server read its configuration again. A file with a mistake is refused here already."""
    config = _load(config_path)
    running = StateFolder(config.state.directory).running()
    if running is None:
        _fail(f"{config.state.directory}: no agi-monitor is running with this folder")
    try:
        os.kill(running, signal.SIGHUP)
    except OSError as error:
        _fail(f"process {running}: {error.strerror}")
    click.echo(f"process {running}: told to reload; its log says what came of it")


@main.command()
@_config_option
def serve(config_path: Path) -> None:
    """Run the FastAGI server until SIGTERM. SIGHUP reads the configuration again."""
    config = _load(config_path)
    logs.configure(config.log.level, config.log.format)
    logs.take_over_twisted()
    # Only now: importing Twisted's reactor chooses it, and the other commands need none.
    from twisted.internet import reactor as twisted_reactor
    from twisted.internet.defer import Deferred

    from agi_monitor.service import Reactor, Server

    reactor = cast(Reactor, twisted_reactor)
    log = structlog.get_logger()
    exit_code = 0
    stopping = False

    def stop() -> None:
        # Ctrl-C under a supervisor process arrives twice, and Twisted takes the second one for a fault.
        nonlocal stopping
        if not stopping:
            stopping = True
            reactor.stop()

    def failed(failure: Any) -> None:
        nonlocal exit_code
        exit_code = 1
        log.error("start_failed", error=failure.getErrorMessage())
        reactor.callWhenRunning(stop)

    def on(number: signal.Signals, action: Callable[[], None]) -> None:
        signal.signal(number, lambda *_: reactor.callFromThread(action))

    def reload_config() -> None:
        Deferred.fromCoroutine(server.reload()).addErrback(
            lambda failure: log.error("reload_failed", error=failure.getErrorMessage())
        )

    try:
        server = Server(config_path, reactor, time.time)
    except AgiMonitorError as error:
        _fail(str(error))
    reactor.addSystemEventTrigger("before", "shutdown", lambda: Deferred.fromCoroutine(server.stop()))
    reactor.callWhenRunning(lambda: Deferred.fromCoroutine(server.start()).addErrback(failed))
    on(signal.SIGHUP, reload_config)
    for number in (signal.SIGTERM, signal.SIGINT):
        # Later: Twisted takes these two when it starts to run.
        reactor.callWhenRunning(on, number, stop)
    reactor.run()
    sys.exit(exit_code)


def _load(path: Path) -> Config:
    try:
        return load(path).config
    except ConfigError as error:
        _fail(str(error))


def _fail(message: str) -> NoReturn:
    click.echo(message, err=True)
    sys.exit(1)
