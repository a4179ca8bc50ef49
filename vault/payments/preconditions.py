"""What has to be right before a payment is written: what the card's region allows, what the gateway offers.

It refuses to know HTTP and the wire. Invariants: whatever the gateway would refuse by a rule that is known is refused
here first, with its own code and the field that it is about; a region that is not known is no obstacle (antom-api.md
5.2).
"""

from collections.abc import Mapping
from typing import Final

from vault.asking_errors import InstallmentsNotOffered, RegionExcluded
from vault.db import Database
from vault.errors import FieldCode, FieldProblem
from vault.installments import numbers_for
from vault.logs import get_logger
from vault.mandate import Mandate
from vault.mandate_errors import MandateRegionRefused
from vault.merchant import Merchant, RegionPolicy
from vault.rules.regions import Feature, excludes
from vault.store import offers, payments
from vault.stored_card import NO_CHOICE, StoredCard
from vault.wire.requests import PaymentRequest

_log = get_logger(__name__)
_FRESH_SECONDS: Final = 600
_POINTERS: Final[Mapping[Feature, str]] = {
    Feature.MANDATE: "/paymentMethodRegion",
    Feature.AUTHENTICATION: "/is3DSAuthentication",
    Feature.AUTHENTICATION_UPGRADE: "/enableAuthenticationUpgrade",
    Feature.MPI: "/mpiData",
    Feature.CARD_BRAND: "/selectedCardBrand",
    Feature.MANUAL_CAPTURE: "/captureMode",
    Feature.INSTALLMENTS: "/creditPayPlan",
}


class Preconditions:
    """Checks requests before they become payments."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def check(
        self,
        merchant: Merchant,
        request: PaymentRequest,
        card: StoredCard | None = None,
        mandate: Mandate | None = None,
    ) -> None:
        """Raise `RegionExcluded`, `MandateRegionRefused` or `InstallmentsNotOffered` for what cannot be had."""
        asked = [*([Feature.MANDATE] if mandate else []), *_asked(request)]
        region = await self._region(request, card, mandate) if asked else None
        for feature in asked:
            check_region(merchant, feature, region, _POINTERS[feature])
        if request.credit_pay_plan is not None:
            await self._check_plan(merchant, request, request.credit_pay_plan.installment_num, region)

    async def _check_plan(self, merchant: Merchant, request: PaymentRequest, number: int, region: str | None) -> None:
        """Compare with what the gateway offered lately for the card's region, or for any where that is not known."""
        amount = request.payment_amount.amount
        async with self._database.session() as session:
            offered = await offers.fresh(session, merchant.id, amount.currency, _FRESH_SECONDS)
        if region in offered:
            offered = {region: offered[region]}
        elif region is not None:
            return
        numbers = numbers_for((plan for plans in offered.values() for plan in plans), amount)
        if offered and number not in numbers:
            problem = FieldProblem("/creditPayPlan/installmentNum", FieldCode.INSTALLMENTS_NOT_OFFERED)
            raise InstallmentsNotOffered(errors=[problem], offered=numbers)

    async def _region(self, request: PaymentRequest, card: StoredCard | None, mandate: Mandate | None) -> str | None:
        """Give the region whose network the card is processed in: what is asked for now, else what is known of it."""
        chosen = request.choice or (card.choice if card else NO_CHOICE)
        if card is None or chosen.region is not None:
            return chosen.region
        if mandate is not None and mandate.region is not None:
            return mandate.region
        async with self._database.session() as session:
            return await payments.region_of_card(session, card.merchant_id, card.id)


def _asked(request: PaymentRequest) -> list[Feature]:
    used = {
        Feature.AUTHENTICATION: request.is_3ds_authentication,
        Feature.AUTHENTICATION_UPGRADE: request.enable_authentication_upgrade,
        Feature.MPI: request.mpi_data,
        Feature.CARD_BRAND: request.selected_card_brand,
        Feature.MANUAL_CAPTURE: request.capture_mode == "MANUAL",
        Feature.INSTALLMENTS: request.credit_pay_plan,
    }
    return [feature for feature, present in used.items() if present]


def check_region(merchant: Merchant, feature: Feature, region: str | None, pointer: str) -> bool:
    """Tell whether a region is excluded from a feature, for a merchant who only wants a warning.

    Raises `RegionExcluded` for others, `MandateRegionRefused` where it is about charges without the buyer.
    """
    if not excludes(region, feature):
        return False
    policy: RegionPolicy = getattr(merchant.settings, f"{feature}_region_policy")
    if policy is RegionPolicy.REFUSE:
        refusal = MandateRegionRefused if feature is Feature.MANDATE else RegionExcluded
        raise refusal(errors=[FieldProblem(pointer, FieldCode.REGION_EXCLUDED)])
    _log.warning("payment.region_excluded", merchant_id=merchant.id, feature=feature)
    return True
