"""What is known of every root key and data key: its dates, its use, and how many rows need it.

It refuses to know key material. Invariant: it only reads. Counting reads every table that refers to keys once for each
such column, up to a second for a million rows.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from vault.db import Session

ROOT: Final = "root"
_ROOTS: Final = """
select id, '' as merchant_id, 'root' as purpose, state, version, created_at, null::timestamptz, null::timestamptz,
    null::timestamptz, null::timestamptz, null::timestamptz, 0::bigint, clock_timestamp()
from vault.root_key
"""
_DATA_KEYS: Final = """
select k.id, k.merchant_id, k.purpose, k.state, r.version, k.created_at, k.deactivated_at, k.compromised_at,
    k.replace_by, k.destroy_after, k.destroyed_at, u.reserved, clock_timestamp()
from vault.data_key k join vault.key_usage u on u.key_id = k.id join vault.root_key r on r.id = k.root_key_id
"""
_WRAPPED: Final = """
select root_key_id as key_id, 'data_key.root_key_id' as place, count(*) as total
from vault.data_key where state <> 'destroyed' group by 1
"""


@dataclass(frozen=True, slots=True)
class KeyRow:
    """One key (merchant empty: the installation's own); `now` is the database's time when it was read."""

    key_id: bytes
    merchant_id: str
    purpose: str
    state: str
    root_version: int
    created_at: datetime
    deactivated_at: datetime | None
    compromised_at: datetime | None
    replace_by: datetime | None
    destroy_after: datetime | None
    destroyed_at: datetime | None
    reserved: int
    now: datetime


async def every_key(session: Session) -> list[KeyRow]:
    """Give every root key and data key there ever was, by merchant and purpose, the newest first."""
    rows = await session.rows(f"{_ROOTS} union all {_DATA_KEYS} order by merchant_id, purpose, created_at desc, id")
    return [KeyRow(*row) for row in rows]


async def row_counts(session: Session) -> dict[bytes, dict[str, int]]:
    """Count the rows that need each key, by table and column; a key that none needs is left out.

    A root key is needed by the data keys that it wraps.
    """
    counts: dict[bytes, dict[str, int]] = {}
    for row in await session.rows(f"select key_id, place, total from vault.count_key_rows() union all {_WRAPPED}"):
        counts.setdefault(row["key_id"], {})[row["place"]] = row["total"]
    return counts
