"""The bodies that move money on an authorisation (design section 4): captures and refunds, in the gateway's words.

It refuses to know payments. Invariant: every field goes on to the gateway as it came, and what is absent stays absent.
"""

from typing import Annotated, ClassVar, TypeAlias

from pydantic import Field

from vault.movement import MovementKind
from vault.wire.fields import Flag, Reference, Text256, Wire
from vault.wire.orders import AmountField


class CaptureRequest(Wire):
    """`POST /v1/payments/{paymentId}/captures`."""

    kind: ClassVar = MovementKind.CAPTURE

    capture_request_id: Reference
    capture_amount: AmountField
    is_last_capture: Flag | None = None

    @property
    def request_id(self) -> str:
        """Give the merchant's id of the capture."""
        return self.capture_request_id

    @property
    def amount(self) -> AmountField:
        """Give the amount as it was sent."""
        return self.capture_amount

    @property
    def is_last(self) -> bool:
        """Tell whether nothing is to be captured after it."""
        return self.is_last_capture is True


class RefundRequest(Wire):
    """`POST /v1/payments/{paymentId}/refunds`."""

    kind: ClassVar = MovementKind.REFUND
    is_last: ClassVar = False

    refund_request_id: Reference
    refund_amount: AmountField
    refund_reason: Annotated[Text256 | None, Field(description="Goes to the gateway and is not kept.")] = None

    @property
    def request_id(self) -> str:
        """Give the merchant's id of the refund."""
        return self.refund_request_id

    @property
    def amount(self) -> AmountField:
        """Give the amount as it was sent."""
        return self.refund_amount


MovementRequest: TypeAlias = CaptureRequest | RefundRequest
