"""Counters of what clients and strangers ask for, cards that were seen, and quotas of a client's own."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from vault.migrations import counting, guards
from vault.roles import OPERATOR

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

_NOW = sa.text("clock_timestamp()")


def _integers(name: str, comment: str, *, big: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.ARRAY(sa.BigInteger() if big else sa.Integer()), nullable=False, comment=comment)


def upgrade() -> None:
    op.create_table(
        "rate_counter",
        sa.Column("merchant_id", sa.Text(), nullable=False, comment="empty: the installation's own"),
        sa.Column("subject", sa.Text(), nullable=False, comment="an API client, a network address, or a keyed hash"),
        sa.Column("name", sa.Text(), nullable=False),
        _integers("spans", "the windows, in seconds"),
        _integers("slices", "the newest slice of each window", big=True),
        _integers("totals", "taken in each window"),
        _integers("taken", "taken in each slice of each window"),
        sa.Column("told_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("touched_at", sa.DateTime(timezone=True), server_default=_NOW, nullable=False),
        sa.PrimaryKeyConstraint("merchant_id", "subject", "name", name=op.f("rate_counter_pkey")),
        schema="vault",
        postgresql_with={"fillfactor": "50"},
    )
    op.create_table(
        "card_sighting",
        sa.Column("merchant_id", sa.Text(), nullable=False),
        sa.Column(
            "subject", sa.Text(), nullable=False, comment="a buyer or an address as a keyed hash, or an API client"
        ),
        sa.Column("print", sa.LargeBinary(), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), server_default=_NOW, nullable=False),
        sa.PrimaryKeyConstraint("merchant_id", "subject", "print", name=op.f("card_sighting_pkey")),
        schema="vault",
    )
    op.create_index("card_sighting_age_ix", "card_sighting", ["seen_at"], schema="vault", postgresql_using="brin")
    op.add_column(
        "api_client",
        sa.Column("limits", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'"), nullable=False),
        schema="vault",
    )
    for statement in (counting.TAKE_SLOTS, counting.NOTE_CARD, *guards.grants(("rate_counter", "card_sighting"))):
        op.execute(statement)
    op.execute(f"grant update (limits) on vault.api_client to {OPERATOR}")


def downgrade() -> None:
    op.execute("drop function vault.note_card")
    op.execute("drop function vault.take_slots")
    op.drop_column("api_client", "limits", schema="vault")
    op.drop_table("card_sighting", schema="vault")
    op.drop_table("rate_counter", schema="vault")
