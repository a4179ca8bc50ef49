"""`/v1/payments` and payments with stored cards, over HTTP.

It refuses to decide anything: requests in, services, views out. A final payment or one with a next action is 201, one
whose outcome is still open is 202 (design section 4).
"""

from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response

from vault.auth import Caller, Scope
from vault.errors import Forbidden
from vault.payment import Payment, Status
from vault.payments.writing_ahead import Paid
from vault.routes.access import OUR_ID, PaymentsReader, PaymentsWriter, services_of
from vault.routes.card_testing import guarded, shown_by
from vault.routes.cards import CardId
from vault.routes.direct import DirectRoute
from vault.routes.views import PaymentPage, PaymentView
from vault.store.payments import PaymentFilter
from vault.strict_json import StrictRoute
from vault.wire.requests import CancelRequest, CardPaymentRequest, PaymentQuery, StoredCardPaymentRequest

hot = APIRouter(prefix="/v1", tags=["payments"], route_class=DirectRoute)
router = APIRouter(prefix="/v1", tags=["payments"], route_class=StrictRoute)

PaymentId = Annotated[str, Path(alias="paymentId", max_length=64, pattern=OUR_ID)]
OPEN: dict[int | str, dict[str, Any]] = {202: {"model": PaymentView, "description": "The outcome is still open"}}


@hot.post("/payments", status_code=201, responses=OPEN)
async def pay(request: Request, response: Response, body: CardPaymentRequest, caller: PaymentsWriter) -> PaymentView:
    """Pay with card data, and store the card if wanted."""
    if body.store_card is not None and Scope.CARDS_WRITE not in caller.scopes:
        raise Forbidden
    services, parsed = services_of(request), request.state.parsed_body
    shows = shown_by(body.buyer_id, body.env, body.card)
    paid = await guarded(services.card_guard, caller, shows, partial(services.payments.pay, caller, body, parsed))
    return await shown(request, response, caller, paid)


@hot.post("/cards/{cardId}/payments", status_code=201, responses=OPEN)
async def pay_with_card(
    request: Request, response: Response, card_id: CardId, body: StoredCardPaymentRequest, caller: PaymentsWriter
) -> PaymentView:
    """Pay with a stored card, the buyer present."""
    services, parsed = services_of(request), request.state.parsed_body
    shows, pay = shown_by(body.buyer_id, body.env), services.payments.pay_with_card
    paid = await guarded(services.card_guard, caller, shows, partial(pay, caller, card_id, body, parsed))
    return await shown(request, response, caller, paid)


@router.post("/payments/{paymentId}/cancel", responses=OPEN)
async def cancel_payment(
    request: Request, response: Response, payment_id: PaymentId, _body: CancelRequest, caller: PaymentsWriter
) -> PaymentView:
    """Cancel a payment that is not captured; one whose outcome is open is cancelled as soon as it is known."""
    services = services_of(request)
    payment = await services.payments.get(caller, payment_id)
    payment = await services.canceller.cancel(caller, payment)
    response.status_code = 202 if payment.cancel_requested_at is not None else 200
    return (await _views(request, caller, [payment]))[0]


@hot.get("/payments/{paymentId}")
async def get_payment(request: Request, payment_id: PaymentId, caller: PaymentsReader) -> PaymentView:
    """Show a payment as it stands."""
    payment = await services_of(request).payments.get(caller, payment_id)
    return (await _views(request, caller, [payment]))[0]


@router.get("/payments")
async def list_payments(
    request: Request, caller: PaymentsReader, wanted: Annotated[PaymentQuery, Query()]
) -> PaymentPage:
    """Show the merchant's payments, newest first."""
    services = services_of(request)
    page = await services.cursors.page(caller.merchant_id, "payments", wanted.cursor, wanted.limit)
    chosen = PaymentFilter(wanted.payment_request_id, wanted.reference_order_id, wanted.created_from)
    found = await services.payments.listed(caller, chosen, page)
    further = None
    if len(found) == wanted.limit:
        further = await services.cursors.make(caller.merchant_id, "payments", found[-1].created_at, found[-1].id)
    return PaymentPage(payments=await _views(request, caller, found), next_cursor=further)


async def shown(request: Request, response: Response, caller: Caller, paid: Paid) -> PaymentView:
    """Give a payment's view with the status and headers that belong to it."""
    if paid.card is not None and paid.payment.status is Status.SUCCESS:
        view = PaymentView.of(paid.payment, paid.card)
    else:
        view = (await _views(request, caller, [paid.payment]))[0]
    response.status_code = 201 if paid.payment.status.final or view.next_action is not None else 202
    response.headers["Location"] = f"/v1/payments/{paid.payment.id}"
    if paid.replayed:
        response.headers["Idempotent-Replayed"] = "true"
    return view


async def _views(request: Request, caller: Caller, found: list[Payment]) -> list[PaymentView]:
    cards = await services_of(request).cards.by_id(caller, {one.card_id for one in found if one.card_id})
    return [PaymentView.of(payment, cards.get(payment.card_id or "")) for payment in found]
