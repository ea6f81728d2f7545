"""PIN records in the database, where people live there."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import select, update

from agi_monitor.config.people import differences
from agi_monitor.pins.records import PinRecord
from agi_monitor.storage.database import Database
from agi_monitor.storage.people_table import PEOPLE_LOCK, keep, one_supervisor
from agi_monitor.storage.schema import supervisor


class PinTable:
    """``pin_records.PinStore`` on the table of the supervisors.

    Parameters:
        database: with its tables.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def read(self, supervisor_id: str) -> PinRecord | None:
        """Return what is kept now, or None if there is no such supervisor.

        Raises:
            StateUnavailable: that is not known.
        """
        columns = select(supervisor.c.pin, supervisor.c.pin_set, supervisor.c.pin_must_change)
        with self._database.transaction() as connection:
            row = connection.execute(columns.where(supervisor.c.id == supervisor_id)).one_or_none()
        return None if row is None else PinRecord(row.pin, row.pin_set, row.pin_must_change)

    def replace(self, supervisor_id: str, before: PinRecord, after: PinRecord, by: str, at: float) -> bool:
        """Replace this record by another, unless it was changed meanwhile. It counts as a change of people.

        Raises:
            StateUnavailable: nothing was changed.
        """
        same = update(supervisor).where(
            supervisor.c.id == supervisor_id,
            supervisor.c.pin.is_not_distinct_from(before.hash),
            supervisor.c.pin_set.is_not_distinct_from(before.made),
            supervisor.c.pin_must_change == before.must_change,
        )
        new = same.values(pin=after.hash, pin_set=after.made, pin_must_change=after.must_change)
        with self._database.transaction() as connection:
            self._database.lock(connection, PEOPLE_LOCK)
            was = one_supervisor(connection, supervisor_id)
            done = connection.execute(new).rowcount == 1
            if done:
                changes = differences(was, one_supervisor(connection, supervisor_id))
                keep(connection, changes, by, datetime.fromtimestamp(at, UTC))
        return done
