"""The worker's loops over keys: moving what retired keys hold, replacing keys that are worn, destroying what is due.

It refuses to know how either is done. Invariant: any number of workers may run them at once.
"""

from typing import Final

from vault.key_life import KeyLife
from vault.reencryption import Reencryption
from vault.worker.loop import Loop

_LOOK_SECONDS: Final = 60.0


def key_loops(reencryption: Reencryption, life: KeyLife, *, max_age_days: int, idle: float) -> tuple[Loop, Loop]:
    """Give the loop that re-encrypts, and the one that looks after keys once a minute."""

    async def look() -> bool:
        await life.rotate_worn(days=max_age_days)
        await life.destroy_doomed()
        await reencryption.watch_deadline()
        return False

    return Loop("reencryption", reencryption.step, idle), Loop("keys", look, _LOOK_SECONDS, by_time=True)
