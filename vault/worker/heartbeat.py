"""The worker's loop that says how all its loops do, so that servers can tell (`/readyz`, `/metrics`).

It refuses to know the loops. Invariant: what a worker says of itself is gone when it ends, and old when it dies.
"""

from collections.abc import Sequence
from typing import Final

from vault.db import Database
from vault.ids import Prefix, new_id
from vault.store import workers
from vault.worker.loop import Loop, Pulse

_BEAT_SECONDS: Final = 5.0


def heartbeat(database: Database, pulses: Sequence[Pulse]) -> Loop:
    """Give the loop that writes every few seconds what the pulses say."""
    worker_id = new_id(Prefix.WORKER)

    async def once() -> bool:
        async with database.session() as session:
            await workers.beat(session, worker_id, [pulse.beat() for pulse in pulses])
        return False

    async def finish() -> None:
        async with database.session() as session:
            await workers.leave(session, worker_id)

    return Loop("heartbeat", once, _BEAT_SECONDS, finish)
