"""Rows of captures, as the gateway reports them.

It refuses to know what captures add up to. Invariant: one request id of a payment is one capture, and its outcome is
written once.
"""

from vault.db import Transaction
from vault.payment import CaptureSeen, Payment


async def record(transaction: Transaction, payment: Payment, capture_id: str, seen: CaptureSeen) -> bool:
    """Insert a capture or advance the one with this request id; False when it was already so."""
    written = await transaction.row(
        "insert into vault.capture (merchant_id, id, payment_id, request_id, gateway_capture_id, status, currency, "
        "value) values ($1, $2, $3, $4, $5, $6, $7, $8) on conflict (merchant_id, payment_id, request_id) do update "
        "set status = excluded.status, updated_at = clock_timestamp(), "
        "gateway_capture_id = coalesce(excluded.gateway_capture_id, vault.capture.gateway_capture_id) "
        "where vault.capture.status = 'PENDING' and excluded.status <> 'PENDING' returning id",
        payment.merchant_id,
        capture_id,
        payment.id,
        seen.request_id,
        seen.gateway_id,
        seen.status,
        seen.amount.currency,
        seen.amount.minor,
    )
    return written is not None
