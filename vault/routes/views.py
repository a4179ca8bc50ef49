"""What the API shows: cards masked, payments with the gateway's own words, nothing that could be paid with.

It refuses to know envelopes and tokens: no view has a field for them. The shapes are those of design section 4.
"""

from datetime import datetime
from typing import Any, Literal, Self

from vault.money import Amount
from vault.movement import MovementKind
from vault.payment import Kind, Payment, Status
from vault.payments.teaching import reading_of
from vault.routes.movement_views import CaptureView, RefundView
from vault.routes.result_views import ResultInfo, result_info
from vault.routes.shapes import DeclinedView, GatewayWords, View, amount_shown, words_shown
from vault.rules.declines import DeclineCategory, Retry
from vault.stored_card import CardFace, CardStatus, Storage, StoredCard
from vault.wire.orders import AmountField


class CardView(View):
    """A stored card, masked."""

    card_id: str
    reference_buyer_id: str | None
    storage: Storage
    status: CardStatus
    card_brand: str
    masked_card_no: str
    card_bin: str | None
    last_four: str
    expiry_month: str | None
    expiry_year: str | None
    issuing_country: str | None
    funding: str | None
    is_default: bool
    selected_card_brand: str | None
    payment_method_region: str | None
    metadata: dict[str, Any] | None
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, card: StoredCard) -> Self:
        """Show a card."""
        return cls(
            card_id=card.id,
            reference_buyer_id=card.buyer,
            storage=card.storage,
            status=card.status,
            **face_shown(card.face),
            issuing_country=card.issuing_country,
            funding=card.funding,
            is_default=card.is_default,
            selected_card_brand=card.choice.brand,
            payment_method_region=card.choice.region,
            metadata=dict(card.metadata) if card.metadata is not None else None,
            created_at=card.created_at,
            updated_at=card.updated_at,
        )


def face_shown(face: CardFace) -> dict[str, str | None]:
    """Give what `CardView` shows of a card's face."""
    return {
        "card_brand": face.brand,
        "masked_card_no": face.masked,
        "card_bin": face.bin,
        "last_four": face.last_four,
        "expiry_month": face.expiry.month_text if face.expiry else None,
        "expiry_year": face.expiry.year_text if face.expiry else None,
    }


class CardPage(View):
    """A page of a buyer's cards, newest first."""

    cards: list[CardView]
    next_cursor: str | None


class NextActionView(View):
    """What the buyer's browser has to do now."""

    type: Literal["REDIRECT"]
    url: str | None
    method: Literal["GET", "POST"]
    parameters: dict[str, Any] | str | None = None
    scheme_url: str | None = None
    applink_url: str | None = None


class GatewayView(GatewayWords):
    """The gateway's own words about a payment."""

    payment_id: str | None


class PaymentView(View):
    """A payment as it stands."""

    payment_id: str
    payment_request_id: str
    reference_order_id: str
    kind: Kind
    mandate_id: str | None
    payment_status: Status
    payment_amount: AmountField
    card: CardView | None
    next_action: NextActionView | None
    capture_mode: Literal["AUTOMATIC", "MANUAL"]
    capture_status: Literal["NONE", "PENDING", "PARTIAL", "FULL", "EXPIRED"]
    captures: list[CaptureView]
    refunds: list[RefundView]
    refunded_amount: AmountField | None
    gateway: GatewayView
    payment_result_info: ResultInfo
    declined: DeclinedView | None
    cancel_requested: bool
    authorisation_expires_at: datetime | None
    metadata: dict[str, Any] | None
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, payment: Payment, card: StoredCard | None) -> "PaymentView":
        """Show a payment with the card it was made with or stored."""
        return cls(
            payment_id=payment.id,
            payment_request_id=payment.request_id,
            reference_order_id=payment.order_reference,
            kind=payment.kind,
            mandate_id=payment.mandate_id,
            payment_status=payment.status,
            payment_amount=amount_shown(payment.amount),
            card=CardView.of(card) if card else None,
            next_action=_next_action(payment),
            capture_mode=payment.capture_mode,
            capture_status=payment.capture_status,
            captures=[CaptureView.of(capture) for capture in payment.of(MovementKind.CAPTURE)],
            refunds=[RefundView.of(refund) for refund in payment.of(MovementKind.REFUND)],
            refunded_amount=_refunded(payment),
            gateway={"payment_id": payment.gateway_payment_id, **words_shown(payment.result)},
            payment_result_info=result_info(payment),
            declined=_declined(payment, card),
            cancel_requested=payment.cancel_requested_at is not None,
            authorisation_expires_at=payment.authorisation_expires_at,
            metadata=dict(payment.metadata) if payment.metadata is not None else None,
            created_at=payment.created_at,
            updated_at=payment.updated_at,
        )


class PaymentPage(View):
    """A page of payments, newest first."""

    payments: list[PaymentView]
    next_cursor: str | None


def _next_action(payment: Payment) -> NextActionView | None:
    if payment.next_action is None or payment.status is not Status.PROCESSING:
        return None
    return NextActionView.model_validate(payment.next_action)


def _refunded(payment: Payment) -> AmountField | None:
    refunded = payment.moved(MovementKind.REFUND)
    return amount_shown(Amount.of_minor(payment.amount.currency, refunded)) if refunded else None


def _declined(payment: Payment, card: StoredCard | None) -> DeclinedView | None:
    if payment.nobody_there and payment.status in {Status.CANCELLED, Status.PROCESSING}:
        return DeclinedView(category=DeclineCategory.AUTHENTICATION_REQUIRED, retry=Retry.AUTHENTICATE)
    reading = reading_of(payment, card)
    if reading is None:
        return None
    until = payment.finalised_at + reading.wait if payment.finalised_at and reading.wait else None
    return DeclinedView(category=reading.category, retry=reading.retry, not_before=until)
