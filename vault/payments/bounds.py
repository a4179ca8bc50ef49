"""What may be captured, refunded and voided: questions to a payment that is held, answered by an error or by nothing.

It refuses to know rows and messages. Invariants: what is captured, or may have been, never exceeds the authorisation;
what is refunded, or may have been, never exceeds what was captured for certain; an authorisation is not voided while it
is captured, nor captured while it is voided (design section 3; antom-api.md 2.3 to 2.5).
"""

from datetime import timedelta
from typing import Final

from vault.errors import FieldCode, FieldProblem
from vault.money import Amount
from vault.movement import MovementKind, MovementStatus
from vault.movement_errors import (
    AlreadyCaptured,
    AuthorisationExpired,
    CancellationPending,
    CaptureAmountExceeded,
    CaptureAutomatic,
    CapturePending,
    CurrencyMismatch,
    FullCaptureRequired,
    NotCaptured,
    PaymentNotCancellable,
    PaymentNotCapturable,
    PaymentNotRefundable,
    RefundAmountExceeded,
)
from vault.payment import Payment, Status
from vault.rules.regions import FULL_CAPTURE_REGIONS, Feature, excludes

# How long an authorisation holds where the gateway does not say, and how long it can be voided (antom-api.md 2.3, 2.4).
AUTHORISATION_HOLDS: Final = timedelta(days=7)

_CAPTURE, _REFUND = MovementKind.CAPTURE, MovementKind.REFUND


def check_capture(payment: Payment, amount: Amount) -> None:
    """Raise the first reason why an amount of a held payment cannot be captured; return where it can."""
    if payment.status is not Status.SUCCESS or payment.not_sent or payment.gateway_payment_id is None:
        raise PaymentNotCapturable
    if payment.cancel_requested_at is not None:
        raise CancellationPending
    if payment.capture_mode == "AUTOMATIC" or _issuer_authenticated_at_home(payment):
        raise CaptureAutomatic
    _check_open_for_captures(payment)
    _check_currency(payment, amount, _CAPTURE)
    if payment.region in FULL_CAPTURE_REGIONS and amount != payment.amount:
        raise FullCaptureRequired(errors=[_problem(_CAPTURE, "value")])
    if payment.reserved(_CAPTURE) + amount.minor > payment.amount.minor:
        raise CaptureAmountExceeded(errors=[_problem(_CAPTURE, "value")])


def check_last(payment: Payment) -> None:
    """Raise where a capture cannot be the last one yet: one on its way that arrived after it would be refused."""
    if any(each.status.open for each in payment.of(_CAPTURE)):
        raise CapturePending("The last capture has to wait for the outcome of those before it.")


def _check_open_for_captures(payment: Payment) -> None:
    ended = any(each.is_last for each in payment.of(_CAPTURE) if each.status is not MovementStatus.FAIL)
    if ended or payment.moved(_CAPTURE) >= payment.amount.minor:
        raise AlreadyCaptured
    if authorisation_over(payment):
        raise AuthorisationExpired


def check_refund(payment: Payment, amount: Amount) -> None:
    """Raise the first reason why an amount of a held payment cannot be refunded; return where it can."""
    if payment.status is not Status.SUCCESS or payment.gateway_payment_id is None:
        raise PaymentNotRefundable
    _check_currency(payment, amount, _REFUND)
    if payment.moved(_CAPTURE) == 0:
        raise NotCaptured
    if amount.minor > refundable(payment):
        raise RefundAmountExceeded(errors=[_problem(_REFUND, "value")])


def refundable(payment: Payment) -> int:
    """Give how much is left to refund, in the smallest unit."""
    return payment.moved(_CAPTURE) - payment.reserved(_REFUND)


def owed_back(payment: Payment) -> int:
    """Give how much to refund of an authorisation that came too late and could not be voided, in the smallest unit.

    Nothing once such a refund was refused: from there on it is a matter for people.
    """
    stands = payment.status is Status.SUCCESS and payment.not_sent and payment.cancel_requested_at is None
    refused = any(each.by_vault and not each.not_sent for each in payment.of(_REFUND, MovementStatus.FAIL))
    return refundable(payment) if stands and not refused else 0


def check_cancel(payment: Payment) -> None:
    """Raise the reason why a held payment cannot be voided; return where it can, or is not authorised yet."""
    if payment.status is Status.FAIL:
        raise PaymentNotCancellable
    if payment.moved(_CAPTURE):
        raise AlreadyCaptured("What was captured can be refunded.")
    if payment.reserved(_CAPTURE):
        raise CapturePending
    authorised_at = payment.finalised_at if payment.status is Status.SUCCESS else None
    if authorised_at is not None and payment.read_at > authorised_at + AUTHORISATION_HOLDS:
        raise PaymentNotCancellable("The time to cancel is over; what was captured can be refunded.")


def authorisation_over(payment: Payment) -> bool:
    """Tell whether the time to capture has passed, by the database's clock."""
    return payment.authorisation_expires_at is not None and payment.read_at > payment.authorisation_expires_at


def lapsed(payment: Payment) -> bool:
    """Tell whether an authorisation ended without a capture, and this is not noted yet."""
    waits = payment.status is Status.SUCCESS and payment.capture_mode == "MANUAL" and payment.capture_status == "NONE"
    return waits and not payment.not_sent and authorisation_over(payment)


def _check_currency(payment: Payment, amount: Amount, kind: MovementKind) -> None:
    if amount.currency != payment.amount.currency:
        raise CurrencyMismatch(errors=[_problem(kind, "currency")])


def _problem(kind: MovementKind, member: str) -> FieldProblem:
    return FieldProblem(f"/{kind.word}Amount/{member}", FieldCode.INVALID_VALUE)


def _issuer_authenticated_at_home(payment: Payment) -> bool:
    """Tell whether the buyer was sent to an issuer whose payments the gateway captures alone (antom-api.md 5.2)."""
    return payment.redirected and excludes(payment.region, Feature.MANUAL_CAPTURE)
