"""When to ask the gateway next about a payment: a schedule that workers share without a leader.

It refuses to know what is asked. Invariant: a claim moves the time on before it is answered, so that a worker that dies
leaves the payment to another one, a lease later.
"""

from dataclasses import dataclass

from vault.db import Session, Transaction


@dataclass(frozen=True, slots=True)
class Due:
    """A payment whose inquiry is due, and how many were made."""

    merchant_id: str
    payment_id: str
    attempts: int


_CLAIM = """
with due as (
    select merchant_id, payment_id from vault.payment_inquiry where next_at <= clock_timestamp()
    order by next_at limit $1 for update skip locked
)
update vault.payment_inquiry i set next_at = clock_timestamp() + make_interval(secs => $2), attempts = i.attempts + 1
from due where i.merchant_id = due.merchant_id and i.payment_id = due.payment_id
returning i.merchant_id, i.payment_id, i.attempts
"""


async def claim(session: Session, *, limit: int, lease_seconds: float) -> list[Due]:
    """Take due payments for this worker, for as long as the lease lasts."""
    return [Due(*row) for row in await session.rows(_CLAIM, limit, lease_seconds)]


async def schedule(session: Session, merchant_id: str, payment_id: str, seconds: float, attempts: int = 0) -> None:
    """Ask again in that many seconds."""
    await session.rows(
        "insert into vault.payment_inquiry (merchant_id, payment_id, next_at, attempts) "
        "values ($1, $2, clock_timestamp() + make_interval(secs => $3), $4) on conflict (merchant_id, payment_id) "
        "do update set next_at = excluded.next_at, attempts = excluded.attempts",
        merchant_id,
        payment_id,
        seconds,
        attempts,
    )


async def hasten(session: Session, merchant_id: str, payment_id: str) -> None:
    """Ask as soon as a worker is free."""
    await schedule(session, merchant_id, payment_id, 0.0)


async def enlist_expired(session: Session, limit: int) -> None:
    """Ask about authorisations that ended without a capture, and that nobody is asking about.

    Their rows are locked before the schedule's, as everywhere; one that somebody works on is left for the next time.
    """
    await session.rows(
        "insert into vault.payment_inquiry (merchant_id, payment_id, next_at) "
        "select p.merchant_id, p.id, p.authorisation_expires_at from vault.payment p where p.status = 'SUCCESS' "
        "and p.capture_mode = 'MANUAL' and p.capture_status = 'NONE' and not p.not_sent "
        "and p.authorisation_expires_at < clock_timestamp() and not exists (select from vault.payment_inquiry i "
        "where i.merchant_id = p.merchant_id and i.payment_id = p.id) "
        "order by p.authorisation_expires_at limit $1 for key share of p skip locked on conflict do nothing",
        limit,
    )


async def done(transaction: Transaction, merchant_id: str, payment_id: str) -> None:
    """Ask no more, unless a capture or refund without an outcome appeared meanwhile."""
    await transaction.rows(
        "delete from vault.payment_inquiry i where i.merchant_id = $1 and i.payment_id = $2 "
        "and not exists (select from vault.movement m where m.merchant_id = $1 and m.payment_id = $2 "
        "and m.status in ('CREATED', 'PENDING'))",
        merchant_id,
        payment_id,
    )
