"""The audit log under sequencers that are killed and stopped, and a server that ends at once: `make soak-audit`.

It refuses to know what must hold (that is `tests.faults.audit_writers`). Invariant: all of it is on a database of its
own, in a folder that is gone in the end.
"""

import asyncio
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import asyncpg

from ops.embedded import EmbeddedPostgres, ServerOptions
from tests.api.sequencers import Log, opened_log
from tests.api.shop import Sql
from tests.endurance.report import say
from tests.faults.audit_writers import Written, write
from tests.installation import Blueprint, free_listener, onboard
from vault import migrations
from vault.db import Database
from vault.roles import APP

_BEGINNING = 3.0
_BETWEEN = (1.0, 4.0)
_WRITERS = 8
_SEQUENCERS = "tests.faults.sequencing_processes"


def main(seconds: float) -> int:
    """Run for so long; the exit code says whether everything held."""
    with free_listener() as listener:
        port = listener.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        root.chmod(0o755)
        with EmbeddedPostgres(root / "server", options=ServerOptions(port=port)) as server:
            server.create_database("vault")
            url = server.url("vault")
            (root / "keys").mkdir()
            asyncio.run(migrations.upgrade(url))
            asyncio.run(onboard(root / "keys", url, "", 0))
            written, stops = _torture(server, root / "keys", url, seconds)
            asyncio.run(_judge(root / "keys", url, written))
    say(f"{len(written.acknowledged)} events acknowledged, {len(written.uncertain)} of which nobody heard,")
    say(f"{stops} immediate stops: each acknowledged event is in the log once, in one tree, none is lost")
    return 0


def _torture(server: EmbeddedPostgres, keys: Path, url: str, seconds: float) -> tuple[Written, int]:
    written, stop, stops = Written(), threading.Event(), 0
    writers = threading.Thread(target=lambda: asyncio.run(_write(url, written, stop)))
    writers.start()
    end = time.monotonic() + seconds
    command = [sys.executable, "-m", _SEQUENCERS, str(keys), url, str(seconds)]
    with subprocess.Popen(command) as sequencers:
        try:
            time.sleep(_BEGINNING)
            while time.monotonic() < end:
                time.sleep(random.uniform(*_BETWEEN))
                if server.pid is not None:
                    os.kill(server.pid, signal.SIGQUIT)  # as pg_ctl stop -m immediate
                server.stop()
                server.start()
                stops += 1
        finally:
            stop.set()
            writers.join()
    if sequencers.returncode:
        raise RuntimeError("the sequencers' process failed")
    return written, stops


async def _write(url: str, written: Written, stop: threading.Event) -> None:
    database, ended = Database(url, role=APP, pool_size=_WRITERS), asyncio.Event()
    working = asyncio.gather(*(write(database, number, written, ended) for number in range(_WRITERS)))
    await asyncio.to_thread(stop.wait)
    ended.set()
    await working
    await database.close()


async def _judge(keys: Path, url: str, written: Written) -> None:
    connection = await asyncpg.connect(url, ssl=False)
    async with opened_log(Blueprint("", keys, ()), url, Sql(connection), keys) as log:
        await _settled(log)
        await written.hold(log)
        assert await log.sql.alarms() == set()
    await connection.close()


async def _settled(log: Log) -> None:
    while await log.sequencer().once():
        pass


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]) if len(sys.argv) > 1 else 60.0))
