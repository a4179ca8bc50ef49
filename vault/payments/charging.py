"""Charges without the buyer: each one checked against its mandate in the transaction that writes it down.

It refuses to know HTTP, SQL and how a mandate came about. Invariants: nothing is sent that the mandate, read under a
lock on its row, does not cover; nobody is asked to authenticate, a payment that wants it is cancelled (design section
4; antom-api.md 5.3; controls.md COF-7 to COF-9).
"""

from dataclasses import dataclass

from vault.audit.events import Event
from vault.auth import Caller
from vault.directory import Account
from vault.errors import CardExpired, NotFound, Overloaded
from vault.gateway.limits import Deadline
from vault.gateway.messages import PayCall, Series
from vault.mandate import Charge, Mandate, check_charge, check_state
from vault.merchant import Merchant
from vault.payment import Payment
from vault.payments.cancelling import Canceller
from vault.payments.drafting import Asked
from vault.payments.service import REPEATS, check_usable
from vault.payments.writing_ahead import Paid, Prepared, Tools, WriteAhead, credential_of
from vault.store import cards, mandates, payments
from vault.store.drafts import Begun, Draft
from vault.stored_card import CardStatus, StoredCard
from vault.wire.mandates import MandatePaymentRequest
from vault.wire.requests import PaymentRequest


@dataclass(frozen=True, slots=True)
class Wanted:
    """A charge that is asked for, with everything that stays the same when it has to be drafted again."""

    account: Account
    asked: Asked
    request: PaymentRequest
    charge: Charge
    deadline: Deadline


class Charging:
    """The service behind `/v1/mandates/{mandateId}/payments`."""

    def __init__(self, tools: Tools, canceller: Canceller) -> None:
        self._tools = tools
        self._canceller = canceller
        self._ahead = WriteAhead(tools)

    async def charge(
        self, caller: Caller, mandate_id: str, request: MandatePaymentRequest, body: dict[str, object]
    ) -> Paid:
        """Charge a card under a mandate, the buyer absent.

        Raises what `check_charge` and `Preconditions.check` raise, `CardDisabled`, `CardExpired` where the merchant
        wants that, `RetryLimit`, `NotFound`.
        """
        account, asked = await self._ahead.asked(caller, request, f"mandates/{mandate_id}/payments", body)
        known = await self._ahead.replayed(asked, request.payment_request_id)
        if known is not None:
            return known
        charge = Charge(request.payment_amount.amount, request.recurring_type)
        wanted = Wanted(account, asked, request, charge, Deadline.after(self._tools.sender_seconds))
        for _ in range(REPEATS):
            ready = await self.prepare(mandate_id, wanted)
            call = (account, ready.call, wanted.deadline)
            paid = await self._ahead.write_and_send(asked, ready.draft, call, ready.begin)
            if paid is not None:
                return paid if paid.replayed else Paid(await self._unanswerable(wanted, paid.payment), replayed=False)
        raise Overloaded

    async def prepare(self, mandate_id: str, wanted: Wanted) -> Prepared:
        """Check and draft a charge; it is checked again, under locks, as it is written."""
        caller, request, merchant = wanted.asked.caller, wanted.request, wanted.account.merchant
        async with self._tools.database.session() as session:
            mandate = await mandates.find(session, caller.merchant_id, mandate_id)
        if mandate is None:
            raise NotFound
        check_state(mandate, mandate.read_at)
        card = await self._tools.cards.get(caller, mandate.card_id)
        _check_card(card, request, merchant)
        await self._tools.preconditions.check(merchant, request, card, mandate)
        instrument = await self._ahead.instrument(caller, card, credential_of(card))
        draft = await self._tools.drafter.stored_card(wanted.asked, request, card, instrument, mandate_id=mandate.id)
        call = PayCall(
            request,
            instrument,
            merchant.settings,
            self._ahead.notify_url(wanted.account),
            card.buyer,
            draft.choice,
            Series(mandate.recurring_type.value, mandate.network_transaction_id or ""),
        )

        async def begin(draft: Draft, event: Event) -> Begun | None:
            return await self._begin(mandate, wanted.charge, draft, event)

        return Prepared(draft, call, begin)

    async def _begin(self, mandate: Mandate, charge: Charge, draft: Draft, event: Event) -> Begun | None:
        """Check and write in one transaction.

        Locks go from the card to the mandate, as where a card is deleted, and then to the number.
        """
        async with self._tools.database.transaction() as transaction:
            await cards.share(transaction, mandate.merchant_id, mandate.card_id)
            locked = await mandates.lock(transaction, mandate.merchant_id, mandate.id)
            await self._tools.guard.claim(transaction, draft)
            if await payments.find_by_request(transaction, draft.merchant_id, draft.request_id) is not None:
                return None
            check_charge(locked, charge, await mandates.charges(transaction, locked))
            return await self._tools.guard.begin(transaction, draft, event)

    async def _unanswerable(self, wanted: Wanted, payment: Payment) -> Payment:
        """Cancel at once what wants a buyer who is not there; what cannot be done now is left to the worker."""
        if payment.cancel_requested_at is None or not payment.nobody_there:
            return payment
        await self._canceller.carry_out(wanted.account, payment, wanted.asked.caller.origin)
        async with self._tools.database.session() as session:
            return await payments.find(session, payment.merchant_id, payment.id) or payment


def _check_card(card: StoredCard, request: PaymentRequest, merchant: Merchant) -> None:
    check_usable(card, request)
    if card.status is CardStatus.EXPIRED and not merchant.settings.charge_expired_cards:
        raise CardExpired
