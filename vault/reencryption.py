"""Re-encryption: whatever retired keys still hold is brought under the active ones, beside the traffic.

It refuses to know the command line. Invariants: a job's state is in the database, so that any number of workers share
it and any of them may die at any moment; each value is opened again and compared before it replaces the old one; each
batch has its event; a job is done when a count, taken after every older writer ended, finds nothing (KEY-7).
"""

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from keys.errors import CannotOpen, KeyUnknown
from keys.keyring import Keyring, Label
from vault.audit.events import Detail, Event, EventType, Origin, Outcome
from vault.custody import INSTALLATION
from vault.db import Database, Session, Transaction
from vault.errors import Conflict, IntegrityFailure
from vault.ids import key_name
from vault.key_uses import PLACES, Place
from vault.logs import alarm, get_logger
from vault.opening import Opener
from vault.store import alarms, audit, reencryption
from vault.store.reencryption import Batch, Fresh, Job, Old, Part

_log = get_logger(__name__)
DEFAULT_RATE: Final = 2000
UNLIMITED: Final = 0
_BATCH: Final = 500
_BATCHES: Final = 8
_BREATH: Final = 50
_POLL: Final = 0.02
_PATIENCE: Final = 10.0


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a job is: values moved and to be moved in all, damaged ones, and the pace since it last began to run."""

    job: Job
    parts: tuple[Part, ...]
    at: datetime

    @property
    def late(self) -> bool:
        """Tell whether a job that is not over is past its deadline."""
        return self.job.open and self.job.deadline is not None and self.job.deadline < self.at

    @property
    def total(self) -> int:
        """Count the values that were or are to be moved."""
        return sum(part.total for part in self.parts)

    @property
    def done(self) -> int:
        """Count the values that were moved."""
        return sum(part.done for part in self.parts)

    @property
    def damaged(self) -> int:
        """Count the values that do not open, in the last pass."""
        return sum(part.damaged for part in self.parts)

    @property
    def rate(self) -> float:
        """Give the rows a second since the job last began to run."""
        seconds = ((self.job.finished_at or self.at) - self.job.running_since).total_seconds()
        return (self.done - self.job.done_before) / seconds if seconds > 0 else 0.0

    @property
    def remaining_seconds(self) -> float | None:
        """Estimate the time that is left; None while nothing moves."""
        return (self.total - self.done) / self.rate if self.rate > 0 else None


class Reencryption:
    """Jobs, as operators start and hold them and as workers do them."""

    def __init__(self, database: Database, keyring: Keyring, origin: Origin) -> None:
        self._database = database
        self._keyring = keyring
        self._opener = Opener(database, keyring)
        self._origin = origin

    async def start(self, *, rate: int | None = None) -> Job:
        """Start a job, or change the pace of the one that is not over; what there is to do, workers count.

        `rate` in rows a second: None is the default, or as it is; `UNLIMITED` as fast as they can.
        """
        async with self._database.transaction() as transaction:
            return await begin(transaction, self._origin, rate=rate)

    async def pause(self) -> None:
        """Hold the job; batches in hand are finished. Raises `Conflict` without one, or where a deadline forces it."""
        await self._move("running", "paused", EventType.REENCRYPTION_PAUSED)

    async def resume(self) -> None:
        """Go on with a job that was held; raises `Conflict` when there is none."""
        await self._move("paused", "running", EventType.REENCRYPTION_RESUMED)

    async def _move(self, state: str, then: str, kind: EventType) -> None:
        async with self._database.transaction() as transaction:
            job = await reencryption.lock_open(transaction)
            if job is None or job.state != state:
                raise Conflict(f"No re-encryption is {state}.")
            if then == "paused" and job.deadline is not None:
                raise Conflict("This re-encryption replaces a compromised key: it cannot be paused, only slowed down.")
            await reencryption.set_state(transaction, job, then)
            await audit.append(transaction, Event(kind, self._origin, INSTALLATION, (job.id,)))

    async def progress(self) -> Progress | None:
        """Say how far the newest job is; None before the first one."""
        async with self._database.session() as session:
            job = await reencryption.newest(session)
            if job is None:
                return None
            now: datetime = await session.value("select clock_timestamp()")
            parts = tuple(await reencryption.parts(session, job))
        return Progress(job, parts, now)

    async def step(self) -> bool:
        """Do a batch, or whatever the job needs next; tells whether it is worth while to come again at once."""
        async with self._database.transaction() as transaction:
            job = await reencryption.newest(transaction)
            if job is None or job.state != "running":
                return False
            batch = await reencryption.claim(transaction, job, _at_once(job))
        if batch is None:
            return await self._conclude(job)
        if batch.rows:
            await asyncio.sleep(batch.wait)
            await self._do(job, batch)
        return True

    async def watch_deadline(self) -> None:
        """Raise the alarm for a job that should have been over by now (controls.md KEY-9)."""
        progress = await self.progress()
        if progress is None or not progress.late:
            return
        code, job_id = "reencryption_overdue", progress.job.id
        async with self._database.session() as session:
            if await alarms.raise_alarm(session, self._origin, INSTALLATION, code, job_id, {}):
                alarm(_log, code, object_id=job_id)

    async def _do(self, job: Job, batch: Batch) -> None:
        """Renew what was claimed, a portion while the one before is being written."""
        writing: asyncio.Task[None] | None = None
        try:
            for start in range(0, len(batch.rows), _BATCH):
                started = time.monotonic()
                fresh, damaged = await self._renewed(batch.part.place, batch.rows[start : start + _BATCH])
                if writing is not None:
                    await writing
                writing = asyncio.create_task(self._write(job, batch.part, fresh, damaged, started))
        finally:
            if writing is not None:
                await writing

    async def _write(
        self, job: Job, part: Part, fresh: Sequence[Fresh], damaged: Sequence[Old], started: float
    ) -> None:
        """Put what was renewed in its place; what cannot be, since a key was retired meanwhile, the next pass finds."""
        async with self._database.transaction() as transaction:
            done = await reencryption.put(transaction, part, fresh)
            await reencryption.count_done(transaction, job, part, done=done or 0, damaged=len(damaged))
            if done:
                await audit.append(transaction, self._batch_event(job, part, fresh, done))
        if done is None:
            self._keyring.forget(part.merchant_id, part.place.purpose)
        for old in damaged:
            with suppress(IntegrityFailure):
                await self._opener.open(old.envelope, old.home, self._origin)
        _log.info(
            "reencryption.batch",
            merchant_id=part.merchant_id,
            key_id=key_name(part.key_id),
            object_id=job.id,
            feature=part.place.name,
            count=done or 0,
            size=len(fresh) + len(damaged),
            seconds=round(time.monotonic() - started, 3),
        )

    async def _renewed(self, place: Place, rows: Sequence[Old]) -> tuple[list[Fresh], list[Old]]:
        """Make values anew; those that do not open, or would not open again, are damaged."""
        fresh, damaged = list[Fresh](), list[Old]()
        for start in range(0, len(rows), _BREATH):
            some = rows[start : start + _BREATH]
            for old, made in zip(some, await self._made(place, some), strict=True):
                if made is None:
                    damaged.append(old)
                else:
                    fresh.append(Fresh(old, *made))
            await asyncio.sleep(0)  # what is being written goes on
        return fresh, damaged

    async def _made(self, place: Place, rows: Sequence[Old]) -> list[tuple[bytes, bytes] | None]:
        """Give new values, each with its key."""
        if place.label is not None:
            return [await self._hashed(place.label, old) for old in rows]
        sealed = await self._keyring.reseal(place.purpose, [(old.envelope, old.home) for old in rows])
        return [(each.data, each.key_id) if each else None for each in sealed]

    async def _hashed(self, label: Label, old: Old) -> tuple[bytes, bytes] | None:
        try:
            opened = await self._keyring.open(old.envelope, old.home)
        except (CannotOpen, KeyUnknown):
            return None
        made = await self._keyring.digest(old.home.merchant_id, label, opened.reveal())
        return made.value, made.key_id

    def _batch_event(self, job: Job, part: Part, fresh: Sequence[Fresh], done: int) -> Event:
        details: dict[str, Detail] = {
            "place": part.place.name,
            "from": key_name(part.key_id),
            "to": key_name(fresh[-1].key_id),
            "rows": done,
        }
        return Event(EventType.REENCRYPTION_BATCH, self._origin, part.merchant_id, (job.id,), details=details)

    async def _conclude(self, job: Job) -> bool:
        """Count what is left, at first and whenever every part was gone through: have it done, or end the job."""
        async with self._database.session() as session:
            if await reencryption.unfinished(session, job):
                await asyncio.sleep(_POLL)  # somebody else is claiming at this moment
                return True
        if not await writers_ended(self._database):
            return False
        async with self._database.transaction() as transaction:
            locked = await reencryption.lock_open(transaction, wait=False)
            if locked is None or locked.state != "running":
                return False
            known = {_place_of(part): part.damaged for part in await reencryption.parts(transaction, job)}
            found = await _left(transaction)
            again = [part for part in found if part.total > known.get(_place_of(part), 0)]
            for part in again:
                await reencryption.open_part(transaction, job, part)
            if not again:
                await self._end(transaction, job, found)
        return bool(again)

    async def _end(self, transaction: Transaction, job: Job, damaged: Sequence[Part]) -> None:
        rows = sum(part.total for part in damaged)
        await reencryption.set_state(transaction, job, "blocked" if rows else "done")
        outcome = Outcome.FAILURE if rows else Outcome.SUCCESS
        event = Event(
            EventType.REENCRYPTION_ENDED, self._origin, INSTALLATION, (job.id,), outcome, details={"rows": rows}
        )
        await audit.append(transaction, event)
        _log.info("reencryption.ended", object_id=job.id, outcome=outcome.value, count=rows)


async def writers_ended(database: Database) -> bool:
    """Wait until every transaction that may have looked at keys as they were before has ended, for a while."""
    async with database.session() as session:
        older = set(await reencryption.writers(session))
        end = time.monotonic() + _PATIENCE
        while older and time.monotonic() < end:
            await asyncio.sleep(_POLL)
            older &= set(await reencryption.writers(session))
    return not older


async def begin(
    transaction: Transaction, origin: Origin, *, rate: int | None = None, deadline: datetime | None = None
) -> Job:
    """Make a job, or take the one that is not over; a deadline also sets one going that is paused."""
    job = await reencryption.lock_open(transaction)
    if job is None:
        job = await reencryption.create(transaction, rate=DEFAULT_RATE)
        await audit.append(transaction, Event(EventType.REENCRYPTION_STARTED, origin, INSTALLATION, (job.id,)))
    job = await reencryption.set_bounds(transaction, job, rate=rate, deadline=deadline)
    if deadline is not None and job.state == "paused":
        await reencryption.set_state(transaction, job, "running")
        await audit.append(transaction, Event(EventType.REENCRYPTION_RESUMED, origin, INSTALLATION, (job.id,)))
    return job


async def _left(session: Session) -> list[Part]:
    return [part for place in PLACES for part in await reencryption.left(session, place)]


def _at_once(job: Job) -> int:
    """Give how many rows a worker claims: with a limited pace a tenth of a second's, so that pauses are short."""
    return _BATCH * _BATCHES if job.rate is None else max(1, min(_BATCH, job.rate // 10))


def _place_of(part: Part) -> tuple[str, str, bytes]:
    return part.place.name, part.merchant_id, part.key_id
