"""Both databases: whatever asks for ``database`` runs once on each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from agi_monitor.storage.database import Database, file_url
from contrib.lab.postgresql import PostgreSQL


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSQL]:
    """A cluster for all tests of this process."""
    with PostgreSQL() as cluster:
        yield cluster


@pytest.fixture(scope="session")
def with_tables(postgresql: PostgreSQL) -> str:
    """The address of a database to copy: to make the tables takes longer."""
    url = postgresql.database()
    database = Database(url)
    database.upgrade()
    database.close()
    return url


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of an empty database, or of that with the tables."""
    if request.param == "sqlite":
        return file_url(tmp_path)
    cluster: PostgreSQL = request.getfixturevalue("postgresql")
    has_tables = "database" in request.fixturenames
    return cluster.database(request.getfixturevalue("with_tables") if has_tables else None)


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    """A database with its tables."""
    database = Database(url)
    database.upgrade()
    yield database
    database.close()
