"""Payments: pay, inquire, cancel (antom-api.md 2.1, 2.2, 2.4).

Handlers finish without waiting for anything, which makes each of them atomic. Refuses to know HTTP and signatures.
Invariant: a request id is decided once.
"""

from __future__ import annotations

from ops.sandbox.admission import Admitted, admit
from ops.sandbox.book import Book, Intake, Payment, PaymentStatus
from ops.sandbox.cards import NO_CARD, Card
from ops.sandbox.desk import Desk, Outcome
from ops.sandbox.fields import Fields
from ops.sandbox.installments import check_plan
from ops.sandbox.messages import cancel_answer, inquiry_answer, pay_answer
from ops.sandbox.pay_request import PayRequest, read_pay_request
from ops.sandbox.results import Code, Json, Refused, bad_card_data, illegal, result
from ops.sandbox.scenarios import HONEST, NOT_CHARGED, magic_scenario


def pay(desk: Desk, client_id: str, body: Json) -> Outcome:
    """Authorise a card, once per request id (antom-api.md 2.1, 4.2); without a card, send the buyer to a page."""
    request = read_pay_request(body, strict=desk.config.strict, luhn=desk.config.luhn)
    fingerprint = fingerprint_of(desk.book, request)
    known = desk.book.find(client_id, request.payment_request_id)
    if known is not None:
        return _repeated(desk, known, fingerprint)
    if desk.sessions.find(client_id, request.payment_request_id) is not None:
        raise Refused(Code.REPEAT_REQ_INCONSISTENT)
    card = card_of(desk.book, client_id, request)
    admitted = Admitted("", "GLOBAL")
    if card is not NO_CARD:
        admitted = admit(desk.config, desk.book, card, request.card, captures_itself=request.captures_itself)
    check_plan(desk.config, card, request.amount, request.installments)
    scenario = desk.book.disarm(request.payment_request_id)
    if scenario == HONEST:
        scenario = magic_scenario(request.amount.value)
    if scenario.fault in NOT_CHARGED:
        return Outcome({"result": result(Code.REQUEST_TRAFFIC_EXCEED_LIMIT)}, scenario)
    intake = Intake(client_id, request, card, admitted.brand, admitted.region, scenario, fingerprint)
    payment = desk.engine.open(intake)
    if card is NO_CARD:
        desk.sessions.ask_for_card(payment)
    answer = pay_answer(payment, with_token=desk.config.token_in_answer)
    return Outcome(answer, scenario, lambda: desk.engine.release(payment))


def inquire_payment(desk: Desk, client_id: str, body: Json) -> Outcome:
    """Tell where a payment stands (antom-api.md 2.2)."""
    return Outcome(inquiry_answer(_named(desk.book, client_id, body)))


def cancel(desk: Desk, client_id: str, body: Json) -> Outcome:
    """Void or close a payment (antom-api.md 2.4)."""
    payment = _named(desk.book, client_id, body)
    desk.engine.cancel(payment)
    return Outcome(cancel_answer(payment, desk.config.clock()))


def fingerprint_of(book: Book, request: PayRequest) -> bytes:
    """Return what a repeat of a request is compared by: amount, currency, and what is paid with."""
    card = request.card.card
    method = ("token", request.card.token or "") if card is None else ("card", card.number)
    return book.identity(request.amount.currency, request.amount.value, *method)


def card_of(book: Book, client_id: str, request: PayRequest) -> Card:
    """Return the card of a request, or what stands for one that is still to be typed."""
    if request.card.token is None:
        return request.card.card or NO_CARD
    card = book.card_of(client_id, request.card.token)
    if card is None:
        raise bad_card_data("paymentMethod.paymentMethodId")
    return card


def _repeated(desk: Desk, payment: Payment, fingerprint: bytes) -> Outcome:
    if payment.intake.fingerprint != fingerprint:
        raise Refused(Code.REPEAT_REQ_INCONSISTENT)
    if payment.status is PaymentStatus.CANCELLED:
        raise Refused(Code.ORDER_IS_CANCELED)
    if payment.code == Code.ORDER_IS_CLOSED:
        raise Refused(Code.ORDER_IS_CLOSED)
    return Outcome(pay_answer(payment, with_token=desk.config.token_in_answer))


def _named(book: Book, client_id: str, body: Json) -> Payment:
    """Find the payment that a request names; `paymentId` wins."""
    fields = Fields(body)
    payment_id, request_id = fields.text("paymentId", 64), fields.text("paymentRequestId", 64)
    if payment_id is not None:
        payment = book.find_by_payment_id(client_id, payment_id)
    elif request_id is not None:
        payment = book.find(client_id, request_id)
    else:
        raise illegal("paymentId")
    if payment is None:
        raise Refused(Code.ORDER_NOT_EXIST)
    return payment
