"""Refused calls on record: each one by itself, and under flood as a count for each client, kind and minute.

It refuses to know who refuses what. Invariants: the first denials of a minute are written before the caller is
answered; of the others none is forgotten but with the process; memory does not grow with callers (audit-log.md 3.10 C,
PCI DSS 10.2.1.4).
"""

import asyncio
import time
from collections.abc import Callable, Hashable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final

from vault.audit.events import ActorKind, Event, Origin
from vault.db import Database, StatementFailed
from vault.errors import VaultError
from vault.limiter import network_of
from vault.store import audit

_SECONDS: Final = 60.0
_EACH: Final = 100
_MOST: Final = 10_000
_FAILURES: Final = (VaultError, StatementFailed)


@dataclass(slots=True)
class _Tally:
    """What was written, and what was only counted, of one client and kind in this minute."""

    event: Event
    written: int = 0
    counted: int = 0


class Denials:
    """The tallies of one process: so many `each` are events of their own, of `most` clients and kinds at a time."""

    def __init__(
        self,
        database: Database,
        *,
        seconds: float = _SECONDS,
        each: int = _EACH,
        most: int = _MOST,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._seconds = seconds
        self._each = each
        self._most = most
        self._clock = clock
        self._ends = 0.0
        self._tallies: dict[Hashable, _Tally] = {}
        self._late: list[Event] = []
        self._ending: asyncio.Task[None] | None = None

    async def record(self, event: Event) -> None:
        """Write a denial, or count it; raises what writing raises."""
        if self._clock() >= self._ends:
            await self._end()
        tally = self._tally(event)
        if tally.written < self._each:
            tally.written += 1
            await self._write(event)
            return
        tally.counted += 1
        if self._ending is None:
            self._ending = asyncio.create_task(self._end_later())

    async def close(self) -> None:
        """Write what was counted, if that can be done."""
        if self._ending is not None:
            self._ending.cancel()
        with suppress(*_FAILURES):
            await self._end()

    def _tally(self, event: Event) -> _Tally:
        origin = event.origin
        who = origin.actor_id or network_of(origin.address)
        key: Hashable = (event.type, event.merchant_id, who, event.reason, event.details.get("operation"))
        if key not in self._tallies and len(self._tallies) >= self._most:
            key, event = event.type, Event(event.type, Origin(ActorKind.ANONYMOUS), "", (), event.outcome, "flood")
        return self._tallies.setdefault(key, _Tally(event))

    async def _end_later(self) -> None:
        await asyncio.sleep(self._seconds)
        self._ending = None
        with suppress(*_FAILURES):
            await self._end()

    async def _end(self) -> None:
        """End the minute and write its counts; what cannot be written is kept for the next time."""
        self._late += [self._summary(each) for each in self._tallies.values() if each.counted]
        self._tallies = {}
        self._ends = self._clock() + self._seconds
        while self._late:
            event = self._late.pop()
            try:
                await self._write(event)
            except _FAILURES:
                self._late.append(event)
                self._ends = 0.0
                raise

    def _summary(self, tally: _Tally) -> Event:
        origin = replace(tally.event.origin, request_id="")
        counted = {"count": tally.counted, "seconds": round(self._seconds)}
        return replace(tally.event, origin=origin, objects=(), details={**tally.event.details, **counted})

    async def _write(self, event: Event) -> None:
        async with self._database.session() as session:
            await audit.append(session, event)
