"""The command ``agi-monitor serve``: the process of the server, from its sockets to its exit code."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import click
import structlog

from agi_monitor.commands.options import config_option
from agi_monitor.config.loading import load
from agi_monitor.server import logs
from agi_monitor.server.systemd import Notifier, passed_sockets


@click.command()
@config_option
def serve(config_path: Path) -> None:
    """Run the FastAGI server until SIGTERM. SIGHUP reloads the configuration."""
    sockets = passed_sockets(os.environ)
    config = load(config_path).config
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

    server = Server(config_path, reactor, time.time, sockets, notifier=notifier)
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
        # Not sys.exit, which would wait forever for threads that were never ended.
        os._exit(1)
    sys.exit(exit_code)
