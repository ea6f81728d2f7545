"""Two places behind one port: the same records in both, and nobody hears anything before both have it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from agi_monitor.errors import AuditUnavailable
from agi_monitor.storage.audit.file import AuditFile
from agi_monitor.storage.audit.reading import files_of, in_order, lines
from agi_monitor.storage.audit.sinks import AuditSinks
from agi_monitor.storage.audit.source import Files
from agi_monitor.storage.database import Database
from tests.doubles.audit_desk import Desk, large
from tests.doubles.audit_desk import full as database_is_full
from tests.doubles.audit_writer import refusal, spy
from tests.doubles.coroutines import at_once, finish


class House(Desk):
    """A node with its audit in a database and in a file."""

    def start(self) -> None:
        """Another run of the server."""
        super().start()
        self.folder = self.state / "log"
        self.folder.mkdir(exist_ok=True)
        self.path = self.folder / "audit.jsonl"
        self.file = AuditFile(self.path, state=self.state, signer=self.key)
        self.audit = AuditSinks([self.sink, self.file], at_once)

    @contextmanager
    def without_file(self) -> Iterator[None]:
        """The folder of the file is not there."""
        elsewhere = self.folder.rename(self.state / "elsewhere")
        yield
        elsewhere.rename(self.folder)

    @contextmanager
    def without_database(self) -> Iterator[None]:
        """The database keeps nothing."""
        with database_is_full(self.database):
            yield

    def told(self) -> tuple[list[str], list[str]]:
        """What the database and the file say, without places in the chain and checkpoints."""
        in_file = [line.content.decode() for path in in_order(files_of(self.path)) for line in lines(path)]
        return _bodies([line for *_, line in self.rows()]), _bodies(in_file)

    def is_right(self) -> bool:
        """Whether both chains are."""
        files = Files(in_order(files_of(self.path)))
        return self.verify().ok and files.verify([self.key.public], [], self.state).ok


def _bodies(records: list[str]) -> list[str]:
    return [line[: line.rindex(',"seq":')] for line in records if '"fact":"checkpoint"' not in line]


def _facts(bodies: list[str]) -> list[tuple[str, str]]:
    rows = [json.loads(body + "}") for body in bodies]
    return [(row["fact"], str(row.get("why", row["call"][0]))) for row in rows]


@pytest.fixture
def house(database: Database, tmp_path: Path) -> Iterator[House]:
    """An empty audit in two places."""
    with capture_logs():
        yield House(database, tmp_path)


def test_both_have_the_same(house: House) -> None:
    """In the same order, and each with a chain of its own."""
    for number in range(5):
        house.append(refusal(f"{number}"), spy(f"{number}"))
    stored, filed = house.told()
    assert (stored, len(stored), house.is_right()) == (filed, 10, True)


def test_what_the_database_refuses_the_file_does_not_know(house: House) -> None:
    """Nobody hears anything, and no record says otherwise."""
    with house.without_database(), pytest.raises(AuditUnavailable):
        house.append(spy(large("1")))
    house.append(refusal("2"))
    stored, filed = house.told()
    assert _facts(stored) == _facts(filed) == [("refused", "2")]


def test_what_the_file_refuses_came_to_nothing(house: House) -> None:
    """The database has the grant already: it says that it never began, and so does the file when it can."""
    with house.without_file():
        with pytest.raises(AuditUnavailable, match="No such file"):
            house.append(spy("1"))
        assert [fact for _, fact, _ in house.rows()] == ["spy_started", "spy_ended"]
        house.append(refusal("2"))
        assert house.audit.waiting == 3
    house.append(refusal("3"))
    stored, filed = house.told()
    assert (
        _facts(stored)
        == _facts(filed)
        == [("spy_started", "1"), ("spy_ended", "never_began"), ("refused", "2"), ("refused", "3")]
    )
    assert house.is_right()


def test_a_place_that_can_be_written_does_not_wait_for_the_other(house: House) -> None:
    """What has happened is on disk where that is possible; the number that waits is not counted twice."""
    with house.without_database():
        house.append(refusal(large("1")), refusal("2"))
        assert (len(house.told()[1]), house.audit.waiting) == (2, 2)
        with house.without_file():
            house.append(refusal("3"))
            assert house.audit.waiting == 3
            assert [json.loads(body)["call"][0] for body in house.audit.unwritten()] == ["1", "2", "3"]
    finish(house.audit.write_waiting())
    stored, filed = house.told()
    assert (stored, house.audit.waiting, house.is_right()) == (filed, 0, True)


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.booleans(), st.booleans(), st.booleans()), max_size=8))
def test_whatever_fails_both_end_up_the_same(house: House, steps: list[tuple[bool, bool, bool]]) -> None:
    """Any row of facts, with either place or both failing: nothing lost, the same order, no spy without both."""
    granted = 0
    begun = sum(fact == "spy_started" for fact in house.facts())
    over = sum(fact == "spy_ended" for fact in house.facts())
    for gates, no_database, no_file in steps:
        with ExitStack() as trouble:
            if no_database:
                trouble.enter_context(house.without_database())
            if no_file:
                trouble.enter_context(house.without_file())
            if not gates:
                house.append(refusal(large("r")))
                continue
            try:
                house.append(spy(large("s")))
            except AuditUnavailable:
                assert no_database or no_file
            else:
                granted += 1
                assert not no_database and not no_file
    finish(house.audit.write_waiting())
    stored, filed = house.told()
    assert (stored, house.audit.waiting, house.is_right()) == (filed, 0, True)
    facts = house.facts()
    assert facts.count("spy_started") - begun - (facts.count("spy_ended") - over) == granted
