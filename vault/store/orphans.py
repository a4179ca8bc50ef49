"""Captures that the gateway told of before their payment was known, and when to look for it again.

It refuses to know what they are evidence of. Invariants: one payment id and request id of the gateway is kept once; a
claim moves the time on before it is answered, so that a worker that dies leaves the orphan to another one.
"""

from dataclasses import dataclass

from vault.db import Session
from vault.money import Amount
from vault.movement import MovementKind, MovementSeen, MovementStatus
from vault.store.columns import result_of
from vault.store.movements import SEEN_COLUMNS, seen_values


@dataclass(frozen=True, slots=True)
class Orphan:
    """A capture of an unknown payment: what was told, how many looks were taken, and for how many seconds it waits."""

    merchant_id: str
    gateway_payment_id: str
    seen: MovementSeen
    attempts: int
    waited: float


_CLAIM = """
with due as (
    select merchant_id, gateway_payment_id, request_id from vault.orphan_capture where next_at <= clock_timestamp()
    order by next_at limit $1 for update skip locked
)
update vault.orphan_capture o set next_at = clock_timestamp() + make_interval(secs => $2 * 2 ^ least(o.attempts, 10)),
    attempts = o.attempts + 1
from due where (o.merchant_id, o.gateway_payment_id, o.request_id)
    = (due.merchant_id, due.gateway_payment_id, due.request_id)
returning o.*, extract(epoch from clock_timestamp() - o.created_at)::float as waited
"""


async def keep(session: Session, merchant_id: str, gateway_payment_id: str, seen: MovementSeen) -> None:
    """Keep a capture whose payment is not known; once, however often it is told."""
    await session.rows(
        f"insert into vault.orphan_capture (merchant_id, gateway_payment_id, {SEEN_COLUMNS}, next_at) "
        "values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, clock_timestamp()) on conflict do nothing",
        merchant_id,
        gateway_payment_id,
        *seen_values(seen),
    )


async def claim(session: Session, *, limit: int, pause_seconds: float) -> list[Orphan]:
    """Take orphans that are due; the pause doubles with every look."""
    return [
        Orphan(
            row["merchant_id"],
            row["gateway_payment_id"],
            MovementSeen(
                MovementKind.CAPTURE,
                row["request_id"],
                MovementStatus(row["status"]),
                Amount(row["currency"], str(row["value"])),
                row["gateway_id"],
                result_of(row),
            ),
            row["attempts"],
            row["waited"],
        )
        for row in await session.rows(_CLAIM, limit, pause_seconds)
    ]


async def drop(session: Session, orphan: Orphan) -> None:
    """Wait no longer."""
    await session.rows(
        "delete from vault.orphan_capture where merchant_id = $1 and gateway_payment_id = $2 and request_id = $3",
        orphan.merchant_id,
        orphan.gateway_payment_id,
        orphan.seen.request_id,
    )
