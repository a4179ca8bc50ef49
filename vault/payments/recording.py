"""Recording evidence: one transaction that judges it against the locked payment and writes everything that follows.

It refuses to know the wire. Invariants: nothing is written without an event; an alarm is kept with the change it is
about; a payment that is not resolved stays on the schedule (design section 3).
"""

from typing import Final

from keys.keyring import Envelope, Keyring
from vault import metrics
from vault.audit.events import Event, EventType, Origin
from vault.db import Database, Transaction
from vault.errors import Overloaded
from vault.groups import PACE_AROUND_A_CALL, Groups
from vault.keeping import Keeper, KeepingPlan, PlanOutdated
from vault.logs import alarm, get_logger
from vault.payment import Channel, Evidence, Payment, Source, Status, StoreState, Verdict, judge
from vault.payments.bounds import lapsed
from vault.payments.keeping import keepable_of, kept
from vault.payments.retry_guard import RetryGuard
from vault.payments.settling import settle
from vault.payments.teaching import learn
from vault.payments.transitions import advanced, changed, unresolved
from vault.store import alarms, audit, inquiries, payments
from vault.store.payments import Settlement
from vault.store.waiting import WITH_PAYMENTS
from vault.stored_card import SecretKind

_log = get_logger(__name__)
_REPEATS: Final = 6
_ABSENT: Final = "buyer_absent"
_ALARMING: Final = {
    Verdict.CONTRADICTION: "payment_contradiction",
    Verdict.LATE_AUTHORISATION: "late_authorisation",
    Verdict.UNBOUND: "answer_mismatch",
}


class Recorder:
    """Writes what evidence does to payments."""

    def __init__(
        self, database: Database, keyring: Keyring, guard: RetryGuard, *, first_inquiry_seconds: float
    ) -> None:
        self._database = database
        self._guard = guard
        self._keeper = Keeper(database, keyring)
        self._first_inquiry = first_inquiry_seconds
        self._settling = Groups(database, payments.settle, pace=PACE_AROUND_A_CALL)

    async def record(self, payment: Payment, evidence: Evidence, origin: Origin) -> Payment:
        """Judge evidence against the payment as it stands now, write what follows, and give the payment."""
        recorded = await self._recorded(payment, evidence, origin)
        if recorded.status is not payment.status:
            metrics.count_payment(recorded.status.value)
        return recorded

    async def _recorded(self, payment: Payment, evidence: Evidence, origin: Origin) -> Payment:
        settled = await self._settled(payment, evidence, origin)
        if settled is not None:
            return settled
        for _ in range(_REPEATS):
            keepable = keepable_of(payment, evidence) if evidence.bound else None
            plan = await self._keeper.plan(keepable, origin) if keepable else None
            opening = await self._keeper.sealed_opening(WITH_PAYMENTS, *_owner(payment), evidence.session)
            try:
                async with self._database.transaction() as transaction:
                    payment = await payments.lock(transaction, payment.merchant_id, payment.id)
                    payment = await self._write(transaction, payment, evidence, plan, origin)
                    await self._put_opening(transaction, payment, opening, origin)
            except PlanOutdated:
                async with self._database.session() as session:
                    payment = await payments.find(session, payment.merchant_id, payment.id) or payment
                continue
            return payment
        raise Overloaded

    async def _settled(self, payment: Payment, evidence: Evidence, origin: Origin) -> Payment | None:
        """Record an answer from which nothing follows, if nobody touched the payment since it was written ahead."""
        success = evidence.source is Source.ANSWER and evidence.status is Status.SUCCESS and evidence.bound
        stores = payment.store_card is not None or evidence.token is not None
        if not success or evidence.movements or payment.status is not Status.CREATED or stores:
            return None
        after = advanced(payment, evidence, Verdict.ADVANCE)
        event = _change_event(payment, after, evidence, origin)
        seconds = self._first_inquiry if unresolved(after) else None
        return await self._settle(payments.settlement(payment, after, event, seconds))

    async def _settle(self, change: Settlement) -> Payment | None:
        return await self._settling.ask(change)

    async def _put_opening(
        self, transaction: Transaction, payment: Payment, opening: dict[SecretKind, Envelope], origin: Origin
    ) -> None:
        if not opening or payment.status is not Status.PROCESSING or payment.cancel_requested_at is not None:
            return
        await self._keeper.put_opening(transaction, WITH_PAYMENTS, _owner(payment), opening)
        event = Event(EventType.PAYMENT_SESSION_OPENED, origin, payment.merchant_id, (payment.id,))
        await audit.append(transaction, event)

    async def abandon(self, payment: Payment, origin: Origin) -> None:
        """Wait no longer for what a final payment still lacks; what was sealed for its card is deleted."""
        async with self._database.transaction() as transaction:
            before = await payments.lock(transaction, payment.merchant_id, payment.id)
            if before.store_state is StoreState.PENDING:
                state = StoreState.STORED if before.card_id else StoreState.DROPPED
                await WITH_PAYMENTS.drop(transaction, before.merchant_id, [before.id])
                await payments.save(transaction, before._replace(store_state=state))
                event = Event(EventType.PAYMENT_CHANGED, origin, before.merchant_id, (before.id,), reason="abandoned")
                await audit.append(transaction, event)
            await inquiries.done(transaction, before.merchant_id, before.id)

    async def expire(self, payment: Payment, origin: Origin) -> Payment:
        """Note that an authorisation ended without a capture; nothing of it can be captured any more."""
        async with self._database.transaction() as transaction:
            held = await payments.lock(transaction, payment.merchant_id, payment.id)
            if lapsed(held):
                held = held._replace(capture_status="EXPIRED")
                await payments.save(transaction, held)
                event = Event(EventType.AUTHORISATION_EXPIRED, origin, held.merchant_id, (held.id,))
                await audit.append(transaction, event)
            await inquiries.done(transaction, held.merchant_id, held.id)
        return held

    async def _write(
        self, transaction: Transaction, before: Payment, evidence: Evidence, plan: KeepingPlan | None, origin: Origin
    ) -> Payment:
        verdict = judge(before.standing, evidence)
        after = advanced(before, evidence, verdict)
        if verdict in {Verdict.ADVANCE, Verdict.ENRICH}:
            after = await self._keep(transaction, after, evidence, plan, origin)
        await _drop_what_waits_no_more(transaction, before, after)
        wrong = verdict in _ALARMING
        if verdict is not Verdict.UNBOUND and evidence.movements:
            settled = await settle(transaction, after, evidence, origin)
            after, wrong = settled.payment, wrong or settled.wrong
        if changed(before, after):
            await payments.save(transaction, after)
            await audit.append(transaction, _change_event(before, after, evidence, origin))
        await learn(transaction, before, after, origin)
        await self._guard.learn(transaction, before, after)
        if before.status is not after.status:
            await _miss_network_id(transaction, after, origin)
        if after.nobody_there and before.cancel_requested_at is None and after.cancel_requested_at is not None:
            event = Event(EventType.PAYMENT_CANCEL_REQUESTED, origin, after.merchant_id, (after.id,), reason=_ABSENT)
            await audit.append(transaction, event)
        if verdict in _ALARMING:
            await _raise_alarm(transaction, before, evidence, verdict, origin)
        await self._reschedule(transaction, before, after, evidence, wrong=wrong)
        return await payments.lock(transaction, before.merchant_id, before.id)

    async def _keep(
        self, transaction: Transaction, payment: Payment, evidence: Evidence, plan: KeepingPlan | None, origin: Origin
    ) -> Payment:
        if keepable_of(payment, evidence) is None:
            return payment
        if plan is None and evidence.token is not None:
            raise PlanOutdated
        if plan is None:
            return payment
        if not await self._keeper.keep(transaction, plan, origin):
            return payment._replace(store_state=StoreState.DROPPED)
        return kept(payment, plan)

    async def _reschedule(
        self, transaction: Transaction, before: Payment, after: Payment, evidence: Evidence, *, wrong: bool
    ) -> None:
        asked = evidence.source is Source.INQUIRY
        if not unresolved(after) and (asked or not wrong):
            await inquiries.done(transaction, after.merchant_id, after.id)
        elif wrong and not asked:
            await inquiries.hasten(transaction, after.merchant_id, after.id)
        elif (before.status is not after.status or evidence.movements) and not asked:
            await inquiries.schedule(transaction, after.merchant_id, after.id, self._first_inquiry)


def _owner(payment: Payment) -> tuple[str, str]:
    return payment.merchant_id, payment.id


async def _drop_what_waits_no_more(transaction: Transaction, before: Payment, after: Payment) -> None:
    """Delete what was sealed for a card that will not be kept, and for a session in which nobody can pay any more."""
    if after.store_state is StoreState.DROPPED and before.store_state is StoreState.PENDING:
        await WITH_PAYMENTS.drop(transaction, before.merchant_id, [before.id])
    if after.channel is Channel.SESSION and after.status.final and not before.status.final:
        await WITH_PAYMENTS.drop(transaction, before.merchant_id, [before.id], {SecretKind.SESSION})


def _change_event(before: Payment, after: Payment, evidence: Evidence, origin: Origin) -> Event:
    details = {
        "from": before.status,
        "to": after.status,
        "source": evidence.source,
        "gateway_result": after.result.code if after.result else None,
        "not_sent": after.not_sent,
    }
    return Event(EventType.PAYMENT_CHANGED, origin, after.merchant_id, (after.id,), details=details)


async def _miss_network_id(transaction: Transaction, payment: Payment, origin: Origin) -> None:
    """Raise an alarm when a card was stored by a payment without which it can never be charged alone (COF-5)."""
    stored = payment.status is Status.SUCCESS and payment.store_card is not None
    if not stored or payment.network_transaction_id is not None:
        return
    code, details = "network_transaction_id_missing", {"standing": payment.status.value}
    await alarms.raise_alarm(transaction, origin, payment.merchant_id, code, payment.id, details)
    alarm(_log, code, payment_id=payment.id, merchant_id=payment.merchant_id)


async def _raise_alarm(
    transaction: Transaction, payment: Payment, evidence: Evidence, verdict: Verdict, origin: Origin
) -> None:
    code = _ALARMING[verdict]
    details = {
        "standing": payment.status.value,
        "claimed": evidence.status.value if evidence.status else None,
        "source": evidence.source.value,
        "result": evidence.result.code if evidence.result else None,
    }
    if await alarms.raise_alarm(transaction, origin, payment.merchant_id, code, payment.id, details):
        alarm(_log, code, payment_id=payment.id, merchant_id=payment.merchant_id)
