"""The expiry with which a card was charged, for the retry guard."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    charged = sa.Column("expiry", sa.Text(), nullable=True, comment="that was charged, as YYYY-MM")
    op.add_column("card_attempt", charged, schema="vault")


def downgrade() -> None:
    op.drop_column("card_attempt", "expiry", schema="vault")
