"""The server: a list of parts from one configuration file, and the story of each call that comes to it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import structlog
from twisted.internet.interfaces import IReactorCore, IReactorProcess

from agi_monitor import __version__
from agi_monitor.agi.session import Session
from agi_monitor.config.loading import load
from agi_monitor.config.sections import Config, StopSpies
from agi_monitor.control import protocol as control
from agi_monitor.live.over_agi import DeviceChannelsOverAgi
from agi_monitor.live.port import Devices
from agi_monitor.pins.guard import AT_ONCE
from agi_monitor.server import audit, fastagi, metrics_page, systemd
from agi_monitor.server.audit import AuditKeeping
from agi_monitor.server.config_process import ConfigProcess
from agi_monitor.server.control import OpenControl
from agi_monitor.server.fastagi import FastAGI
from agi_monitor.server.garbage import Collecting
from agi_monitor.server.metrics_page import MetricsPage
from agi_monitor.server.overview import ServerOverview
from agi_monitor.server.parts import Part, Parts
from agi_monitor.server.pbx import WatchedPbx
from agi_monitor.server.people import PeopleInForce, Reloaded, Store
from agi_monitor.server.people_look import PeopleLook
from agi_monitor.server.people_plugin import PluginPeople
from agi_monitor.server.pins import PinDesk
from agi_monitor.server.plugin_waits import InTime
from agi_monitor.server.plugins import ignored, together
from agi_monitor.server.store import OpenStore
from agi_monitor.server.threads import Threads
from agi_monitor.shown import ReloadRefused, ReloadShown
from agi_monitor.storage.lock_out_table import LockOutTable
from agi_monitor.storage.node_table import NodeTable
from agi_monitor.storage.people_table import PeopleTable
from agi_monitor.supervision.hooks import Hooks, Plugin
from agi_monitor.supervision.line import Dialled, SupervisorLine
from agi_monitor.supervision.policy import Policy
from agi_monitor.supervision.spy_call import SpyCall

PIN_THREADS = AT_ONCE
"""argon2 takes 64 MiB and 100 to 150 ms of a core: seven to ten PINs a second on a small machine."""

CLOSE_SECONDS = 15.0
"""What a stop takes besides the calls: the manager interface, the last records of the audit, a slow disk."""

SWITCH_SECONDS = 0.001
"""How long a thread may keep the interpreter from a call. Python's own 5 ms would pass at each read and write."""

log = structlog.get_logger()


class Reactor(IReactorCore, IReactorProcess, fastagi.Reactor, metrics_page.Reactor, control.Reactor):
    """What the server needs of Twisted."""


class Server:
    """The FastAGI server with its people, PINs and audit.

    Parameters:
        config_path: read now, and again at every reload.
        reactor: Twisted's.
        clock: seconds since 1970.
        sockets: that systemd passed; without any it opens its own.
        plugins: besides those that are installed and named in the configuration.
        notifier: tells systemd of all reloads; by default there is none.

    Raises:
        ConfigError: the file cannot be used.
        StateUnavailable: the database cannot be used, or another server uses the same state.
    """

    def __init__(
        self,
        config_path: Path,
        reactor: Reactor,
        clock: Callable[[], float],
        sockets: Sequence[int] = (),
        plugins: Sequence[Plugin] = (),
        notifier: systemd.Notifier | None = None,
    ) -> None:
        config = load(config_path).config
        self._notifier = notifier or systemd.Notifier({}, reactor.seconds)
        self._reactor = reactor
        self._clock = clock
        self._plugins = together(plugins, config.named_plugins)
        hashing = Threads(reactor, PIN_THREADS, "pins")
        in_store = Threads(reactor, 1, "store")
        records = Threads(reactor, 1, "audit")
        # Two: people are read while a file is.
        reading = Threads(reactor, 2, "people")
        store = OpenStore(config)
        self._audit = AuditKeeping(audit.places(config, store.database, self._plugins), records, reactor, clock)
        bulletin = self._audit.bulletin
        self._hooks = Hooks(self._plugins, InTime(reactor), bulletin, clock) if self._plugins else None
        lock_outs = LockOutTable(store.database)
        config_process = ConfigProcess(config_path)
        self._in_force = PeopleInForce(
            config,
            config_process.load,
            Store(PeopleTable(store.database), lock_outs, NodeTable(store.database), config.store.this_node),
            None if config.store.plugin is None else PluginPeople(self._plugins, config.store.plugin),
            self._hooks,
            bulletin,
            clock,
            in_store,
            reading,
            lambda: self.parts.reload(self.config),
        )
        config = self.config
        self._pins = PinDesk(config, store.database, lock_outs, hashing, in_store, clock, reactor)
        self._pbx = WatchedPbx(config, self._policy, bulletin, reactor, clock)
        self._fastagi = FastAGI(config, sockets, self._serve, self._pbx.hang_up, reactor)
        self.overview = ServerOverview(
            self._pbx.pbx, self._pbx.watch, self._policy, bulletin, clock, reactor.seconds, self._reload_as_asked
        )
        self._people_look = PeopleLook(self._in_force, config_process, reactor)
        page: list[Part] = []
        if config.metrics is not None:
            page.append(MetricsPage(config.metrics, bulletin, lambda: self.parts.readings(__version__), reactor))
        self.parts = Parts(
            (
                store,
                *(hashing, in_store, reading, records),
                self._audit,
                self._people_look,
                self._pins,
                self._pbx,
                OpenControl(config, self.overview, reactor),
                *page,
                Collecting(lambda: self._fastagi.is_quiet, reactor),
                # Last: a call finds all the other parts, and they are there until the last call has ended.
                self._fastagi,
            )
        )
        """In the order in which they begin; they end the other way round."""

    async def start(self) -> None:
        """Begin to serve.

        Raises:
            AuditUnavailable: the audit cannot be written; a server that may not let anyone spy does not start.
            CannotListenError: the port is taken.
            ConfigError: systemd passed a socket that listens elsewhere.
            ControlFailed: the control socket cannot be made.
        """
        await self.parts.start()
        for plugin in self._plugins:
            log.info("plugin_loaded", plugin=plugin.name, version=plugin.version, hooks=plugin.hooks)
        for other in ignored({plugin.name for plugin in self._plugins}):
            log.warning("plugin_ignored", plugin=other.name, distribution=other.distribution)
        log.info("serving", address=self.config.fastagi.listen, port=self.config.fastagi.port, version=__version__)

    async def _serve(self, session: Session) -> None:
        if self._audit.is_full:
            log.error("audit_full", waiting=self._audit.waiting)
            session.refuse()
            return
        request = session.request
        line = SupervisorLine(
            session,
            Dialled(request.channel, request.uniqueid, request.extension, request.language),
            self._policy,
            self._audit.bulletin,
            self._clock,
            self._reactor.seconds,
            self._hooks,
            self._people_look.now,
        )
        devices = Devices(
            self._pbx.manager.live,
            DeviceChannelsOverAgi(session, self.config.dialplan.hint_context),
            self._fastagi.answered,
            request.uniqueid,
        )
        await self._fastagi.run(session, SpyCall(line, self._pins.guard, devices, self._pbx.manager))

    async def reload(self) -> Reloaded | ReloadRefused:
        """Read the configuration again. A file with a mistake changes nothing, and the log says what is wrong."""
        self._notifier.reloads()
        try:
            return await self._in_force.reload()
        finally:
            self._notifier.has_reloaded()

    async def _reload_as_asked(self) -> ReloadShown | ReloadRefused:
        """The same, for a request over the control socket."""
        done = await self.reload()
        if isinstance(done, ReloadRefused):
            return done
        return ReloadShown(len(self.config.supervisors), len(self.config.agents), done.sections_waiting)

    @property
    def config(self) -> Config:
        """What holds now."""
        return self._in_force.config

    def _policy(self) -> Policy:
        return self._in_force.policy

    @property
    def stop_seconds(self) -> float:
        """How long ``stop`` may take."""
        waits = self.config.stop.seconds if self.config.stop.spies is StopSpies.END else 0.0
        return waits + self.config.limits.cleanup_seconds + CLOSE_SECONDS

    async def stop(self) -> None:
        """End the calls or leave them, as ``stop.spies`` says, and then everything else, within ``stop_seconds``."""
        log.info("stopping", spies=self._fastagi.spies, policy=self.config.stop.spies)
        await self.parts.stop()
        log.info("stopped", **self._fastagi.counters)
