"""The tables of the store. What changes here needs a step in ``migrations/``; a test compares the two.

Times are seconds since 1970, as the clock of the rest of the program has them. Names follow the configuration.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
)

VERSION = "0003"
"""The last step of ``migrations``."""

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
    }
)

ID = BigInteger().with_variant(Integer, "sqlite")
"""SQLite numbers rows by itself in a column of the type INTEGER only."""

# ---- people ------------------------------------------------------------------------------------------------

supervisor = Table(
    "supervisor",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("name", Text, nullable=False),
    Column("language", String(20)),
    Column("disabled", Boolean, nullable=False),
    Column("pin", Text, comment="an argon2id record; none means that nobody can give it"),
    Column("pin_set", Double, comment="when it was made"),
    Column("pin_must_change", Boolean, nullable=False),
    Column("tenant", String(40), comment="whose agents they may hear"),
)

supervisor_group = Table(
    "supervisor_group",
    metadata,
    Column("supervisor", ForeignKey("supervisor.id", ondelete="CASCADE"), primary_key=True),
    Column("name", String(40), primary_key=True),
    Column("position", Integer, nullable=False),
)

supervisor_endpoint = Table(
    "supervisor_endpoint",
    metadata,
    Column("endpoint", String(101), primary_key=True, comment="a phone is one supervisor's at most"),
    Column("supervisor", ForeignKey("supervisor.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("position", Integer, nullable=False),
)

agent = Table(
    "agent",
    metadata,
    Column("extension", String(20), primary_key=True),
    Column("name", Text, nullable=False),
    Column("disabled", Boolean, nullable=False),
    Column("protected", Boolean, nullable=False, comment="nobody may hear them"),
    Column("told", String(10), comment="on which date they were told of monitoring"),
    Column("told_text", Text, nullable=False, comment="which text they were given"),
    Column("tenant", String(40), comment="whom they work for"),
    Column("dialled", String(20), comment="the digits, where extension is a name"),
)

agent_group = Table(
    "agent_group",
    metadata,
    Column("agent", ForeignKey("agent.extension", ondelete="CASCADE"), primary_key=True),
    Column("name", String(40), primary_key=True),
    Column("position", Integer, nullable=False),
)

agent_endpoint = Table(
    "agent_endpoint",
    metadata,
    Column("agent", ForeignKey("agent.extension", ondelete="CASCADE"), primary_key=True),
    Column("endpoint", String(101), primary_key=True),
    Column("position", Integer, nullable=False),
)

rule = Table(
    "rule",
    metadata,
    Column("name", String(40), primary_key=True),
    Column("position", Integer, nullable=False),
    Column("body", Text, nullable=False, comment="as in the file, as JSON"),
)

people_change = Table(
    "people_change",
    metadata,
    Column("id", ID, primary_key=True, autoincrement=True),
    Column("at", Double, nullable=False),
    Column("by", Text, nullable=False),
    Column("kind", String(20), nullable=False, comment="supervisor, agent or rule"),
    Column("key", String(40), nullable=False),
    Column("before", Text, comment="as JSON, never with a PIN; none when it was not there"),
    Column("after", Text, comment="likewise; none when it is gone"),
    sqlite_autoincrement=True,
)

node = Table(
    "node",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("people_change", ID, nullable=False, comment="up to here its audit has the changes"),
    Column(
        "lock_out_end",
        ID,
        nullable=False,
        server_default="0",
        comment="likewise the ends of lock-outs",
    ),
)

# ---- wrong PINs --------------------------------------------------------------------------------------------

lock_out = Table(
    "lock_out",
    metadata,
    Column("who", String(200), primary_key=True),
    Column("failures", Integer, nullable=False),
    Column("last", Double, nullable=False),
    Column("until", Double, nullable=False),
    CheckConstraint("failures >= 0", name="failures"),
    Index("ix_lock_out_last", "last"),
)

lock_out_end = Table(
    "lock_out_end",
    metadata,
    Column("id", ID, primary_key=True, autoincrement=True),
    Column("at", Double, nullable=False),
    Column("by", Text, nullable=False, comment="who let somebody try again"),
    Column("who", String(200), nullable=False),
    Column("failures", Integer, nullable=False, comment="wrong PINs that were forgotten"),
    sqlite_autoincrement=True,
)

# ---- audit -------------------------------------------------------------------------------------------------

audit_record = Table(
    "audit_record",
    metadata,
    Column("node", String(64), primary_key=True),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("at", String(32), nullable=False),
    Column("fact", String(64), nullable=False),
    Column("line", Text, nullable=False, comment="the record, byte for byte as it is hashed"),
    Index("ix_audit_record_at", "at"),
)

audit_chain = Table(
    "audit_chain",
    metadata,
    Column("node", String(64), primary_key=True),
    Column("seq", BigInteger, nullable=False, comment="of the last record"),
    Column("hash", String(64), nullable=False, comment="of the last record"),
    Column("unsigned", Integer, nullable=False, comment="so many records behind the last checkpoint"),
    Column("since", Double, comment="when the first of those happened"),
)
