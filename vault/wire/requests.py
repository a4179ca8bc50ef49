"""The bodies that merchants send (design section 4), with the gateway's spellings where its documents conflict.

It refuses to know what is done with them. Invariant: a card number, a CVV and a PIN are sealed types from here on.
"""

from collections.abc import Iterator
from typing import Annotated, Any, Literal, Self

from pydantic import AliasChoices, BeforeValidator, Field, model_validator

from vault.card import Expiry
from vault.payment import StoreCard
from vault.wire.fields import (
    CardNumberField,
    Code,
    CvvField,
    IpAddress,
    Metadata,
    MethodRegion,
    Moment,
    PinDigitsField,
    Reference,
    Region,
    Text64,
    TwoDigits,
    Typed,
    Url,
    Wire,
    refusal,
)
from vault.wire.orders import (
    AddressField,
    AmountField,
    CreditPayPlanField,
    EnvField,
    NamesField,
    OrderField,
    SettlementField,
)


class CardholderName(NamesField):
    """The name on the card."""

    first_name: Text64
    last_name: Text64


class CardField(Wire):
    """A card as the buyer typed it."""

    card_no: CardNumberField
    cvv: CvvField | None = None
    expiry_month: TwoDigits
    expiry_year: TwoDigits
    cardholder_name: CardholderName | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        try:
            Expiry.parse(self.expiry_month, self.expiry_year)
        except ValueError:
            raise refusal("expiry_invalid") from None
        if self.cvv is not None and not self.cvv.fits(self.card_no.brand):
            raise refusal("cvv_invalid")
        return self

    @property
    def expiry(self) -> Expiry:
        """Give month and year as a value."""
        return Expiry.parse(self.expiry_month, self.expiry_year)


class ConsentField(Wire):
    """What the buyer agreed to; the text itself is not kept, only its hash."""

    text: Annotated[str, Field(min_length=1, max_length=20_000)]
    accepted_at: Moment
    client_ip: IpAddress


class StoreCardRequest(Wire):
    """`POST /v1/cards`."""

    reference_buyer_id: Reference
    card: CardField
    storage: Literal["VAULT", "GATEWAY"]
    billing_address: AddressField | None = None
    is_default: bool = False
    metadata: Metadata | None = None
    consent: ConsentField | None = None


class UpdateCardRequest(Wire):
    """`PATCH /v1/cards/{cardId}`: what is absent stays as it is."""

    expiry_month: TwoDigits | None = None
    expiry_year: TwoDigits | None = None
    cardholder_name: CardholderName | None = None
    billing_address: AddressField | None = None
    is_default: bool | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.expiry_month is None) != (self.expiry_year is None):
            raise refusal("expiry_incomplete")
        try:
            self.expiry  # noqa: B018 - parsed for its error
        except ValueError:
            raise refusal("expiry_invalid") from None
        return self

    @property
    def expiry(self) -> Expiry | None:
        """Give the new expiry, if one was sent."""
        if self.expiry_month is None or self.expiry_year is None:
            return None
        return Expiry.parse(self.expiry_month, self.expiry_year)


class MpiDataField(Wire):
    """A 3-D Secure result that the merchant obtained elsewhere; `caav` is accepted for `cavv` (antom-api.md 2.1)."""

    three_ds_version: Annotated[Code, Field(alias="threeDSVersion")]
    eci: Annotated[str, Field(pattern=r"^[0-9]{2}$")]
    cavv: Annotated[Typed, Field(validation_alias=AliasChoices("cavv", "caav"), serialization_alias="cavv")]
    ds_transaction_id: Code | None = None
    credential_type: Literal["PAN", "NETWORK_TOKEN"] | None = None


class ExtraVerificationField(Wire):
    """What some regions ask for beside the card. It is sent and not stored."""

    cpf: Annotated[str, Field(pattern=r"^[0-9.\-/]{11,14}$")] | None = None
    payer_email: Typed | None = None
    date_of_birth: Annotated[str, Field(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$")] | None = None
    business_no: Annotated[str, Field(pattern=r"^[0-9]{10}$")] | None = None
    card_password_digest: PinDigitsField | None = None


def _single(value: object) -> object:
    return value[0] if isinstance(value, list) and len(value) == 1 else value


class PaymentRequest(Wire):
    """What every kind of payment may say."""

    payment_request_id: Reference
    payment_amount: AmountField
    order: OrderField
    env: EnvField | None = None
    settlement_strategy: SettlementField | None = None
    payment_redirect_url: Url | None = None
    capture_mode: Literal["AUTOMATIC", "MANUAL"] | None = None
    payment_expiry_time: Moment | None = None
    merchant_region: Region | None = None
    billing_address: AddressField | None = None
    is_3ds_authentication: Annotated[bool | None, Field(alias="is3DSAuthentication")] = None
    enable_authentication_upgrade: bool | None = None
    mpi_data: MpiDataField | None = None
    selected_card_brand: Annotated[
        Code | None,
        Field(
            validation_alias=AliasChoices("selectedCardBrand", "selectedCardBrands"),
            serialization_alias="selectedCardBrand",
        ),
        BeforeValidator(_single),
    ] = None
    payment_method_region: MethodRegion | None = None
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
    """`POST /v1/payments`."""

    card: CardField
    store_card: StoreCard | None = None
    consent: ConsentField | None = None

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
    cursor: Annotated[str, Field(max_length=512)] | None = None


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
