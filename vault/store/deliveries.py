"""Rows of deliveries: taken by workers, marked with what came of each attempt, shown, and sent again on demand.

It refuses to know connections and signatures. Invariants: a claim moves the time on before anything is sent, so that a
worker that dies leaves the delivery to another one; what was acknowledged is not claimed again; only the newest attempt
of a round may say that it failed, any of that round that it succeeded.
"""

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

import asyncpg
import orjson

from vault.db import Session, Transaction
from vault.store.cards import Page
from vault.store.events import EVENT_COLUMNS, event_of
from vault.webhook import Attempt, Claimed, Delivery, DeliveryStatus

_LOGGED: Final = 20

# A few of each endpoint, the longest waiting first: one that is slow or behind cannot keep the others waiting.
_CLAIM: Final = f"""
with due as (
    select d.* from vault.webhook_endpoint w cross join lateral (
        select d.merchant_id, d.event_id, d.endpoint_id, d.next_at from vault.webhook_delivery d
        where d.merchant_id = w.merchant_id and d.endpoint_id = w.id and d.next_at <= now()
        order by d.next_at limit $2 for update skip locked
    ) d
    where w.status = 'ACTIVE' and w.id <> all($3::text[]) and not exists (select from vault.webhook_pause p
        where p.merchant_id = w.merchant_id and p.endpoint_id = w.id and p.until > now())
    order by d.next_at limit $1
), taken as (
    update vault.webhook_delivery d set tries = d.tries + 1, updated_at = clock_timestamp(),
        next_at = clock_timestamp() + make_interval(secs => $4)
    from due where (d.merchant_id, d.event_id, d.endpoint_id) = (due.merchant_id, due.event_id, due.endpoint_id)
    returning d.*
)
select {EVENT_COLUMNS}, taken.endpoint_id, taken.round, taken.tries, w.url, s.ids, s.envelopes
from taken join vault.event e on e.merchant_id = taken.merchant_id and e.id = taken.event_id
    join vault.webhook_endpoint w on w.merchant_id = taken.merchant_id and w.id = taken.endpoint_id
    cross join lateral (
        select coalesce(array_agg(k.id order by k.created_at desc, k.id desc), '{{}}') as ids,
            coalesce(array_agg(k.envelope order by k.created_at desc, k.id desc), '{{}}') as envelopes
        from vault.webhook_secret k where k.merchant_id = w.merchant_id and k.endpoint_id = w.id
            and (k.expires_at is null or k.expires_at > now())
    ) s
"""
_THIS: Final = "merchant_id = $1 and event_id = $2 and endpoint_id = $3 and round = $4"
_LOG: Final = f"(case when jsonb_array_length(log) >= {_LOGGED} then log - 0 else log end) || $5::jsonb"
_DELIVERED: Final = f"""
with done as (
    update vault.webhook_delivery set status = 'DELIVERED', next_at = null, log = {_LOG}, updated_at = clock_timestamp()
    where {_THIS}
)
delete from vault.webhook_pause where merchant_id = $1 and endpoint_id = $3
"""
_FAILED: Final = f"""
update vault.webhook_delivery set status = case when $7::float8 is null then 'FAILED' else 'PENDING' end,
    next_at = clock_timestamp() + make_interval(secs => $7::float8 * (0.9 + 0.2 * random())), log = {_LOG},
    updated_at = clock_timestamp()
where {_THIS} and tries = $6 and status = 'PENDING'
"""
_PAUSE: Final = """
insert into vault.webhook_pause as p (merchant_id, endpoint_id, failures, until)
values ($1, $2, 1, now() + make_interval(secs => greatest($3::float8, $5::float8)))
on conflict (merchant_id, endpoint_id) do update set
    failures = p.failures + case when p.until <= now() then 1 else 0 end,
    until = greatest(p.until, now() + make_interval(secs =>
        greatest(least($3::float8 * 2 ^ least(p.failures, 20), $4::float8), $5::float8)))
"""
_AGAIN: Final = """
insert into vault.webhook_delivery as d (merchant_id, event_id, endpoint_id, next_at)
select $1, $2, w.id, clock_timestamp() from vault.webhook_endpoint w
where w.merchant_id = $1 and w.status = 'ACTIVE' and ($3::text is null or w.id = $3)
on conflict (merchant_id, event_id, endpoint_id) do update set status = 'PENDING', round = d.round + 1, tries = 0,
    next_at = clock_timestamp(), updated_at = clock_timestamp()
returning endpoint_id
"""
_LISTED: Final = f"""
select {EVENT_COLUMNS}, d.endpoint_id, d.status, d.next_at, d.log, d.created_at, d.updated_at
from vault.webhook_delivery d join vault.event e on e.merchant_id = d.merchant_id and e.id = d.event_id
where d.merchant_id = $1 and d.endpoint_id = $2 and ($3::text is null or d.status = $3)
    and ($4::uuid is null or d.event_id < $4)
order by d.event_id desc limit $5
"""


async def claim(
    session: Session, *, limit: int, of_each: int, busy: Sequence[str], lease_seconds: float
) -> list[Claimed]:
    """Take deliveries that are due, a few of each endpoint that is neither pausing nor busy."""
    return [_claimed(row) for row in await session.rows(_CLAIM, limit, of_each, list(busy), lease_seconds)]


def _claimed(row: asyncpg.Record) -> Claimed:
    return Claimed(
        event_of(row),
        row["endpoint_id"],
        row["url"],
        row["round"],
        row["tries"],
        dict(zip(row["ids"], row["envelopes"], strict=True)),
    )


def _key(claimed: Claimed) -> tuple[Any, ...]:
    return claimed.event.merchant_id, claimed.event.uuid, claimed.endpoint_id, claimed.round


def _entry(claimed: Claimed, attempt: Attempt, at: str) -> str:
    entry = {
        "at": at,
        "round": claimed.round,
        "attempt": claimed.tries,
        "outcome": attempt.outcome,
        "status": attempt.status,
        "milliseconds": attempt.milliseconds,
    }
    return orjson.dumps([entry]).decode()


async def delivered(session: Session, claimed: Claimed, attempt: Attempt, at: str) -> None:
    """Note that an endpoint acknowledged an event, and end its pause."""
    await session.rows(_DELIVERED, *_key(claimed), _entry(claimed, attempt, at))


async def failed(session: Session, claimed: Claimed, attempt: Attempt, at: str, again_in: float | None) -> None:
    """Note that an attempt failed and when the next one is due, in seconds or so; None: there is no next one."""
    await session.rows(_FAILED, *_key(claimed), _entry(claimed, attempt, at), claimed.tries, again_in)


async def pause(session: Session, claimed: Claimed, *, first: float, longest: float, asked: float) -> None:
    """Leave an endpoint alone, for longer each time until it answers again; at least as long as it asked for."""
    await session.rows(_PAUSE, claimed.event.merchant_id, claimed.endpoint_id, first, longest, asked)


async def again(transaction: Transaction, merchant_id: str, event_id: UUID, endpoint_id: str | None) -> list[str]:
    """Begin a new round of delivering an event to one active endpoint, or to all; gives their ids."""
    return [row["endpoint_id"] for row in await transaction.rows(_AGAIN, merchant_id, event_id, endpoint_id)]


async def listed(
    session: Session, endpoint: tuple[str, str], status: DeliveryStatus | None, page: Page
) -> list[Delivery]:
    """Give the deliveries of an endpoint (merchant and id), newest event first."""
    before = UUID(page.before[1]) if page.before else None
    rows = await session.rows(_LISTED, *endpoint, status, before, page.limit)
    return [
        Delivery(
            event_of(row),
            row["endpoint_id"],
            DeliveryStatus(row["status"]),
            row["next_at"],
            row["log"],
            row["created_at"],
            row["updated_at"],
        )
        for row in rows
    ]
