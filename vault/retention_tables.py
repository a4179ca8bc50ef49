"""The tables of retention: for how long and why a merchant's cards are kept, and the runs that see to it.

It refuses to know how rows are read or written (that is `vault.store.retention`). Invariants are those of
`vault.tables`; a class has a written reason (controls.md RET-1) and never changes: a merchant that changes its mind
gets the next version.
"""

from sqlalchemy import CheckConstraint, Index, Integer, PrimaryKeyConstraint, Table, Text, text

from vault.merchant_tables import merchant_id
from vault.schema import DataClass, column, created_at, metadata, moment, one_of

retention_class = Table(
    "retention_class",
    metadata,
    merchant_id(),
    column("version", Integer, DataClass.CONFIGURATION),
    column("days", Integer, DataClass.CONFIGURATION),
    column("starts", Text, DataClass.CONFIGURATION),
    column("reason", Text, DataClass.CONFIGURATION),
    created_at(),
    PrimaryKeyConstraint("merchant_id", "version"),
    one_of("starts", "EXPIRED", "UNUSED"),
    CheckConstraint("days >= 0", name="days"),
    CheckConstraint("reason ~ '[[:alnum:]]'", name="reason"),
)

retention_run = Table(
    "retention_run",
    metadata,
    column("id", Text, DataClass.OUR_ID, primary_key=True),
    column("kind", Text, DataClass.OPERATIONAL),
    created_at("started_at"),
    moment("finished_at"),
    column("last_merchant_id", Text, DataClass.OUR_ID, server_default=text("''"), comment="how far it is"),
    column("last_card_id", Text, DataClass.OUR_ID, server_default=text("''")),
    *(
        column(name, Integer, DataClass.OPERATIONAL, server_default=text("0"))
        for name in ("examined", "purged", "held")
    ),
    column("overdue", Integer, DataClass.OPERATIONAL, server_default=text("0"), comment="past their period, not held"),
    moment("oldest_due_at", comment="of those"),
    one_of("kind", "PURGE", "VERIFY", "SCRUB"),
    Index("retention_run_newest_ix", text("started_at desc")),
    Index("retention_run_one_open_ix", "kind", unique=True, postgresql_where=text("finished_at is null")),
)
