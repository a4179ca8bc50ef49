"""What the gateway's messages are evidence of (antom-api.md 2 to 4): answers, inquiries and notifications, read once.

It refuses to know signatures (a message gets here verified), rows and decisions. Invariants: an unknown value is kept
as text and never guessed at; a message that names another payment or another amount is not bound to ours.
"""

from collections.abc import Mapping
from typing import Any

import orjson

from keys.sealed import Plaintext
from vault.card import CardDataInvalid, CardToken
from vault.gateway.json_text import json_object
from vault.gateway.movement_evidence import reported_movements
from vault.gateway.values import amount_of, moment, result_of, text
from vault.payment import Evidence, Payment, Source, Status
from vault.result import Result
from vault.rules.result_info import visible_result_info

_STATUS_OF_PAY = {"S": Status.SUCCESS, "F": Status.FAIL}
_STATUS_OF_INQUIRY = {
    "SUCCESS": Status.SUCCESS,
    "FAIL": Status.FAIL,
    "CANCELLED": Status.CANCELLED,
    "PROCESSING": Status.PROCESSING,
    "PENDING": Status.PROCESSING,
}
ORDER_NOT_EXIST = "ORDER_NOT_EXIST"
IN_PROCESS = "PAYMENT_IN_PROCESS"
LONGEST_SESSION_DATA = 16_384  # four times what the documentation allows


def read_pay(body: Mapping[str, Any], payment: Payment) -> Evidence:
    """Say what the answer to `pay` is evidence of; a status that is not known is evidence of nothing final."""
    result = result_of(body)
    if result is None:
        return Evidence(Source.ANSWER, Status.UNKNOWN)
    status = _STATUS_OF_PAY.get(result.status, Status.UNKNOWN)
    if result.status == "U" and result.code == IN_PROCESS:
        status = Status.PROCESSING
    return _evidence(body, payment, Source.ANSWER, status, result)


def read_session(body: Mapping[str, Any], _payment: Payment) -> Evidence:
    """Say what the answer to `createPaymentSession` is evidence of (antom-api.md 2.7): no payment, but a way to one.

    It names no payment. Without what opens the session nobody can pay in it, and an inquiry will tell that nobody did.
    """
    result, data = result_of(body), text(body.get("paymentSessionData"), LONGEST_SESSION_DATA)
    if result is not None and result.status == "F":
        return Evidence(Source.ANSWER, Status.FAIL, result)
    if result is None or result.status != "S" or data is None:
        return Evidence(Source.ANSWER, Status.UNKNOWN)
    session = {
        "paymentSessionData": data,
        "paymentSessionId": text(body.get("paymentSessionId"), 64),
        "paymentSessionExpiryTime": moment(body.get("paymentSessionExpiryTime")),
        "normalUrl": text(body.get("normalUrl"), 2048),
    }
    return Evidence(Source.ANSWER, Status.PROCESSING, session=Plaintext(orjson.dumps(session)))


def read_inquiry(body: Mapping[str, Any], payment: Payment) -> Evidence | None:
    """Say what the answer to `inquiryPayment` is evidence of; None when the inquiry itself failed.

    `ORDER_NOT_EXIST` is evidence without a status: whether it means "not sent" depends on the clock.
    """
    result = result_of(body)
    if result is None or result.status != "S":
        if result is not None and result.code == ORDER_NOT_EXIST:
            return Evidence(Source.INQUIRY, None, result)
        return None
    stated = body.get("paymentStatus")
    status = _STATUS_OF_INQUIRY.get(stated) if isinstance(stated, str) else None
    code, message = body.get("paymentResultCode"), body.get("paymentResultMessage")
    letter = {Status.SUCCESS: "S", Status.FAIL: "F", Status.CANCELLED: "S"}.get(status or Status.UNKNOWN, "U")
    own = Result(
        code[:64] if isinstance(code, str) else str(stated)[:64],
        letter,
        message[:256] if isinstance(message, str) else "",
    )
    return _evidence(body, payment, Source.INQUIRY, status, own)._replace(status_when_asked=payment.status)


def unknown_to_gateway(evidence: Evidence) -> bool:
    """Tell whether an inquiry said that the gateway knows no such payment."""
    return evidence.status is None and evidence.result is not None and evidence.result.code == ORDER_NOT_EXIST


def read_cancel(body: Mapping[str, Any], payment: Payment) -> Evidence | None:
    """Say what the answer to `cancel` is evidence of; None when it did not say S."""
    result = result_of(body)
    if result is None or result.status != "S":
        return None
    return _evidence(body, payment, Source.CANCEL, Status.CANCELLED, None)


def read_payment_notification(body: Mapping[str, Any], payment: Payment) -> Evidence:
    """Say what `notifyPayment` is evidence of (antom-api.md 2.11)."""
    result = result_of(body)
    if result is None:
        return Evidence(Source.NOTIFICATION, None)
    status = _STATUS_OF_PAY.get(result.status)
    if body.get("notifyType") == "PAYMENT_PENDING":
        status = Status.PROCESSING
    return _evidence(body, payment, Source.NOTIFICATION, status, result)


def _evidence(
    body: Mapping[str, Any], payment: Payment, source: Source, status: Status | None, result: Result | None
) -> Evidence:
    told = (body.get(name) for name in ("cardInfo", "paymentResultInfo"))
    info = {name: value for part in told if isinstance(part, dict) for name, value in part.items()}
    return Evidence(
        source=source,
        status=status,
        result=result,
        gateway_payment_id=text(body.get("paymentId"), 64),
        next_action=next_action(body) if status is Status.PROCESSING else None,
        info=visible_result_info(info) or None,
        token=card_token(info.get("cardToken")),
        network_transaction_id=text(info.get("networkTransactionId"), 256),
        authorisation_expires_at=moment(body.get("authExpiryTime")),
        movements=tuple(reported_movements(body)),
        bound=_bound(body, payment, strict=status in {Status.SUCCESS, Status.PROCESSING}),
    )


def _bound(body: Mapping[str, Any], payment: Payment, *, strict: bool) -> bool:
    request_id, amount = body.get("paymentRequestId"), body.get("paymentAmount")
    if strict and (request_id is None or amount is None):
        return False
    return request_id in (None, payment.request_id) and (amount is None or amount_of(amount) == payment.amount)


def card_token(value: object) -> CardToken | None:
    """Give the token that a message names, if it names one."""
    if not isinstance(value, str):
        return None
    try:
        return CardToken.parse(value)
    except CardDataInvalid:
        return None


def _posts(form: Mapping[str, Any]) -> bool:
    return str(form.get("method")).upper() == "POST"


def _opened(parameters: str) -> Mapping[str, Any] | str:
    """Give the fields of a form that came as JSON text; other text stays what it is."""
    return json_object(parameters.encode(errors="replace")) or parameters


def next_action(body: Mapping[str, Any]) -> dict[str, Any] | None:
    """Give what the buyer's browser has to do now, where a message tells it."""
    form = body.get("redirectActionForm")
    form = form if isinstance(form, Mapping) else {}
    url = text(form.get("redirectUrl"), 2048) or text(body.get("normalUrl"), 2048)
    scheme, applink = text(body.get("schemeUrl"), 2048), text(body.get("applinkUrl"), 2048)
    if url is None and scheme is None and applink is None:
        return None
    action: dict[str, Any] = {"type": "REDIRECT", "url": url, "method": "POST" if _posts(form) else "GET"}
    parameters = form.get("parameters")
    if isinstance(parameters, (Mapping, str)) and parameters:
        action["parameters"] = parameters if isinstance(parameters, Mapping) else _opened(parameters)
    return action | {name: value for name, value in (("schemeUrl", scheme), ("applinkUrl", applink)) if value}
