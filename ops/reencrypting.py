"""Re-encryption as an operator's commands start, hold, do and watch it.

It refuses to know the command line and how progress is drawn. Invariants: jobs are managed in the operators' role and
rows are moved in the servers', which alone may read what is sealed; stopping to watch changes nothing about the job.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

from ops.operating import operator_origin, with_database
from ops.refusal import Refused
from vault import custody
from vault.db import Database
from vault.errors import Conflict
from vault.ids import key_name
from vault.reencryption import Progress, Reencryption
from vault.roles import APP
from vault.settings import Settings

_CONNECTIONS: Final = 2
_LOOK_SECONDS: Final = 0.5
_IDLE_SECONDS: Final = 0.05

Show = Callable[[Progress], None]


def start(rate: int | None) -> Progress:
    """Start a job, or change the pace of the one that is not over."""

    async def run(job: Reencryption, _settings: Settings) -> Progress:
        await job.start(rate=rate)
        return await _progress(job)

    return _with_job(run)


def pause() -> Progress:
    """Hold the job; raises `Conflict`."""

    async def run(job: Reencryption, _settings: Settings) -> Progress:
        await job.pause()
        return await _progress(job)

    return _with_job(run)


def resume() -> Progress:
    """Go on with a job that was held; raises `Conflict`."""

    async def run(job: Reencryption, _settings: Settings) -> Progress:
        await job.resume()
        return await _progress(job)

    return _with_job(run)


def status() -> Progress:
    """Say how far the newest job is; raises `Conflict` before the first one."""

    async def run(job: Reencryption, _settings: Settings) -> Progress:
        return await _progress(job)

    return _with_job(run)


def follow(show: Show) -> Progress:
    """Watch the job until it is over, and leave the work to others; raises `Refused` where it stops short."""

    async def run(job: Reencryption, _settings: Settings) -> Progress:
        return await _watch(job, show, None)

    return _with_job(run)


def work(rate: int | None, show: Show) -> Progress:
    """Start a job, or take part in the one that is not over, to its end; raises `Refused` where it stops short."""
    return with_database(lambda settings, database: work_in(settings, database, show, rate=rate))


async def work_in(settings: Settings, database: Database, show: Show, *, rate: int | None = None) -> Progress:
    """Do the same as a part of something larger."""
    job = Reencryption(database, await custody.open_keyring(settings, database), operator_origin())
    await job.start(rate=rate)
    async with _worker(settings) as worker:
        return await _watch(job, show, worker)


def record(progress: Progress) -> dict[str, Any]:
    """Give what is shown of a job."""
    job = progress.job
    left = progress.remaining_seconds
    return {
        "jobId": job.id,
        "state": job.state,
        "done": progress.done,
        "total": progress.total,
        "damaged": progress.damaged,
        "rateLimit": job.rate,
        "rowsPerSecond": round(progress.rate, 1),
        "secondsLeft": None if left is None or not job.open else round(left, 1),
        "deadline": job.deadline and job.deadline.isoformat(timespec="seconds"),
        "keys": [
            {
                "merchantId": part.merchant_id,
                "keyId": key_name(part.key_id),
                "place": part.place.name,
                "done": part.done,
                "total": part.total,
                "damaged": part.damaged,
            }
            for part in progress.parts
        ],
    }


def _with_job(run: "Callable[[Reencryption, Settings], Any]") -> Progress:
    async def opened(settings: Settings, database: Database) -> Progress:
        keyring = await custody.open_keyring(settings, database)
        done: Progress = await run(Reencryption(database, keyring, operator_origin()), settings)
        return done

    return with_database(opened)


@asynccontextmanager
async def _worker(settings: Settings) -> AsyncIterator[Reencryption]:
    database = Database(settings.database_url.get_secret_value(), role=APP, pool_size=_CONNECTIONS)
    try:
        yield Reencryption(database, await custody.open_keyring(settings, database), operator_origin())
    finally:
        await database.close()


async def _progress(job: Reencryption) -> Progress:
    progress = await job.progress()
    if progress is None:
        raise Conflict("Nothing has been re-encrypted yet.")
    return progress


async def _watch(job: Reencryption, show: Show, worker: Reencryption | None) -> Progress:
    while True:
        progress = await _progress(job)
        show(progress)
        match progress.job.state:
            case "done":
                return progress
            case "blocked":
                raise Refused(
                    f"{progress.damaged} values do not open and stay under their old keys; the alarms "
                    "integrity_failure name their rows: restore them, and start again"
                )
            case "paused":
                raise Refused("the re-encryption is paused: cardvault keys reencrypt resume sets it going")
        await _spend(_LOOK_SECONDS, worker)


async def _spend(seconds: float, worker: Reencryption | None) -> None:
    """Let time pass until the next look, with work if there is a worker and something for it to do."""
    end = time.monotonic() + seconds
    while worker is not None and time.monotonic() < end:
        if not await worker.step():
            await asyncio.sleep(_IDLE_SECONDS)
            return
    if worker is None:
        await asyncio.sleep(seconds)
