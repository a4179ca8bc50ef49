"""Leaves of the log as one merchant may see them.

It refuses to know what hashes mean. Invariant: every statement names the merchant.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

import orjson

from vault.db import Session
from vault.store.audit_log import LEAF_COLUMNS, Leaf

# Entries are canonical JSON, so that a member with its value, and a text as a value, are certain octets.
_LISTED: Final = f"""
select {LEAF_COLUMNS} from vault.audit_leaf
where epoch = $1 and merchant_id = $2 and place > $3 and place < $4 and entry is not null
    and ($5::bytea is null or position($5 in entry) > 0) and ($6::bytea is null or position($6 in entry) > 0)
    and ($7::bytea is null or position($7 in entry) > 0)
    and ($8::timestamptz is null or occurred_at >= $8) and ($9::timestamptz is null or occurred_at < $9)
order by place limit $10
"""
_BY_EVENT: Final = f"""
select {LEAF_COLUMNS} from vault.audit_leaf
where epoch = $1 and merchant_id = $2 and event_id = $3 and entry is not null order by place limit 1
"""


@dataclass(frozen=True, slots=True)
class LogFilter:
    """Which of a merchant's entries a list holds; None: any. `object_id` is an id that the event names."""

    type: str | None = None
    outcome: str | None = None
    object_id: str | None = None
    since: datetime | None = None
    until: datetime | None = None


async def listed(
    session: Session, log: tuple[int, str], wanted: LogFilter, after: int, bounds: tuple[int, int]
) -> list[Leaf]:
    """Give entries of a log (epoch, merchant) behind a place; `bounds` are the first place beyond, and how many."""
    end, limit = bounds
    rows = await session.rows(
        _LISTED,
        *log,
        after,
        end,
        _member("type", wanted.type),
        _member("outcome", wanted.outcome),
        orjson.dumps(wanted.object_id) if wanted.object_id is not None else None,
        wanted.since,
        wanted.until,
        limit,
    )
    return [Leaf(*row) for row in rows]


def _member(name: str, value: str | None) -> bytes | None:
    return None if value is None else orjson.dumps({name: value})[1:-1]


async def leaf_of(session: Session, epoch: int, merchant_id: str, event_id: str) -> Leaf | None:
    """Give a merchant's entry by its event's id, the first one if it was copied."""
    row = await session.row(_BY_EVENT, epoch, merchant_id, event_id)
    return Leaf(*row) if row else None
