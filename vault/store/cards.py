"""Rows of cards and of what is sealed beside them.

It refuses to know what a card is used for (cards that are new: `vault.store.new_cards`). Invariants: an envelope is
replaced only while its key is active; a locked card is read after the wait for its lock.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpg

from keys.keyring import Envelope, Fingerprint
from vault.card import Expiry
from vault.db import Session, Transaction
from vault.store.columns import FACE_COLUMNS, choice_of, face_of, json_text, keys_active
from vault.stored_card import BrandChoice, CardStatus, DeletionReason, SecretKind, StoredCard

Secrets = Mapping[SecretKind, Envelope]

_OF_CARD = "from vault.card_secret s where s.merchant_id = c.merchant_id and s.card_id = c.id"
_SELECT = f"""
select c.merchant_id, c.id, c.buyer, {FACE_COLUMNS}, c.issuing_country, c.funding, c.status, c.is_default,
    c.network_transaction_id, c.metadata, c.selected_brand, c.selected_region, c.created_at,
    c.updated_at, clock_timestamp() as read_at,
    coalesce((select array_agg(s.kind order by s.kind) {_OF_CARD}), '{{}}') as kinds,
    coalesce((select array_agg(s.envelope order by s.kind) {_OF_CARD}), '{{}}') as envelopes
from vault.card c
"""
# The lists are hidden from the planner, which would plan for each length anew; then each card is found by itself.
_EACH = _SELECT.replace(
    "from vault.card c",
    """from unnest((select $1::text[]), (select $2::text[])) as named(merchant_id, id), lateral (
    select * from vault.card where merchant_id = named.merchant_id and id = named.id offset 0
) c""",
)
_PUT_SECRETS = f"""
with put as (
    insert into vault.card_secret (merchant_id, card_id, kind, envelope, key_id)
    select $1, $2, s.kind, s.envelope, s.key_id
    from unnest($3::text[], $4::bytea[], $5::bytea[]) as s(kind, envelope, key_id) where {keys_active("$5")}
    on conflict (merchant_id, card_id, kind) do update set envelope = excluded.envelope, key_id = excluded.key_id
    returning 1
)
select count(*) = cardinality($3::text[]) from put
"""
_DELETE_SECRETS = """
with gone as (
    delete from vault.card_secret where merchant_id = $1 and card_id = any($2)
    returning merchant_id, card_id, kind, envelope, key_id
)
insert into vault.token_deletion (merchant_id, owner_id, sealed_in, envelope, key_id, next_at)
select merchant_id, card_id, 'card_secret', envelope, key_id, clock_timestamp() from gone where kind = 'TOKEN'
"""
_DELETE = """
update vault.card set status = 'DELETED', buyer = null, fingerprint = null, fingerprint_key_id = null,
    token_print = null, token_print_key_id = null, is_default = false, metadata = null, consent = null,
    network_transaction_id = null, selected_brand = null, selected_region = null, deletion_reason = $3,
    updated_at = clock_timestamp()
where merchant_id = $1 and id = any($2) and status <> 'DELETED'
"""


@dataclass(frozen=True, slots=True)
class CardChange:
    """New values of a card; None leaves a value as it is, an empty choice takes the present one away."""

    expiry: Expiry | None = None
    is_default: bool | None = None
    status: CardStatus | None = None
    issuing_country: str | None = None
    funding: str | None = None
    network_transaction_id: str | None = None
    metadata: Mapping[str, Any] | None = None
    consent: Mapping[str, Any] | None = None
    choice: BrandChoice | None = None
    token_print: Fingerprint | None = None

    @property
    def empty(self) -> bool:
        """Tell whether nothing would change."""
        return self == CardChange()


@dataclass(frozen=True, slots=True)
class Page:
    """Where a page of a list starts, exclusively, and how long it is."""

    before: tuple[datetime, str] | None
    limit: int


def secret_arrays(secrets: Secrets) -> tuple[list[str], list[bytes], list[bytes]]:
    """Give kinds, envelopes and key ids as parallel arrays."""
    return (
        [kind.value for kind in secrets],
        [envelope.data for envelope in secrets.values()],
        [envelope.key_id for envelope in secrets.values()],
    )


def _card(row: asyncpg.Record) -> StoredCard:
    return StoredCard(
        merchant_id=row["merchant_id"],
        id=row["id"],
        buyer=row["buyer"],
        face=face_of(row),
        issuing_country=row["issuing_country"],
        funding=row["funding"],
        stored_status=CardStatus(row["status"]),
        is_default=row["is_default"],
        network_transaction_id=row["network_transaction_id"],
        metadata=row["metadata"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        read_at=row["read_at"],
        choice=choice_of(row),
        secrets=dict(zip(map(SecretKind, row["kinds"]), row["envelopes"], strict=True)),
    )


async def find(session: Session, merchant_id: str, card_id: str, *, lock: bool = False) -> StoredCard | None:
    """Give a merchant's card with its envelopes, also a deleted one; locked until the transaction ends if wanted.

    Locked first and read by a statement of its own: one that waits for a lock reads other tables as they were before.
    """
    if lock:
        await session.rows("select from vault.card where merchant_id = $1 and id = $2 for update", merchant_id, card_id)
    row = await session.row(f"{_SELECT} where c.merchant_id = $1 and c.id = $2", merchant_id, card_id)
    return _card(row) if row else None


async def find_each(session: Session, named: Sequence[tuple[str, str]]) -> list[StoredCard | None]:
    """Give cards by merchant and id, in the same order, also deleted ones; None for one that is not there."""
    rows = await session.rows(_EACH, [merchant_id for merchant_id, _ in named], [card_id for _, card_id in named])
    found = {(row["merchant_id"], row["id"]): row for row in rows}
    return [_card(found[each]) if each in found else None for each in named]


async def find_all(session: Session, merchant_id: str, card_ids: Sequence[str]) -> list[StoredCard]:
    """Give those of a merchant's cards, deleted ones included."""
    rows = await session.rows(f"{_SELECT} where c.merchant_id = $1 and c.id = any($2)", merchant_id, list(card_ids))
    return [_card(row) for row in rows]


async def share(transaction: Transaction, merchant_id: str, card_id: str) -> None:
    """Keep a card from being deleted or erased until the transaction ends, and let others do the same."""
    await transaction.rows(
        "select from vault.card where merchant_id = $1 and id = $2 for key share", merchant_id, card_id
    )


async def find_by_fingerprint(
    session: Session, merchant_id: str, buyer: str, fingerprints: Sequence[bytes], *, lock: bool = False
) -> StoredCard | None:
    """Give the buyer's live card whose number or token has one of these keyed hashes; locked if wanted."""
    row = await session.row(
        f"{_SELECT} where c.merchant_id = $1 and c.buyer = $2 "
        "and (c.fingerprint = any($3) or c.token_print = any($3)) order by c.created_at limit 1",
        merchant_id,
        buyer,
        list(fingerprints),
    )
    if row is None or not lock:
        return _card(row) if row else None
    card = await find(session, merchant_id, row["id"], lock=True)
    return card if card is not None and card.buyer == buyer else None


async def know_token(session: Session, merchant_id: str, prints: Sequence[Fingerprint]) -> bool | None:
    """Tell whether one of the merchant's live cards has a token with one of these keyed hashes.

    None when the first of them was not made with the active key: then there may be a card that they do not find.
    """
    row = await session.row(
        "select exists (select from vault.card where merchant_id = $1 and token_print = any($2)), "
        f"{keys_active('array[$3::bytea]')}",
        merchant_id,
        [each.value for each in prints],
        prints[0].key_id,
    )
    assert row is not None  # noqa: S101 - a select without a table gives one row
    return bool(row[0]) if row[0] or row[1] else None


async def of_buyer(session: Session, merchant_id: str, buyer: str, page: Page) -> list[StoredCard]:
    """Give a buyer's live cards, newest first."""
    created_at, card_id = page.before or (None, None)
    rows = await session.rows(
        f"{_SELECT} where c.merchant_id = $1 and c.buyer = $2 "
        "and ($3::timestamptz is null or (c.created_at, c.id) < ($3, $4)) "
        "order by c.created_at desc, c.id desc limit $5",
        merchant_id,
        buyer,
        created_at,
        card_id,
        page.limit,
    )
    return [_card(row) for row in rows]


async def put_secrets(transaction: Transaction, merchant_id: str, card_id: str, secrets: Secrets) -> bool:
    """Insert or replace what is sealed beside a card; False, and nothing done, when a key is no longer active."""
    kinds, envelopes, key_ids = secret_arrays(secrets)
    return bool(await transaction.value(_PUT_SECRETS, merchant_id, card_id, kinds, envelopes, key_ids))


async def update(transaction: Transaction, card: StoredCard, change: CardChange) -> None:
    """Apply a change to a locked card; a new default takes the flag from the buyer's other cards."""
    if change.is_default:
        await transaction.rows(
            "update vault.card set is_default = false "
            "where merchant_id = $1 and buyer = $2 and is_default and id <> $3",
            card.merchant_id,
            card.buyer,
            card.id,
        )
    await transaction.rows(
        "update vault.card set expiry_month = coalesce($3, expiry_month), expiry_year = coalesce($4, expiry_year), "
        "expired_at = case when ($3, $4) <> (expiry_month, expiry_year) then null else expired_at end, "
        "is_default = coalesce($5, is_default), status = coalesce($6, status), "
        "issuing_country = coalesce($7, issuing_country), funding = coalesce($8, funding), "
        "network_transaction_id = coalesce($9, network_transaction_id), metadata = coalesce($10::jsonb, metadata), "
        "consent = coalesce($11::jsonb, consent), selected_brand = case when $12 then $13 else selected_brand end, "
        "selected_region = case when $12 then $14 else selected_region end, "
        "token_print = coalesce($15, token_print), token_print_key_id = coalesce($16, token_print_key_id), "
        "updated_at = clock_timestamp() where merchant_id = $1 and id = $2",
        card.merchant_id,
        card.id,
        change.expiry and change.expiry.month,
        change.expiry and change.expiry.year,
        change.is_default,
        change.status,
        change.issuing_country,
        change.funding,
        change.network_transaction_id,
        json_text(change.metadata),
        json_text(change.consent),
        change.choice is not None,
        change.choice.brand if change.choice else None,
        change.choice.region if change.choice else None,
        change.token_print and change.token_print.value,
        change.token_print and change.token_print.key_id,
    )


async def delete(transaction: Transaction, merchant_id: str, card_ids: Sequence[str], reason: DeletionReason) -> None:
    """Make cards unusable for good: what was sealed, who bought and how to recognise the number are gone.

    A token waits as it was sealed for a worker that has the gateway delete it.
    """
    await transaction.rows(_DELETE_SECRETS, merchant_id, list(card_ids))
    await transaction.rows(_DELETE, merchant_id, list(card_ids), reason)


async def lock_buyer(transaction: Transaction, merchant_id: str, buyer: str) -> list[str]:
    """Give the ids of a buyer's live cards, locked in the order of their ids."""
    rows = await transaction.rows(
        "select id from vault.card where merchant_id = $1 and buyer = $2 order by id for update", merchant_id, buyer
    )
    return [row["id"] for row in rows]
