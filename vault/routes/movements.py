"""Captures and refunds of `/v1/payments`, and `/v1/refunds`, over HTTP.

It refuses to decide anything: requests in, services, views out. What has an outcome is 201, a refusal of the gateway
too; what is still open is 202 (design section 4).
"""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response

from vault.payments.moving import Moved
from vault.routes.access import OUR_ID, PaymentsReader, PaymentsWriter, Refunder, services_of
from vault.routes.movement_views import CaptureView, RefundView
from vault.routes.payments import PaymentId
from vault.strict_json import StrictRoute
from vault.wire.movements import CaptureRequest, RefundRequest

router = APIRouter(prefix="/v1", tags=["payments"], route_class=StrictRoute)

RefundId = Annotated[str, Path(alias="refundId", max_length=64, pattern=OUR_ID)]


def _open(view: type[CaptureView | RefundView]) -> dict[int | str, dict[str, Any]]:
    return {202: {"model": view, "description": "The outcome is still open"}}


@router.post("/payments/{paymentId}/captures", status_code=201, responses=_open(CaptureView))
async def capture_payment(
    request: Request, response: Response, payment_id: PaymentId, body: CaptureRequest, caller: PaymentsWriter
) -> CaptureView:
    """Capture an authorised payment, or a part of it."""
    moved = await services_of(request).moving.move(caller, payment_id, body, request.state.parsed_body)
    _announce(response, moved, f"/v1/payments/{payment_id}")
    return CaptureView.of(moved.movement)


@router.post("/payments/{paymentId}/refunds", status_code=201, responses=_open(RefundView))
async def refund_payment(
    request: Request, response: Response, payment_id: PaymentId, body: RefundRequest, caller: Refunder
) -> RefundView:
    """Refund a captured payment, or a part of it."""
    moved = await services_of(request).moving.move(caller, payment_id, body, request.state.parsed_body)
    _announce(response, moved, f"/v1/refunds/{moved.movement.id}")
    return RefundView.of(moved.movement)


@router.get("/refunds/{refundId}")
async def get_refund(request: Request, refund_id: RefundId, caller: PaymentsReader) -> RefundView:
    """Show a refund as it stands."""
    return RefundView.of(await services_of(request).moving.find_refund(caller, refund_id))


def _announce(response: Response, moved: Moved, location: str) -> None:
    response.status_code = 202 if moved.movement.status.open else 201
    response.headers["Location"] = location
    if moved.replayed:
        response.headers["Idempotent-Replayed"] = "true"
