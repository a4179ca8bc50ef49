"""Rows of payments with their captures and refunds: found, locked, listed, changed.

It refuses to know the gateway and the rules of states. Invariants: a merchant's request id names one payment, by a
unique index; a payment appears as a draft (`vault.store.drafts`) and is never deleted.
"""

from collections.abc import Sequence
from dataclasses import dataclass
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
from vault.store.audit import APPEND, EVENT, event_row
from vault.store.cards import Page
from vault.store.columns import as_row, choice_of, face_of, result_of, result_values, rows_of
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


_CHANGED: Final = {
    "status": "text",
    "card_id": "text",
    "store_state": "text",
    "capture_status": "text",
    "next_action": "jsonb",
    "gateway_payment_id": "text",
    "result_code": "text",
    "result_status": "text",
    "result_message": "text",
    "result_info": "jsonb",
    "not_sent": "boolean",
    "authorisation_expires_at": "timestamptz",
    "cancel_requested_at": "timestamptz",
    "redirected": "boolean",
}
_SAVED: Final = {"merchant_id": "text", "id": "text", "final": "boolean"} | _CHANGED
_SETTLED: Final = _SAVED | {"old_status": "text", "old_updated_at": "timestamptz", "seconds": "float8"} | EVENT
_SAVE: Final = f"""
update vault.payment p set {", ".join(f"{name} = given.{name}" for name in _CHANGED)}, updated_at = clock_timestamp(),
    finalised_at = case when given.final then coalesce(p.finalised_at, clock_timestamp()) end
"""
_SAVE_LOCKED: Final = f"""
with given as ({rows_of(_SAVED)}) {_SAVE} from given where p.merchant_id = given.merchant_id and p.id = given.id
"""
# Who finds a payment locked waits for nobody: the answer is the same as for one that was changed already. Rows are
# found one by one and changed where they were found, for the reason that `attempts.RELEASED` has.
_SETTLE: Final = f"""
with given as (
    {rows_of(_SETTLED)}
), same as materialized (
    select given.*, p.at from given, lateral (select ctid as at from vault.payment
        where merchant_id = given.merchant_id and id = given.id and status = old_status and updated_at = old_updated_at
        for update skip locked) p
), done as (
    {_SAVE} from same given where p.ctid = given.at
    returning p.merchant_id, p.id, p.updated_at, p.finalised_at, given.event_id, given.body, given.seconds
), aud as (
    {APPEND} done
), asked as materialized (
    select i.at, done.seconds from done, lateral (select ctid as at from vault.payment_inquiry
        where merchant_id = done.merchant_id and payment_id = done.id offset 0) i
), later as (
    update vault.payment_inquiry i set attempts = 0, next_at = clock_timestamp() + make_interval(secs => asked.seconds)
    from asked where i.ctid = asked.at and asked.seconds is not null
), never as (
    delete from vault.payment_inquiry i using asked where i.ctid = asked.at and asked.seconds is null
), {RELEASED}
select id, updated_at, finalised_at, clock_timestamp() as read_at from done
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
    await transaction.rows(_SAVE_LOCKED, [as_row(_saved(payment))])


@dataclass(frozen=True, slots=True)
class Settlement:
    """A change of a payment with its event, ready for the statement."""

    after: Payment
    row: str


def settlement(before: Payment, after: Payment, event: Event, seconds: float | None) -> Settlement:
    """Make a change ready to be written; the next inquiry is in so many seconds after it, or never."""
    was = {"old_status": before.status, "old_updated_at": before.updated_at}
    return Settlement(after, as_row(_saved(after) | was | {"seconds": seconds} | event_row(event)))


async def settle(session: Session, settlements: Sequence[Settlement]) -> list[Payment | None]:
    """Write successes with events and schedules in one statement, of payments that are exactly as they were before.

    None, and nothing done, for one that somebody else has changed or is changing.
    """
    rows = await session.rows(_SETTLE, [each.row for each in settlements])
    found = {row["id"]: dict(row) for row in rows}
    return [each.after._replace(**found[each.after.id]) if each.after.id in found else None for each in settlements]


def _saved(payment: Payment) -> dict[str, Any]:
    code, status, message = result_values(payment.result)
    return {
        "merchant_id": payment.merchant_id,
        "id": payment.id,
        "final": payment.status.final,
        "status": payment.status,
        "card_id": payment.card_id,
        "store_state": payment.store_state,
        "capture_status": payment.capture_status,
        "next_action": payment.next_action,
        "gateway_payment_id": payment.gateway_payment_id,
        "result_code": code,
        "result_status": status,
        "result_message": message,
        "result_info": payment.result_info,
        "not_sent": payment.not_sent,
        "authorisation_expires_at": payment.authorisation_expires_at,
        "cancel_requested_at": payment.cancel_requested_at,
        "redirected": payment.redirected,
    }


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
