"""The life of a card: its expiry noticed, its retention class, why it was deleted; sealed values in no statistics."""

import sqlalchemy as sa
from alembic import op

from vault.migrations import guards, telling
from vault.retention_class import STANDARD

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

_TABLES = ("retention_class", "retention_run")
_TOLD_BEFORE = telling.Told(
    type="""case
    when tg_op = 'INSERT' then 'card.stored'
    when new.status = old.status then 'card.updated'
    when new.status = 'ACTIVE' then 'card.reactivated'
    else 'card.' || lower(new.status) end""",
    data="""jsonb_build_object('cardId', new.id, 'status', new.status, 'cardBrand', new.brand,
    'maskedCardNo', new.masked, 'isDefault', new.is_default)""",
    inserted="true",
    updated="old.status <> new.status or old.is_default <> new.is_default or old.updated_at <> new.updated_at",
)
_UNSAMPLED = {
    "card_secret": "envelope",
    "payment_secret": "envelope",
    "vaulting_secret": "envelope",
    "token_deletion": "envelope",
    "webhook_secret": "envelope",
    "merchant": "gateway_credentials",
    "data_key": "wrapped",
    "root_wrap": "wrapped",
}


def upgrade() -> None:
    _create_tables()
    _give_every_merchant_a_class()
    _extend_cards()
    for statement in [*guards.audit_triggers("retention_class"), *guards.grants(_TABLES)]:
        op.execute(statement)
    _tell_of_cards(telling.TOLD["card"])
    for table, column in _UNSAMPLED.items():
        op.execute(guards.unsampled(table, column))
        op.execute(f"alter table vault.{table} alter column {column} type bytea")  # drops what was sampled before


def _create_tables() -> None:
    op.create_table(
        "retention_class",
        sa.Column("merchant_id", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("days", sa.Integer(), nullable=False),
        sa.Column("starts", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("starts in ('EXPIRED', 'UNUSED')", name=op.f("retention_class_starts_check")),
        sa.CheckConstraint("days >= 0", name=op.f("retention_class_days_check")),
        sa.CheckConstraint("reason ~ '[[:alnum:]]'", name=op.f("retention_class_reason_check")),
        sa.ForeignKeyConstraint(["merchant_id"], ["vault.merchant.id"], name=op.f("retention_class_merchant_id_fkey")),
        sa.PrimaryKeyConstraint("merchant_id", "version", name=op.f("retention_class_pkey")),
        schema="vault",
    )
    counts = ("examined", "purged", "held")
    op.create_table(
        "retention_run",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_merchant_id", sa.Text(), server_default=sa.text("''"), nullable=False, comment="how far it is"),
        sa.Column("last_card_id", sa.Text(), server_default=sa.text("''"), nullable=False),
        *(sa.Column(name, sa.Integer(), server_default=sa.text("0"), nullable=False) for name in counts),
        sa.Column(
            "overdue",
            sa.Integer(),
            server_default=sa.text("0"),
            nullable=False,
            comment="past their period, not held",
        ),
        sa.Column("oldest_due_at", sa.DateTime(timezone=True), nullable=True, comment="of those"),
        sa.CheckConstraint("kind in ('PURGE', 'VERIFY', 'SCRUB')", name=op.f("retention_run_kind_check")),
        sa.PrimaryKeyConstraint("id", name=op.f("retention_run_pkey")),
        schema="vault",
    )
    op.create_index("retention_run_newest_ix", "retention_run", [sa.literal_column("started_at desc")], schema="vault")
    op.create_index(
        "retention_run_one_open_ix",
        "retention_run",
        ["kind"],
        unique=True,
        schema="vault",
        postgresql_where=sa.text("finished_at is null"),
    )


def _give_every_merchant_a_class() -> None:
    statement = sa.text(
        "insert into vault.retention_class (merchant_id, version, days, starts, reason) "
        "select id, 1, :days, :starts, :reason from vault.merchant"
    )
    values = {"days": STANDARD.days, "starts": STANDARD.starts.value, "reason": STANDARD.reason}
    op.execute(statement.bindparams(**values))


def _extend_cards() -> None:
    columns = (
        sa.Column("retention", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column(
            "expired_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="when the end of the card's last month was noticed",
        ),
        sa.Column("deletion_reason", sa.Text(), nullable=True),
    )
    for column in columns:
        op.add_column("card", column, schema="vault")
    checks = {
        "deletion_reason": "deletion_reason in ('requested', 'buyer_erased', 'retention')",
        "deleted_for_a_reason": "deletion_reason is null or status = 'DELETED'",
    }
    for name, rule in checks.items():
        op.create_check_constraint(op.f(f"card_{name}_check"), "card", rule, schema="vault")
    op.create_index(
        "card_expiring_ix",
        "card",
        ["expiry_year", "expiry_month"],
        schema="vault",
        postgresql_where=sa.text("status = 'ACTIVE' and expired_at is null"),
    )


def _tell_of_cards(told: telling.Told) -> None:
    for statement in [*telling.silence("card"), *telling.telling("card", told)]:
        op.execute(statement)


def downgrade() -> None:
    _tell_of_cards(_TOLD_BEFORE)
    op.drop_index("card_expiring_ix", table_name="card", schema="vault")
    for name in ("retention", "expired_at", "deletion_reason"):
        op.drop_column("card", name, schema="vault")
    for table in _TABLES:
        op.drop_table(table, schema="vault")
    for table, column in _UNSAMPLED.items():
        op.execute(f"alter table vault.{table} alter column {column} set statistics -1")
