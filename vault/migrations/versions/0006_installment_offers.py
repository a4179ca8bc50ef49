"""Installment plans that the gateway offered lately."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from vault.migrations import guards

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "installment_offer",
        sa.Column("merchant_id", sa.Text(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("region", sa.Text(), nullable=False, comment="empty: the gateway named none"),
        sa.Column("plans", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("consulted_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["merchant_id"], ["vault.merchant.id"], name=op.f("installment_offer_merchant_id_fkey")
        ),
        sa.PrimaryKeyConstraint("merchant_id", "currency", "region", name=op.f("installment_offer_pkey")),
        schema="vault",
    )
    for statement in guards.grants(("installment_offer",)):
        op.execute(statement)


def downgrade() -> None:
    op.drop_table("installment_offer", schema="vault")
