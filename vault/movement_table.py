"""The tables of captures and refunds, and of captures that were told before their payment was known.

It refuses to know how rows are read or written (that is `vault.store.movements` and `vault.store.orphans`). Invariants
are those of `vault.tables`; and a request id of a merchant is one capture and one refund at most.
"""

import sqlalchemy as sa

from vault.merchant_tables import api_client, merchant
from vault.schema import DataClass, column, created_at, key_reference, metadata, moment, one_of
from vault.tables import belongs_to_payment

movement = sa.Table(
    "movement",
    metadata,
    column("merchant_id", sa.Text, DataClass.OUR_ID),
    column("id", sa.Text, DataClass.OUR_ID),
    column("payment_id", sa.Text, DataClass.OUR_ID),
    column("kind", sa.Text, DataClass.OPERATIONAL),
    column("request_id", sa.Text, DataClass.MERCHANT_REFERENCE),
    column("client_id", sa.Text, DataClass.OUR_ID, sa.ForeignKey(api_client.c.id), nullable=True),
    column("status", sa.Text, DataClass.GATEWAY_RESULT),
    column("currency", sa.Text, DataClass.MERCHANT_REFERENCE),
    column("value", sa.BigInteger, DataClass.MERCHANT_REFERENCE),
    column("is_last", sa.Boolean, DataClass.OPERATIONAL, server_default=sa.text("false")),
    column("gateway_id", sa.Text, DataClass.GATEWAY_RESULT, nullable=True),
    column("result_code", sa.Text, DataClass.GATEWAY_RESULT, nullable=True),
    column("result_status", sa.Text, DataClass.GATEWAY_RESULT, nullable=True),
    column("result_message", sa.Text, DataClass.GATEWAY_RESULT, nullable=True),
    column("not_sent", sa.Boolean, DataClass.OPERATIONAL, server_default=sa.text("false")),
    column("digest", sa.LargeBinary, DataClass.KEYED_HASH, nullable=True),
    key_reference("digest_key_id", nullable=True),
    moment("send_deadline"),
    created_at(),
    created_at("updated_at"),
    sa.PrimaryKeyConstraint("merchant_id", "id"),
    sa.UniqueConstraint("merchant_id", "kind", "request_id"),
    belongs_to_payment(),
    one_of("kind", "CAPTURE", "REFUND"),
    one_of("status", "CREATED", "PENDING", "SUCCESS", "FAIL"),
    sa.CheckConstraint("value > 0", name="value"),
    sa.CheckConstraint("not not_sent or status = 'FAIL'", name="not_sent"),
    sa.CheckConstraint("status <> 'CREATED' or send_deadline is not null", name="created"),
    sa.CheckConstraint("(digest is null) = (digest_key_id is null)", name="digest"),
    sa.Index(None, "merchant_id", "payment_id"),
)

orphan_capture = sa.Table(
    "orphan_capture",
    metadata,
    column("merchant_id", sa.Text, DataClass.OUR_ID, sa.ForeignKey(merchant.c.id)),
    column("gateway_payment_id", sa.Text, DataClass.GATEWAY_RESULT),
    column("request_id", sa.Text, DataClass.GATEWAY_RESULT),
    column("status", sa.Text, DataClass.GATEWAY_RESULT),
    column("currency", sa.Text, DataClass.GATEWAY_RESULT),
    column("value", sa.BigInteger, DataClass.GATEWAY_RESULT),
    column("gateway_id", sa.Text, DataClass.GATEWAY_RESULT, nullable=True),
    column("result_code", sa.Text, DataClass.GATEWAY_RESULT, nullable=True),
    column("result_status", sa.Text, DataClass.GATEWAY_RESULT, nullable=True),
    column("result_message", sa.Text, DataClass.GATEWAY_RESULT, nullable=True),
    moment("next_at", nullable=False),
    column("attempts", sa.Integer, DataClass.OPERATIONAL, server_default=sa.text("0")),
    created_at(),
    sa.PrimaryKeyConstraint("merchant_id", "gateway_payment_id", "request_id"),
    one_of("status", "SUCCESS", "FAIL"),
    sa.Index(None, "next_at"),
)
