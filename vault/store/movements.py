"""Rows of captures and refunds: written before their call, or as the gateway reports them.

It refuses to know what they add up to and how they are judged. Invariants: a request id of a merchant is one capture
and one refund at most, by a unique index; a movement that is written ahead appears with its schedule and its event or
not at all.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from vault.audit.events import Event
from vault.db import Session, Transaction
from vault.money import Amount
from vault.movement import Movement, MovementKind, MovementSeen, MovementStatus
from vault.payment import Payment
from vault.store.audit import encoded
from vault.store.columns import result_of, result_values

_AS_JSON: Final = """jsonb_build_object('id', m.id, 'payment_id', m.payment_id, 'kind', m.kind, 'status', m.status,
    'request_id', m.request_id, 'currency', m.currency, 'value', m.value::text, 'is_last', m.is_last,
    'gateway_id', m.gateway_id, 'result_code', m.result_code, 'result_status', m.result_status,
    'result_message', m.result_message, 'not_sent', m.not_sent, 'digest', encode(m.digest, 'hex'),
    'digest_key_id', encode(m.digest_key_id, 'hex'), 'send_deadline', m.send_deadline,
    'under_way', m.status = 'CREATED' and clock_timestamp() < m.send_deadline, 'created_at', m.created_at,
    'updated_at', m.updated_at)"""

SEEN_COLUMNS: Final = "request_id, status, currency, value, gateway_id, result_code, result_status, result_message"

# An expression for statements about `vault.payment p`.
MOVEMENTS_OF_PAYMENT: Final = f"""(select coalesce(jsonb_agg({_AS_JSON} order by m.created_at, m.id), '[]')
    from vault.movement m where m.merchant_id = p.merchant_id and m.payment_id = p.id)"""

_BEGIN: Final = f"""
with ins as (
    insert into vault.movement as m (merchant_id, id, payment_id, kind, request_id, client_id, status, currency, value,
        is_last, digest, digest_key_id, send_deadline)
    values ($1, $2, $3, $4, $5, $6, 'CREATED', $7, $8, $9, $10, $11, clock_timestamp() + make_interval(secs => $12))
    on conflict (merchant_id, kind, request_id) do nothing returning send_deadline, {_AS_JSON} as made
), inq as (
    insert into vault.payment_inquiry as i (merchant_id, payment_id, next_at) select $1, $3, send_deadline from ins
    on conflict (merchant_id, payment_id) do update set next_at = least(i.next_at, excluded.next_at), attempts = 0
), aud as (
    insert into vault.audit_pending (event_id, merchant_id, body) select $13, $1, $14 from ins
)
select made from ins
"""


@dataclass(frozen=True, slots=True)
class MovementDraft:
    """A movement as it is written before the call; `sender_seconds` from now the sender must not send any more."""

    id: str
    kind: MovementKind
    request_id: str
    client_id: str | None
    amount: Amount
    is_last: bool
    digest: bytes | None
    digest_key_id: bytes | None
    sender_seconds: float


def movement_of(entry: Mapping[str, Any]) -> Movement:
    """Give the movement that a JSON object of the database holds."""
    return Movement(
        id=entry["id"],
        payment_id=entry["payment_id"],
        kind=MovementKind(entry["kind"]),
        request_id=entry["request_id"],
        status=MovementStatus(entry["status"]),
        amount=Amount(entry["currency"], entry["value"]),
        is_last=entry["is_last"],
        gateway_id=entry["gateway_id"],
        result=result_of(entry),
        not_sent=entry["not_sent"],
        digest=bytes.fromhex(entry["digest"]) if entry["digest"] else None,
        digest_key_id=bytes.fromhex(entry["digest_key_id"]) if entry["digest_key_id"] else None,
        send_deadline=datetime.fromisoformat(entry["send_deadline"]) if entry["send_deadline"] else None,
        under_way=entry["under_way"],
        created_at=datetime.fromisoformat(entry["created_at"]),
        updated_at=datetime.fromisoformat(entry["updated_at"]),
    )


def seen_values(seen: MovementSeen) -> tuple[Any, ...]:
    """Give the values of `SEEN_COLUMNS`; only what was told with its amount can be written."""
    assert seen.amount is not None  # noqa: S101 - judged to be bound, or read from a notification: it has one
    amount = (seen.amount.currency, seen.amount.minor)
    return seen.request_id, seen.status, *amount, seen.gateway_id, *result_values(seen.result)


async def begin(transaction: Transaction, payment: Payment, draft: MovementDraft, event: Event) -> Movement | None:
    """Write a movement of a locked payment before its call, and give it; None when its request id is taken."""
    made = await transaction.value(
        _BEGIN,
        payment.merchant_id,
        draft.id,
        payment.id,
        draft.kind,
        draft.request_id,
        draft.client_id,
        draft.amount.currency,
        draft.amount.minor,
        draft.is_last,
        draft.digest,
        draft.digest_key_id,
        draft.sender_seconds,
        *encoded(event),
    )
    return movement_of(made) if made else None


async def record_foreign(transaction: Transaction, payment: Payment, movement_id: str, seen: MovementSeen) -> bool:
    """Write a movement that the gateway reports and nobody asked for here; False when its request id is taken."""
    written = await transaction.row(
        "insert into vault.movement (merchant_id, id, payment_id, kind, "
        f"{SEEN_COLUMNS}) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, "
        "$11, $12) on conflict (merchant_id, kind, request_id) do nothing returning id",
        payment.merchant_id,
        movement_id,
        payment.id,
        seen.kind,
        *seen_values(seen),
    )
    return written is not None


async def save(transaction: Transaction, payment: Payment, movement: Movement) -> None:
    """Write what may change of a movement whose payment is held."""
    await transaction.rows(
        "update vault.movement set status = $3, gateway_id = $4, result_code = $5, result_status = $6, "
        "result_message = $7, not_sent = $8, updated_at = clock_timestamp() where merchant_id = $1 and id = $2",
        payment.merchant_id,
        movement.id,
        movement.status,
        movement.gateway_id,
        *result_values(movement.result),
        movement.not_sent,
    )


async def of(transaction: Transaction, payment: Payment) -> tuple[Movement, ...]:
    """Give the captures and refunds of a locked payment as they are now."""
    entries = await transaction.value(
        f"select {MOVEMENTS_OF_PAYMENT} from vault.payment p where p.merchant_id = $1 and p.id = $2",
        payment.merchant_id,
        payment.id,
    )
    return tuple(movement_of(entry) for entry in entries)


async def find(session: Session, merchant_id: str, kind: MovementKind, movement_id: str) -> Movement | None:
    """Give a merchant's capture or refund by our id."""
    entry = await session.value(
        f"select {_AS_JSON} from vault.movement m where m.merchant_id = $1 and m.kind = $2 and m.id = $3",
        merchant_id,
        kind,
        movement_id,
    )
    return movement_of(entry) if entry else None


async def find_by_request(session: Session, merchant_id: str, kind: MovementKind, request_id: str) -> Movement | None:
    """Give a merchant's capture or refund by the request id that the gateway knows it by."""
    entry = await session.value(
        f"select {_AS_JSON} from vault.movement m where m.merchant_id = $1 and m.kind = $2 and m.request_id = $3",
        merchant_id,
        kind,
        request_id,
    )
    return movement_of(entry) if entry else None
