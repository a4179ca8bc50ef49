"""Which entries of the audit log mention an id, so that the list of one card's events is no walk over the log."""

import sqlalchemy as sa
from alembic import op

from vault.migrations import guards, mentions

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "audit_mention",
        sa.Column("object_id", sa.Text(), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("place", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("object_id", "epoch", "place", name=op.f("audit_mention_pkey")),
        schema="vault",
    )
    for statement in (*guards.grants(("audit_mention",)), *mentions.upgrade()):
        op.execute(statement)


def downgrade() -> None:
    for statement in mentions.downgrade():
        op.execute(statement)
    op.drop_table("audit_mention", schema="vault")
