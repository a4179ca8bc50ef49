"""What the audit log costs: sequencing, exporting beside the least that an export could cost, verifying offline.

`python -m ops.bench.audit [EVENTS]`. It refuses to know HTTP: what an event costs a request is part of `make bench`.
Invariant: everything is measured on a database of its own, in a folder that is gone in the end.
"""

import asyncio
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final

import click

from ops.auditing import Wanted, export, log_keys
from ops.bench.machine import facts
from ops.connection import connect
from ops.embedded import EmbeddedPostgres
from ops.embedded_folder import temporary_place
from ops.operating import operator_origin
from vault import custody, migrations
from vault.audit.events import ActorKind, Event, EventType, Origin
from vault.auditing.sequencer import Cadence, Sequencer
from vault.db import Database
from vault.roles import APP, OPERATOR, SEQUENCER
from vault.settings import PREFIX, Settings, load_settings
from vault.worker.sequencing import no_anchor

_DEFAULT: Final = 1_000_000
_BATCH: Final = 50_000
_LOOK: Final = 0.1
_NAME: Final = "vault.example/audit"
_ID: Final = "aev_"
_FILL: Final = """
insert into vault.audit_pending (event_id, merchant_id, body)
select id, $3, convert_to(replace($4, $5, id), 'UTF8')
from generate_series($1::int, $2::int) as n, lateral (select $5 || lpad(n::text, 26, 'a') as id) as named
"""
_COPY: Final = "select entry from vault.audit_leaf order by epoch, place"


@click.command()
@click.argument("events", type=click.IntRange(1_000), default=_DEFAULT)
def main(events: int) -> None:
    """Measure with so many events, and print the figures as a table."""
    with tempfile.TemporaryDirectory(dir=temporary_place()) as folder:
        root = Path(folder)
        root.chmod(0o711)
        with EmbeddedPostgres(root / "server") as server:
            server.create_database("vault")
            url = server.url("vault")
            machine = facts(url)
            rows = _Run(root, url, events).measured()
    click.echo(", ".join(f"{name} {value}" for name, value in machine.items()) + "\n")
    click.echo("| What | Figure |\n| --- | --- |")
    for name, figure in rows.items():
        click.echo(f"| {name} | {figure} |")


class _Run:
    """One run in a folder, on a database that is empty."""

    def __init__(self, root: Path, url: str, events: int) -> None:
        self._root = root
        self._url = url
        self._events = events

    def measured(self) -> dict[str, str]:
        """Measure one thing after the other, since each needs the one before."""
        settings = asyncio.run(self._prepared())
        sequencing = asyncio.run(self._sequenced(settings))
        folder = self._root / "export"
        exporting = asyncio.run(self._exported(settings, folder))
        copying = asyncio.run(self._copied())
        key = asyncio.run(log_keys(settings))[0]
        verifying = _seconds(lambda: _verify(folder, key))
        return {
            "events": f"{self._events:,}",
            "sequenced, events/s": f"{self._events / sequencing:,.0f}",
            "exported, rows/s": f"{self._events / exporting:,.0f}",
            "`COPY … TO` of the same entries, rows/s": f"{self._events / copying:,.0f}",
            "export as a part of `COPY`": f"{copying / exporting:.2f}",
            "verified offline, s": f"{verifying:.1f}",
        }

    async def _prepared(self) -> Settings:
        """Migrate, make the keys, and fill the queue."""
        await migrations.upgrade(self._url)
        settings = self._settings()
        database = Database(self._url, role=OPERATOR, pool_size=1)
        await custody.initialise(settings, database, operator_origin())
        await database.close()
        connection = await connect(self._url)
        merchant = "mer_" + "a" * 26
        body = Event(
            EventType.CARD_STORED, Origin(ActorKind.CLIENT, "cli_" + "a" * 26), merchant, ("card_" + "a" * 26,)
        )
        text = body.encode(_ID).decode()
        for start in range(1, self._events + 1, _BATCH):
            end = min(start + _BATCH - 1, self._events)
            await connection.execute(_FILL, start, end, merchant, text, _ID)
        await connection.execute("vacuum analyze vault.audit_pending")
        await connection.close()
        return settings

    def _settings(self) -> Settings:
        (self._root / "passphrase").write_text("for this measurement alone")
        values = {
            "ENVIRONMENT": "development",
            "DATABASE_URL": self._url,
            "SEAL": f"local:{self._root / 'keystore.json'}",
            "SEAL_PASSPHRASE_FILE": str(self._root / "passphrase"),
            "GATEWAY_URL": "http://127.0.0.1:9",
            "PUBLIC_URL": "http://127.0.0.1:9",
        }
        return load_settings({f"{PREFIX}{name}": value for name, value in values.items()})

    async def _sequenced(self, settings: Settings) -> float:
        async with self._sequencer(settings, 10.0) as one:
            began = time.perf_counter()
            while await one.once():
                pass
            return time.perf_counter() - began

    @asynccontextmanager
    async def _sequencer(self, settings: Settings, interval: float) -> AsyncIterator[Sequencer]:
        app, database = (Database(self._url, role=role, pool_size=2) for role in (APP, SEQUENCER))
        try:
            keyring = await custody.open_keyring(settings, app)
            yield Sequencer(database, keyring, _NAME, Cadence(interval, 300.0), no_anchor)
        finally:
            await database.close()
            await app.close()

    async def _exported(self, settings: Settings, folder: Path) -> float:
        """Export while a sequencer signs, since an export waits until its own event is signed."""
        async with self._sequencer(settings, 0.0) as one:
            signing = asyncio.create_task(_repeat(one))
            began = time.perf_counter()
            await export(settings, Wanted(0, self._events, None), folder)
            taken = time.perf_counter() - began
            signing.cancel()
            with suppress(asyncio.CancelledError):
                await signing
        return taken

    async def _copied(self) -> float:
        connection = await connect(self._url)
        began = time.perf_counter()
        await connection.copy_from_query(_COPY, output=self._root / "copy")
        taken = time.perf_counter() - began
        await connection.close()
        return taken


async def _repeat(one: Sequencer) -> None:
    while True:
        await one.once()
        await asyncio.sleep(_LOOK)


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _verify(folder: Path, key: str) -> None:
    program = Path(__file__).resolve().parents[1] / "verify_audit.py"
    subprocess.run([sys.executable, "-I", program, folder, "--key", key], check=True)  # noqa: S603 - our own program


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        main(prog_name="python -m ops.bench.audit")
