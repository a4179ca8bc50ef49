"""Sequencers as processes that are stopped (SIGSTOP) and killed (SIGKILL) at any moment, each replaced at once.

Arguments: folder and URL of an onboarded database, seconds. It refuses to know what must hold. Invariant: none outlives
the seconds.
"""

import asyncio
import os
import random
import signal
import sys
import time
from pathlib import Path

from keys.keyring import Keyring
from keys.rootkey import RootKey
from tests.api.sequencers import NAME, nowhere
from tests.installation import settings_for
from vault import custody
from vault.auditing.sequencer import Cadence, Sequencer
from vault.db import Database
from vault.roles import APP, SEQUENCER
from vault.store.keys import KeyStore

_AT_ONCE = 2
_LIFE = (0.02, 0.6)
_STOPPED = 0.3


async def _roots(folder: Path, url: str) -> dict[bytes, RootKey]:
    database = Database(url, role=APP, pool_size=1)
    try:
        return await custody.open_roots(settings_for(folder, url), database)
    finally:
        await database.close()


async def _sequence(folder: Path, url: str, roots: dict[bytes, RootKey]) -> None:
    settings = settings_for(folder, url)
    app, database = (Database(url, role=role, pool_size=1) for role in (APP, SEQUENCER))
    keyring = Keyring(roots, KeyStore(app), settings.environment)
    one = Sequencer(database, keyring, NAME, Cadence(0.0, 3600.0), nowhere)
    while True:
        await one.once()
        await asyncio.sleep(0)


def _forked(folder: Path, url: str, roots: dict[bytes, RootKey]) -> tuple[int, float]:
    pid = os.fork()
    if pid == 0:
        try:
            asyncio.run(_sequence(folder, url, roots))
        finally:
            os._exit(1)
    return pid, time.monotonic() + random.uniform(*_LIFE)


def main(folder: Path, url: str, seconds: float) -> None:
    roots = asyncio.run(_roots(folder, url))
    end = time.monotonic() + seconds
    alive: list[tuple[int, float]] = []
    killed = 0
    while time.monotonic() < end:
        while len(alive) < _AT_ONCE:
            alive.append(_forked(folder, url, roots))
        alive.sort(key=lambda each: each[1])
        pid, doom = alive.pop(0)
        time.sleep(max(0.0, doom - time.monotonic()))
        if random.random() < _STOPPED:
            os.kill(pid, signal.SIGSTOP)
            time.sleep(random.uniform(*_LIFE))
            os.kill(pid, signal.SIGCONT)
            time.sleep(_LIFE[0])
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        killed += 1
    for pid, _ in alive:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    sys.stdout.write(f"{killed}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], float(sys.argv[3]))
