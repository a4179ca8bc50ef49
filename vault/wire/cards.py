"""What merchants say about cards (design section 4): a card as it was typed, how to keep it, what to change about it.

It refuses to know what is done with them. Invariant: a card number and a CVV are sealed types from here on.
"""

from functools import cached_property
from typing import Annotated, Literal, Self

from pydantic import AliasChoices, BeforeValidator, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from vault.card import Cvv, Expiry
from vault.stored_card import BrandChoice
from vault.wire.fields import (
    CardNumberField,
    Code,
    CvvField,
    ExpiryMonth,
    ExpiryYear,
    Flag,
    IpAddress,
    Metadata,
    MethodRegion,
    PastMoment,
    Reference,
    Text64,
    Wire,
    refusal,
)
from vault.wire.orders import AddressField, NamesField


class CardholderName(NamesField):
    """The name on the card."""

    first_name: Text64
    last_name: Text64


class CardField(Wire):
    """A card as the buyer typed it."""

    card_no: CardNumberField
    cvv: CvvField | None = None
    expiry_month: ExpiryMonth
    expiry_year: ExpiryYear
    cardholder_name: CardholderName | None = None

    @field_validator("cvv")
    @classmethod
    def _of_the_brand(cls, cvv: Cvv | None, info: ValidationInfo) -> Cvv | None:
        number = info.data.get("card_no")  # absent where it was refused itself
        if cvv is not None and number is not None and not cvv.fits(number.brand):
            raise refusal("cvv_invalid")
        return cvv

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        try:
            self.expiry  # noqa: B018 - parsed for its error
        except ValueError:
            raise refusal("expiry_invalid") from None
        return self

    @cached_property
    def expiry(self) -> Expiry:
        """Give month and year as a value."""
        return Expiry.parse(self.expiry_month, self.expiry_year)


class ConsentField(Wire):
    """What the buyer agreed to; the text itself is not kept, only its hash."""

    text: Annotated[str, Field(min_length=1, max_length=20_000)]
    accepted_at: PastMoment
    client_ip: IpAddress


def _single(value: object) -> object:
    return value[0] if isinstance(value, list) and len(value) == 1 else value


class BrandChoiceFields(Wire):
    """Which network of a co-badged card to use: by its brand, or by its region; both at once contradict each other."""

    selected_card_brand: Annotated[
        Code | None,
        Field(
            validation_alias=AliasChoices("selectedCardBrand", "selectedCardBrands"),
            serialization_alias="selectedCardBrand",
        ),
        BeforeValidator(_single),
    ] = None
    payment_method_region: MethodRegion | None = None

    @field_validator("payment_method_region")
    @classmethod
    def _says_one_thing(cls, value: str | None, sent: ValidationInfo) -> str | None:
        if value is not None and sent.data.get("selected_card_brand") is not None:
            raise refusal("contradictory")
        return value

    @property
    def choice(self) -> BrandChoice:
        """Give the choice, an empty one where none was sent."""
        return BrandChoice(self.selected_card_brand, self.payment_method_region)


class StoreCardRequest(BrandChoiceFields):
    """`POST /v1/cards`."""

    reference_buyer_id: Reference
    card: CardField
    storage: Literal["VAULT", "GATEWAY"]
    billing_address: AddressField | None = None
    is_default: Flag = False
    metadata: Metadata | None = None
    consent: ConsentField | None = None


class UpdateCardRequest(BrandChoiceFields):
    """`PATCH /v1/cards/{cardId}`: what is absent stays as it is; null takes the buyer's choice of a network away.

    Month and year of the expiry change together.
    """

    model_config = ConfigDict(
        json_schema_extra={"dependentRequired": {"expiryMonth": ["expiryYear"], "expiryYear": ["expiryMonth"]}}
    )

    expiry_month: ExpiryMonth | None = None
    expiry_year: ExpiryYear | None = None
    cardholder_name: CardholderName | None = None
    billing_address: AddressField | None = None
    is_default: Flag | None = None

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

    @property
    def new_choice(self) -> BrandChoice | None:
        """Give the new choice of a network, if the request speaks of one."""
        spoken = self.model_fields_set & BrandChoiceFields.model_fields.keys()
        return self.choice if spoken else None
