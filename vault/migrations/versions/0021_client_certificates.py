"""The certificates that an API client has to come with."""

import sqlalchemy as sa
from alembic import op

from vault.roles import OPERATOR

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "api_client",
        sa.Column(
            "certificates",
            sa.ARRAY(sa.LargeBinary()),
            server_default=sa.text("'{}'"),
            nullable=False,
            comment="SHA-256 of each that it may come with; empty: none is needed",
        ),
        schema="vault",
    )
    op.execute(f"grant update (certificates) on vault.api_client to {OPERATOR}")


def downgrade() -> None:
    op.drop_column("api_client", "certificates", schema="vault")
