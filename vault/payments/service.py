"""Payments: write ahead, call, record; find again; cancel.

It refuses to know HTTP and SQL. Invariants: the gateway is called with no transaction open; one request id is one
payment and one call; a request refused before anything was sent leaves no payment (design sections 3 and 4).
"""

import hmac
from dataclasses import dataclass
from typing import Final

import orjson

from keys.keyring import Keyring, Purpose
from vault.audit.events import Event, EventType
from vault.auth import Caller
from vault.card import CardToken, Expiry, Pan
from vault.card_intake import card_location, check_policy, check_references
from vault.card_policy import CardPolicy
from vault.cards import Cards
from vault.db import Database
from vault.directory import Account, Directory
from vault.errors import (
    BuyerMismatch,
    CardDisabled,
    CardExpired,
    FieldCode,
    FieldProblem,
    IdempotencyConflict,
    InProgress,
    NotFound,
    Overloaded,
    RequestInvalid,
)
from vault.gateway.limits import Deadline
from vault.gateway.messages import Instrument, NewCardInstrument, PayCall, SealedInstrument, TokenInstrument, pay_body
from vault.opening import Opener
from vault.payment import Credential, Payment, Status
from vault.payments.drafting import Asked, Drafter
from vault.payments.recording import Recorder
from vault.payments.sending import Sender
from vault.store import payments
from vault.store.cards import Page
from vault.store.payments import Draft, PaymentFilter
from vault.stored_card import CardStatus, SecretKind, StoredCard
from vault.wire.requests import CardPaymentRequest, PaymentRequest, StoredCardPaymentRequest

_REPEATS: Final = 4


@dataclass(frozen=True, slots=True)
class Paid:
    """A payment as it stands, and whether this request only found it."""

    payment: Payment
    replayed: bool


@dataclass(frozen=True, slots=True)
class Tools:
    """What payments are made with."""

    database: Database
    keyring: Keyring
    directory: Directory
    cards: Cards
    drafter: Drafter
    sender: Sender
    recorder: Recorder
    policy: CardPolicy
    sender_seconds: float
    public_url: str


class Payments:
    """The service behind `/v1/payments` and `/v1/cards/{cardId}/payments`."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self._opener = Opener(tools.database, tools.keyring)

    async def pay(self, caller: Caller, request: CardPaymentRequest, body: dict[str, object]) -> Paid:
        """Pay with card data, storing the card if wanted."""
        account, asked = await self._asked(caller, request, "payments", body)
        check_policy(self._tools.policy, request.card.card_no)
        tokenize = request.store_card is not None and request.store_card.at_gateway
        deadline = Deadline.after(self._tools.sender_seconds)
        for _ in range(_REPEATS):
            draft = await self._tools.drafter.new_card(asked, request)
            call = self._call(account, request, NewCardInstrument(request.card, tokenize=tokenize), request.buyer_id)
            paid = await self._write_and_send(asked, draft, account, call, deadline)
            if paid is not None:
                return paid
        raise Overloaded

    async def pay_with_card(
        self, caller: Caller, card_id: str, request: StoredCardPaymentRequest, body: dict[str, object]
    ) -> Paid:
        """Pay with a stored card, the buyer present."""
        account, asked = await self._asked(caller, request, f"cards/{card_id}/payments", body)
        known = await self._replayed(asked, request.payment_request_id)
        if known is not None:
            return known
        deadline = Deadline.after(self._tools.sender_seconds)
        for _ in range(_REPEATS):
            card = await self._tools.cards.get(caller, card_id)
            credential = _chosen(card, request)
            draft = await self._tools.drafter.stored_card(asked, request, card, credential)
            instrument = await self._instrument(caller, card, credential, request)
            call = self._call(account, request, instrument, card.buyer)
            paid = await self._write_and_send(asked, draft, account, call, deadline)
            if paid is not None:
                return paid
        raise Overloaded

    async def _asked(
        self, caller: Caller, request: PaymentRequest, route: str, body: dict[str, object]
    ) -> tuple[Account, Asked]:
        account = await self._tools.directory.account(caller.merchant_id, caller.origin)
        check_references(account.merchant, request.references())
        _check_defaults(account, request)
        return account, Asked(caller, account.merchant, route, body)

    async def _begin(self, asked: Asked, draft: Draft) -> Paid | None:
        """Write the draft; the payment under its id if there is one, None when it has to be drafted again."""
        event = Event(
            EventType.PAYMENT_CREATED,
            asked.caller.origin,
            draft.merchant_id,
            (draft.id, draft.card_id) if draft.card_id else (draft.id,),
            details={"kind": draft.kind.value, "credential": draft.credential.value, "storage": draft.store_card},
        )
        async with self._tools.database.session() as session:
            begun = await payments.begin(session, draft, event)
            payment = await payments.find(session, draft.merchant_id, draft.id) if begun.created else None
        if payment is not None:
            return Paid(payment, replayed=False)
        if not begun.keys_active:
            self._tools.keyring.forget(draft.merchant_id, Purpose.CARD)
        return await self._replayed(asked, draft.request_id)

    async def _replayed(self, asked: Asked, request_id: str) -> Paid | None:
        async with self._tools.database.session() as session:
            payment = await payments.find_by_request(session, asked.caller.merchant_id, request_id)
        if payment is None:
            return None
        digest = await self._tools.drafter.digest(asked, payment.digest_key_id)
        if not hmac.compare_digest(digest.value, payment.digest):
            raise IdempotencyConflict
        if payment.status is Status.CREATED and payment.read_at < payment.send_deadline:
            raise InProgress
        return Paid(payment, replayed=True)

    def _call(self, account: Account, request: PaymentRequest, instrument: Instrument, buyer: str | None) -> PayCall:
        notify_url = f"{self._tools.public_url}/v1/gateway/notifications/{account.merchant.id}"
        return PayCall(request, instrument, account.merchant.settings, notify_url, buyer)

    async def _write_and_send(
        self, asked: Asked, draft: Draft, account: Account, call: PayCall, deadline: Deadline
    ) -> Paid | None:
        """Write the draft, send the call, record the answer; None when it has to be drafted again."""
        body = pay_body(call)
        begun = await self._begin(asked, draft)
        if begun is None or begun.replayed:
            return begun
        evidence = await self._tools.sender.pay(account, begun.payment, body, deadline)
        payment = await self._tools.recorder.record(begun.payment, evidence, asked.caller.origin)
        return Paid(payment, replayed=False)

    async def _instrument(
        self, caller: Caller, card: StoredCard, credential: Credential, request: StoredCardPaymentRequest
    ) -> Instrument:
        if credential is Credential.TOKEN:
            return TokenInstrument(CardToken.parse(await self._opened(caller, card, SecretKind.TOKEN)), request.cvv)
        pan = Pan.parse(await self._opened(caller, card, SecretKind.PAN))
        profile = {}
        if SecretKind.PROFILE in card.secrets:
            profile = orjson.loads(await self._opened(caller, card, SecretKind.PROFILE))
        expiry: Expiry = card.face.expiry
        return SealedInstrument(pan, expiry, profile.get("cardholderName"), profile.get("billingAddress"), request.cvv)

    async def _opened(self, caller: Caller, card: StoredCard, kind: SecretKind) -> str:
        location = card_location(card.merchant_id, card.id, kind)
        return (await self._opener.open(card.secrets[kind], location, caller.origin)).reveal().decode()

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


def _check_defaults(account: Account, request: PaymentRequest) -> None:
    """Refuse a payment that nobody said where the buyer returns to (antom-api.md 2.1: required for a card)."""
    if request.payment_redirect_url is None and account.merchant.settings.payment_redirect_url is None:
        raise RequestInvalid(errors=[FieldProblem("/paymentRedirectUrl", FieldCode.MISSING)])


def _chosen(card: StoredCard, request: StoredCardPaymentRequest) -> Credential:
    """Check that a card may be paid with by its buyer, and choose what with: the token where there is one."""
    if request.buyer_id is not None and request.buyer_id != card.buyer:
        raise BuyerMismatch(errors=[FieldProblem("/order/buyer/referenceBuyerId", FieldCode.BUYER_MISMATCH)])
    if card.status is CardStatus.EXPIRED:
        raise CardExpired
    if card.status is CardStatus.DISABLED:
        raise CardDisabled
    if request.cvv is not None and not request.cvv.fits(card.face.brand):
        raise RequestInvalid(errors=[FieldProblem("/cvv", FieldCode.CVV_INVALID)])
    return Credential.TOKEN if SecretKind.TOKEN in card.secrets else Credential.PAN
