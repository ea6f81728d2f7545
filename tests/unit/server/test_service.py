"""agi_monitor.server.service: which parts a server has, and in which order."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.testing import MemoryReactorClock

from agi_monitor.config.people import People
from agi_monitor.pins.costs import in_force
from agi_monitor.server.pins import PinDesk
from agi_monitor.server.service import Server
from agi_monitor.server.store import OpenStore
from agi_monitor.storage.database import Database, file_url
from agi_monitor.storage.people_table import PeopleTable
from tests.doubles.coroutines import finish
from tests.doubles.desk import PIN_HASH

AT = datetime(2026, 11, 25, 10, 0, tzinfo=UTC)
NOBODY = "{supervisors: {}, agents: {}, rules: [], "

Make = Callable[[str], Server]


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Make]:
    """Makes a server from a configuration in one line. It is not begun."""
    stores: list[OpenStore] = []

    def make(text: str) -> Server:
        path = tmp_path / "agi-monitor.yaml"
        path.write_text(f"{text}state: {{directory: {tmp_path}}}, audit: {{file: {tmp_path}/audit.jsonl}}}}\n")
        reactor: Any = MemoryReactorClock()  # type: ignore[no-untyped-call]  # untyped in Twisted
        server = Server(path, reactor, AT.timestamp)
        stores.extend(part for part in server.parts if isinstance(part, OpenStore))
        return server

    yield make
    for store in stores:
        finish(store.stop())


def names(server: Server) -> list[str]:
    """The parts of a server."""
    return [type(part).__name__ for part in server.parts]


def test_the_parts_of_a_server(made: Make) -> None:
    """The store is closed last, and facts are kept before there are any. Calls come last: they find all the others
    there, to the end of the last call.
    """
    assert names(made(NOBODY)) == [
        "OpenStore",
        *["Threads"] * 4,
        "AuditKeeping",
        "PeopleLook",
        "PinDesk",
        "WatchedPbx",
        "OpenControl",
        "Collecting",
        "FastAGI",
    ]


def test_a_page_with_numbers_is_one_more(made: Make) -> None:
    """Only where the configuration has it."""
    server = made(NOBODY + "metrics: {}, ")
    assert names(server)[-4:] == ["OpenControl", "MetricsPage", "Collecting", "FastAGI"]


def test_pins_of_the_store_cost_what_they_cost_from_the_start(made: Make, tmp_path: Path) -> None:
    """Not from the first change on: a look at a PIN takes the work of all records, no matter who calls."""
    database = Database(file_url(tmp_path))
    database.upgrade()
    anna = {"endpoints": ["PJSIP/2001"], "pin": PIN_HASH}
    people = People.model_validate({"supervisors": {"anna": anna}, "agents": {}, "rules": []})
    PeopleTable(database).change("root", AT, lambda _: people)
    database.close()
    (desk,) = (part for part in made("{store: {people: true}, ").parts if isinstance(part, PinDesk))
    assert desk.guard.policy.costs == in_force([PIN_HASH])
