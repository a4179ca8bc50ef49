"""When to ask the gateway next about something: schedules that workers share without a leader.

It refuses to know what is asked. Invariant: a claim moves the time on before it is answered, so that a worker that dies
leaves its work to another one, a lease later.
"""

from dataclasses import dataclass
from typing import Final

from vault.db import Session, Transaction


@dataclass(frozen=True, slots=True)
class Due:
    """Something that an inquiry about is due, and how many were made."""

    merchant_id: str
    object_id: str
    attempts: int


@dataclass(frozen=True, slots=True)
class Schedule:
    """A table of inquiries, and the column that names what they are about."""

    table: str
    column: str

    async def claim(self, session: Session, *, limit: int, lease_seconds: float) -> list[Due]:
        """Take what is due for this worker, for as long as the lease lasts."""
        rows = await session.rows(
            f"with due as (select ctid as at from vault.{self.table} "
            "where next_at <= clock_timestamp() order by next_at limit $1 for update skip locked) "
            f"update vault.{self.table} set next_at = clock_timestamp() + make_interval(secs => $2), "
            "attempts = attempts + 1 where ctid = any(array(select at from due)) "
            f"returning merchant_id, {self.column}, attempts",
            limit,
            lease_seconds,
        )
        return [Due(*row) for row in rows]

    async def schedule(
        self, session: Session, merchant_id: str, object_id: str, seconds: float, attempts: int = 0
    ) -> None:
        """Ask again in that many seconds."""
        await session.rows(
            f"insert into vault.{self.table} (merchant_id, {self.column}, next_at, attempts) "
            "values ($1, $2, clock_timestamp() + make_interval(secs => $3), $4) "
            f"on conflict (merchant_id, {self.column}) "
            "do update set next_at = excluded.next_at, attempts = excluded.attempts",
            merchant_id,
            object_id,
            seconds,
            attempts,
        )

    async def hasten(self, session: Session, merchant_id: str, object_id: str) -> None:
        """Ask as soon as a worker is free."""
        await self.schedule(session, merchant_id, object_id, 0.0)

    async def drop(self, session: Session, merchant_id: str, object_id: str) -> None:
        """Ask no more."""
        await session.rows(
            f"delete from vault.{self.table} where merchant_id = $1 and {self.column} = $2", merchant_id, object_id
        )


ABOUT_PAYMENTS: Final = Schedule("payment_inquiry", "payment_id")
ABOUT_VAULTINGS: Final = Schedule("vaulting_inquiry", "vaulting_id")
claim, schedule, hasten = ABOUT_PAYMENTS.claim, ABOUT_PAYMENTS.schedule, ABOUT_PAYMENTS.hasten


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
