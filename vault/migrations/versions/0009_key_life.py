"""A data key's dates, and the rules of its rotation, compromise and destruction."""

import sqlalchemy as sa
from alembic import op

from vault.migrations import key_life

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_MOMENTS = ("deactivated_at", "compromised_at", "replace_by", "destroy_after", "destroyed_at")


def upgrade() -> None:
    for name in _MOMENTS:
        op.add_column("data_key", sa.Column(name, sa.DateTime(timezone=True), nullable=True), schema="vault")
    for statement in key_life.upgrade():
        op.execute(statement)


def downgrade() -> None:
    for statement in key_life.downgrade():
        op.execute(statement)
    for name in reversed(_MOMENTS):
        op.drop_column("data_key", name, schema="vault")
