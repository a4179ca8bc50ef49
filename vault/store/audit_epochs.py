"""Rows of what changes the audit log as a whole: leave to begin a new epoch, keys that handed over.

It refuses to know how the log grows. Invariant: rows are only added, an epoch is granted once.
"""

from dataclasses import dataclass
from datetime import datetime

from vault.db import Session, Transaction


@dataclass(frozen=True, slots=True)
class Grant:
    """Leave to begin a new epoch."""

    reason: str
    read_at: datetime


async def granted(session: Session, epoch: int) -> Grant | None:
    """Give the leave to begin an epoch, if operators have given it."""
    row = await session.row("select reason, clock_timestamp() from vault.audit_epoch where epoch = $1", epoch)
    return Grant(*row) if row else None


async def grant(transaction: Transaction, epoch: int, reason: str) -> bool:
    """Allow a new epoch; False when that was done. The event is the caller's."""
    row = await transaction.row(
        "insert into vault.audit_epoch (epoch, reason) values ($1, $2) on conflict do nothing returning epoch",
        epoch,
        reason,
    )
    return row is not None


async def current(session: Session) -> tuple[int, str] | None:
    """Give the epoch and the log's name in it, all that operators may see of the head."""
    row = await session.row("select epoch, origin from vault.audit_head")
    return (row[0], row[1]) if row else None


async def keep_rotation(transaction: Transaction, key_id: bytes, note: str) -> None:
    """Keep the note by which the log's key handed over to another one."""
    await transaction.rows("insert into vault.audit_rotation (key_id, note) values ($1, $2)", key_id, note)


async def rotations(session: Session) -> list[str]:
    """Give the notes by which keys handed over, in their order."""
    return [row[0] for row in await session.rows("select note from vault.audit_rotation order by rotated_at")]
