"""The bodies of the gateway's calls (antom-api.md 2): what is asked for, field by field.

It refuses to know sockets, signatures and rows. Invariants: flags that the merchant left absent stay absent; a card
number, a token and a CVV are revealed here and nowhere else on the way out.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, assert_never

from vault.card import CardToken, Cvv, Expiry, Pan
from vault.gateway.card_messages import authentication, code, extra_verification, present, typed_card
from vault.merchant import PAYMENT_DEFAULTS, MerchantSettings
from vault.movement import Movement, MovementKind
from vault.payment import Payment
from vault.stored_card import NO_CHOICE, BrandChoice
from vault.wire.cards import CardField
from vault.wire.movements import MovementRequest
from vault.wire.requests import PaymentRequest


@dataclass(frozen=True, slots=True)
class NewCardInstrument:
    """A card that the buyer has just typed."""

    card: CardField
    tokenize: bool


@dataclass(frozen=True, slots=True)
class PageInstrument:
    """A card that the buyer will type on the gateway's page."""

    tokenize: bool


@dataclass(frozen=True, slots=True)
class TokenInstrument:
    """A card that the gateway keeps."""

    token: CardToken
    cvv: Cvv | None


@dataclass(frozen=True, slots=True)
class SealedInstrument:
    """A card that the vault keeps, opened for this call."""

    pan: Pan
    expiry: Expiry
    cardholder_name: Mapping[str, Any] | None
    billing_address: Mapping[str, Any] | None
    cvv: Cvv | None


Instrument: TypeAlias = NewCardInstrument | PageInstrument | TokenInstrument | SealedInstrument


@dataclass(frozen=True, slots=True)
class Series:
    """What a charge without the buyer refers to: its type, and the network's id of the first authorisation."""

    recurring_type: str
    network_transaction_id: str


@dataclass(frozen=True, slots=True)
class PayCall:
    """Everything that a `pay` body is made of."""

    request: PaymentRequest
    instrument: Instrument
    defaults: MerchantSettings
    notify_url: str
    buyer: str | None
    choice: BrandChoice = NO_CHOICE
    series: Series | None = None


_PASSED_THROUGH: Final = ("payment_expiry_time", "credit_pay_plan")


def pay_body(call: PayCall) -> dict[str, Any]:
    """Give the body of `pay` (antom-api.md 2.1)."""
    request = call.request
    amount = {"currency": request.payment_amount.currency, "value": request.payment_amount.value}
    body: dict[str, Any] = {
        "productCode": "CASHIER_PAYMENT",
        "paymentRequestId": request.payment_request_id,
        "paymentAmount": amount,
        "order": _order(call, amount),
        "paymentFactor": {"isAuthorization": True, **present(captureMode=request.capture_mode)},
        "paymentMethod": _method(call),
        "paymentNotifyUrl": call.notify_url,
    }
    return {**body, **call.defaults.of_payments, **request.wire(*PAYMENT_DEFAULTS, *_PASSED_THROUGH)}


def _order(call: PayCall, amount: Mapping[str, str]) -> dict[str, Any]:
    order: dict[str, Any] = call.request.order.wire()
    order.setdefault("orderAmount", amount)
    if call.buyer is not None:
        order["buyer"] = {**order.get("buyer", {}), "referenceBuyerId": call.buyer}
    return order


def _method(call: PayCall) -> dict[str, Any]:
    sent = call.request
    details: dict[str, Any] = {
        **authentication(sent, call.defaults),
        **present(
            **{call.defaults.card_brand_spelling: call.choice.brand},
            paymentMethodRegion=call.choice.region,
            billingAddress=sent.billing_address and sent.billing_address.wire(),
        ),
        **extra_verification(sent.extra_verification),
    }
    method: dict[str, Any] = {"paymentMethodType": "CARD"}
    if isinstance(call.instrument, TokenInstrument):
        method["paymentMethodId"] = call.instrument.token.reveal()
    details = _card_details(call.instrument, details)
    if call.series is not None:
        details["recurringType"] = call.series.recurring_type
        details["networkTransactionId"] = call.series.network_transaction_id
    return {**method, "paymentMethodMetaData": details}


def _card_details(instrument: Instrument, details: dict[str, Any]) -> dict[str, Any]:
    """Add what is paid with; what the request says of the address outranks what is sealed with the card."""
    match instrument:
        case NewCardInstrument(card=card, tokenize=tokenize):
            details |= {"cardNo": card.card_no.reveal(), "isCardOnFile": False, **typed_card(card)}
            return details | _tokenized(tokenize=tokenize) | code(card.cvv)
        case PageInstrument(tokenize=tokenize):
            return details | {"isCardOnFile": False} | _tokenized(tokenize=tokenize)
        case TokenInstrument(cvv=cvv):
            return details | {"isCardOnFile": True} | code(cvv)
        case SealedInstrument(cvv=cvv) as sealed:
            details = {**_sealed_profile(sealed), **details, "cardNo": sealed.pan.reveal(), "isCardOnFile": True}
            return details | code(cvv)
        case _ as unreachable:
            assert_never(unreachable)


def _tokenized(*, tokenize: bool) -> dict[str, Any]:
    return {"tokenize": True} if tokenize else {}


def _sealed_profile(sealed: SealedInstrument) -> dict[str, Any]:
    return {
        "expiryMonth": sealed.expiry.month_text,
        "expiryYear": sealed.expiry.year_text,
        **present(cardholderName=sealed.cardholder_name, billingAddress=sealed.billing_address),
    }


def inquiry_body(payment: Payment) -> dict[str, Any]:
    """Give the body of `inquiryPayment` (antom-api.md 2.2): by the merchant's id, which was sent unchanged."""
    return {"paymentRequestId": payment.request_id}


def cancel_body(payment: Payment) -> dict[str, Any]:
    """Give the body of `cancel` (antom-api.md 2.4)."""
    return {"paymentRequestId": payment.request_id}


def movement_body(payment: Payment, request: MovementRequest, notify_url: str) -> dict[str, Any]:
    """Give the body of `capture` or `refund` (antom-api.md 2.3, 2.5): by the gateway's id, as both want it."""
    body = {**request.wire(), "paymentId": payment.gateway_payment_id}
    if request.kind is MovementKind.REFUND:
        body["refundNotifyUrl"] = notify_url
    return body


def refund_inquiry_body(refund: Movement) -> dict[str, Any]:
    """Give the body of `inquiryRefund` (antom-api.md 2.5): by the id that was sent."""
    return {"refundRequestId": refund.request_id}
