"""What docs/howto/postgresql.md tells an administrator to type, typed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import TypeAdapter
from sqlalchemy import create_engine, delete
from sqlalchemy.engine import make_url
from structlog.testing import capture_logs

from agi_monitor.config.values import StoreUrl
from agi_monitor.errors import StateUnavailable
from agi_monitor.storage.audit.source import Table
from agi_monitor.storage.audit.table_reading import nodes
from agi_monitor.storage.database import Database
from agi_monitor.storage.schema import audit_record, supervisor
from contrib.lab.postgresql import PostgreSQL
from tests.doubles.audit_desk import Desk
from tests.doubles.audit_writer import spy

HOWTO = (Path(__file__).resolve().parents[3] / "docs" / "howto" / "postgresql.md").read_text()
MAKE_ALL, READ = re.findall(r"^```sql\n(.*?)^```", HOWTO, re.MULTILINE | re.DOTALL)
MAKE, _, CLOSE = MAKE_ALL.partition("\\c agi_monitor\n")
"""In the administrator's own database, and in the new one."""


def typed(url: str, statements: str) -> None:
    """Run statements one by one, as psql does."""
    engine = create_engine(make_url(url).set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for statement in filter(None, map(str.strip, statements.split(";"))):
            connection.exec_driver_sql(statement)
    engine.dispose()


@pytest.fixture
def cluster() -> Iterator[PostgreSQL]:
    """A cluster of its own: roles belong to the whole of it."""
    with PostgreSQL() as cluster:
        yield cluster


def test_the_howto_makes_a_database_that_an_auditor_may_read(cluster: PostgreSQL, tmp_path: Path) -> None:
    """The owner writes; the auditor reads and verifies the audit, and neither changes it nor sees PINs."""
    administrator = cluster.database()
    typed(administrator, MAKE)
    typed(f"postgresql://postgres@/agi_monitor?host={cluster.folder}", CLOSE)
    owner = Database(f"postgresql://agi_monitor@/agi_monitor?host={cluster.folder}")
    owner.upgrade()
    with capture_logs():
        desk = Desk(owner, tmp_path)
        desk.append(spy("ü"))
    typed(f"postgresql://postgres@/agi_monitor?host={cluster.folder}", READ)
    auditor = Database(f"postgresql://auditor@/agi_monitor?host={cluster.folder}")
    assert nodes(auditor) == [desk.node]
    assert Table(auditor, [desk.node]).verify(desk.node, [desk.key.public], [], None).ok
    for forbidden in (delete(audit_record), supervisor.select()):
        with pytest.raises(StateUnavailable, match="permission denied"), auditor.transaction() as connection:
            connection.execute(forbidden)
    owner.close()
    auditor.close()


def test_the_addresses_of_the_howto_are_accepted() -> None:
    """By the configuration, as they stand there."""
    found = re.findall(r"postgresql://[^\s`']+", HOWTO)
    assert len(found) == 2
    for url in found:
        TypeAdapter(StoreUrl).validate_python(url)
        Database(url).close()
