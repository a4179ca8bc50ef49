"""Writes the gateway's answers and notifications about a payment (antom-api.md 2.1 to 2.5, 2.11, 3).

Pure functions from a payment to JSON. Refuses to know what happens next. Invariant: a card leaves only masked, and a
token only after a successful authorisation that asked for one.
"""

from __future__ import annotations

import base64
from datetime import datetime, timedelta

from ops.sandbox.book import Payment, PaymentStatus
from ops.sandbox.cards import NO_CARD
from ops.sandbox.decisions import ADDRESS_CHECKED
from ops.sandbox.ledger import Movement, MovementKind, MovementStatus
from ops.sandbox.results import RAW_DECLINES, Code, Json, result
from ops.sandbox.scenarios import Redirect
from ops.sandbox.verification import NOT_CHECKED

APP_SCHEME = "sandboxbank://"
AUTHORISATION_VALID = timedelta(days=7)


def moment(time: datetime) -> str:
    """Return a time as the gateway writes it."""
    return time.isoformat(timespec="seconds").replace("+00:00", "Z")


def payment_result_info(payment: Payment, *, with_token: bool = True) -> Json:
    """Return what is known of card and authorisation; nothing before a card was typed."""
    return {} if payment.intake.card is NO_CARD else _card_info(payment, with_token=with_token)


def _card_info(payment: Payment, *, with_token: bool) -> Json:
    info = payment.intake.card.as_json(brand=payment.intake.brand, region=payment.intake.region)
    if payment.authentication is not None:
        info["threeDSResult"] = payment.authentication
    if payment.status is PaymentStatus.FAIL:
        return info | _refusal(payment)
    fields = payment.intake.request.card
    if payment.network_transaction_id is not None:
        info["networkTransactionId"] = payment.network_transaction_id
    if fields.address_letter is not None:
        info["avsResultRaw"] = fields.address_letter if payment.intake.card.country in ADDRESS_CHECKED else NOT_CHECKED
    if fields.cvv_letter is not None:
        info["cvvResultRaw"] = fields.cvv_letter
    if payment.intake.request.installments is not None:
        info["creditPayPlan"] = {"installmentNum": str(payment.intake.request.installments)}
    if with_token and payment.token is not None:
        info["cardToken"] = payment.token
    return info


def _refusal(payment: Payment) -> Json:
    scenario, raw = payment.intake.scenario, RAW_DECLINES.get(payment.code)
    if scenario.issuer_says is not None and payment.code == scenario.decline:
        raw = scenario.issuer_says
    return {} if raw is None else raw.as_json()


def _identity(payment: Payment) -> Json:
    return {
        "paymentRequestId": payment.intake.request.payment_request_id,
        "paymentId": payment.payment_id,
        "paymentAmount": payment.intake.request.amount.as_json(),
        "paymentCreateTime": moment(payment.created_at),
    }


def _decided(payment: Payment) -> Json:
    """Return the times that only an authorised payment has."""
    if payment.decided_at is None or payment.network_transaction_id is None:
        return {}
    return {
        "paymentTime": moment(payment.decided_at),
        "authExpiryTime": moment(payment.decided_at + AUTHORISATION_VALID),
    }


def _form(payment: Payment) -> Json:
    """Return the form that leads to the open page, unless the buyer is sent there in another way."""
    url, way = payment.page_url, payment.intake.scenario.redirect
    if url is None or way in {Redirect.URL, Redirect.APP}:
        return {}
    form: Json = {"method": str(way), "redirectUrl": url, "actionFormType": "RedirectActionForm"}
    if way is Redirect.POST:
        form["parameters"] = {"creq": base64.urlsafe_b64encode(payment.payment_id.encode()).decode()}
    return {"redirectActionForm": form}


def _links(payment: Payment) -> Json:
    """Return the addresses of the open page: one for browsers, or two for an app."""
    url = payment.page_url
    if url is None:
        return {}
    if payment.intake.scenario.redirect is Redirect.APP:
        return {"schemeUrl": APP_SCHEME + url.partition("://")[2], "applinkUrl": url}
    return {"normalUrl": url}


def pay_answer(payment: Payment, *, with_token: bool) -> Json:
    """Return the answer to `pay` for the payment's present state."""
    answer = {"result": result(payment.code), **_identity(payment)}
    if payment.status is PaymentStatus.PROCESSING:
        return answer | _links(payment) | _form(payment)
    return answer | _decided(payment) | {"paymentResultInfo": payment_result_info(payment, with_token=with_token)}


def inquiry_answer(payment: Payment) -> Json:
    """Return the answer to `inquiryPayment`; its `result` speaks of the inquiry alone."""
    code = Code.ORDER_IS_CANCELED if payment.status is PaymentStatus.CANCELLED else payment.code
    answer = {
        "result": result(Code.SUCCESS),
        "paymentStatus": str(payment.status),
        "paymentResultCode": str(code),
        "paymentResultMessage": result(code)["resultMessage"],
        "paymentMethodType": "CARD",
        "actualPaymentAmount": payment.intake.request.amount.as_json(),
        **_identity(payment),
    }
    if payment.intake.request.metadata is not None:
        answer["metadata"] = payment.intake.request.metadata
    if payment.row is not None and payment.row.movements:
        answer["transactions"] = [_record(movement) for movement in payment.row.movements]
    if payment.status is PaymentStatus.PROCESSING:
        return answer | _form(payment)
    info = payment_result_info(payment)
    return answer | _decided(payment) | {"paymentResultInfo": info, "cardInfo": info}


def _record(movement: Movement) -> Json:
    return {
        "transactionId": movement.movement_id,
        "transactionRequestId": movement.order.request_id,
        "transactionType": str(movement.order.kind),
        "transactionStatus": str(movement.status),
        "transactionAmount": movement.order.amount.as_json(),
        "transactionResult": result(movement.code),
        "transactionTime": moment(movement.time),
    }


def cancel_answer(payment: Payment, time: datetime) -> Json:
    """Return the answer to a cancel that worked."""
    return {
        "result": result(Code.SUCCESS),
        "paymentId": payment.payment_id,
        "paymentRequestId": payment.intake.request.payment_request_id,
        "cancelTime": moment(time),
    }


def payment_notification(payment: Payment) -> Json:
    """Return notifyPayment for a payment that was decided."""
    notification = {
        "notifyType": "PAYMENT_RESULT",
        "result": result(payment.code),
        **_identity(payment),
        **_decided(payment),
        "paymentMethodType": "CARD",
        "paymentResultInfo": payment_result_info(payment),
    }
    if payment.intake.request.metadata is not None:
        notification["metadata"] = payment.intake.request.metadata
    return notification


def _facts(movement: Movement) -> Json:
    """Return ids and amount of a capture or refund, and its time once money has moved."""
    facts = movement.names()
    if movement.status is MovementStatus.SUCCESS:
        facts[f"{movement.order.kind.prefix}Time"] = moment(movement.time)
    return facts


def movement_answer(movement: Movement) -> Json:
    """Return the answer to `capture` or `refund`; a refused one has its result and nothing else."""
    answer: Json = {"result": result(movement.code)}
    if movement.status is MovementStatus.FAIL:
        return answer
    return answer | {"paymentId": movement.payment_id} | _facts(movement)


def refund_inquiry_answer(refund: Movement) -> Json:
    """Return the answer to `inquiryRefund`; its `result` speaks of the inquiry alone."""
    return {"result": result(Code.SUCCESS), "refundStatus": str(refund.status)} | _facts(refund)


def movement_notification(movement: Movement) -> Json:
    """Return notifyCapture or notifyRefund, the latter without the payment's id, for a final outcome."""
    kind = movement.order.kind
    body = {"notifyType": f"{kind}_RESULT", "result": result(movement.code), **_facts(movement)}
    if kind is MovementKind.CAPTURE:
        return body | {"paymentId": movement.payment_id}
    return body | {"refundStatus": str(movement.status)}
