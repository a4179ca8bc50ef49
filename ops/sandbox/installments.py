"""Installment plans: which are offered for which amount, and whether a payment may use one (antom-api.md 2.6, 5.8).

The plans are a table. Refuses to know payments beyond amount and card. Invariant: what `consult` offers is exactly what
`pay` takes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ops.sandbox.cards import NO_CARD, Card
from ops.sandbox.config import RegionalRule, SandboxConfig
from ops.sandbox.fields import Amount
from ops.sandbox.results import Json, illegal


@dataclass(frozen=True, slots=True)
class Plans:
    """Numbers of installments that are offered for amounts in a range, both ends included."""

    numbers: range
    lowest: int
    highest: int
    # Numbers whose interest is left unsaid, as it is in the documented answer.
    unsaid: frozenset[int] = frozenset()

    def offer(self, amount: Amount) -> bool:
        """Tell whether an amount is in the range."""
        return self.lowest <= int(amount.value) <= self.highest


# The region whose cards can be paid by installments in a currency, and ranges that overlap as the documented ones do.
OFFERS: Mapping[str, tuple[str, tuple[Plans, ...]]] = {
    "BRL": (
        "BR",
        (Plans(range(2, 13), 500, 6_000_000, frozenset({4, 5, 6})), Plans(range(2, 13), 4_000, 999_999_999_900)),
    ),
    "USD": ("US", (Plans(range(2, 7), 1_000, 100_000), Plans(range(2, 13), 50_000, 99_999_900))),
    "KRW": ("KR", (Plans(range(2, 13), 50_000, 99_999_900),)),
    "MXN": ("MX", (Plans(range(3, 13), 30_000, 99_999_900),)),
    "CLP": ("CL", (Plans(range(2, 13), 1_000, 99_999_900),)),
}
COUNTRIES = frozenset(region for region, _ in OFFERS.values())


def check_plan(config: SandboxConfig, card: Card, amount: Amount, number: int | None) -> None:
    """Raise `Refused` for a number of installments that is not offered for the amount, or a card from elsewhere."""
    if number is None or card is NO_CARD:
        return
    if config.regional_rule is RegionalRule.REFUSE and card.country not in COUNTRIES:
        raise illegal("creditPayPlan")
    _, offered = OFFERS.get(amount.currency, ("", ()))
    if not any(number in plans.numbers and plans.offer(amount) for plans in offered):
        raise illegal("creditPayPlan.installmentNum")


def plans_json(currency: str) -> list[Json]:
    """Return the plans of a currency as `consult` lists them: each number once for each range."""
    _, offered = OFFERS.get(currency, ("", ()))
    return [_plan(number, plans, currency) for plans in offered for number in plans.numbers]


def _plan(number: int, plans: Plans, currency: str) -> Json:
    plan = {
        "installmentNum": str(number),
        "interval": "MONTH",
        "minInstallmentAmount": {"currency": currency, "value": str(plans.lowest)},
        "maxInstallmentAmount": {"currency": currency, "value": str(plans.highest)},
        "enabled": True,
    }
    return plan if number in plans.unsaid else {"interestRate": "0.00", **plan}
