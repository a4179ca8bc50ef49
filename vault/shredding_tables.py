"""The tables of shredding: who has ever opened a root key and what became of it, ceremonies, the cards they cover.

It refuses to know how rows are read or written (that is `vault.store.shredding`). Invariants: whoever opened a root key
once is never forgotten, since copies of the database do not forget either; a row here holds names and addresses, and
nothing that opens.
"""

import sqlalchemy as sa

from vault.key_tables import root_key
from vault.schema import DataClass, column, created_at, metadata, moment, one_of

root_opener = sa.Table(
    "root_opener",
    metadata,
    column("root_key_id", sa.LargeBinary, DataClass.OUR_ID, sa.ForeignKey(root_key.c.id)),
    column("seal", sa.Text, DataClass.CONFIGURATION),
    created_at(),
    sa.PrimaryKeyConstraint("root_key_id", "seal"),
)

opener_end = sa.Table(
    "opener_end",
    metadata,
    column("opener", sa.Text, DataClass.CONFIGURATION, primary_key=True),
    column("address", sa.Text, DataClass.CONFIGURATION, nullable=True),
    column("fate", sa.Text, DataClass.OPERATIONAL),
    moment("due_at"),
    created_at("updated_at"),
    one_of("fate", "begun", "scheduled", "destroyed", "attested"),
)

shredding = sa.Table(
    "shredding",
    metadata,
    column("id", sa.Text, DataClass.OUR_ID, primary_key=True),
    column("root_version", sa.Integer, DataClass.OPERATIONAL, comment="of the newest root key at the beginning"),
    column("seals", sa.ARRAY(sa.Text), DataClass.CONFIGURATION, comment="addresses"),
    column("threshold", sa.Integer, DataClass.CONFIGURATION, nullable=True),
    column("custodians", sa.ARRAY(sa.Text), DataClass.CONFIGURATION),
    created_at(),
    moment("completed_at"),
)

shredded_card = sa.Table(
    "shredded_card",
    metadata,
    column("merchant_id", sa.Text, DataClass.OUR_ID),
    column("card_id", sa.Text, DataClass.OUR_ID),
    column("shredding_id", sa.Text, DataClass.OUR_ID, sa.ForeignKey(shredding.c.id)),
    sa.PrimaryKeyConstraint("merchant_id", "card_id", "shredding_id"),
)
