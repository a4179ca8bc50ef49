"""A search for sequences that break payments, for as long as one likes: `make search MINUTES=10`.

Not a part of the suite, which runs a short one. In turns everything dies inside one process, at exact steps, and as whole
processes (SIGKILL), at any moment.
"""

import os
import time

import asyncpg
import pytest

from tests.database import Cluster, Databases
from tests.faults.stoppable import Forge
from tests.installation import Blueprint
from tests.machine.processes import Processes
from tests.machine.search import one_round
from tests.machine.world import World

EXAMPLES, STEPS = 10, 50


@pytest.fixture
def room(databases: Databases, postgres: Cluster) -> None:
    """Have the server give up old pieces of its write-ahead log, which the suite keeps whole."""

    async def forget() -> None:
        connection = await asyncpg.connect(postgres.url, ssl=False)
        await connection.execute("alter system set wal_keep_size = 0")
        await connection.execute("select pg_reload_conf()")
        await connection.close()

    databases.run(forget())


@pytest.mark.usefixtures("room")
@pytest.mark.timeout(0)
def test_no_sequence_breaks_payments(
    databases: Databases, blueprint: Blueprint, forge: Forge, capfd: pytest.CaptureFixture[str]
) -> None:
    until, rounds = time.monotonic() + 60 * float(os.environ.get("SOAK_MINUTES", "10")), 0
    while not rounds or time.monotonic() < until:
        kind = World if rounds % 2 else Processes
        deaths = one_round(databases, blueprint, forge, kind, (EXAMPLES, STEPS))
        rounds += 1
        with capfd.disabled():
            said = f"round {rounds}: {EXAMPLES} shops, {EXAMPLES * STEPS} steps, {deaths} deaths ({kind.__name__})"
            print(said, flush=True)  # noqa: T201 - progress of a search that can take hours
