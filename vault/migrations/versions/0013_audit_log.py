"""The sequenced audit log: head, leaves, subtrees, checkpoints, and the roles that write and read it."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op

from vault.migrations import guards
from vault.roles import AUDITOR, SEQUENCER

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

_APPENDED = ("audit_leaf", "audit_subtree", "audit_checkpoint")
_TABLES = ("audit_head", *_APPENDED)
_PURPOSES = "'card', 'credential', 'fingerprint'"


def _numbers(*names: str) -> Sequence[sa.Column[Any]]:
    return [sa.Column(name, sa.BigInteger(), nullable=False) for name in names]


def _epoch() -> sa.Column[Any]:
    return sa.Column("epoch", sa.Integer(), nullable=False)


def _moment(name: str, default: str | None = None) -> sa.Column[Any]:
    standard = sa.text(default) if default else None
    return sa.Column(name, sa.DateTime(timezone=True), server_default=standard, nullable=False)


def upgrade() -> None:
    for role in (SEQUENCER, AUDITOR):
        op.execute(guards.create_role(role))
    _create_head_and_leaves()
    op.create_table(
        "audit_subtree",
        _epoch(),
        sa.Column("height", sa.SmallInteger(), nullable=False, comment="a multiple of 8"),
        *_numbers("place"),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("epoch", "height", "place", name=op.f("audit_subtree_pkey")),
        schema="vault",
    )
    op.create_table(
        "audit_checkpoint",
        _epoch(),
        *_numbers("size"),
        sa.Column("note", sa.Text(), nullable=False),
        _moment("signed_at", "clock_timestamp()"),
        sa.PrimaryKeyConstraint("epoch", "size", name=op.f("audit_checkpoint_pkey")),
        schema="vault",
    )
    op.execute(guards.APPEND_ONLY_FUNCTION)
    _allow_purposes(f"{_PURPOSES}, 'audit'")
    shared = ("audit_pending", "alarm", "root_key", "root_wrap", "data_key")
    allowed = guards.grants((*_TABLES, *shared), (SEQUENCER, AUDITOR))
    for statement in [*map(guards.append_only, _APPENDED), *allowed]:
        op.execute(statement)


def _create_head_and_leaves() -> None:
    op.create_table(
        "audit_head",
        sa.Column("one", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        _epoch(),
        sa.Column("origin", sa.Text(), nullable=False),
        *_numbers("size"),
        sa.Column("frontier", sa.LargeBinary(), nullable=False, comment="a hash for each bit of the size"),
        _moment("appended_at", "clock_timestamp()"),
        sa.CheckConstraint("one", name=op.f("audit_head_one_check")),
        sa.CheckConstraint("length(frontier) % 32 = 0", name=op.f("audit_head_frontier_check")),
        sa.PrimaryKeyConstraint("one", name=op.f("audit_head_pkey")),
        schema="vault",
    )
    op.create_table(
        "audit_leaf",
        _epoch(),
        sa.Column("place", sa.BigInteger(), nullable=False, comment="from 0, without a gap"),
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.Column("merchant_id", sa.Text(), nullable=False),
        _moment("occurred_at"),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("entry", sa.LargeBinary(), nullable=False, comment="the octets that are hashed"),
        sa.PrimaryKeyConstraint("epoch", "place", name=op.f("audit_leaf_pkey")),
        schema="vault",
    )
    op.create_index(op.f("audit_leaf_event_id_ix"), "audit_leaf", ["event_id"], schema="vault")
    op.create_index("audit_leaf_merchant_ix", "audit_leaf", ["merchant_id", "epoch", "place"], schema="vault")
    op.create_index("audit_leaf_age_ix", "audit_leaf", ["occurred_at"], schema="vault", postgresql_using="brin")


def _allow_purposes(purposes: str) -> None:
    op.drop_constraint(op.f("data_key_purpose_check"), "data_key", schema="vault")
    op.create_check_constraint(op.f("data_key_purpose_check"), "data_key", f"purpose in ({purposes})", schema="vault")


def downgrade() -> None:
    op.execute("insert into vault.audit_pending (event_id, merchant_id, body) values ('downgrade', '', '')")
    op.execute("delete from vault.key_usage where key_id in (select id from vault.data_key where purpose = 'audit')")
    op.execute("delete from vault.data_key where purpose = 'audit'")
    _allow_purposes(_PURPOSES)
    for table in reversed(_TABLES):
        op.drop_table(table, schema="vault")
    op.execute("drop function vault.refuse_change()")
