"""Re-encryption jobs, and the right to put a value under another key in its place."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from vault.migrations import guards
from vault.roles import APP

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

_SEALED_AGAIN = {
    "payment_secret": "envelope, key_id",
    "vaulting_secret": "envelope, key_id",
    "token_deletion": "envelope, key_id",
    "webhook_secret": "envelope, key_id",
    "merchant": "gateway_credentials, gateway_credentials_key_id",
}


def _moment(name: str, *, default: str | None = None) -> sa.Column[object]:
    standard = sa.text(default) if default else None
    return sa.Column(name, sa.DateTime(timezone=True), server_default=standard, nullable=default is None)


def _count(name: str, default: str | None = "0") -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), server_default=sa.text(default) if default else None, nullable=False)


def upgrade() -> None:
    op.create_table(
        "reencryption",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), server_default=sa.text("'running'"), nullable=False),
        sa.Column("rate", sa.Integer(), nullable=True, comment="rows a second of all workers together"),
        _moment("deadline"),
        _moment("next_at", default="now()"),
        _moment("running_since", default="now()"),
        _count("done_before"),
        _moment("created_at", default="now()"),
        _moment("finished_at"),
        sa.CheckConstraint("state in ('running', 'paused', 'done', 'blocked')", name=op.f("reencryption_state_check")),
        sa.CheckConstraint("rate > 0", name=op.f("reencryption_rate_check")),
        sa.PrimaryKeyConstraint("id", name=op.f("reencryption_pkey")),
        schema="vault",
    )
    op.create_index(
        "reencryption_one_open_ix",
        "reencryption",
        [sa.text("(true)")],
        unique=True,
        schema="vault",
        postgresql_where=sa.text("state in ('running', 'paused')"),
    )
    op.create_table(
        "reencryption_part",
        sa.Column("job_id", sa.Text(), nullable=False),
        sa.Column("place", sa.Text(), nullable=False),
        sa.Column("merchant_id", sa.Text(), nullable=False),
        sa.Column("key_id", sa.LargeBinary(), nullable=False),
        _count("total", None),
        _count("done"),
        _count("damaged"),
        sa.Column("position", postgresql.ARRAY(sa.Text()), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("open", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["vault.reencryption.id"], name=op.f("reencryption_part_job_id_fkey")),
        sa.PrimaryKeyConstraint("job_id", "place", "merchant_id", "key_id", name=op.f("reencryption_part_pkey")),
        schema="vault",
    )
    for statement in guards.grants(("reencryption", "reencryption_part")):
        op.execute(statement)
    for table, columns in _SEALED_AGAIN.items():
        op.execute(f"grant update ({columns}) on vault.{table} to {APP}")


def downgrade() -> None:
    for table, columns in _SEALED_AGAIN.items():
        op.execute(f"revoke update ({columns}) on vault.{table} from {APP}")
    op.drop_table("reencryption_part", schema="vault")
    op.drop_table("reencryption", schema="vault")
