"""Everything a sandbox remembers: payments, tokens, the ledger, armed scenarios and received requests.

In memory and gone with the process. Refuses to know rules and time. Invariants: one payment per client and request
id; one capture or refund per client and request id; one ledger row per authorisation decision, in order.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections import deque
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from ops.sandbox.cards import Card
from ops.sandbox.identifiers import card_token
from ops.sandbox.ledger import Movement, MovementKind, Row
from ops.sandbox.pay_request import PayRequest
from ops.sandbox.results import Code, Json
from ops.sandbox.scenarios import HONEST, Scenario
from ops.sandbox.vaulting import Vaulting

REQUESTS_KEPT = 10_000
ARMED_KEPT = 100_000


class PaymentStatus(StrEnum):
    """The states of antom-api.md 4.4 that this sandbox uses."""

    PROCESSING = "PROCESSING"
    SUCCESS = "SUCCESS"
    FAIL = "FAIL"
    CANCELLED = "CANCELLED"


@dataclass(frozen=True, slots=True)
class Intake:
    """A valid payment that has not been decided: who asks, for what, with which card, and what is to go wrong."""

    client_id: str
    request: PayRequest
    card: Card
    brand: str
    region: str
    scenario: Scenario
    fingerprint: bytes


@dataclass(slots=True)
class Payment:
    """One payment and where it stands."""

    intake: Intake
    payment_id: str
    created_at: datetime
    expires_at: datetime
    status: PaymentStatus = PaymentStatus.PROCESSING
    code: str = Code.PAYMENT_IN_PROCESS
    decided_at: datetime | None = None
    challenge_url: str | None = None
    checkout_url: str | None = None
    authentication: Json | None = None
    network_transaction_id: str | None = None
    token: str | None = field(default=None, repr=False)
    row: Row | None = None
    # While an answer to `pay` is on its way, notifications and the automatic capture wait for it.
    held: bool = True

    @property
    def page_url(self) -> str | None:
        """Where the buyer has to go now, if anywhere."""
        return self.challenge_url or self.checkout_url


@dataclass(frozen=True, slots=True)
class Received:
    """A request as it came."""

    operation: str
    payment_request_id: str | None
    body: Json = field(repr=False)


class Book:
    """The memory of one sandbox."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)
        self._payments: dict[tuple[str, str], Payment] = {}
        self._by_payment_id: dict[tuple[str, str], Payment] = {}
        self._movements: dict[tuple[str, MovementKind, str], Movement] = {}
        self._refunds: dict[tuple[str, str], Movement] = {}
        self._tokens: dict[tuple[str, str], Card] = {}
        self._token_of_card: dict[tuple[str, bytes], str] = {}
        self._scheme_ids: dict[str, bytes] = {}
        self._armed: dict[str, Scenario] = {}
        self._received: deque[Received] = deque(maxlen=REQUESTS_KEPT)
        self.rows: list[Row] = []
        self.vaultings: dict[tuple[str, str], Vaulting] = {}

    def identity(self, *parts: str) -> bytes:
        """Return a keyed hash of texts, so that card numbers can be compared without being lying around."""
        return hmac.digest(self._key, "\n".join(parts).encode(errors="surrogatepass"), hashlib.sha256)

    def add(self, payment: Payment) -> None:
        """Remember a new payment."""
        self._payments[payment.intake.client_id, payment.intake.request.payment_request_id] = payment
        self._by_payment_id[payment.intake.client_id, payment.payment_id] = payment

    def find(self, client_id: str, payment_request_id: str) -> Payment | None:
        """Return a client's payment by its own id."""
        return self._payments.get((client_id, payment_request_id))

    def find_by_payment_id(self, client_id: str, payment_id: str) -> Payment | None:
        """Return a client's payment by the gateway's id."""
        return self._by_payment_id.get((client_id, payment_id))

    def add_movement(self, movement: Movement) -> None:
        """Remember a capture or a refund."""
        self._movements[movement.client_id, movement.order.kind, movement.order.request_id] = movement
        if movement.order.kind is MovementKind.REFUND:
            self._refunds[movement.client_id, movement.movement_id] = movement

    def find_movement(self, client_id: str, kind: MovementKind, request_id: str) -> Movement | None:
        """Return a client's capture or refund by its request id."""
        return self._movements.get((client_id, kind, request_id))

    def find_refund(self, client_id: str, refund_id: str) -> Movement | None:
        """Return a client's refund by the gateway's id."""
        return self._refunds.get((client_id, refund_id))

    def tokenise(self, client_id: str, card: Card, *, stable: bool) -> str:
        """Return a token that resolves to the card for this client; the same one again when `stable`."""
        owner = (client_id, self.identity(card.number))
        known = self._token_of_card.get(owner) if stable else None
        token = known if known and (client_id, known) in self._tokens else card_token()
        self._token_of_card[owner] = token
        self._tokens[client_id, token] = card
        return token

    def card_of(self, client_id: str, token: str) -> Card | None:
        """Return the card behind a client's token."""
        return self._tokens.get((client_id, token))

    def forget_token(self, client_id: str, token: str) -> bool:
        """Make a client's token worthless; tell whether it was worth anything."""
        return self._tokens.pop((client_id, token), None) is not None

    def issue_scheme_id(self, scheme_id: str, card: Card) -> None:
        """Remember which card a network transaction id was issued for."""
        self._scheme_ids[scheme_id] = self.identity(card.number)

    def contradicts(self, scheme_id: str, card: Card) -> bool:
        """Tell whether a network transaction id was issued here, but for another card."""
        return self._scheme_ids.get(scheme_id, self.identity(card.number)) != self.identity(card.number)

    def arm(self, request_id: str, scenario: Scenario) -> None:
        """Make the first call with a request id go differently; the oldest are forgotten beyond a limit."""
        self._armed[request_id] = scenario
        while len(self._armed) > ARMED_KEPT:
            self._armed.pop(next(iter(self._armed)))

    def disarm(self, request_id: str) -> Scenario:
        """Return and forget what was armed for a request id."""
        return self._armed.pop(request_id, HONEST)

    def receive(self, client_id: str, operation: str, body: Json) -> None:
        """Remember a request, under the payment or vaulting it speaks of."""
        request_id = self._spoken_of(client_id, body) or body.get("paymentRequestId") or body.get("vaultingRequestId")
        self._received.append(Received(operation, request_id if isinstance(request_id, str) else None, body))

    def _spoken_of(self, client_id: str, body: Json) -> str | None:
        payment_id, refund_request_id = body.get("paymentId"), body.get("refundRequestId")
        payment = self.find_by_payment_id(client_id, payment_id) if isinstance(payment_id, str) else None
        if payment is not None:
            return payment.intake.request.payment_request_id
        known = isinstance(refund_request_id, str)
        refund = self.find_movement(client_id, MovementKind.REFUND, str(refund_request_id)) if known else None
        return refund.payment_request_id if refund else None

    def received(self, payment_request_id: str | None) -> list[Json]:
        """Return the remembered requests of one payment, or all of them, in order."""
        return [
            {"operation": request.operation, "body": request.body}
            for request in self._received
            if payment_request_id is None or request.payment_request_id == payment_request_id
        ]
