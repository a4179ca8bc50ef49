"""What the gateway's messages say about captures and refunds (antom-api.md 2.2, 2.3, 2.5, 2.11), read once.

It refuses to know signatures (a message gets here verified), rows and decisions. Invariant: an answer that names
another movement than the one that was asked for is not bound to ours, whatever it says.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from vault.gateway.values import amount_of, result_of, text
from vault.movement import Movement, MovementKind, MovementSeen, MovementStatus
from vault.payment import Payment

_OUTCOMES: Final = {"S": MovementStatus.SUCCESS, "F": MovementStatus.FAIL}
_STATUSES: Final = {
    "SUCCESS": MovementStatus.SUCCESS,
    "FAIL": MovementStatus.FAIL,
    "CANCELLED": MovementStatus.FAIL,
}
_UNKNOWN_REFUND: Final = {"REFUND_NOT_EXIST", "ORDER_NOT_EXIST"}


def read_movement(body: Mapping[str, Any], payment: Payment, movement: Movement) -> MovementSeen:
    """Say what the answer to `capture` or `refund` is evidence of; only S and F are outcomes."""
    word, result = movement.kind.word, result_of(body)
    status = _OUTCOMES.get(result.status if result else "", MovementStatus.PENDING)
    bound = _bound(body, movement, strict=status is MovementStatus.SUCCESS)
    return MovementSeen(
        movement.kind,
        movement.request_id,
        status,
        gateway_id=text(body.get(f"{word}Id"), 64),
        result=result,
        bound=bound and body.get("paymentId") in {None, payment.gateway_payment_id},
    )


def read_refund_inquiry(body: Mapping[str, Any], refund: Movement) -> MovementSeen | None:
    """Say what the answer to `inquiryRefund` is evidence of; None when the inquiry itself failed.

    A refund that the gateway does not know is one that was not sent, if it is not too early to say so.
    """
    result = result_of(body)
    if result is None or result.status != "S":
        unknown = result is not None and result.code in _UNKNOWN_REFUND
        return refund.seen(MovementStatus.FAIL, not_sent=True) if unknown else None
    status = _STATUSES.get(str(body.get("refundStatus")), MovementStatus.PENDING)
    return MovementSeen(
        MovementKind.REFUND,
        refund.request_id,
        status,
        gateway_id=text(body.get("refundId"), 64),
        bound=_bound(body, refund, strict=status is MovementStatus.SUCCESS),
    )


def _bound(body: Mapping[str, Any], movement: Movement, *, strict: bool) -> bool:
    """Tell whether a message speaks of a movement; a `strict` one has to name it and its amount."""
    word = movement.kind.word
    request_id, amount = body.get(f"{word}RequestId"), body.get(f"{word}Amount")
    if strict and (request_id is None or amount is None):
        return False
    return request_id in {None, movement.request_id} and (amount is None or amount_of(amount) == movement.amount)


def read_movement_notification(body: Mapping[str, Any], kind: MovementKind) -> MovementSeen | None:
    """Say what `notifyCapture` or `notifyRefund` is evidence of; None when it cannot be read or contradicts itself."""
    word, result = kind.word, result_of(body)
    status = _OUTCOMES.get(result.status) if result else None
    if "refundStatus" in body:
        told = _STATUSES.get(str(body["refundStatus"]))
        status = told if status in {told, MovementStatus.SUCCESS} else None
    amount, gateway_id = amount_of(body.get(f"{word}Amount")), text(body.get(f"{word}Id"), 64)
    request_id = text(body.get(f"{word}RequestId"), 64)
    if request_id is None or amount is None or status is None:
        return None
    return MovementSeen(kind, request_id, status, amount, gateway_id, result)


def reported_movements(body: Mapping[str, Any]) -> Iterator[MovementSeen]:
    """Give the captures and refunds that the answer to `inquiryPayment` lists, those of them that can be read."""
    transactions = body.get("transactions")
    for entry in transactions if isinstance(transactions, list) else ():
        if not isinstance(entry, Mapping) or entry.get("transactionType") not in set(MovementKind):
            continue
        request_id, amount = text(entry.get("transactionRequestId"), 64), amount_of(entry.get("transactionAmount"))
        if request_id is None or amount is None:
            continue
        yield MovementSeen(
            MovementKind(entry["transactionType"]),
            request_id,
            _STATUSES.get(str(entry.get("transactionStatus")), MovementStatus.PENDING),
            amount,
            text(entry.get("transactionId"), 64),
            result_of(entry, "transactionResult"),
        )
