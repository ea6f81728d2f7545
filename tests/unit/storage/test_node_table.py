"""agi_monitor.storage.node_table on both databases: each node's audit has everything from when it came."""

from __future__ import annotations

from datetime import UTC, datetime

from agi_monitor.config.people import AgentEntry, People
from agi_monitor.pins.lock_outs import LockOut
from agi_monitor.storage.database import Database
from agi_monitor.storage.lock_out_table import LockOutTable
from agi_monitor.storage.node_table import NodeTable, Noted
from agi_monitor.storage.people_table import PeopleTable

AT = datetime(2026, 11, 25, 10, 0, tzinfo=UTC)


def test_a_node_notes_how_far_its_audit_is(database: Database) -> None:
    """The first one begins at the beginning; who comes later, with what changes from then on."""
    people, lock_outs, nodes = PeopleTable(database), LockOutTable(database), NodeTable(database)
    people.change("root", AT, lambda _: People(agents={"1001": AgentEntry(), "1002": AgentEntry()}))
    lock_outs.change(["supervisor:anna"], lambda _: {"supervisor:anna": LockOut(3, 1.0, 2.0)})
    lock_outs.end(["supervisor:anna"], "root", AT)
    assert nodes.noted("one") == Noted(0, 0)
    nodes.note("one", Noted(1, 0))
    assert nodes.noted("one") == Noted(1, 0)
    assert nodes.noted("two") == Noted(people.last_change(), lock_outs.last_end()) == Noted(2, 1)
    assert nodes.noted("one") == Noted(1, 0)
