"""The first tables: people, wrong PINs, audit."""

import sqlalchemy as sa
from alembic import op

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

revision = "0001"
down_revision = None

SQLITE_KEEPS = """
CREATE TRIGGER audit_record_is_never_changed BEFORE UPDATE ON audit_record
BEGIN
    SELECT RAISE(ABORT, 'a record of the audit is never changed');
END
"""

POSTGRESQL_KEEPS = """
CREATE FUNCTION audit_record_is_never_changed() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'a record of the audit is never changed'; END $$;
CREATE TRIGGER audit_record_is_never_changed BEFORE UPDATE ON audit_record
FOR EACH ROW EXECUTE FUNCTION audit_record_is_never_changed()
"""


def upgrade() -> None:
    """Make them."""
    op.create_table(
        "agent",
        sa.Column("extension", sa.String(length=20), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("disabled", sa.Boolean(), nullable=False),
        sa.Column("protected", sa.Boolean(), nullable=False, comment="nobody may hear them"),
        sa.Column("told", sa.String(length=10), nullable=True, comment="on which date they were told of monitoring"),
        sa.Column("told_text", sa.Text(), nullable=False, comment="which text they were given"),
        sa.PrimaryKeyConstraint("extension", name=op.f("pk_agent")),
    )
    op.create_table(
        "audit_chain",
        sa.Column("node", sa.String(length=64), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False, comment="of the last record"),
        sa.Column("hash", sa.String(length=64), nullable=False, comment="of the last record"),
        sa.Column("unsigned", sa.Integer(), nullable=False, comment="so many records behind the last checkpoint"),
        sa.Column("since", sa.Double(), nullable=True, comment="when the first of those happened"),
        sa.PrimaryKeyConstraint("node", name=op.f("pk_audit_chain")),
    )
    op.create_table(
        "audit_record",
        sa.Column("node", sa.String(length=64), nullable=False),
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("at", sa.String(length=32), nullable=False),
        sa.Column("fact", sa.String(length=64), nullable=False),
        sa.Column("line", sa.Text(), nullable=False, comment="the record, byte for byte as it is hashed"),
        sa.PrimaryKeyConstraint("node", "seq", name=op.f("pk_audit_record")),
    )
    op.create_index("ix_audit_record_at", "audit_record", ["at"], unique=False)
    op.create_table(
        "lock_out",
        sa.Column("who", sa.String(length=200), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("last", sa.Double(), nullable=False),
        sa.Column("until", sa.Double(), nullable=False),
        sa.CheckConstraint("failures >= 0", name=op.f("ck_lock_out_failures")),
        sa.PrimaryKeyConstraint("who", name=op.f("pk_lock_out")),
    )
    op.create_index("ix_lock_out_last", "lock_out", ["last"], unique=False)
    op.create_table(
        "node",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column(
            "people_change",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            nullable=False,
            comment="up to here its audit has the changes",
        ),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_node")),
    )
    op.create_table(
        "people_change",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False, comment="supervisor, agent or rule"),
        sa.Column("key", sa.String(length=40), nullable=False),
        sa.Column(
            "before", sa.Text(), nullable=True, comment="as JSON, never with a PIN; none when it was not there"
        ),
        sa.Column("after", sa.Text(), nullable=True, comment="likewise; none when it is gone"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_people_change")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "rule",
        sa.Column("name", sa.String(length=40), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False, comment="as in the file, as JSON"),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_rule")),
    )
    op.create_table(
        "supervisor",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("language", sa.String(length=20), nullable=True),
        sa.Column("disabled", sa.Boolean(), nullable=False),
        sa.Column("pin", sa.Text(), nullable=True, comment="an argon2id record; none means that nobody can give it"),
        sa.Column("pin_set", sa.Double(), nullable=True, comment="when it was made"),
        sa.Column("pin_must_change", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_supervisor")),
    )
    op.create_table(
        "agent_endpoint",
        sa.Column("agent", sa.String(length=20), nullable=False),
        sa.Column("endpoint", sa.String(length=101), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["agent"], ["agent.extension"], name=op.f("fk_agent_endpoint_agent"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("agent", "endpoint", name=op.f("pk_agent_endpoint")),
    )
    op.create_table(
        "agent_group",
        sa.Column("agent", sa.String(length=20), nullable=False),
        sa.Column("name", sa.String(length=40), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["agent"], ["agent.extension"], name=op.f("fk_agent_group_agent"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("agent", "name", name=op.f("pk_agent_group")),
    )
    op.create_table(
        "supervisor_endpoint",
        sa.Column("endpoint", sa.String(length=101), nullable=False, comment="a phone is one supervisor's at most"),
        sa.Column("supervisor", sa.String(length=40), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["supervisor"], ["supervisor.id"], name=op.f("fk_supervisor_endpoint_supervisor"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("endpoint", name=op.f("pk_supervisor_endpoint")),
    )
    op.create_index(op.f("ix_supervisor_endpoint_supervisor"), "supervisor_endpoint", ["supervisor"], unique=False)
    op.create_table(
        "supervisor_group",
        sa.Column("supervisor", sa.String(length=40), nullable=False),
        sa.Column("name", sa.String(length=40), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["supervisor"], ["supervisor.id"], name=op.f("fk_supervisor_group_supervisor"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("supervisor", "name", name=op.f("pk_supervisor_group")),
    )
    # Against mistakes; against intent there is the chain.
    op.execute(SQLITE_KEEPS if op.get_bind().dialect.name == "sqlite" else POSTGRESQL_KEEPS)
