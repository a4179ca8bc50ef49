"""Rows of mandates, and what was charged under them.

It refuses to know who may be charged when. Invariants: one card, initial payment and type has one active mandate, by a
unique index; charges are counted by a statement of its own after the mandate's row was locked, since a statement that
waits for a lock still sees the charges of before the wait.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import asyncpg

from vault.db import Session, Transaction
from vault.mandate import Charges, Evidence, EvidenceKind, Limits, Mandate, MandateStatus, RecurringType
from vault.money import Amount
from vault.store.cards import Page
from vault.store.columns import json_text

_CHARGES: Final = "from vault.payment p where p.merchant_id = m.merchant_id and p.mandate_id = m.id"
_COUNTS: Final = "status not in ('FAIL', 'CANCELLED')"
_SELECT: Final = f"""
select m.*, clock_timestamp() as read_at, (select max(p.created_at) {_CHARGES} and p.{_COUNTS}) as last_charged_at
from vault.mandate m
"""
_END: Final = (
    "update vault.mandate set status = 'ENDED', ended_at = clock_timestamp(), updated_at = clock_timestamp() "
    "where merchant_id = $1 and status <> 'ENDED'"
)


@dataclass(frozen=True, slots=True)
class NewMandate:
    """A mandate to insert."""

    merchant_id: str
    id: str
    card_id: str
    buyer: str
    initial_payment_id: str | None
    recurring_type: RecurringType
    limits: Limits
    network_transaction_id: str
    region: str | None
    evidence: Evidence
    consent: Mapping[str, Any] | None
    reference: str | None


def _mandate(row: asyncpg.Record) -> Mandate:
    cap = None if row["max_currency"] is None else Amount(row["max_currency"], str(row["max_value"]))
    return Mandate(
        merchant_id=row["merchant_id"],
        id=row["id"],
        card_id=row["card_id"],
        initial_payment_id=row["initial_payment_id"],
        recurring_type=RecurringType(row["recurring_type"]),
        stored_status=MandateStatus(row["status"]),
        limits=Limits(cap, row["valid_from"], row["valid_until"], row["minimum_interval_days"]),
        network_transaction_id=row["network_transaction_id"],
        region=row["region"],
        evidence=_evidence(row["evidence"]),
        consent=row["consent"],
        reference=row["reference"],
        last_charged_at=row["last_charged_at"],
        ended_at=row["ended_at"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        read_at=row["read_at"],
    )


def _evidence(kept: Mapping[str, Any]) -> Evidence:
    return Evidence(
        EvidenceKind(kept["kind"]),
        datetime.fromisoformat(kept["authenticatedAt"]),
        kept.get("threeDSVersion"),
        kept.get("eci"),
        kept.get("dsTransactionId"),
    )


def _evidence_text(evidence: Evidence) -> str | None:
    facts = {
        "threeDSVersion": evidence.three_ds_version,
        "eci": evidence.eci,
        "dsTransactionId": evidence.ds_transaction_id,
    }
    known = {name: fact for name, fact in facts.items() if fact is not None}
    return json_text({"kind": evidence.kind, "authenticatedAt": evidence.authenticated_at.isoformat(), **known})


async def insert(transaction: Transaction, new: NewMandate) -> None:
    """Insert a mandate; its card is locked by the caller, so that nobody inserts the same one meanwhile."""
    limits = new.limits
    await transaction.rows(
        "insert into vault.mandate (merchant_id, id, card_id, buyer, initial_payment_id, recurring_type, status, "
        "max_currency, max_value, valid_from, valid_until, minimum_interval_days, network_transaction_id, region, "
        "evidence, consent, reference) "
        "values ($1, $2, $3, $4, $5, $6, 'ACTIVE', $7, $8, $9, $10, $11, $12, $13, $14::jsonb, $15::jsonb, $16)",
        new.merchant_id,
        new.id,
        new.card_id,
        new.buyer,
        new.initial_payment_id,
        new.recurring_type,
        limits.cap and limits.cap.currency,
        limits.cap and limits.cap.minor,
        limits.start,
        limits.until,
        limits.interval_days,
        new.network_transaction_id,
        new.region,
        _evidence_text(new.evidence),
        json_text(new.consent),
        new.reference,
    )


async def find(session: Session, merchant_id: str, mandate_id: str) -> Mandate | None:
    """Give a merchant's mandate."""
    row = await session.row(f"{_SELECT} where m.merchant_id = $1 and m.id = $2", merchant_id, mandate_id)
    return _mandate(row) if row else None


async def lock(transaction: Transaction, merchant_id: str, mandate_id: str) -> Mandate:
    """Give a mandate that is there and keep others from changing or charging it until the transaction ends.

    Read as `cards.find` says.
    """
    await transaction.rows(
        "select from vault.mandate where merchant_id = $1 and id = $2 for update", merchant_id, mandate_id
    )
    mandate = await find(transaction, merchant_id, mandate_id)
    assert mandate is not None  # noqa: S101 - mandates are never deleted
    return mandate


async def find_same(transaction: Transaction, new: NewMandate) -> Mandate | None:
    """Give the mandate that is kept as active for the same card, initial payment (or imported id) and type."""
    row = await transaction.row(
        f"{_SELECT} where m.merchant_id = $1 and m.card_id = $2 and m.recurring_type = $3 and m.status = 'ACTIVE' "
        "and m.initial_payment_id is not distinct from $4 and ($4::text is not null or m.network_transaction_id = $5)",
        new.merchant_id,
        new.card_id,
        new.recurring_type,
        new.initial_payment_id,
        new.network_transaction_id,
    )
    return _mandate(row) if row else None


async def of_card(session: Session, merchant_id: str, card_id: str, page: Page) -> list[Mandate]:
    """Give a card's mandates, newest first."""
    created_at, mandate_id = page.before or (None, None)
    rows = await session.rows(
        f"{_SELECT} where m.merchant_id = $1 and m.card_id = $2 "
        "and ($3::timestamptz is null or (m.created_at, m.id) < ($3, $4)) "
        "order by m.created_at desc, m.id desc limit $5",
        merchant_id,
        card_id,
        created_at,
        mandate_id,
        page.limit,
    )
    return [_mandate(row) for row in rows]


async def charges(transaction: Transaction, mandate: Mandate) -> Charges:
    """Sum up what was charged under a locked mandate; a declined or voided charge counts for nothing."""
    row = await transaction.row(
        f"select count(*) filter (where status in ('CREATED', 'UNKNOWN', 'PROCESSING')) as open, "
        f"max(created_at) filter (where {_COUNTS}) as latest, now() as begun_at, clock_timestamp() as now "
        "from vault.payment where merchant_id = $1 and mandate_id = $2",
        mandate.merchant_id,
        mandate.id,
    )
    assert row is not None  # noqa: S101 - an aggregate gives one row
    return Charges(row["open"], row["latest"], row["begun_at"], row["now"])


async def expire(transaction: Transaction, mandate: Mandate) -> None:
    """Keep that a mandate's window is over, which makes room for a new mandate on the same payment."""
    await transaction.rows(
        "update vault.mandate set status = 'EXPIRED', updated_at = clock_timestamp() "
        "where merchant_id = $1 and id = $2",
        mandate.merchant_id,
        mandate.id,
    )


async def end(transaction: Transaction, merchant_id: str, mandate_id: str | None) -> list[str]:
    """End a mandate that can still be charged, and give its id."""
    rows = await transaction.rows(f"{_END} and id = $2 returning id", merchant_id, mandate_id)
    return [row["id"] for row in rows]


async def end_of_card(transaction: Transaction, merchant_id: str, card_id: str) -> list[str]:
    """End what can still be charged of a card, and give the mandates' ids."""
    rows = await transaction.rows(f"{_END} and card_id = $2 returning id", merchant_id, card_id)
    return [row["id"] for row in rows]


async def forget_buyer(transaction: Transaction, merchant_id: str, buyer: str) -> list[str]:
    """End a buyer's mandates and delete what could name the buyer; give the mandates' ids."""
    rows = await transaction.rows(
        "update vault.mandate set status = 'ENDED', ended_at = coalesce(ended_at, clock_timestamp()), buyer = null, "
        "network_transaction_id = null, consent = null, reference = null, updated_at = clock_timestamp() "
        "where merchant_id = $1 and buyer = $2 returning id",
        merchant_id,
        buyer,
    )
    return [row["id"] for row in rows]
