"""The worker: loops that look for work, do it, and go on after whatever goes wrong.

It refuses to know what the work is. Invariants: a loop ends only when it is told to, after the work in hand; a failure
is logged without its message, counted, and followed by a pause that doubles with each one in a row; nothing is claimed
by a timer, only by rows (design section 2).
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Protocol

from vault import metrics
from vault.card_life import ExpirySweep
from vault.db import Database
from vault.logs import get_logger
from vault.orphans import Orphans
from vault.payments.retry_guard import RetryGuard
from vault.reconcile import Reconciler
from vault.retention import Retention
from vault.store import limits
from vault.store.inquiries import Due
from vault.store.workers import Beat
from vault.tokens import GatewayTokens
from vault.vaultings.following import VaultingFollower

_log = get_logger(__name__)
_BATCH: Final = 20
_AFTER_FAILURE: Final = 1.0
_LONGEST_PAUSE: Final = 15.0
_MOST_DOUBLINGS: Final = 10
_SELDOM: Final = 600.0
_LIFE_SECONDS: Final = 30.0


async def _nothing() -> None:
    pass


@dataclass(frozen=True, slots=True)
class Loop:
    """A kind of work: `once` does what there is and tells whether there was any; `idle` is the pause after none.

    `finish` waits for what was only begun; `by_time` is work that ends, deletes or replaces things for their age alone.
    """

    name: str
    once: Callable[[], Awaitable[bool]]
    idle: float
    finish: Callable[[], Awaitable[None]] = _nothing
    by_time: bool = False


@dataclass(slots=True)
class Pulse:
    """How a running loop does: failures since a round ended well, and when one did, by the process's own clock."""

    name: str
    failures: int = 0
    worked_at: float | None = None

    def done(self) -> None:
        """Note a round that ended well."""
        self.failures = 0
        self.worked_at = time.monotonic()
        metrics.count_round(self.name, failed=False)

    def failed(self) -> float:
        """Note a round that did not, and give the seconds until the next one."""
        self.failures += 1
        metrics.count_round(self.name, failed=True)
        return float(min(_LONGEST_PAUSE, _AFTER_FAILURE * 2 ** min(self.failures - 1, _MOST_DOUBLINGS)))

    def beat(self) -> Beat:
        """Say how it does now."""
        return Beat(self.name, self.failures, None if self.worked_at is None else time.monotonic() - self.worked_at)


async def run(loops: tuple[Loop, ...], stop: asyncio.Event, pulses: list[Pulse] | None = None) -> None:
    """Run loops side by side until `stop` is set and each has finished what it was doing; `pulses` says how they do.

    Raises ValueError for two loops of one name: their figures could not be told apart.
    """
    if len({loop.name for loop in loops}) < len(loops):
        raise ValueError("two loops of a worker have the same name")
    pulses = [] if pulses is None else pulses
    async with asyncio.TaskGroup() as group:
        for loop in loops:
            pulses.append(Pulse(loop.name))
            group.create_task(_run(loop, stop, pulses[-1]))


async def _run(loop: Loop, stop: asyncio.Event, pulse: Pulse) -> None:
    _log.info("worker.started", loop=loop.name)
    while not stop.is_set():
        try:
            pause = 0.0 if await loop.once() else loop.idle
            pulse.done()
        except Exception as error:  # noqa: BLE001 - the loop's guard: whatever happens, the next round must come
            pause = pulse.failed()
            _log.error("worker.failed", loop=loop.name, count=pulse.failures, seconds=pause, exc_info=error)
        try:
            await asyncio.wait_for(stop.wait(), timeout=pause)
        except TimeoutError:
            continue
    try:
        await loop.finish()
    except Exception as error:  # noqa: BLE001 - the others are to finish all the same
        _log.error("worker.failed", loop=loop.name, exc_info=error)
    _log.info("worker.stopped", loop=loop.name)


class Asker(Protocol):
    """What asks the gateway about things that are due."""

    async def claim(self, limit: int) -> list[Due]:
        """Take what is due for this worker."""

    async def resolve(self, due: Due) -> object:
        """Ask about one thing."""


def inquiries(name: str, asker: Asker, *, idle: float) -> Loop:
    """Give the loop that asks about what is not resolved, a batch at a time."""

    async def resolve(due: Due) -> None:
        try:
            await asker.resolve(due)
        except Exception as error:  # noqa: BLE001 - the trouble of one must not keep the others waiting
            _log.error("worker.inquiry_failed", loop=name, object_id=due.object_id, exc_info=error)

    async def once() -> bool:
        dues = await asker.claim(_BATCH)
        await asyncio.gather(*(resolve(due) for due in dues))
        return bool(dues)

    return Loop(name, once, idle)


def reconciliation(reconciler: Reconciler, *, idle: float) -> Loop:
    """Give the loop that asks about payments."""
    return inquiries("reconcile", reconciler, idle=idle)


def vaultings(follower: VaultingFollower, *, idle: float) -> Loop:
    """Give the loop that asks about cards that are being stored without a payment."""
    return inquiries("vaultings", follower, idle=idle)


def token_deletions(tokens: GatewayTokens, *, idle: float) -> Loop:
    """Give the loop that has the gateway delete the tokens of deleted cards."""
    return Loop("tokens", tokens.delete_due, idle)


def forgetting_attempts(guard: RetryGuard) -> Loop:
    """Give the loop that deletes declines which no retry rule looks at any more."""
    return Loop("attempts", guard.purge, _SELDOM, by_time=True)


def counting(database: Database) -> Loop:
    """Give the loop that forgets counts of requests and cards which no limit reaches back to."""

    async def once() -> bool:
        async with database.session() as session:
            await limits.prune(session)
        return False

    return Loop("counting", once, _SELDOM, by_time=True)


def orphanage(orphans: Orphans, *, idle: float) -> Loop:
    """Give the loop that looks for the payments of captures that came before them."""
    return Loop("orphans", orphans.look, idle)


def card_life(sweep: ExpirySweep, retention: Retention, *, interval: float) -> tuple[Loop, Loop]:
    """Give the loop that notes expiries, and the one that purges what is past its period, every `interval` seconds."""
    idle = min(_LIFE_SECONDS, interval)
    return (
        Loop("expiry", sweep.once, idle, by_time=True),
        Loop("retention", retention.once, idle, by_time=True),
    )
