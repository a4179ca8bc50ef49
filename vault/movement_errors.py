"""What the vault refuses about captures, refunds and voids; a part of the tree that is drawn in `vault.errors`.

Refuses to know payments. Invariants are those of the tree: no status is chosen where an error is raised, and every
code has a heading in `docs/problems.md`.
"""

from vault.errors import Conflict, RequestInvalid


class PaymentNotCancellable(Conflict):
    """The payment's state does not allow a cancel."""

    code, title = "payment_not_cancellable", "The payment cannot be cancelled"


class AlreadyCaptured(Conflict):
    """The payment has been captured in full."""

    code, title = "already_captured", "The payment has been captured already"


class PaymentNotCapturable(Conflict):
    """The payment is not authorised: still open, failed or cancelled."""

    code, title = "payment_not_capturable", "The payment is not authorised"


class CaptureAutomatic(Conflict):
    """The gateway captures this payment by itself (antom-api.md 2.3)."""

    code, title = "capture_automatic", "The payment is captured automatically"


class CapturePending(Conflict):
    """A capture has no outcome yet, so that the authorisation cannot be voided, nor another capture be the last one."""

    code, title = "capture_pending", "A capture of the payment is still open"
    retryable, default_retry_after = True, 5


class CancellationPending(Conflict):
    """A cancellation was asked for and has no outcome yet, so that nothing can be captured."""

    code, title = "cancellation_pending", "A cancellation of the payment is still open"
    retryable, default_retry_after = True, 5


class AuthorisationExpired(Conflict):
    """The authorisation is over, and with it the time to capture (antom-api.md 2.3)."""

    code, title = "authorisation_expired", "The authorisation has expired"


class PaymentNotRefundable(Conflict):
    """The payment is not one that took money: still open, failed or cancelled."""

    code, title = "payment_not_refundable", "The payment cannot be refunded"


class NotCaptured(Conflict):
    """Nothing of the payment was captured, also when the gateway was asked again."""

    code, title = "not_captured", "Nothing of the payment has been captured"


class CurrencyMismatch(RequestInvalid):
    """The amount is in another currency than the payment."""

    code, title = "currency_mismatch", "The payment is in another currency"


class CaptureAmountExceeded(RequestInvalid):
    """Together with earlier captures, open ones included, more than was authorised."""

    code, title = "capture_amount_exceeded", "The amount is above what is left to capture"


class FullCaptureRequired(RequestInvalid):
    """A card of this region is captured in full or not at all (antom-api.md 2.3)."""

    code, title = "full_capture_required", "The payment can only be captured in full"


class RefundAmountExceeded(RequestInvalid):
    """Together with earlier refunds, open ones included, more than was captured."""

    code, title = "refund_amount_exceeded", "The amount is above what is left to refund"
