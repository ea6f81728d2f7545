"""PIN records of people in the database, on SQLite and PostgreSQL."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise

import pytest
from sqlalchemy import update

from agi_monitor.config.people import People, SupervisorEntry, differences
from agi_monitor.errors import StateUnavailable
from agi_monitor.pins.records import PinRecord
from agi_monitor.storage.database import Database
from agi_monitor.storage.people_table import PeopleTable
from agi_monitor.storage.pin_table import PinTable
from agi_monitor.storage.schema import supervisor

ONE, TWO = (f"$argon2id$v=19$m=8,t=1,p=1${'A' * 22}${digit * 42}A" for digit in "ab")
RECORD = PinRecord(ONE, 1_700_000_000.25, must_change=True)
OTHER = PinRecord(TWO, 1_800_000_000.5, must_change=False)
NOW = 1_800_000_001.0


@pytest.fixture
def table(database: Database) -> PinTable:
    """Anna has a PIN, Bert has none."""
    made = datetime.fromtimestamp(RECORD.made or 0.0, UTC).isoformat()
    anna = SupervisorEntry(
        endpoints=("PJSIP/2001", "PJSIP/1"), groups=("leads",), pin=ONE, pin_set=made, pin_must_change=True
    )
    people = People(supervisors={"anna": anna, "bert": SupervisorEntry(endpoints=("PJSIP/2002",))})
    PeopleTable(database).change("root", datetime.now(UTC), lambda _: people)
    return PinTable(database)


def test_reads_what_is_kept(table: PinTable) -> None:
    """A supervisor without a PIN has a record without one; without a supervisor there is none."""
    assert table.read("anna") == RECORD
    assert table.read("bert") == PinRecord(None)
    assert table.read("nobody") is None
    assert table.read("") is None


@pytest.mark.parametrize(
    ("who", "before"), [("anna", RECORD), ("bert", PinRecord(None))], ids=["with a PIN", "without one"]
)
def test_replaces_a_record(table: PinTable, who: str, before: PinRecord) -> None:
    """With its date and its flag; those of others stay."""
    assert table.replace(who, before, OTHER, "root", NOW)
    assert table.read(who) == OTHER
    others = {"anna": RECORD, "bert": PinRecord(None)}
    assert {name: table.read(name) for name in others} == {**others, who: OTHER}


def test_it_is_a_change_of_people(table: PinTable, database: Database) -> None:
    """Servers learn of it as of any other, with who did it and without the record; nothing else is another."""
    people = PeopleTable(database)
    before, last = people.load(), people.last_change()
    table.replace("anna", RECORD, OTHER, "anna by phone", NOW)
    (made,) = people.changes_since(last)
    assert (made.by, made.at.timestamp(), made.change.kind, made.change.key) == (
        "anna by phone",
        NOW,
        "supervisor",
        "anna",
    )
    assert (made.change,) == differences(before, people.load())
    assert "argon2id" not in repr(made.change)


def test_what_is_not_replaced_is_no_change(table: PinTable, database: Database) -> None:
    """Nothing is told where nothing changed."""
    last = PeopleTable(database).last_change()
    table.replace("anna", OTHER, OTHER, "root", NOW)
    assert PeopleTable(database).last_change() == last


def test_people_who_were_changed_by_another_way_are_said(table: PinTable, database: Database) -> None:
    """What the tables may not hold stops the change, and the record is in no message."""
    with database.transaction() as connection:
        connection.execute(update(supervisor).values(language="klingon"))
    with pytest.raises(StateUnavailable, match=r"supervisors\.anna\.language: must be a language") as raised:
        table.replace("anna", RECORD, OTHER, "root", NOW)
    assert "argon2id" not in str(raised.value)
    assert table.read("anna") == RECORD


@pytest.mark.parametrize(
    "before",
    [
        OTHER,
        PinRecord(None),
        replace(RECORD, hash=TWO),
        replace(RECORD, made=None),
        replace(RECORD, must_change=False),
    ],
)
def test_what_somebody_else_has_changed_stays(table: PinTable, before: PinRecord) -> None:
    """Be it the PIN, its date, or that it is to be changed."""
    assert not table.replace("anna", before, OTHER, "root", NOW)
    assert table.read("anna") == RECORD


def test_changes_of_people_at_the_same_time_lose_no_pin(table: PinTable, database: Database) -> None:
    """While an administrator changes the name again and again, each new PIN stays until the next one."""
    records = [RECORD, *(replace(OTHER, made=1_800_000_000.0 + number) for number in range(20))]
    people = PeopleTable(database)

    def rename(number: int) -> None:
        def edit(before: People) -> People:
            anna = before.supervisors["anna"].model_copy(update={"name": f"Anna {number}"})
            return before.model_copy(update={"supervisors": {**before.supervisors, "anna": anna}})

        people.change("root", datetime.now(UTC), edit)

    def renames() -> None:
        for number in range(20):
            rename(number)

    with ThreadPoolExecutor(1) as thread:
        renaming = thread.submit(renames)
        done = [table.replace("anna", one, other, "anna by phone", NOW) for one, other in pairwise(records)]
        renaming.result()
    assert done == [True] * 20
    assert table.read("anna") == records[-1]
    assert people.load().supervisors["anna"].name == "Anna 19"


def test_nobody_is_made(table: PinTable) -> None:
    """A supervisor who was removed meanwhile does not come back."""
    assert not table.replace("nobody", PinRecord(None), OTHER, "root", NOW)
    assert table.read("nobody") is None


def test_a_database_that_is_gone_is_said(table: PinTable, database: Database) -> None:
    """Neither read nor written, and no record in the message."""
    with database.transaction() as connection:
        connection.exec_driver_sql("ALTER TABLE supervisor RENAME TO away")
    for work in (lambda: table.read("anna"), lambda: table.replace("anna", RECORD, OTHER, "root", NOW)):
        with pytest.raises(StateUnavailable) as raised:
            work()
        assert "argon2id" not in str(raised.value)
    with database.transaction() as connection:
        connection.exec_driver_sql("ALTER TABLE away RENAME TO supervisor")
    assert table.replace("anna", RECORD, OTHER, "root", NOW)
