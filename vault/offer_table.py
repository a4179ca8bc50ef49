"""The table of installment plans that the gateway offered lately, apart from the others since it belongs to no payment.

It refuses to know how rows are read or written (that is `vault.store.offers`). Invariants are those of `vault.tables`;
what is in it can be asked for again at any time, so that it needs no audit event and may be lost.
"""

from sqlalchemy import ForeignKey, PrimaryKeyConstraint, Table, Text
from sqlalchemy.dialects.postgresql import JSONB

from vault.merchant_tables import merchant
from vault.schema import DataClass, column, metadata, moment

installment_offer = Table(
    "installment_offer",
    metadata,
    column("merchant_id", Text, DataClass.OUR_ID, ForeignKey(merchant.c.id)),
    column("currency", Text, DataClass.GATEWAY_RESULT),
    column("region", Text, DataClass.GATEWAY_RESULT, comment="empty: the gateway named none"),
    column("plans", JSONB, DataClass.GATEWAY_RESULT),
    moment("consulted_at", nullable=False),
    PrimaryKeyConstraint("merchant_id", "currency", "region"),
)
