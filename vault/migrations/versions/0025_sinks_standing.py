"""How far the audit log's anchors and streams are, for monitoring."""

from alembic import op

from vault.migrations import guards, standing
from vault.roles import APP, OPERATOR

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(standing.AUDIT_SINKS_STANDING)
    for statement in guards.only_for(["audit_sinks_standing()"], APP, OPERATOR):
        op.execute(statement)


def downgrade() -> None:
    op.execute("drop function vault.audit_sinks_standing()")
