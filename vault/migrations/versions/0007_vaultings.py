"""Cards that are stored at the gateway without a payment."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from vault.migrations import guards

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_TABLES = ("vaulting", "vaulting_secret", "vaulting_inquiry", "token_deletion")


def _texts(*names: str, nullable: bool = False) -> Sequence[sa.Column[Any]]:
    return [sa.Column(name, sa.Text(), nullable=nullable) for name in names]


def _objects(*names: str) -> Sequence[sa.Column[Any]]:
    return [sa.Column(name, postgresql.JSONB(astext_type=sa.Text()), nullable=True) for name in names]


def _flags(*names: str) -> Sequence[sa.Column[Any]]:
    return [sa.Column(name, sa.Boolean(), server_default=sa.text("false"), nullable=False) for name in names]


def _moments(*names: str, default: str | None = None) -> Sequence[sa.Column[Any]]:
    standard = sa.text(default) if default else None
    return [sa.Column(name, sa.DateTime(timezone=True), server_default=standard, nullable=False) for name in names]


def _key(table: str, name: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([name], ["vault.data_key.id"], name=op.f(f"{table}_{name}_fkey"))


def _belongs_to_vaulting(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["merchant_id", "vaulting_id"],
        ["vault.vaulting.merchant_id", "vault.vaulting.id"],
        name=op.f(f"{table}_merchant_id_vaulting_id_fkey"),
    )


def upgrade() -> None:
    op.create_table("vaulting", *_columns(), *_constraints(), schema="vault")
    for name, unique in {"pending_card_id": True, "card_id": False, "buyer": False}.items():
        op.create_index(
            f"vaulting_{name.removesuffix('_card_id').removesuffix('_id')}_ix",
            "vaulting",
            ["merchant_id", name],
            schema="vault",
            unique=unique,
            postgresql_where=sa.text(f"{name} is not null"),
        )
    _create_what_goes_with_one()
    _create_deletions()
    triggers = (each for table in _TABLES[:2] for each in guards.audit_triggers(table))
    for statement in [*triggers, *guards.grants(_TABLES)]:
        op.execute(statement)


def _columns() -> Sequence[sa.Column[Any]]:
    return [
        *_texts("merchant_id", "id", "request_id", "client_id", "channel", "status"),
        *_texts("ending", "buyer", "pending_card_id", "card_id", "brand", "masked", "bin", "last_four", nullable=True),
        sa.Column("expiry_month", sa.SmallInteger(), nullable=True),
        sa.Column("expiry_year", sa.SmallInteger(), nullable=True),
        sa.Column("fingerprint", sa.LargeBinary(), nullable=True),
        sa.Column("fingerprint_key_id", sa.LargeBinary(), nullable=True),
        *_texts("selected_brand", "selected_region", nullable=True),
        *_flags("is_default"),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("digest_key_id", sa.LargeBinary(), nullable=False),
        *_objects("next_action"),
        *_flags("redirected"),
        *_texts("result_code", "result_status", "result_message", nullable=True),
        *_objects("result_info", "authentication", "metadata", "consent"),
        *_moments("send_deadline", "expires_at"),
        *_moments("created_at", "updated_at", default="now()"),
    ]


def _constraints() -> Sequence[sa.Constraint]:
    checks = {
        "channel": "channel in ('DIRECT', 'SESSION')",
        "status": "status in ('CREATED', 'UNKNOWN', 'PROCESSING', 'SUCCESS', 'FAIL')",
        "ending": "ending in ('NOT_SENT', 'EXPIRED', 'ABANDONED')",
        "ended": "ending is null or status = 'FAIL'",
        "one_choice": "selected_brand is null or selected_region is null",
    }
    return [
        *(sa.CheckConstraint(rule, name=op.f(f"vaulting_{name}_check")) for name, rule in checks.items()),
        sa.ForeignKeyConstraint(["merchant_id"], ["vault.merchant.id"], name=op.f("vaulting_merchant_id_fkey")),
        sa.ForeignKeyConstraint(["client_id"], ["vault.api_client.id"], name=op.f("vaulting_client_id_fkey")),
        _key("vaulting", "digest_key_id"),
        _key("vaulting", "fingerprint_key_id"),
        sa.ForeignKeyConstraint(
            ["merchant_id", "card_id"],
            ["vault.card.merchant_id", "vault.card.id"],
            name=op.f("vaulting_merchant_id_card_id_fkey"),
        ),
        sa.PrimaryKeyConstraint("merchant_id", "id", name=op.f("vaulting_pkey")),
        sa.UniqueConstraint("merchant_id", "request_id", name=op.f("vaulting_merchant_id_request_id_key")),
    ]


def _create_what_goes_with_one() -> None:
    op.create_table(
        "vaulting_secret",
        *_texts("merchant_id", "vaulting_id", "kind"),
        sa.Column("envelope", sa.LargeBinary(), nullable=False),
        sa.Column("key_id", sa.LargeBinary(), nullable=False),
        *_moments("created_at", default="now()"),
        sa.CheckConstraint("kind in ('PROFILE', 'SESSION')", name=op.f("vaulting_secret_kind_check")),
        _key("vaulting_secret", "key_id"),
        _belongs_to_vaulting("vaulting_secret"),
        sa.PrimaryKeyConstraint("merchant_id", "vaulting_id", "kind", name=op.f("vaulting_secret_pkey")),
        schema="vault",
    )
    op.create_table(
        "vaulting_inquiry",
        *_texts("merchant_id", "vaulting_id"),
        *_moments("next_at"),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        _belongs_to_vaulting("vaulting_inquiry"),
        sa.PrimaryKeyConstraint("merchant_id", "vaulting_id", name=op.f("vaulting_inquiry_pkey")),
        schema="vault",
    )
    op.create_index(op.f("vaulting_inquiry_next_at_ix"), "vaulting_inquiry", ["next_at"], schema="vault")


def _create_deletions() -> None:
    op.create_table(
        "token_deletion",
        *_texts("merchant_id"),
        sa.Column("owner_id", sa.Text(), nullable=False, comment="the card or vaulting that the token came from"),
        sa.Column("sealed_in", sa.Text(), nullable=False, comment="the table that the envelope was sealed for"),
        sa.Column("envelope", sa.LargeBinary(), nullable=False),
        sa.Column("key_id", sa.LargeBinary(), nullable=False),
        *_moments("next_at"),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.ForeignKeyConstraint(["merchant_id"], ["vault.merchant.id"], name=op.f("token_deletion_merchant_id_fkey")),
        _key("token_deletion", "key_id"),
        sa.PrimaryKeyConstraint("merchant_id", "owner_id", name=op.f("token_deletion_pkey")),
        schema="vault",
    )
    op.create_index(op.f("token_deletion_next_at_ix"), "token_deletion", ["next_at"], schema="vault")


def downgrade() -> None:
    for table in reversed(_TABLES):
        op.drop_table(table, schema="vault")
