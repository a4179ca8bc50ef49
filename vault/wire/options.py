"""The question about ways to pay an amount (design section 4): which cards, and by how many installments.

It refuses to know the answer.
"""

from typing import Annotated, TypeAlias

from pydantic import Field

from vault.wire.fields import Code, MethodRegion, Region, Wire
from vault.wire.orders import AmountField, EnvField, SettlementField

Methods: TypeAlias = Annotated[list[Code], Field(max_length=50)]


class PaymentOptionsRequest(Wire):
    """`POST /v1/payment-options`; what is absent comes from the merchant's configuration."""

    payment_amount: AmountField
    env: EnvField | None = None
    settlement_strategy: SettlementField | None = None
    merchant_region: Region | None = None
    user_region: Region | None = None
    allowed_payment_method_regions: Annotated[list[MethodRegion], Field(max_length=50)] | None = None
    allowed_payment_methods: Methods | None = None
    blocked_payment_methods: Methods | None = None
