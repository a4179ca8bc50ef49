"""What the entries mention that were there before; a step of its own, so that the log grows meanwhile."""

from alembic import op

from vault.migrations import mentions

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(mentions.of_earlier_entries())


def downgrade() -> None:
    pass
