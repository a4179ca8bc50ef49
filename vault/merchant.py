"""A merchant as the services see it: identity, gateway client id and the defaults of its payments.

It refuses to know keys: the gateway credentials are sealed and opened elsewhere.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Any, Final

from pydantic import Field

from vault.wire.fields import Region, Url, Wire
from vault.wire.orders import EnvField, SettlementField


class ReferencePolicy(StrEnum):
    """What happens when a merchant's own id looks like a card number: 5 % of random 16-digit ids do."""

    OBSERVE = "observe"
    REJECT = "reject"


class RegionPolicy(StrEnum):
    """What happens when the gateway's documents exclude a card's region from what a payment asks for."""

    REFUSE = "refuse"
    WARN = "warn"


class CavvSpelling(StrEnum):
    """How the gateway spells the authentication value inside `mpiData`: its documents say both (antom-api.md 2.1)."""

    CAVV = "cavv"
    CAAV = "caav"


class CardBrandSpelling(StrEnum):
    """How the gateway spells the chosen brand of a co-badged card: its documents say both (antom-api.md 2.1)."""

    SINGULAR = "selectedCardBrand"
    PLURAL = "selectedCardBrands"


class SessionCardForm(StrEnum):
    """Where a session for a client SDK names a stored card: the documentation has an older and a newer way."""

    PAYMENT_METHOD_ID = "paymentMethodId"
    SAVED_PAYMENT_METHODS = "savedPaymentMethods"


PAYMENT_DEFAULTS: Final = ("env", "settlement_strategy", "payment_redirect_url", "merchant_region")


class MerchantSettings(Wire):
    """A merchant's defaults, kept as JSON; everything may be absent."""

    env: EnvField | None = None
    settlement_strategy: SettlementField | None = None
    payment_redirect_url: Url | None = None
    merchant_region: Region | None = None
    reference_policy: ReferencePolicy = Field(default=ReferencePolicy.OBSERVE)
    mandate_region_policy: RegionPolicy = Field(default=RegionPolicy.REFUSE)
    authentication_region_policy: RegionPolicy = Field(default=RegionPolicy.REFUSE)
    authentication_upgrade_region_policy: RegionPolicy = Field(default=RegionPolicy.REFUSE)
    mpi_region_policy: RegionPolicy = Field(default=RegionPolicy.REFUSE)
    card_brand_region_policy: RegionPolicy = Field(default=RegionPolicy.REFUSE)
    manual_capture_region_policy: RegionPolicy = Field(default=RegionPolicy.REFUSE)
    installments_region_policy: RegionPolicy = Field(default=RegionPolicy.REFUSE)
    assume_authentication: bool = True
    charge_expired_cards: bool = True
    cavv_spelling: CavvSpelling = Field(default=CavvSpelling.CAVV)
    card_brand_spelling: CardBrandSpelling = Field(default=CardBrandSpelling.SINGULAR)
    session_card_form: SessionCardForm = Field(default=SessionCardForm.PAYMENT_METHOD_ID)
    session_mandates: bool = False

    @cached_property
    def of_payments(self) -> Mapping[str, Any]:
        """Give those that a payment has where its request says nothing else, as they go over the wire."""
        return self.wire(*PAYMENT_DEFAULTS)


@dataclass(frozen=True, slots=True)
class Merchant:
    """A merchant; `gateway_credentials` is an envelope."""

    id: str
    name: str
    active: bool
    gateway_client_id: str
    gateway_credentials: bytes
    settings: MerchantSettings
