"""What the API shows of captures and refunds. The shapes are those of design section 4.

It refuses to know payments. Invariant: whether a call is still under way or has no answer is not told apart.
"""

from datetime import datetime
from typing import Any, Literal

from vault.movement import Movement, MovementStatus
from vault.routes.shapes import DeclinedView, GatewayWords, View, amount_shown, words_shown
from vault.rules.declines import NOT_SENT, decline_for
from vault.wire.orders import AmountField


class GatewayCaptureView(GatewayWords):
    """The gateway's own words about a capture."""

    capture_id: str | None


class GatewayRefundView(GatewayWords):
    """The gateway's own words about a refund."""

    refund_id: str | None


class MovementView(View):
    """What captures and refunds have in common; PENDING until the gateway's word is known."""

    payment_id: str
    status: Literal["PENDING", "SUCCESS", "FAIL"]
    declined: DeclinedView | None
    created_at: datetime
    updated_at: datetime


class CaptureView(MovementView):
    """A capture of a payment."""

    capture_id: str
    capture_request_id: str
    capture_amount: AmountField
    is_last_capture: bool
    gateway: GatewayCaptureView

    @classmethod
    def of(cls, capture: Movement) -> "CaptureView":
        """Show a capture."""
        return cls(
            capture_id=capture.id,
            capture_request_id=capture.request_id,
            capture_amount=amount_shown(capture.amount),
            is_last_capture=capture.is_last,
            gateway=GatewayCaptureView(capture_id=capture.gateway_id, **words_shown(capture.result)),
            **_common(capture),
        )


class RefundView(MovementView):
    """A refund of a payment."""

    refund_id: str
    refund_request_id: str
    refund_amount: AmountField
    gateway: GatewayRefundView

    @classmethod
    def of(cls, refund: Movement) -> "RefundView":
        """Show a refund."""
        return cls(
            refund_id=refund.id,
            refund_request_id=refund.request_id,
            refund_amount=amount_shown(refund.amount),
            gateway=GatewayRefundView(refund_id=refund.gateway_id, **words_shown(refund.result)),
            **_common(refund),
        )


def _common(movement: Movement) -> dict[str, Any]:
    return {
        "payment_id": movement.payment_id,
        "status": MovementStatus.PENDING if movement.status.open else movement.status,
        "declined": _refused(movement) if movement.status is MovementStatus.FAIL else None,
        "created_at": movement.created_at,
        "updated_at": movement.updated_at,
    }


def _refused(movement: Movement) -> DeclinedView:
    code = movement.result.code if movement.result else ""
    decline = decline_for(NOT_SENT if movement.not_sent else code)
    return DeclinedView(category=decline.category, retry=decline.retry)
