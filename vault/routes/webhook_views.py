"""What the API shows of events, of webhook endpoints and of what was delivered to them.

It refuses to know rows. Invariants: an event is shown as it is sent; a signing secret is in the answer that made it
and in no other.
"""

from datetime import datetime
from typing import Any

from vault.routes.shapes import View
from vault.webhook import (
    Delivery,
    DeliveryStatus,
    Endpoint,
    EndpointStatus,
    Outcome,
    WebhookEvent,
    WebhookSecret,
    WebhookType,
)


class EventView(View):
    """An event: the object's `sequence` numbers begin with 1 and have no gaps."""

    event_id: str
    type: WebhookType
    timestamp: datetime
    object_id: str
    sequence: int
    data: dict[str, Any]

    @classmethod
    def of(cls, event: WebhookEvent) -> "EventView":
        """Show an event."""
        return cls.model_validate(event.content())


class EventPage(View):
    """A page of events, oldest first; there is a cursor as long as there are events, to go on with later."""

    events: list[EventView]
    next_cursor: str | None


class EndpointView(View):
    """Where a merchant is told of events; `eventTypes` null: all of them."""

    endpoint_id: str
    url: str
    event_types: list[str] | None
    status: EndpointStatus
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, endpoint: Endpoint) -> "EndpointView":
        """Show an endpoint."""
        return cls.model_validate(_shown(endpoint))


class NewEndpointView(EndpointView):
    """A new endpoint with its signing secret, which is shown this once."""

    secret: str

    @classmethod
    def with_secret(cls, endpoint: Endpoint, secret: WebhookSecret) -> "NewEndpointView":
        """Show an endpoint and its secret."""
        return cls.model_validate({**_shown(endpoint), "secret": secret.reveal()})


class EndpointList(View):
    """All endpoints of a merchant, oldest first."""

    endpoints: list[EndpointView]


class RotatedSecretView(View):
    """A new signing secret, shown this once; both are in use until the one before ends."""

    endpoint_id: str
    secret: str
    previous_secret_expires_at: datetime | None


class SentView(View):
    """An event that is on its way to these endpoints."""

    event_id: str
    endpoint_ids: list[str]


class AttemptView(View):
    """One attempt; `attempt` counts in its round, and each redelivery begins a round."""

    at: datetime
    round: int
    attempt: int
    outcome: Outcome
    status: int | None
    milliseconds: int


class DeliveryView(View):
    """How far an event is on its way to an endpoint, with the newest attempts, oldest first."""

    event_id: str
    type: WebhookType
    object_id: str
    sequence: int
    status: DeliveryStatus
    next_attempt_at: datetime | None
    attempts: list[AttemptView]
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, delivery: Delivery) -> "DeliveryView":
        """Show a delivery."""
        event = delivery.event
        return cls(
            event_id=event.id,
            type=WebhookType(event.type),
            object_id=event.object_id,
            sequence=event.sequence,
            status=delivery.status,
            next_attempt_at=delivery.next_at,
            attempts=[AttemptView.model_validate(entry) for entry in delivery.log],
            created_at=delivery.created_at,
            updated_at=delivery.updated_at,
        )


class DeliveryPage(View):
    """A page of deliveries, newest event first."""

    deliveries: list[DeliveryView]
    next_cursor: str | None


def _shown(endpoint: Endpoint) -> dict[str, Any]:
    return {
        "endpoint_id": endpoint.id,
        "url": endpoint.url,
        "event_types": list(endpoint.types) or None,
        "status": endpoint.status,
        "created_at": endpoint.created_at,
        "updated_at": endpoint.updated_at,
    }
