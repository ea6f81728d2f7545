"""agi_monitor.storage.people_table on both databases: people as they were written, and a row for every change."""

from __future__ import annotations

import contextlib
import sqlite3
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from agi_monitor.config.people import AgentEntry, Kind, People, RuleEntry, SupervisorEntry, differences, problems
from agi_monitor.errors import ConfigError, StateUnavailable
from agi_monitor.storage.database import FILE, Database, file_url
from agi_monitor.storage.people_table import PeopleTable
from tests.doubles.desk import PIN_HASH, empty_database

AT = datetime(2026, 11, 25, 10, 0, tzinfo=UTC)

SITE = People.model_validate(
    {
        "supervisors": {
            "anna": {
                "endpoints": ["PJSIP/2001", "PJSIP/2009"],
                "groups": ["leads", "evening"],
                "pin": PIN_HASH,
                "pin_set": "2026-11-25T10:00:00+00:00",
                "name": "Ann'; DROP TABLE agent; --",
                "language": "de",
                "tenant": "acme",
            },
            "bert": {"endpoints": ["PJSIP/2002"], "pin_must_change": True, "disabled": True},
        },
        "agents": {
            "0100": {
                "groups": ["sales"],
                "endpoints": ["PJSIP/b", "PJSIP/a"],
                "told": "2026-11-01",
                "told_text": "v3",
            },
            "1001": {"name": "Ben \u05d1\u05e0", "protected": True, "tenant": "acme"},
            "beta-1001": {"extension": "1001", "tenant": "beta"},
        },
        "rules": [
            {"name": "two", "deny": ["whisper"], "supervisors": ["all"], "agents": ["1001"]},
            {
                "name": "one",
                "allow": ["listen", "scan"],
                "supervisors": ["leads"],
                "agents": ["sales", "_01XX"],
                "when": {"zone": "Europe/Berlin", "hours": ["mon-fri 08:00-18:00"]},
                "terms": {"reason_required": True},
            },
        ],
    }
)


@pytest.fixture
def table(database: Database) -> PeopleTable:
    """An empty store."""
    return PeopleTable(database)


def put(table: PeopleTable, people: People, by: str = "root") -> int:
    """Let these be the people. Returns how many entries that changed."""
    return len(table.change(by, AT, lambda _: people))


def test_nobody_is_there_at_first(table: PeopleTable) -> None:
    """And nothing has changed."""
    assert (table.load(), table.last_change()) == (People(), 0)


def test_people_come_back_as_they_were_written(table: PeopleTable) -> None:
    """Every field, in order, whatever letters are in it."""
    assert put(table, SITE) == 7
    assert table.load() == SITE
    assert [rule.name for rule in table.load().rules] == ["two", "one"]


def test_the_same_once_more_changes_nothing(table: PeopleTable) -> None:
    """No row, no new number: running servers do not even look."""
    put(table, SITE)
    number = table.last_change()
    assert put(table, SITE) == 0
    assert table.last_change() == number


def test_every_change_says_who_and_what(table: PeopleTable) -> None:
    """In the order they were made, with what was before."""
    put(table, SITE)
    number = table.last_change()
    ben = SITE.agents["1001"].model_copy(update={"name": "Benjamin"})
    put(table, SITE.model_copy(update={"agents": {**SITE.agents, "1001": ben}}), by="eva as root")
    (made,) = table.changes_since(number)
    assert (made.by, made.at, made.change.kind, made.change.key) == ("eva as root", AT, Kind.AGENT, "1001")
    assert made.change.before == {"name": "Ben \u05d1\u05e0", "protected": True, "tenant": "acme"}
    assert made.change.after == {"name": "Benjamin", "protected": True, "tenant": "acme"}


def test_a_pin_record_is_in_no_row_of_changes(table: PeopleTable) -> None:
    """A short PIN could be tried out by anyone who reads it."""
    put(table, SITE)
    last = "E" if PIN_HASH.endswith("A") else "A"
    other = SITE.supervisors["anna"].model_copy(update={"pin": PIN_HASH[:-1] + last})
    put(table, SITE.model_copy(update={"supervisors": {**SITE.supervisors, "anna": other}}))
    made = table.changes_since(0)
    assert "argon2" not in repr(made)
    assert made[-1].change.before == {**(made[0].change.after or {}), "pin": "set"}
    assert (made[-1].change.after or {})["pin"] == "changed"


def test_a_phone_may_change_hands(table: PeopleTable) -> None:
    """In one step, though it may never be two people's."""
    put(table, SITE)
    anna, bert = SITE.supervisors["anna"], SITE.supervisors["bert"]
    swapped = {
        "anna": anna.model_copy(update={"endpoints": bert.endpoints}),
        "bert": bert.model_copy(update={"endpoints": anna.endpoints}),
    }
    put(table, SITE.model_copy(update={"supervisors": swapped}))
    assert table.load().supervisors == swapped


def test_the_order_of_rules_is_a_change(table: PeopleTable) -> None:
    """The first that allows is named in the audit."""
    put(table, SITE)
    put(table, SITE.model_copy(update={"rules": SITE.rules[::-1]}))
    assert [rule.name for rule in table.load().rules] == ["one", "two"]
    assert table.changes_since(0)[-1].change.after == {"rules": ["one", "two"]}


def test_mistakes_change_nothing(table: PeopleTable) -> None:
    """Each is named, as in the file."""
    put(table, SITE)
    number = table.last_change()
    eve = SupervisorEntry(endpoints=("PJSIP/2001",))
    with pytest.raises(ConfigError, match="PJSIP/2001 is already the phone of anna"):
        put(table, SITE.model_copy(update={"supervisors": {**SITE.supervisors, "eve": eve}}))
    assert (table.load(), table.last_change()) == (SITE, number)


def test_what_somebody_else_wrote_into_the_tables_is_looked_at(table: PeopleTable, database: Database) -> None:
    """Nonsense is named, and nobody is let in by it."""
    put(table, SITE)
    with database.transaction() as connection:
        connection.execute(text("UPDATE supervisor_endpoint SET endpoint = 'x' WHERE endpoint = 'PJSIP/2002'"))
    with pytest.raises(StateUnavailable, match=r"supervisors.bert.endpoints\[0\]: must be technology/name"):
        table.load()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE rule SET body = '['",
        "UPDATE supervisor SET pin_set = 1e300",
        "UPDATE supervisor SET pin_set = 'Infinity'",
    ],
)
def test_a_row_that_cannot_be_read_is_no_people(table: PeopleTable, database: Database, statement: str) -> None:
    """The tables cannot be used then, and no PIN record is in the error."""
    put(table, SITE)
    with database.transaction() as connection:
        connection.execute(text(statement))
    with pytest.raises(StateUnavailable, match="it was put there some other way") as raised:
        table.load()
    assert raised.value.__context__ is None
    assert "argon2" not in str(raised.value)


def test_a_list_of_a_person_who_is_missing_is_no_people(tmp_path: Path) -> None:
    """As after a restored copy; SQLite keeps to its conditions only for those who want that."""
    (tmp_path / FILE).write_bytes(empty_database())
    table = PeopleTable(Database(file_url(tmp_path)))
    put(table, SITE)
    with contextlib.closing(sqlite3.connect(tmp_path / FILE)) as other:
        other.execute("DELETE FROM supervisor WHERE id = 'anna'")
        other.commit()
    with pytest.raises(StateUnavailable, match="it was put there some other way"):
        table.load()


NAMES = st.sampled_from(["anna", "bert", "carl"])
PHONES = st.sampled_from(["PJSIP/1", "PJSIP/2", "PJSIP/3"])
GROUPS = st.lists(st.sampled_from(["g", "h"]), unique=True).map(tuple)
PEOPLE = st.builds(
    lambda supervisors, agents, rules: People(
        supervisors=supervisors, agents=agents, rules=tuple({rule.name: rule for rule in rules}.values())
    ),
    st.dictionaries(
        NAMES,
        st.builds(
            SupervisorEntry,
            endpoints=st.lists(PHONES, min_size=1, unique=True).map(tuple),
            groups=GROUPS,
            disabled=st.booleans(),
            name=st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=300),
        ),
        max_size=3,
    ),
    st.dictionaries(
        st.sampled_from(["1", "2", "3"]),
        st.builds(AgentEntry, endpoints=st.lists(PHONES, unique=True).map(tuple), groups=GROUPS),
        max_size=3,
    ),
    st.lists(
        st.builds(
            RuleEntry,
            name=st.sampled_from(["r", "s"]),
            allow=st.just(("listen",)),
            supervisors=st.just(("all",)),
            agents=st.just(("all",)),
        ),
        max_size=2,
    ),
)


@given(st.lists(PEOPLE.filter(lambda people: not list(problems(people))), max_size=4))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
def test_any_sequence_of_states_is_kept_and_told(tmp_path: Path, states: list[People]) -> None:
    """What was written last is read, and the rows of changes lead from one state to the next."""
    database = Database(file_url(tmp_path))
    database.upgrade()
    table = PeopleTable(database)
    table.change("test", AT, lambda _: People())
    before, number = People(), table.last_change()
    for people in states:
        put(table, people)
        assert table.load() == people
        made = {one.change.key: one.change for one in table.changes_since(number)}
        assert made == {change.key: change for change in differences(before, people)}
        before, number = people, table.last_change()
    database.close()
