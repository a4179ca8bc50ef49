"""T-14, T-22: sequencers that are killed at any moment lose nothing, double nothing, and sign one tree."""

import asyncio
import json
import sys
from pathlib import Path

import asyncpg
import pytest

from tests.api.sequencers import opened_log
from tests.api.shop import Sql
from tests.docs.guide import ROOT
from tests.installation import Blueprint

pytestmark = pytest.mark.anyio
_SECONDS = "2.5"


async def test_killed_sequencers_make_one_log_of_all_events(
    vault_url: str, blueprint: Blueprint, tmp_path: Path
) -> None:
    connection = await asyncpg.connect(vault_url, ssl=False)
    killer = [sys.executable, "-m", "tests.faults.sequencing_processes", str(blueprint.folder), vault_url, _SECONDS]
    async with opened_log(blueprint, vault_url, Sql(connection), tmp_path) as log:
        process = await asyncio.create_subprocess_exec(*killer, cwd=ROOT, stdout=asyncio.subprocess.PIPE)
        written = await connection.fetchval("select count(*) from vault.audit_pending")
        while process.returncode is None:
            await log.write(7)
            written += 7
            await asyncio.sleep(0.005)
        killed, _ = await process.communicate()
        assert (process.returncode, int(killed) > 2) == (0, True)
        while await log.sequencer().once():
            pass
        ids = [json.loads(entry)["event"]["id"] for entry in await log.entries()]
        assert len(set(ids)) == len(ids)
        own = sum(1 for entry in await log.entries() if b'"type":"audit.' in entry)
        assert len(ids) - own == written
        assert len(await log.checkpoints()) > 1
        assert await log.sql.alarms() == set()
    await connection.close()
