"""Payments with the buyer present: with card data, on the gateway's page, or with a stored card.

It refuses to know HTTP and SQL. Invariants: a CVV lives for the request that carries it; a card that is expired,
disabled or another buyer's is not charged (design sections 3 and 4).
"""

from typing import Final

from vault.auth import Caller
from vault.card_intake import check_policy
from vault.card_policy import CardPolicy
from vault.errors import (
    BuyerMismatch,
    CardDisabled,
    CardExpired,
    FieldCode,
    FieldProblem,
    NotFound,
    Overloaded,
    RequestInvalid,
    VaultError,
)
from vault.gateway.limits import Deadline
from vault.gateway.messages import NewCardInstrument, PageInstrument, PayCall
from vault.payment import Channel, Payment
from vault.payments.drafting import Asked
from vault.payments.writing_ahead import Paid, Tools, WriteAhead, credential_of
from vault.store import payments
from vault.store.cards import Page
from vault.store.payments import PaymentFilter
from vault.stored_card import CardStatus, StoredCard
from vault.wire.requests import CardPaymentRequest, PaymentRequest, StoredCardPaymentRequest

REPEATS: Final = 4


class Payments:
    """The service behind `/v1/payments` and `/v1/cards/{cardId}/payments`."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self._ahead = WriteAhead(tools)

    async def pay(self, caller: Caller, request: CardPaymentRequest, body: dict[str, object]) -> Paid:
        """Pay with card data, or have the buyer type it on the gateway's page; store the card if wanted."""
        account, asked = await self._ahead.asked(caller, request, "payments", body)
        instrument = new_instrument(self._tools.policy, request)
        known = await self._refused(asked, request)
        if known is not None:
            return known
        channel = Channel.PAGE if request.card is None else Channel.DIRECT
        settings, notify_url = account.merchant.settings, self._ahead.notify_url(account)
        call = PayCall(request, instrument, settings, notify_url, request.buyer_id, request.choice)
        deadline = Deadline.after(self._tools.sender_seconds)
        for _ in range(REPEATS):
            draft = await self._tools.drafter.new_card(asked, request, instrument, channel)
            paid = await self._ahead.write_and_send(asked, draft, (account, call, deadline))
            if paid is not None:
                return paid
        raise Overloaded

    async def _refused(self, asked: Asked, request: PaymentRequest) -> Paid | None:
        """Raise where a new request would be refused by now; give the payment of one that was made before."""
        try:
            await self._tools.preconditions.check(asked.merchant, request)
        except RequestInvalid:
            known = await self._ahead.replayed(asked, request.payment_request_id)
            if known is None:
                raise
            return known
        return None

    async def pay_with_card(
        self, caller: Caller, card_id: str, request: StoredCardPaymentRequest, body: dict[str, object]
    ) -> Paid:
        """Pay with a stored card, the buyer present."""
        account, asked = await self._ahead.asked(caller, request, f"cards/{card_id}/payments", body)
        deadline = Deadline.after(self._tools.sender_seconds)
        for _ in range(REPEATS):
            try:
                card = await self._tools.cards.to_pay(caller, card_id)
                _check_present(card, request)
                await self._tools.preconditions.check(account.merchant, request, card)
            except VaultError:
                # It may have been usable when this request came first.
                known = await self._ahead.replayed(asked, request.payment_request_id)
                if known is None:
                    raise
                return known
            instrument = await self._ahead.instrument(caller, card, credential_of(card), request.cvv)
            draft = await self._tools.drafter.stored_card(asked, request, card, instrument, mandate_id=None)
            settings, notify_url = account.merchant.settings, self._ahead.notify_url(account)
            call = PayCall(request, instrument, settings, notify_url, card.buyer, draft.choice)
            paid = await self._ahead.write_and_send(asked, draft, (account, call, deadline))
            if paid is not None:
                return paid if paid.replayed else Paid(paid.payment, replayed=False, card=card)
        raise Overloaded

    async def get(self, caller: Caller, payment_id: str) -> Payment:
        """Give a payment; raises `NotFound`, also for another merchant's."""
        async with self._tools.database.session() as session:
            payment = await payments.find(session, caller.merchant_id, payment_id)
        if payment is None:
            raise NotFound
        return payment

    async def listed(self, caller: Caller, wanted: PaymentFilter, page: Page) -> list[Payment]:
        """Give the merchant's payments, newest first."""
        async with self._tools.database.session() as session:
            return await payments.listed(session, caller.merchant_id, wanted, page)


def new_instrument(policy: CardPolicy, request: CardPaymentRequest) -> NewCardInstrument | PageInstrument:
    """Give what a card is paid with that was just typed, or will be; raises `CardNumberRefused`."""
    tokenize = request.store_card is not None and request.store_card.at_gateway
    if request.card is None:
        return PageInstrument(tokenize=tokenize)
    check_policy(policy, request.card.card_no)
    return NewCardInstrument(request.card, tokenize=tokenize)


def check_usable(card: StoredCard, request: PaymentRequest) -> None:
    """Refuse to charge a card for another buyer, or one that a hard decline disabled."""
    if request.buyer_id is not None and request.buyer_id != card.buyer:
        raise BuyerMismatch(errors=[FieldProblem("/order/buyer/referenceBuyerId", FieldCode.BUYER_MISMATCH)])
    if card.stored_status is CardStatus.DISABLED:
        raise CardDisabled


def _check_present(card: StoredCard, request: StoredCardPaymentRequest) -> None:
    check_usable(card, request)
    if card.status is CardStatus.EXPIRED:
        raise CardExpired
    if request.cvv is not None and not request.cvv.fits(card.face.brand):
        raise RequestInvalid(errors=[FieldProblem("/cvv", FieldCode.CVV_INVALID)])
