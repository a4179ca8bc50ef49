"""Refused calls on record: each one by itself, and under flood as a count for each client, kind and minute.

It refuses to know who refuses what. Invariants: the first denials of a minute are written before the caller is
answered; of the others none is forgotten but with the process; neither memory nor the number of events in a minute
grows with callers (audit-log.md 3.10 C, PCI DSS 10.2.1.4; ADR 0038).
"""

import asyncio
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final

from vault.audit.events import ActorKind, Event, EventType, Origin
from vault.db import Database, StatementFailed
from vault.errors import VaultError
from vault.limiter import network_of
from vault.store import audit

_SECONDS: Final = 60.0
_EACH: Final[Mapping[EventType, int]] = {
    EventType.ACCESS_DENIED: 100,
    EventType.REQUEST_MALFORMED: 20,
    EventType.LIMIT_REACHED: 1,
}
_MOST: Final = 1_000
FAILURES: Final = (VaultError, StatementFailed)


@dataclass(slots=True)
class _Tally:
    """What was written, and what was only counted, of one client and kind since a moment."""

    event: Event
    since: float
    written: int = 0
    counted: int = 0


class Denials:
    """The tallies of one process.

    Of each client and kind, `each` in a minute are events of their own, `most` of all together; so many clients and
    kinds have a tally of their own, and all beyond them one for each type.
    """

    def __init__(
        self,
        database: Database,
        *,
        seconds: float = _SECONDS,
        each: Mapping[EventType, int] = _EACH,
        most: int = _MOST,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._seconds = seconds
        self._each = each
        self._most = most
        self._clock = clock
        self._ends = 0.0
        self._written = 0
        self._tallies: dict[Hashable, _Tally] = {}
        self._ending: asyncio.Task[None] | None = None

    async def record(self, event: Event) -> None:
        """Write a denial, or count it; one that cannot be written is counted, and raises what writing raises."""
        try:
            if self._clock() >= self._ends:
                await self._end()
            tally = self._tally(event)
            if tally.written < self._each[event.type] and self._written < self._most:
                tally.written += 1
                self._written += 1
                await self._write([event])
                return
        except FAILURES:
            self._count(self._tally(event))
            raise
        self._count(tally)

    async def close(self) -> None:
        """Write what was counted, if that can be done."""
        if self._ending is not None:
            self._ending.cancel()
        with suppress(*FAILURES):
            await self._end()

    def _count(self, tally: _Tally) -> None:
        tally.counted += 1
        if self._ending is None:
            self._ending = asyncio.create_task(self._end_later())

    def _tally(self, event: Event) -> _Tally:
        origin = event.origin
        who = origin.actor_id or network_of(origin.address)
        key: Hashable = (event.type, event.merchant_id, who, event.reason, event.details.get("operation"))
        if key not in self._tallies and len(self._tallies) >= self._most:
            key, event = event.type, Event(event.type, Origin(ActorKind.ANONYMOUS), "", (), event.outcome, "flood")
        return self._tallies.setdefault(key, _Tally(event, self._clock()))

    async def _end_later(self) -> None:
        await asyncio.sleep(self._seconds)
        self._ending = None
        with suppress(*FAILURES):
            await self._end()

    async def _end(self) -> None:
        """End the minute and write its counts; what cannot be written is kept for the next time."""
        tallies, self._tallies, self._written = self._tallies, {}, 0
        self._ends = self._clock() + self._seconds
        try:
            await self._write([self._summary(each) for each in tallies.values() if each.counted])
        except FAILURES:
            for key, each in tallies.items():
                self._tallies.setdefault(key, _Tally(each.event, each.since)).counted += each.counted
            self._ends = 0.0
            raise

    def _summary(self, tally: _Tally) -> Event:
        origin = replace(tally.event.origin, request_id="")
        counted = {"count": tally.counted, "seconds": max(1, round(self._clock() - tally.since))}
        return replace(tally.event, origin=origin, objects=(), details={**tally.event.details, **counted})

    async def _write(self, events: Sequence[Event]) -> None:
        if events:
            async with self._database.session() as session:
                await audit.append_all(session, events)
