"""Rows in which workers say that they are there, and how their loops do.

It refuses to know what loops do. Invariant: a worker writes its own rows only, and forgets those of others that nobody
has touched for an hour.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from vault.db import Session

_FORGOTTEN: Final = 3600.0
LIVE_SECONDS: Final = 30.0  # six beats
_BEAT: Final = """
with gone as (delete from vault.worker_loop where seen_at < clock_timestamp() - make_interval(secs => $5))
insert into vault.worker_loop as w (worker_id, loop, failures, worked_at)
select $1, b.loop, b.failures, clock_timestamp() - make_interval(secs => b.ago)
from unnest($2::text[], $3::int[], $4::float8[]) as b(loop, failures, ago)
on conflict (worker_id, loop) do update
    set failures = excluded.failures, worked_at = excluded.worked_at, seen_at = excluded.seen_at
"""
# Of several workers the one counts that did best: the others' work is done then, too.
_LIVE: Final = """
select loop, min(failures) as failures, extract(epoch from clock_timestamp() - max(worked_at))::float8 as ago
from vault.worker_loop where seen_at > clock_timestamp() - make_interval(secs => $1) group by loop order by loop
"""


@dataclass(frozen=True, slots=True)
class Beat:
    """How a loop does: failures since a round ended well, and how many seconds ago one did, if any."""

    loop: str
    failures: int
    ago: float | None


async def beat(session: Session, worker_id: str, beats: Sequence[Beat]) -> None:
    """Say how this worker's loops do."""
    columns = ([b.loop for b in beats], [b.failures for b in beats], [b.ago for b in beats])
    await session.rows(_BEAT, worker_id, *columns, _FORGOTTEN)


async def leave(session: Session, worker_id: str) -> None:
    """Take this worker's rows away."""
    await session.rows("delete from vault.worker_loop where worker_id = $1", worker_id)


async def live(session: Session) -> list[Beat]:
    """Give how each loop does at the worker where it does best; none: there is no worker."""
    return [Beat(*row) for row in await session.rows(_LIVE, LIVE_SECONDS)]
