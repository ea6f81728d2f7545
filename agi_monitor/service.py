"""The server: builds everything from one configuration file, and is the only one that knows everybody."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar, cast

import structlog
from twisted.internet import defer, task
from twisted.internet.endpoints import TCP4ServerEndpoint, TCP6ServerEndpoint
from twisted.internet.interfaces import IListeningPort, IReactorCore, IReactorProcess, IReactorThreads, IReactorTime
from twisted.internet.threads import deferToThreadPool
from twisted.internet.utils import getProcessOutputAndValue
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool

from agi_monitor import __version__, assembly
from agi_monitor.agi.protocol import FastAGIFactory
from agi_monitor.agi.routing import Router
from agi_monitor.agi.session import EndReason, Session
from agi_monitor.config import LogLevel, StopSpies, load
from agi_monitor.errors import AuditUnavailable, ConfigError
from agi_monitor.storage.audit_file import MAX_WAITING, AuditFile
from agi_monitor.storage.lock_out_file import LockOutFile
from agi_monitor.storage.state_folder import StateFolder
from agi_monitor.supervision.audit import ConfigReloaded, End, ServerStarted, ServerStopped
from agi_monitor.supervision.device_channels import DeviceChannelsOverAgi
from agi_monitor.supervision.pins import PinGuard
from agi_monitor.supervision.spy_call import Dialled, SpyCall

SCRIPT = "spy"
"""The name in ``agi://host/spy``, as the generated dialplan has it."""

PIN_THREADS = 2
"""argon2 takes 64 MiB and 50 ms of a core: two at once are 40 supervisors a second."""

AUDIT_RETRY_SECONDS = 5.0
"""So often facts that wait for the disk are tried again."""

Result = TypeVar("Result")

log = structlog.get_logger()


class Reactor(IReactorCore, IReactorTime, IReactorThreads, IReactorProcess):
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


class Server:
    """The FastAGI server with its people, PINs and audit.

    Parameters:
        config_path: read now, and again at every reload.
        reactor: Twisted's.
        clock: seconds since 1970.

    Raises:
        ConfigError: the file cannot be used.
        StateUnavailable: the lock-outs cannot be read, or another server uses the same state.
    """

    def __init__(self, config_path: Path, reactor: Reactor, clock: Callable[[], float]) -> None:
        self._config_path = config_path
        self._reactor = reactor
        self._clock = clock
        self.config = load(config_path).config
        self._policy = assembly.policy(self.config)
        self._hashing = Threads(reactor, PIN_THREADS, "pins")
        self._files = Threads(reactor, 1, "files")
        self._state = StateFolder(self.config.state.directory)
        # Before the lock-outs are read: the server before us may still write them.
        self._state.take()
        store = LockOutFile(self.config.state.directory / "lock-outs.json")
        self._pins = PinGuard(assembly.pin_policy(self.config), store, clock, self._hashing, self._files)
        self._audit = AuditFile(self.config.audit.file, self._files)
        self._calls: dict[Session, SpyCall] = {}
        self._port: IListeningPort | None = None
        self._retry = task.LoopingCall(self._write_waiting)
        self._retry.clock = reactor
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

    async def start(self) -> None:
        """Begin to serve.

        Raises:
            AuditUnavailable: the audit cannot be written; a server that may not let anybody spy does not start.
            CannotListenError: the port is taken.
        """
        self._hashing.start()
        self._files.start()
        await self._audit.append(ServerStarted(at=self._now(), version=__version__))
        await self._audit.write_waiting()
        self._port = await self._listen()
        self._retry.start(AUDIT_RETRY_SECONDS, now=False)
        log.info("serving", address=self.config.fastagi.listen, port=self.config.fastagi.port, version=__version__)

    async def _listen(self) -> IListeningPort:
        fastagi = self.config.fastagi
        kind = TCP6ServerEndpoint if ":" in fastagi.listen else TCP4ServerEndpoint
        endpoint = kind(self._reactor, fastagi.port, interface=fastagi.listen)
        listening = endpoint.listen(self._factory)  # type: ignore[no-untyped-call]  # untyped in Twisted
        return cast(IListeningPort, await listening)

    async def _serve(self, session: Session) -> None:
        if self._audit.waiting >= MAX_WAITING:
            log.error("audit_full", waiting=self._audit.waiting)
            session.refuse()
            return
        request = session.request
        call = SpyCall(
            session,
            Dialled(request.channel, request.uniqueid, request.extension, request.language),
            lambda: self._policy,
            self._pins,
            DeviceChannelsOverAgi(session, self.config.dialplan.hint_context),
            self._audit,
            self._clock,
        )
        self._calls[session] = call
        try:
            await call.run()
        finally:
            del self._calls[session]

    # ---- reload ----------------------------------------------------------------------------------------

    async def reload(self) -> None:
        """Read the configuration again. A file with a mistake changes nothing, and the log says what is wrong."""
        try:
            loaded = load(self._config_path)
            policy = assembly.policy(loaded.config)
        except ConfigError as error:
            log.error("reload_refused", problems=error.problems)
            return
        fixed = [name for name in _FIXED if getattr(loaded.config, name) != getattr(self.config, name)]
        if fixed:
            log.warning("reload_needs_restart", sections=fixed)
        keep = {name: getattr(self.config, name) for name in _FIXED}
        self.config = loaded.config.model_copy(update=keep)
        self._policy = policy
        self._pins.policy = assembly.pin_policy(self.config)
        await self._audit.append(ConfigReloaded(at=self._now(), digest=loaded.digest))
        log.info("reloaded", supervisors=len(self.config.supervisors), agents=len(self.config.agents))

    # ---- stop ------------------------------------------------------------------------------------------

    async def stop(self) -> None:
        """Take no new calls, end the others or leave them, and return within ``stop.seconds`` and the clean-up."""
        log.info("stopping", spies=sum(call.spying for call in self._calls.values()), policy=self.config.stop.spies)
        self._factory.drain()
        if self._port is not None:
            await defer.maybeDeferred(self._port.stopListening)
        for session, call in list(self._calls.items()):
            if not call.spying:
                call.ended_by_server = End.SERVER_STOPPING
                session.end(EndReason.SHUTDOWN)
        if self.config.stop.spies is StopSpies.END:
            for session, call in self._calls.items():
                call.ended_by_server = End.SERVER_STOPPING
                defer.Deferred.fromCoroutine(self._hang_up(session.request.channel)).addErrback(_log_failure)
            await self._idle_within(self.config.stop.seconds)
        for session, call in list(self._calls.items()):
            call.ended_by_server = End.LEFT_RUNNING
            session.end(EndReason.SHUTDOWN)
        await self._idle_within(self.config.limits.cleanup_seconds)
        await self._close_audit()
        self._hashing.stop()
        self._files.stop()
        self._state.release()
        log.info("stopped", **{count.value: number for count, number in self._factory.counters.items()})

    async def _hang_up(self, channel: str) -> None:
        program, *arguments = [part.replace("{channel}", channel) for part in self.config.stop.hangup_command]
        path = shutil.which(program) or program
        _, errors, code = await getProcessOutputAndValue(  # type: ignore[no-untyped-call]  # untyped in Twisted
            path, arguments, os.environ, reactor=self._reactor
        )
        if code:
            log.error(
                "hangup_command_failed", code=code, channel=channel, error=errors[-200:].decode(errors="replace")
            )

    async def _idle_within(self, seconds: float) -> None:
        try:
            await self._factory.idle().addTimeout(seconds, self._reactor)
        except defer.TimeoutError:
            log.warning("stop_timed_out", seconds=seconds, sessions=len(self._calls))

    async def _close_audit(self) -> None:
        if self._retry.running:
            self._retry.stop()
        await self._audit.append(ServerStopped(at=self._now()))
        for line in self._audit.unwritten():
            # The last place left for them; a journal keeps it.
            log.error("audit_record_unwritten", record=line)

    async def _write_waiting_now(self) -> None:
        if self._audit.waiting:
            try:
                await self._audit.write_waiting()
            except AuditUnavailable:
                return
            log.info("audit_caught_up")

    def _write_waiting(self) -> defer.Deferred[None]:
        return defer.Deferred.fromCoroutine(self._write_waiting_now())

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock(), UTC)


_FIXED = ("fastagi", "audit", "state", "log", "limits")
"""Sections that only a restart changes."""


def _log_failure(failure: Failure) -> None:
    log.error("hangup_command_failed", error=failure.getErrorMessage())
