"""Rows of data keys as their life goes on: which are due for rotation, and what is known of one.

It refuses to know key material. Invariant: what may happen to a key is decided by the database (`vault.migrations`).
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from keys.datakeys import Purpose
from vault.db import Session


@dataclass(frozen=True, slots=True)
class ActiveKey:
    """A key that new values are sealed or hashed with, and how old and how much used it is; merchant empty: ours."""

    key_id: bytes
    merchant_id: str
    purpose: Purpose
    created_at: datetime
    reserved: int


async def active(session: Session, purposes: Collection[Purpose], merchant_id: str | None) -> list[ActiveKey]:
    """Give the active keys of these purposes, of one merchant or (None) of all, the installation's own included."""
    rows = await session.rows(
        "select k.id, k.merchant_id, k.purpose, k.created_at, u.reserved from vault.data_key k "
        "join vault.key_usage u on u.key_id = k.id where k.state = 'active' and k.purpose = any($1) "
        "and ($2::text is null or k.merchant_id = $2) order by k.merchant_id, k.purpose",
        [purpose.value for purpose in purposes],
        merchant_id,
    )
    return [ActiveKey(row[0], row[1], Purpose(row[2]), row[3], row[4]) for row in rows]


async def worn(session: Session, purposes: Collection[Purpose], *, days: int, uses: int) -> list[ActiveKey]:
    """Give the active keys older than so many days (those that hash: twice as many), or with so many uses."""
    rows = await session.rows(
        "select k.id, k.merchant_id, k.purpose, k.created_at, u.reserved from vault.data_key k "
        "join vault.key_usage u on u.key_id = k.id where k.state = 'active' and k.purpose = any($1) "
        "and (u.reserved >= $3 or k.created_at < clock_timestamp() "
        "- make_interval(days => $2 * case k.purpose when 'fingerprint' then 2 else 1 end))",
        [purpose.value for purpose in purposes],
        days,
        uses,
    )
    return [ActiveKey(row[0], row[1], Purpose(row[2]), row[3], row[4]) for row in rows]
