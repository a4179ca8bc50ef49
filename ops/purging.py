"""A purge from end to end: cards past their period, the count of what is left, and the files.

It refuses to know how each is done. Invariant: the files are rewritten after the last deletion that it reports.
"""

from typing import Any

from ops.retention import run_record
from ops.scrubbing import require_rights, scrub
from vault.audit.events import Origin
from vault.db import Database
from vault.retention import Retention
from vault.settings import Settings
from vault.store import token_deletions


async def purge_and_scrub(settings: Settings, origin: Origin) -> dict[str, Any]:
    """Purge, verify and scrub with the owner's login, and give the report (controls.md RET-2, RET-3)."""
    url = settings.operator_database_url.get_secret_value()
    await require_rights(url)
    database = Database(url, role=None, pool_size=2)
    try:
        purged, verified = await Retention(database, interval=settings.retention_interval, origin=origin).complete()
        async with database.session() as session:
            waiting = await token_deletions.count(session)
    finally:
        await database.close()
    scrubbed = await scrub(url, origin)
    runs = {"purge": run_record(purged), "verification": run_record(verified)}
    return runs | {"tokensWaiting": waiting} | scrubbed.as_record()
