"""That servers and workers start and stop, on record (controls.md AUD-1, PCI DSS 10.2.1.6).

It refuses to know what they do. Invariants: without the event of its start no process starts; a process that ends is
not kept from it by the event of its end.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from vault.audit.events import ActorKind, Event, EventType, Origin
from vault.custody import INSTALLATION
from vault.db import Database, StatementFailed
from vault.errors import VaultError
from vault.roles import APP
from vault.settings import Settings
from vault.store import audit


@asynccontextmanager
async def on_record(database: Database, process: str) -> AsyncIterator[None]:
    """Write that a process has started, and at the end of the block that it stops."""
    await say_started(database, process)
    try:
        yield
    finally:
        with suppress(VaultError, StatementFailed):
            await _say(database, EventType.PROCESS_STOPPED, process)


async def say_started(database: Database, process: str) -> None:
    """Write that a process starts; raises `DatabaseUnavailable` or `StatementFailed`."""
    await _say(database, EventType.PROCESS_STARTED, process)


async def say_stopped(settings: Settings, process: str) -> None:
    """Write that a process has stopped, if that can be written."""
    database = Database(settings.database_url.get_secret_value(), role=APP, pool_size=1)
    try:
        with suppress(VaultError, StatementFailed):
            await _say(database, EventType.PROCESS_STOPPED, process)
    finally:
        await database.close()


async def _say(database: Database, kind: EventType, process: str) -> None:
    origin = Origin(ActorKind.WORKER, process)
    async with database.session() as session:
        await audit.append(session, Event(kind, origin, INSTALLATION, details={"process": process}))
