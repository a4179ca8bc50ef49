"""The first schema: keys, merchants, clients, cards, payments, alarms, the audit queue, triggers and roles."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from vault.migrations import guards
from vault.schema import XID8

AUDITED = (
    "root_key",
    "root_wrap",
    "data_key",
    "merchant",
    "api_client",
    "api_secret",
    "card",
    "card_secret",
    "payment",
    "payment_secret",
    "capture",
    "alarm",
)
TABLES = (*AUDITED, "payment_inquiry", "key_usage", "audit_pending", "alembic_version")

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "alarm",
        sa.Column("merchant_id", sa.Text(), nullable=False, comment="empty: the installation's own"),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("object_id", sa.Text(), nullable=False),
        sa.Column("details", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("merchant_id", "id", name=op.f("alarm_pkey")),
        sa.UniqueConstraint("merchant_id", "code", "object_id", name=op.f("alarm_merchant_id_code_object_id_key")),
        schema="vault",
    )
    op.create_table(
        "audit_pending",
        sa.Column("xid", XID8(), server_default=sa.text("pg_current_xact_id()"), nullable=False),
        sa.Column("ord", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.Column("merchant_id", sa.Text(), nullable=False),
        sa.Column(
            "occurred_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("xid", "ord", name=op.f("audit_pending_pkey")),
        schema="vault",
    )
    op.create_table(
        "root_key",
        sa.Column("id", sa.LargeBinary(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("check_value", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("state in ('active', 'retired')", name=op.f("root_key_state_check")),
        sa.PrimaryKeyConstraint("id", name=op.f("root_key_pkey")),
        sa.UniqueConstraint("version", name=op.f("root_key_version_key")),
        schema="vault",
    )
    op.create_table(
        "data_key",
        sa.Column("id", sa.LargeBinary(), nullable=False),
        sa.Column("merchant_id", sa.Text(), nullable=False, comment="empty: the installation's own key"),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("root_key_id", sa.LargeBinary(), nullable=False),
        sa.Column("wrapped", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("purpose in ('card', 'credential', 'fingerprint')", name=op.f("data_key_purpose_check")),
        sa.CheckConstraint(
            "state in ('active', 'decrypt_only', 'compromised', 'destroyed')", name=op.f("data_key_state_check")
        ),
        sa.CheckConstraint("length(id) = 16", name=op.f("data_key_id_length_check")),
        sa.ForeignKeyConstraint(["root_key_id"], ["vault.root_key.id"], name=op.f("data_key_root_key_id_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("data_key_pkey")),
        schema="vault",
    )
    op.create_index(
        "data_key_one_active_ix",
        "data_key",
        ["merchant_id", "purpose"],
        unique=True,
        schema="vault",
        postgresql_where=sa.text("state = 'active'"),
    )
    op.create_table(
        "root_wrap",
        sa.Column("root_key_id", sa.LargeBinary(), nullable=False),
        sa.Column("seal", sa.Text(), nullable=False),
        sa.Column("wrapped", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["root_key_id"], ["vault.root_key.id"], name=op.f("root_wrap_root_key_id_fkey")),
        sa.PrimaryKeyConstraint("root_key_id", "seal", name=op.f("root_wrap_pkey")),
        schema="vault",
    )
    op.create_table(
        "key_usage",
        sa.Column("key_id", sa.LargeBinary(), nullable=False),
        sa.Column("reserved", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.ForeignKeyConstraint(["key_id"], ["vault.data_key.id"], name=op.f("key_usage_key_id_fkey")),
        sa.PrimaryKeyConstraint("key_id", name=op.f("key_usage_pkey")),
        schema="vault",
    )
    op.create_table(
        "merchant",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), server_default=sa.text("'ACTIVE'"), nullable=False),
        sa.Column("gateway_client_id", sa.Text(), nullable=False),
        sa.Column("gateway_credentials", sa.LargeBinary(), nullable=False),
        sa.Column("gateway_credentials_key_id", sa.LargeBinary(), nullable=False),
        sa.Column("settings", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("status in ('ACTIVE', 'DISABLED')", name=op.f("merchant_status_check")),
        sa.ForeignKeyConstraint(
            ["gateway_credentials_key_id"], ["vault.data_key.id"], name=op.f("merchant_gateway_credentials_key_id_fkey")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("merchant_pkey")),
        sa.UniqueConstraint("gateway_client_id", name=op.f("merchant_gateway_client_id_key")),
        schema="vault",
    )
    op.create_table(
        "api_client",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("merchant_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("scopes", sa.ARRAY(sa.Text()), nullable=False),
        sa.Column("cidrs", sa.ARRAY(sa.Text()), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["merchant_id"], ["vault.merchant.id"], name=op.f("api_client_merchant_id_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("api_client_pkey")),
        schema="vault",
    )
    op.create_index(op.f("api_client_merchant_id_ix"), "api_client", ["merchant_id"], unique=False, schema="vault")
    op.create_table(
        "card",
        sa.Column("merchant_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("buyer", sa.Text(), nullable=True),
        sa.Column("brand", sa.Text(), nullable=False),
        sa.Column("masked", sa.Text(), nullable=False),
        sa.Column("bin", sa.Text(), nullable=True),
        sa.Column("last_four", sa.Text(), nullable=False),
        sa.Column("expiry_month", sa.SmallInteger(), nullable=False),
        sa.Column("expiry_year", sa.SmallInteger(), nullable=False),
        sa.Column("fingerprint", sa.LargeBinary(), nullable=True),
        sa.Column("fingerprint_key_id", sa.LargeBinary(), nullable=True),
        sa.Column("issuing_country", sa.Text(), nullable=True),
        sa.Column("funding", sa.Text(), nullable=True),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("is_default", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("network_transaction_id", sa.Text(), nullable=True),
        sa.Column("metadata", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("consent", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("(status = 'DELETED') = (buyer is null)", name=op.f("card_deleted_has_no_buyer_check")),
        sa.CheckConstraint(
            "fingerprint is null or status <> 'DELETED'", name=op.f("card_deleted_has_no_fingerprint_check")
        ),
        sa.CheckConstraint("status in ('ACTIVE', 'DISABLED', 'DELETED')", name=op.f("card_status_check")),
        sa.CheckConstraint("expiry_month between 1 and 12", name=op.f("card_expiry_month_check")),
        sa.ForeignKeyConstraint(
            ["fingerprint_key_id"], ["vault.data_key.id"], name=op.f("card_fingerprint_key_id_fkey")
        ),
        sa.ForeignKeyConstraint(["merchant_id"], ["vault.merchant.id"], name=op.f("card_merchant_id_fkey")),
        sa.PrimaryKeyConstraint("merchant_id", "id", name=op.f("card_pkey")),
        schema="vault",
    )
    op.create_index(
        "card_newest_ix",
        "card",
        ["merchant_id", "buyer", sa.literal_column("created_at desc"), sa.literal_column("id desc")],
        unique=False,
        schema="vault",
    )
    op.create_index(
        "card_one_default_ix",
        "card",
        ["merchant_id", "buyer"],
        unique=True,
        schema="vault",
        postgresql_where=sa.text("is_default"),
    )
    op.create_index(
        "card_one_per_buyer_ix",
        "card",
        ["merchant_id", "buyer", "fingerprint"],
        unique=True,
        schema="vault",
        postgresql_where=sa.text("fingerprint is not null"),
    )
    op.create_table(
        "api_secret",
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("slot", sa.SmallInteger(), nullable=False),
        sa.Column("key_id", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("slot in ('0', '1')", name=op.f("api_secret_slot_check")),
        sa.ForeignKeyConstraint(["client_id"], ["vault.api_client.id"], name=op.f("api_secret_client_id_fkey")),
        sa.ForeignKeyConstraint(["key_id"], ["vault.data_key.id"], name=op.f("api_secret_key_id_fkey")),
        sa.PrimaryKeyConstraint("hash", name=op.f("api_secret_pkey")),
        sa.UniqueConstraint("client_id", "slot", name=op.f("api_secret_client_id_slot_key")),
        schema="vault",
    )
    op.create_table(
        "card_secret",
        sa.Column("merchant_id", sa.Text(), nullable=False),
        sa.Column("card_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("envelope", sa.LargeBinary(), nullable=False),
        sa.Column("key_id", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("kind in ('PAN', 'TOKEN', 'PROFILE')", name=op.f("card_secret_kind_check")),
        sa.ForeignKeyConstraint(["key_id"], ["vault.data_key.id"], name=op.f("card_secret_key_id_fkey")),
        sa.ForeignKeyConstraint(
            ["merchant_id", "card_id"],
            ["vault.card.merchant_id", "vault.card.id"],
            name=op.f("card_secret_merchant_id_card_id_fkey"),
        ),
        sa.PrimaryKeyConstraint("merchant_id", "card_id", "kind", name=op.f("card_secret_pkey")),
        schema="vault",
    )
    op.create_table(
        "payment",
        sa.Column("merchant_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("value", sa.BigInteger(), nullable=False),
        sa.Column("order_reference", sa.Text(), nullable=False),
        sa.Column("buyer", sa.Text(), nullable=True),
        sa.Column("card_id", sa.Text(), nullable=True),
        sa.Column("credential", sa.Text(), nullable=False),
        sa.Column("store_card", sa.Text(), nullable=True),
        sa.Column("store_state", sa.Text(), nullable=False),
        sa.Column("brand", sa.Text(), nullable=True),
        sa.Column("masked", sa.Text(), nullable=True),
        sa.Column("bin", sa.Text(), nullable=True),
        sa.Column("last_four", sa.Text(), nullable=True),
        sa.Column("expiry_month", sa.SmallInteger(), nullable=True),
        sa.Column("expiry_year", sa.SmallInteger(), nullable=True),
        sa.Column("fingerprint", sa.LargeBinary(), nullable=True),
        sa.Column("fingerprint_key_id", sa.LargeBinary(), nullable=True),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("digest_key_id", sa.LargeBinary(), nullable=False),
        sa.Column("capture_mode", sa.Text(), nullable=False),
        sa.Column("capture_status", sa.Text(), server_default=sa.text("'NONE'"), nullable=False),
        sa.Column("next_action", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("gateway_payment_id", sa.Text(), nullable=True),
        sa.Column("result_code", sa.Text(), nullable=True),
        sa.Column("result_status", sa.Text(), nullable=True),
        sa.Column("result_message", sa.Text(), nullable=True),
        sa.Column("result_info", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("not_sent", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("metadata", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("consent", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("send_deadline", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("authorisation_expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("cancel_requested_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finalised_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("capture_mode in ('AUTOMATIC', 'MANUAL')", name=op.f("payment_capture_mode_check")),
        sa.CheckConstraint(
            "capture_status in ('NONE', 'PENDING', 'PARTIAL', 'FULL', 'EXPIRED')",
            name=op.f("payment_capture_status_check"),
        ),
        sa.CheckConstraint("credential in ('CARD_DATA', 'TOKEN', 'PAN')", name=op.f("payment_credential_check")),
        sa.CheckConstraint(
            "kind in ('ONE_OFF', 'CARD_ON_FILE', 'MERCHANT_INITIATED')", name=op.f("payment_kind_check")
        ),
        sa.CheckConstraint(
            "not not_sent or status in ('FAIL', 'SUCCESS', 'CANCELLED')", name=op.f("payment_not_sent_check")
        ),
        sa.CheckConstraint(
            "status in ('CREATED', 'UNKNOWN', 'PROCESSING', 'SUCCESS', 'FAIL', 'CANCELLED')",
            name=op.f("payment_status_check"),
        ),
        sa.CheckConstraint("store_card in ('GATEWAY', 'VAULT', 'BOTH')", name=op.f("payment_store_card_check")),
        sa.CheckConstraint(
            "store_state in ('NONE', 'PENDING', 'STORED', 'DROPPED')", name=op.f("payment_store_state_check")
        ),
        sa.CheckConstraint("value > 0", name=op.f("payment_value_check")),
        sa.ForeignKeyConstraint(["client_id"], ["vault.api_client.id"], name=op.f("payment_client_id_fkey")),
        sa.ForeignKeyConstraint(["digest_key_id"], ["vault.data_key.id"], name=op.f("payment_digest_key_id_fkey")),
        sa.ForeignKeyConstraint(
            ["fingerprint_key_id"], ["vault.data_key.id"], name=op.f("payment_fingerprint_key_id_fkey")
        ),
        sa.ForeignKeyConstraint(
            ["merchant_id", "card_id"],
            ["vault.card.merchant_id", "vault.card.id"],
            name=op.f("payment_merchant_id_card_id_fkey"),
        ),
        sa.ForeignKeyConstraint(["merchant_id"], ["vault.merchant.id"], name=op.f("payment_merchant_id_fkey")),
        sa.PrimaryKeyConstraint("merchant_id", "id", name=op.f("payment_pkey")),
        sa.UniqueConstraint("merchant_id", "request_id", name=op.f("payment_merchant_id_request_id_key")),
        schema="vault",
    )
    op.create_index(
        "payment_buyer_ix",
        "payment",
        ["merchant_id", "buyer"],
        unique=False,
        schema="vault",
        postgresql_where=sa.text("buyer is not null"),
    )
    op.create_index(
        "payment_card_ix",
        "payment",
        ["merchant_id", "card_id"],
        unique=False,
        schema="vault",
        postgresql_where=sa.text("card_id is not null"),
    )
    op.create_index(
        "payment_gateway_ix",
        "payment",
        ["merchant_id", "gateway_payment_id"],
        unique=False,
        schema="vault",
        postgresql_where=sa.text("gateway_payment_id is not null"),
    )
    op.create_index(
        "payment_newest_ix",
        "payment",
        ["merchant_id", sa.literal_column("created_at desc"), sa.literal_column("id desc")],
        unique=False,
        schema="vault",
    )
    op.create_index("payment_order_ix", "payment", ["merchant_id", "order_reference"], unique=False, schema="vault")
    op.create_table(
        "capture",
        sa.Column("merchant_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("payment_id", sa.Text(), nullable=False),
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("gateway_capture_id", sa.Text(), nullable=True),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("value", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("status in ('PENDING', 'SUCCESS', 'FAIL')", name=op.f("capture_status_check")),
        sa.ForeignKeyConstraint(
            ["merchant_id", "payment_id"],
            ["vault.payment.merchant_id", "vault.payment.id"],
            name=op.f("capture_merchant_id_payment_id_fkey"),
        ),
        sa.PrimaryKeyConstraint("merchant_id", "id", name=op.f("capture_pkey")),
        sa.UniqueConstraint(
            "merchant_id", "payment_id", "request_id", name=op.f("capture_merchant_id_payment_id_request_id_key")
        ),
        schema="vault",
    )
    op.create_table(
        "payment_inquiry",
        sa.Column("merchant_id", sa.Text(), nullable=False),
        sa.Column("payment_id", sa.Text(), nullable=False),
        sa.Column("next_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.ForeignKeyConstraint(
            ["merchant_id", "payment_id"],
            ["vault.payment.merchant_id", "vault.payment.id"],
            name=op.f("payment_inquiry_merchant_id_payment_id_fkey"),
        ),
        sa.PrimaryKeyConstraint("merchant_id", "payment_id", name=op.f("payment_inquiry_pkey")),
        schema="vault",
    )
    op.create_index(op.f("payment_inquiry_next_at_ix"), "payment_inquiry", ["next_at"], unique=False, schema="vault")
    op.create_table(
        "payment_secret",
        sa.Column("merchant_id", sa.Text(), nullable=False),
        sa.Column("payment_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("envelope", sa.LargeBinary(), nullable=False),
        sa.Column("key_id", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("kind in ('PAN', 'TOKEN', 'PROFILE')", name=op.f("payment_secret_kind_check")),
        sa.ForeignKeyConstraint(["key_id"], ["vault.data_key.id"], name=op.f("payment_secret_key_id_fkey")),
        sa.ForeignKeyConstraint(
            ["merchant_id", "payment_id"],
            ["vault.payment.merchant_id", "vault.payment.id"],
            name=op.f("payment_secret_merchant_id_payment_id_fkey"),
        ),
        sa.PrimaryKeyConstraint("merchant_id", "payment_id", "kind", name=op.f("payment_secret_pkey")),
        schema="vault",
    )
    op.execute(guards.AUDIT_FUNCTION)
    for table in AUDITED:
        for statement in guards.audit_triggers(table):
            op.execute(statement)
    for role in guards.GRANTS:
        op.execute(guards.create_role(role))
    for statement in guards.grants(TABLES):
        op.execute(statement)
    op.execute("revoke all on function vault.require_audit_event() from public")


def downgrade() -> None:
    op.drop_table("payment_secret", schema="vault")
    op.drop_index(op.f("payment_inquiry_next_at_ix"), table_name="payment_inquiry", schema="vault")
    op.drop_table("payment_inquiry", schema="vault")
    op.drop_table("capture", schema="vault")
    op.drop_index("payment_order_ix", table_name="payment", schema="vault")
    op.drop_index(
        "payment_gateway_ix",
        table_name="payment",
        schema="vault",
        postgresql_where=sa.text("gateway_payment_id is not null"),
    )
    op.drop_index("payment_newest_ix", table_name="payment", schema="vault")
    op.drop_index(
        "payment_card_ix", table_name="payment", schema="vault", postgresql_where=sa.text("card_id is not null")
    )
    op.drop_index(
        "payment_buyer_ix", table_name="payment", schema="vault", postgresql_where=sa.text("buyer is not null")
    )
    op.drop_table("payment", schema="vault")
    op.drop_table("card_secret", schema="vault")
    op.drop_table("api_secret", schema="vault")
    op.drop_index(
        "card_one_per_buyer_ix", table_name="card", schema="vault", postgresql_where=sa.text("fingerprint is not null")
    )
    op.drop_index("card_one_default_ix", table_name="card", schema="vault", postgresql_where=sa.text("is_default"))
    op.drop_index("card_newest_ix", table_name="card", schema="vault")
    op.drop_table("card", schema="vault")
    op.drop_index(op.f("api_client_merchant_id_ix"), table_name="api_client", schema="vault")
    op.drop_table("api_client", schema="vault")
    op.drop_table("merchant", schema="vault")
    op.drop_table("key_usage", schema="vault")
    op.drop_table("root_wrap", schema="vault")
    op.drop_index(
        "data_key_one_active_ix", table_name="data_key", schema="vault", postgresql_where=sa.text("state = 'active'")
    )
    op.drop_table("data_key", schema="vault")
    op.drop_table("root_key", schema="vault")
    op.drop_table("audit_pending", schema="vault")
    op.drop_table("alarm", schema="vault")
    op.execute("drop function vault.require_audit_event()")
