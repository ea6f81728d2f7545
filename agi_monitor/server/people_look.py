"""The look for changes of people that others have made: in the store, or in the plug-in that knows people."""

from __future__ import annotations

from dataclasses import replace

import structlog
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from agi_monitor.server.config_process import ConfigProcess
from agi_monitor.server.metrics import Readings
from agi_monitor.server.parts import Part
from agi_monitor.server.people import PeopleInForce
from agi_monitor.server.pin_waits import DeferredWait
from agi_monitor.server.repeated import Repeated

STORE_SECONDS = 1.0
"""Seconds between two looks for changes of people in the store: what is no longer allowed ends within a second or
two.
"""

log = structlog.get_logger()


class PeopleLook(Part):
    """Puts on record what happened while no server ran, and looks every second what has happened since.

    Parameters:
        in_force: what holds, and where it is exchanged.
        config_process: reads the file; it is ended with the look.
        reactor: Twisted's.
    """

    def __init__(self, in_force: PeopleInForce, config_process: ConfigProcess, reactor: IReactorTime) -> None:
        self._in_force = in_force
        self._config_process = config_process
        self._look = Repeated(reactor, STORE_SECONDS, self._look_for_changes)

    async def start(self) -> None:
        """Put on record what has happened, and begin to look.

        Raises:
            AuditUnavailable: it cannot be put on record.
        """
        await self._in_force.record()
        await self._look.start()

    async def stop(self) -> None:
        """Change nothing from now on, and return when what is under way is over."""
        await self._look.stop()
        self._config_process.close()
        await self._in_force.close()

    def readings(self, found: Readings) -> Readings:
        """How many reloads came to what."""
        return replace(found, config_reloads=self._in_force.reloads)

    async def now(self) -> None:
        """Look at once. It continues when its caller no longer waits."""
        wait = DeferredWait()
        self._look_for_changes().addBoth(lambda _: wait.over())
        await wait

    def _look_for_changes(self) -> Deferred[None]:
        # It is asked again whatever happens: what is no longer allowed would otherwise continue.
        looking = Deferred.fromCoroutine(self._in_force.take_changes())
        return looking.addErrback(lambda failure: log.error("store_unreadable", error=failure.getErrorMessage()))
