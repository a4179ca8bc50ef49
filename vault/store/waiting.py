"""Rows of credentials that wait with a payment until it is authorised.

It refuses to know where they go. Invariant: what was dropped is deleted, ciphertext included.
"""

from collections.abc import Sequence

from vault.db import Session, Transaction
from vault.stored_card import SecretKind


async def secrets(session: Session, merchant_id: str, payment_id: str) -> dict[SecretKind, bytes]:
    """Give the envelopes that wait with a payment."""
    rows = await session.rows(
        "select kind, envelope from vault.payment_secret where merchant_id = $1 and payment_id = $2",
        merchant_id,
        payment_id,
    )
    return {SecretKind(row["kind"]): row["envelope"] for row in rows}


async def drop(transaction: Transaction, merchant_id: str, payment_ids: Sequence[str]) -> None:
    """Delete what waited with payments, ciphertext included."""
    await transaction.rows(
        "delete from vault.payment_secret where merchant_id = $1 and payment_id = any($2)",
        merchant_id,
        list(payment_ids),
    )
