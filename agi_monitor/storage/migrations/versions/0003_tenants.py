"""Which company supervisors and agents are of, and what is dialled for an agent whose key is a name."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Make the columns; everyone there is of the one company that the PBX has."""
    op.add_column("supervisor", sa.Column("tenant", sa.String(length=40), comment="whose agents they may hear"))
    op.add_column("agent", sa.Column("tenant", sa.String(length=40), comment="whom they work for"))
    op.add_column(
        "agent", sa.Column("dialled", sa.String(length=20), comment="the digits, where extension is a name")
    )
