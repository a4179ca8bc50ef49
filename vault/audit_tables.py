"""The tables of the sequenced audit log: the head that fences sequencers, leaves, perfect subtrees, checkpoints, sinks.

It refuses to know how rows are read or written (that is `vault.store.audit_log`). Invariants: leaves, subtrees,
checkpoints, epochs and rotations are only ever added to, but for the octets of leaves that are pruned, which triggers
see to whoever asks; mentions are what leaves name, and nothing else; a size of an epoch has one checkpoint. Source:
audit-log.md 3.10 A.
"""

import sqlalchemy as sa

from vault.schema import DataClass, column, metadata

audit_head = sa.Table(
    "audit_head",
    metadata,
    column("one", sa.Boolean, DataClass.OPERATIONAL, primary_key=True, server_default=sa.text("true")),
    column("epoch", sa.Integer, DataClass.AUDIT),
    column("origin", sa.Text, DataClass.CONFIGURATION),
    column("size", sa.BigInteger, DataClass.AUDIT),
    column("frontier", sa.LargeBinary, DataClass.AUDIT, comment="a hash for each bit of the size"),
    column(
        "appended_at", sa.DateTime(timezone=True), DataClass.OPERATIONAL, server_default=sa.text("clock_timestamp()")
    ),
    sa.CheckConstraint("one", name="one"),
    sa.CheckConstraint("length(frontier) % 32 = 0", name="frontier"),
)

audit_leaf = sa.Table(
    "audit_leaf",
    metadata,
    column("epoch", sa.Integer, DataClass.AUDIT),
    column("place", sa.BigInteger, DataClass.AUDIT, comment="from 0, without a gap"),
    column("event_id", sa.Text, DataClass.AUDIT),
    column("merchant_id", sa.Text, DataClass.AUDIT),
    column("occurred_at", sa.DateTime(timezone=True), DataClass.AUDIT),
    column("hash", sa.LargeBinary, DataClass.AUDIT),
    column("entry", sa.LargeBinary, DataClass.AUDIT, nullable=True, comment="the octets that are hashed, until pruned"),
    sa.PrimaryKeyConstraint("epoch", "place"),
    # Not unique: a copy that somebody smuggles in must not keep the log from growing; a verifier names it.
    sa.Index(None, "event_id"),
    sa.Index("audit_leaf_merchant_ix", "merchant_id", "epoch", "place"),
    sa.Index("audit_leaf_pruned_ix", "epoch", "place", postgresql_where=sa.text("entry is null")),
    sa.Index("audit_leaf_age_ix", "occurred_at", postgresql_using="brin"),
)

audit_mention = sa.Table(
    "audit_mention",
    metadata,
    column("object_id", sa.Text, DataClass.AUDIT),
    column("epoch", sa.Integer, DataClass.AUDIT),
    column("place", sa.BigInteger, DataClass.AUDIT),
    sa.PrimaryKeyConstraint("object_id", "epoch", "place"),
)

audit_subtree = sa.Table(
    "audit_subtree",
    metadata,
    column("epoch", sa.Integer, DataClass.AUDIT),
    column("height", sa.SmallInteger, DataClass.AUDIT, comment="a multiple of 8"),
    column("place", sa.BigInteger, DataClass.AUDIT),
    column("hash", sa.LargeBinary, DataClass.AUDIT),
    sa.PrimaryKeyConstraint("epoch", "height", "place"),
)

audit_checkpoint = sa.Table(
    "audit_checkpoint",
    metadata,
    column("epoch", sa.Integer, DataClass.AUDIT),
    column("size", sa.BigInteger, DataClass.AUDIT),
    column("note", sa.Text, DataClass.AUDIT),
    column("signed_at", sa.DateTime(timezone=True), DataClass.AUDIT, server_default=sa.text("clock_timestamp()")),
    sa.PrimaryKeyConstraint("epoch", "size"),
)

audit_sink = sa.Table(
    "audit_sink",
    metadata,
    column("name", sa.Text, DataClass.CONFIGURATION),
    column("told", sa.Text, DataClass.CONFIGURATION),
    column("epoch", sa.Integer, DataClass.OPERATIONAL, server_default=sa.text("1")),
    column("next_place", sa.BigInteger, DataClass.OPERATIONAL, server_default=sa.text("0")),
    column("delivered_at", sa.DateTime(timezone=True), DataClass.OPERATIONAL, nullable=True),
    column(
        "next_at",
        sa.DateTime(timezone=True),
        DataClass.OPERATIONAL,
        server_default=sa.text("clock_timestamp()"),
        comment="until then somebody sends to it, or it is left alone",
    ),
    column("trouble", sa.Text, DataClass.OPERATIONAL, nullable=True),
    column("failures", sa.Integer, DataClass.OPERATIONAL, server_default=sa.text("0")),
    sa.PrimaryKeyConstraint("name", "told"),
    sa.CheckConstraint("told in ('checkpoints', 'events')", name="told"),
)

audit_epoch = sa.Table(
    "audit_epoch",
    metadata,
    column("epoch", sa.Integer, DataClass.AUDIT, autoincrement=False, primary_key=True),
    column("reason", sa.Text, DataClass.AUDIT),
    column("granted_at", sa.DateTime(timezone=True), DataClass.AUDIT, server_default=sa.text("clock_timestamp()")),
)

audit_rotation = sa.Table(
    "audit_rotation",
    metadata,
    column("key_id", sa.LargeBinary, DataClass.OUR_ID, primary_key=True),
    column("note", sa.Text, DataClass.AUDIT, comment="signed by the key before and by this one"),
    column("rotated_at", sa.DateTime(timezone=True), DataClass.AUDIT, server_default=sa.text("clock_timestamp()")),
)
