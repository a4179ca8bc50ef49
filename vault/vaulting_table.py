"""The tables of cards that are stored at the gateway without a payment, and of tokens to be deleted there.

It refuses to know how rows are read or written (that is `vault.store.vaultings`). Invariants are those of
`vault.tables`; and a request id of a merchant is one vaulting.
"""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from vault.merchant_tables import api_client, merchant_id
from vault.schema import DataClass, column, created_at, key_reference, metadata, moment, one_of
from vault.tables import brand_choice, card, card_face

vaulting = sa.Table(
    "vaulting",
    metadata,
    merchant_id(),
    column("id", sa.Text, DataClass.OUR_ID),
    column("request_id", sa.Text, DataClass.MERCHANT_REFERENCE),
    column("client_id", sa.Text, DataClass.OUR_ID, sa.ForeignKey(api_client.c.id)),
    column("channel", sa.Text, DataClass.OPERATIONAL),
    column("status", sa.Text, DataClass.OPERATIONAL),
    column("ending", sa.Text, DataClass.OPERATIONAL, nullable=True),
    column("buyer", sa.Text, DataClass.MERCHANT_REFERENCE, nullable=True),
    column("pending_card_id", sa.Text, DataClass.OUR_ID, nullable=True),
    column("card_id", sa.Text, DataClass.OUR_ID, nullable=True),
    *card_face(nullable=True),
    *brand_choice(),
    column("is_default", sa.Boolean, DataClass.OPERATIONAL, server_default=sa.text("false")),
    column("digest", sa.LargeBinary, DataClass.KEYED_HASH),
    key_reference("digest_key_id"),
    column("next_action", JSONB, DataClass.GATEWAY_RESULT, nullable=True),
    column("redirected", sa.Boolean, DataClass.OPERATIONAL, server_default=sa.text("false")),
    column("result_code", sa.Text, DataClass.GATEWAY_RESULT, nullable=True),
    column("result_status", sa.Text, DataClass.GATEWAY_RESULT, nullable=True),
    column("result_message", sa.Text, DataClass.GATEWAY_RESULT, nullable=True),
    column("result_info", JSONB, DataClass.GATEWAY_RESULT, nullable=True),
    column("authentication", JSONB, DataClass.GATEWAY_RESULT, nullable=True),
    column("metadata", JSONB, DataClass.MERCHANT_REFERENCE, nullable=True),
    column("consent", JSONB, DataClass.MERCHANT_REFERENCE, nullable=True),
    moment("send_deadline", nullable=False),
    moment("expires_at", nullable=False),
    created_at(),
    created_at("updated_at"),
    sa.PrimaryKeyConstraint("merchant_id", "id"),
    sa.UniqueConstraint("merchant_id", "request_id"),
    sa.ForeignKeyConstraint(["merchant_id", "card_id"], [card.c.merchant_id, card.c.id]),
    one_of("channel", "DIRECT", "SESSION"),
    one_of("status", "CREATED", "UNKNOWN", "PROCESSING", "SUCCESS", "FAIL"),
    one_of("ending", "NOT_SENT", "EXPIRED", "ABANDONED"),
    sa.CheckConstraint("ending is null or status = 'FAIL'", name="ended"),
    sa.Index(
        "vaulting_pending_ix",
        "merchant_id",
        "pending_card_id",
        unique=True,
        postgresql_where=sa.text("pending_card_id is not null"),
    ),
    sa.Index("vaulting_card_ix", "merchant_id", "card_id", postgresql_where=sa.text("card_id is not null")),
    sa.Index("vaulting_buyer_ix", "merchant_id", "buyer", postgresql_where=sa.text("buyer is not null")),
)


def _belongs_to_vaulting() -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(["merchant_id", "vaulting_id"], [vaulting.c.merchant_id, vaulting.c.id])


vaulting_secret = sa.Table(
    "vaulting_secret",
    metadata,
    column("merchant_id", sa.Text, DataClass.OUR_ID),
    column("vaulting_id", sa.Text, DataClass.OUR_ID),
    column("kind", sa.Text, DataClass.OPERATIONAL),
    column("envelope", sa.LargeBinary, DataClass.SEALED),
    key_reference("key_id"),
    created_at(),
    sa.PrimaryKeyConstraint("merchant_id", "vaulting_id", "kind"),
    _belongs_to_vaulting(),
    one_of("kind", "PROFILE", "SESSION"),
)

vaulting_inquiry = sa.Table(
    "vaulting_inquiry",
    metadata,
    column("merchant_id", sa.Text, DataClass.OUR_ID),
    column("vaulting_id", sa.Text, DataClass.OUR_ID),
    moment("next_at", nullable=False),
    column("attempts", sa.Integer, DataClass.OPERATIONAL, server_default=sa.text("0")),
    sa.PrimaryKeyConstraint("merchant_id", "vaulting_id"),
    _belongs_to_vaulting(),
    sa.Index(None, "next_at"),
)

token_deletion = sa.Table(
    "token_deletion",
    metadata,
    merchant_id(),
    column("owner_id", sa.Text, DataClass.OUR_ID, comment="the card or vaulting that the token came from"),
    column("sealed_in", sa.Text, DataClass.OPERATIONAL, comment="the table that the envelope was sealed for"),
    column("envelope", sa.LargeBinary, DataClass.SEALED),
    key_reference("key_id"),
    moment("next_at", nullable=False),
    column("attempts", sa.Integer, DataClass.OPERATIONAL, server_default=sa.text("0")),
    sa.PrimaryKeyConstraint("merchant_id", "owner_id"),
    sa.Index(None, "next_at"),
)
