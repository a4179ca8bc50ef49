"""The table of attempts to charge a card: those that are open, and declines that a retry rule still looks at.

It refuses to know how rows are read or written (that is `vault.store.attempts`) and the rules. Invariants are those of
`vault.tables`; a card is named by keyed hashes alone, a row for each, and a row appears and changes only in the
transaction of a payment's own audit event.
"""

from sqlalchemy import BigInteger, CheckConstraint, Index, Integer, PrimaryKeyConstraint, Table, Text, text
from sqlalchemy.types import LargeBinary

from vault.schema import DataClass, column, key_reference, metadata, moment, one_of

card_attempt = Table(
    "card_attempt",
    metadata,
    column("merchant_id", Text, DataClass.OUR_ID),
    column("print", LargeBinary, DataClass.KEYED_HASH, comment="of the number, or of the gateway's token"),
    key_reference("print_key_id"),
    column("place", Integer, DataClass.OPERATIONAL),
    column("payment_id", Text, DataClass.OUR_ID),
    column("card_id", Text, DataClass.OUR_ID, nullable=True),
    column("mandate_id", Text, DataClass.OUR_ID, nullable=True),
    column("currency", Text, DataClass.MERCHANT_REFERENCE),
    column("value", BigInteger, DataClass.MERCHANT_REFERENCE),
    column("expiry", Text, DataClass.CARD_ATTRIBUTE, nullable=True, comment="that was charged, as YYYY-MM"),
    column("network", Text, DataClass.CARD_ATTRIBUTE, nullable=True),
    column("refusal_code", Text, DataClass.GATEWAY_RESULT, nullable=True),
    column("advice_code", Text, DataClass.GATEWAY_RESULT, nullable=True),
    moment("declined_at"),
    column("kept", Text, DataClass.OPERATIONAL, nullable=True),
    PrimaryKeyConstraint("merchant_id", "print", "place"),
    one_of("kept", "WINDOW", "BUYER", "CARD"),
    CheckConstraint("(declined_at is null) = (kept is null)", name="declined"),
    Index("card_attempt_of_payment_ix", "payment_id"),
    Index("card_attempt_declined_ix", "declined_at", postgresql_where=text("declined_at is not null")),
)
