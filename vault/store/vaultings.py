"""Rows of vaultings: written before their call, found, locked, changed.

It refuses to know the gateway and the rules of states. Invariants: a merchant's request id names one vaulting, by a
unique index; the vaulting, what is sealed with it, its schedule and its event appear in one statement or not at all.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import asyncpg

from vault.audit.events import Event
from vault.db import Session, Transaction
from vault.payment import Channel
from vault.store.audit import encoded
from vault.store.cards import Secrets, secret_arrays
from vault.store.columns import (
    FACE_COLUMNS,
    choice_of,
    face_of,
    face_values,
    json_text,
    keys_active,
    result_of,
    result_values,
)
from vault.store.waiting import WITH_VAULTINGS
from vault.stored_card import BrandChoice, CardFace
from vault.vaulting import Ending, Vaulting, VaultingStatus

_OPEN: Final = "status in ('CREATED', 'UNKNOWN', 'PROCESSING')"
_SELECT: Final = "select v.*, clock_timestamp() as read_at from vault.vaulting v"
_BEGIN: Final = f"""
with key as (select {keys_active("$26::bytea[] || array_remove(array[$16::bytea, $21], null)")} as active
), ins as (
    insert into vault.vaulting (merchant_id, request_id, id, client_id, channel, status, buyer, pending_card_id,
        card_id, {FACE_COLUMNS}, selected_brand, selected_region, is_default, digest, digest_key_id, redirected,
        authentication, metadata, consent, send_deadline, expires_at)
    select $1, $2, $3, $4, $5, 'CREATED', $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21,
        $22, $23::jsonb, $24::jsonb, $25::jsonb, clock_timestamp() + make_interval(secs => $29),
        clock_timestamp() + make_interval(secs => $30)
    from key where key.active
    on conflict (merchant_id, request_id) do nothing returning id, send_deadline
), sec as (
    insert into vault.vaulting_secret (merchant_id, vaulting_id, kind, envelope, key_id)
    select $1, ins.id, s.kind, s.envelope, s.key_id
    from ins, unnest($27::text[], $28::bytea[], $26::bytea[]) as s(kind, envelope, key_id)
), inq as (
    insert into vault.vaulting_inquiry (merchant_id, vaulting_id, next_at) select $1, id, send_deadline from ins
), aud as (
    insert into vault.audit_pending (event_id, merchant_id, body) select $31, $1, $32 from ins
)
select key.active, exists (select 1 from ins) as created from key
"""
_AS_THEY_ARE: Final = (
    "merchant_id",
    "id",
    "request_id",
    "buyer",
    "pending_card_id",
    "card_id",
    "is_default",
    "digest",
    "digest_key_id",
    "next_action",
    "redirected",
    "authentication",
    "metadata",
    "consent",
    "send_deadline",
    "expires_at",
    "created_at",
    "updated_at",
    "read_at",
)


@dataclass(frozen=True, slots=True)
class VaultingDraft:
    """A vaulting as it is written before its call; what `_seconds` mean is what they mean for payments."""

    merchant_id: str
    id: str
    request_id: str
    client_id: str
    channel: Channel
    buyer: str
    digest: bytes
    digest_key_id: bytes
    pending_card_id: str | None
    card_id: str | None
    face: CardFace | None
    choice: BrandChoice
    is_default: bool
    authentication: Mapping[str, Any] | None
    redirected: bool
    metadata: Mapping[str, Any] | None
    consent: Mapping[str, Any] | None
    secrets: Secrets
    sender_seconds: float
    open_seconds: float


@dataclass(frozen=True, slots=True)
class VaultingBegun:
    """What writing a draft came to; not created although the keys are active: the request id is taken."""

    created: bool
    keys_active: bool


async def begin(session: Session, draft: VaultingDraft, event: Event) -> VaultingBegun:
    """Write a vaulting before its call, unless its request id is taken or a key is retired."""
    kinds, envelopes, key_ids = secret_arrays(draft.secrets)
    row = await session.row(
        _BEGIN,
        draft.merchant_id,
        draft.request_id,
        draft.id,
        draft.client_id,
        draft.channel,
        draft.buyer,
        draft.pending_card_id,
        draft.card_id,
        *face_values(draft.face),
        draft.choice.brand,
        draft.choice.region,
        draft.is_default,
        draft.digest,
        draft.digest_key_id,
        draft.redirected,
        json_text(draft.authentication),
        json_text(draft.metadata),
        json_text(draft.consent),
        key_ids,
        kinds,
        envelopes,
        draft.sender_seconds,
        draft.open_seconds,
        *encoded(event),
    )
    assert row is not None  # noqa: S101 - a select from a one-row CTE
    return VaultingBegun(row["created"], row["active"])


def _vaulting(row: asyncpg.Record) -> Vaulting:
    return Vaulting(
        **{name: row[name] for name in _AS_THEY_ARE},
        channel=Channel(row["channel"]),
        status=VaultingStatus(row["status"]),
        ending=row["ending"] and Ending(row["ending"]),
        face=face_of(row) if row["brand"] is not None else None,
        choice=choice_of(row),
        result=result_of(row),
        result_info=row["result_info"] or {},
    )


async def find(session: Session, merchant_id: str, vaulting_id: str) -> Vaulting | None:
    """Give a merchant's vaulting by our id."""
    row = await session.row(f"{_SELECT} where v.merchant_id = $1 and v.id = $2", merchant_id, vaulting_id)
    return _vaulting(row) if row else None


async def find_by_request(session: Session, merchant_id: str, request_id: str) -> Vaulting | None:
    """Give a merchant's vaulting by the merchant's id."""
    row = await session.row(f"{_SELECT} where v.merchant_id = $1 and v.request_id = $2", merchant_id, request_id)
    return _vaulting(row) if row else None


async def find_by_pending_card(session: Session, merchant_id: str, card_id: str) -> Vaulting | None:
    """Give the vaulting that promised this card id."""
    row = await session.row(f"{_SELECT} where v.merchant_id = $1 and v.pending_card_id = $2", merchant_id, card_id)
    return _vaulting(row) if row else None


async def latest_of_card(session: Session, merchant_id: str, card_id: str) -> Vaulting | None:
    """Give the newest vaulting that stored a card."""
    row = await session.row(
        f"{_SELECT} where v.merchant_id = $1 and v.card_id = $2 and v.status = 'SUCCESS' "
        "order by v.created_at desc, v.id desc limit 1",
        merchant_id,
        card_id,
    )
    return _vaulting(row) if row else None


async def lock(transaction: Transaction, merchant_id: str, vaulting_id: str) -> Vaulting:
    """Give a vaulting that is there and keep others from changing it until the transaction ends."""
    row = await transaction.row(
        f"{_SELECT} where v.merchant_id = $1 and v.id = $2 for update of v", merchant_id, vaulting_id
    )
    assert row is not None  # noqa: S101 - vaultings are never deleted
    return _vaulting(row)


async def save(transaction: Transaction, vaulting: Vaulting) -> None:
    """Write what may change of a locked vaulting; how to recognise the card is of no use after the outcome."""
    await transaction.rows(
        "update vault.vaulting set status = $3, ending = $4, card_id = $5, next_action = $6::jsonb, redirected = $7, "
        "result_code = $8, result_status = $9, result_message = $10, result_info = $11::jsonb, "
        "fingerprint = case when $12 then null else fingerprint end, "
        "fingerprint_key_id = case when $12 then null else fingerprint_key_id end, "
        "updated_at = clock_timestamp() where merchant_id = $1 and id = $2",
        vaulting.merchant_id,
        vaulting.id,
        vaulting.status,
        vaulting.ending,
        vaulting.card_id,
        json_text(vaulting.next_action),
        vaulting.redirected,
        *result_values(vaulting.result),
        json_text(vaulting.result_info),
        vaulting.status.final,
    )


_ABANDON: Final = (
    "update vault.vaulting set status = 'FAIL', ending = 'ABANDONED', next_action = null, fingerprint = null, "
    f"fingerprint_key_id = null, updated_at = clock_timestamp() where merchant_id = $1 and {_OPEN}"
)


async def abandon_card(transaction: Transaction, merchant_id: str, card_id: str) -> list[str]:
    """End what is still open for a card, with what was sealed for it; give the vaultings' ids."""
    rows = await transaction.rows(
        f"{_ABANDON} and (card_id = $2 or pending_card_id = $2) returning id", merchant_id, card_id
    )
    return await _without_secrets(transaction, merchant_id, rows)


async def forget_buyer(transaction: Transaction, merchant_id: str, buyer: str) -> list[str]:
    """End what is open for a buyer and take the name off every vaulting; give the vaultings' ids."""
    await transaction.rows(f"{_ABANDON} and buyer = $2", merchant_id, buyer)
    rows = await transaction.rows(
        "update vault.vaulting set buyer = null, metadata = null, consent = null, updated_at = clock_timestamp() "
        "where merchant_id = $1 and buyer = $2 returning id",
        merchant_id,
        buyer,
    )
    return await _without_secrets(transaction, merchant_id, rows)


async def _without_secrets(transaction: Transaction, merchant_id: str, rows: list[asyncpg.Record]) -> list[str]:
    ids = [row["id"] for row in rows]
    await WITH_VAULTINGS.drop(transaction, merchant_id, ids)
    return ids
