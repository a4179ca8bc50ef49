"""The tables of root keys, their wraps, custodians' shares and data keys; the other tables refer to them.

It refuses to know what is sealed with a key. Invariant: a data key cannot go while a row refers to it.
"""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from vault.schema import DataClass, column, created_at, metadata, moment, one_of

root_key = Table(
    "root_key",
    metadata,
    column("id", LargeBinary, DataClass.OUR_ID, primary_key=True),
    column("version", Integer, DataClass.OPERATIONAL, unique=True),
    column("state", Text, DataClass.OPERATIONAL),
    column("check_value", LargeBinary, DataClass.KEYED_HASH),
    created_at(),
    one_of("state", "active", "retired"),
)

root_wrap = Table(
    "root_wrap",
    metadata,
    column("root_key_id", LargeBinary, DataClass.OUR_ID, ForeignKey(root_key.c.id)),
    column("seal", Text, DataClass.CONFIGURATION),
    column("wrapped", LargeBinary, DataClass.WRAPPED_KEY),
    created_at(),
    PrimaryKeyConstraint("root_key_id", "seal"),
)

data_key = Table(
    "data_key",
    metadata,
    column("id", LargeBinary, DataClass.OUR_ID, primary_key=True),
    column("merchant_id", Text, DataClass.OUR_ID, comment="empty: the installation's own key"),
    column("purpose", Text, DataClass.OPERATIONAL),
    column("state", Text, DataClass.OPERATIONAL),
    column("root_key_id", LargeBinary, DataClass.OUR_ID, ForeignKey(root_key.c.id)),
    column("wrapped", LargeBinary, DataClass.WRAPPED_KEY),
    created_at(),
    moment("deactivated_at"),
    moment("compromised_at"),
    moment("replace_by"),
    moment("destroy_after"),
    moment("destroyed_at"),
    one_of("purpose", "card", "credential", "fingerprint", "audit"),
    one_of("state", "active", "decrypt_only", "compromised", "destroyed"),
    CheckConstraint("length(id) = 16", name="id_length"),
    Index("data_key_one_active_ix", "merchant_id", "purpose", unique=True, postgresql_where=text("state = 'active'")),
)

share_set = Table(
    "share_set",
    metadata,
    column("id", LargeBinary, DataClass.OUR_ID, primary_key=True),
    column("identifier", Integer, DataClass.OPERATIONAL, comment="of SLIP-39, not unique"),
    column("threshold", Integer, DataClass.CONFIGURATION),
    column("check_value", LargeBinary, DataClass.KEYED_HASH),
    created_at(),
    CheckConstraint("threshold between 2 and 16", name="threshold"),
)

custodian_share = Table(
    "custodian_share",
    metadata,
    column("set_id", LargeBinary, DataClass.OUR_ID, ForeignKey(share_set.c.id)),
    column("number", Integer, DataClass.OPERATIONAL),
    column("custodian", Text, DataClass.CONFIGURATION),
    column("digest", LargeBinary, DataClass.KEYED_HASH, comment="of 256 random bits"),
    moment("acknowledged_at"),
    column(
        "statement",
        LargeBinary,
        DataClass.OPERATIONAL,
        nullable=True,
        comment="SHA-256 of the text that was acknowledged",
    ),
    moment("destroyed_at"),
    PrimaryKeyConstraint("set_id", "number"),
    UniqueConstraint("set_id", "custodian"),
)

key_usage = Table(
    "key_usage",
    metadata,
    column("key_id", LargeBinary, DataClass.OUR_ID, ForeignKey(data_key.c.id), primary_key=True),
    column("reserved", BigInteger, DataClass.OPERATIONAL, server_default=text("0")),
)
