"""Retention: cards past the period of their class are purged, and what is left past it is counted (RET-1 to RET-3).

It refuses to know SQL and files (what deleted rows leave there: `cardvault purge`). Invariants: a card that a mandate,
an open payment or a vaulting still needs is not purged; a run is one worker's at a time, goes on where the last one
stopped, and ends with an event that holds its counts.
"""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Final

from vault.audit.events import ActorKind, Event, EventType, Origin
from vault.db import Database, Transaction
from vault.erasure import delete_card
from vault.logs import alarm, get_logger
from vault.store import alarms, audit, cards, retention
from vault.store.retention import PastCard, Place, Run, RunKind
from vault.stored_card import CardStatus, DeletionReason

_log = get_logger(__name__)
WORKER: Final = Origin(ActorKind.WORKER, "retention")
LONGEST_UNVERIFIED: Final = timedelta(days=92)  # a quarter of a year (controls.md RET-3)
_TOO_LONG: Final = timedelta(days=2)  # past its period; every run of two days would have had to purge it
_BATCH: Final = 100
_PATIENCE: Final = 0.1
_EVENTS: Final = {RunKind.PURGE: EventType.RETENTION_PURGED, RunKind.VERIFY: EventType.RETENTION_VERIFIED}


class Retention:
    """Purges what is past its period and verifies that nothing is, in turns, over all merchants' cards."""

    def __init__(self, database: Database, *, interval: float, origin: Origin = WORKER) -> None:
        self._database = database
        self._interval = timedelta(seconds=interval)
        self._origin = origin

    async def once(self) -> bool:
        """Go on with a run, or begin the one that is due; tells whether there is more to do."""
        for kind in _EVENTS:
            if await self._step(kind):
                return True
        async with self._database.session() as session:
            following = self._following(await retention.latest(session, *_EVENTS))
            if following is not None:
                await retention.begin(session, following)
        return following is not None

    async def complete(self) -> tuple[Run, Run]:
        """Purge and verify now, from the first card to the last; give both runs as they ended."""
        return await self._whole(RunKind.PURGE), await self._whole(RunKind.VERIFY)

    def _following(self, newest: Run | None) -> RunKind | None:
        if newest is None:
            return RunKind.PURGE
        if newest.finished_at is None:
            return None
        if newest.kind is RunKind.PURGE:
            return RunKind.VERIFY
        return RunKind.PURGE if newest.read_at - newest.started_at >= self._interval else None

    async def _whole(self, kind: RunKind) -> Run:
        async with self._database.session() as session:
            await retention.begin(session, kind)
        while True:
            stepped = await self._step(kind)
            async with self._database.session() as session:
                run = await retention.latest(session, kind)
            assert run is not None  # noqa: S101 - begun above, and runs are never deleted
            if run.finished_at is not None:
                return run
            if not stepped:
                await asyncio.sleep(_PATIENCE)

    async def _step(self, kind: RunKind) -> bool:
        """Look at the next cards of the open run; False when there is none, or another worker has it."""
        async with self._database.transaction() as transaction:
            run = await retention.claim(transaction, kind)
            if run is None:
                return False
            places = await retention.next_cards(transaction, run.place, _BATCH)
            if not places:
                await retention.save(transaction, run, finished=True)
                await self._record(transaction, run)
                return True
            past = await retention.past(transaction, run.place, places[-1])
            run = replace(run, place=places[-1], examined=run.examined + len(places))
            run = await self._purged(transaction, run, past) if kind is RunKind.PURGE else _counted(run, past)
            await retention.save(transaction, run, finished=False)
        return True

    async def _purged(self, transaction: Transaction, run: Run, past: list[PastCard]) -> Run:
        due = [each.place for each in past if not each.held]
        gone = [place for place in due if await self._purge(transaction, place)]
        return replace(run, purged=run.purged + len(gone), held=run.held + len(past) - len(due))

    async def _purge(self, transaction: Transaction, place: Place) -> bool:
        """Delete a card, unless it was deleted, charged or changed before it could be locked."""
        card = await cards.find(transaction, place.merchant_id, place.card_id)
        if card is None or card.buyer is None:
            return False
        await cards.lock_buyer(transaction, place.merchant_id, card.buyer)
        card = await cards.find(transaction, place.merchant_id, place.card_id, lock=True)
        if card is None or card.stored_status is CardStatus.DELETED:
            return False
        if not await retention.still_due(transaction, place):
            return False
        await delete_card(transaction, self._origin, card, DeletionReason.RETENTION)
        return True

    async def _record(self, transaction: Transaction, run: Run) -> None:
        counts = {"examined": run.examined, "purged": run.purged, "held": run.held, "overdue": run.overdue}
        await audit.append(transaction, Event(_EVENTS[run.kind], self._origin, "", (run.id,), details=counts))
        _log.info("retention.finished", operation=run.kind, object_id=run.id, count=run.purged or run.overdue)
        if run.kind is not RunKind.VERIFY:
            return
        if run.oldest_due_at is not None and run.oldest_due_at < run.started_at - _TOO_LONG:
            await self._alarm(transaction, "retention_overdue", run)
        before = await retention.latest_finished(transaction, RunKind.VERIFY, before=run.started_at)
        if before is not None and run.started_at - before.started_at > LONGEST_UNVERIFIED:
            await self._alarm(transaction, "retention_unverified", run)

    async def _alarm(self, transaction: Transaction, code: str, run: Run) -> None:
        details = {"overdue": str(run.overdue)}
        await alarms.raise_alarm(transaction, self._origin, "", code, run.id, details)
        alarm(_log, code, object_id=run.id)


def _counted(run: Run, past: list[PastCard]) -> Run:
    overdue = [each.due_at for each in past if not each.held]
    oldest = min([*overdue, *filter(None, [run.oldest_due_at])], default=None)
    held = run.held + len(past) - len(overdue)
    return replace(run, held=held, overdue=run.overdue + len(overdue), oldest_due_at=oldest)
