"""What every kind of payment has in common: opened credentials, the write before the call, and repeats of a request.

It refuses to know HTTP, SQL and why a card is charged. Invariants: the gateway is called with no transaction open; one
request id is one payment and one call; a request refused before anything was sent leaves no payment (design sections
3 and 4).
"""

import hmac
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeAlias

import orjson

from keys.keyring import Keyring
from vault.audit.events import Event, EventType
from vault.auth import Caller
from vault.card import CardToken, Cvv, Pan
from vault.card_intake import card_location, check_references
from vault.card_policy import CardPolicy
from vault.cards import Cards
from vault.db import Database
from vault.directory import Account, Directory
from vault.errors import FieldCode, FieldProblem, IdempotencyConflict, InProgress, RequestInvalid
from vault.gateway.limits import Deadline
from vault.gateway.messages import Instrument, PayCall, SealedInstrument, TokenInstrument
from vault.gateway.session_messages import Call, outgoing
from vault.opening import Opener
from vault.payment import Credential, Payment, Status
from vault.payments.drafting import Asked, Drafter
from vault.payments.preconditions import Preconditions
from vault.payments.recording import Recorder
from vault.payments.retry_guard import RetryGuard
from vault.payments.sending import Sender
from vault.retry_errors import RetryLimit
from vault.store import payments
from vault.store.drafts import Begun, Draft
from vault.stored_card import SecretKind, StoredCard
from vault.wire.requests import PaymentRequest

# Writes a draft with its event, in one transaction with whatever has to be looked at first; None: the id is taken.
Beginning: TypeAlias = Callable[[Draft, Event], Awaitable[Begun | None]]


@dataclass(frozen=True, slots=True)
class Paid:
    """A payment as it stands, whether this request only found it, and the stored card that this request charged."""

    payment: Payment
    replayed: bool
    card: StoredCard | None = None


@dataclass(frozen=True, slots=True)
class Prepared:
    """A payment that is ready to be written and sent; `begin` where something has to be looked at as it is written."""

    draft: Draft
    call: PayCall
    begin: Beginning | None = None


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
    guard: RetryGuard
    policy: CardPolicy
    preconditions: Preconditions
    sender_seconds: float
    public_url: str


class WriteAhead:
    """Writes payments down, sends them, and finds those that were sent before."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self._opener = Opener(tools.database, tools.keyring)

    async def asked(
        self, caller: Caller, request: PaymentRequest, route: str, body: dict[str, object]
    ) -> tuple[Account, Asked]:
        """Take a request in: whose it is, and what a repeat of it is compared with. Raises `RequestInvalid`."""
        account = await self._tools.directory.account(caller.merchant_id, caller.origin)
        check_references(account.merchant, request.references())
        _check_defaults(account, request)
        return account, Asked(caller, account.merchant, route, body)

    async def replayed(self, asked: Asked, request_id: str) -> Paid | None:
        """Give the payment that was made under a request id, if any; raises for another request or one under way."""
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

    def notify_url(self, account: Account) -> str:
        """Give the address that the gateway tells results to."""
        return f"{self._tools.public_url}/v1/gateway/notifications/{account.merchant.id}"

    async def write_and_send(
        self,
        asked: Asked,
        draft: Draft,
        call: tuple[Account, Call, Deadline],
        begin: Beginning | None = None,
    ) -> Paid | None:
        """Write the draft, send the call, record the answer; None when it has to be drafted again.

        Raises `RetryLimit`.
        """
        account, wanted, deadline = call
        what = outgoing(wanted)
        begun = await self._begin(asked, draft, begin or self._tools.guard.begin_alone)
        if begun is None or begun.replayed:
            return begun
        evidence = await self._tools.sender.send(account, begun.payment, what, deadline)
        payment = await self._tools.recorder.record(begun.payment, evidence, asked.caller.origin)
        return Paid(payment, replayed=False)

    async def _begin(self, asked: Asked, draft: Draft, begin: Beginning) -> Paid | None:
        """Write the draft; the payment under its id if there is one, None when it has to be drafted again."""
        named = (draft.id, draft.card_id, draft.mandate_id)
        event = Event(
            EventType.PAYMENT_CREATED,
            asked.caller.origin,
            draft.merchant_id,
            tuple(each for each in named if each is not None),
            details={"kind": draft.kind, "credential": draft.credential, "storage": draft.store_card},
        )
        try:
            begun = await begin(draft, event)
        except RetryLimit as refusal:
            await self._tools.guard.record_refusal(draft, refusal, asked.caller.origin)
            raise
        if begun is not None and begun.payment is not None:
            return Paid(begun.payment, replayed=False)
        if begun is not None and not begun.keys_active:
            self._tools.keyring.forget_merchant(draft.merchant_id)
        return await self.replayed(asked, draft.request_id)

    async def instrument(
        self, caller: Caller, card: StoredCard, credential: Credential, cvv: Cvv | None = None
    ) -> Instrument:
        """Open what a stored card is paid with."""
        if credential is Credential.TOKEN:
            return TokenInstrument(CardToken.parse(await self._opened(caller, card, SecretKind.TOKEN)), cvv)
        assert card.face.expiry is not None  # noqa: S101 - a number is never kept without its expiry
        pan = Pan.parse(await self._opened(caller, card, SecretKind.PAN))
        profile = {}
        if SecretKind.PROFILE in card.secrets:
            profile = orjson.loads(await self._opened(caller, card, SecretKind.PROFILE))
        return SealedInstrument(
            pan, card.face.expiry, profile.get("cardholderName"), profile.get("billingAddress"), cvv
        )

    async def _opened(self, caller: Caller, card: StoredCard, kind: SecretKind) -> str:
        location = card_location(card.merchant_id, card.id, kind)
        return (await self._opener.open(card.secrets[kind], location, caller.origin)).reveal().decode()


def credential_of(card: StoredCard) -> Credential:
    """Choose what a stored card is paid with: the token where there is one (design section 3, Credentials)."""
    return Credential.TOKEN if SecretKind.TOKEN in card.secrets else Credential.PAN


def _check_defaults(account: Account, request: PaymentRequest) -> None:
    """Refuse a payment that nobody said where the buyer returns to (antom-api.md 2.1: required for a card)."""
    if request.payment_redirect_url is None and account.merchant.settings.payment_redirect_url is None:
        raise RequestInvalid(errors=[FieldProblem("/paymentRedirectUrl", FieldCode.MISSING)])
