"""T-14, T-22, T-25: sequencers that are killed and stopped at any moment lose nothing, double nothing, sign one tree.

`make soak-audit` is the same for longer, with a server that is stopped at once in between.
"""

import asyncio
import sys
from pathlib import Path

import asyncpg
import pytest

from tests.api.sequencers import opened_log
from tests.api.shop import Sql
from tests.docs.guide import ROOT
from tests.faults.audit_writers import Written, write
from tests.installation import Blueprint
from vault.db import Database
from vault.roles import APP

pytestmark = pytest.mark.anyio
_SECONDS = "2.5"


async def test_killed_sequencers_make_one_log_of_all_events(
    vault_url: str, blueprint: Blueprint, tmp_path: Path
) -> None:
    connection = await asyncpg.connect(vault_url, ssl=False)
    writing = Database(vault_url, role=APP, pool_size=4)
    killer = [sys.executable, "-m", "tests.faults.sequencing_processes", str(blueprint.folder), vault_url, _SECONDS]
    written, stop = Written(), asyncio.Event()
    async with opened_log(blueprint, vault_url, Sql(connection), tmp_path) as log:
        process = await asyncio.create_subprocess_exec(*killer, cwd=ROOT, stdout=asyncio.subprocess.PIPE)
        writers = asyncio.gather(*(write(writing, number, written, stop) for number in range(4)))
        killed, _ = await process.communicate()
        stop.set()
        await writers
        assert (process.returncode, int(killed) > 2) == (0, True)
        while await log.sequencer().once():
            pass
        await written.hold(log)
        assert written.uncertain == set()
        assert await log.sql.alarms() == set()
    await writing.close()
    await connection.close()
