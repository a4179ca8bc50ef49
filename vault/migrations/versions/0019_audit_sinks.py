"""How far the places outside of the database are that the audit log is told to."""

import sqlalchemy as sa
from alembic import op

from vault.migrations import guards

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "audit_sink",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("told", sa.Text(), nullable=False),
        sa.Column("epoch", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("next_place", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("delivered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "next_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
            comment="until then somebody sends to it, or it is left alone",
        ),
        sa.Column("trouble", sa.Text(), nullable=True),
        sa.Column("failures", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.CheckConstraint("told in ('checkpoints', 'events')", name=op.f("audit_sink_told_check")),
        sa.PrimaryKeyConstraint("name", "told", name=op.f("audit_sink_pkey")),
        schema="vault",
    )
    for statement in guards.grants(("audit_sink",)):
        op.execute(statement)


def downgrade() -> None:
    op.drop_table("audit_sink", schema="vault")
