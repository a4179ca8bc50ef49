"""Re-encryption held to account: `python -m ops.bench.rotation --cards 1000000`, or `make rotation CARDS=1000000`.

Cards are moved under another key while payments run and workers are killed (SIGKILL) one after the other; then no row
may be left under the old key, every card has to open to its number, and no payment may have failed. Beforehand one
worker's pace is compared with the same statements without cryptography. It refuses to judge times. Invariant: it
ends with an error unless all of that is so.
"""

import asyncio
import json
import os
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from statistics import median
from typing import Any, Final, TypeVar

import click

from keys.keyring import Keyring
from ops.bench.measuring import Meter, Sample
from ops.bench.openable import count_right, fill
from ops.bench.plan import Case, Plan
from ops.bench.site import Server, Site
from ops.operating import operator_origin, operators_database
from ops.refusal import Refused
from vault import custody
from vault.db import Database
from vault.key_life import DATA, KeyLife
from vault.key_uses import Place
from vault.logs import configure
from vault.reencryption import UNLIMITED, Progress, Reencryption
from vault.roles import APP
from vault.settings import LogFormat, Settings
from vault.store import key_inventory, key_life
from vault.store.reencryption import Fresh, Old

_Result = TypeVar("_Result")
_WORKERS: Final = 2
_ROUNDS: Final = 7
_PACED: Final = 20_000
_IDLE_SAMPLES: Final = 5
_LOOK_SECONDS: Final = 0.2
_DATABASE: Final = "rotated"


class _Bare(Reencryption):
    """The same statements with values that cost nothing; what it writes opens nowhere."""

    async def _renewed(self, place: Place, rows: Sequence[Old]) -> tuple[list[Fresh], list[Old]]:
        key = await self._keyring.active(rows[0].home.merchant_id, place.purpose)
        return [Fresh(old, os.urandom(len(old.value)), key.key_id) for old in rows], []


@dataclass
class _Shopping:
    """Payments with stored cards, measured again and again in a thread of its own until it is told to stop."""

    meter: Meter
    server: Server
    samples: list[Sample] = field(default_factory=list)
    failure: Refused | None = None
    ended: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Pay."""
        try:
            while not self.ended.is_set():
                self.samples.append(self.meter.measure(Case.PAY, self.server))
        except Refused as failure:
            self.failure = failure


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run found; rates are rows a second, latencies milliseconds (medians of measurements)."""

    cards: int
    deaths: int
    seconds: float
    payments: int
    left: int
    right: int
    pace_ratio: float
    idle_p99_ms: float
    busy_p99_ms: float

    def as_record(self) -> dict[str, Any]:
        """Give what is shown."""
        return {
            "cards": self.cards,
            "workersKilled": self.deaths,
            "seconds": round(self.seconds, 1),
            "rowsPerSecond": round(self.cards / self.seconds, 1),
            "paymentsMade": self.payments,
            "paymentsFailed": 0,
            "rowsUnderOldKeys": self.left,
            "cardsThatOpenToTheirNumber": self.right,
            "paceBesideNoCryptography": round(self.pace_ratio, 3),
            "paymentP99": {"idleMs": round(self.idle_p99_ms, 1), "meanwhileMs": round(self.busy_p99_ms, 1)},
            "paymentP99Ratio": round(self.busy_p99_ms / self.idle_p99_ms, 2),
        }


@click.command()
@click.option("--cards", type=click.IntRange(1), default=20_000, show_default=True)
@click.option("--deaths", type=click.IntRange(0), default=20, show_default=True, help="How many workers are killed.")
@click.option("--connections", type=click.IntRange(1), default=4, show_default=True, help="That pay all the time.")
@click.option("--seconds", type=click.FloatRange(0.05), default=2.0, show_default=True, help="Of each measurement.")
def main(cards: int, deaths: int, connections: int, seconds: float) -> None:
    """Move cards under another key while payments run and workers die, and look whether anything was lost."""
    configure(LogFormat.JSON, stream=sys.stderr.buffer)
    plan = Plan(connections=connections, seconds=seconds, cards=cards)
    with Site() as site:
        click.echo("comparing the pace", err=True)
        ratio = _pace(site, min(cards, _PACED))
        click.echo(f"storing {cards:,} cards", err=True)
        outcome = _held(site, plan, _filled(site, _DATABASE, cards), deaths, ratio)
    click.echo(json.dumps(outcome.as_record(), indent=2))
    if outcome.left or outcome.right != cards:
        raise click.ClickException("a row was left under an old key, or a card does not open to its number")


def _held(site: Site, plan: Plan, settings: Settings, deaths: int, ratio: float) -> Outcome:
    server = site.start_product(_DATABASE, plan.cards, 1)
    site.await_ready([server])
    with Meter(site, plan) as meter:
        meter.warm(server, (Case.PAY,))
        idle = [meter.measure(Case.PAY, server) for _ in range(_IDLE_SAMPLES)]
        shopping = _Shopping(meter, server)
        payer = threading.Thread(target=shopping.run)
        payer.start()
        try:
            seconds = asyncio.run(_with_keys(settings, lambda *keys: _survived(site, deaths, shopping, *keys)))
        finally:
            shopping.ended.set()
            payer.join()
    if shopping.failure is not None:
        raise shopping.failure
    click.echo("opening every card", err=True)
    left, right = asyncio.run(_with_keys(settings, lambda *keys: _counted(site, *keys)))
    return Outcome(
        cards=plan.cards,
        deaths=deaths,
        seconds=seconds,
        payments=round(sum(each.rate for each in shopping.samples) * plan.seconds),
        left=left,
        right=right,
        pace_ratio=ratio,
        idle_p99_ms=median(each.slowest_ms for each in idle),
        busy_p99_ms=median(each.slowest_ms for each in shopping.samples),
    )


async def _survived(site: Site, deaths: int, shopping: _Shopping, database: Database, keyring: Keyring) -> float:
    """Have workers do the job, and kill one of them each time that another part of it is done; gives the seconds."""
    job = await _begun(database, keyring)
    began, killed = time.monotonic(), 0
    workers = [site.start_worker(_DATABASE) for _ in range(_WORKERS)]
    while (progress := await _progress(job)).job.state == "running" and shopping.failure is None:
        if killed < deaths and progress.total and progress.done * (deaths + 1) >= progress.total * (killed + 1):
            worker = workers[killed % _WORKERS]
            worker.kill()
            worker.start()
            killed += 1
            click.echo(f"killed {killed}, {progress.done:,} of {progress.total:,} moved", err=True)
        await asyncio.sleep(_LOOK_SECONDS)
    seconds = time.monotonic() - began
    for worker in workers:
        worker.stop()
    if killed < deaths and shopping.failure is None:
        raise Refused(f"the job ended after {killed} deaths: give it more cards")
    return seconds


async def _with_keys(settings: Settings, work: Callable[[Database, Keyring], Awaitable[_Result]]) -> _Result:
    async with operators_database(settings) as database:
        return await work(database, await custody.open_keyring(settings, database))


async def _begun(database: Database, keyring: Keyring, rate: int | None = None) -> Reencryption:
    """Retire the keys, and begin the job that moves what they hold, at the default pace unless another is given."""
    await KeyLife(database, keyring, operator_origin()).rotate(DATA, None)
    job = Reencryption(database, keyring, operator_origin())
    await job.start(rate=rate)
    return job


async def _progress(job: Reencryption) -> Progress:
    progress = await job.progress()
    if progress is None:
        raise Refused("the job is gone")
    return progress


async def _counted(site: Site, database: Database, keyring: Keyring) -> tuple[int, int]:
    """Count rows under keys that were retired, and cards that open to their number."""
    async with database.session() as session:
        active = {key.key_id for key in await key_life.active(session, DATA, None)}
        counts = await key_inventory.row_counts(session)
    held = [rows for key_id, rows in counts.items() if key_id not in active]
    left = sum(rows.get("card_secret.key_id", 0) for rows in held)
    right = await count_right(site.superuser_url(_DATABASE), keyring, site.shop.merchant_id)
    return left, right


def _pace(site: Site, cards: int) -> float:
    """Give one worker's pace as a part of that of the same statements without cryptography: the median of pairs."""
    kinds = (Reencryption, _Bare)
    places = [_filled(site, f"pace_{number}", cards) for number in range(len(kinds))]
    ratios = []
    for _ in range(_ROUNDS):
        verified, bare = (asyncio.run(_timed(kind, settings)) for kind, settings in zip(kinds, places, strict=True))
        ratios.append(bare / verified)
    return median(ratios)


def _filled(site: Site, name: str, cards: int) -> Settings:
    """Make a database with so many cards that open."""
    settings, url, merchant_id = site.copy_database(name), site.superuser_url(name), site.shop.merchant_id
    asyncio.run(_with_keys(settings, lambda _, keyring: fill(url, keyring, merchant_id, cards)))
    return settings


async def _timed(kind: type[Reencryption], settings: Settings) -> float:
    """Give the seconds that one worker needs for a whole job."""
    await _with_keys(settings, lambda database, keyring: _begun(database, keyring, UNLIMITED))
    servers = Database(settings.database_url.get_secret_value(), role=APP, pool_size=2)
    try:
        worker = kind(servers, await custody.open_keyring(settings, servers), operator_origin())
        began = time.perf_counter()
        while await worker.step():
            pass
        return time.perf_counter() - began
    finally:
        await servers.close()


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        main(prog_name="python -m ops.bench.rotation")
