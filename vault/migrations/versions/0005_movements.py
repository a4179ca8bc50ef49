"""Captures that are asked for here, refunds, and captures whose payment is not known yet."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op

from vault.migrations import guards

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_TAKE_OVER = """
insert into vault.movement (merchant_id, id, payment_id, kind, request_id, status, currency, value, gateway_id,
    created_at, updated_at)
select merchant_id, id, payment_id, 'CAPTURE', request_id, status, currency, value, gateway_capture_id, created_at,
    updated_at
from vault.capture
"""
_GIVE_BACK = """
insert into vault.capture (merchant_id, id, payment_id, request_id, status, currency, value, gateway_capture_id,
    created_at, updated_at)
select merchant_id, id, payment_id, request_id, case status when 'CREATED' then 'PENDING' else status end, currency,
    value, gateway_id, created_at, updated_at
from vault.movement where kind = 'CAPTURE'
"""


def _texts(*names: str, nullable: bool = False) -> Sequence[sa.Column[Any]]:
    return [sa.Column(name, sa.Text(), nullable=nullable) for name in names]


def _moments(*names: str) -> Sequence[sa.Column[Any]]:
    return [
        sa.Column(name, sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False) for name in names
    ]


def upgrade() -> None:
    op.create_table(
        "movement",
        *_texts("merchant_id", "id", "payment_id", "kind", "request_id"),
        *_texts("client_id", nullable=True),
        *_texts("status", "currency"),
        sa.Column("value", sa.BigInteger(), nullable=False),
        sa.Column("is_last", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        *_texts("gateway_id", "result_code", "result_status", "result_message", nullable=True),
        sa.Column("not_sent", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=True),
        sa.Column("digest_key_id", sa.LargeBinary(), nullable=True),
        sa.Column("send_deadline", sa.DateTime(timezone=True), nullable=True),
        *_moments("created_at", "updated_at"),
        sa.CheckConstraint("kind in ('CAPTURE', 'REFUND')", name=op.f("movement_kind_check")),
        sa.CheckConstraint("status in ('CREATED', 'PENDING', 'SUCCESS', 'FAIL')", name=op.f("movement_status_check")),
        sa.CheckConstraint("value > 0", name=op.f("movement_value_check")),
        sa.CheckConstraint("not not_sent or status = 'FAIL'", name=op.f("movement_not_sent_check")),
        sa.CheckConstraint("status <> 'CREATED' or send_deadline is not null", name=op.f("movement_created_check")),
        sa.CheckConstraint("(digest is null) = (digest_key_id is null)", name=op.f("movement_digest_check")),
        sa.ForeignKeyConstraint(["client_id"], ["vault.api_client.id"], name=op.f("movement_client_id_fkey")),
        sa.ForeignKeyConstraint(["digest_key_id"], ["vault.data_key.id"], name=op.f("movement_digest_key_id_fkey")),
        sa.ForeignKeyConstraint(
            ["merchant_id", "payment_id"],
            ["vault.payment.merchant_id", "vault.payment.id"],
            name=op.f("movement_merchant_id_payment_id_fkey"),
        ),
        sa.PrimaryKeyConstraint("merchant_id", "id", name=op.f("movement_pkey")),
        sa.UniqueConstraint("merchant_id", "kind", "request_id", name=op.f("movement_merchant_id_kind_request_id_key")),
        schema="vault",
    )
    op.create_index(
        op.f("movement_merchant_id_payment_id_ix"), "movement", ["merchant_id", "payment_id"], schema="vault"
    )
    op.execute(_TAKE_OVER)
    op.drop_table("capture", schema="vault")
    _keep_orphans()
    op.create_index(
        "payment_expiring_ix",
        "payment",
        ["authorisation_expires_at"],
        schema="vault",
        postgresql_where=sa.text("status = 'SUCCESS' and capture_mode = 'MANUAL' and capture_status = 'NONE'"),
    )
    for statement in [*guards.audit_triggers("movement"), *guards.grants(("movement", "orphan_capture"))]:
        op.execute(statement)


def _keep_orphans() -> None:
    op.create_table(
        "orphan_capture",
        *_texts("merchant_id", "gateway_payment_id", "request_id", "status", "currency"),
        sa.Column("value", sa.BigInteger(), nullable=False),
        *_texts("gateway_id", "result_code", "result_status", "result_message", nullable=True),
        sa.Column("next_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        *_moments("created_at"),
        sa.CheckConstraint("status in ('SUCCESS', 'FAIL')", name=op.f("orphan_capture_status_check")),
        sa.ForeignKeyConstraint(["merchant_id"], ["vault.merchant.id"], name=op.f("orphan_capture_merchant_id_fkey")),
        sa.PrimaryKeyConstraint("merchant_id", "gateway_payment_id", "request_id", name=op.f("orphan_capture_pkey")),
        schema="vault",
    )
    op.create_index(op.f("orphan_capture_next_at_ix"), "orphan_capture", ["next_at"], schema="vault")


def downgrade() -> None:
    op.drop_index("payment_expiring_ix", table_name="payment", schema="vault")
    op.drop_table("orphan_capture", schema="vault")
    op.create_table(
        "capture",
        *_texts("merchant_id", "id", "payment_id", "request_id"),
        *_texts("gateway_capture_id", nullable=True),
        *_texts("status", "currency"),
        sa.Column("value", sa.BigInteger(), nullable=False),
        *_moments("created_at", "updated_at"),
        sa.CheckConstraint("status in ('PENDING', 'SUCCESS', 'FAIL')", name=op.f("capture_status_check")),
        sa.ForeignKeyConstraint(
            ["merchant_id", "payment_id"],
            ["vault.payment.merchant_id", "vault.payment.id"],
            name=op.f("capture_merchant_id_payment_id_fkey"),
        ),
        sa.PrimaryKeyConstraint("merchant_id", "id", name=op.f("capture_pkey")),
        sa.UniqueConstraint(
            "merchant_id", "payment_id", "request_id", name=op.f("capture_merchant_id_payment_id_request_id_key")
        ),
        schema="vault",
    )
    op.execute(_GIVE_BACK)
    op.drop_table("movement", schema="vault")
    for statement in guards.audit_triggers("capture"):
        op.execute(statement)
    op.execute(
        "grant select, insert, update (status, gateway_capture_id, updated_at) on vault.capture to cardvault_app"
    )
