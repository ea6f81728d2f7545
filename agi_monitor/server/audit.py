"""The audit, kept as long as the server runs: from the record of its start to that of its stop."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime

import structlog
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from agi_monitor import __version__
from agi_monitor.audit.bulletin import Bulletin
from agi_monitor.audit.facts import ServerStarted, ServerStopped
from agi_monitor.config.sections import Config
from agi_monitor.errors import AuditUnavailable
from agi_monitor.pins.guard import InThread
from agi_monitor.server.metrics import Readings
from agi_monitor.server.parts import Part
from agi_monitor.server.plugins import sinks as plugin_sinks
from agi_monitor.server.repeated import Repeated
from agi_monitor.storage.audit.file import AuditFile
from agi_monitor.storage.audit.key_file import audit_key
from agi_monitor.storage.audit.sinks import MAX_WAITING, AuditSink, AuditSinks
from agi_monitor.storage.audit.table import AuditTable
from agi_monitor.storage.database import Database
from agi_monitor.supervision.hooks import Plugin

AUDIT_RETRY_SECONDS = 5.0
"""Seconds between two attempts to write facts that wait for the disk or the database."""

log = structlog.get_logger()


def places(config: Config, database: Database, plugins: Sequence[Plugin]) -> list[AuditSink]:
    """Return the places that the audit of a site is kept in.

    Parameters:
        config: which ones.
        database: of the store.
        plugins: of which some may be places.
    """
    audit, state = config.audit, config.state.directory
    signer = audit_key(state)
    sinks: list[AuditSink] = []
    if audit.store:
        # First: what it refuses, the file does not know of.
        sinks.append(AuditTable(database, config.store.this_node, state=state, signer=signer))
    if audit.file is not None:
        sinks.append(AuditFile(audit.file, state=state, signer=signer))
    # What a site's own code refuses is not told anywhere else.
    return [*plugin_sinks(plugins), *sinks]


class AuditKeeping(Part):
    """Keeps facts, and tries again what could not be written.

    Parameters:
        sinks: the places that keep facts.
        in_thread: one thread of its own: all places have the same order.
        reactor: Twisted's.
        clock: seconds since 1970.
    """

    def __init__(
        self, sinks: Sequence[AuditSink], in_thread: InThread, reactor: IReactorTime, clock: Callable[[], float]
    ) -> None:
        self._sinks = AuditSinks(sinks, in_thread)
        self._clock = clock
        self._retry = Repeated(reactor, AUDIT_RETRY_SECONDS, self._try_again)
        self.bulletin = Bulletin(self._sinks)
        """Takes facts, and tells them."""

    @property
    def is_full(self) -> bool:
        """Whether so much waits already that no more calls can be taken."""
        return self.waiting >= MAX_WAITING

    @property
    def waiting(self) -> int:
        """How many facts have happened and are not on disk everywhere."""
        return self._sinks.waiting

    async def start(self) -> None:
        """Put on record that the server starts.

        Raises:
            AuditUnavailable: it cannot be: a server that may not let anyone spy does not start.
        """
        self._sinks.take()
        await self.bulletin.append(ServerStarted(at=self._now(), version=__version__))
        await self._sinks.write_waiting()
        await self._retry.start()

    async def stop(self) -> None:
        """Put on record that it stops, and sign it. What cannot be written anywhere goes to the log."""
        await self._retry.stop()
        await self.bulletin.append(ServerStopped(at=self._now()))
        await self._sinks.close(self._now())
        for line in self._sinks.unwritten():
            # The last place left for them; a journal keeps it.
            log.error("audit_record_unwritten", record=line)

    def readings(self, found: Readings) -> Readings:
        """How many facts wait."""
        return replace(found, audit_waiting=self.waiting)

    async def _write_waiting(self) -> None:
        if self.waiting:
            with contextlib.suppress(AuditUnavailable):
                await self._sinks.write_waiting()
                log.info("audit_caught_up")
        await self._sinks.checkpoint(self._now())

    def _try_again(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self._write_waiting())

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock(), UTC)
