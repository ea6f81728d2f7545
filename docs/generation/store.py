"""The page of the store's tables."""

from __future__ import annotations

from collections.abc import Iterator

from agi_monitor.storage import schema
from docs.generation.columns import COLUMNS
from docs.generation.markdown import NOTE

TABLES = {
    "supervisor": "Supervisors, where people live in the store.",
    "supervisor_group": "The groups of each supervisor.",
    "supervisor_endpoint": "The phones that each supervisor dials from.",
    "agent": "Agents, where people live in the store.",
    "agent_group": "The groups of each agent.",
    "agent_endpoint": "The devices of each agent.",
    "rule": "Who may hear whom.",
    "people_change": "Every change of people and rules: the servers read it, and put it into their audits.",
    "node": "The servers that have used the store.",
    "lock_out": "Wrong PINs in a row.",
    "lock_out_end": "Who ended a lock-out: the servers read it, and put it into their audits.",
    "audit_record": "The audit, where `audit.store` is set: one record per row, which is never changed.",
    "audit_chain": "The end of the chain of each server.",
}


def store_page() -> Iterator[str]:
    yield "# Store"
    yield NOTE
    yield (
        "The tables of the database, which is an SQLite file in `state.directory` or "
        "[PostgreSQL](../howto/postgresql.md). The server creates them when it starts, and keeps them up to date. "
        "Change people with [commands](../howto/people-in-the-store.md): a change made in the tables by hand is "
        "noticed only at the next reload, and no name is recorded with it. Times are seconds since 1970."
    )
    for table in schema.metadata.tables.values():
        yield f"## `{table.name}`"
        yield TABLES[table.name]
        rows = []
        for column in table.columns:
            notes = ["key"] if column.primary_key else []
            notes += [f"of `{key.column.table.name}`" for key in column.foreign_keys]
            notes += ["may be empty"] if column.nullable else []
            comment = COLUMNS.get((table.name, column.name)) or column.comment
            notes += [comment] if comment else []
            rows.append(f"- `{column.name}`: {', '.join([str(column.type).lower(), *notes])}")
        yield "\n".join(rows)
