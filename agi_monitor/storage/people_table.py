"""People and rules in the store. Every change names who made it, and leaves a row of its own."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple, Self

from pydantic import ValidationError
from sqlalchemy import Connection, Table, delete, func, insert, select

from agi_monitor.config import document, yaml
from agi_monitor.config.people import Change, Kind, People, RuleEntry, SupervisorEntry, differences, problems
from agi_monitor.errors import ConfigError, StateUnavailable
from agi_monitor.storage.database import Database
from agi_monitor.storage.schema import (
    agent,
    agent_endpoint,
    agent_group,
    people_change,
    rule,
    supervisor,
    supervisor_endpoint,
    supervisor_group,
)

PEOPLE_LOCK = 4_573_223
"""Names the lock of PostgreSQL that everyone takes who changes people."""

ROWS = 500
"""Rows that are read at once: a millisecond."""


@dataclass(frozen=True, slots=True)
class Made:
    """A change that was made.

    Parameters:
        number: counts all changes.
        at: when it was made.
        by: who made it.
        change: what was changed.
    """

    number: int
    at: datetime
    by: str
    change: Change


class PeopleTable:
    """The people of a store. Everything blocks: call it in a thread.

    Parameters:
        database: where they are.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def load(self) -> People:
        """Return all people and rules.

        Raises:
            StateUnavailable: they cannot be read, or the tables hold something that is not ours.
        """
        return self.read()[1]

    def read(self) -> tuple[int, People]:
        """Return the number of the last change, and all people and rules exactly as of it.

        Raises:
            StateUnavailable: they cannot be read, or the tables hold something that is not ours.
        """
        with self._database.transaction() as connection:
            # PostgreSQL shows each statement what was committed before it: a change could come between two of them.
            self._database.lock(connection, PEOPLE_LOCK)
            number = _last_change(connection)
            rows = _People.read(connection)
        # Checked outside: it takes a second for ten thousand, and SQLite lets no one else write meanwhile.
        return number, self._checked(rows)

    def change(self, by: str, at: datetime, edit: Callable[[People], People]) -> tuple[Change, ...]:
        """Change people, all or nothing, and return what has changed.

        Parameters:
            by: who makes the change.
            at: the time of day.
            edit: returns the new people, given the present ones. No one else changes anything meanwhile.

        Raises:
            ConfigError: the new people have mistakes; each is named.
            StateUnavailable: it cannot be written.
        """
        with self._database.transaction() as connection:
            self._database.lock(connection, PEOPLE_LOCK)
            before = self._checked(_People.read(connection))
            after = edit(before)
            found = [f"{yaml.place(where)}: {what}" for where, what in problems(after)]
            if found:
                raise ConfigError(*found)
            changes = differences(before, after)
            _write(connection, after, changes)
            keep(connection, changes, by, at)
        return changes

    def last_change(self) -> int:
        """Return the number of the last change; 0 when there was none.

        Raises:
            StateUnavailable: it cannot be read.
        """
        with self._database.transaction() as connection:
            return _last_change(connection)

    def changes_since(self, number: int) -> tuple[Made, ...]:
        """Return the changes after this one.

        Raises:
            StateUnavailable: they cannot be read.
        """
        query = select(people_change).where(people_change.c.id > number).order_by(people_change.c.id)
        with self._database.transaction() as connection:
            return tuple(_made(row) for row in connection.execute(query).mappings())

    def _checked(self, rows: _People) -> People:
        try:
            return _people(rows)
        except ValidationError as error:
            where, what = document.found(error)[0]
            found = f"{yaml.place(where)}: {what}"
        except (LookupError, TypeError, ValueError, ArithmeticError, OSError, RecursionError):
            # A list whose person is missing, a rule without its brackets, a moment beyond all years. The error is not
            # repeated: a PIN record may stand in it.
            found = "a row cannot be read"
        raise StateUnavailable(f"{self._database.shown}: {found}; it was put there some other way")


class _People(NamedTuple):
    """What the tables hold, not yet looked at."""

    supervisors: Sequence[Any]
    agents: Sequence[Any]
    supervisor_endpoints: Sequence[Any]
    supervisor_groups: Sequence[Any]
    agent_endpoints: Sequence[Any]
    agent_groups: Sequence[Any]
    rules: Sequence[str]

    @classmethod
    def read(cls, connection: Connection) -> Self:
        return cls(
            _rows(connection, supervisor, supervisor.c.id),
            _rows(connection, agent, agent.c.extension),
            _rows(connection, supervisor_endpoint, supervisor_endpoint.c.position),
            _rows(connection, supervisor_group, supervisor_group.c.position),
            _rows(connection, agent_endpoint, agent_endpoint.c.position),
            _rows(connection, agent_group, agent_group.c.position),
            connection.execute(select(rule.c.body).order_by(rule.c.position)).scalars().all(),
        )


def _people(rows: _People) -> People:
    supervisors = {row["id"]: dict(row) for row in rows.supervisors}
    agents = {row["extension"]: dict(row) for row in rows.agents}
    for whose, key, value, name, lists in (
        (supervisors, "supervisor", "endpoint", "endpoints", rows.supervisor_endpoints),
        (supervisors, "supervisor", "name", "groups", rows.supervisor_groups),
        (agents, "agent", "endpoint", "endpoints", rows.agent_endpoints),
        (agents, "agent", "name", "groups", rows.agent_groups),
    ):
        for row in lists:
            whose[row[key]].setdefault(name, []).append(row[value])
    return People.model_validate(
        {
            "supervisors": {row.pop("id"): _from_columns(row) for row in supervisors.values()},
            "agents": {row.pop("extension"): _from_columns(_agent_of(row)) for row in agents.values()},
            "rules": [json.loads(body) for body in rows.rules],
        }
    )


def _last_change(connection: Connection) -> int:
    return int(connection.execute(select(func.coalesce(func.max(people_change.c.id), 0))).scalar_one())


def _rows(connection: Connection, table: Table, *order: Any) -> Sequence[Any]:
    # In pieces: rows are made in one go that keeps every other thread out.
    found = connection.execute(select(table).order_by(*order)).mappings()
    return [row for piece in found.partitions(ROWS) for row in piece]


def _from_columns(row: dict[str, Any]) -> dict[str, Any]:
    if row.get("pin_set") is not None:
        row["pin_set"] = datetime.fromtimestamp(row["pin_set"], UTC).isoformat()
    return {name: value for name, value in row.items() if value is not None}


def _agent_of(row: dict[str, Any]) -> dict[str, Any]:
    """What the file calls ``extension`` is the key here."""
    row["extension"] = row.pop("dialled", None)
    return row


def _to_columns(entry: SupervisorEntry) -> dict[str, Any]:
    columns = entry.model_dump(exclude={"endpoints", "groups"})
    if entry.pin_set is not None:
        columns["pin_set"] = datetime.fromisoformat(entry.pin_set).timestamp()
    return columns


def _write(connection: Connection, people: People, changes: Iterable[Change]) -> None:
    changed: dict[Kind, list[str]] = {kind: [] for kind in Kind}
    for change in changes:
        changed[change.kind].append(change.key)
    # Everything that goes first: a phone may have changed hands.
    for name in changed[Kind.SUPERVISOR]:
        connection.execute(delete(supervisor).where(supervisor.c.id == name))
    for extension in changed[Kind.AGENT]:
        connection.execute(delete(agent).where(agent.c.extension == extension))
    for name in changed[Kind.SUPERVISOR]:
        person = people.supervisors.get(name)
        if person is not None:
            connection.execute(insert(supervisor).values(id=name, **_to_columns(person)))
            _write_list(connection, supervisor_endpoint, {"supervisor": name}, "endpoint", person.endpoints)
            _write_list(connection, supervisor_group, {"supervisor": name}, "name", person.groups)
    for extension in changed[Kind.AGENT]:
        one = people.agents.get(extension)
        if one is not None:
            columns = one.model_dump(exclude={"endpoints", "groups", "extension"})
            connection.execute(insert(agent).values(extension=extension, dialled=one.extension, **columns))
            _write_list(connection, agent_endpoint, {"agent": extension}, "endpoint", one.endpoints)
            _write_list(connection, agent_group, {"agent": extension}, "name", one.groups)
    if changed[Kind.RULE]:
        connection.execute(delete(rule))
        _write_rules(connection, people.rules)


def _write_list(
    connection: Connection, table: Table, whose: Mapping[str, str], column: str, values: Iterable[str]
) -> None:
    rows = [{**whose, column: value, "position": position} for position, value in enumerate(values)]
    if rows:
        connection.execute(insert(table), rows)


def _write_rules(connection: Connection, rules: Iterable[RuleEntry]) -> None:
    rows = [
        {"name": one.name, "position": position, "body": one.model_dump_json(exclude_defaults=True)}
        for position, one in enumerate(rules)
    ]
    if rows:
        connection.execute(insert(rule), rows)


def one_supervisor(connection: Connection, supervisor_id: str) -> People:
    """Return one supervisor, as if there were no others.

    Raises:
        StateUnavailable: the tables hold something that is not ours.
    """
    row = connection.execute(select(supervisor).where(supervisor.c.id == supervisor_id)).mappings().one_or_none()
    if row is None:
        return People()
    entry = {name: value for name, value in row.items() if name != "id"}
    for table, column, name in ((supervisor_endpoint, "endpoint", "endpoints"), (supervisor_group, "name", "groups")):
        query = select(table.c[column]).where(table.c.supervisor == supervisor_id).order_by(table.c.position)
        entry[name] = connection.execute(query).scalars().all()
    try:
        return People.model_validate({"supervisors": {supervisor_id: _from_columns(entry)}})
    except ValidationError as error:
        where, what = document.found(error)[0]
        raise StateUnavailable(f"{yaml.place(where)}: {what}; it was put there some other way") from None


def keep(connection: Connection, changes: Iterable[Change], by: str, at: datetime) -> None:
    """Leave a row for each change, from which servers know of it."""
    rows = [
        {
            "at": at.timestamp(),
            "by": by,
            "kind": change.kind.value,
            "key": change.key,
            "before": None if change.before is None else json.dumps(change.before),
            "after": None if change.after is None else json.dumps(change.after),
        }
        for change in changes
    ]
    if rows:
        connection.execute(insert(people_change), rows)


def _made(row: Mapping[Any, Any]) -> Made:
    before = None if row["before"] is None else json.loads(row["before"])
    after = None if row["after"] is None else json.loads(row["after"])
    at = datetime.fromtimestamp(row["at"], UTC)
    return Made(row["id"], at, row["by"], Change(Kind(row["kind"]), row["key"], before, after))
