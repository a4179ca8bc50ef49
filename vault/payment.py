"""What a payment is and how it may change: states, evidence about it, and the one function that judges evidence.

It refuses to know where payments are kept and who said what over which wire. Invariant (design section 3): a state only
ever moves forward; after a final state only a void, or the late authorisation of something believed not to be sent,
changes anything.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple

from keys.sealed import Plaintext
from vault.card import CardToken
from vault.money import Amount
from vault.movement import Movement, MovementKind, MovementSeen, MovementStatus
from vault.result import Result
from vault.stored_card import NO_CHOICE, BrandChoice, CardFace


class Kind(StrEnum):
    """Why the card is charged.

    `ONE_OFF`: with a card that the buyer typed. `CARD_ON_FILE`: a stored one, the buyer present. `MERCHANT_INITIATED`:
    under a mandate, the buyer absent.
    """

    ONE_OFF = "ONE_OFF"
    CARD_ON_FILE = "CARD_ON_FILE"
    MERCHANT_INITIATED = "MERCHANT_INITIATED"


class Status(StrEnum):
    """Where a payment stands; the order of the first three is their order in time.

    `CREATED`, `UNKNOWN`: no answer can be trusted yet, the vault finds out. `PROCESSING`: the buyer has to do something
    (`nextAction`), or the gateway is not ready. The others are final; `SUCCESS` says that the payment is authorised.
    """

    CREATED = "CREATED"
    UNKNOWN = "UNKNOWN"
    PROCESSING = "PROCESSING"
    SUCCESS = "SUCCESS"
    FAIL = "FAIL"
    CANCELLED = "CANCELLED"

    @property
    def final(self) -> bool:
        """Tell whether the outcome is known."""
        return self in _FINAL


_FINAL = frozenset({Status.SUCCESS, Status.FAIL, Status.CANCELLED})
_PROGRESS = {Status.CREATED: 0, Status.UNKNOWN: 1, Status.PROCESSING: 2}


class Channel(StrEnum):
    """Where the buyer pays: in the merchant's own form, on the gateway's page, or in a session of a client SDK."""

    DIRECT = "DIRECT"
    PAGE = "PAGE"
    SESSION = "SESSION"


class StoreCard(StrEnum):
    """Where a paying card is to be kept once the payment has succeeded."""

    GATEWAY = "GATEWAY"
    VAULT = "VAULT"
    BOTH = "BOTH"

    @property
    def at_gateway(self) -> bool:
        """Tell whether the gateway is asked for a token."""
        return self is not StoreCard.VAULT

    @property
    def in_vault(self) -> bool:
        """Tell whether the card number is sealed here."""
        return self is not StoreCard.GATEWAY


class StoreState(StrEnum):
    """How far the storing of a payment's card has come."""

    NONE = "NONE"
    PENDING = "PENDING"
    STORED = "STORED"
    DROPPED = "DROPPED"


class Credential(StrEnum):
    """What a payment is made with; chosen once, in the transaction before the call. `UNSEEN`: typed at the gateway."""

    CARD_DATA = "CARD_DATA"
    UNSEEN = "UNSEEN"
    TOKEN = "TOKEN"  # noqa: S105 - the name of a kind of credential
    PAN = "PAN"


class Source(StrEnum):
    """Where evidence about a payment comes from."""

    ANSWER = "answer"
    NOTIFICATION = "notification"
    INQUIRY = "inquiry"
    CANCEL = "cancel"
    SENDER = "sender"
    WORKER = "worker"


class Evidence(NamedTuple):
    """What one verified message (or our own certainty) says about a payment; `status` None: nothing about its state.

    `info` holds allow-listed `paymentResultInfo` fields; `token` and `network_transaction_id` are taken out of it.
    `session` is what opens a session in a client SDK, as JSON. `status_when_asked` is how the payment stood when an
    inquiry was sent: its answer may be older than what has become known since.
    """

    source: Source
    status: Status | None
    result: Result | None = None
    gateway_payment_id: str | None = None
    next_action: Mapping[str, Any] | None = None
    info: Mapping[str, Any] | None = None
    token: CardToken | None = None
    network_transaction_id: str | None = None
    authorisation_expires_at: datetime | None = None
    movements: tuple[MovementSeen, ...] = ()
    session: Plaintext | None = None
    not_sent: bool = False
    bound: bool = True
    status_when_asked: Status | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """What of a payment decides how evidence is judged."""

    status: Status
    not_sent: bool = False


class Verdict(StrEnum):
    """What evidence does to a payment."""

    ADVANCE = "advance"
    ENRICH = "enrich"
    IGNORE = "ignore"
    CONTRADICTION = "contradiction"
    LATE_AUTHORISATION = "late_authorisation"
    UNBOUND = "unbound"


def judge(standing: Standing, evidence: Evidence) -> Verdict:
    """Decide what evidence does to a payment that stands as given (design section 3)."""
    new = evidence.status
    if not evidence.bound:
        return Verdict.UNBOUND
    if new is None or new is standing.status:
        return Verdict.ENRICH
    if not standing.status.final:
        if new.final or _PROGRESS[new] > _PROGRESS[standing.status]:
            return Verdict.ADVANCE
        return Verdict.IGNORE
    return _judge_final(standing, new, evidence.status_when_asked)


def _judge_final(standing: Standing, new: Status, status_when_asked: Status | None) -> Verdict:
    if not new.final:
        return Verdict.LATE_AUTHORISATION if standing.not_sent and new is Status.PROCESSING else Verdict.IGNORE
    match standing.status, new:
        case Status.SUCCESS, Status.CANCELLED:
            return Verdict.ADVANCE
        case Status.FAIL, Status.SUCCESS if standing.not_sent:
            return Verdict.LATE_AUTHORISATION
        case Status.FAIL, Status.CANCELLED if standing.not_sent:
            return Verdict.IGNORE
        case Status.CANCELLED, _ if status_when_asked is not Status.CANCELLED:
            return Verdict.IGNORE
        case _:
            return Verdict.CONTRADICTION


class Payment(NamedTuple):
    """A payment as it stands in the database; a tuple, because copying so many fields one by one takes its time.

    `authentication` says what was asked for or brought along: `requested`, and `mpi` without its secret value;
    `redirected`, whether the gateway sent the buyer somewhere; `choice`, the network that was asked for, by the request
    or by what the card remembers.
    """

    merchant_id: str
    id: str
    request_id: str
    kind: Kind
    status: Status
    amount: Amount
    order_reference: str
    buyer: str | None
    card_id: str | None
    credential: Credential
    store_card: StoreCard | None
    store_state: StoreState
    face: CardFace | None
    digest: bytes
    digest_key_id: bytes
    capture_mode: str
    capture_status: str
    next_action: Mapping[str, Any] | None
    gateway_payment_id: str | None
    result: Result | None
    result_info: Mapping[str, Any]
    not_sent: bool
    metadata: Mapping[str, Any] | None
    consent: Mapping[str, Any] | None
    send_deadline: datetime
    expires_at: datetime
    authorisation_expires_at: datetime | None
    cancel_requested_at: datetime | None
    created_at: datetime
    updated_at: datetime
    read_at: datetime
    movements: tuple[Movement, ...] = ()
    mandate_id: str | None = None
    authentication: Mapping[str, Any] | None = None
    redirected: bool = False
    choice: BrandChoice = NO_CHOICE
    finalised_at: datetime | None = None
    channel: Channel = Channel.DIRECT

    @property
    def network_transaction_id(self) -> str | None:
        """Give the network's id of this authorisation, if the gateway told it."""
        told = self.result_info.get("networkTransactionId")
        return told if isinstance(told, str) else None

    @property
    def nobody_there(self) -> bool:
        """Tell whether the gateway asked for the buyer where none is there to answer."""
        return self.kind is Kind.MERCHANT_INITIATED and self.redirected and self.channel is Channel.DIRECT

    @property
    def region(self) -> str | None:
        """Give the region whose rules the card follows, as far as the gateway told it (antom-api.md 5.2)."""
        told = self.result_info.get("paymentMethodRegion") or self.result_info.get("issuingCountry")
        return told if isinstance(told, str) else None

    def of(self, kind: MovementKind, *statuses: MovementStatus) -> tuple[Movement, ...]:
        """Give the captures or the refunds, those of certain statuses or all of them."""
        return tuple(each for each in self.movements if each.kind is kind and (not statuses or each.status in statuses))

    def movement(self, kind: MovementKind, request_id: str) -> Movement | None:
        """Give the capture or refund with a request id."""
        return next((each for each in self.of(kind) if each.request_id == request_id), None)

    def moved(self, kind: MovementKind) -> int:
        """Give how much was captured, or refunded, for certain; in the smallest unit."""
        return sum(each.amount.minor for each in self.of(kind, MovementStatus.SUCCESS))

    def reserved(self, kind: MovementKind) -> int:
        """Give how much was captured, or refunded, or may have been; in the smallest unit."""
        return sum(each.amount.minor for each in self.of(kind) if each.status is not MovementStatus.FAIL)

    @property
    def open_movements(self) -> tuple[Movement, ...]:
        """Give the captures and refunds without an outcome."""
        return tuple(each for each in self.movements if each.status.open)

    @property
    def standing(self) -> Standing:
        """Give what decides how evidence is judged."""
        return Standing(self.status, self.not_sent)
