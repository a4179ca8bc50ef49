"""Every table of the vault, as SQLAlchemy metadata: what Alembic compares and what the data inventory is made of.

It refuses to know how rows are read or written (that is `vault.store`). Invariants: each column carries a data class
(controls.md RET-4), every primary key of merchant data starts with `merchant_id`, no column can hold a card number,
a CVV or a gateway token in clear.
"""

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from vault.merchant_tables import api_client, merchant_id
from vault.schema import XID8, DataClass, column, created_at, key_reference, metadata, moment, one_of


def card_face(*, nullable: bool) -> list[Column[Any]]:
    """Give what may be shown of a card, and its keyed fingerprint; the gateway does not tell every expiry."""
    return [
        column("brand", Text, DataClass.CARD_ATTRIBUTE, nullable=nullable),
        column("masked", Text, DataClass.TRUNCATED_PAN, nullable=nullable),
        column("bin", Text, DataClass.TRUNCATED_PAN, nullable=True),
        column("last_four", Text, DataClass.TRUNCATED_PAN, nullable=nullable),
        column("expiry_month", SmallInteger, DataClass.CARD_ATTRIBUTE, nullable=True),
        column("expiry_year", SmallInteger, DataClass.CARD_ATTRIBUTE, nullable=True),
        column("fingerprint", LargeBinary, DataClass.KEYED_HASH, nullable=True),
        key_reference("fingerprint_key_id", nullable=True),
    ]


def brand_choice() -> list[Column[Any] | CheckConstraint]:
    """Give the network that the buyer chose of a co-badged card: by its brand, or by its region."""
    return [
        column("selected_brand", Text, DataClass.CARD_ATTRIBUTE, nullable=True),
        column("selected_region", Text, DataClass.CARD_ATTRIBUTE, nullable=True),
        CheckConstraint("selected_brand is null or selected_region is null", name="one_choice"),
    ]


card = Table(
    "card",
    metadata,
    merchant_id(),
    column("id", Text, DataClass.OUR_ID),
    column("buyer", Text, DataClass.MERCHANT_REFERENCE, nullable=True),
    *card_face(nullable=False),
    column("issuing_country", Text, DataClass.CARD_ATTRIBUTE, nullable=True),
    column("funding", Text, DataClass.CARD_ATTRIBUTE, nullable=True),
    column("status", Text, DataClass.OPERATIONAL),
    column("is_default", Boolean, DataClass.OPERATIONAL, server_default=text("false")),
    column("network_transaction_id", Text, DataClass.GATEWAY_RESULT, nullable=True),
    column("token_print", LargeBinary, DataClass.KEYED_HASH, nullable=True),
    key_reference("token_print_key_id", nullable=True),
    column("metadata", JSONB, DataClass.MERCHANT_REFERENCE, nullable=True),
    column("consent", JSONB, DataClass.MERCHANT_REFERENCE, nullable=True),
    *brand_choice(),
    created_at(),
    created_at("updated_at"),
    # The version of the merchant's retention class. Not a foreign key: classes cannot be deleted, and checking it would
    # lock the merchant's class for every card that is stored.
    column("retention", Integer, DataClass.CONFIGURATION, server_default=text("1")),
    moment("expired_at", comment="when the end of the card's last month was noticed"),
    column("deletion_reason", Text, DataClass.OPERATIONAL, nullable=True),
    PrimaryKeyConstraint("merchant_id", "id"),
    one_of("status", "ACTIVE", "DISABLED", "DELETED"),
    one_of("deletion_reason", "requested", "buyer_erased", "retention"),
    CheckConstraint("deletion_reason is null or status = 'DELETED'", name="deleted_for_a_reason"),
    CheckConstraint("(status = 'DELETED') = (buyer is null)", name="deleted_has_no_buyer"),
    CheckConstraint("fingerprint is null or status <> 'DELETED'", name="deleted_has_no_fingerprint"),
    CheckConstraint("token_print is null or status <> 'DELETED'", name="deleted_has_no_token_print"),
    CheckConstraint("expiry_month between 1 and 12", name="expiry_month"),
    CheckConstraint("(expiry_month is null) = (expiry_year is null)", name="expiry"),
    Index("card_token_ix", "merchant_id", "token_print", postgresql_where=text("token_print is not null")),
    Index(
        "card_one_per_buyer_ix",
        "merchant_id",
        "buyer",
        "fingerprint",
        unique=True,
        postgresql_where=text("fingerprint is not null"),
    ),
    Index("card_one_default_ix", "merchant_id", "buyer", unique=True, postgresql_where=text("is_default")),
    Index("card_newest_ix", "merchant_id", "buyer", text("created_at desc"), text("id desc")),
    Index(
        "card_expiring_ix",
        "expiry_year",
        "expiry_month",
        postgresql_where=text("status = 'ACTIVE' and expired_at is null"),
    ),
)

SECRET_KINDS = ("PAN", "TOKEN", "PROFILE")

card_secret = Table(
    "card_secret",
    metadata,
    column("merchant_id", Text, DataClass.OUR_ID),
    column("card_id", Text, DataClass.OUR_ID),
    column("kind", Text, DataClass.OPERATIONAL),
    column("envelope", LargeBinary, DataClass.SEALED),
    key_reference("key_id"),
    created_at(),
    PrimaryKeyConstraint("merchant_id", "card_id", "kind"),
    ForeignKeyConstraint(["merchant_id", "card_id"], [card.c.merchant_id, card.c.id]),
    one_of("kind", *SECRET_KINDS),
)

payment = Table(
    "payment",
    metadata,
    merchant_id(),
    column("id", Text, DataClass.OUR_ID),
    column("request_id", Text, DataClass.MERCHANT_REFERENCE),
    column("client_id", Text, DataClass.OUR_ID, ForeignKey(api_client.c.id)),
    column("kind", Text, DataClass.OPERATIONAL),
    column("status", Text, DataClass.OPERATIONAL),
    column("currency", Text, DataClass.MERCHANT_REFERENCE),
    column("value", BigInteger, DataClass.MERCHANT_REFERENCE),
    column("order_reference", Text, DataClass.MERCHANT_REFERENCE),
    column("buyer", Text, DataClass.MERCHANT_REFERENCE, nullable=True),
    column("card_id", Text, DataClass.OUR_ID, nullable=True),
    column("credential", Text, DataClass.OPERATIONAL),
    column("store_card", Text, DataClass.OPERATIONAL, nullable=True),
    column("store_state", Text, DataClass.OPERATIONAL),
    *card_face(nullable=True),
    column("digest", LargeBinary, DataClass.KEYED_HASH),
    key_reference("digest_key_id"),
    column("capture_mode", Text, DataClass.OPERATIONAL),
    column("capture_status", Text, DataClass.GATEWAY_RESULT, server_default=text("'NONE'")),
    column("next_action", JSONB, DataClass.GATEWAY_RESULT, nullable=True),
    column("gateway_payment_id", Text, DataClass.GATEWAY_RESULT, nullable=True),
    column("result_code", Text, DataClass.GATEWAY_RESULT, nullable=True),
    column("result_status", Text, DataClass.GATEWAY_RESULT, nullable=True),
    column("result_message", Text, DataClass.GATEWAY_RESULT, nullable=True),
    column("result_info", JSONB, DataClass.GATEWAY_RESULT, nullable=True),
    column("not_sent", Boolean, DataClass.OPERATIONAL, server_default=text("false")),
    column("metadata", JSONB, DataClass.MERCHANT_REFERENCE, nullable=True),
    column("consent", JSONB, DataClass.MERCHANT_REFERENCE, nullable=True),
    moment("send_deadline", nullable=False),
    moment("expires_at", nullable=False),
    moment("authorisation_expires_at"),
    moment("cancel_requested_at"),
    moment("finalised_at"),
    column("mandate_id", Text, DataClass.OUR_ID, nullable=True),
    column("authentication", JSONB, DataClass.GATEWAY_RESULT, nullable=True),
    column("redirected", Boolean, DataClass.OPERATIONAL, server_default=text("false")),
    *brand_choice(),
    column("channel", Text, DataClass.OPERATIONAL, server_default=text("'DIRECT'")),
    created_at(),
    created_at("updated_at"),
    PrimaryKeyConstraint("merchant_id", "id"),
    UniqueConstraint("merchant_id", "request_id"),
    ForeignKeyConstraint(["merchant_id", "card_id"], [card.c.merchant_id, card.c.id]),
    one_of("kind", "ONE_OFF", "CARD_ON_FILE", "MERCHANT_INITIATED"),
    CheckConstraint("(kind = 'MERCHANT_INITIATED') = (mandate_id is not null)", name="mandate"),
    one_of("status", "CREATED", "UNKNOWN", "PROCESSING", "SUCCESS", "FAIL", "CANCELLED"),
    one_of("credential", "CARD_DATA", "TOKEN", "PAN", "UNSEEN"),
    one_of("channel", "DIRECT", "PAGE", "SESSION"),
    one_of("store_card", "GATEWAY", "VAULT", "BOTH"),
    one_of("store_state", "NONE", "PENDING", "STORED", "DROPPED"),
    one_of("capture_mode", "AUTOMATIC", "MANUAL"),
    one_of("capture_status", "NONE", "PENDING", "PARTIAL", "FULL", "EXPIRED"),
    CheckConstraint("value > 0", name="value"),
    CheckConstraint("not not_sent or status in ('FAIL', 'SUCCESS', 'CANCELLED')", name="not_sent"),
    Index("payment_newest_ix", "merchant_id", text("created_at desc"), text("id desc")),
    Index(
        "payment_gateway_ix",
        "merchant_id",
        "gateway_payment_id",
        postgresql_where=text("gateway_payment_id is not null"),
    ),
    Index(
        "payment_expiring_ix",
        "authorisation_expires_at",
        postgresql_where=text("status = 'SUCCESS' and capture_mode = 'MANUAL' and capture_status = 'NONE'"),
    ),
    Index("payment_order_ix", "merchant_id", "order_reference"),
    Index("payment_card_ix", "merchant_id", "card_id", postgresql_where=text("card_id is not null")),
    Index("payment_mandate_ix", "merchant_id", "mandate_id", postgresql_where=text("mandate_id is not null")),
    Index("payment_buyer_ix", "merchant_id", "buyer", postgresql_where=text("buyer is not null")),
)


def belongs_to_payment() -> ForeignKeyConstraint:
    """Refer to a merchant's payment by `payment_id`."""
    return ForeignKeyConstraint(["merchant_id", "payment_id"], [payment.c.merchant_id, payment.c.id])


payment_secret = Table(
    "payment_secret",
    metadata,
    column("merchant_id", Text, DataClass.OUR_ID),
    column("payment_id", Text, DataClass.OUR_ID),
    column("kind", Text, DataClass.OPERATIONAL),
    column("envelope", LargeBinary, DataClass.SEALED),
    key_reference("key_id"),
    created_at(),
    PrimaryKeyConstraint("merchant_id", "payment_id", "kind"),
    belongs_to_payment(),
    one_of("kind", *SECRET_KINDS, "SESSION"),
)

payment_inquiry = Table(
    "payment_inquiry",
    metadata,
    column("merchant_id", Text, DataClass.OUR_ID),
    column("payment_id", Text, DataClass.OUR_ID),
    moment("next_at", nullable=False),
    column("attempts", Integer, DataClass.OPERATIONAL, server_default=text("0")),
    PrimaryKeyConstraint("merchant_id", "payment_id"),
    belongs_to_payment(),
    Index(None, "next_at"),
)

alarm = Table(
    "alarm",
    metadata,
    column("merchant_id", Text, DataClass.OUR_ID, comment="empty: the installation's own"),
    column("id", Text, DataClass.OUR_ID),
    column("code", Text, DataClass.OPERATIONAL),
    column("object_id", Text, DataClass.OUR_ID),
    column("details", JSONB, DataClass.GATEWAY_RESULT),
    created_at(),
    PrimaryKeyConstraint("merchant_id", "id"),
    UniqueConstraint("merchant_id", "code", "object_id"),
    Index(None, "created_at"),
)

audit_pending = Table(
    "audit_pending",
    metadata,
    column("xid", XID8(), DataClass.AUDIT, server_default=text("pg_current_xact_id()")),
    column("ord", BigInteger, DataClass.AUDIT, Identity(always=True)),
    column("event_id", Text, DataClass.AUDIT),
    column("merchant_id", Text, DataClass.AUDIT),
    column("occurred_at", DateTime(timezone=True), DataClass.AUDIT, server_default=text("clock_timestamp()")),
    column("body", LargeBinary, DataClass.AUDIT),
    PrimaryKeyConstraint("xid", "ord"),
)

# Changes to these need no audit event: schedules, a counter, the events themselves and what is made of them, what can
# be asked for again, orphans, which all end as a capture or as an alarm, tokens whose card's deletion was the event,
# attempts, which change with their payment or go by age, what merchants are told of changes that are audited, how far a
# re-encryption is, whose batches and states have their events, how far a retention run is, whose end is one, the cards
# that a shredding covers, which its event counts, counts of requests, and what workers say of themselves.
UNAUDITED = frozenset({
    "payment_inquiry", "vaulting_inquiry", "token_deletion", "orphan_capture", "installment_offer", "card_attempt",
    "key_usage",
    "audit_pending", "audit_head", "audit_leaf", "audit_subtree", "audit_checkpoint", "audit_sink",
    "audit_epoch", "audit_rotation", "audit_mention",
    "event", "webhook_delivery", "webhook_pause", "reencryption", "reencryption_part", "retention_run", "rate_counter",
    "card_sighting", "worker_loop", "shredded_card",
})  # fmt: skip
