"""Which cards were seen of whom: in this process's memory at once, in the database, for all processes, a moment later.

It refuses to know limits and what follows from them. Invariants: memory is bounded; a card is kept by its keyed
fingerprint, a buyer and an address by a keyed hash; what could not be written down is logged, and forgotten.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from enum import Enum, auto
from typing import Final

from keys.lru import Lru
from vault.db import Database, StatementFailed
from vault.errors import DatabaseUnavailable
from vault.logs import get_logger
from vault.store import limits
from vault.store.limits import Sighting

SPAN: Final = 86_400

_log = get_logger(__name__)
_CARDS: Final = 50_000
_SUBJECTS: Final = 20_000
_SOON: Final = 0.2
_AT_ONCE: Final = 1_000


class Recall(Enum):
    """What this process remembers of a sighting."""

    KNOWN = auto()
    NEW_CARD = auto()
    NEW_SUBJECT = auto()


class Sightings:
    """What one process has seen within a day; `already` is told of each written sighting that was none."""

    def __init__(
        self,
        database: Database,
        already: Callable[[Sighting], None],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._already = already
        self._clock = clock
        self._cards: Lru[Sighting, float] = Lru(_CARDS)
        self._subjects: Lru[tuple[str, str], float] = Lru(_SUBJECTS)
        self._pending: dict[Sighting, None] = {}
        self._writing = asyncio.Lock()
        self._soon: asyncio.Task[None] | None = None

    def recall(self, sighting: Sighting) -> Recall:
        """Tell whether this card, or any card, was seen of this subject."""
        now = self._clock()
        if now - (self._cards.get(sighting) or -SPAN) < SPAN:
            return Recall.KNOWN
        met = self._subjects.get((sighting.merchant_id, sighting.subject))
        return Recall.NEW_CARD if now - (met or -SPAN) < SPAN else Recall.NEW_SUBJECT

    def remember(self, sighting: Sighting) -> None:
        """Remember what is written down already."""
        now = self._clock()
        self._cards.put(sighting, now)
        self._subjects.put((sighting.merchant_id, sighting.subject), now)

    def note(self, sighting: Sighting) -> None:
        """Remember, and write it down soon."""
        self.remember(sighting)
        self._pending[sighting] = None
        if self._soon is None or self._soon.done():
            self._soon = asyncio.create_task(_later(self.write))

    async def write(self) -> None:
        """Write down what was not yet, so that every process knows."""
        async with self._writing:
            while self._pending:
                batch = list(self._pending)[:_AT_ONCE]
                for sighting in batch:
                    del self._pending[sighting]
                try:
                    async with self._database.session() as session:
                        known = await limits.remember(session, batch, SPAN)
                except (DatabaseUnavailable, StatementFailed):
                    _log.error("limits.sightings_lost", count=len(batch))
                    return
                for sighting in known:
                    self._already(sighting)

    async def close(self) -> None:
        """Write down what is left."""
        await self.write()
        if self._soon is not None:
            self._soon.cancel()


async def _later(work: Callable[[], Awaitable[None]]) -> None:
    await asyncio.sleep(_SOON)
    await work()
