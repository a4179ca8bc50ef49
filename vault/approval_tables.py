"""The tables of operators, of the requests that need others' approval, and of what operators signed about them.

It refuses to know how rows are read or written (that is `vault.store.approvals`). Invariants are those of
`vault.tables`; a public key belongs to one operator, a nonce to one request, and what was signed is never changed.
"""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from vault.schema import DataClass, column, created_at, metadata, moment, one_of

operator = sa.Table(
    "operator",
    metadata,
    column("id", sa.Text, DataClass.OUR_ID, primary_key=True),
    column("person", sa.Text, DataClass.CONFIGURATION),
    column("public_key", sa.LargeBinary, DataClass.CONFIGURATION, unique=True),
    created_at(),
    moment("revoked_at"),
    sa.CheckConstraint("length(public_key) = 32", name="public_key_length"),
)

approval_request = sa.Table(
    "approval_request",
    metadata,
    column("id", sa.Text, DataClass.OUR_ID, primary_key=True),
    column("operation", sa.Text, DataClass.OPERATIONAL),
    column("parameters", JSONB, DataClass.CONFIGURATION),
    column("requester", sa.Text, DataClass.OUR_ID, sa.ForeignKey(operator.c.id)),
    column("nonce", sa.LargeBinary, DataClass.OPERATIONAL, unique=True),
    column("expires_at", sa.DateTime(timezone=True), DataClass.OPERATIONAL),
    column("signature", sa.LargeBinary, DataClass.OPERATIONAL),
    created_at(),
    moment("consumed_at"),
    sa.Index("approval_request_open_ix", "operation", postgresql_where=sa.text("consumed_at is null")),
)

approval = sa.Table(
    "approval",
    metadata,
    column("request_id", sa.Text, DataClass.OUR_ID, sa.ForeignKey(approval_request.c.id)),
    column("operator_id", sa.Text, DataClass.OUR_ID, sa.ForeignKey(operator.c.id)),
    column("verb", sa.Text, DataClass.OPERATIONAL),
    column("signature", sa.LargeBinary, DataClass.OPERATIONAL),
    created_at(),
    sa.PrimaryKeyConstraint("request_id", "operator_id", "verb"),
    one_of("verb", "approve", "deny"),
)
