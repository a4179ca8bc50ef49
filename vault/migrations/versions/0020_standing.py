"""What workers say of their loops, and how the audit log stands for those who may not read it."""

import sqlalchemy as sa
from alembic import op

from vault.migrations import guards, standing
from vault.roles import APP, OPERATOR

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "worker_loop",
        sa.Column("worker_id", sa.Text(), nullable=False),
        sa.Column("loop", sa.Text(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False, comment="since the last round that ended well"),
        sa.Column("worked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("seen_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.PrimaryKeyConstraint("worker_id", "loop", name=op.f("worker_loop_pkey")),
        schema="vault",
        prefixes=["UNLOGGED"],
    )
    allowed = guards.only_for(["audit_standing()"], APP, OPERATOR)
    for statement in (standing.AUDIT_STANDING, *allowed, *guards.grants(("worker_loop",))):
        op.execute(statement)


def downgrade() -> None:
    op.execute("drop function vault.audit_standing()")
    op.drop_table("worker_loop", schema="vault")
