"""The table of mandates, apart from the others because it refers to a payment and payments refer to it.

It refuses to know how rows are read or written (that is `vault.store.mandates`). Invariants are those of
`vault.tables`; and a mandate that can be charged has a network transaction id.
"""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKeyConstraint,
    Index,
    Integer,
    PrimaryKeyConstraint,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from vault.merchant_tables import merchant_id
from vault.schema import DataClass, column, created_at, metadata, moment, one_of
from vault.tables import card, payment

mandate = Table(
    "mandate",
    metadata,
    merchant_id(),
    column("id", Text, DataClass.OUR_ID),
    column("card_id", Text, DataClass.OUR_ID),
    column("buyer", Text, DataClass.MERCHANT_REFERENCE, nullable=True),
    column("initial_payment_id", Text, DataClass.OUR_ID, nullable=True),
    column("recurring_type", Text, DataClass.OPERATIONAL),
    column("status", Text, DataClass.OPERATIONAL),
    column("max_currency", Text, DataClass.MERCHANT_REFERENCE, nullable=True),
    column("max_value", BigInteger, DataClass.MERCHANT_REFERENCE, nullable=True),
    moment("valid_from"),
    moment("valid_until"),
    column("minimum_interval_days", Integer, DataClass.OPERATIONAL, nullable=True),
    column("network_transaction_id", Text, DataClass.GATEWAY_RESULT, nullable=True),
    column("region", Text, DataClass.GATEWAY_RESULT, nullable=True),
    column("evidence", JSONB, DataClass.GATEWAY_RESULT),
    column("consent", JSONB, DataClass.MERCHANT_REFERENCE, nullable=True),
    column("reference", Text, DataClass.MERCHANT_REFERENCE, nullable=True),
    moment("ended_at"),
    created_at(),
    created_at("updated_at"),
    PrimaryKeyConstraint("merchant_id", "id"),
    ForeignKeyConstraint(["merchant_id", "card_id"], [card.c.merchant_id, card.c.id]),
    ForeignKeyConstraint(["merchant_id", "initial_payment_id"], [payment.c.merchant_id, payment.c.id]),
    one_of("recurring_type", "SCHEDULED", "UNSCHEDULED"),
    one_of("status", "ACTIVE", "ENDED", "EXPIRED"),
    CheckConstraint("(max_currency is null) = (max_value is null) and max_value > 0", name="max_amount"),
    CheckConstraint("minimum_interval_days > 0", name="interval"),
    CheckConstraint("(status = 'ENDED') = (ended_at is not null)", name="ended"),
    CheckConstraint("status <> 'ACTIVE' or (network_transaction_id is not null and buyer is not null)", name="usable"),
    Index(
        "mandate_one_per_payment_ix",
        "merchant_id",
        "card_id",
        "initial_payment_id",
        "recurring_type",
        unique=True,
        postgresql_where=text("status = 'ACTIVE'"),
    ),
    Index(
        "mandate_one_per_import_ix",
        "merchant_id",
        "card_id",
        "network_transaction_id",
        "recurring_type",
        unique=True,
        postgresql_where=text("status = 'ACTIVE' and initial_payment_id is null"),
    ),
    Index("mandate_newest_ix", "merchant_id", "card_id", text("created_at desc"), text("id desc")),
    Index("mandate_buyer_ix", "merchant_id", "buyer", postgresql_where=text("buyer is not null")),
)

# Charges refer to their mandate, and mandates to a payment: this half can only be added when both tables are there.
payment.append_constraint(
    ForeignKeyConstraint(["merchant_id", "mandate_id"], [mandate.c.merchant_id, mandate.c.id], use_alter=True)
)
