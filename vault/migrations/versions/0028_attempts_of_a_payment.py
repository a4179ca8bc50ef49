"""Attempts are found by their payment without an index that begins like the one by which a number's are found.

While their table was counted as empty, the planner could not tell the two apart, and read all attempts of a merchant.
"""

from alembic import op

from vault.migrations import indexes

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None


def upgrade() -> None:
    indexes.build("card_attempt_of_payment_ix", "card_attempt", ["payment_id"])
    indexes.drop("card_attempt_payment_ix", "card_attempt")


def downgrade() -> None:
    op.create_index("card_attempt_payment_ix", "card_attempt", ["merchant_id", "payment_id"], schema="vault")
    op.drop_index("card_attempt_of_payment_ix", "card_attempt", schema="vault")
