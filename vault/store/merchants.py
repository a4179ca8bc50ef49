"""Rows of merchants, API clients and their secrets.

It refuses to know secrets in clear: they are found by their keyed hash.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import asyncpg

from keys.keyring import Envelope, Fingerprint
from vault.audit.events import Event
from vault.db import Session, Transaction
from vault.merchant import Merchant, MerchantSettings
from vault.store.audit import append
from vault.store.columns import json_text, keys_active

_MERCHANT = "select id, name, status, gateway_client_id, gateway_credentials, settings from vault.merchant"
_CLIENT_COLUMNS = (
    "c.id, c.merchant_id, c.name, c.scopes, c.cidrs, c.expires_at, c.revoked_at, c.created_at, c.limits, c.certificates"
)
_CLIENT = f"select {_CLIENT_COLUMNS} from vault.api_client c"
_PRESENT = f"""
select k.id as active_key, {_CLIENT_COLUMNS}, m.status = 'ACTIVE' as merchant_active,
    c.revoked_at is null and coalesce(c.expires_at > clock_timestamp(), true)
        and coalesce(s.expires_at > clock_timestamp(), true) as live
from vault.data_key k left join (vault.api_secret s join vault.api_client c on c.id = s.client_id
    join vault.merchant m on m.id = c.merchant_id) on s.hash = any($1)
where k.merchant_id = '' and k.purpose = 'fingerprint' and k.state = 'active'
"""


@dataclass(frozen=True, slots=True)
class ClientRow:
    """An API client; the moments are the database's, `limits` its own quotas by limit and window.

    `certificates` are the SHA-256 of those that it has to come with one of, if there are any.
    """

    id: str
    merchant_id: str
    name: str
    scopes: tuple[str, ...]
    cidrs: tuple[str, ...]
    expires_at: datetime | None
    revoked_at: datetime | None
    created_at: datetime
    limits: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    certificates: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class Presented:
    """The client to whom a presented secret belongs, and whether client and secret are still good."""

    client: ClientRow
    live: bool
    merchant_active: bool


def _merchant(row: asyncpg.Record) -> Merchant:
    settings = MerchantSettings.model_validate(row["settings"])
    return Merchant(
        row["id"],
        row["name"],
        row["status"] == "ACTIVE",
        row["gateway_client_id"],
        row["gateway_credentials"],
        settings,
    )


def _client(row: asyncpg.Record) -> ClientRow:
    return ClientRow(
        row["id"],
        row["merchant_id"],
        row["name"],
        tuple(row["scopes"]),
        tuple(row["cidrs"]),
        row["expires_at"],
        row["revoked_at"],
        row["created_at"],
        row["limits"],
        tuple(row["certificates"]),
    )


async def find(session: Session, merchant_id: str) -> Merchant | None:
    """Give a merchant."""
    row = await session.row(f"{_MERCHANT} where id = $1", merchant_id)
    return _merchant(row) if row else None


async def listed(session: Session) -> list[Merchant]:
    """Give all merchants, oldest first."""
    return [_merchant(row) for row in await session.rows(f"{_MERCHANT} order by created_at, id")]


async def insert(transaction: Transaction, merchant: Merchant, credentials: Envelope, event: Event) -> None:
    """Keep a new merchant."""
    await transaction.rows(
        "insert into vault.merchant (id, name, gateway_client_id, gateway_credentials, gateway_credentials_key_id, "
        "settings) values ($1, $2, $3, $4, $5, $6::jsonb)",
        merchant.id,
        merchant.name,
        merchant.gateway_client_id,
        credentials.data,
        credentials.key_id,
        merchant.settings.model_dump_json(by_alias=True, exclude_none=True),
    )
    await append(transaction, event)


async def update(transaction: Transaction, merchant: Merchant, event: Event) -> None:
    """Change a merchant's name, state and defaults."""
    await transaction.rows(
        "update vault.merchant set name = $2, status = $3, settings = $4::jsonb, updated_at = clock_timestamp() "
        "where id = $1",
        merchant.id,
        merchant.name,
        "ACTIVE" if merchant.active else "DISABLED",
        merchant.settings.model_dump_json(by_alias=True, exclude_none=True),
    )
    await append(transaction, event)


async def replace_credentials(
    transaction: Transaction, merchant: Merchant, credentials: Envelope, event: Event
) -> bool:
    """Put other sealed gateway keys in place of a merchant's present ones.

    False when those are others by now, or the key that the new ones are sealed with is not active any more.
    """
    rows = await transaction.rows(
        "update vault.merchant set gateway_credentials = $3, gateway_credentials_key_id = $4, "
        f"updated_at = clock_timestamp() where id = $1 and gateway_credentials = $2 and {keys_active('array[$4]')} "
        "returning id",
        merchant.id,
        merchant.gateway_credentials,
        credentials.data,
        credentials.key_id,
    )
    if rows:
        await append(transaction, event)
    return bool(rows)


async def present(session: Session, secret: Sequence[Fingerprint]) -> tuple[Presented | None, bytes | None]:
    """Find the client of a secret by its keyed hashes; beside it the id of the key that makes new ones."""
    row = await session.row(_PRESENT, [each.value for each in secret])
    if row is None:
        return None, None
    known = row["id"] is not None
    return Presented(_client(row), row["live"], row["merchant_active"]) if known else None, row["active_key"]


async def find_client(session: Session, client_id: str) -> ClientRow | None:
    """Give an API client."""
    row = await session.row(f"{_CLIENT} where c.id = $1", client_id)
    return _client(row) if row else None


async def clients(session: Session, merchant_id: str | None) -> list[ClientRow]:
    """Give the API clients of one merchant, or of all."""
    rows = await session.rows(
        f"{_CLIENT} where $1::text is null or c.merchant_id = $1 order by c.created_at", merchant_id
    )
    return [_client(row) for row in rows]


async def insert_client(transaction: Transaction, client: ClientRow, secret: Fingerprint, event: Event) -> None:
    """Keep a new API client with its first secret."""
    await transaction.rows(
        "insert into vault.api_client (id, merchant_id, name, scopes, cidrs, expires_at, limits, "
        "certificates) values ($1, $2, $3, $4, $5, $6, $7::jsonb, $8)",
        client.id,
        client.merchant_id,
        client.name,
        list(client.scopes),
        list(client.cidrs),
        client.expires_at,
        json_text(client.limits),
        list(client.certificates),
    )
    await _put_secret(transaction, client.id, 0, secret)
    await append(transaction, event)


async def _put_secret(transaction: Transaction, client_id: str, slot: int, secret: Fingerprint) -> None:
    await transaction.rows(
        "insert into vault.api_secret (hash, client_id, slot, key_id) values ($1, $2, $3, $4)",
        secret.value,
        client_id,
        slot,
        secret.key_id,
    )


async def rotate_secret(
    transaction: Transaction, client_id: str, secret: Fingerprint, overlap_seconds: float, event: Event
) -> None:
    """Add a secret beside the newest one, which goes on for the overlap; an older one ends now."""
    newest = await transaction.row(
        "select slot from vault.api_secret where client_id = $1 order by created_at desc, slot desc limit 1 for update",
        client_id,
    )
    slot = newest["slot"] if newest else 1
    await transaction.rows("delete from vault.api_secret where client_id = $1 and slot <> $2", client_id, slot)
    await transaction.rows(
        "update vault.api_secret set expires_at = clock_timestamp() + make_interval(secs => $2) where client_id = $1",
        client_id,
        overlap_seconds,
    )
    await _put_secret(transaction, client_id, 1 - slot, secret)
    await append(transaction, event)


async def revoke_client(transaction: Transaction, client_id: str, event: Event) -> bool:
    """End a client and its secrets at once; False when it had ended already."""
    rows: Sequence[asyncpg.Record] = await transaction.rows(
        "update vault.api_client set revoked_at = clock_timestamp() where id = $1 and revoked_at is null returning id",
        client_id,
    )
    if rows:
        await append(transaction, event)
    return bool(rows)


async def put_limits(
    transaction: Transaction, client_id: str, limits: Mapping[str, Mapping[str, int]], event: Event
) -> None:
    """Give a client other quotas of its own."""
    statement = "update vault.api_client set limits = $2::jsonb where id = $1"
    await transaction.rows(statement, client_id, json_text(limits))
    await append(transaction, event)


async def put_certificates(
    transaction: Transaction, client_id: str, certificates: Sequence[bytes], event: Event
) -> None:
    """Let a client come with these certificates, and with no other."""
    await transaction.rows("update vault.api_client set certificates = $2 where id = $1", client_id, list(certificates))
    await append(transaction, event)
