"""The tables of merchants and their API clients; the tables of merchant data refer to them.

It refuses to know how rows are read or written (that is `vault.store`). Invariants are those of `vault.tables`.
"""

from typing import Any

from sqlalchemy import ARRAY, Column, ForeignKey, Index, LargeBinary, SmallInteger, Table, Text, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import JSONB

import vault.key_tables  # noqa: F401 - the tables below refer to these by name
from vault.schema import DataClass, column, created_at, key_reference, metadata, moment, one_of

merchant = Table(
    "merchant",
    metadata,
    column("id", Text, DataClass.OUR_ID, primary_key=True),
    column("name", Text, DataClass.CONFIGURATION),
    column("status", Text, DataClass.OPERATIONAL, server_default=text("'ACTIVE'")),
    column("gateway_client_id", Text, DataClass.CONFIGURATION, unique=True),
    column("gateway_credentials", LargeBinary, DataClass.SEALED),
    key_reference("gateway_credentials_key_id"),
    column("settings", JSONB, DataClass.CONFIGURATION, server_default=text("'{}'")),
    created_at(),
    created_at("updated_at"),
    one_of("status", "ACTIVE", "DISABLED"),
)


def merchant_id() -> Column[Any]:
    """Declare the column that says whose a row is."""
    return column("merchant_id", Text, DataClass.OUR_ID, ForeignKey(merchant.c.id))


api_client = Table(
    "api_client",
    metadata,
    column("id", Text, DataClass.OUR_ID, primary_key=True),
    merchant_id(),
    column("name", Text, DataClass.CONFIGURATION),
    column("scopes", ARRAY(Text), DataClass.CONFIGURATION),
    column("cidrs", ARRAY(Text), DataClass.CONFIGURATION, server_default=text("'{}'")),
    column(
        "certificates",
        ARRAY(LargeBinary),
        DataClass.CONFIGURATION,
        server_default=text("'{}'"),
        comment="SHA-256 of each that it may come with; empty: none is needed",
    ),
    column("limits", JSONB, DataClass.CONFIGURATION, server_default=text("'{}'")),
    moment("expires_at"),
    moment("revoked_at"),
    created_at(),
    Index(None, "merchant_id"),
)

api_secret = Table(
    "api_secret",
    metadata,
    column("hash", LargeBinary, DataClass.KEYED_HASH, primary_key=True),
    column("client_id", Text, DataClass.OUR_ID, ForeignKey(api_client.c.id)),
    column("slot", SmallInteger, DataClass.OPERATIONAL),
    key_reference("key_id"),
    created_at(),
    moment("expires_at"),
    UniqueConstraint("client_id", "slot"),
    one_of("slot", "0", "1"),
)
