"""`/v1/mandates`, a card's mandates, and charges under them, over HTTP.

It refuses to decide anything: requests in, services, views out.
"""

from typing import Annotated

from fastapi import APIRouter, Path, Request, Response

from vault.cursors import DEFAULT_PAGE
from vault.routes.access import OUR_ID, Charger, MandatesReader, MandatesWriter, services_of
from vault.routes.cards import CardId, Cursor, Limit
from vault.routes.direct import DirectRoute
from vault.routes.mandate_views import MandatePage, MandateView
from vault.routes.payments import OPEN, shown
from vault.routes.views import PaymentView
from vault.strict_json import StrictRoute
from vault.wire.mandates import MandatePaymentRequest, MandateRequest

hot = APIRouter(prefix="/v1", tags=["mandates"], route_class=DirectRoute)
router = APIRouter(prefix="/v1", tags=["mandates"], route_class=StrictRoute)

MandateId = Annotated[str, Path(alias="mandateId", max_length=64, pattern=OUR_ID)]


@router.post(
    "/mandates", status_code=201, responses={200: {"model": MandateView, "description": "It is recorded already"}}
)
async def record_mandate(
    request: Request, response: Response, body: MandateRequest, caller: MandatesWriter
) -> MandateView:
    """Record a buyer's consent to be charged while absent."""
    recorded = await services_of(request).mandates.record(caller, body)
    response.status_code = 201 if recorded.created else 200
    response.headers["Location"] = f"/v1/mandates/{recorded.mandate.id}"
    return MandateView.of(recorded.mandate)


@router.get("/mandates/{mandateId}")
async def get_mandate(request: Request, mandate_id: MandateId, caller: MandatesReader) -> MandateView:
    """Show a mandate."""
    return MandateView.of(await services_of(request).mandates.get(caller, mandate_id))


@router.delete("/mandates/{mandateId}", status_code=204)
async def end_mandate(request: Request, mandate_id: MandateId, caller: MandatesWriter) -> None:
    """End a mandate: nothing is charged under it any more."""
    await services_of(request).mandates.end(caller, mandate_id)


@router.get("/cards/{cardId}/mandates")
async def list_card_mandates(
    request: Request, card_id: CardId, caller: MandatesReader, limit: Limit = DEFAULT_PAGE, cursor: Cursor = None
) -> MandatePage:
    """Show a card's mandates, newest first."""
    services, subject = services_of(request), f"mandates/{card_id}"
    page = await services.cursors.page(caller.merchant_id, subject, cursor, limit)
    found = await services.mandates.of_card(caller, card_id, page)
    more = len(found) == limit
    last = (found[-1].created_at, found[-1].id) if more else None
    return MandatePage(
        mandates=[MandateView.of(mandate) for mandate in found],
        next_cursor=await services.cursors.make(caller.merchant_id, subject, *last) if last else None,
    )


@hot.post("/mandates/{mandateId}/payments", status_code=201, responses=OPEN)
async def charge_mandate(
    request: Request, response: Response, mandate_id: MandateId, body: MandatePaymentRequest, caller: Charger
) -> PaymentView:
    """Charge the card of a mandate, the buyer absent."""
    paid = await services_of(request).charging.charge(caller, mandate_id, body, request.state.parsed_body)
    return await shown(request, response, caller, paid)
