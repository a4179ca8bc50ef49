"""Attempts to charge a card, for the retry guard."""

import sqlalchemy as sa
from alembic import op

from vault.migrations import guards

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

_LOCK = """
create function vault.attempt_lock(of_merchant text, of_print bytea) returns bigint
language sql immutable parallel safe
return hashtextextended(of_merchant || '/' || encode(of_print, 'hex'), 0)
"""
# Whoever gets false looks closer, with the locks. Volatile: the look comes after the locks, not with the caller's
# snapshot, which is older. It never waits, so that a statement about several payments cannot hold up another one.
_UNTRIED = """
create function vault.untried(of_merchant text, of_prints bytea[]) returns boolean
language plpgsql volatile as $$
declare
    each bytea;
begin
    foreach each in array of_prints loop
        if not pg_try_advisory_xact_lock(vault.attempt_lock(of_merchant, each)) then
            return false;
        end if;
    end loop;
    return not exists (select from vault.card_attempt where merchant_id = of_merchant and print = any(of_prints));
end
$$
"""


def upgrade() -> None:
    op.create_table(
        "card_attempt",
        sa.Column("merchant_id", sa.Text(), nullable=False),
        sa.Column("print", sa.LargeBinary(), nullable=False, comment="of the number, or of the gateway's token"),
        sa.Column("print_key_id", sa.LargeBinary(), nullable=False),
        sa.Column("place", sa.Integer(), nullable=False),
        sa.Column("payment_id", sa.Text(), nullable=False),
        sa.Column("card_id", sa.Text(), nullable=True),
        sa.Column("mandate_id", sa.Text(), nullable=True),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("value", sa.BigInteger(), nullable=False),
        sa.Column("network", sa.Text(), nullable=True),
        sa.Column("refusal_code", sa.Text(), nullable=True),
        sa.Column("advice_code", sa.Text(), nullable=True),
        sa.Column("declined_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("kept", sa.Text(), nullable=True),
        sa.CheckConstraint("kept in ('WINDOW', 'BUYER', 'CARD')", name=op.f("card_attempt_kept_check")),
        sa.CheckConstraint("(declined_at is null) = (kept is null)", name=op.f("card_attempt_declined_check")),
        sa.ForeignKeyConstraint(["print_key_id"], ["vault.data_key.id"], name=op.f("card_attempt_print_key_id_fkey")),
        sa.PrimaryKeyConstraint("merchant_id", "print", "place", name=op.f("card_attempt_pkey")),
        schema="vault",
    )
    op.create_index("card_attempt_payment_ix", "card_attempt", ["merchant_id", "payment_id"], schema="vault")
    op.create_index(
        "card_attempt_declined_ix",
        "card_attempt",
        ["declined_at"],
        schema="vault",
        postgresql_where=sa.text("declined_at is not null"),
    )
    for statement in (_LOCK, _UNTRIED, *guards.grants(("card_attempt",))):
        op.execute(statement)


def downgrade() -> None:
    op.execute("drop function vault.untried(text, bytea[])")
    op.execute("drop function vault.attempt_lock(text, bytea)")
    op.drop_table("card_attempt", schema="vault")
