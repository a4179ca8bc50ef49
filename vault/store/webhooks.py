"""Rows of webhook endpoints and of their signing secrets.

It refuses to know secrets in clear and deliveries (`vault.store.deliveries`). Invariants: a secret is inserted only
while its key is active; an endpoint is never deleted, so that what was delivered to it keeps its meaning.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

import asyncpg

from keys.keyring import Envelope
from vault.db import Session, Transaction
from vault.store.columns import keys_active
from vault.webhook import Endpoint, EndpointStatus

_SELECT: Final = "select merchant_id, id, url, types, status, created_at, updated_at from vault.webhook_endpoint"
_ONE: Final = "where merchant_id = $1 and id = $2"
_OF_ENDPOINT: Final = "where merchant_id = $1 and endpoint_id = $2"
_END: Final = (
    f"delete from vault.webhook_secret {_OF_ENDPOINT}",
    f"delete from vault.webhook_pause {_OF_ENDPOINT}",
    f"update vault.webhook_delivery set status = 'FAILED', next_at = null {_OF_ENDPOINT} and next_at is not null",
)
_PUT_SECRET: Final = f"""
insert into vault.webhook_secret (merchant_id, id, endpoint_id, envelope, key_id)
select $1, $2, $3, $4, $5 where {keys_active("array[$5]")} returning id
"""


def _endpoint(row: asyncpg.Record) -> Endpoint:
    return Endpoint(
        row["merchant_id"],
        row["id"],
        row["url"],
        tuple(row["types"]),
        EndpointStatus(row["status"]),
        row["created_at"],
        row["updated_at"],
    )


async def listed(session: Session, merchant_id: str) -> list[Endpoint]:
    """Give a merchant's endpoints that are not deleted, oldest first."""
    statement = f"{_SELECT} where merchant_id = $1 and status <> 'DELETED' order by created_at, id"
    return [_endpoint(row) for row in await session.rows(statement, merchant_id)]


async def find(session: Session, merchant_id: str, endpoint_id: str) -> Endpoint | None:
    """Give a merchant's endpoint that is not deleted."""
    row = await session.row(f"{_SELECT} {_ONE} and status <> 'DELETED'", merchant_id, endpoint_id)
    return _endpoint(row) if row else None


async def lock_all(transaction: Transaction, merchant_id: str) -> None:
    """Keep others from adding endpoints of this merchant until the transaction ends."""
    await transaction.rows("select pg_advisory_xact_lock(hashtextextended($1, 0))", f"webhook_endpoint/{merchant_id}")


async def insert(
    transaction: Transaction, merchant_id: str, endpoint_id: str, url: str, types: Sequence[str]
) -> Endpoint:
    """Keep a new endpoint: it is told of what happens from now on."""
    row = await transaction.row(
        "insert into vault.webhook_endpoint (merchant_id, id, url, types) values ($1, $2, $3, $4) "
        "returning merchant_id, id, url, types, status, created_at, updated_at",
        merchant_id,
        endpoint_id,
        url,
        list(types),
    )
    assert row is not None  # noqa: S101 - an insertion gives its row
    return _endpoint(row)


async def lock(transaction: Transaction, merchant_id: str, endpoint_id: str) -> Endpoint | None:
    """Give an endpoint that is not deleted, and keep others from changing it until the transaction ends."""
    row = await transaction.row(f"{_SELECT} {_ONE} and status <> 'DELETED' for update", merchant_id, endpoint_id)
    return _endpoint(row) if row else None


async def put_secret(transaction: Transaction, endpoint: tuple[str, str], secret_id: str, envelope: Envelope) -> bool:
    """Keep a secret of an endpoint (merchant and id); False, and nothing done, when its key is no longer active."""
    merchant_id, endpoint_id = endpoint
    made = await transaction.row(_PUT_SECRET, merchant_id, secret_id, endpoint_id, envelope.data, envelope.key_id)
    return made is not None


async def expire_secrets(transaction: Transaction, endpoint: Endpoint, overlap_seconds: float) -> datetime | None:
    """Let the newest secret go on for the overlap and end older ones now; tells when the newest one ends."""
    await transaction.rows(
        "delete from vault.webhook_secret where merchant_id = $1 and endpoint_id = $2 and id <> (select id "
        "from vault.webhook_secret where merchant_id = $1 and endpoint_id = $2 order by created_at desc, id desc "
        "limit 1)",
        endpoint.merchant_id,
        endpoint.id,
    )
    ends: datetime | None = await transaction.value(
        "update vault.webhook_secret set expires_at = clock_timestamp() + make_interval(secs => $3) "
        "where merchant_id = $1 and endpoint_id = $2 returning expires_at",
        endpoint.merchant_id,
        endpoint.id,
        overlap_seconds,
    )
    return ends


async def end(transaction: Transaction, endpoint: Endpoint, status: EndpointStatus) -> None:
    """Tell an endpoint of nothing any more: what waits for it has failed, its secrets are gone."""
    await transaction.rows(
        f"update vault.webhook_endpoint set status = $3, updated_at = clock_timestamp() {_ONE}",
        endpoint.merchant_id,
        endpoint.id,
        status,
    )
    for statement in _END:
        await transaction.rows(statement, endpoint.merchant_id, endpoint.id)


async def test(transaction: Transaction, endpoint: Endpoint) -> UUID:
    """Have a test event written for one endpoint, and give its id."""
    await transaction.rows(
        f"update vault.webhook_endpoint set tested_at = clock_timestamp() {_ONE}", endpoint.merchant_id, endpoint.id
    )
    event_id: UUID = await transaction.value(
        "select id from vault.event where merchant_id = $1 and object_id = $2 order by sequence desc limit 1",
        endpoint.merchant_id,
        endpoint.id,
    )
    return event_id
