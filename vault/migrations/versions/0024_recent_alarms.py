"""An index for the alarms of the last hour, which monitoring asks for."""

from alembic import op

from vault.migrations import indexes

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None


def upgrade() -> None:
    indexes.build("alarm_created_at_ix", "alarm", ["created_at"])


def downgrade() -> None:
    op.drop_index("alarm_created_at_ix", "alarm", schema="vault")
