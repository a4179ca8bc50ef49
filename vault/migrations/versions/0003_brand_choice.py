"""The network that a buyer chose of a co-badged card, with the card and with each payment."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_COLUMNS = ("selected_brand", "selected_region")


def upgrade() -> None:
    for table in ("card", "payment"):
        for name in _COLUMNS:
            op.add_column(table, sa.Column(name, sa.Text(), nullable=True), schema="vault")
        op.create_check_constraint(
            op.f(f"{table}_one_choice_check"),
            table,
            "selected_brand is null or selected_region is null",
            schema="vault",
        )


def downgrade() -> None:
    for table in ("payment", "card"):
        op.drop_constraint(f"{table}_one_choice_check", table, schema="vault")
        for name in reversed(_COLUMNS):
            op.drop_column(table, name, schema="vault")
