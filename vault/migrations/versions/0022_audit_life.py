"""New epochs of the audit log, successions of its keys, and bodies of old entries that are pruned."""

from typing import Any

import sqlalchemy as sa
from alembic import op

from vault.migrations import guards, indexes, pruning
from vault.roles import OPERATOR, SEQUENCER

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None

_TABLES = ("audit_epoch", "audit_rotation")


def _moment(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False)


def upgrade() -> None:
    pruned = sa.text("entry is null")
    indexes.build("audit_leaf_pruned_ix", "audit_leaf", ["epoch", "place"], postgresql_where=pruned)
    op.create_table(
        "audit_epoch",
        sa.Column("epoch", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        _moment("granted_at"),
        sa.PrimaryKeyConstraint("epoch", name=op.f("audit_epoch_pkey")),
        schema="vault",
    )
    op.create_table(
        "audit_rotation",
        sa.Column("key_id", sa.LargeBinary(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False, comment="signed by the key before and by this one"),
        _moment("rotated_at"),
        sa.PrimaryKeyConstraint("key_id", name=op.f("audit_rotation_pkey")),
        schema="vault",
    )
    op.alter_column(
        "audit_leaf",
        "entry",
        nullable=True,
        comment="the octets that are hashed, until pruned",
        existing_comment="the octets that are hashed",
        schema="vault",
    )
    for statement in (*map(guards.append_only, _TABLES), *guards.grants(_TABLES), *pruning.upgrade()):
        op.execute(statement)
    op.execute(f"grant update (epoch, origin) on vault.audit_head to {SEQUENCER}")
    for statement in (
        *guards.grants(("audit_head", "audit_leaf"), (OPERATOR,)),
        *guards.grants(("data_key",), (SEQUENCER,)),
    ):
        op.execute(statement)


def downgrade() -> None:
    for statement in pruning.downgrade():
        op.execute(statement)
    op.execute(f"revoke all on vault.audit_head, vault.audit_leaf from {OPERATOR}")
    op.execute(f"revoke update (epoch, origin) on vault.audit_head from {SEQUENCER}")
    op.drop_index("audit_leaf_pruned_ix", "audit_leaf", schema="vault")
    op.alter_column(
        "audit_leaf",
        "entry",
        nullable=False,
        comment="the octets that are hashed",
        existing_comment="the octets that are hashed, until pruned",
        schema="vault",
    )
    for table in reversed(_TABLES):
        op.drop_table(table, schema="vault")
