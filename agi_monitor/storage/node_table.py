"""How far the audit of each node is: what the store keeps of who changed what, every node puts into its own."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import func, insert, select, update

from agi_monitor.storage.database import Database
from agi_monitor.storage.schema import lock_out_end, node, people_change


class Noted(NamedTuple):
    """Up to which number a node has something in its audit.

    Parameters:
        people_change: the changes of people.
        lock_out_end: the ends of lock-outs.
    """

    people_change: int
    lock_out_end: int


class NodeTable:
    """The nodes of a store. Everything blocks: call it in a thread.

    Parameters:
        database: where they are.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def noted(self, name: str) -> Noted:
        """Return how far a node is.

        Parameters:
            name: of the node. The first one notes everything from the beginning, later ones from when they came.

        Raises:
            StateUnavailable: it cannot be read or written.
        """
        columns = select(node.c.people_change, node.c.lock_out_end)
        with self._database.transaction() as connection:
            row = connection.execute(columns.where(node.c.name == name)).one_or_none()
            if row is not None:
                return Noted(*row)
            # A node that comes later does not repeat what the audits of others have.
            is_first = connection.execute(select(func.count()).select_from(node)).scalar_one() == 0
            last = [
                0 if is_first else connection.execute(select(func.coalesce(func.max(table.c.id), 0))).scalar_one()
                for table in (people_change, lock_out_end)
            ]
            noted = Noted(*last)
            connection.execute(insert(node).values(name=name, **noted._asdict()))
            return noted

    def note(self, name: str, noted: Noted) -> None:
        """Note how far a node is.

        Raises:
            StateUnavailable: it cannot be written.
        """
        with self._database.transaction() as connection:
            connection.execute(update(node).where(node.c.name == name).values(**noted._asdict()))
