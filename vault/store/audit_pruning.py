"""Rows of old entries whose octets are deleted, while their hashes and with them all proofs stay.

It refuses to know who may decide that. Invariant: entries are pruned from the first one on, so that what is left has no
holes (audit-log.md 3.10 J, controls.md AUD-9).
"""

from datetime import datetime

from vault.audit.merkle import Range
from vault.db import Session, Transaction


async def pruned(session: Session, epoch: int) -> int:
    """Give how many entries of an epoch were pruned, which are those in its first places."""
    place: int | None = await session.value(
        "select max(place) from vault.audit_leaf where epoch = $1 and entry is null", epoch
    )
    return 0 if place is None else place + 1


async def old_until(session: Session, epoch: int, places: Range, before: datetime) -> int:
    """Give the place, of these, before which every event is from before a moment."""
    place: int | None = await session.value(
        "select place from vault.audit_leaf where epoch = $1 and place >= $2 and place < $3 and occurred_at >= $4 "
        "order by place limit 1",
        epoch,
        *places,
        before,
    )
    return places.end if place is None else place


async def prune(transaction: Transaction, epoch: int, places: Range) -> None:
    """Delete the octets of entries. The event is the caller's."""
    await transaction.rows(
        "update vault.audit_leaf set entry = null where epoch = $1 and place >= $2 and place < $3",
        epoch,
        *places,
    )
