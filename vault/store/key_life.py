"""Rows of data keys as their life goes on: rotation, compromise, destruction.

It refuses to know key material. Invariant: what may happen to a key is decided by the database (`vault.migrations`).
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from keys.datakeys import KeyState, Purpose
from vault.db import Session, Transaction


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


@dataclass(frozen=True, slots=True)
class Standing:
    """A data key as it stands; `destroy_after` once its destruction is scheduled."""

    key_id: bytes
    merchant_id: str
    purpose: Purpose
    state: KeyState
    destroy_after: datetime | None


async def lock(transaction: Transaction, key_id: bytes) -> Standing | None:
    """Give a key, locked: whoever inserts under it has ended, or comes after this transaction."""
    row = await transaction.row(
        "select id, merchant_id, purpose, state, destroy_after from vault.data_key where id = $1 for update", key_id
    )
    return Standing(row[0], row[1], Purpose(row[2]), KeyState(row[3]), row[4]) if row else None


async def compromise(transaction: Transaction, key_id: bytes, *, days: int) -> datetime:
    """Let a key seal nothing any more, ever; gives the moment by which nothing may be under it."""
    deadline: datetime = await transaction.value(
        "update vault.data_key set state = 'compromised', compromised_at = clock_timestamp(), "
        "deactivated_at = coalesce(deactivated_at, clock_timestamp()), "
        "replace_by = clock_timestamp() + make_interval(days => $2) where id = $1 returning replace_by",
        key_id,
        days,
    )
    return deadline


async def schedule(transaction: Transaction, key_id: bytes, *, days: int) -> datetime:
    """Have a key destroyed in so many days; gives the moment."""
    moment: datetime = await transaction.value(
        "update vault.data_key set destroy_after = clock_timestamp() + make_interval(days => $2) where id = $1 "
        "returning destroy_after",
        key_id,
        days,
    )
    return moment


async def unschedule(transaction: Transaction, key_id: bytes) -> None:
    """Take a scheduled destruction back."""
    await transaction.rows("update vault.data_key set destroy_after = null where id = $1", key_id)


async def doomed(session: Session) -> list[Standing]:
    """Give the keys whose waiting period is over."""
    rows = await session.rows(
        "select id, merchant_id, purpose, state, destroy_after from vault.data_key "
        "where state in ('decrypt_only', 'compromised') and destroy_after <= clock_timestamp()"
    )
    return [Standing(row[0], row[1], Purpose(row[2]), KeyState(row[3]), row[4]) for row in rows]


async def standing(session: Session, purposes: Collection[Purpose], before: datetime) -> list[Standing]:
    """Give the keys of these purposes that were made before a moment and are not destroyed."""
    rows = await session.rows(
        "select id, merchant_id, purpose, state, destroy_after from vault.data_key "
        "where state <> 'destroyed' and purpose = any($1) and created_at < $2 order by merchant_id, id",
        [purpose.value for purpose in purposes],
        before,
    )
    return [Standing(row[0], row[1], Purpose(row[2]), KeyState(row[3]), row[4]) for row in rows]


async def destroy(transaction: Transaction, key_id: bytes) -> bool:
    """Destroy a key whose waiting period is over; `StatementFailed` while a row refers to it, False before its time."""
    return bool(await transaction.value("select vault.destroy_data_key($1)", key_id))
