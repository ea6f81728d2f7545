"""The PINs, looked at by the rules of the configuration that holds."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IReactorTime

from agi_monitor.config import translation
from agi_monitor.config.sections import Config
from agi_monitor.pins.guard import InThread, PinGuard
from agi_monitor.server.parts import Part
from agi_monitor.server.pin_waits import DeferredWait
from agi_monitor.storage.database import Database
from agi_monitor.storage.lock_out_table import LockOutTable
from agi_monitor.storage.pin_table import PinTable


class PinDesk(Part):
    """Where supervisors show their PINs.

    Parameters:
        config: as it holds at the start.
        database: has the PINs where people live in it.
        lock_outs: too many wrong ones.
        hashing: threads in which a PIN is looked at.
        in_store: the thread of the database.
        clock: seconds since 1970.
        reactor: Twisted's.
    """

    def __init__(
        self,
        config: Config,
        database: Database,
        lock_outs: LockOutTable,
        hashing: InThread,
        in_store: InThread,
        clock: Callable[[], float],
        reactor: IReactorTime,
    ) -> None:
        self.guard = PinGuard(
            translation.pin_policy(config),
            lock_outs,
            clock,
            reactor.seconds,
            hashing,
            in_store,
            DeferredWait,
            PinTable(database) if config.store.people else None,
        )

    def reload(self, config: Config) -> None:
        """Go by the rules for PINs from now on."""
        self.guard.policy = translation.pin_policy(config)
