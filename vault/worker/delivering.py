"""Delivering events to webhook endpoints: at least once, with backoff over days, no endpoint at another's expense.

It refuses to know connections. Invariants: a delivery ends acknowledged, or failed after the last attempt of its
schedule, and then somebody is told; what was acknowledged on record is not sent again; a slow endpoint keeps a few
requests of this process busy and no more (controls.md WHK-3).
"""

import asyncio
import time
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Final

from keys.sealed import Plaintext
from vault import metrics, trace
from vault.audit.events import ActorKind, Event, EventType, Origin
from vault.db import Database
from vault.errors import IntegrityFailure, KeysUnavailable
from vault.logs import alarm, get_logger
from vault.opening import Opener
from vault.services import Services
from vault.store import alarms, audit, deliveries, events, webhooks
from vault.webhook import Attempt, Claimed, EndpointStatus, Outcome, signed_headers
from vault.webhooks import secret_location
from vault.worker.loop import Loop
from vault.worker.webhook_sender import WebhookSender, asks_for_patience

_log = get_logger(__name__)
_WORKER: Final = Origin(ActorKind.WORKER, "webhooks")
_AT_ONCE: Final = 64
_OF_EACH: Final = 8
_LONGEST_PAUSE: Final = 300.0
_LEASE_MARGIN: Final = 5.0
_PURGED_AT_ONCE: Final = 1000
_PURGE_SECONDS: Final = 3600.0


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a delivery is somebody's, and the pauses after its first attempt, its second one and so on; seconds."""

    lease: float
    retries: tuple[float, ...]

    def after(self, tries: int) -> float | None:
        """Give the pause after that many attempts; None after the last one."""
        return self.retries[tries - 1] if tries <= len(self.retries) else None

    @property
    def longest(self) -> float:
        """Give the longest pause of a whole endpoint, unless it asks for a longer one."""
        return min(_LONGEST_PAUSE, max(self.retries))


class Deliverer:
    """Sends what is due, many at a time."""

    def __init__(self, services: Services, sender: WebhookSender) -> None:
        settings = services.settings
        self._database: Database = services.database
        self._opener = Opener(services.database, services.keyring)
        self._sender = sender
        self._patience = Patience(settings.webhook_timeout + _LEASE_MARGIN, settings.webhook_retries)
        self._days = settings.event_retention_days
        self._tasks: dict[asyncio.Task[None], str] = {}

    async def once(self, idle: float) -> bool:
        """Begin what is due, as far as there is room; tells whether there is more to wait for than the time."""
        room = _AT_ONCE - len(self._tasks)
        if room:
            busy = [each for each, count in Counter(self._tasks.values()).items() if count >= _OF_EACH]
            async with self._database.session() as session:
                claimed = await deliveries.claim(
                    session, limit=room, of_each=_OF_EACH, busy=busy, lease_seconds=self._patience.lease
                )
            for each in claimed:
                task = asyncio.create_task(self._deliver(each))
                self._tasks[task] = each.endpoint_id
                task.add_done_callback(self._tasks.pop)
            if claimed:
                return True
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=idle, return_when=asyncio.FIRST_COMPLETED)
            return True
        return False

    async def finish(self) -> None:
        """Wait for what was begun."""
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def purge(self) -> bool:
        """Forget old events; tells whether there may be more."""
        async with self._database.session() as session:
            gone = await events.purge(session, days=self._days, limit=_PURGED_AT_ONCE)
        return gone == _PURGED_AT_ONCE

    async def _deliver(self, claimed: Claimed) -> None:
        try:
            attempt = await self._attempt(claimed)
            metrics.count_webhook(attempt.outcome.value)
            await self._record(claimed, attempt, datetime.now(UTC).isoformat())
        except Exception as error:  # noqa: BLE001 - one delivery's trouble must not end the others'; its lease will
            _log.error("worker.delivery_failed", event_id=claimed.event.id, exc_info=error)

    async def _attempt(self, claimed: Claimed) -> Attempt:
        keys = await self._keys(claimed)
        if not keys:
            return Attempt(Outcome.SECRET_UNUSABLE)
        body = claimed.event.body()
        signed = signed_headers(keys, claimed.event.id, int(time.time()), body)
        headers = {**signed, **trace.of(claimed.event.uuid).headers()}
        return await self._sender.send(claimed.url, headers, body)

    async def _keys(self, claimed: Claimed) -> list[Plaintext]:
        """Open the secrets, newest first; one that does not open has raised its alarm."""
        keys = []
        for secret_id, envelope in claimed.secrets.items():
            location = secret_location(claimed.event.merchant_id, secret_id)
            try:
                keys.append(await self._opener.open(envelope, location, _WORKER))
            except (IntegrityFailure, KeysUnavailable):
                continue
        return keys

    async def _record(self, claimed: Claimed, attempt: Attempt, at: str) -> None:
        if attempt.outcome is Outcome.DELIVERED:
            async with self._database.session() as session:
                await deliveries.delivered(session, claimed, attempt, at)
            return
        wait = self._patience.after(claimed.tries)
        again_in = None if wait is None else max(wait, attempt.retry_after or 0.0)
        async with self._database.session() as session:
            await deliveries.failed(session, claimed, attempt, at, again_in)
            if asks_for_patience(attempt):
                first, asked = self._patience.retries[0], attempt.retry_after or 0.0
                await deliveries.pause(session, claimed, first=first, longest=self._patience.longest, asked=asked)
        if attempt.status == HTTPStatus.GONE:
            await self._disable(claimed)
        elif wait is None:
            await self._alarm(claimed, "webhook_delivery_failed", attempt)

    async def _disable(self, claimed: Claimed) -> None:
        merchant_id, endpoint_id = claimed.event.merchant_id, claimed.endpoint_id
        async with self._database.transaction() as transaction:
            endpoint = await webhooks.lock(transaction, merchant_id, endpoint_id)
            if endpoint is None or endpoint.status is EndpointStatus.DISABLED:
                return
            await webhooks.end(transaction, endpoint, EndpointStatus.DISABLED)
            event = Event(EventType.ENDPOINT_DISABLED, _WORKER, merchant_id, (endpoint_id,), reason="gone")
            await audit.append(transaction, event)
        await self._alarm(claimed, "webhook_endpoint_gone", Attempt(Outcome.REFUSED))

    async def _alarm(self, claimed: Claimed, code: str, attempt: Attempt) -> None:
        merchant_id, endpoint_id = claimed.event.merchant_id, claimed.endpoint_id
        details = {"event": claimed.event.id, "outcome": attempt.outcome.value}
        async with self._database.session() as session:
            if await alarms.raise_alarm(session, _WORKER, merchant_id, code, endpoint_id, details):
                alarm(_log, code, endpoint_id=endpoint_id, merchant_id=merchant_id)


def webhook_loops(deliverer: Deliverer, *, idle: float) -> tuple[Loop, Loop]:
    """Give the loop that delivers events, and the one that forgets them in the end."""
    return (
        Loop("webhooks", lambda: deliverer.once(idle), idle, deliverer.finish),
        Loop("event_purge", deliverer.purge, _PURGE_SECONDS, by_time=True),
    )
