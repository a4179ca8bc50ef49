"""Operators with signing keys, requests that need the approval of others, and the approvals."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from vault.migrations import guards

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_TABLES = ("operator", "approval_request", "approval")


def _text(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.Text(), nullable=False)


def _octets(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.LargeBinary(), nullable=False)


def _moment(name: str, default: str | None = None, *, nullable: bool = False) -> sa.Column[Any]:
    standard = sa.text(default) if default else None
    return sa.Column(name, sa.DateTime(timezone=True), server_default=standard, nullable=nullable)


def _reference(table: str, column: str, to: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], [f"vault.{to}.id"], name=op.f(f"{table}_{column}_fkey"))


def upgrade() -> None:
    op.create_table(
        "operator",
        _text("id"),
        _text("person"),
        _octets("public_key"),
        _moment("created_at", "now()"),
        _moment("revoked_at", nullable=True),
        sa.CheckConstraint("length(public_key) = 32", name=op.f("operator_public_key_length_check")),
        sa.PrimaryKeyConstraint("id", name=op.f("operator_pkey")),
        sa.UniqueConstraint("public_key", name=op.f("operator_public_key_key")),
        schema="vault",
    )
    op.create_table(
        "approval_request",
        _text("id"),
        _text("operation"),
        sa.Column("parameters", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        _text("requester"),
        _octets("nonce"),
        _moment("expires_at"),
        _octets("signature"),
        _moment("created_at", "now()"),
        _moment("consumed_at", nullable=True),
        _reference("approval_request", "requester", "operator"),
        sa.PrimaryKeyConstraint("id", name=op.f("approval_request_pkey")),
        sa.UniqueConstraint("nonce", name=op.f("approval_request_nonce_key")),
        schema="vault",
    )
    op.create_index(
        "approval_request_open_ix",
        "approval_request",
        ["operation"],
        schema="vault",
        postgresql_where=sa.text("consumed_at is null"),
    )
    op.create_table(
        "approval",
        _text("request_id"),
        _text("operator_id"),
        _text("verb"),
        _octets("signature"),
        _moment("created_at", "now()"),
        sa.CheckConstraint("verb in ('approve', 'deny')", name=op.f("approval_verb_check")),
        _reference("approval", "request_id", "approval_request"),
        _reference("approval", "operator_id", "operator"),
        sa.PrimaryKeyConstraint("request_id", "operator_id", "verb", name=op.f("approval_pkey")),
        schema="vault",
    )
    for statement in [*(each for table in _TABLES for each in guards.audit_triggers(table)), *guards.grants(_TABLES)]:
        op.execute(statement)


def downgrade() -> None:
    for table in reversed(_TABLES):
        op.drop_table(table, schema="vault")
