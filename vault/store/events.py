"""Rows of events: read in an order in which none can appear behind the reader's back, and forgotten in time.

It refuses to know who is told of them; triggers write them (`vault.migrations.telling`). Invariants: a page ends before
the oldest transaction that may still add events, so that a cursor never skips one; the newest event of an object stays,
since the numbers of the next ones follow from it.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

import asyncpg

from vault.db import Session
from vault.store.cards import Page
from vault.webhook import WebhookEvent

EVENT_COLUMNS: Final = "e.merchant_id, e.id as event_id, e.type, e.object_id, e.sequence, e.occurred_at, e.data"
_PLACE: Final = "e.xid::text || ':' || e.ord as position"
_SETTLED: Final = "e.xid < pg_snapshot_xmin(pg_current_snapshot())"
_LISTED: Final = f"""
select {EVENT_COLUMNS}, {_PLACE} from vault.event e
where e.merchant_id = $1 and {_SETTLED} and ($2::text is null or (e.xid, e.ord) > ($2::text::xid8, $3))
    and ($4::text is null or e.type = $4) and ($5::text is null or e.object_id = $5)
    and ($6::timestamptz is null or e.occurred_at >= $6)
order by e.xid, e.ord limit $7
"""
_PURGE: Final = """
with old as (
    select e.merchant_id, e.id from vault.event e
    where e.occurred_at < now() - make_interval(days => $1) and exists (select from vault.event l
        where l.merchant_id = e.merchant_id and l.object_id = e.object_id and l.sequence > e.sequence)
    limit $2
)
delete from vault.event e using old where (e.merchant_id, e.id) = (old.merchant_id, old.id) returning 1
"""


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Which of a merchant's events a list holds; None: any."""

    type: str | None = None
    object_id: str | None = None
    created_from: datetime | None = None


def event_of(row: asyncpg.Record, position: str = "") -> WebhookEvent:
    """Give the event that a row of `EVENT_COLUMNS` holds."""
    return WebhookEvent(
        row["merchant_id"],
        row["event_id"],
        row["type"],
        row["object_id"],
        row["sequence"],
        row["occurred_at"],
        row["data"],
        position,
    )


async def listed(session: Session, merchant_id: str, wanted: EventFilter, page: Page) -> list[WebhookEvent]:
    """Give a merchant's events in the order of their transactions, after the page's position."""
    xid, _, place = page.before[1].partition(":") if page.before else (None, None, "0")
    rows = await session.rows(
        _LISTED,
        merchant_id,
        xid,
        int(place),
        wanted.type,
        wanted.object_id,
        wanted.created_from,
        page.limit,
    )
    return [event_of(row, row["position"]) for row in rows]


async def any_unsettled(session: Session, merchant_id: str) -> bool:
    """Tell whether there are events that no page shows yet."""
    statement = f"select exists (select from vault.event e where e.merchant_id = $1 and not {_SETTLED})"
    return bool(await session.value(statement, merchant_id))


async def find(session: Session, merchant_id: str, event_id: UUID) -> WebhookEvent | None:
    """Give a merchant's event."""
    statement = f"select {EVENT_COLUMNS} from vault.event e where e.merchant_id = $1 and e.id = $2"
    row = await session.row(statement, merchant_id, event_id)
    return event_of(row) if row else None


async def purge(session: Session, *, days: int, limit: int) -> int:
    """Forget events that are older than so many days, with their deliveries; tells how many."""
    return len(await session.rows(_PURGE, days, limit))
