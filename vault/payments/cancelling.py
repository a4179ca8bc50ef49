"""Cancelling: an intent that is written first, then asked of the gateway until its answer is known.

It refuses to know HTTP. Invariants: an intent survives the process; it ends with a cancellation or with the gateway's
refusal, and a refusal to cancel a late authorisation stays an alarm (design section 3; antom-api.md 2.4).
"""

from vault.audit.events import Event, EventType, Origin, Outcome
from vault.auth import Caller
from vault.db import Database, Transaction
from vault.directory import Account, Directory
from vault.logs import alarm, get_logger
from vault.movement_errors import AlreadyCaptured, PaymentNotCancellable
from vault.payment import Evidence, Payment, Status
from vault.payments.bounds import check_cancel
from vault.payments.recording import Recorder
from vault.payments.sending import Sender
from vault.result import Result
from vault.store import alarms, audit, inquiries, payments
from vault.store.waiting import WITH_PAYMENTS
from vault.stored_card import SecretKind

_log = get_logger(__name__)
_NO_SUCH_ORDER = "ORDER_NOT_EXIST"


class Canceller:
    """Cancels payments for callers and for the worker."""

    def __init__(self, database: Database, directory: Directory, sender: Sender, recorder: Recorder) -> None:
        self._database = database
        self._directory = directory
        self._sender = sender
        self._recorder = recorder

    async def cancel(self, caller: Caller, payment: Payment) -> Payment:
        """Cancel a payment for its merchant; one whose outcome is open is cancelled by the worker.

        Raises what `check_cancel` raises, and `AlreadyCaptured` or `PaymentNotCancellable` when the gateway says so.
        """
        payment = await self._intend(payment, caller.origin)
        if payment.status is not Status.SUCCESS:
            return payment
        account = await self._directory.account(caller.merchant_id, caller.origin)
        outcome = await self.carry_out(account, payment, caller.origin)
        if isinstance(outcome, Result):
            raise AlreadyCaptured if outcome.code == "ORDER_STATUS_INVALID" else PaymentNotCancellable
        return outcome

    async def _intend(self, payment: Payment, origin: Origin) -> Payment:
        async with self._database.transaction() as transaction:
            payment = await payments.lock(transaction, payment.merchant_id, payment.id)
            check_cancel(payment)
            if payment.cancel_requested_at is None and payment.status is not Status.CANCELLED:
                payment = payment._replace(cancel_requested_at=payment.read_at)
                await payments.save(transaction, payment)
                await WITH_PAYMENTS.drop(transaction, payment.merchant_id, [payment.id], {SecretKind.SESSION})
                event = Event(EventType.PAYMENT_CANCEL_REQUESTED, origin, payment.merchant_id, (payment.id,))
                await audit.append(transaction, event)
                if payment.status is not Status.CREATED:
                    await inquiries.hasten(transaction, payment.merchant_id, payment.id)
        return payment

    async def carry_out(self, account: Account, payment: Payment, origin: Origin) -> Payment | Result:
        """Ask the gateway to cancel; the payment as it stands then, or the gateway's refusal."""
        outcome = await self._sender.cancel(account, payment)
        match outcome:
            case Evidence():
                return await self._recorder.record(payment, outcome, origin)
            case Result(code=code) if code != _NO_SUCH_ORDER:
                await self._give_up(payment, outcome, origin)
                return outcome
            case _:
                return payment

    async def _give_up(self, payment: Payment, refusal: Result, origin: Origin) -> None:
        async with self._database.transaction() as transaction:
            payment = await payments.lock(transaction, payment.merchant_id, payment.id)
            if payment.cancel_requested_at is None:
                return
            after = payment._replace(cancel_requested_at=None)
            await payments.save(transaction, after)
            event = Event(
                EventType.PAYMENT_CANCEL_REFUSED,
                origin,
                payment.merchant_id,
                (payment.id,),
                Outcome.FAILURE,
                details={"gateway_result": refusal.code},
            )
            await audit.append(transaction, event)
            if payment.not_sent:
                await _alarm_uncancelled(transaction, payment, refusal, origin)
            # Somebody captured it elsewhere: what was captured is known once the gateway was asked.
            await inquiries.hasten(transaction, payment.merchant_id, payment.id)


async def _alarm_uncancelled(transaction: Transaction, payment: Payment, refusal: Result, origin: Origin) -> None:
    code = "late_authorisation_stands"
    await alarms.raise_alarm(transaction, origin, payment.merchant_id, code, payment.id, {"result": refusal.code})
    alarm(_log, code, payment_id=payment.id, merchant_id=payment.merchant_id)
