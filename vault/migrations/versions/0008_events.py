"""Events, written by the database with the changes they tell of, and their delivery to webhook endpoints."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from vault.migrations import guards, telling
from vault.schema import XID8

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_TABLES = ("event", "webhook_endpoint", "webhook_secret", "webhook_delivery", "webhook_pause")
_TOLD = ("card", "payment", "movement", "vaulting", "mandate", "webhook_endpoint")


def _texts(*names: str) -> Sequence[sa.Column[Any]]:
    return [sa.Column(name, sa.Text(), nullable=False) for name in names]


def _moment(name: str, default: str | None = None, *, nullable: bool = False) -> sa.Column[Any]:
    standard = sa.text(default) if default else None
    return sa.Column(name, sa.DateTime(timezone=True), server_default=standard, nullable=nullable)


def _objects(name: str, default: str | None = None) -> sa.Column[Any]:
    standard = sa.text(default) if default else None
    return sa.Column(name, postgresql.JSONB(astext_type=sa.Text()), server_default=standard, nullable=False)


def _of_endpoint(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["merchant_id", "endpoint_id"],
        ["vault.webhook_endpoint.merchant_id", "vault.webhook_endpoint.id"],
        name=op.f(f"{table}_merchant_id_endpoint_id_fkey"),
    )


def upgrade() -> None:
    _create_events()
    _create_endpoints()
    _create_deliveries()
    audited = [each for table in ("webhook_endpoint", "webhook_secret") for each in guards.audit_triggers(table)]
    told = [each for table in _TOLD for each in telling.telling(table)]
    for statement in [*audited, *told, *guards.grants(_TABLES)]:
        op.execute(statement)


def _create_events() -> None:
    op.create_table(
        "event",
        *_texts("merchant_id"),
        sa.Column("id", sa.Uuid(), nullable=False, comment="UUIDv7; evt_… outside"),
        sa.Column("xid", XID8(), server_default=sa.text("pg_current_xact_id()"), nullable=False),
        sa.Column("ord", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        *_texts("type", "object_id"),
        sa.Column("sequence", sa.Integer(), nullable=False),
        _moment("occurred_at", "clock_timestamp()"),
        _objects("data"),
        sa.PrimaryKeyConstraint("merchant_id", "id", name=op.f("event_pkey")),
        sa.UniqueConstraint(
            "merchant_id", "object_id", "sequence", name=op.f("event_merchant_id_object_id_sequence_key")
        ),
        schema="vault",
    )
    op.create_index("event_order_ix", "event", ["merchant_id", "xid", "ord"], schema="vault")
    op.create_index("event_age_ix", "event", ["occurred_at"], schema="vault", postgresql_using="brin")


def _create_endpoints() -> None:
    op.create_table(
        "webhook_endpoint",
        *_texts("merchant_id", "id", "url"),
        sa.Column(
            "types", postgresql.ARRAY(sa.Text()), server_default=sa.text("'{}'"), nullable=False, comment="empty: all"
        ),
        sa.Column("status", sa.Text(), server_default=sa.text("'ACTIVE'"), nullable=False),
        _moment("tested_at", nullable=True),
        _moment("created_at", "now()"),
        _moment("updated_at", "now()"),
        sa.CheckConstraint("status in ('ACTIVE', 'DISABLED', 'DELETED')", name=op.f("webhook_endpoint_status_check")),
        sa.ForeignKeyConstraint(["merchant_id"], ["vault.merchant.id"], name=op.f("webhook_endpoint_merchant_id_fkey")),
        sa.PrimaryKeyConstraint("merchant_id", "id", name=op.f("webhook_endpoint_pkey")),
        schema="vault",
    )
    op.create_table(
        "webhook_secret",
        *_texts("merchant_id", "id", "endpoint_id"),
        sa.Column("envelope", sa.LargeBinary(), nullable=False),
        sa.Column("key_id", sa.LargeBinary(), nullable=False),
        _moment("created_at", "now()"),
        _moment("expires_at", nullable=True),
        sa.ForeignKeyConstraint(["key_id"], ["vault.data_key.id"], name=op.f("webhook_secret_key_id_fkey")),
        _of_endpoint("webhook_secret"),
        sa.PrimaryKeyConstraint("merchant_id", "id", name=op.f("webhook_secret_pkey")),
        schema="vault",
    )
    op.create_index(
        op.f("webhook_secret_merchant_id_endpoint_id_ix"),
        "webhook_secret",
        ["merchant_id", "endpoint_id"],
        schema="vault",
    )
    op.create_table(
        "webhook_pause",
        *_texts("merchant_id", "endpoint_id"),
        sa.Column("failures", sa.Integer(), nullable=False, comment="pauses in a row"),
        _moment("until"),
        _of_endpoint("webhook_pause"),
        sa.PrimaryKeyConstraint("merchant_id", "endpoint_id", name=op.f("webhook_pause_pkey")),
        schema="vault",
    )


def _create_deliveries() -> None:
    op.create_table(
        "webhook_delivery",
        *_texts("merchant_id"),
        sa.Column("event_id", sa.Uuid(), nullable=False),
        *_texts("endpoint_id"),
        sa.Column("status", sa.Text(), server_default=sa.text("'PENDING'"), nullable=False),
        sa.Column(
            "round", sa.Integer(), server_default=sa.text("1"), nullable=False, comment="one more by each redelivery"
        ),
        sa.Column("tries", sa.Integer(), server_default=sa.text("0"), nullable=False, comment="of this round"),
        _moment("next_at", nullable=True),
        sa.Column(
            "log",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'[]'"),
            nullable=False,
            comment="the newest attempts",
        ),
        _moment("created_at", "now()"),
        _moment("updated_at", "now()"),
        sa.CheckConstraint("status in ('PENDING', 'DELIVERED', 'FAILED')", name=op.f("webhook_delivery_status_check")),
        sa.CheckConstraint("(status = 'PENDING') = (next_at is not null)", name=op.f("webhook_delivery_next_at_check")),
        sa.ForeignKeyConstraint(
            ["merchant_id", "event_id"],
            ["vault.event.merchant_id", "vault.event.id"],
            name=op.f("webhook_delivery_merchant_id_event_id_fkey"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("merchant_id", "event_id", "endpoint_id", name=op.f("webhook_delivery_pkey")),
        schema="vault",
    )
    op.create_index(
        "webhook_delivery_due_ix",
        "webhook_delivery",
        ["merchant_id", "endpoint_id", "next_at"],
        schema="vault",
        postgresql_where=sa.text("next_at is not null"),
    )
    op.create_index(
        "webhook_delivery_newest_ix",
        "webhook_delivery",
        ["merchant_id", "endpoint_id", sa.literal_column("event_id desc")],
        schema="vault",
    )


def downgrade() -> None:
    for table in _TOLD:
        for statement in telling.silence(table):
            op.execute(statement)
    for table in ("webhook_delivery", "webhook_pause", "webhook_secret", "webhook_endpoint", "event"):
        op.drop_table(table, schema="vault")
