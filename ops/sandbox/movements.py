"""The operations that move money on an authorisation: capture, refund, inquiryRefund (antom-api.md 2.3, 2.5, 4.2).

Refuses to know HTTP and what happens to money. Invariants: a request id is decided once; what has been captured never
exceeds the authorisation, and what has been refunded never what was captured.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta

from ops.sandbox.book import Payment, PaymentStatus
from ops.sandbox.config import SandboxConfig
from ops.sandbox.decisions import FULL_CAPTURE_ONLY
from ops.sandbox.desk import Desk, Outcome
from ops.sandbox.fields import Fields
from ops.sandbox.ledger import Movement, MovementKind, Order, Row
from ops.sandbox.messages import AUTHORISATION_VALID, movement_answer, refund_inquiry_answer
from ops.sandbox.results import Code, Json, Refused, illegal, result
from ops.sandbox.scenarios import NOT_CHARGED

REFUND_TEXTS: Mapping[str, int] = {"refundReason": 256, "referenceRefundId": 64, "captureId": 64}


def move(kind: MovementKind) -> Callable[[Desk, str, Json], Outcome]:
    """Return the handler of captures or of refunds."""

    def handle(desk: Desk, client_id: str, body: Json) -> Outcome:
        fields = Fields(body)
        request_id, payment_id = fields.needed(f"{kind.prefix}RequestId", 64), fields.needed("paymentId", 64)
        amount = fields.amount(f"{kind.prefix}Amount")
        known = desk.book.find_movement(client_id, kind, request_id)
        if known is not None:
            if known.order.amount != amount or known.payment_id != payment_id:
                raise Refused(Code.REPEAT_REQ_INCONSISTENT)
            return Outcome(movement_answer(known))
        payment = desk.book.find_by_payment_id(client_id, payment_id)
        if payment is None:
            raise Refused(Code.ORDER_NOT_EXIST)
        order = READERS[kind](fields, payment, Order(kind, request_id, amount, None))
        row = CHECKS[kind](desk.config, payment, order)
        scenario = desk.book.disarm(request_id)
        if scenario.fault in NOT_CHARGED:
            return Outcome({"result": result(Code.REQUEST_TRAFFIC_EXCEED_LIMIT)}, scenario)
        movement = desk.engine.till.move(payment, row, order, scenario)
        return Outcome(movement_answer(movement), scenario, lambda: desk.engine.till.release(movement))

    return handle


def inquire_refund(desk: Desk, client_id: str, body: Json) -> Outcome:
    """Tell where a refund stands; `refundId` wins."""
    fields = Fields(body)
    refund_id, request_id = fields.text("refundId", 64), fields.text("refundRequestId", 64)
    if refund_id is not None:
        refund = desk.book.find_refund(client_id, refund_id)
    elif request_id is not None:
        refund = desk.book.find_movement(client_id, MovementKind.REFUND, request_id)
    else:
        raise illegal("refundRequestId")
    if refund is None:
        raise Refused(Code.REFUND_NOT_EXIST)
    return Outcome(refund_inquiry_answer(refund))


def _read_capture(fields: Fields, payment: Payment, order: Order) -> Order:
    last = fields.flag("isLastCapture") is True
    return Order(order.kind, order.request_id, order.amount, payment.intake.request.notify_url, last)


def _read_refund(fields: Fields, _payment: Payment, order: Order) -> Order:
    for name, longest in REFUND_TEXTS.items():
        fields.text(name, longest)
    return Order(order.kind, order.request_id, order.amount, fields.url("refundNotifyUrl"))


def _check_capture(config: SandboxConfig, payment: Payment, order: Order) -> Row:
    """Refuse what is not there to capture, or no longer, and more than is left."""
    row = _authorised(payment, order)
    captures = row.of(MovementKind.CAPTURE)
    over = payment.decided_at is None or config.clock() > payment.decided_at + AUTHORISATION_VALID
    if over or payment.intake.request.captures_itself or any(capture.order.last for capture in captures):
        raise Refused(Code.ORDER_STATUS_INVALID)
    amount = int(order.amount.value)
    whole = amount == int(row.amount.value)
    if (payment.intake.region in FULL_CAPTURE_ONLY and not whole) or amount > int(row.amount.value) - _sum(captures):
        raise illegal("captureAmount.value")
    return row


def _check_refund(config: SandboxConfig, payment: Payment, order: Order) -> Row:
    """Refuse what was not captured, what was captured too long ago, and more than is left."""
    row = _authorised(payment, order)
    captures = row.done(MovementKind.CAPTURE)
    if not captures:
        raise Refused(Code.ORDER_STATUS_INVALID)
    if config.clock() > captures[0].time + timedelta(days=config.refund_window_days):
        raise Refused(Code.REFUND_WINDOW_EXCEED)
    if int(order.amount.value) > _sum(captures) - _sum(row.of(MovementKind.REFUND)):
        raise Refused(Code.REFUND_AMOUNT_EXCEED)
    return row


READERS = {MovementKind.CAPTURE: _read_capture, MovementKind.REFUND: _read_refund}
CHECKS = {MovementKind.CAPTURE: _check_capture, MovementKind.REFUND: _check_refund}


def _authorised(payment: Payment, order: Order) -> Row:
    """Return the row of an authorisation that stands, and is in the currency that is asked for."""
    if payment.status is not PaymentStatus.SUCCESS or payment.row is None:
        raise Refused(Code.ORDER_STATUS_INVALID)
    if order.amount.currency != payment.row.amount.currency:
        raise Refused(Code.CURRENCY_NOT_SUPPORT)
    return payment.row


def _sum(movements: Iterable[Movement]) -> int:
    return sum(int(movement.order.amount.value) for movement in movements)
