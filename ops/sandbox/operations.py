"""The gateway's operations: what a verified request leads to.

A table from path to handler, so that another operation is one entry. Refuses to know HTTP and signatures.
Invariant: a request id is decided once.
"""

from __future__ import annotations

from collections.abc import Mapping

from ops.sandbox.book import Book, Intake, Payment, PaymentStatus
from ops.sandbox.cards import Card
from ops.sandbox.config import RegionalRule, SandboxConfig
from ops.sandbox.decisions import AUTOMATIC_CAPTURE_ONLY, Feature, excludes
from ops.sandbox.desk import Desk, Operation, Outcome
from ops.sandbox.fields import Fields
from ops.sandbox.ledger import MovementKind
from ops.sandbox.messages import cancel_answer, inquiry_answer, pay_answer
from ops.sandbox.movements import inquire_refund, move
from ops.sandbox.pay_request import PayRequest, read_pay_request
from ops.sandbox.results import Code, Json, Refused, bad_card_data, illegal, result
from ops.sandbox.scenarios import HONEST, NOT_CHARGED, magic_scenario


def pay(desk: Desk, client_id: str, body: Json) -> Outcome:
    """Authorise a card, once per request id (antom-api.md 2.1, 4.2)."""
    request = read_pay_request(body, strict=desk.config.strict, luhn=desk.config.luhn)
    fingerprint = _fingerprint(desk.book, request)
    known = desk.book.find(client_id, request.payment_request_id)
    if known is not None:
        return _repeated(desk, known, fingerprint)
    card = request.card.card or _card_of_token(desk.book, client_id, request)
    if card.brand is None:
        raise Refused(Code.CARD_NOT_SUPPORTED)
    region = request.card.region or card.brand.region
    _check_regional(desk.config, request, region)
    brand = _choose_brand(card, request)
    scheme_id = request.card.network_transaction_id
    if request.card.recurring_type and scheme_id and desk.book.contradicts(scheme_id, card):
        raise bad_card_data("paymentMethod.paymentMethodMetaData.networkTransactionId")
    scenario = desk.book.disarm(request.payment_request_id)
    if scenario == HONEST:
        scenario = magic_scenario(request.amount.value)
    if scenario.fault in NOT_CHARGED:
        return Outcome({"result": result(Code.REQUEST_TRAFFIC_EXCEED_LIMIT)}, scenario)
    payment = desk.engine.open(Intake(client_id, request, card, brand, region, scenario, fingerprint))
    return Outcome(pay_answer(payment, with_token=desk.config.token_in_answer), scenario, payment)


def inquire_payment(desk: Desk, client_id: str, body: Json) -> Outcome:
    """Tell where a payment stands (antom-api.md 2.2)."""
    return Outcome(inquiry_answer(_named(desk.book, client_id, body)))


def cancel(desk: Desk, client_id: str, body: Json) -> Outcome:
    """Void or close a payment (antom-api.md 2.4)."""
    payment = _named(desk.book, client_id, body)
    desk.engine.cancel(payment)
    return Outcome(cancel_answer(payment, desk.config.clock()))


OPERATIONS: Mapping[str, Operation] = {
    "/v1/payments/pay": Operation("pay", pay),
    "/v1/payments/inquiryPayment": Operation("inquiryPayment", inquire_payment),
    "/v1/payments/cancel": Operation("cancel", cancel),
    "/v1/payments/capture": Operation("capture", move(MovementKind.CAPTURE)),
    "/v1/payments/refund": Operation("refund", move(MovementKind.REFUND)),
    "/v1/payments/inquiryRefund": Operation("inquiryRefund", inquire_refund),
}


def _fingerprint(book: Book, request: PayRequest) -> bytes:
    card = request.card.card
    method = ("token", request.card.token or "") if card is None else ("card", card.number)
    return book.identity(request.amount.currency, request.amount.value, *method)


def _repeated(desk: Desk, payment: Payment, fingerprint: bytes) -> Outcome:
    if payment.intake.fingerprint != fingerprint:
        raise Refused(Code.REPEAT_REQ_INCONSISTENT)
    if payment.status is PaymentStatus.CANCELLED:
        raise Refused(Code.ORDER_IS_CANCELED)
    if payment.code == Code.ORDER_IS_CLOSED:
        raise Refused(Code.ORDER_IS_CLOSED)
    return Outcome(pay_answer(payment, with_token=desk.config.token_in_answer))


def _card_of_token(book: Book, client_id: str, request: PayRequest) -> Card:
    card = book.card_of(client_id, request.card.token or "")
    if card is None:
        raise bad_card_data("paymentMethod.paymentMethodId")
    return card


def _check_regional(config: SandboxConfig, request: PayRequest, region: str) -> None:
    """Refuse what the region excludes (antom-api.md 5.2), unless it is to be ignored."""
    if config.regional_rule is RegionalRule.IGNORE:
        return
    fields = request.card
    used = {
        Feature.AUTHENTICATION: fields.authenticate,
        Feature.UPGRADE: fields.upgrade is True,
        Feature.MERCHANT_INITIATED: fields.recurring_type is not None,
        Feature.BRAND_CHOICE: bool(fields.brands_chosen),
        Feature.MPI: fields.mpi is not None,
    }
    for feature, present in used.items():
        if present and excludes(region, feature):
            raise illegal(f"paymentMethod.paymentMethodMetaData.{feature}")
    if fields.issuer_authenticates and region in AUTOMATIC_CAPTURE_ONLY and not request.captures_itself:
        raise illegal("paymentFactor.captureMode")


def _choose_brand(card: Card, request: PayRequest) -> str:
    available = card.brands()
    chosen = request.card.brands_chosen
    if not chosen:
        return available[0]
    for brand in chosen:
        if brand in available:
            return brand
    raise Refused(Code.SELECTED_CARD_BRAND_NOT_AVAILABLE)


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
