"""Who ended a lock-out, and up to where each node has it in its audit."""

import sqlalchemy as sa
from alembic import op

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Make the table and the column."""
    op.create_table(
        "lock_out_end",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False, comment="who let somebody try again"),
        sa.Column("who", sa.String(length=200), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False, comment="wrong PINs that were forgotten"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_lock_out_end")),
        sqlite_autoincrement=True,
    )
    op.add_column(
        "node",
        sa.Column(
            "lock_out_end",
            ID,
            nullable=False,
            server_default="0",
            comment="likewise the ends of lock-outs",
        ),
    )
