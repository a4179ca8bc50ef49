"""Ways to pay, as they are shown: the gateway's vocabulary, with what fits the amount said beside it.

It refuses to know where they come from.
"""

from vault.gateway.consulting import CARD, Brand, Option
from vault.installments import Plan, numbers_for
from vault.money import Amount
from vault.payment_options import Ways
from vault.routes.shapes import View
from vault.wire.orders import AmountField


class LogoView(View):
    """A logo that the gateway offers."""

    logo_name: str | None
    logo_url: str | None


class BrandView(View):
    """A card brand."""

    card_brand: str
    logo: LogoView

    @classmethod
    def of(cls, brand: Brand) -> "BrandView":
        """Show a brand."""
        return cls(card_brand=brand.name, logo=LogoView(logo_name=brand.logo_name, logo_url=brand.logo_url))


class PlanView(View):
    """A number of installments for a range of total amounts; `applicable`: for the amount that was asked about."""

    installment_num: int
    interval: str
    min_installment_amount: AmountField
    max_installment_amount: AmountField
    interest_rate: str | None
    enabled: bool
    applicable: bool

    @classmethod
    def of(cls, plan: Plan, amount: Amount) -> "PlanView":
        """Show a plan."""
        return cls(
            installment_num=plan.number,
            interval=plan.interval,
            min_installment_amount=AmountField(currency=plan.least.currency, value=plan.least.value),
            max_installment_amount=AmountField(currency=plan.most.currency, value=plan.most.value),
            interest_rate=plan.interest_rate,
            enabled=plan.enabled,
            applicable=plan.offers(amount),
        )


class InstallmentView(View):
    """Installments with cards of some brands; a number may occur more than once, for different ranges."""

    plans: list[PlanView]
    support_card_brands: list[BrandView]


class PaymentOptionView(View):
    """One way to pay."""

    payment_method_type: str
    payment_method_category: str | None
    payment_method_region: list[str]
    enabled: bool
    preferred: bool | None
    disable_reason: str | None
    supported_currencies: list[str]
    support_card_brands: list[BrandView]
    funding: list[str]
    installment: InstallmentView | None

    @classmethod
    def of(cls, option: Option, amount: Amount) -> "PaymentOptionView":
        """Show an option."""
        installment = None
        if option.plans is not None:
            plans = [PlanView.of(plan, amount) for plan in option.plans]
            brands = [BrandView.of(brand) for brand in option.plan_brands]
            installment = InstallmentView(plans=plans, support_card_brands=brands)
        return cls(
            payment_method_type=option.method,
            payment_method_category=option.category,
            payment_method_region=list(option.regions),
            enabled=option.enabled,
            preferred=option.preferred,
            disable_reason=option.disable_reason,
            supported_currencies=list(option.currencies),
            support_card_brands=[BrandView.of(brand) for brand in option.brands],
            funding=list(option.funding),
            installment=installment,
        )


class ResultView(View):
    """The gateway's own words."""

    result_code: str
    result_status: str
    result_message: str


class PaymentOptionsView(View):
    """The ways to pay an amount; `installmentNums`: what `creditPayPlan.installmentNum` of a payment of it may be."""

    payment_amount: AmountField
    payment_options: list[PaymentOptionView]
    installment_nums: list[int]
    gateway: ResultView

    @classmethod
    def of(cls, ways: Ways) -> "PaymentOptionsView":
        """Show the gateway's answer."""
        usable = [option for option in ways.options if option.method == CARD and option.enabled]
        plans = [plan for option in usable for plan in option.plans or ()]
        return cls(
            payment_amount=AmountField(currency=ways.amount.currency, value=ways.amount.value),
            payment_options=[PaymentOptionView.of(option, ways.amount) for option in ways.options],
            installment_nums=numbers_for(plans, ways.amount),
            gateway=ResultView(
                result_code=ways.result.code, result_status=ways.result.status, result_message=ways.result.message
            ),
        )
