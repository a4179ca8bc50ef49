"""Root keys that are replaced, seals that are added and removed, custodians' shares."""

import sqlalchemy as sa
from alembic import op

from vault.migrations import guards, root_life

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

_TABLES = ("share_set", "custodian_share")


def upgrade() -> None:
    op.create_table(
        "share_set",
        sa.Column("id", sa.LargeBinary(), nullable=False),
        sa.Column("identifier", sa.Integer(), nullable=False, comment="of SLIP-39, not unique"),
        sa.Column("threshold", sa.Integer(), nullable=False),
        sa.Column("check_value", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("threshold between 2 and 16", name=op.f("share_set_threshold_check")),
        sa.PrimaryKeyConstraint("id", name=op.f("share_set_pkey")),
        schema="vault",
    )
    op.create_table(
        "custodian_share",
        sa.Column("set_id", sa.LargeBinary(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("custodian", sa.Text(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False, comment="of 256 random bits"),
        sa.Column("acknowledged_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("statement", sa.LargeBinary(), nullable=True, comment="SHA-256 of the text that was acknowledged"),
        sa.ForeignKeyConstraint(["set_id"], ["vault.share_set.id"], name=op.f("custodian_share_set_id_fkey")),
        sa.PrimaryKeyConstraint("set_id", "number", name=op.f("custodian_share_pkey")),
        sa.UniqueConstraint("set_id", "custodian", name=op.f("custodian_share_set_id_custodian_key")),
        schema="vault",
    )
    audited = [each for table in _TABLES for each in guards.audit_triggers(table)]
    for statement in [*audited, *guards.grants(_TABLES), *root_life.upgrade()]:
        op.execute(statement)


def downgrade() -> None:
    for statement in root_life.downgrade():
        op.execute(statement)
    for table in reversed(_TABLES):
        op.drop_table(table, schema="vault")
