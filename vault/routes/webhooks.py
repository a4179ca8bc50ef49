"""`/v1/webhook-endpoints` and `/v1/events` over HTTP.

It refuses to decide anything: requests in, services, views out.
"""

from typing import Annotated, Final

from fastapi import APIRouter, Path, Query, Request, Response

from vault.cursors import DEFAULT_PAGE
from vault.routes.access import OUR_ID, EventsReader, WebhooksWriter, services_of
from vault.routes.cards import Cursor, Limit
from vault.routes.webhook_views import (
    DeliveryPage,
    DeliveryView,
    EndpointList,
    EndpointView,
    EventPage,
    EventView,
    NewEndpointView,
    RotatedSecretView,
    SentView,
)
from vault.store.events import EventFilter
from vault.strict_json import StrictRoute
from vault.webhook import DeliveryStatus
from vault.wire.webhooks import EndpointRequest, EventQuery, RedeliverRequest, RotateSecretRequest

router = APIRouter(prefix="/v1", tags=["webhooks"], route_class=StrictRoute)

EndpointId = Annotated[str, Path(alias="endpointId", max_length=64, pattern=OUR_ID)]
EventId = Annotated[str, Path(alias="eventId", max_length=64, pattern=OUR_ID)]

# What is asked for without a body.
_A_DAY: Final = RotateSecretRequest()
_TO_ALL: Final = RedeliverRequest()


@router.post("/webhook-endpoints", status_code=201)
async def create_webhook_endpoint(
    request: Request, response: Response, body: EndpointRequest, caller: WebhooksWriter
) -> NewEndpointView:
    """Add an endpoint that is told of events from now on; the answer holds its signing secret, this once."""
    endpoint, secret = await services_of(request).webhooks.add(caller, body)
    response.headers["Location"] = f"/v1/webhook-endpoints/{endpoint.id}"
    return NewEndpointView.with_secret(endpoint, secret)


@router.get("/webhook-endpoints")
async def list_webhook_endpoints(request: Request, caller: EventsReader) -> EndpointList:
    """Show all endpoints, oldest first."""
    endpoints = await services_of(request).webhooks.listed(caller)
    return EndpointList(endpoints=[EndpointView.of(endpoint) for endpoint in endpoints])


@router.get("/webhook-endpoints/{endpointId}")
async def get_webhook_endpoint(request: Request, endpoint_id: EndpointId, caller: EventsReader) -> EndpointView:
    """Show an endpoint."""
    return EndpointView.of(await services_of(request).webhooks.get(caller, endpoint_id))


@router.delete("/webhook-endpoints/{endpointId}", status_code=204)
async def delete_webhook_endpoint(request: Request, endpoint_id: EndpointId, caller: WebhooksWriter) -> None:
    """Delete an endpoint: it is told of nothing any more."""
    await services_of(request).webhooks.delete(caller, endpoint_id)


@router.post("/webhook-endpoints/{endpointId}/test", status_code=202)
async def send_test_webhook(request: Request, endpoint_id: EndpointId, caller: WebhooksWriter) -> SentView:
    """Send an endpoint a test event, signed and delivered like any other."""
    event_id = await services_of(request).webhooks.test(caller, endpoint_id)
    return SentView(event_id=event_id, endpoint_ids=[endpoint_id])


@router.post("/webhook-endpoints/{endpointId}/rotate-secret")
async def rotate_webhook_secret(
    request: Request, endpoint_id: EndpointId, caller: WebhooksWriter, body: RotateSecretRequest = _A_DAY
) -> RotatedSecretView:
    """Give an endpoint a new signing secret; webhooks carry both signatures until the one before ends."""
    rotated = await services_of(request).webhooks.rotate(caller, endpoint_id, body.overlap_seconds)
    return RotatedSecretView(
        endpoint_id=endpoint_id,
        secret=rotated.secret.reveal(),
        previous_secret_expires_at=rotated.previous_ends,
    )


@router.get("/webhook-endpoints/{endpointId}/deliveries")
async def list_webhook_deliveries(
    request: Request,
    endpoint_id: EndpointId,
    caller: EventsReader,
    status: Annotated[DeliveryStatus | None, Query()] = None,
    limit: Limit = DEFAULT_PAGE,
    cursor: Cursor = None,
) -> DeliveryPage:
    """Show what was or will be delivered to an endpoint, newest event first."""
    services, subject = services_of(request), f"deliveries/{endpoint_id}/{status}"
    page = await services.cursors.page(caller.merchant_id, subject, cursor, limit)
    found = await services.webhooks.deliveries(caller, endpoint_id, status, page)
    further = None
    if len(found) == limit:
        last = found[-1]
        further = await services.cursors.make(caller.merchant_id, subject, last.created_at, str(last.event.uuid))
    return DeliveryPage(deliveries=[DeliveryView.of(each) for each in found], next_cursor=further)


@router.get("/events")
async def list_events(request: Request, caller: EventsReader, wanted: Annotated[EventQuery, Query()]) -> EventPage:
    """Show what happened, oldest first, whether or not a webhook told of it."""
    services = services_of(request)
    page = await services.cursors.page(caller.merchant_id, "events", wanted.cursor, wanted.limit)
    chosen = EventFilter(wanted.type, wanted.object_id, wanted.created_from)
    found = await services.events.listed(caller, chosen, page)
    further = None
    if found:
        last = found[-1]
        further = await services.cursors.make(caller.merchant_id, "events", last.occurred_at, last.position)
    return EventPage(events=[EventView.of(event) for event in found], next_cursor=further)


@router.post("/events/{eventId}/redeliver", status_code=202)
async def redeliver_event(
    request: Request, event_id: EventId, caller: WebhooksWriter, body: RedeliverRequest = _TO_ALL
) -> SentView:
    """Send an event again under the same id, to one endpoint or to all, whatever became of it before."""
    sent_to = await services_of(request).webhooks.redeliver(caller, event_id, body.endpoint_id)
    return SentView(event_id=event_id, endpoint_ids=sent_to)
