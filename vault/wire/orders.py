"""What a merchant says about the order behind a payment: the gateway's own vocabulary, closed.

It refuses to know cards. The fields and lengths are those of antom-api.md 2.1 ("order, env").
"""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from vault.money import Amount
from vault.wire.fields import (
    NUMBER,
    AmountText,
    Code,
    CurrencyCode,
    Flag,
    IpAddress,
    Moment,
    Reference,
    Region,
    Text64,
    Text256,
    Text2048,
    Typed,
    Wire,
)


class AmountField(Wire):
    """An amount in the currency's smallest unit."""

    currency: CurrencyCode
    value: AmountText

    @property
    def amount(self) -> Amount:
        """Give the amount, which is valid as the fields are."""
        return Amount(self.currency, self.value)


class NamesField(Wire):
    """A person's name."""

    first_name: Text64 | None = None
    last_name: Text64 | None = None
    middle_name: Text64 | None = None
    full_name: Text256 | None = None


class AddressField(Wire):
    """A postal address."""

    region: Region
    state: Text64 | None = None
    city: Text64 | None = None
    address1: Text256 | None = None
    address2: Text256 | None = None
    zip_code: Typed | None = None


class BuyerField(Wire):
    """Who buys."""

    reference_buyer_id: Reference | None = None
    buyer_name: NamesField | None = None
    buyer_phone_no: Typed | None = None
    buyer_email: Typed | None = None
    buyer_registration_time: Moment | None = None
    is_account_verified: Flag | None = None
    successful_order_count: Annotated[int, Field(ge=0, le=1_000_000_000), NUMBER] | None = None


class GoodsField(Wire):
    """One kind of goods in the order."""

    reference_goods_id: Reference
    goods_name: Text256
    goods_category: Text64 | None = None
    goods_unit_amount: AmountField | None = None
    goods_quantity: Annotated[str, StringConstraints(pattern=r"^[0-9]{1,9}$")] | None = None
    goods_sku_name: Text64 | None = None
    goods_brand: Text64 | None = None
    goods_url: Text2048 | None = None
    goods_image_url: Text2048 | None = None
    delivery_method_type: Literal["PHYSICAL", "DIGITAL"] | None = None


class ShippingField(Wire):
    """Where the goods go."""

    shipping_name: NamesField | None = None
    shipping_address: AddressField | None = None
    shipping_carrier: Text256 | None = None
    shipping_phone_no: Typed | None = None
    ship_to_email: Typed | None = None
    shipping_number: Code | None = None
    shipping_fee: AmountField | None = None


class OrderField(Wire):
    """The order; `referenceOrderId` and `orderDescription` are required, `orderAmount` defaults to the payment's."""

    reference_order_id: Reference
    order_description: Text256
    order_amount: AmountField | None = None
    buyer: BuyerField | None = None
    goods: Annotated[list[GoodsField], Field(max_length=100)] | None = None
    shipping: ShippingField | None = None


class BrowserField(Wire):
    """The buyer's browser, as 3-D Secure wants it."""

    accept_header: Text2048 | None = None
    java_enabled: Flag | None = None
    java_script_enabled: Flag | None = None
    language: Text64 | None = None
    user_agent: Text2048 | None = None


class EnvField(Wire):
    """The buyer's device."""

    terminal_type: Literal["WEB", "WAP", "APP", "MINI_APP"] | None = None
    os_type: Literal["IOS", "ANDROID"] | None = None
    os_version: Text64 | None = None
    client_ip: IpAddress | None = None
    browser_info: BrowserField | None = None
    user_agent: Text2048 | None = None
    color_depth: Annotated[int, Field(ge=0, le=64), NUMBER] | None = None
    screen_height: Annotated[int, Field(ge=0, le=100_000), NUMBER] | None = None
    screen_width: Annotated[int, Field(ge=0, le=100_000), NUMBER] | None = None
    time_zone_offset: Annotated[int, Field(ge=-720, le=720), NUMBER] | None = None
    device_id: Typed | None = None
    device_brand: Text64 | None = None
    device_model: Text64 | None = None
    device_language: Text64 | None = None
    device_token_id: Typed | None = None
    language: Text64 | None = None


class SettlementField(Wire):
    """The currency in which the gateway settles."""

    settlement_currency: CurrencyCode


class CreditPayPlanField(Wire):
    """An installment plan that the buyer chose."""

    installment_num: Annotated[int, Field(ge=2, le=36), NUMBER]
