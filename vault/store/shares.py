"""Rows of share sets: which shares there are, who holds them, what was acknowledged.

It refuses to know shares in clear. Invariant: a digest of a share, which holds 256 random bits, is all that is kept.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from vault.audit.events import Event
from vault.db import Session, Transaction
from vault.store.audit import append

_LIVE = (
    "exists (select from vault.root_wrap w join vault.root_key r on r.id = w.root_key_id "
    "where r.state = 'active' and w.seal = $1)"
)


@dataclass(frozen=True, slots=True)
class ShareSet:
    """One set; `check_value` is that of the key that its shares make."""

    id: bytes
    identifier: int
    threshold: int
    check_value: bytes


@dataclass(frozen=True, slots=True)
class HeldShare:
    """One share of a set, its holder, and when that person acknowledged it (None: not yet)."""

    set_id: bytes
    number: int
    custodian: str
    digest: bytes
    acknowledged_at: datetime | None = None


async def insert(transaction: Transaction, made: ShareSet, held: Sequence[HeldShare], event: Event) -> None:
    """Keep a new set with its shares, with the event."""
    await transaction.rows(
        "insert into vault.share_set (id, identifier, threshold, check_value) values ($1, $2, $3, $4)",
        made.id,
        made.identifier,
        made.threshold,
        made.check_value,
    )
    for share in held:
        await transaction.rows(
            "insert into vault.custodian_share (set_id, number, custodian, digest) values ($1, $2, $3, $4)",
            share.set_id,
            share.number,
            share.custodian,
            share.digest,
        )
    await append(transaction, event)


async def with_identifier(session: Session, identifier: int) -> list[ShareSet]:
    """Give the sets that have this identifier, newest first."""
    rows = await session.rows(
        "select id, identifier, threshold, check_value from vault.share_set where identifier = $1 "
        "order by created_at desc, id",
        identifier,
    )
    return [ShareSet(*row) for row in rows]


async def held(session: Session, set_id: bytes) -> list[HeldShare]:
    """Give a set's shares in the order of their numbers."""
    rows = await session.rows(
        "select set_id, number, custodian, digest, acknowledged_at from vault.custodian_share where set_id = $1 "
        "order by number",
        set_id,
    )
    return [HeldShare(*row) for row in rows]


async def is_live(session: Session, name: str) -> bool:
    """Tell whether the set of this name opens a root key that is in use."""
    return bool(await session.value(f"select {_LIVE}", name))


async def destroyed(transaction: Transaction, share: HeldShare, event: Event) -> None:
    """Record that a share was destroyed, with the event."""
    await transaction.rows(
        "update vault.custodian_share set destroyed_at = coalesce(destroyed_at, clock_timestamp()) "
        "where set_id = $1 and number = $2",
        share.set_id,
        share.number,
    )
    await append(transaction, event)


async def acknowledge(transaction: Transaction, share: HeldShare, statement: bytes, event: Event) -> int:
    """Record that a custodian acknowledged, with the event; gives how many of the set have not yet.

    The set's row is locked, so that of two who are last one comes after the other.
    """
    await transaction.rows("select from vault.custodian_share where set_id = $1 for update", share.set_id)
    await transaction.rows(
        "update vault.custodian_share set acknowledged_at = clock_timestamp(), statement = $3 "
        "where set_id = $1 and number = $2",
        share.set_id,
        share.number,
        statement,
    )
    await append(transaction, event)
    return int(
        await transaction.value(
            "select count(*) from vault.custodian_share where set_id = $1 and acknowledged_at is null", share.set_id
        )
    )
