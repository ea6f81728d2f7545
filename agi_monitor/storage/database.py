"""The store: one database, SQLite in a file or PostgreSQL. Everything in here blocks: call it in a thread."""

from __future__ import annotations

import contextlib
import math
import os
import re
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, bindparam, create_engine, event, inspect, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from agi_monitor.errors import StateUnavailable
from agi_monitor.files.folder import Folder, check
from agi_monitor.storage.schema import VERSION, metadata
from agi_monitor.storage.state_folder import as_owner_of

FILE = "agi-monitor.db"
"""The name of the embedded database in the folder of the state."""

COMPANIONS = ("-wal", "-shm", "-journal")
"""What SQLite makes beside its file."""

BUSY_SECONDS = 5.0
"""How long a statement waits for another program that writes, before it is an error."""

CONNECT_SECONDS = 5
STATEMENT_SECONDS = 10
"""A database server that is silent for this long is treated as gone: no call waits for it any longer."""

VAIN_SECONDS = 1.0
"""A call that waited longer than this for an error has waited in vain."""

REST_SECONDS = 2.0
"""How long no one asks again after that: calls that come meanwhile would wait for one another, each in vain."""

UPGRADE_LOCK = 4_573_222
"""Names the lock of PostgreSQL that two servers agree on while one of them changes the tables."""

STEPS_AT_ONCE = 1_000_000
MAX_STEPS = 500 * STEPS_AT_ONCE
"""Steps of SQLite's machine for one statement, some seconds of work. To read ten million records takes fewer."""

MAX_LENGTH = 4 * 1024 * 1024
"""Bytes of a row or a statement in SQLite. The longest of ours are records of the audit, with some KiB."""

KEPT = (
    "CREATE TRIGGER audit_record_is_never_changed BEFORE UPDATE ON audit_record\n"
    "BEGIN\n    SELECT RAISE(ABORT, 'a record of the audit is never changed');\nEND"
)
"""The only trigger that is ours, as ``migrations`` makes it."""

KEPT_CHECK = "CHECK (failures >= 0)"
"""The only condition that is ours."""

MIGRATIONS = Path(__file__).with_name("migrations")


class Database:
    """A database, and how it is spoken to.

    Parameters:
        url: ``sqlite:///path`` or ``postgresql://user:password@host/name``.
        clock: seconds, of a monotonic clock.

    Raises:
        StateUnavailable: it is not such an address, or the driver is not installed.
    """

    def __init__(self, url: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._rests_until = -math.inf
        self._in_vain = ""
        """The last error after a wait in vain."""
        try:
            self.url = _with_driver(make_url(url))
            self._engine = _engine(self.url)
        except (ArgumentError, NoSuchModuleError):
            # Not what was given: a password may stand in it.
            raise StateUnavailable("store: url must be sqlite:///path or postgresql://user@host/name") from None
        except ImportError as error:
            raise StateUnavailable(
                f"store: {error.name} is not installed; install it with: pip install 'agi-monitor[postgresql]'"
            ) from None

    def __repr__(self) -> str:
        return f"<Database {self.shown}>"

    @property
    def shown(self) -> str:
        """Its address for people, without a password."""
        return str(self.url.database) if self.is_sqlite else self.url.render_as_string(hide_password=True)

    @property
    def is_sqlite(self) -> bool:
        """Whether it is a file of this machine."""
        return self.url.get_backend_name() == "sqlite"

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Do several things or none of them; no other transaction comes between them.

        Raises:
            StateUnavailable: the database could not do it, and nothing was changed.
        """
        if self.is_sqlite:
            self._look_at_files()
        began = self._clock()
        if began < self._rests_until:
            raise StateUnavailable(self._in_vain)
        try:
            with self._rights(), self._engine.begin() as connection:
                if self.is_sqlite:
                    self._look_at_schema(connection)
                yield connection
        except SQLAlchemyError as error:
            # Nothing of what caused it: PostgreSQL tells the whole row, and a PIN record may stand in it.
            said = f"{self.shown}: {_why(error)}"
            now = self._clock()
            if now - began > VAIN_SECONDS and not _is_an_answer(error.__cause__):
                self._rests_until, self._in_vain = now + REST_SECONDS, said
            raise StateUnavailable(said) from None

    def lock(self, connection: Connection, number: int) -> None:
        """Keep others with the same lock out until the end of the transaction. In SQLite everyone is already.

        Parameters:
            connection: of the transaction.
            number: names the lock.
        """
        if not self.is_sqlite:
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": number})

    def upgrade(self) -> None:
        """Make the tables, or bring them up to this version of the program. Leaves either the old or the new ones.

        Raises:
            StateUnavailable: that is not possible, or a newer version has made them.
        """
        self._make_file()
        with self.transaction() as connection:
            self.lock(connection, UPGRADE_LOCK)
            found = _version(connection)
            if found != VERSION:
                self._bring_up_to_date(connection, found)

    def _bring_up_to_date(self, connection: Connection, found: str | None) -> None:
        # Only here: it takes longer to import than all the rest of the store.
        from alembic import command
        from alembic.config import Config
        from alembic.script import ScriptDirectory
        from alembic.util.exc import CommandError

        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
        known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
        if found is not None and found not in known:
            raise StateUnavailable(
                f"{self.shown}: its tables are of another version of agi-monitor ({found}). "
                "Use that version, or restore a copy from before it"
            )
        config.attributes["connection"] = connection
        try:
            command.upgrade(config, "head")
        except CommandError as error:
            raise StateUnavailable(f"{self.shown}: the tables cannot be brought up to date: {error}") from None

    def check(self) -> None:
        """Look whether the tables are there, and of this version. Changes nothing.

        Raises:
            StateUnavailable: they are not, or cannot be looked at.
        """
        with self.transaction() as connection:
            found = _version(connection)
        if found is None:
            raise StateUnavailable(f"{self.shown}: its tables are missing; start the server, which makes them")
        if found != VERSION:
            raise StateUnavailable(
                f"{self.shown}: its tables are of another version of agi-monitor ({found}, not {VERSION}); "
                "the server brings them up to date when it starts"
            )

    def close(self) -> None:
        """Let go of all connections."""
        self._engine.dispose()

    def _rights(self) -> AbstractContextManager[None]:
        """Whose rights a file is used with. A database of its own says itself who may do what."""
        if not self.is_sqlite:
            return contextlib.nullcontext()
        return as_owner_of(Path(str(self.url.database)).absolute().parent)

    def _look_at_files(self) -> None:
        """Refuse what SQLite would open although it is a link, a FIFO or another user's file under another name."""
        path = Path(str(self.url.database)).absolute()
        try:
            with Folder.at(path.parent) as folder:
                if folder.status(path.name) is None:
                    raise StateUnavailable(f"{self.shown}: it is not there; the server makes it when it starts")
                for name in (path.name, *(f"{path.name}{ending}" for ending in COMPANIONS)):
                    if (found := folder.status(name)) is not None:
                        check(found, path.with_name(name))
        except FileNotFoundError:
            raise StateUnavailable(f"{self.shown}: it is not there; the server makes it when it starts") from None
        except OSError as error:
            raise StateUnavailable(f"{error.filename or self.shown}: {error.strerror}") from None

    def _look_at_schema(self, connection: Connection) -> None:
        """Refuse anything that does more than a table when it is read or written.

        The reader, such as root, may not be the owner of the file: a view under the name of a table is a program of
        the owner's, which need not end, and so is every expression in a table. A single call of a function
        may take hours, and counts as one step.
        """
        for query in (_PROGRAMS, _EXPRESSIONS):  # anything but a table has no columns that could be asked for
            found = connection.execute(query).first()
            if found is not None:
                raise StateUnavailable(
                    f"{self.shown}: {found.table} is or has a view, a trigger, a virtual table or an expression "
                    "(a column that is computed, a default, a condition or an index) that agi-monitor has not made; "
                    "find out who has, and drop it or restore a copy"
                )

    def _make_file(self) -> None:
        """Make the file readable by its owner alone: PIN records stand in it. It belongs to whom the folder does."""
        path = Path(self.url.database or "")
        if not self.is_sqlite or os.path.lexists(path):
            return
        # A folder that is missing is named where the file is made.
        with self._rights() if path.absolute().parent.is_dir() else contextlib.nullcontext():
            self._make_new_file(path)

    def _make_new_file(self, path: Path) -> None:
        try:
            handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        except OSError as error:
            raise StateUnavailable(
                f"{self.shown}: {error.strerror}; the folder must exist and belong to the user of the server"
            ) from None
        try:
            os.close(handle)
            # The journal stays as chosen here; a later choice would be refused while another program writes.
            with contextlib.closing(sqlite3.connect(temporary)) as made:
                made.execute("PRAGMA journal_mode = WAL")
            with contextlib.suppress(FileExistsError):
                path.hardlink_to(temporary)
        finally:
            Path(temporary).unlink()


def file_url(directory: Path) -> str:
    """Return the address of the embedded database.

    Parameters:
        directory: the folder of the state.
    """
    return path_url(directory / FILE)


def path_url(path: Path) -> str:
    """Return the address of a file, whatever stands in its name.

    Parameters:
        path: of the file.
    """
    return URL.create("sqlite", database=str(path)).render_as_string()


def _with_driver(url: URL) -> URL:
    if url.drivername not in ("sqlite", "postgresql") or not url.database or url.database == ":memory:":
        raise ArgumentError
    return url.set(drivername="postgresql+psycopg") if url.drivername == "postgresql" else url


def _version(connection: Connection) -> str | None:
    """The version of the tables, or None without any. Asked without Alembic, which takes long to import."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    found = connection.execute(text("SELECT version_num FROM alembic_version")).scalars()
    return ", ".join(sorted(map(str, found))) or None


def _engine(url: URL) -> Engine:
    if url.get_backend_name() != "sqlite":
        limits = f"-c statement_timeout={STATEMENT_SECONDS}s -c lock_timeout={STATEMENT_SECONDS}s"
        arguments: dict[str, Any] = {
            "application_name": "agi-monitor",
            "connect_timeout": CONNECT_SECONDS,
            "keepalives_idle": CONNECT_SECONDS,
            "tcp_user_timeout": STATEMENT_SECONDS * 1000,
            "options": f"{limits} -c idle_in_transaction_session_timeout={3 * STATEMENT_SECONDS}s",
        }
        engine = create_engine(
            url, connect_args=arguments, pool_pre_ping=True, pool_size=2, pool_timeout=10, hide_parameters=True
        )

        @event.listens_for(engine, "connect")
        def connected_to_server(connection: Any, _: object) -> None:
            with connection.cursor() as cursor:
                _look_at_search_path(cursor, url.render_as_string(hide_password=True))
            connection.commit()

        return engine
    # A new connection each time: one that is kept would keep writing into a file that was moved away.
    engine = create_engine(url, connect_args={"timeout": BUSY_SECONDS}, poolclass=NullPool, hide_parameters=True)

    @event.listens_for(engine, "connect")
    def connected(connection: Any, record: Any) -> None:
        steps = record.info["steps"] = _Steps()
        connection.set_progress_handler(steps.are_too_many, STEPS_AT_ONCE)
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_LENGTH)
        # The driver begins no transactions of its own then; "begun" does, also before what changes tables.
        connection.isolation_level = None
        for pragma in ("synchronous = FULL", "foreign_keys = ON", "trusted_schema = OFF"):
            connection.execute(f"PRAGMA {pragma}").close()

    @event.listens_for(engine, "begin")
    def begun(connection: Connection) -> None:
        # At once, not with the first write: two who have read the same cannot both write.
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    @event.listens_for(engine, "before_cursor_execute")
    def executes(connection: Connection, *_: object) -> None:
        connection.info["steps"].done = 0

    return engine


def _look_at_search_path(cursor: Any, shown: str) -> None:
    """Refuse a database in which others can make functions where ours are looked for.

    A function or an operator of another account that fits the types better than PostgreSQL's own is run in its place,
    with our rights (CVE-2018-1058). Up to PostgreSQL 14 every account may make one in the schema public.
    """
    cursor.execute("SELECT pg_catalog.current_schemas(false)")
    searched = {"schemas": cursor.fetchone()[0], "tables": [*metadata.tables, "alembic_version"]}
    # What is asked next must not run theirs.
    cursor.execute("SET LOCAL search_path TO pg_catalog")
    cursor.execute(_OTHERS_MAY_CREATE, searched)
    found = cursor.fetchone()
    if found is not None:
        schema, who, me = found
        raise StateUnavailable(
            f"{shown}: {who} may make functions in the schema {schema}, and have them run with the rights of {me}. "
            f"As the administrator of PostgreSQL: REVOKE CREATE ON SCHEMA {schema} FROM {who}; "
            f"GRANT CREATE ON SCHEMA {schema} TO {me};"
        )
    cursor.execute(_OTHERS_HAVE_MADE, searched)
    found = cursor.fetchone()
    if found is not None:
        schema, what, who = found
        raise StateUnavailable(
            f"{shown}: {who} has made {what} in the schema {schema}, where it may run with the rights of agi-monitor."
            " Find out why, and drop it"
        )


_TRUSTED = """
    (r.rolsuper OR r.oid = n.nspowner OR r.oid = me.oid OR (NOT me.rolsuper AND pg_has_role(me.oid, r.oid, 'MEMBER'))
     OR r.oid = (SELECT datdba FROM pg_database WHERE datname = current_database()))
"""
_OTHERS_MAY_CREATE = f"""
SELECT quote_ident(n.nspname), coalesce(quote_ident(r.rolname), 'PUBLIC'), quote_ident(me.rolname)
FROM pg_namespace n
CROSS JOIN LATERAL aclexplode(coalesce(n.nspacl, acldefault('n', n.nspowner))) g
JOIN pg_roles me ON me.rolname = current_user
LEFT JOIN pg_roles r ON r.oid = g.grantee
WHERE n.nspname = ANY (%(schemas)s::name[]) AND g.privilege_type = 'CREATE'
AND (g.grantee = 0 OR NOT {_TRUSTED})
LIMIT 1
"""  # noqa: S608 (no text from outside)
_OTHERS_HAVE_MADE = f"""
WITH made AS (
    SELECT pronamespace AS schema, proowner AS owner, 'the function ' || quote_ident(proname) AS what FROM pg_proc
    UNION ALL SELECT oprnamespace, oprowner, 'the operator ' || oprname FROM pg_operator
    UNION ALL SELECT typnamespace, typowner, 'the type ' || quote_ident(typname) FROM pg_type WHERE typtype = 'd'
    UNION ALL SELECT relnamespace, relowner, 'the table ' || quote_ident(relname) FROM pg_class
    WHERE relname = ANY (%(tables)s::name[])
)
SELECT quote_ident(n.nspname), made.what, quote_ident(r.rolname)
FROM made JOIN pg_namespace n ON n.oid = made.schema JOIN pg_roles r ON r.oid = made.owner
JOIN pg_roles me ON me.rolname = current_user
WHERE n.nspname = ANY (%(schemas)s::name[]) AND NOT {_TRUSTED}
LIMIT 1
"""  # noqa: S608 (no text from outside)


class _Steps:
    """How much work one statement has done. Another user's file may make it endless."""

    def __init__(self) -> None:
        self.done = 0

    def are_too_many(self) -> bool:
        """Count those since the last time. SQLite ends the statement when there are too many."""
        self.done += STEPS_AT_ONCE
        return self.done > MAX_STEPS


_PROGRAMS = text(
    "SELECT lower(tbl_name) AS 'table' FROM sqlite_master WHERE (type IN ('view', 'trigger') OR rootpage = 0) "
    "AND lower(tbl_name) IN :tables AND NOT (type = 'trigger' AND sql = :kept) LIMIT 1"
).bindparams(
    bindparam("tables", (*metadata.tables, "alembic_version"), expanding=True),
    bindparam("kept", KEPT),
)

_EXPRESSIONS = text(
    "WITH ours AS (SELECT name, sql FROM sqlite_master WHERE type = 'table' AND lower(name) IN :tables) "
    "SELECT name AS 'table' FROM ("
    # 2 and 3 are columns that are computed; a default is a text of SQL.
    "SELECT ours.name FROM ours, pragma_table_xinfo(ours.name) AS c "
    "WHERE c.hidden != 0 OR c.dflt_value NOT IN ('0', quote('0'), 'NULL') "
    "UNION ALL SELECT ours.name FROM ours, pragma_index_list(ours.name) AS i WHERE i.partial != 0 "
    # -2 is an expression, -1 the number of the row.
    "UNION ALL SELECT ours.name FROM ours, pragma_index_list(ours.name) AS i, pragma_index_xinfo(i.name) AS c "
    "WHERE c.cid = -2 "
    # No pragma tells conditions. The word cannot be a name without quotes, and none of our names has it.
    "UNION ALL SELECT name FROM ours WHERE instr(lower(replace(sql, :kept, '')), 'check')"
    ") LIMIT 1"
).bindparams(
    bindparam("tables", (*metadata.tables, "alembic_version"), expanding=True),
    bindparam("kept", KEPT_CHECK),
)
"""Tables of ours with an expression that is not ours."""

_MENDS = (
    ("database or disk is full", "the disk is full; make room"),
    ("No space left on device", "its disk is full; make room"),
    ("database is locked", "another program has been writing to it for too long; end that one"),
    ("attempt to write a readonly", "it may not be written; give the file, its folder, -wal and -shm to the user"),
    ("unable to open database", "it cannot be opened; the folder must exist and belong to the user of the server"),
    ("file is not a database", "it is not an SQLite database; move it away, or restore a copy"),
    ("disk image is malformed", "it is damaged; move it away and restore a copy"),
    ("interrupted", "it asks for more work than agi-monitor's tables do; restore a copy"),
    ("too big", "it has a row that is larger than any that agi-monitor writes; restore a copy"),
    ("no such table", "its tables are missing; start the server, which makes them"),
    ("does not exist", "it does not exist there; make the database and its user"),
    ("password authentication failed", "the password is not accepted"),
    ("no password supplied", "a password is needed"),
    ("Connection refused", "no server listens there; start PostgreSQL"),
    ("statement timeout", "it did not answer in time"),
    ("lock timeout", "it was locked by another program for too long"),
    ("could not translate host name", "the host has no address"),
    ("timeout expired", "it did not answer in time"),
)
"""What the drivers say, and what to do. Anything else is given by its kind alone, never with values."""


def _is_an_answer(cause: BaseException | None) -> bool:
    """Whether a database says what is wrong with a statement. It is there then: others may be asked of it."""
    return (
        getattr(cause, "sqlstate", None) is not None
        or getattr(cause, "sqlite_errorcode", None) == sqlite3.SQLITE_ERROR
    )


def _why(error: SQLAlchemyError) -> str:
    said = str(getattr(error, "orig", None) or error)
    for words, mend in _MENDS:
        if words in said:
            return mend
    first = re.sub(r"\s+", " ", said.split("DETAIL:")[0].split("[SQL:")[0]).strip()
    # PostgreSQL puts the offending row into DETAIL, which is left out here.
    return f"{type(error).__name__}: {first[:200]}"
