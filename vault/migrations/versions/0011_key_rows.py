"""How many rows need each data key, without letting operators read them."""

from alembic import op

from vault.migrations import key_rows

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for statement in key_rows.upgrade():
        op.execute(statement)


def downgrade() -> None:
    for statement in key_rows.downgrade():
        op.execute(statement)
