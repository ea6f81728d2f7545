"""agi_monitor.storage.database on SQLite and on PostgreSQL: tables, transactions, and everything that breaks."""

from __future__ import annotations

import os
import socket
import sqlite3
import stat
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg
import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import delete, func, insert, inspect, select, text, update
from sqlalchemy.engine import make_url

from agi_monitor.errors import StateUnavailable
from agi_monitor.storage import database as module
from agi_monitor.storage.database import Database, file_url
from agi_monitor.storage.schema import (
    VERSION,
    agent,
    agent_group,
    audit_record,
    lock_out,
    metadata,
    supervisor_endpoint,
)
from contrib.lab.postgresql import PostgreSQL

LOCKED = {"who": "supervisor:anna", "failures": 1, "last": 1.5, "until": 0.0}


@contextmanager
def opened(url: str) -> Iterator[Database]:
    """A database that is closed again."""
    database = Database(url)
    try:
        yield database
    finally:
        database.close()


def count(database: Database) -> int:
    """How many lock-outs there are."""
    with database.transaction() as connection:
        return connection.execute(select(func.count()).select_from(lock_out)).scalar_one()


# ---- tables --------------------------------------------------------------------------------------------------


def test_the_steps_lead_to_the_tables_of_the_schema(database: Database) -> None:
    """Anyone who changes the schema and forgets the step is told."""
    with database.transaction() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
        assert set(inspect(connection).get_table_names()) == {*metadata.tables, "alembic_version"}


def test_an_upgrade_of_what_is_up_to_date_changes_nothing(database: Database) -> None:
    """Every start asks for it."""
    with database.transaction() as connection:
        connection.execute(insert(lock_out).values(LOCKED))
    database.upgrade()
    assert count(database) == 1


def test_the_version_is_that_of_the_last_step() -> None:
    """A step without its version is noticed."""
    assert ScriptDirectory(str(module.MIGRATIONS)).get_current_head() == VERSION


def test_what_is_up_to_date_is_seen_without_alembic(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """To import it takes longer than most commands that look into the store."""
    monkeypatch.setitem(sys.modules, "alembic", None)
    database.upgrade()
    database.check()


def test_two_servers_that_start_together_make_the_tables_once(url: str) -> None:
    """The second one waits for the first, and finds them made."""

    def start(_: int) -> int:
        with opened(url) as database:
            database.upgrade()
            return count(database)

    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(start, range(4))) == [0] * 4


def test_tables_of_a_newer_version_are_not_touched(database: Database) -> None:
    """What is not known here may mean anything."""
    with database.transaction() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(StateUnavailable, match="of another version of agi-monitor"):
        database.upgrade()


def test_tables_of_two_versions_are_not_touched(database: Database) -> None:
    """Neither of them is what they are."""
    with database.transaction() as connection:
        connection.execute(text("INSERT INTO alembic_version VALUES ('0001')"))
    for look in (database.check, database.upgrade):
        with pytest.raises(StateUnavailable, match=r"of another version of agi-monitor \(0001, 0003"):
            look()


def test_half_a_step_leaves_nothing(url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A step that breaks in the middle, and the next start: neither half the tables nor an error."""
    steps = tmp_path / "migrations"
    versions = steps / "versions"
    versions.mkdir(parents=True)
    (steps / "env.py").write_text((module.MIGRATIONS / "env.py").read_text())
    step = (module.MIGRATIONS / "versions" / "0001_first_tables.py").read_text()
    (versions / "0001_first_tables.py").write_text(f"{step}    op.execute('SELECT this is no SQL')\n")
    with opened(url) as database:
        with monkeypatch.context() as patch:
            patch.setattr(module, "MIGRATIONS", steps)
            with pytest.raises(StateUnavailable):
                database.upgrade()
        with database.transaction() as connection:
            assert inspect(connection).get_table_names() == []
        database.upgrade()
        assert count(database) == 0


# ---- a file that another user has made ------------------------------------------------------------------------


ENDLESS = "WITH RECURSIVE c(x) AS (VALUES (1) UNION ALL SELECT x + 1 FROM c) SELECT x AS who FROM c WHERE x < 0"


@pytest.mark.parametrize(
    "sql",
    [
        f"DROP TABLE lock_out; CREATE VIEW lock_out AS {ENDLESS}",
        f"ALTER TABLE lock_out RENAME TO x; CREATE VIEW Lock_Out AS {ENDLESS}",
        "CREATE TRIGGER t AFTER INSERT ON lock_out BEGIN DELETE FROM agent; END",
        "DROP TRIGGER audit_record_is_never_changed; CREATE TRIGGER audit_record_is_never_changed "
        "BEFORE UPDATE ON audit_record BEGIN DELETE FROM agent; END",
        "DROP TABLE lock_out; CREATE VIRTUAL TABLE lock_out USING fts5(who)",
        "DROP TABLE alembic_version; CREATE VIEW alembic_version AS SELECT '0003' AS version_num",
        "ALTER TABLE lock_out ADD COLUMN x TEXT AS (hex(zeroblob(last)))",
        "DROP TABLE node; CREATE TABLE node (name TEXT, x TEXT GENERATED ALWAYS AS (hex(name)) STORED)",
        "DROP TABLE node; CREATE TABLE node (name TEXT DEFAULT (hex(zeroblob(100))))",
        "DROP TABLE node; CREATE TABLE node (name TEXT, cHeCk/**/(hex(name) > ''))",
        "DROP TABLE lock_out; CREATE TABLE lock_out (failures INT CHECK (failures >= 0) CHECK (hex(failures) > ''))",
        "CREATE INDEX i ON lock_out (hex(who))",
        "CREATE INDEX i ON lock_out (who) WHERE hex(who) > ''",
    ],
    ids=[
        *(
            "view",
            "other letters",
            "trigger",
            "our trigger changed",
            "virtual table",
            "version",
            "computed",
            "stored",
        ),
        *("default", "condition", "second condition", "index of an expression", "partial index"),
    ],
)
def test_programs_in_the_place_of_tables_are_refused(tmp_path: Path, sql: str) -> None:
    """Before any of them runs: the file may be another user's than its reader's."""
    with opened(file_url(tmp_path)) as database:
        database.upgrade()
        with closing(sqlite3.connect(tmp_path / module.FILE)) as other:
            other.executescript(sql)
        for look in (database.check, database.upgrade, lambda: count(database)):
            with pytest.raises(StateUnavailable, match="that agi-monitor has not made"):
                look()


def test_a_view_of_another_name_is_nobodys_business(tmp_path: Path) -> None:
    """A site may have one for its reports."""
    with opened(file_url(tmp_path)) as database:
        database.upgrade()
        with closing(sqlite3.connect(tmp_path / module.FILE)) as other:
            other.executescript("CREATE VIEW report AS SELECT * FROM lock_out")
        assert count(database) == 0


def test_tables_of_every_version_are_taken_for_ours(tmp_path: Path) -> None:
    """A new version reads the tables of the old one before it changes them; an index of the site does no harm."""
    config = Config()
    config.set_main_option("script_location", str(module.MIGRATIONS))
    with opened(file_url(tmp_path)) as database:
        database._make_file()
        for step in reversed(list(ScriptDirectory.from_config(config).walk_revisions())):
            with database.transaction() as connection:
                config.attributes["connection"] = connection
                command.upgrade(config, step.revision)
            assert count(database) == 0
        with closing(sqlite3.connect(tmp_path / module.FILE)) as other:
            other.executescript("CREATE INDEX i ON lock_out (failures)")
        database.check()


def test_a_statement_without_an_end_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each has its own count, so a long transaction is not ended."""
    monkeypatch.setattr(module, "STEPS_AT_ONCE", 1_000)
    monkeypatch.setattr(module, "MAX_STEPS", 50_000)
    short = text("WITH RECURSIVE c(x) AS (VALUES (1) UNION ALL SELECT x + 1 FROM c LIMIT 2000) SELECT max(x) FROM c")
    with opened(file_url(tmp_path)) as database:
        database._make_file()
        with database.transaction() as connection:
            assert [connection.execute(short).scalar_one() for _ in range(10)] == [2_000] * 10
        with pytest.raises(StateUnavailable, match="more work than"), database.transaction() as connection:
            connection.execute(text(ENDLESS)).all()


def test_what_a_schema_may_call_is_bounded(tmp_path: Path) -> None:
    """Functions that SQLite does not vouch for, and values that fill the memory."""
    with opened(file_url(tmp_path)) as database:
        database.upgrade()
        with database.transaction() as connection:
            assert connection.execute(text("PRAGMA trusted_schema")).scalar_one() == 0
        with pytest.raises(StateUnavailable, match="larger than any"), database.transaction() as connection:
            connection.execute(text("SELECT zeroblob(5000000)")).all()


# ---- transactions --------------------------------------------------------------------------------------------


def test_a_transaction_is_done_whole_or_not_at_all(database: Database) -> None:
    """Whatever goes wrong in it."""
    with pytest.raises(ZeroDivisionError), database.transaction() as connection:
        connection.execute(insert(lock_out).values(LOCKED))
        raise ZeroDivisionError
    assert count(database) == 0


def test_two_who_read_and_write_do_not_lose_each_others_writes(database: Database) -> None:
    """Forty additions by four threads are forty."""
    with database.transaction() as connection:
        connection.execute(insert(lock_out).values({**LOCKED, "failures": 0}))

    def add(_: int) -> None:
        with database.transaction() as connection:
            found = connection.execute(select(lock_out.c.failures).with_for_update()).scalar_one()
            connection.execute(update(lock_out).values(failures=found + 1))

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(add, range(40)))
    with database.transaction() as connection:
        assert connection.execute(select(lock_out.c.failures)).scalar_one() == 40


def test_what_refers_to_nobody_is_refused(database: Database) -> None:
    """Foreign keys are checked, also by SQLite, which does so only when it is told."""
    with pytest.raises(StateUnavailable), database.transaction() as connection:
        connection.execute(insert(supervisor_endpoint).values(endpoint="PJSIP/1", supervisor="nobody", position=0))


def test_what_belongs_to_somebody_goes_with_them(database: Database) -> None:
    """An agent's groups are gone when the agent is."""
    ben = {"extension": "1001", "name": "", "disabled": False, "protected": False, "told_text": ""}
    with database.transaction() as connection:
        connection.execute(insert(agent).values(ben))
        connection.execute(insert(agent_group).values(agent="1001", name="sales", position=0))
        connection.execute(delete(agent))
        assert connection.execute(select(agent_group)).all() == []


def test_a_record_of_the_audit_is_never_changed(database: Database) -> None:
    """The database itself refuses it."""
    record = {"node": "pbx", "seq": 1, "at": "2026-01-01", "fact": "refused", "line": "{}"}
    with database.transaction() as connection:
        connection.execute(insert(audit_record).values(record))
    refused = pytest.raises(StateUnavailable, match="a record of the audit is never changed")
    with refused, database.transaction() as connection:
        connection.execute(update(audit_record).values(line='{"changed":1}'))


# ---- what breaks ---------------------------------------------------------------------------------------------


def test_values_are_in_no_error(database: Database) -> None:
    """Neither in the message nor in what caused it: a PIN record may be among them."""
    values = {**LOCKED, "who": "argon2id-record"}
    with pytest.raises(StateUnavailable) as raised, database.transaction() as connection:
        connection.execute(insert(lock_out).values(values))
        connection.execute(insert(lock_out).values(values))
    error: BaseException | None = raised.value
    while error is not None:
        assert "argon2id-record" not in f"{error} {error!r}"
        error = error.__cause__


@pytest.mark.parametrize(
    "url",
    ["", "anna", "mysql://anna:secret@host/name", "sqlite://", "sqlite:///:memory:", "postgresql://anna:secret@h"],
)
def test_an_address_that_is_none_is_refused_without_its_password(url: str) -> None:
    """The message says what is wanted."""
    with pytest.raises(StateUnavailable, match="sqlite:///path or postgresql://user@host/name") as raised:
        Database(url)
    assert "secret" not in str(raised.value)


def test_a_password_is_not_shown() -> None:
    """Neither in messages nor in the program's own view of it."""
    database = Database("postgresql://anna:secret@host/name")
    assert "secret" not in f"{database.shown} {database!r}"
    database.close()


def test_a_full_disk_is_said_and_changes_nothing(tmp_path: Path) -> None:
    """SQLite is told that the disk ends here."""
    with opened(file_url(tmp_path)) as database:
        database.upgrade()
        refused = pytest.raises(StateUnavailable, match="the disk is full; make room")
        with refused, database.transaction() as connection:
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
            connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
            for number in range(2_000):
                connection.execute(insert(lock_out).values({**LOCKED, "who": f"{number:0200}"}))
        with database.transaction() as connection:
            connection.exec_driver_sql("PRAGMA max_page_count = 4294967294")
        assert count(database) == 0


def test_a_locked_database_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another program writes, and does not end."""
    monkeypatch.setattr(module, "BUSY_SECONDS", 0.1)
    with opened(file_url(tmp_path)) as database, opened(file_url(tmp_path)) as other:
        database.upgrade()
        with other.transaction(), pytest.raises(StateUnavailable, match="another program has been writing"):
            count(database)
        assert count(database) == 0


def test_nobody_waits_behind_one_who_waited_in_vain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fifty supervisors who come while the database hangs would wait for five seconds each, one after the other."""
    monkeypatch.setattr(module, "BUSY_SECONDS", 0.1)
    with opened(file_url(tmp_path)) as other:
        other.upgrade()
        # Asked at 10 and refused at 15, for two seconds.
        times = iter([10.0, 15.0, 15.1, 16.9, 17.0])
        database = Database(file_url(tmp_path), lambda: next(times))
        with other.transaction(), pytest.raises(StateUnavailable) as waited:
            count(database)
        for _ in range(2):
            with pytest.raises(StateUnavailable) as refused:
                count(database)
            assert str(refused.value) == str(waited.value)
        assert count(database) == 0
        database.close()


def test_who_is_refused_at_once_may_ask_again_at_once(tmp_path: Path) -> None:
    """A mistake takes no time, and says nothing of the next one who asks."""
    times = iter([10.0, 10.9, 10.9])
    database = Database(file_url(tmp_path), lambda: next(times))
    with opened(file_url(tmp_path)) as other:
        other.upgrade()
    with pytest.raises(StateUnavailable), database.transaction() as connection:
        connection.execute(text("SELECT this is no SQL"))
    assert count(database) == 0
    database.close()


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    """With the way to it."""
    refused = pytest.raises(StateUnavailable, match=r"none/agi-monitor.db: No such file or directory")
    with opened(file_url(tmp_path / "none")) as database, refused:
        database.upgrade()


def test_a_file_that_is_no_database_is_said(tmp_path: Path) -> None:
    """It is left as it is."""
    (tmp_path / module.FILE).write_bytes(b"something else\n" * 100)
    refused = pytest.raises(StateUnavailable, match="it is not an SQLite database")
    with opened(file_url(tmp_path)) as database, refused:
        database.upgrade()
    assert (tmp_path / module.FILE).read_bytes() == b"something else\n" * 100


def test_tables_that_are_missing_are_said(url: str) -> None:
    """A command before the first start."""
    with opened(url) as database, pytest.raises(StateUnavailable, match=r"it is not there|does not exist"):
        count(database)


def test_a_file_that_is_moved_away_is_missed_at_once(tmp_path: Path) -> None:
    """Nothing more is written into it, and none is made in its place while a server runs."""
    with opened(file_url(tmp_path)) as database:
        database.upgrade()
        assert count(database) == 0
        (tmp_path / module.FILE).rename(tmp_path / "away")
        with pytest.raises(StateUnavailable, match="it is not there"):
            count(database)
        assert not (tmp_path / module.FILE).exists()


def test_the_file_is_for_its_owner_alone() -> None:
    """PIN records stand in it; it belongs to the one whose the folder is, also when root has made it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o750)
        if os.geteuid() == 0:
            os.chown(folder, 4573, 4573)
        with opened(file_url(folder)) as database:
            database.upgrade()
            for path in folder.iterdir():
                found = path.stat()
                assert stat.S_IMODE(found.st_mode) == 0o600, path.name
                assert found.st_uid == folder.stat().st_uid, path.name


def test_a_server_that_is_gone_is_said_and_taken_again_when_it_is_back() -> None:
    """The connection that is dead is not handed out."""
    with PostgreSQL() as cluster, opened(cluster.database()) as database:
        database.upgrade()
        assert count(database) == 0
        cluster.stop()
        with pytest.raises(StateUnavailable):
            count(database)
        cluster.start()
        assert count(database) == 0


def test_a_server_that_is_silent_is_asked_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes connections and says nothing: the next one does not even try."""
    monkeypatch.setattr(module, "CONNECT_SECONDS", 2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"postgresql://root@127.0.0.1:{silent.getsockname()[1]}/none"
        times = iter([10.0, 12.0, 12.1, 13.9])
        database = Database(address, lambda: next(times))
        for _ in range(3):
            with pytest.raises(StateUnavailable, match="did not answer in time"):
                count(database)
        silent.setblocking(False)
        silent.accept()[0].close()
        with pytest.raises(BlockingIOError):
            silent.accept()
        database.close()


def test_nobody_is_waited_for_in_silence(postgresql: PostgreSQL) -> None:
    """Statements, locks and idle transactions all have an end."""
    with opened(postgresql.database()) as database, database.transaction() as connection:
        shown = [
            connection.exec_driver_sql(f"SHOW {name}").scalar_one()
            for name in ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")
        ]
    assert shown == ["10s", "10s", "30s"]


# ---- other accounts of PostgreSQL -----------------------------------------------------------------------------


def as_role(url: str, role: str) -> str:
    """The address of the same database for another account."""
    return str(make_url(url).set(username=role).render_as_string(hide_password=False))


@pytest.fixture
def own_url(postgresql: PostgreSQL) -> str:
    """A database of an account without special rights, and beside it one that only reads."""
    url = postgresql.database()
    name = make_url(url).database
    with administrator(url) as sql:
        for role in ("agi", "auditor"):
            sql(f"DO $$ BEGIN CREATE ROLE {role} LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$")
        sql(f"ALTER DATABASE {name} OWNER TO agi")
    return as_role(url, "agi")


@contextmanager
def administrator(url: str) -> Iterator[Callable[[str], object]]:
    """Runs statements in a database as its administrator."""
    with closing(psycopg.connect(as_role(url, "postgres").replace("+psycopg", ""), autocommit=True)) as connection:
        yield connection.execute


@pytest.mark.parametrize("who", ["PUBLIC", "auditor"])
def test_a_schema_in_which_others_make_functions_is_refused(own_url: str, who: str) -> None:
    """As every schema public was up to PostgreSQL 14. The message has the statements that close it."""
    with opened(own_url) as database:
        database.upgrade()
    with administrator(own_url) as sql:
        sql(f"GRANT CREATE ON SCHEMA public TO {who}")
        with opened(own_url) as database, pytest.raises(StateUnavailable) as refused:
            database.check()
        assert f"{who} may make functions in the schema public, and have them run with the rights of agi" in str(
            refused.value
        )
        told = str(refused.value).partition("As the administrator of PostgreSQL: ")[2]
        assert told.startswith(f"REVOKE CREATE ON SCHEMA public FROM {who};")
        sql(told)
    with opened(own_url) as database:
        database.check()


@pytest.mark.parametrize(
    ("made", "told"),
    [
        ("CREATE FUNCTION lower(varchar) RETURNS text LANGUAGE sql AS 'SELECT NULL'", "the function lower"),
        (
            "CREATE FUNCTION same(varchar, varchar) RETURNS boolean LANGUAGE sql AS 'SELECT true';"
            "CREATE OPERATOR = (LEFTARG = varchar, RIGHTARG = varchar, FUNCTION = same)",
            "the (function same|operator =)",
        ),
        ("CREATE FUNCTION quote_ident(name) RETURNS text LANGUAGE sql AS 'SELECT NULL'", "the function quote_ident"),
        ("CREATE TABLE alembic_version (version_num varchar)", "the table alembic_version"),
    ],
)
def test_what_others_have_made_there_is_refused(own_url: str, made: str, told: str) -> None:
    """Also when they may no longer make anything: it would run with our rights, or stand in the place of ours."""
    with administrator(own_url) as sql:
        sql("GRANT CREATE ON SCHEMA public TO auditor")
        with closing(
            psycopg.connect(as_role(own_url, "auditor").replace("+psycopg", ""), autocommit=True)
        ) as auditor:
            auditor.execute(made)
        sql("REVOKE CREATE ON SCHEMA public FROM auditor")
    with opened(own_url) as database, pytest.raises(StateUnavailable, match=f"auditor has made {told} in the schema"):
        database.upgrade()
