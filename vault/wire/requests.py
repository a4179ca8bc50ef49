"""The bodies that merchants send (design section 4), with the gateway's spellings where its documents conflict.

It refuses to know what is done with them. Invariant: a card number, a CVV and a PIN are sealed types from here on.
"""

from collections.abc import Iterator
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from vault.payment import StoreCard
from vault.wire.authentication import AuthenticationFields, ExtraVerificationField
from vault.wire.cards import BrandChoiceFields, CardField, ConsentField
from vault.wire.fields import (
    CursorText,
    CvvField,
    LaterMoment,
    Metadata,
    Moment,
    Reference,
    Region,
    Url,
    Wire,
    refusal,
)
from vault.wire.orders import (
    AddressField,
    AmountField,
    CreditPayPlanField,
    EnvField,
    OrderField,
    SettlementField,
)


class PaymentRequest(BrandChoiceFields, AuthenticationFields):
    """What every kind of payment may say."""

    payment_request_id: Reference
    payment_amount: AmountField
    order: OrderField
    env: EnvField | None = None
    settlement_strategy: SettlementField | None = None
    payment_redirect_url: Url | None = None
    capture_mode: Literal["AUTOMATIC", "MANUAL"] | None = None
    payment_expiry_time: LaterMoment | None = None
    merchant_region: Region | None = None
    billing_address: AddressField | None = None
    credit_pay_plan: CreditPayPlanField | None = None
    extra_verification: ExtraVerificationField | None = None
    metadata: Metadata | None = None

    def references(self) -> Iterator[tuple[str, str]]:
        """Give the merchant's own ids with their pointers: they may look like card numbers by chance."""
        yield "/paymentRequestId", self.payment_request_id
        yield "/order/referenceOrderId", self.order.reference_order_id
        if self.order.buyer is not None and self.order.buyer.reference_buyer_id is not None:
            yield "/order/buyer/referenceBuyerId", self.order.buyer.reference_buyer_id

    @property
    def buyer_id(self) -> str | None:
        """Give the merchant's id of the buyer, if it was sent."""
        return self.order.buyer.reference_buyer_id if self.order.buyer else None


class CardPaymentRequest(PaymentRequest):
    """`POST /v1/payments`; without a card the buyer types one on the gateway's page.

    To store the card, the order has to name its buyer.
    """

    card: CardField | None = None
    store_card: StoreCard | None = None
    consent: ConsentField | None = None

    @field_validator("store_card")
    @classmethod
    def _keeps_what_it_sees(cls, value: StoreCard | None, sent: ValidationInfo) -> StoreCard | None:
        if value is not None and value.in_vault and sent.data.get("card", value) is None:
            raise refusal("card_data_required")
        return value

    @model_validator(mode="after")
    def _authenticates_a_known_card(self) -> Self:
        if self.mpi_data is not None and not self.names_a_card:
            raise refusal("card_data_required")
        return self

    @property
    def names_a_card(self) -> bool:
        """Tell whether it is known by now which card will be paid with."""
        return self.card is not None

    @model_validator(mode="after")
    def _buyer_is_known(self) -> Self:
        if self.store_card is not None and self.buyer_id is None:
            raise refusal("buyer_required")
        return self


class StoredCardPaymentRequest(PaymentRequest):
    """`POST /v1/cards/{cardId}/payments`."""

    cvv: CvvField | None = None


class PaymentQuery(Wire):
    """`GET /v1/payments`: which payments, and which page of them."""

    payment_request_id: Reference | None = None
    reference_order_id: Reference | None = None
    created_from: Moment | None = None
    limit: Annotated[int, Field(ge=1, le=100)] = 20
    cursor: CursorText | None = None


class CancelRequest(Wire):
    """`POST /v1/payments/{paymentId}/cancel`: an empty object."""


def secrets_left_out(body: dict[str, Any]) -> dict[str, Any]:
    """Give a request body without the CVV and the PIN, for the idempotency digest (controls.md SAD-6)."""
    kept = {key: value for key, value in body.items() if key != "cvv"}
    if isinstance(kept.get("card"), dict):
        kept["card"] = {key: value for key, value in kept["card"].items() if key != "cvv"}
    extra = kept.get("extraVerification")
    if isinstance(extra, dict):
        kept["extraVerification"] = {key: value for key, value in extra.items() if key != "cardPasswordDigest"}
    return kept
