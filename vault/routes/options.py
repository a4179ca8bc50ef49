"""`/v1/payment-options`: how an amount can be paid, over HTTP.

It refuses to decide anything: a question in, the service, a view out.
"""

from fastapi import APIRouter, Request

from vault.routes.access import PaymentsReader, services_of
from vault.routes.option_views import PaymentOptionsView
from vault.strict_json import StrictRoute
from vault.wire.options import PaymentOptionsRequest

router = APIRouter(prefix="/v1", tags=["payments"], route_class=StrictRoute)


@router.post("/payment-options")
async def consult(request: Request, body: PaymentOptionsRequest, caller: PaymentsReader) -> PaymentOptionsView:
    """Ask the gateway which cards can pay an amount, and by how many installments."""
    return PaymentOptionsView.of(await services_of(request).options.ask(caller, body))
