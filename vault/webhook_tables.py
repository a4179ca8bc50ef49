"""The tables of events, of the webhook endpoints that are told of them, and of what was delivered.

It refuses to know how rows are read or written (that is `vault.store`; events and the first row of each delivery are
written by triggers alone). Invariants are those of `vault.tables`; an object's events are numbered without a gap; what
waits to be delivered has a time.
"""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from vault.merchant_tables import merchant_id
from vault.schema import XID8, DataClass, column, created_at, key_reference, metadata, moment, one_of

# Without a foreign key to the merchant: merchants are never deleted, and every change of every card and payment writes.
event = sa.Table(
    "event",
    metadata,
    column("merchant_id", sa.Text, DataClass.OUR_ID),
    column("id", sa.Uuid, DataClass.OUR_ID, comment="UUIDv7; evt_… outside"),
    column("xid", XID8(), DataClass.OPERATIONAL, server_default=sa.text("pg_current_xact_id()")),
    column("ord", sa.BigInteger, DataClass.OPERATIONAL, sa.Identity(always=True)),
    column("type", sa.Text, DataClass.OPERATIONAL),
    column("object_id", sa.Text, DataClass.OUR_ID),
    column("sequence", sa.Integer, DataClass.OPERATIONAL),
    column(
        "occurred_at", sa.DateTime(timezone=True), DataClass.OPERATIONAL, server_default=sa.text("clock_timestamp()")
    ),
    column("data", JSONB, DataClass.TRUNCATED_PAN),
    sa.PrimaryKeyConstraint("merchant_id", "id"),
    sa.UniqueConstraint("merchant_id", "object_id", "sequence"),
    sa.Index("event_order_ix", "merchant_id", "xid", "ord"),
    sa.Index("event_age_ix", "occurred_at", postgresql_using="brin"),
)

webhook_endpoint = sa.Table(
    "webhook_endpoint",
    metadata,
    merchant_id(),
    column("id", sa.Text, DataClass.OUR_ID),
    column("url", sa.Text, DataClass.CONFIGURATION),
    column("types", sa.ARRAY(sa.Text), DataClass.CONFIGURATION, server_default=sa.text("'{}'"), comment="empty: all"),
    column("status", sa.Text, DataClass.OPERATIONAL, server_default=sa.text("'ACTIVE'")),
    moment("tested_at"),
    created_at(),
    created_at("updated_at"),
    sa.PrimaryKeyConstraint("merchant_id", "id"),
    one_of("status", "ACTIVE", "DISABLED", "DELETED"),
)


def _of_endpoint() -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["merchant_id", "endpoint_id"], [webhook_endpoint.c.merchant_id, webhook_endpoint.c.id]
    )


webhook_secret = sa.Table(
    "webhook_secret",
    metadata,
    column("merchant_id", sa.Text, DataClass.OUR_ID),
    column("id", sa.Text, DataClass.OUR_ID),
    column("endpoint_id", sa.Text, DataClass.OUR_ID),
    column("envelope", sa.LargeBinary, DataClass.SEALED),
    key_reference("key_id"),
    created_at(),
    moment("expires_at"),
    sa.PrimaryKeyConstraint("merchant_id", "id"),
    _of_endpoint(),
    sa.Index(None, "merchant_id", "endpoint_id"),
)

# Without a foreign key to the endpoint, whose row every change of the merchant's would then lock; it is never deleted.
webhook_delivery = sa.Table(
    "webhook_delivery",
    metadata,
    column("merchant_id", sa.Text, DataClass.OUR_ID),
    column("event_id", sa.Uuid, DataClass.OUR_ID),
    column("endpoint_id", sa.Text, DataClass.OUR_ID),
    column("status", sa.Text, DataClass.OPERATIONAL, server_default=sa.text("'PENDING'")),
    column(
        "round", sa.Integer, DataClass.OPERATIONAL, server_default=sa.text("1"), comment="one more by each redelivery"
    ),
    column("tries", sa.Integer, DataClass.OPERATIONAL, server_default=sa.text("0"), comment="of this round"),
    moment("next_at"),
    column("log", JSONB, DataClass.OPERATIONAL, server_default=sa.text("'[]'"), comment="the newest attempts"),
    created_at(),
    created_at("updated_at"),
    sa.PrimaryKeyConstraint("merchant_id", "event_id", "endpoint_id"),
    sa.ForeignKeyConstraint(["merchant_id", "event_id"], [event.c.merchant_id, event.c.id], ondelete="CASCADE"),
    one_of("status", "PENDING", "DELIVERED", "FAILED"),
    sa.CheckConstraint("(status = 'PENDING') = (next_at is not null)", name="next_at"),
    sa.Index(
        "webhook_delivery_due_ix",
        "merchant_id",
        "endpoint_id",
        "next_at",
        postgresql_where=sa.text("next_at is not null"),
    ),
    sa.Index("webhook_delivery_newest_ix", "merchant_id", "endpoint_id", sa.text("event_id desc")),
)

webhook_pause = sa.Table(
    "webhook_pause",
    metadata,
    column("merchant_id", sa.Text, DataClass.OUR_ID),
    column("endpoint_id", sa.Text, DataClass.OUR_ID),
    column("failures", sa.Integer, DataClass.OPERATIONAL, comment="pauses in a row"),
    moment("until", nullable=False),
    sa.PrimaryKeyConstraint("merchant_id", "endpoint_id"),
    _of_endpoint(),
)
