"""The tables of the limits: how many slots were taken of a quota, and which cards were seen of whom.

It refuses to know what is limited. Invariants are those of `vault.tables`; nothing here can be traced to a buyer or a
card without the merchant's fingerprint key, and nothing stays longer than two days.
"""

from sqlalchemy import ARRAY, BigInteger, DateTime, Index, Integer, LargeBinary, PrimaryKeyConstraint, Table, Text, text

from vault.schema import DataClass, column, metadata, moment

rate_counter = Table(
    "rate_counter",
    metadata,
    column("merchant_id", Text, DataClass.OUR_ID, comment="empty: the installation's own"),
    column("subject", Text, DataClass.OPERATIONAL, comment="an API client, a network address, or a keyed hash"),
    column("name", Text, DataClass.OPERATIONAL),
    column("spans", ARRAY(Integer), DataClass.OPERATIONAL, comment="the windows, in seconds"),
    column("slices", ARRAY(BigInteger), DataClass.OPERATIONAL, comment="the newest slice of each window"),
    column("totals", ARRAY(Integer), DataClass.OPERATIONAL, comment="taken in each window"),
    column("taken", ARRAY(Integer), DataClass.OPERATIONAL, comment="taken in each slice of each window"),
    moment("told_at"),
    column("touched_at", DateTime(timezone=True), DataClass.OPERATIONAL, server_default=text("clock_timestamp()")),
    PrimaryKeyConstraint("merchant_id", "subject", "name"),
    postgresql_with={"fillfactor": "50"},  # it is updated all the time, in place where there is room
)

card_sighting = Table(
    "card_sighting",
    metadata,
    column("merchant_id", Text, DataClass.OUR_ID),
    column("subject", Text, DataClass.KEYED_HASH, comment="a buyer or an address as a keyed hash, or an API client"),
    column("print", LargeBinary, DataClass.KEYED_HASH),
    column("seen_at", DateTime(timezone=True), DataClass.OPERATIONAL, server_default=text("clock_timestamp()")),
    PrimaryKeyConstraint("merchant_id", "subject", "print"),
    Index("card_sighting_age_ix", "seen_at", postgresql_using="brin"),
)
