"""What goes out for a payment: `pay`, or `createPaymentSession` for a client SDK (antom-api.md 2.1, 2.7).

It refuses to know sockets, signatures and rows. Invariant: a session says of the payment what `pay` would say, and of
the card only what the merchant said; what the buyer does in it is not anticipated.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from vault.gateway.messages import PageInstrument, PayCall, TokenInstrument, pay_body
from vault.gateway.operations import Operation
from vault.merchant import SessionCardForm
from vault.wire.sessions import SessionRequest

_OF_SESSIONS: Final = (
    "payment_session_expiry_time",
    "enable_installment_collection",
    "product_scene",
    "locale",
)


@dataclass(frozen=True, slots=True)
class SessionCall:
    """Everything that a `createPaymentSession` body is made of."""

    pay: PayCall
    request: SessionRequest


Call: TypeAlias = PayCall | SessionCall


@dataclass(frozen=True, slots=True)
class Outgoing:
    """An operation with its body."""

    operation: Operation
    body: Mapping[str, Any]


def outgoing(call: Call) -> Outgoing:
    """Give what is sent for a call."""
    if isinstance(call, SessionCall):
        return Outgoing(Operation.CREATE_PAYMENT_SESSION, session_body(call))
    return Outgoing(Operation.PAY, pay_body(call))


def session_body(call: SessionCall) -> dict[str, Any]:
    """Give the body of `createPaymentSession`; a stored card goes where the merchant's settings say."""
    body = pay_body(call.pay)
    method = body["paymentMethod"]
    details = method["paymentMethodMetaData"]
    offered: dict[str, Any] = {}
    if isinstance(call.pay.instrument, PageInstrument):
        # The widget knows first whether the card is new and whether the buyer wants it kept.
        del details["isCardOnFile"]
        if details.pop("tokenize", False):
            offered["tokenizeMode"] = "ASKFORCONSENT"
    newer = call.pay.defaults.session_card_form is SessionCardForm.SAVED_PAYMENT_METHODS
    if newer and isinstance(call.pay.instrument, TokenInstrument):
        saved = {"paymentMethodType": "CARD", "paymentMethodId": method.pop("paymentMethodId")}
        body["savedPaymentMethods"] = [saved]
        offered["isCardOnFile"] = details.pop("isCardOnFile")
    if not details:
        del method["paymentMethodMetaData"]
    if offered:
        body["availablePaymentMethod"] = {"paymentMethodMetaData": offered}
    return body | call.request.wire(*_OF_SESSIONS)
