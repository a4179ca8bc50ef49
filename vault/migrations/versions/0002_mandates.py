"""Mandates, and what payments have to say about them and about authentication."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from vault.migrations import guards

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "mandate",
        sa.Column("merchant_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("card_id", sa.Text(), nullable=False),
        sa.Column("buyer", sa.Text(), nullable=True),
        sa.Column("initial_payment_id", sa.Text(), nullable=True),
        sa.Column("recurring_type", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("max_currency", sa.Text(), nullable=True),
        sa.Column("max_value", sa.BigInteger(), nullable=True),
        sa.Column("valid_from", sa.DateTime(timezone=True), nullable=True),
        sa.Column("valid_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("minimum_interval_days", sa.Integer(), nullable=True),
        sa.Column("network_transaction_id", sa.Text(), nullable=True),
        sa.Column("region", sa.Text(), nullable=True),
        sa.Column("evidence", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("consent", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("reference", sa.Text(), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("recurring_type in ('SCHEDULED', 'UNSCHEDULED')", name=op.f("mandate_recurring_type_check")),
        sa.CheckConstraint("status in ('ACTIVE', 'ENDED', 'EXPIRED')", name=op.f("mandate_status_check")),
        sa.CheckConstraint(
            "(max_currency is null) = (max_value is null) and max_value > 0", name=op.f("mandate_max_amount_check")
        ),
        sa.CheckConstraint("minimum_interval_days > 0", name=op.f("mandate_interval_check")),
        sa.CheckConstraint("(status = 'ENDED') = (ended_at is not null)", name=op.f("mandate_ended_check")),
        sa.CheckConstraint(
            "status <> 'ACTIVE' or (network_transaction_id is not null and buyer is not null)",
            name=op.f("mandate_usable_check"),
        ),
        sa.ForeignKeyConstraint(["merchant_id"], ["vault.merchant.id"], name=op.f("mandate_merchant_id_fkey")),
        sa.ForeignKeyConstraint(
            ["merchant_id", "card_id"],
            ["vault.card.merchant_id", "vault.card.id"],
            name=op.f("mandate_merchant_id_card_id_fkey"),
        ),
        sa.ForeignKeyConstraint(
            ["merchant_id", "initial_payment_id"],
            ["vault.payment.merchant_id", "vault.payment.id"],
            name=op.f("mandate_merchant_id_initial_payment_id_fkey"),
        ),
        sa.PrimaryKeyConstraint("merchant_id", "id", name=op.f("mandate_pkey")),
        schema="vault",
    )
    op.create_index(
        "mandate_one_per_payment_ix",
        "mandate",
        ["merchant_id", "card_id", "initial_payment_id", "recurring_type"],
        unique=True,
        schema="vault",
        postgresql_where=sa.text("status = 'ACTIVE'"),
    )
    op.create_index(
        "mandate_one_per_import_ix",
        "mandate",
        ["merchant_id", "card_id", "network_transaction_id", "recurring_type"],
        unique=True,
        schema="vault",
        postgresql_where=sa.text("status = 'ACTIVE' and initial_payment_id is null"),
    )
    op.create_index(
        "mandate_newest_ix",
        "mandate",
        ["merchant_id", "card_id", sa.literal_column("created_at desc"), sa.literal_column("id desc")],
        schema="vault",
    )
    op.create_index(
        "mandate_buyer_ix",
        "mandate",
        ["merchant_id", "buyer"],
        schema="vault",
        postgresql_where=sa.text("buyer is not null"),
    )
    _extend_payments()
    for statement in [*guards.audit_triggers("mandate"), *guards.grants(("mandate",))]:
        op.execute(statement)


def _extend_payments() -> None:
    op.add_column("payment", sa.Column("mandate_id", sa.Text(), nullable=True), schema="vault")
    op.add_column(
        "payment",
        sa.Column("authentication", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        schema="vault",
    )
    op.add_column(
        "payment",
        sa.Column("redirected", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        schema="vault",
    )
    op.create_foreign_key(
        op.f("payment_merchant_id_mandate_id_fkey"),
        "payment",
        "mandate",
        ["merchant_id", "mandate_id"],
        ["merchant_id", "id"],
        source_schema="vault",
        referent_schema="vault",
    )
    op.create_check_constraint(
        op.f("payment_mandate_check"),
        "payment",
        "(kind = 'MERCHANT_INITIATED') = (mandate_id is not null)",
        schema="vault",
    )
    op.create_index(
        "payment_mandate_ix",
        "payment",
        ["merchant_id", "mandate_id"],
        schema="vault",
        postgresql_where=sa.text("mandate_id is not null"),
    )


def downgrade() -> None:
    op.drop_index("payment_mandate_ix", table_name="payment", schema="vault")
    op.drop_constraint("payment_mandate_check", "payment", schema="vault")
    op.drop_constraint("payment_merchant_id_mandate_id_fkey", "payment", schema="vault")
    for name in ("redirected", "authentication", "mandate_id"):
        op.drop_column("payment", name, schema="vault")
    op.drop_table("mandate", schema="vault")
