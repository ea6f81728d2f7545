"""The server: builds everything from one configuration file, and is the only one that knows everybody."""

from __future__ import annotations

import contextlib
import secrets
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar, cast

import structlog
from twisted.internet import defer, task
from twisted.internet.endpoints import AdoptedStreamServerEndpoint, TCP4ServerEndpoint, TCP6ServerEndpoint
from twisted.internet.interfaces import IListeningPort, IReactorCore, IReactorProcess, IReactorSocket, IReactorTime
from twisted.internet.threads import deferToThreadPool
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool

from agi_monitor import __version__
from agi_monitor.agi.protocol import FastAGIFactory
from agi_monitor.agi.routing import Router
from agi_monitor.agi.session import EndReason, Session
from agi_monitor.ami.endpoints import Verification, endpoint
from agi_monitor.ami.protocol import Account
from agi_monitor.audit.bulletin import Bulletin
from agi_monitor.audit.facts import End, ServerStarted, ServerStopped
from agi_monitor.config import translation
from agi_monitor.config.settings import AMI, Config, LogLevel, StopSpies, load
from agi_monitor.control import protocol as control
from agi_monitor.control.socket_file import socket_path
from agi_monitor.errors import AgiMonitorError, AuditUnavailable, CallEnded
from agi_monitor.live.over_agi import DeviceChannelsOverAgi
from agi_monitor.live.port import Devices
from agi_monitor.live.targets import Source
from agi_monitor.names import ChannelName
from agi_monitor.pbx import hangup_command
from agi_monitor.pbx.pbx import Pbx
from agi_monitor.pbx.spy_watch import SpyWatch
from agi_monitor.pins.guard import AT_ONCE, PinGuard
from agi_monitor.server import garbage, metrics_page, systemd
from agi_monitor.server.config_process import ConfigProcess
from agi_monitor.server.garbage import FullCollections
from agi_monitor.server.metrics import Metrics, Readings
from agi_monitor.server.overview import ServerOverview
from agi_monitor.server.people import PeopleInForce, Reloaded, Store
from agi_monitor.server.people_plugin import PluginPeople
from agi_monitor.server.pin_waits import DeferredWait
from agi_monitor.server.plugins import ignored, together
from agi_monitor.server.plugins import sinks as plugin_sinks
from agi_monitor.shown import ReloadRefused, ReloadShown
from agi_monitor.storage.audit.file import AuditFile
from agi_monitor.storage.audit.key_file import audit_key
from agi_monitor.storage.audit.sinks import MAX_WAITING, AuditSink, AuditSinks
from agi_monitor.storage.audit.table import AuditTable
from agi_monitor.storage.database import Database, file_url
from agi_monitor.storage.lock_out_table import LockOutTable
from agi_monitor.storage.node_table import NodeTable
from agi_monitor.storage.people_table import PeopleTable
from agi_monitor.storage.pin_table import PinTable
from agi_monitor.storage.server_key_file import server_key
from agi_monitor.storage.state_folder import StateFolder
from agi_monitor.supervision.grants import Grant
from agi_monitor.supervision.hooks import SECONDS as PLUGIN_SECONDS
from agi_monitor.supervision.hooks import Hooks, Plugin
from agi_monitor.supervision.line import Dialled
from agi_monitor.supervision.policy import Policy
from agi_monitor.supervision.proof import Signer
from agi_monitor.supervision.spy_call import SpyCall

SCRIPT = "spy"
"""The name in ``agi://host/spy``, as the generated dialplan has it."""

PIN_THREADS = AT_ONCE
"""argon2 takes 64 MiB and 100 to 150 ms of a core: seven to ten PINs a second on a small machine."""

AUDIT_RETRY_SECONDS = 5.0
"""So often facts that wait for the disk or the database are tried again."""

STORE_SECONDS = 1.0
"""So often the store is asked whether people have changed: what is no longer allowed ends within a second or two."""

CLOSE_SECONDS = 15.0
"""What a stop takes besides the calls: the manager interface, the last records of the audit, a slow disk."""

SWITCH_SECONDS = 0.001
"""How long a thread may keep the interpreter from a call. Python's own 5 ms would pass at each read and write."""

Result = TypeVar("Result")

log = structlog.get_logger()


class Reactor(IReactorCore, IReactorProcess, IReactorSocket, metrics_page.Reactor, control.Reactor):
    """What the server needs of Twisted."""


class Threads:
    """A few threads of one's own, awaitable. ``pins.InThread`` in Twisted."""

    def __init__(self, reactor: Reactor, size: int, name: str) -> None:
        self._reactor = reactor
        self._pool = ThreadPool(size, size, name)

    def start(self) -> None:
        """Start the threads."""
        self._pool.start()

    def stop(self) -> None:
        """Stop them, after what they are doing."""
        self._pool.stop()

    async def __call__(self, function: Callable[[], Result], /) -> Result:
        """Run a blocking function and return what it returns."""
        result: Result = await deferToThreadPool(self._reactor, self._pool, function)
        return result


class InTime:
    """Awaits the answer of a plug-in for ``hooks.SECONDS``. ``hooks.InTime`` in Twisted.

    Parameters:
        reactor: whose seconds they are.
    """

    def __init__(self, reactor: IReactorTime) -> None:
        self._reactor = reactor

    async def __call__(self, story: Coroutine[Any, Any, Result], /) -> Result:
        """Await it.

        Raises:
            CallEnded: the call ended meanwhile.
            TimeoutError: it took too long.
        """
        answer = defer.Deferred.fromCoroutine(story).addTimeout(PLUGIN_SECONDS, self._reactor)
        try:
            return await answer
        except defer.TimeoutError:
            raise TimeoutError(f"no answer in {PLUGIN_SECONDS:g} s") from None
        except defer.CancelledError:
            raise CallEnded("the call ended while a plug-in was asked") from None


class Server:
    """The FastAGI server with its people, PINs and audit.

    Parameters:
        config_path: read now, and again at every reload.
        reactor: Twisted's.
        clock: seconds since 1970.
        sockets: that systemd passed; without any it opens its own.
        plugins: besides those that are installed and named in the configuration.
        notifier: tells systemd of reloads, whoever asks for them; by default nobody is told.

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
        self._sockets = sockets
        self._notifier = notifier or systemd.Notifier({}, reactor.seconds)
        self._reactor = reactor
        self._clock = clock
        config = load(config_path).config
        self._plugins = together(plugins, config.named_plugins)
        self._hashing = Threads(reactor, PIN_THREADS, "pins")
        self._store = Threads(reactor, 1, "store")
        self._records = Threads(reactor, 1, "audit")
        # Two: people are read while a file is.
        self._reading = Threads(reactor, 2, "people")
        self._state = StateFolder(config.state.directory)
        # Before anything is read: the server before us may still write it.
        self._state.take()
        self._database = Database(config.store.url or file_url(config.state.directory))
        self._database.upgrade()
        lock_outs = LockOutTable(self._database)
        self._sinks = AuditSinks(self._make_sinks(config), self._records)
        self._audit = Bulletin(self._sinks)
        self._hooks = Hooks(self._plugins, InTime(reactor), self._audit, clock) if self._plugins else None
        self._config_process = ConfigProcess(config_path)
        self._in_force = PeopleInForce(
            config,
            self._config_process.load,
            Store(PeopleTable(self._database), lock_outs, NodeTable(self._database), config.store.this_node),
            None if config.store.plugin is None else PluginPeople(self._plugins, config.store.plugin),
            self._hooks,
            self._audit,
            clock,
            self._store,
            self._reading,
            self._holds_from_now,
        )
        self._pins = PinGuard(
            translation.pin_policy(config),
            lock_outs,
            clock,
            reactor.seconds,
            self._hashing,
            self._store,
            DeferredWait,
            PinTable(self._database) if config.store.people else None,
        )
        self._pbx = None if config.ami is None else self._make_pbx(config.ami)
        self._watch = None if self._pbx is None else self._make_watch(self._pbx)
        self.overview = ServerOverview(
            self._pbx, self._watch, self._policy, self._audit, clock, reactor.seconds, self._reload_as_asked
        )
        self._calls: dict[Session, SpyCall] = {}
        self._look_ups: Counter[Source] = Counter()
        self._port: IListeningPort | None = None
        self._metrics_port: IListeningPort | None = None
        self._control: control.ControlSocket | None = None
        self._retry = task.LoopingCall(self._write_waiting)
        self._retry.clock = reactor
        self._look = task.LoopingCall(self._look_for_changes)
        self._look.clock = reactor
        self._garbage = FullCollections(lambda: not self._calls, reactor.seconds)
        self._collect = task.LoopingCall(self._garbage.look)
        self._collect.clock = reactor
        router = Router()
        router.add(SCRIPT, self._serve)
        self._factory = FastAGIFactory(
            router,
            config.limits,
            reactor,
            allowed_peers=config.fastagi.peers,
            secret=config.fastagi.secret,
            transcript=config.log.level is LogLevel.DEBUG,
        )

    def _make_sinks(self, config: Config) -> list[AuditSink]:
        audit, state = config.audit, config.state.directory
        signer = audit_key(state)
        sinks: list[AuditSink] = []
        if audit.store:
            # First: what it refuses, the file does not know of.
            sinks.append(AuditTable(self._database, config.store.this_node, state=state, signer=signer))
        if audit.file is not None:
            sinks.append(AuditFile(audit.file, state=state, signer=signer))
        # What a site's own code refuses nobody is to hear of elsewhere.
        return [*plugin_sinks(self._plugins), *sinks]

    def _make_pbx(self, ami: AMI) -> Pbx:
        tls = None if ami.tls is None else Verification(ami.tls.ca_file, ami.tls.name)
        return Pbx(
            ami.node,
            endpoint(self._reactor, ami.host, ami.port, tls),
            Account(ami.username, ami.secret),
            self._reactor,
            self._clock,
            lambda: self._policy().hint_context,
            self._audit,
            ami.resync_minutes * 60.0,
        )

    def _make_watch(self, pbx: Pbx) -> SpyWatch:
        own = server_key(self.config.state.directory / "server-key.json")
        shared = self.config.spies.key
        signer = Signer(own.server, secrets.token_hex(8), own.key if shared is None else shared.encode())
        watch = SpyWatch(
            pbx,
            self._reactor,
            self._clock,
            signer,
            self._policy,
            self._audit,
            self._hang_up_by_command,
            lambda: bool(self.config.stop.hangup_command),
        )
        pbx.watcher = watch
        return watch

    async def start(self) -> None:
        """Begin to serve.

        Raises:
            AuditUnavailable: the audit cannot be written; a server that may not let anybody spy does not start.
            CannotListenError: the port is taken.
            ConfigError: systemd passed a socket that listens elsewhere.
        """
        self._hashing.start()
        self._store.start()
        self._reading.start()
        self._records.start()
        self._sinks.take()
        await self._audit.append(ServerStarted(at=self._now(), version=__version__))
        await self._sinks.write_waiting()
        await self._in_force.record()
        self._look.start(STORE_SECONDS, now=False)
        if self._pbx is not None:
            self._pbx.start()
        self._port = await self._listen()
        await self._show()
        self._retry.start(AUDIT_RETRY_SECONDS, now=False)
        self._garbage.begin()
        self._collect.start(garbage.LOOK_SECONDS, now=False)
        for plugin in self._plugins:
            log.info("plugin_loaded", plugin=plugin.name, version=plugin.version, hooks=plugin.hooks)
        for other in ignored({plugin.name for plugin in self._plugins}):
            log.warning("plugin_ignored", plugin=other.name, distribution=other.distribution)
        log.info("serving", address=self.config.fastagi.listen, port=self.config.fastagi.port, version=__version__)

    async def _listen(self) -> IListeningPort:
        fastagi = self.config.fastagi
        given = systemd.inherited(self._sockets, fastagi.listen, fastagi.port)
        endpoint: AdoptedStreamServerEndpoint | TCP4ServerEndpoint | TCP6ServerEndpoint
        if given is not None:
            endpoint = AdoptedStreamServerEndpoint(  # type: ignore[no-untyped-call]  # untyped in Twisted
                self._reactor, given.descriptor, given.family
            )
        else:
            kind = TCP6ServerEndpoint if ":" in fastagi.listen else TCP4ServerEndpoint
            endpoint = kind(self._reactor, fastagi.port, interface=fastagi.listen)
        listening = endpoint.listen(self._factory)  # type: ignore[no-untyped-call]  # untyped in Twisted
        return cast(IListeningPort, await listening)

    async def _show(self) -> None:
        """Open the control socket and the metrics."""
        config = self.config
        path = socket_path(config.control.socket, config.state.directory)
        self._control = control.listen(self._reactor, path, self.overview)
        if config.metrics is not None:
            metrics = Metrics(self._readings)
            self._audit.subscribe(metrics.fact)
            self._metrics_port = await metrics_page.listen(
                self._reactor, config.metrics.listen, config.metrics.port, metrics
            )

    def _readings(self) -> Readings:
        return Readings(
            version=__version__,
            pbxs=self.overview.readings(),
            look_ups={source.value: number for source, number in self._look_ups.items()},
            agi={count.value: number for count, number in self._factory.counters.items()},
            agi_sessions=len(self._calls),
            audit_waiting=self._sinks.waiting,
            config_reloads=self._in_force.reloads,
        )

    async def _serve(self, session: Session) -> None:
        if self._sinks.waiting >= MAX_WAITING:
            log.error("audit_full", waiting=self._sinks.waiting)
            session.refuse()
            return
        request = session.request
        call = SpyCall(
            session,
            Dialled(request.channel, request.uniqueid, request.extension, request.language),
            self._policy,
            self._pins,
            Devices(
                self._pbx,
                DeviceChannelsOverAgi(session, self.config.dialplan.hint_context),
                self._answered,
                request.uniqueid,
            ),
            self._audit,
            self._clock,
            self._pbx,
            self._watch,
            seconds=self._reactor.seconds,
            hooks=self._hooks,
        )
        self._calls[session] = call
        try:
            await call.run()
        finally:
            del self._calls[session]

    def _answered(self, source: Source) -> None:
        self._look_ups[source] += 1

    async def reload(self) -> Reloaded | ReloadRefused:
        """Read the configuration again. A file with a mistake changes nothing, and the log says what is wrong."""
        self._notifier.reloads()
        try:
            return await self._in_force.reload()
        finally:
            self._notifier.has_reloaded()

    async def _reload_as_asked(self) -> ReloadShown | ReloadRefused:
        """The same, for whoever asks over the control socket."""
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

    def _holds_from_now(self) -> None:
        self._pins.policy = translation.pin_policy(self.config)
        if self._watch is not None:
            self._watch.recheck()

    def _look_for_changes(self) -> defer.Deferred[None]:
        # It is asked again whatever happens: what is no longer allowed would otherwise go on.
        looking = defer.Deferred.fromCoroutine(self._in_force.take_changes())
        return looking.addErrback(lambda failure: log.error("store_unreadable", error=failure.getErrorMessage()))

    # ---- stop ------------------------------------------------------------------------------------------

    @property
    def stop_seconds(self) -> float:
        """So long ``stop`` may take."""
        waits = self.config.stop.seconds if self.config.stop.spies is StopSpies.END else 0.0
        return waits + self.config.limits.cleanup_seconds + CLOSE_SECONDS

    async def stop(self) -> None:
        """Take no new calls, end the others or leave them, and return within ``stop.seconds`` and the clean-up."""
        log.info("stopping", spies=sum(call.spying for call in self._calls.values()), policy=self.config.stop.spies)
        self._factory.drain()
        if self._port is not None:
            await defer.maybeDeferred(self._port.stopListening)
        for session, call in list(self._calls.items()):
            if not call.spying:
                call.ends_by_server(End.SERVER_STOPPING)
                session.end(EndReason.SHUTDOWN)
        if self.config.stop.spies is StopSpies.END:
            for call in self._calls.values():
                call.ends_by_server(End.SERVER_STOPPING)
                if call.grant is not None:
                    defer.Deferred.fromCoroutine(self._hang_up(call.grant)).addErrback(_log_failure)
            await self._idle_within(self.config.stop.seconds)
        for session, call in list(self._calls.items()):
            call.ends_by_server(End.LEFT_RUNNING)
            session.end(EndReason.SHUTDOWN)
        await self._idle_within(self.config.limits.cleanup_seconds)
        if self._metrics_port is not None:
            await defer.maybeDeferred(self._metrics_port.stopListening)
        if self._control is not None:
            await self._control.stop()
        if self._watch is not None:
            self._watch.stop()
            await self._watch.idle()
        if self._pbx is not None:
            await self._pbx.stop()
        await self._close_audit()
        self._hashing.stop()
        self._store.stop()
        self._reading.stop()
        self._records.stop()
        self._database.close()
        self._state.release()
        log.info("stopped", **{count.value: number for count, number in self._factory.counters.items()})

    async def _hang_up(self, grant: Grant) -> None:
        """Hang up the call of a grant, wherever the PBX says that it is; a name that a peer sent is not asked."""
        if self._watch is not None:
            try:
                if await self._watch.hang_up(grant):
                    return
            except AgiMonitorError as error:
                log.error("hangup_failed", channel=grant.spyer, error=str(error))
        await self._hang_up_by_command(grant.spyer)

    async def _hang_up_by_command(self, name: str) -> bool:
        channel = ChannelName.read(name)
        if channel is None:
            log.error("hangup_failed", channel=name, error="it is not the name of one channel")
            return False
        return await hangup_command.hang_up(self.config.stop.hangup_command, channel, self._reactor)

    async def _idle_within(self, seconds: float) -> None:
        try:
            await self._factory.idle().addTimeout(seconds, self._reactor)
        except defer.TimeoutError:
            log.warning("stop_timed_out", seconds=seconds, sessions=len(self._calls))

    async def _close_audit(self) -> None:
        if self._look.running:
            self._look.stop()
        self._config_process.close()
        await self._in_force.close()
        if self._retry.running:
            self._retry.stop()
        if self._collect.running:
            self._collect.stop()
        self._garbage.end()
        await self._audit.append(ServerStopped(at=self._now()))
        await self._sinks.close(self._now())
        for line in self._sinks.unwritten():
            # The last place left for them; a journal keeps it.
            log.error("audit_record_unwritten", record=line)

    async def _write_waiting_now(self) -> None:
        if self._sinks.waiting:
            with contextlib.suppress(AuditUnavailable):
                await self._sinks.write_waiting()
                log.info("audit_caught_up")
        await self._sinks.checkpoint(self._now())

    def _write_waiting(self) -> defer.Deferred[None]:
        return defer.Deferred.fromCoroutine(self._write_waiting_now())

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock(), UTC)


def _log_failure(failure: Failure) -> None:
    log.error("hangup_command_failed", error=failure.getErrorMessage())
