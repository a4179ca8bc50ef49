"""Reconciliation: payments, captures and refunds that are not resolved are asked about until they are.

It refuses to know who runs it. Invariants: an inquiry never changes the gateway's side; a payment counts as not sent
only when the gateway does not know it well after its sender had to stop; nothing is ever sent again (design section 3);
an authorisation that came too late and was captured before it could be voided is refunded.
"""

from datetime import datetime, timedelta
from typing import Final

from vault.audit.events import ActorKind, Origin
from vault.directory import Account
from vault.gateway.evidence import unknown_to_gateway
from vault.logs import alarm, get_logger
from vault.movement import Movement, MovementKind, MovementSeen, MovementStatus
from vault.pace import Pace, well_after
from vault.payment import Channel, Evidence, Payment, Source, Status
from vault.payments.bounds import lapsed, owed_back
from vault.payments.cancelling import Canceller
from vault.payments.moving import Moving
from vault.payments.transitions import incomplete, open_since, unresolved
from vault.payments.writing_ahead import Tools
from vault.store import alarms, inquiries, payments
from vault.store.inquiries import Due

_log = get_logger(__name__)
WORKER: Final = Origin(ActorKind.WORKER, "reconcile")
_HOURLY: Final = 3600.0
_GIVE_UP_AFTER: Final = timedelta(hours=24)
_FOLLOW_UPS: Final = 20


class Reconciler:
    """Asks about payments that are due."""

    def __init__(self, tools: Tools, canceller: Canceller, moving: Moving, pace: Pace) -> None:
        self._database = tools.database
        self._directory = tools.directory
        self._sender = tools.sender
        self._recorder = tools.recorder
        self._canceller = canceller
        self._moving = moving
        self._pace = pace

    async def claim(self, limit: int) -> list[Due]:
        """Take due payments for this worker; authorisations that have just ended are due as well."""
        async with self._database.session() as session:
            await inquiries.enlist_expired(session, limit)
            return await inquiries.claim(session, limit=limit, lease_seconds=self._pace.lease)

    async def resolve(self, due: Due) -> Payment | None:
        """Do what is due for one payment and say when to look again; gives the payment as it stands then."""
        async with self._database.session() as session:
            payment = await payments.find(session, due.merchant_id, due.object_id)
        if payment is None:
            return None
        if payment.status is Status.CREATED and payment.read_at < payment.send_deadline:
            await self._later(payment, due, (payment.send_deadline - payment.read_at).total_seconds())
            return payment
        account = await self._directory.account(due.merchant_id, WORKER)
        after = await self._ask(account, payment)
        if owed_back(after):
            await self._moving.give_back(account, after, WORKER)
        if unresolved(after):
            await self._look_again(after, due)
        return after

    async def _ask(self, account: Account, payment: Payment) -> Payment:
        if payment.cancel_requested_at is not None or _expired(payment):
            outcome = await self._canceller.carry_out(account, payment, WORKER)
            if isinstance(outcome, Payment):
                payment = outcome
            if payment.status is Status.CANCELLED:
                return payment
        refunds = [each for each in payment.of(MovementKind.REFUND) if each.status.open]
        for refund in refunds:
            payment = await self._ask_about(account, payment, refund)
        if refunds and not unresolved(payment):
            return payment
        evidence = await self._sender.inquire(account, payment)
        after = await self._recorder.record(payment, self._read(payment, evidence), WORKER)
        return await self._recorder.expire(after, WORKER) if evidence is not None and lapsed(after) else after

    async def _ask_about(self, account: Account, payment: Payment, refund: Movement) -> Payment:
        seen = await self._sender.inquire_refund(account, payment, refund)
        if seen is None or (seen.not_sent and not self._gone(payment, refund)):
            return payment
        source = Source.WORKER if seen.not_sent else Source.INQUIRY
        return await self._recorder.record(payment, Evidence(source, None, movements=(seen,)), WORKER)

    def _gone(self, payment: Payment, movement: Movement) -> bool:
        """Tell whether a movement that the gateway does not know by now was not sent."""
        deadline = movement.send_deadline
        named = movement.gateway_id is not None
        return not named and deadline is not None and well_after(payment.read_at, deadline, self._pace.grace)

    def _read(self, payment: Payment, evidence: Evidence | None) -> Evidence:
        """Give what an inquiry means by now: the gateway may not know a payment because it is still on its way."""
        if evidence is None:
            return Evidence(Source.WORKER, Status.UNKNOWN)
        if not unknown_to_gateway(evidence):
            return evidence._replace(movements=(*evidence.movements, *self._not_sent(payment, evidence)))
        by_when = payment.expires_at if _awaits_its_buyer(payment) else payment.send_deadline
        if _never_seen(payment) and well_after(payment.read_at, by_when, self._pace.grace):
            return Evidence(Source.WORKER, Status.FAIL, not_sent=True)
        return Evidence(Source.WORKER, Status.UNKNOWN)

    def _not_sent(self, payment: Payment, evidence: Evidence) -> tuple[MovementSeen, ...]:
        """Give the open captures that the gateway should have listed by now if they had been sent."""
        listed = {(seen.kind, seen.request_id) for seen in evidence.movements}
        missing = [
            each
            for each in payment.of(MovementKind.CAPTURE)
            if each.status.open and (each.kind, each.request_id) not in listed and self._gone(payment, each)
        ]
        return tuple(each.seen(MovementStatus.FAIL, not_sent=True) for each in missing)

    async def _look_again(self, payment: Payment, due: Due) -> None:
        since = open_since(payment)
        if since is not None:
            await self._watch(payment, due, since)
        elif due.attempts < _FOLLOW_UPS:
            await self._later(payment, due, self._pace.wait(due.attempts))
        else:
            await self._stop(payment)

    async def _watch(self, payment: Payment, due: Due, since: datetime) -> None:
        wait = self._pace.wait(due.attempts)
        if payment.read_at - since > _GIVE_UP_AFTER:
            wait = _HOURLY
            await self._alarm(payment, "movement_unresolved" if payment.status.final else "payment_unresolved")
        await self._later(payment, due, wait)

    async def _stop(self, payment: Payment) -> None:
        """Follow a final payment no further; what is still missing from it becomes an alarm."""
        if incomplete(payment):
            await self._alarm(payment, "payment_incomplete")
        await self._recorder.abandon(payment, WORKER)

    async def _later(self, payment: Payment, due: Due, seconds: float) -> None:
        async with self._database.session() as session:
            await inquiries.schedule(session, payment.merchant_id, payment.id, seconds, due.attempts)

    async def _alarm(self, payment: Payment, code: str) -> None:
        async with self._database.session() as session:
            details = {"standing": payment.status.value}
            if await alarms.raise_alarm(session, WORKER, payment.merchant_id, code, payment.id, details):
                alarm(_log, code, payment_id=payment.id, merchant_id=payment.merchant_id)


def _never_seen(payment: Payment) -> bool:
    unsure = payment.status in {Status.CREATED, Status.UNKNOWN} or _awaits_its_buyer(payment)
    return payment.gateway_payment_id is None and unsure


def _awaits_its_buyer(payment: Payment) -> bool:
    """Tell whether the gateway gave a session, in which no payment exists before the buyer makes one."""
    return payment.channel is Channel.SESSION and payment.status is Status.PROCESSING


def _expired(payment: Payment) -> bool:
    return not payment.status.final and payment.read_at > payment.expires_at
