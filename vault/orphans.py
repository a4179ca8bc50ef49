"""Captures that the gateway told of before it was known which payment they belong to.

A payment whose answer was lost has no id of the gateway's until it was asked about, and the notification of its capture
names nothing else. It refuses to know HTTP and the gateway. Invariant: an orphan ends as a capture of its payment, or
as an alarm once its payment had the time to appear.
"""

from typing import Final

from vault.audit.events import ActorKind, Origin
from vault.db import Database, Transaction
from vault.logs import alarm, get_logger
from vault.payment import Evidence, Source
from vault.payments.recording import Recorder
from vault.store import alarms, orphans, payments
from vault.store.orphans import Orphan

_log = get_logger(__name__)
_WORKER: Final = Origin(ActorKind.WORKER, "orphans")
_BATCH: Final = 20


class Orphans:
    """Looks for the payments of orphans."""

    def __init__(self, database: Database, recorder: Recorder, *, pause: float, patience: float) -> None:
        """Take the seconds until the second look, and those after which an orphan is alarmed."""
        self._database = database
        self._recorder = recorder
        self._pause = pause
        self._patience = patience

    async def look(self) -> bool:
        """Look for the payments of the orphans that are due; tells whether there were any."""
        async with self._database.session() as session:
            due = await orphans.claim(session, limit=_BATCH, pause_seconds=self._pause)
        for orphan in due:
            await self._explain(orphan)
        return bool(due)

    async def _explain(self, orphan: Orphan) -> None:
        async with self._database.session() as session:
            payment = await payments.find_by_gateway_id(session, orphan.merchant_id, orphan.gateway_payment_id)
        if payment is not None:
            evidence = Evidence(Source.NOTIFICATION, None, movements=(orphan.seen,))
            await self._recorder.record(payment, evidence, _WORKER)
        elif orphan.waited < self._patience:
            return
        async with self._database.transaction() as transaction:
            await orphans.drop(transaction, orphan)
            if payment is None:
                await self._alarm(transaction, orphan)

    async def _alarm(self, transaction: Transaction, orphan: Orphan) -> None:
        code, merchant_id = "notification_orphan", orphan.merchant_id
        result = orphan.seen.result
        details = {"result": result.code if result else None, "type": "CAPTURE_RESULT"}
        about = f"{merchant_id}:{orphan.gateway_payment_id}"
        if await alarms.raise_alarm(transaction, _WORKER, merchant_id, code, about, details):
            alarm(_log, code, merchant_id=merchant_id)
