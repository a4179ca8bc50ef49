"""Rows of attempts to charge a card: those that are open, and declines that a retry rule still looks at.

It refuses to know the rules. Invariants: what is judged was read under the locks of all the number's prints, and they
are held until the new attempt is committed; an attempt whose payment did not fail leaves no row behind.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import asyncpg

from keys.keyring import Fingerprint
from vault.attempt import Kept, Tried
from vault.db import Session, Transaction
from vault.money import Amount

_BATCH: Final = 1_000
# For payments that succeeded, named in a relation `done (merchant_id, id)`: their attempts are no longer open, and what
# only waited for the buyer waits no more. Rows are found from `done` on and changed where they were found, so that no
# plan begins with the table: it is empty whenever statistics are taken, and the planner would read it as a whole, once
# for each row in it (ADR 0032). Nobody changes the attempt of a payment that is locked; a decline of the same number
# that is told again meanwhile comes after.
RELEASED: Final = """
own as materialized (
    select a.* from done, lateral (select ctid as at, merchant_id, print, payment_id, mandate_id
        from vault.card_attempt where merchant_id = done.merchant_id and payment_id = done.id offset 0) a
), waiting as materialized (
    select a.at from own, lateral (select ctid as at from vault.card_attempt
        where merchant_id = own.merchant_id and print = own.print and kept = 'BUYER' and payment_id <> own.payment_id
        offset 0) a
    where own.mandate_id is null
), lifted as (
    update vault.card_attempt a set kept = 'WINDOW', refusal_code = null, advice_code = null
    from waiting where a.ctid = waiting.at
), released as (
    delete from vault.card_attempt a using own where a.ctid = own.at
)
"""
_RELEASE = f"with done as (select $1::text as merchant_id, $2::text as id), {RELEASED} select"
_PURGE = """
with old as (
    select a.merchant_id, a.print, a.place from vault.card_attempt a
    where a.declined_at < clock_timestamp() - $1::interval and (a.kept <> 'CARD' or not exists (select from vault.card c
            where c.merchant_id = a.merchant_id and c.id = a.card_id and c.status <> 'DELETED'))
    limit $2 for update skip locked
)
delete from vault.card_attempt a using old
where a.merchant_id = old.merchant_id and a.print = old.print and a.place = old.place
"""


@dataclass(frozen=True, slots=True)
class History:
    """What was tried with a number, by the database's clock, and the next place that is free."""

    tried: tuple[Tried, ...]
    place: int
    read_at: datetime


def _values(prints: Sequence[Fingerprint]) -> list[bytes]:
    return [each.value for each in prints]


async def claim(transaction: Transaction, merchant_id: str, prints: Sequence[Fingerprint]) -> None:
    """Keep others from charging the number until the transaction ends."""
    await transaction.rows(
        "select pg_advisory_xact_lock(l.lock) from (select distinct vault.attempt_lock($1, p.print) as lock "
        "from unnest($2::bytea[]) as p(print) order by 1) l",
        merchant_id,
        _values(prints),
    )


async def history(transaction: Transaction, merchant_id: str, prints: Sequence[Fingerprint]) -> History:
    """Give what was tried with a claimed number."""
    rows = await transaction.rows(
        "select a.*, coalesce(max(a.place) over (), 0) + 1 as next, n.now from (select clock_timestamp() as now) n "
        "left join vault.card_attempt a on a.merchant_id = $1 and a.print = any($2)",
        merchant_id,
        _values(prints),
    )
    tried = {row["payment_id"]: _tried(row) for row in rows if row["payment_id"] is not None}
    return History(tuple(tried.values()), rows[0]["next"], rows[0]["now"])


async def find(transaction: Transaction, merchant_id: str, payment_id: str) -> Tried | None:
    """Give the attempt that a payment is, if it is one that counts."""
    row = await transaction.row(
        "select * from vault.card_attempt where merchant_id = $1 and payment_id = $2 limit 1", merchant_id, payment_id
    )
    return _tried(row) if row else None


def _tried(row: asyncpg.Record) -> Tried:
    return Tried(
        Amount(row["currency"], str(row["value"])),
        row["network"],
        row["mandate_id"],
        row["expiry"],
        row["refusal_code"],
        row["advice_code"],
        row["declined_at"],
    )


async def release(transaction: Transaction, merchant_id: str, payment_id: str) -> None:
    """Take away the attempt of a payment that succeeded, and what only waited for the buyer."""
    await transaction.rows(_RELEASE, merchant_id, payment_id)


async def drop(transaction: Transaction, merchant_id: str, payment_id: str) -> None:
    """Take away the attempt of a payment that no network has seen, or that no rule is about."""
    await transaction.rows(
        "delete from vault.card_attempt where merchant_id = $1 and payment_id = $2", merchant_id, payment_id
    )


async def decline(transaction: Transaction, merchant_id: str, payment_id: str, tried: Tried, kept: Kept) -> None:
    """Write what a decline of a payment said, and how long it is needed; its time is that of the first word."""
    await transaction.rows(
        "update vault.card_attempt set declined_at = coalesce(declined_at, clock_timestamp()), network = $3, "
        "refusal_code = $4, advice_code = $5, kept = $6 where merchant_id = $1 and payment_id = $2",
        merchant_id,
        payment_id,
        tried.network,
        tried.refusal_code,
        tried.advice_code,
        kept,
    )


async def purge(session: Session, longest: timedelta) -> bool:
    """Delete declines that are older than any rule looks back; what holds for good goes with its card.

    Tells whether there may be more.
    """
    return len(await session.rows(f"{_PURGE} returning a.place", longest, _BATCH)) == _BATCH
