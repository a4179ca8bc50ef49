"""The bodies about webhooks (design section 4): where to, about what, and how long a replaced secret goes on.

It refuses to know networks: whether a URL may be used is the service's to say.
"""

from typing import Annotated, Final, TypeAlias

from pydantic import AfterValidator, Field, WithJsonSchema

from vault.webhook import SUBSCRIBABLE, WebhookType
from vault.wire.fields import NUMBER, CursorText, Moment, Reference, Url, Wire, refusal

_DAY: Final = 86_400
_MOST_TYPES: Final = 32


def _subscribable(value: str) -> str:
    if value not in SUBSCRIBABLE:
        raise refusal("invalid_value")
    return value


EventPattern: TypeAlias = Annotated[
    str, AfterValidator(_subscribable), WithJsonSchema({"type": "string", "enum": list(SUBSCRIBABLE)})
]
WebhookUrl: TypeAlias = Annotated[
    Url,
    Field(description="https; http only to the vault's own machine, where it is allowed, as in a playground."),
]


class EndpointRequest(Wire):
    """`POST /v1/webhook-endpoints`; without `eventTypes` the endpoint is told of everything."""

    url: WebhookUrl
    event_types: Annotated[list[EventPattern], Field(min_length=1, max_length=_MOST_TYPES)] | None = None


class RotateSecretRequest(Wire):
    """`POST /v1/webhook-endpoints/{endpointId}/rotate-secret`; the secret before goes on for a day by default."""

    overlap_seconds: Annotated[int, Field(ge=0, le=7 * _DAY), NUMBER] = _DAY


class RedeliverRequest(Wire):
    """`POST /v1/events/{eventId}/redeliver`; without `endpointId` to all active endpoints."""

    endpoint_id: Reference | None = None


class EventQuery(Wire):
    """`GET /v1/events`: which events, and which page of them; `cursor` continues also after what was the last event."""

    type: WebhookType | None = None
    object_id: Reference | None = None
    created_from: Moment | None = None
    limit: Annotated[int, Field(ge=1, le=100)] = 20
    cursor: CursorText | None = None
