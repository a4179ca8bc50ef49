"""The audit log of a running vault: sequenced and signed when a test says so, and read over HTTP."""

from typing import Any

from tests.api.sequencers import AT_ONCE, NAME, nowhere
from tests.installation import Installation
from vault.auditing.sequencer import Sequencer
from vault.db import Database
from vault.roles import SEQUENCER


async def sequenced(vault: Installation) -> str:
    """Sequence and sign everything so far; gives the id of an event of the first merchant."""
    database = Database(vault.settings.database_url.get_secret_value(), role=SEQUENCER, pool_size=1)
    try:
        sequencer = Sequencer(database, vault.services.keyring, NAME, AT_ONCE, nowhere)
        for _ in range(2):
            await sequencer.once()
    finally:
        await database.close()
    return str((await listed(vault))["events"][0]["eventId"])


async def listed(vault: Installation, **wanted: Any) -> dict[str, Any]:
    """Ask for a page of the first merchant's events."""
    answer = await vault.api.get("/v1/audit/events", params=wanted)
    assert answer.status_code == 200, answer.text
    page: dict[str, Any] = answer.json()
    return page
