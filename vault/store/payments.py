"""Rows of payments with their captures and refunds: found, locked, listed, changed.

It refuses to know the gateway and the rules of states. Invariants: a merchant's request id names one payment, by a
unique index; a payment appears as a draft (`vault.store.drafts`) and is never deleted.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

import asyncpg

from vault.audit.events import Event
from vault.db import Session, Transaction
from vault.money import Amount
from vault.payment import (
    Channel,
    Credential,
    Kind,
    Payment,
    Status,
    StoreCard,
    StoreState,
)
from vault.store.attempts import RELEASED
from vault.store.audit import encoded
from vault.store.cards import Page
from vault.store.columns import choice_of, face_of, json_text, result_of, result_values
from vault.store.movements import MOVEMENTS_OF_PAYMENT, movement_of

_SELECT = f"select p.*, clock_timestamp() as read_at, {MOVEMENTS_OF_PAYMENT} as movements from vault.payment p"


# Columns whose values need no reading.
_AS_THEY_ARE: Final = (
    "merchant_id",
    "id",
    "request_id",
    "order_reference",
    "buyer",
    "card_id",
    "digest",
    "digest_key_id",
    "capture_mode",
    "capture_status",
    "next_action",
    "gateway_payment_id",
    "not_sent",
    "metadata",
    "consent",
    "send_deadline",
    "expires_at",
    "authorisation_expires_at",
    "cancel_requested_at",
    "created_at",
    "updated_at",
    "read_at",
    "mandate_id",
    "authentication",
    "redirected",
    "finalised_at",
)


_CHANGES = (
    "status = $3, card_id = $4, store_state = $5, capture_status = $6, next_action = $7::jsonb, "
    "gateway_payment_id = $8, result_code = $9, result_status = $10, result_message = $11, result_info = $12::jsonb, "
    "not_sent = $13, authorisation_expires_at = $14, cancel_requested_at = $15, updated_at = clock_timestamp(), "
    "finalised_at = case when $16 then coalesce(finalised_at, clock_timestamp()) end, redirected = $17 "
    "where merchant_id = $1 and id = $2"
)
_SETTLE = f"""
with done as (
    update vault.payment set {_CHANGES} and status = $18 and updated_at = $19
    returning merchant_id, id, updated_at, finalised_at
), aud as (
    insert into vault.audit_pending (event_id, merchant_id, body) select $20, merchant_id, $21 from done
), later as (
    update vault.payment_inquiry i set attempts = 0, next_at = clock_timestamp() + make_interval(secs => $22::float8)
    from done where i.merchant_id = done.merchant_id and i.payment_id = done.id and $22::float8 is not null
), never as (
    delete from vault.payment_inquiry i using done
    where i.merchant_id = done.merchant_id and i.payment_id = done.id and $22::float8 is null
), {RELEASED}
select updated_at, finalised_at, clock_timestamp() as read_at from done
"""


def _payment(row: asyncpg.Record) -> Payment:
    return Payment(
        **{name: row[name] for name in _AS_THEY_ARE},
        kind=Kind(row["kind"]),
        status=Status(row["status"]),
        amount=Amount(row["currency"], str(row["value"])),
        credential=Credential(row["credential"]),
        store_card=row["store_card"] and StoreCard(row["store_card"]),
        store_state=StoreState(row["store_state"]),
        face=face_of(row) if row["brand"] is not None else None,
        result=result_of(row),
        result_info=row["result_info"] or {},
        movements=tuple(movement_of(entry) for entry in row["movements"]),
        choice=choice_of(row),
        channel=Channel(row["channel"]),
    )


async def find(session: Session, merchant_id: str, payment_id: str) -> Payment | None:
    """Give a merchant's payment by our id."""
    row = await session.row(f"{_SELECT} where p.merchant_id = $1 and p.id = $2", merchant_id, payment_id)
    return _payment(row) if row else None


async def find_by_request(session: Session, merchant_id: str, request_id: str) -> Payment | None:
    """Give a merchant's payment by the merchant's id."""
    row = await session.row(f"{_SELECT} where p.merchant_id = $1 and p.request_id = $2", merchant_id, request_id)
    return _payment(row) if row else None


async def find_by_gateway_id(session: Session, merchant_id: str, gateway_payment_id: str) -> Payment | None:
    """Give a merchant's payment by the gateway's id."""
    row = await session.row(
        f"{_SELECT} where p.merchant_id = $1 and p.gateway_payment_id = $2", merchant_id, gateway_payment_id
    )
    return _payment(row) if row else None


async def region_of_card(session: Session, merchant_id: str, card_id: str) -> str | None:
    """Give the region in which a card was processed last, as far as the gateway ever said so."""
    region: str | None = await session.value(
        "select result_info ->> 'paymentMethodRegion' from vault.payment where merchant_id = $1 and card_id = $2 "
        "and result_info ? 'paymentMethodRegion' order by created_at desc, id desc limit 1",
        merchant_id,
        card_id,
    )
    return region


async def lock(transaction: Transaction, merchant_id: str, payment_id: str) -> Payment:
    """Give a payment and keep others from changing it until the transaction ends; read as `cards.find` says."""
    await transaction.rows(
        "select from vault.payment where merchant_id = $1 and id = $2 for update", merchant_id, payment_id
    )
    payment = await find(transaction, merchant_id, payment_id)
    assert payment is not None  # noqa: S101 - payments are never deleted
    return payment


@dataclass(frozen=True, slots=True)
class PaymentFilter:
    """Which of a merchant's payments a list holds; None: any."""

    request_id: str | None = None
    order_reference: str | None = None
    created_from: datetime | None = None


async def listed(session: Session, merchant_id: str, wanted: PaymentFilter, page: Page) -> list[Payment]:
    """Give a merchant's payments, newest first."""
    created_at, payment_id = page.before or (None, None)
    rows = await session.rows(
        f"{_SELECT} where p.merchant_id = $1 and ($2::text is null or p.request_id = $2) "
        "and ($3::text is null or p.order_reference = $3) and ($4::timestamptz is null or p.created_at >= $4) "
        "and ($5::timestamptz is null or (p.created_at, p.id) < ($5, $6)) "
        "order by p.created_at desc, p.id desc limit $7",
        merchant_id,
        wanted.request_id,
        wanted.order_reference,
        wanted.created_from,
        created_at,
        payment_id,
        page.limit,
    )
    return [_payment(row) for row in rows]


async def save(transaction: Transaction, payment: Payment) -> None:
    """Write what may change of a locked payment."""
    await transaction.rows(f"update vault.payment set {_CHANGES}", *_changes(payment))


async def settle(
    session: Session, before: Payment, after: Payment, event: Event, seconds: float | None
) -> Payment | None:
    """Write a success with its event and schedule in one statement, if the payment is exactly as it was before.

    The next inquiry is in so many seconds, or never. None, and nothing done, when somebody else changed the payment.
    """
    row = await session.row(_SETTLE, *_changes(after), before.status, before.updated_at, *encoded(event), seconds)
    return replace(after, **row) if row else None


def _changes(payment: Payment) -> tuple[Any, ...]:
    return (
        payment.merchant_id,
        payment.id,
        payment.status,
        payment.card_id,
        payment.store_state,
        payment.capture_status,
        json_text(payment.next_action),
        payment.gateway_payment_id,
        *result_values(payment.result),
        json_text(payment.result_info),
        payment.not_sent,
        payment.authorisation_expires_at,
        payment.cancel_requested_at,
        payment.status.final,
        payment.redirected,
    )


async def forget_buyer(transaction: Transaction, merchant_id: str, buyer: str) -> list[str]:
    """Take a buyer's name off payments, with the consent given there; give the payments' ids."""
    rows = await transaction.rows(
        "update vault.payment set buyer = null, consent = null, metadata = null, updated_at = clock_timestamp(), "
        "store_state = case store_state when 'PENDING' then 'DROPPED' else store_state end "
        "where merchant_id = $1 and buyer = $2 returning id",
        merchant_id,
        buyer,
    )
    return [row["id"] for row in rows]
