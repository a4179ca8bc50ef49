"""Who has opened which root key, what became of it, and ceremonies that make deleted cards unrecoverable."""

import sqlalchemy as sa
from alembic import op

from vault.migrations import guards
from vault.roles import OPERATOR

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

_TABLES = ("root_opener", "opener_end", "shredding", "shredded_card")

_NOTE_OPENER = """
create function vault.note_opener() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    insert into vault.root_opener (root_key_id, seal) values (new.root_key_id, new.seal) on conflict do nothing;
    return null;
end
$$
"""
# What opened a root key that had retired before this revision is not known any more.
_KNOWN = """
insert into vault.root_opener (root_key_id, seal)
select root_key_id, seal from vault.root_wrap
union all select id, 'unknown' from vault.root_key where state = 'retired'
"""


def upgrade() -> None:
    op.create_table(
        "root_opener",
        sa.Column("root_key_id", sa.LargeBinary(), nullable=False),
        sa.Column("seal", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["root_key_id"], ["vault.root_key.id"], name=op.f("root_opener_root_key_id_fkey")),
        sa.PrimaryKeyConstraint("root_key_id", "seal", name=op.f("root_opener_pkey")),
        schema="vault",
    )
    op.create_table(
        "opener_end",
        sa.Column("opener", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=True),
        sa.Column("fate", sa.Text(), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "fate in ('begun', 'scheduled', 'destroyed', 'attested')", name=op.f("opener_end_fate_check")
        ),
        sa.PrimaryKeyConstraint("opener", name=op.f("opener_end_pkey")),
        schema="vault",
    )
    op.create_table(
        "shredding",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("root_version", sa.Integer(), nullable=False, comment="of the newest root key at the beginning"),
        sa.Column("seals", sa.ARRAY(sa.Text()), nullable=False, comment="addresses"),
        sa.Column("threshold", sa.Integer(), nullable=True),
        sa.Column("custodians", sa.ARRAY(sa.Text()), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("completed_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("shredding_pkey")),
        schema="vault",
    )
    op.create_table(
        "shredded_card",
        sa.Column("merchant_id", sa.Text(), nullable=False),
        sa.Column("card_id", sa.Text(), nullable=False),
        sa.Column("shredding_id", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["shredding_id"], ["vault.shredding.id"], name=op.f("shredded_card_shredding_id_fkey")),
        sa.PrimaryKeyConstraint("merchant_id", "card_id", "shredding_id", name=op.f("shredded_card_pkey")),
        schema="vault",
    )
    op.add_column(
        "custodian_share", sa.Column("destroyed_at", sa.DateTime(timezone=True), nullable=True), schema="vault"
    )
    op.execute(_KNOWN)
    audited = [each for table in _TABLES[:-1] for each in guards.audit_triggers(table)]
    for statement in [*audited, *guards.grants(_TABLES), _NOTE_OPENER, *guards.only_for(("note_opener()",))]:
        op.execute(statement)
    op.execute(
        "create trigger note_opener after insert on vault.root_wrap for each row execute function vault.note_opener()"
    )
    op.execute(f"grant update (destroyed_at) on vault.custodian_share to {OPERATOR}")


def downgrade() -> None:
    op.execute("drop trigger note_opener on vault.root_wrap")
    op.execute("drop function vault.note_opener()")
    op.drop_column("custodian_share", "destroyed_at", schema="vault")
    for table in reversed(_TABLES):
        op.drop_table(table, schema="vault")
