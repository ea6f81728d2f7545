"""The command ``agi-monitor``. Exit codes: 0 all is well, 1 something is wrong, 2 the command was called wrongly."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import click
import structlog
from rich.console import RenderableType

from agi_monitor import __version__
from agi_monitor.commands import tables, terminal
from agi_monitor.commands.audit import audit
from agi_monitor.commands.discover import discover
from agi_monitor.commands.doctor import doctor
from agi_monitor.commands.explain import explain
from agi_monitor.commands.install import install, uninstall
from agi_monitor.commands.people import add as people_add
from agi_monitor.commands.people import people, rules
from agi_monitor.commands.people_source import load_with_people
from agi_monitor.commands.pin import pin
from agi_monitor.config import translation
from agi_monitor.config.sample import SAMPLE
from agi_monitor.config.settings import Config, load, tenant_mistakes
from agi_monitor.control import client
from agi_monitor.control.messages import Problem
from agi_monitor.control.socket_file import socket_path
from agi_monitor.dialplan.render import MANAGER, PJSIP, REALTIME
from agi_monitor.dialplan.render import render as render_dialplan
from agi_monitor.dialplan.write import write
from agi_monitor.errors import AgiMonitorError, ConfigError, ControlFailed
from agi_monitor.files.folder import Folder
from agi_monitor.server import logs
from agi_monitor.server.plugins import Ignored, ignored, installed
from agi_monitor.server.systemd import Notifier, passed_sockets
from agi_monitor.storage.state_folder import StateFolder
from agi_monitor.supervision.hooks import Plugin

DEFAULT_CONFIG = "/etc/agi-monitor/agi-monitor.yaml"

Value = TypeVar("Value")

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


_socket_option = click.option(
    "--socket",
    # Not click's own look whether it may be read: it says less than what comes of the attempt.
    type=click.Path(readable=False, path_type=Path),
    envvar="AGI_MONITOR_SOCKET",
    show_envvar=True,
    help="The server's control socket (default: the one in the configuration).",
)
_json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="agi-monitor")
def main() -> None:
    """Live call monitoring for Asterisk: listen, whisper and barge from a desk phone."""


@main.command()
@click.argument("path", type=click.Path(dir_okay=False, path_type=Path), default=DEFAULT_CONFIG)
@click.option("--force", is_flag=True, help="Overwrite an existing file.")
def init(path: Path, force: bool) -> None:
    """Write a commented sample configuration to PATH."""
    try:
        with Folder.at(path.parent) as folder, folder.new(path.name) as file:
            file.write(SAMPLE.encode())
            file.belongs(0o640, *folder.owner_of_new())
            file.take_place(of_nothing=not force)
    except FileExistsError:
        terminal.fail(f"{path}: exists already; --force overwrites it")
    except OSError as error:
        terminal.fail(f"{path}: cannot be written: {error.strerror}")
    terminal.say(
        f"{path}: written. Next: make a PIN with 'agi-monitor pin', put it in, then 'agi-monitor check-config'"
    )


@main.command("check-config")
@_config_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
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


@main.command()
@_config_option
@click.option(
    "--out",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder to write the files to, such as /etc/asterisk/agi-monitor.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def render(config_path: Path, out: Path, as_json: bool) -> None:
    """Write the dialplan files and the manager.conf account. Files that would not change are left alone."""
    try:
        config = load_with_people(config_path)
        files = render_dialplan(translation.site(config), config.dialplan.templates)
        changed = write(files, out)
    except AgiMonitorError as error:
        terminal.fail(str(error))
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


@main.command()
@_config_option
def reload(config_path: Path) -> None:
    """Make the running server read its configuration again, and print the result.

    A file with a mistake is refused before the server is told. Where the control socket does not answer, the process
    that holds the state folder gets a signal, and its log has the result.
    """
    config = _load(config_path)
    try:
        path = socket_path(config.control.socket, config.state.directory)
        reloaded = client.reload(path)
    except ControlFailed as error:
        if error.problem not in ("", Problem.UNKNOWN_ASK):
            terminal.fail(str(error))
        _reload_by_signal(config.state.directory, error)
        return
    except AgiMonitorError as error:
        terminal.fail(str(error))
    terminal.say(f"reloaded: {reloaded.supervisors} supervisors, {reloaded.agents} agents")
    if reloaded.restart:
        terminal.say(f"needs a restart of the server: {', '.join(reloaded.restart)}", err=True)


def _reload_by_signal(directory: Path, silence: ControlFailed) -> None:
    with terminal.failing():
        told = StateFolder(directory).tell(signal.SIGHUP)
    if told is None and isinstance(silence.__cause__, PermissionError):
        terminal.fail(str(silence))
    if told is None:
        terminal.fail(f"{directory}: no agi-monitor runs with this folder")
    terminal.say(f"process {told}: told to reload; its log has the result")


@main.command()
@_config_option
def serve(config_path: Path) -> None:
    """Run the FastAGI server until SIGTERM. SIGHUP reloads the configuration."""
    sockets = passed_sockets(os.environ)
    config = _load(config_path)
    logs.configure(config.log.level, config.log.format)
    logs.take_over_twisted()
    # Only now: importing Twisted's reactor chooses it, and the other commands need none.
    from twisted.internet import reactor as twisted_reactor
    from twisted.internet.defer import Deferred
    from twisted.internet.task import LoopingCall

    from agi_monitor.server.service import SWITCH_SECONDS, Reactor, Server

    sys.setswitchinterval(SWITCH_SECONDS)
    # Twisted's timers go by the time of day: set back by an hour, every deadline would come an hour late.
    twisted_reactor.seconds = time.monotonic  # type: ignore[method-assign]  # a function as well
    reactor = cast(Reactor, twisted_reactor)
    log = structlog.get_logger()
    notifier = Notifier(os.environ, time.monotonic)
    exit_code = 0
    stopping = False
    stop_broke_down = False

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

    def stop_failed(failure: Any) -> None:
        nonlocal stop_broke_down
        stop_broke_down = True
        log.error("stop_failed", error=failure.getErrorMessage(), traceback=failure.getBriefTraceback())

    def on(number: signal.Signals, action: Callable[[], None]) -> None:
        signal.signal(number, lambda *_: reactor.callFromThread(action))

    def reload_config() -> None:
        Deferred.fromCoroutine(server.reload()).addErrback(
            lambda failure: log.error("reload_failed", error=failure.getErrorMessage())
        )

    def end() -> Deferred[None]:
        notifier.stops(server.stop_seconds)
        return Deferred.fromCoroutine(server.stop()).addErrback(stop_failed)

    try:
        server = Server(config_path, reactor, time.time, sockets, notifier=notifier)
    except AgiMonitorError as error:
        terminal.fail(str(error))
    reactor.addSystemEventTrigger("before", "shutdown", end)
    reactor.callWhenRunning(
        lambda: Deferred.fromCoroutine(server.start()).addCallbacks(lambda _: notifier.serves(), failed)
    )
    if notifier.watchdog_seconds:
        heart = LoopingCall(notifier.lives)
        heart.clock = reactor
        reactor.callWhenRunning(heart.start, notifier.watchdog_seconds / 2, now=False)
    on(signal.SIGHUP, reload_config)
    for number in (signal.SIGTERM, signal.SIGINT):
        # Later: Twisted takes these two when it starts to run.
        reactor.callWhenRunning(on, number, stop)
    reactor.run()
    if stop_broke_down:
        # Not sys.exit: it waits for threads that nobody has ended, for ever.
        os._exit(1)
    sys.exit(exit_code)


main.add_command(discover)
for command in (doctor, explain, install, uninstall):
    main.add_command(_config_option(_json_option(command)))
for group in (audit, people, people_add, pin, rules):
    for command in group.commands.values():
        if not isinstance(command, click.Group):
            has_json = any(parameter.name == "as_json" for parameter in command.params)
            _config_option(command if has_json else _json_option(command))
for group in (audit, people, pin, rules):
    main.add_command(group)


# ---- what a running server is asked --------------------------------------------------------------------


@main.command()
@_config_option
@_socket_option
@_json_option
def status(config_path: Path, socket: Path | None, as_json: bool) -> None:
    """Show the state of the running server. Exit code 1 when its picture of the PBX cannot be trusted."""
    found = _ask(config_path, socket, client.status)
    if as_json:
        click.echo(json.dumps(found.row(), indent=1))
    else:
        _show(tables.status_table(found))
    sys.exit(0 if found.is_well else 1)


@main.command()
@_config_option
@_socket_option
@_json_option
def calls(config_path: Path, socket: Path | None, as_json: bool) -> None:
    """Show current calls: agent, other party, state, duration, queue, and who is listening."""
    found = _ask(config_path, socket, client.calls)
    if as_json:
        click.echo(json.dumps({"calls": [call.row() for call in found]}, indent=1))
    elif found:
        _show(tables.calls_table(found))
    else:
        click.echo("no calls", err=True)


@main.command()
@_config_option
@_socket_option
@_json_option
def spies(config_path: Path, socket: Path | None, as_json: bool) -> None:
    """Show who is listening to whom, through this server or past it. Unauthorized spies are red."""
    found = _ask(config_path, socket, client.spies)
    if as_json:
        click.echo(json.dumps({"spies": [spy.row() for spy in found]}, indent=1))
    elif found:
        _show(tables.spies_table(found))
    else:
        click.echo("no spies", err=True)


@main.group()
def spy() -> None:
    """Act on a running spy."""


@spy.command()
@click.argument("id")
@_config_option
@_socket_option
@_json_option
def kill(id: str, config_path: Path, socket: Path | None, as_json: bool) -> None:
    """End the spy with this ID, as shown by 'agi-monitor spies'. The audit records who did it."""
    ended = _ask(config_path, socket, lambda path: client.kill(path, id))
    if as_json:
        click.echo(json.dumps({"ended": ended.row()}, indent=1))
    else:
        terminal.say(f"ended: {tables.ended_line(ended)}")


@main.command()
@_config_option
@_socket_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line.")
def events(config_path: Path, socket: Path | None, as_json: bool) -> None:
    """Print audit records as they are written, until Ctrl-C."""
    console = terminal.console()
    try:
        for record in client.follow(_socket(config_path, socket)):
            if as_json:
                click.echo(json.dumps(record))
            else:
                console.print(tables.event_line(record), soft_wrap=True)
    except AgiMonitorError as error:
        terminal.fail(str(error))
    except KeyboardInterrupt:
        # The only way to end it, and so no failure.
        sys.exit(0)


def _ask(config_path: Path, socket: Path | None, ask: Callable[[Path], Value]) -> Value:
    try:
        return ask(_socket(config_path, socket))
    except AgiMonitorError as error:
        terminal.fail(str(error))


def _socket(config_path: Path, given: Path | None) -> Path:
    if given is not None:
        return given
    config = _load(config_path)
    return socket_path(config.control.socket, config.state.directory)


def _show(what: RenderableType) -> None:
    terminal.console().print(what)


def _load(path: Path) -> Config:
    try:
        return load(path).config
    except ConfigError as error:
        terminal.fail(str(error))
