"""Events: what happened to a merchant's cards, payments and mandates, listed for whoever missed some.

It refuses to know HTTP, SQL and who is told. Invariant: whoever follows the cursors sees every event once, however
many are being written meanwhile (design section 4).
"""

import asyncio
from typing import Final

from vault.auth import Caller
from vault.db import Database
from vault.store import events
from vault.store.cards import Page
from vault.store.events import EventFilter
from vault.webhook import WebhookEvent

_LOOKS: Final = 10
_PAUSE_SECONDS: Final = 0.05


class Events:
    """The service behind `/v1/events`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def listed(self, caller: Caller, wanted: EventFilter, page: Page) -> list[WebhookEvent]:
        """Give the merchant's events after the page's position, oldest first.

        What a transaction that began earlier could still add has its place before what is written already; the list
        ends there. A moment's patience nearly always shows a caller the event of a request that was just answered.
        """
        for _ in range(_LOOKS):
            async with self._database.session() as session:
                more = await events.any_unsettled(session, caller.merchant_id)
                found = await events.listed(session, caller.merchant_id, wanted, page)
            if not more or len(found) == page.limit:
                break
            await asyncio.sleep(_PAUSE_SECONDS)
        return found
