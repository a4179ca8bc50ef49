"""`/v1/payment-sessions` over HTTP.

It refuses to decide anything: requests in, services, views out.
"""

from datetime import datetime
from typing import Any

from fastapi import APIRouter, Request, Response

from vault.auth import Scope
from vault.errors import Forbidden
from vault.routes.access import PaymentsWriter, services_of
from vault.routes.card_testing import shown_by
from vault.routes.payments import shown
from vault.routes.views import PaymentView
from vault.strict_json import StrictRoute
from vault.wire.sessions import SessionRequest

router = APIRouter(prefix="/v1", tags=["payments"], route_class=StrictRoute)


class SessionView(PaymentView):
    """A session's payment, with what opens the session as long as the buyer can still pay in it."""

    payment_session_data: str | None = None
    payment_session_id: str | None = None
    payment_session_expiry_time: datetime | None = None
    normal_url: str | None = None


OPEN: dict[int | str, dict[str, Any]] = {202: {"model": SessionView, "description": "The outcome is still open"}}


@router.post("/payment-sessions", status_code=201, responses=OPEN)
async def open_payment_session(
    request: Request, response: Response, body: SessionRequest, caller: PaymentsWriter
) -> SessionView:
    """Open a payment session for a client SDK, with a stored card if wanted."""
    asked = {Scope.CARDS_WRITE: body.store_card, Scope.MIT_WRITE: body.mandate_id}
    if any(value is not None and scope not in caller.scopes for scope, value in asked.items()):
        raise Forbidden
    services = services_of(request)
    await services.card_guard.admit(caller, shown_by(body.buyer_id, body.env, body.card), paying=True)
    opened = await services.sessions.open(caller, body, request.state.parsed_body)
    view = await shown(request, response, caller, opened.paid)
    if opened.session is not None:
        response.status_code = 201
    return SessionView.model_validate({**dict(view), **(opened.session or {})})
