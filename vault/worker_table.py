"""The table in which workers say that they are there, and how their loops do.

It refuses to know what the loops do. Invariant: a row is a worker's own; what nobody touches for an hour is forgotten.
"""

from sqlalchemy import DateTime, Integer, PrimaryKeyConstraint, Table, Text, text

from vault.schema import DataClass, column, metadata, moment

worker_loop = Table(
    "worker_loop",
    metadata,
    column("worker_id", Text, DataClass.OUR_ID),
    column("loop", Text, DataClass.OPERATIONAL),
    column("failures", Integer, DataClass.OPERATIONAL, comment="since the last round that ended well"),
    moment("worked_at"),
    column("seen_at", DateTime(timezone=True), DataClass.OPERATIONAL, server_default=text("clock_timestamp()")),
    PrimaryKeyConstraint("worker_id", "loop"),
    prefixes=["UNLOGGED"],
)
