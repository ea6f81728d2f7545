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

from agi_monitor import __version__, assembly, hangup_command, metrics_page, systemd
from agi_monitor.agi.protocol import FastAGIFactory
from agi_monitor.agi.routing import Router
from agi_monitor.agi.session import EndReason, Session
from agi_monitor.ami.endpoints import Verification, endpoint
from agi_monitor.ami.protocol import Account
from agi_monitor.bulletin import Bulletin
from agi_monitor.config import AMI, Config, LogLevel, StopSpies, load
from agi_monitor.control import protocol as control
from agi_monitor.control.overview import Reloaded
from agi_monitor.control.socket_file import socket_path
from agi_monitor.errors import AgiMonitorError, AuditUnavailable, CallEnded, ConfigError, StateUnavailable
from agi_monitor.metrics import Metrics, Readings
from agi_monitor.overview import ServerOverview
from agi_monitor.pbx import Pbx
from agi_monitor.people import Change, People, differences
from agi_monitor.people_plugin import PluginPeople
from agi_monitor.plugins import sinks as plugin_sinks
from agi_monitor.plugins import together
from agi_monitor.spy_watch import SpyWatch
from agi_monitor.storage.audit_file import AuditFile
from agi_monitor.storage.audit_key_file import audit_key
from agi_monitor.storage.audit_sinks import MAX_WAITING, AuditSink, AuditSinks
from agi_monitor.storage.audit_table import AuditTable
from agi_monitor.storage.database import Database, file_url
from agi_monitor.storage.lock_out_table import Ended, LockOutTable
from agi_monitor.storage.node_table import NodeTable, Noted
from agi_monitor.storage.people_table import PeopleTable
from agi_monitor.storage.pin_table import PinTable
from agi_monitor.storage.server_key_file import server_key
from agi_monitor.storage.state_folder import StateFolder
from agi_monitor.supervision.audit import (
    ConfigReloaded,
    End,
    LockOutEnded,
    PeopleChanged,
    ServerStarted,
    ServerStopped,
)
from agi_monitor.supervision.device_channels import DeviceChannelsOverAgi
from agi_monitor.supervision.hooks import SECONDS as PLUGIN_SECONDS
from agi_monitor.supervision.hooks import Hooks, Plugin
from agi_monitor.supervision.line import Dialled
from agi_monitor.supervision.live_pbx import Devices
from agi_monitor.supervision.lock_outs import kind_of, name_of
from agi_monitor.supervision.pins import PinGuard
from agi_monitor.supervision.policy import Policy
from agi_monitor.supervision.proof import Signer
from agi_monitor.supervision.spy_call import SpyCall
from agi_monitor.supervision.targets import Source

SCRIPT = "spy"
"""The name in ``agi://host/spy``, as the generated dialplan has it."""

PIN_THREADS = 2
"""argon2 takes 64 MiB and 50 ms of a core: two at once are 40 supervisors a second."""

AUDIT_RETRY_SECONDS = 5.0
"""So often facts that wait for the disk or the database are tried again."""

STORE_SECONDS = 1.0
"""So often the store is asked whether people have changed: what is no longer allowed ends within a second or two."""

CLOSE_SECONDS = 15.0
"""What a stop takes besides the calls: the manager interface, the last records of the audit, a slow disk."""

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
        plugins: besides those that are installed.

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
    ) -> None:
        self._config_path = config_path
        self._sockets = sockets
        self._reactor = reactor
        self._clock = clock
        self.config = load(config_path).config
        self._plugins = together(plugins)
        self._hashing = Threads(reactor, PIN_THREADS, "pins")
        self._store = Threads(reactor, 1, "store")
        self._records = Threads(reactor, 1, "audit")
        self._state = StateFolder(self.config.state.directory)
        # Before anything is read: the server before us may still write it.
        self._state.take()
        self._database = Database(self.config.store.url or file_url(self.config.state.directory))
        self._database.upgrade()
        self._node = self.config.store.this_node
        self._people = PeopleTable(self._database)
        plugin = self.config.store.plugin
        self._people_plugin = None if plugin is None else PluginPeople(self._plugins, plugin)
        self._people_source: PluginPeople | PeopleTable = self._people_plugin or self._people
        self._asking = Threads(reactor, 1, "people")
        self._lock_outs = LockOutTable(self._database)
        self._nodes = NodeTable(self._database)
        self._store_lost = False
        self._people_seen: int | str = 0
        """The last change of people, in the store or the plug-in, that holds here."""
        self._end_seen = 0
        """The last end of a lock-out that is in the audit."""
        if self.config.store.has_people:
            self._people_seen, people = self._read_people()
            self.config = self.config.with_people(people)
        self._policy = assembly.policy(self.config)
        self._pins = PinGuard(
            assembly.pin_policy(self.config),
            self._lock_outs,
            clock,
            self._hashing,
            self._store,
            PinTable(self._database) if self.config.store.people else None,
        )
        self._sinks = AuditSinks(self._make_sinks(), self._records)
        self._audit = Bulletin(self._sinks)
        self._hooks = Hooks(self._plugins, InTime(reactor), self._audit, clock) if self._plugins else None
        self._pbx = None if self.config.ami is None else self._make_pbx(self.config.ami)
        self._watch = None if self._pbx is None else self._make_watch(self._pbx)
        self.overview = ServerOverview(
            self._pbx, self._watch, lambda: self._policy, self._audit, clock, reactor.seconds, self.reload
        )
        self._calls: dict[Session, SpyCall] = {}
        self._look_ups: Counter[Source] = Counter()
        self._reloads = {"done": 0, "refused": 0}
        self._port: IListeningPort | None = None
        self._metrics_port: IListeningPort | None = None
        self._control: control.ControlSocket | None = None
        self._retry = task.LoopingCall(self._write_waiting)
        self._retry.clock = reactor
        self._look = task.LoopingCall(self._look_into_store)
        self._look.clock = reactor
        router = Router()
        router.add(SCRIPT, self._serve)
        self._factory = FastAGIFactory(
            router,
            self.config.limits,
            reactor,
            allowed_peers=self.config.fastagi.peers,
            secret=self.config.fastagi.secret,
            transcript=self.config.log.level is LogLevel.DEBUG,
        )

    def _make_sinks(self) -> list[AuditSink]:
        audit, state = self.config.audit, self.config.state.directory
        signer = audit_key(state)
        sinks: list[AuditSink] = []
        if audit.store:
            # First: what it refuses, the file does not know of.
            sinks.append(AuditTable(self._database, self._node, state=state, signer=signer))
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
            lambda: self._policy.hint_context,
            self._audit,
            ami.resync_minutes * 60.0,
        )

    def _make_watch(self, pbx: Pbx) -> SpyWatch:
        own = server_key(self.config.state.directory / "server-key.json")
        shared = self.config.spies.key
        signer = Signer(own.server, secrets.token_hex(8), own.key if shared is None else shared.encode())
        watch = SpyWatch(
            pbx, self._reactor, self._clock, signer, lambda: self._policy, self._audit, self._hang_up_by_command
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
        self._asking.start()
        self._records.start()
        self._sinks.take()
        await self._audit.append(ServerStarted(at=self._now(), version=__version__))
        await self._sinks.write_waiting()
        await self._record_changes(None)
        self._look.start(STORE_SECONDS, now=False)
        if self._pbx is not None:
            self._pbx.start()
        self._port = await self._listen()
        await self._show()
        self._retry.start(AUDIT_RETRY_SECONDS, now=False)
        for plugin in self._plugins:
            log.info("plugin_loaded", plugin=plugin.name, version=plugin.version, hooks=plugin.hooks)
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
            config_reloads=self._reloads,
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
            lambda: self._policy,
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

    # ---- reload ----------------------------------------------------------------------------------------

    async def reload(self) -> Reloaded:
        """Read the configuration again. A file with a mistake changes nothing, and the log says what is wrong."""
        try:
            loaded = load(self._config_path)
            config = loaded.config
            seen = self._people_seen
            if self.config.store.has_people:
                seen, people = await self._from_people(self._read_people)
                config = config.with_people(people)
            policy = assembly.policy(config)
        except ConfigError as error:
            self._reloads["refused"] += 1
            log.error("reload_refused", problems=error.problems)
            return Reloaded(problems=tuple(error.problems))
        except StateUnavailable as error:
            self._reloads["refused"] += 1
            log.error("reload_refused", problems=(str(error),))
            return Reloaded(problems=(str(error),))
        fixed = ["spies.key"] if config.spies.key != self.config.spies.key else []
        fixed += [name for name in _FIXED if getattr(config, name) != getattr(self.config, name)]
        if fixed:
            log.warning("reload_needs_restart", sections=fixed)
        before = self.config.people
        keep = {name: getattr(self.config, name) for name in _FIXED}
        if config.store.has_people != self.config.store.has_people:
            # Who people are is not known of the other place before a restart.
            keep |= {name: getattr(self.config, name) for name in ("supervisors", "agents", "rules")}
            policy = assembly.policy(config.model_copy(update=keep))
        self._put_in_force(config.model_copy(update=keep), policy, seen)
        self._found_people()
        self._pins.policy = assembly.pin_policy(self.config)
        await self._audit.append(ConfigReloaded(at=self._now(), digest=loaded.digest))
        await self._record_changes(before)
        self._reloads["done"] += 1
        supervisors, agents = len(self.config.supervisors), len(self.config.agents)
        log.info("reloaded", supervisors=supervisors, agents=agents)
        return Reloaded(restart=tuple(fixed), supervisors=supervisors, agents=agents)

    def _put_in_force(self, config: Config, policy: Policy, people_seen: int | str) -> None:
        self.config, self._policy, self._people_seen = config, policy, people_seen
        if self._watch is not None:
            self._watch.recheck()

    # ---- what others change in the store ---------------------------------------------------------------

    def _read_people(self) -> tuple[int | str, People]:
        # In this order: a change in between is seen once more, and none is missed.
        return self._last_change(), self._people_source.load()

    def _last_change(self) -> int | str:
        return self._people_source.last_change()

    async def _from_people(self, look: Callable[[], Result]) -> Result:
        """Look where people are, in a thread. While a plug-in that knows them does not answer, nobody is let in."""
        if self._people_plugin is None:
            return await self._store(look)
        assert self._hooks is not None  # noqa: S101 (there is a plug-in)
        try:
            return await self._asking(look)
        except StateUnavailable as error:
            await self._hooks.people_lost(self._people_plugin.plugin, error)
            raise

    def _found_people(self) -> None:
        """What holds is what the plug-in says: it answers, and has been understood."""
        if self._people_plugin is not None and self._hooks is not None:
            self._hooks.people_found()

    def _look_into_store(self) -> defer.Deferred[None]:
        return defer.Deferred.fromCoroutine(self._take_changes())

    async def _take_changes(self) -> None:
        """Let changes of people hold here, end what they no longer allow, and record who made them."""
        elsewhere = self.config.store.has_people
        try:
            last_end = await self._store(self._lock_outs.last_end)
            seen = await self._from_people(self._last_change) if elsewhere else self._people_seen
            before, people = self.config.people, None
            if seen != self._people_seen:
                seen, people = await self._from_people(self._read_people)
        except StateUnavailable as error:
            # Those who are known stay in force; without the store no PIN is accepted anyway.
            if not self._store_lost:
                log.error("store_unreadable", error=str(error))
            self._store_lost = True
            return
        self._store_lost = False
        self._found_people()
        if people is None and last_end == self._end_seen:
            return
        if people is not None:
            config = self.config.with_people(people)
            self._put_in_force(config, await self._store(lambda: assembly.policy(config)), seen)
            log.info("people_changed", supervisors=len(people.supervisors), agents=len(people.agents))
        await self._record_changes(before)

    async def _record_changes(self, before: People | None) -> None:
        """Put into the audit what changed of people, who let somebody try a PIN again, and who did it.

        Parameters:
            before: who there was; None when that is not known, at the start.
        """
        in_store = self.config.store.people
        changes = () if before is None else differences(before, self.config.people)
        by = "file" if self._people_plugin is None else f"plug-in {self._people_plugin.plugin.name}"
        for change in () if in_store else changes:
            await self._audit.append(self._people_changed(change, by))
        try:
            noted = await self._store(lambda: self._nodes.noted(self._node))
            made = await self._store(lambda: self._people.changes_since(noted.people_change)) if in_store else ()
            ended = await self._store(lambda: self._lock_outs.ends_since(noted.lock_out_end))
            for one in made:
                await self._audit.append(self._people_changed(one.change, one.by))
            for end in ended:
                fact = self._lock_out_ended(end)
                await self._audit.append(fact)
                log.info("lock_out_ended", kind=fact.kind, who=fact.who, by=fact.by, wrong_pins=fact.wrong_pins)
            now = Noted(
                made[-1].number if made else noted.people_change, ended[-1].number if ended else noted.lock_out_end
            )
            self._end_seen = now.lock_out_end
            if now != noted:
                await self._store(lambda: self._nodes.note(self._node, now))
        except StateUnavailable as error:
            # They have rows of their own, and are recorded with the next change, or at the next start.
            log.error("store_unreadable", error=str(error))
            return
        said = {(one.change.kind, one.change.key) for one in made}
        for change in changes if in_store else ():
            if (change.kind, change.key) not in said:
                log.warning("people_changed_by_another_way", kind=change.kind, entry=change.key)
                await self._audit.append(self._people_changed(change, ""))

    def _lock_out_ended(self, end: Ended) -> LockOutEnded:
        return LockOutEnded(
            at=self._now(), kind=kind_of(end.who), who=name_of(end.who), by=end.by, wrong_pins=end.failures
        )

    def _people_changed(self, change: Change, by: str) -> PeopleChanged:
        return PeopleChanged(
            at=self._now(), kind=change.kind, entry=change.key, by=by, before=change.before, after=change.after
        )

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
            for session, call in self._calls.items():
                call.ends_by_server(End.SERVER_STOPPING)
                defer.Deferred.fromCoroutine(self._hang_up(session.request.channel)).addErrback(_log_failure)
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
        self._asking.stop()
        self._records.stop()
        self._database.close()
        self._state.release()
        log.info("stopped", **{count.value: number for count, number in self._factory.counters.items()})

    async def _hang_up(self, channel: str) -> None:
        if self._pbx is not None:
            try:
                await self._pbx.hang_up(channel)
                return
            except AgiMonitorError as error:
                log.error("hangup_failed", channel=channel, error=str(error))
        await self._hang_up_by_command(channel)

    async def _hang_up_by_command(self, channel: str) -> bool:
        return await hangup_command.hang_up(self.config.stop.hangup_command, channel, self._reactor)

    async def _idle_within(self, seconds: float) -> None:
        try:
            await self._factory.idle().addTimeout(seconds, self._reactor)
        except defer.TimeoutError:
            log.warning("stop_timed_out", seconds=seconds, sessions=len(self._calls))

    async def _close_audit(self) -> None:
        if self._look.running:
            self._look.stop()
        if self._retry.running:
            self._retry.stop()
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


_FIXED = ("fastagi", "audit", "state", "store", "ami", "control", "metrics", "log", "limits")
"""Sections that only a restart changes."""


def _log_failure(failure: Failure) -> None:
    log.error("hangup_command_failed", error=failure.getErrorMessage())
