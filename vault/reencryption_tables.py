"""The tables of re-encryption jobs and of their parts: what is left to do, and how far everybody is.

It refuses to know how rows are read or written (that is `vault.store.reencryption`). Invariants: one job at a time runs
or is paused; a part refers to its key by id alone, since what is to be destroyed must not be held by a report about it.
"""

import sqlalchemy as sa

from vault.schema import DataClass, column, created_at, metadata, moment, one_of

reencryption = sa.Table(
    "reencryption",
    metadata,
    column("id", sa.Text, DataClass.OUR_ID, primary_key=True),
    column("state", sa.Text, DataClass.OPERATIONAL, server_default=sa.text("'running'")),
    column("rate", sa.Integer, DataClass.CONFIGURATION, nullable=True, comment="rows a second of all workers together"),
    moment("deadline"),
    moment("next_at", nullable=False, server_default=sa.text("now()")),
    moment("running_since", nullable=False, server_default=sa.text("now()")),
    column("done_before", sa.BigInteger, DataClass.OPERATIONAL, server_default=sa.text("0")),
    created_at(),
    moment("finished_at"),
    one_of("state", "running", "paused", "done", "blocked"),
    sa.CheckConstraint("rate > 0", name="rate"),
    sa.Index(
        "reencryption_one_open_ix",
        sa.text("(true)"),
        unique=True,
        postgresql_where=sa.text("state in ('running', 'paused')"),
    ),
)

reencryption_part = sa.Table(
    "reencryption_part",
    metadata,
    column("job_id", sa.Text, DataClass.OUR_ID, sa.ForeignKey(reencryption.c.id)),
    column("place", sa.Text, DataClass.OPERATIONAL),
    column("merchant_id", sa.Text, DataClass.OUR_ID),
    column("key_id", sa.LargeBinary, DataClass.OUR_ID),
    column("total", sa.BigInteger, DataClass.OPERATIONAL),
    column("done", sa.BigInteger, DataClass.OPERATIONAL, server_default=sa.text("0")),
    column("damaged", sa.BigInteger, DataClass.OPERATIONAL, server_default=sa.text("0")),
    column("position", sa.ARRAY(sa.Text), DataClass.OUR_ID, server_default=sa.text("'{}'")),
    column("open", sa.Boolean, DataClass.OPERATIONAL, server_default=sa.text("true")),
    sa.PrimaryKeyConstraint("job_id", "place", "merchant_id", "key_id"),
)
