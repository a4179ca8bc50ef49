"""Leaves of the log as one merchant may see them.

It refuses to know what hashes mean. Invariant: every statement names the merchant.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

import orjson

from vault.db import Session
from vault.store.audit_log import LEAF_COLUMNS, Leaf

# Entries are canonical JSON, so that a member with its value is certain octets.
_CHOSEN: Final = """
where {rows}.epoch = $1 and {rows}.place > $3 and {rows}.place < $4 and leaf.merchant_id = $2 and leaf.entry is not null
    and ($5::bytea is null or position($5 in leaf.entry) > 0)
    and ($6::bytea is null or position($6 in leaf.entry) > 0)
    and ($7::timestamptz is null or leaf.occurred_at >= $7) and ($8::timestamptz is null or leaf.occurred_at < $8)
"""
_LISTED: Final = f"""
select {LEAF_COLUMNS} from vault.audit_leaf leaf {_CHOSEN.format(rows="leaf")}
order by place limit $9
"""
# The fence (`offset 0`) has each leaf looked up by its place, whatever the planner believes of the merchant's index.
MENTIONING: Final = f"""
select leaf.{LEAF_COLUMNS} from vault.audit_mention mention, lateral (
    select * from vault.audit_leaf leaf where (leaf.epoch, leaf.place) = (mention.epoch, mention.place) offset 0
) leaf {_CHOSEN.format(rows="mention")} and mention.object_id = $10
order by mention.place limit $9
"""
_BY_EVENT: Final = f"""
select epoch, {LEAF_COLUMNS} from vault.audit_leaf
where merchant_id = $1 and event_id = $2 and entry is not null order by epoch, place limit 1
"""


@dataclass(frozen=True, slots=True)
class LogFilter:
    """Which of a merchant's entries a list holds; None: any. `object_id` is an id of the vault's that it names."""

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
    kind, outcome = _member("type", wanted.type), _member("outcome", wanted.outcome)
    chosen = (*log, after, end, kind, outcome, wanted.since, wanted.until, limit)
    if wanted.object_id is None:
        rows = await session.rows(_LISTED, *chosen)
    else:
        rows = await session.rows(MENTIONING, *chosen, wanted.object_id)
    return [Leaf(*row) for row in rows]


def _member(name: str, value: str | None) -> bytes | None:
    return None if value is None else orjson.dumps({name: value})[1:-1]


async def leaf_of(session: Session, merchant_id: str, event_id: str) -> tuple[int, Leaf] | None:
    """Give the epoch of a merchant's entry, and the entry, by its event's id; the first one if it was copied."""
    row = await session.row(_BY_EVENT, merchant_id, event_id)
    return (row[0], Leaf(*row[1:])) if row else None
