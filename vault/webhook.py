"""What merchants are told of and how: event types, endpoints, deliveries, and signatures by Standard Webhooks 1.0.

It refuses to know rows and connections. Invariants: the types are a closed set; a body is made of its event alone, so
that every attempt carries the same bytes under the same id (controls.md WHK-1 to WHK-4).
"""

import base64
import hmac
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final, Self
from uuid import UUID

import orjson

from keys.sealed import Plaintext, Sealed
from vault.ids import Prefix, id_of

_SECRET_BYTES: Final = 32


class WebhookType(StrEnum):
    """Every kind of event that merchants are told of."""

    CARD_STORED = "card.stored"
    CARD_NOT_STORED = "card.not_stored"
    CARD_UPDATED = "card.updated"
    CARD_DISABLED = "card.disabled"
    CARD_EXPIRED = "card.expired"
    CARD_REACTIVATED = "card.reactivated"
    CARD_DELETED = "card.deleted"
    PAYMENT_PROCESSING = "payment.processing"
    PAYMENT_UNKNOWN = "payment.unknown"
    PAYMENT_SUCCEEDED = "payment.succeeded"
    PAYMENT_FAILED = "payment.failed"
    PAYMENT_CANCELLED = "payment.cancelled"
    PAYMENT_AUTHORISATION_EXPIRED = "payment.authorisation_expired"
    CAPTURE_SUCCEEDED = "capture.succeeded"
    CAPTURE_FAILED = "capture.failed"
    REFUND_SUCCEEDED = "refund.succeeded"
    REFUND_FAILED = "refund.failed"
    MANDATE_ENDED = "mandate.ended"
    TEST = "webhook.test"


# What an endpoint may ask for: single types, or all of a kind. A test is sent to the endpoint that is tested alone.
SUBSCRIBABLE: Final = tuple(
    sorted({*WebhookType, *(f"{each.partition('.')[0]}.*" for each in WebhookType)} - {WebhookType.TEST, "webhook.*"})
)


class EndpointStatus(StrEnum):
    """Whether an endpoint is told of events; `DISABLED`: it answered 410."""

    ACTIVE = "ACTIVE"
    DISABLED = "DISABLED"
    DELETED = "DELETED"


class DeliveryStatus(StrEnum):
    """How far a delivery is; `FAILED`: not tried again by itself."""

    PENDING = "PENDING"
    DELIVERED = "DELIVERED"
    FAILED = "FAILED"


class Outcome(StrEnum):
    """How one attempt ended."""

    DELIVERED = "DELIVERED"
    REFUSED = "REFUSED"
    REDIRECTED = "REDIRECTED"
    TIMEOUT = "TIMEOUT"
    NAME_NOT_RESOLVED = "NAME_NOT_RESOLVED"
    ADDRESS_NOT_ALLOWED = "ADDRESS_NOT_ALLOWED"
    CONNECTION_FAILED = "CONNECTION_FAILED"
    TLS_FAILED = "TLS_FAILED"
    NOT_HTTP = "NOT_HTTP"
    SECRET_UNUSABLE = "SECRET_UNUSABLE"  # noqa: S105 - an outcome, not a secret


class WebhookSecret(Sealed[str]):
    """A signing secret as its owner is shown it, once: `whsec_` and the base64 of 256 random bits."""

    __slots__ = ()

    @classmethod
    def of(cls, key: bytes) -> Self:
        """Write the octets of a key as Standard Webhooks does."""
        return cls("whsec_" + base64.b64encode(key).decode())


def new_key() -> Plaintext:
    """Make the octets of a fresh signing secret."""
    return Plaintext(os.urandom(_SECRET_BYTES))


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a merchant wants to be told of events; `types` empty: all of them."""

    merchant_id: str
    id: str
    url: str
    types: tuple[str, ...]
    status: EndpointStatus
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class WebhookEvent:
    """An event as it was written with its change; `position` is its place among the merchant's."""

    merchant_id: str
    uuid: UUID
    type: str
    object_id: str
    sequence: int
    occurred_at: datetime
    data: Mapping[str, Any]
    position: str = ""

    @property
    def id(self) -> str:
        """Give the id under which merchants know the event; it is the webhook's id, too."""
        return id_of(Prefix.EVENT, self.uuid)

    def content(self) -> dict[str, Any]:
        """Give what merchants are told, which lists of events show in the same way."""
        return {
            "eventId": self.id,
            "type": self.type,
            "timestamp": self.occurred_at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z"),
            "objectId": self.object_id,
            "sequence": self.sequence,
            "data": dict(self.data),
        }

    def body(self) -> bytes:
        """Give the octets that are signed and sent."""
        return orjson.dumps(self.content())


@dataclass(frozen=True, slots=True)
class Attempt:
    """How one attempt went: the status where there was an answer, the seconds for which the endpoint asked to wait."""

    outcome: Outcome
    status: int | None = None
    retry_after: float | None = None
    milliseconds: int = 0


@dataclass(frozen=True, slots=True)
class Delivery:
    """An event on its way to an endpoint, as it stands; `log` holds the newest attempts, oldest first."""

    event: WebhookEvent
    endpoint_id: str
    status: DeliveryStatus
    next_at: datetime | None
    log: Sequence[Mapping[str, Any]]
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Claimed:
    """A delivery that one worker has taken: the attempt's number in its round, where to, the secrets by their ids."""

    event: WebhookEvent
    endpoint_id: str
    url: str
    round: int
    tries: int
    secrets: Mapping[str, bytes] = field(repr=False)


def signed_headers(keys: Sequence[Plaintext], event_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """Give the headers of one attempt: a signature by each key, the newest first (WHK-1)."""
    signed = f"{event_id}.{timestamp}.".encode() + body
    marks = [base64.b64encode(hmac.digest(key.reveal(), signed, "sha256")).decode() for key in keys]
    return {
        "webhook-id": event_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(f"v1,{mark}" for mark in marks),
    }
