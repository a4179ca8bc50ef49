"""Cards that buyers type at the gateway: on its page, or in a session of a client SDK."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for name in ("expiry_month", "expiry_year"):
        op.alter_column("card", name, nullable=True, schema="vault")
    op.create_check_constraint(
        op.f("card_expiry_check"), "card", "(expiry_month is null) = (expiry_year is null)", schema="vault"
    )
    op.add_column("card", sa.Column("token_print", sa.LargeBinary(), nullable=True), schema="vault")
    op.add_column("card", sa.Column("token_print_key_id", sa.LargeBinary(), nullable=True), schema="vault")
    op.create_foreign_key(
        op.f("card_token_print_key_id_fkey"),
        "card",
        "data_key",
        ["token_print_key_id"],
        ["id"],
        source_schema="vault",
        referent_schema="vault",
    )
    op.create_check_constraint(
        op.f("card_deleted_has_no_token_print_check"),
        "card",
        "token_print is null or status <> 'DELETED'",
        schema="vault",
    )
    op.create_index(
        "card_token_ix",
        "card",
        ["merchant_id", "token_print"],
        schema="vault",
        postgresql_where=sa.text("token_print is not null"),
    )
    op.add_column(
        "payment", sa.Column("channel", sa.Text(), server_default=sa.text("'DIRECT'"), nullable=False), schema="vault"
    )
    op.create_check_constraint(
        op.f("payment_channel_check"), "payment", "channel in ('DIRECT', 'PAGE', 'SESSION')", schema="vault"
    )
    _allow("payment", "credential", "CARD_DATA", "TOKEN", "PAN", "UNSEEN")
    _allow("payment_secret", "kind", "PAN", "TOKEN", "PROFILE", "SESSION")


def _allow(table: str, column: str, *values: str) -> None:
    """Put another closed set of values in the place of a column's present one."""
    listed = ", ".join(f"'{value}'" for value in values)
    name = op.f(f"{table}_{column}_check")
    op.drop_constraint(name, table, schema="vault")
    op.create_check_constraint(name, table, f"{column} in ({listed})", schema="vault")


def downgrade() -> None:
    _allow("payment_secret", "kind", "PAN", "TOKEN", "PROFILE")
    _allow("payment", "credential", "CARD_DATA", "TOKEN", "PAN")
    op.drop_column("payment", "channel", schema="vault")
    op.drop_index("card_token_ix", table_name="card", schema="vault")
    for name in ("token_print_key_id", "token_print"):
        op.drop_column("card", name, schema="vault")
    op.drop_constraint("card_expiry_check", "card", schema="vault")
    for name in ("expiry_year", "expiry_month"):
        op.alter_column("card", name, nullable=False, schema="vault")
