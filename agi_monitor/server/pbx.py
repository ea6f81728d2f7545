"""The PBX that this server watches, and the end of a call there: over its manager interface, or by a command."""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import structlog
from twisted.internet.interfaces import IReactorTime

from agi_monitor.ami.endpoints import Verification, endpoint
from agi_monitor.ami.protocol import Account
from agi_monitor.ami.states import Up
from agi_monitor.audit.facts import AuditLog
from agi_monitor.config.sections import AMI, Config
from agi_monitor.errors import AgiMonitorError
from agi_monitor.live.index import Stale
from agi_monitor.names import ChannelName
from agi_monitor.pbx import hangup_command
from agi_monitor.pbx.pbx import Pbx
from agi_monitor.pbx.spy_watch import SpyWatch
from agi_monitor.server.metrics import PBXReadings, Readings
from agi_monitor.server.parts import Part
from agi_monitor.storage.server_key_file import server_key
from agi_monitor.supervision.grant import Grant
from agi_monitor.supervision.grant_watch import NO_MANAGER, ManagerInterface
from agi_monitor.supervision.policy import Policy
from agi_monitor.supervision.proof import Signer

log = structlog.get_logger()


class WatchedPbx(Part):
    """One PBX and its spies. Without the section ``ami`` there is no picture of it, and nothing is watched.

    Parameters:
        config: as it holds at the start.
        policy: returns what holds now.
        audit: where facts go.
        reactor: Twisted's.
        clock: seconds since 1970.
    """

    def __init__(
        self,
        config: Config,
        policy: Callable[[], Policy],
        audit: AuditLog,
        reactor: IReactorTime,
        clock: Callable[[], float],
    ) -> None:
        self._policy = policy
        self._audit = audit
        self._reactor = reactor
        self._clock = clock
        self._command = config.stop.hangup_command
        self.pbx = None if config.ami is None else self._make_pbx(config.ami)
        self.watch = None if self.pbx is None else self._make_watch(self.pbx, config)

    @property
    def manager(self) -> ManagerInterface:
        """What the stories of calls have of it."""
        if self.pbx is None or self.watch is None:
            return NO_MANAGER
        return ManagerInterface(self.pbx, self.watch)

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

    def _make_watch(self, pbx: Pbx, config: Config) -> SpyWatch:
        own = server_key(config.state.directory / "server-key.json")
        shared = config.spies.key
        signer = Signer(own.server, secrets.token_hex(8), own.key if shared is None else shared.encode())
        pbx.watcher = watch = SpyWatch(
            pbx,
            self._reactor,
            self._clock,
            signer,
            self._policy,
            self._audit,
            self._hang_up_by_command,
            lambda: bool(self._command),
        )
        return watch

    async def start(self) -> None:
        """Connect, and stay connected."""
        if self.pbx is not None:
            self.pbx.start()

    async def stop(self) -> None:
        """Wait for what is being ended there, and disconnect."""
        if self.watch is not None:
            self.watch.stop()
            await self.watch.idle()
        if self.pbx is not None:
            await self.pbx.stop()

    def reload(self, config: Config) -> None:
        """End the spies that are no longer allowed."""
        self._command = config.stop.hangup_command
        if self.watch is not None:
            self.watch.recheck()

    def readings(self, found: Readings) -> Readings:
        """How it is with the PBX."""
        if self.pbx is None or self.watch is None:
            return found
        return replace(found, pbxs=(*found.pbxs, readings_of(self.pbx, self.watch)))

    async def hang_up(self, grant: Grant) -> None:
        """Hang up the call of a grant, wherever the PBX says that it is; a name that a peer sent is not asked."""
        if self.watch is not None:
            try:
                if await self.watch.hang_up(grant):
                    return
            except AgiMonitorError as error:
                log.error("hangup_failed", channel=grant.spyer, error=str(error))
        await self._hang_up_by_command(grant.spyer)

    async def _hang_up_by_command(self, name: str) -> bool:
        channel = ChannelName.read(name)
        if channel is None:
            log.error("hangup_failed", channel=name, error="it is not the name of one channel")
            return False
        return await hangup_command.hang_up(self._command, channel, self._reactor)


def readings_of(pbx: Pbx, watch: SpyWatch) -> PBXReadings:
    """Return what there is to be measured of a PBX.

    Parameters:
        pbx: the PBX.
        watch: its spies.
    """
    calls = pbx.index.calls(pbx.node)
    known = None if isinstance(calls, Stale) else calls
    spies: Counter[tuple[str, ...]] = Counter(
        (spy.kind.value, "" if spy.grant is None else spy.grant.mode.value) for spy in watch.grants.spies()
    )
    return PBXReadings(
        node=pbx.node,
        ami_up=isinstance(pbx.state, Up),
        stale=pbx.stale() is not None,
        channels=None if known is None else sum(len(call.channels) for call in known),
        calls=None if known is None else len(known),
        spies=spies,
        index_events={outcome.value: number for outcome, number in pbx.index.counts(pbx.node).items()},
        resyncs=pbx.resyncs,
        differences=pbx.differences,
        dropped=pbx.dropped,
        strays=pbx.strays,
        forged=pbx.forged,
    )
