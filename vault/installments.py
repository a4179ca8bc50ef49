"""Installment plans: how many installments are offered for which amounts.

Refuses to know who offers them and how they are kept. Invariant: a plan is chosen by its number together with its range
of amounts, since the same number is offered for several ranges (antom-api.md 2.6).
"""

from collections.abc import Iterable
from dataclasses import dataclass

from vault.money import Amount


@dataclass(frozen=True, slots=True)
class Plan:
    """A number of installments for total amounts from `least` to `most`, both included."""

    number: int
    interval: str
    least: Amount
    most: Amount
    interest_rate: str | None
    enabled: bool

    def offers(self, amount: Amount) -> bool:
        """Tell whether an amount can be paid in this way."""
        within = self.least.minor <= amount.minor <= self.most.minor
        return self.enabled and within and {self.least.currency, self.most.currency} == {amount.currency}


def numbers_for(plans: Iterable[Plan], amount: Amount) -> list[int]:
    """Give the numbers of installments that are offered for an amount, in order."""
    return sorted({plan.number for plan in plans if plan.offers(amount)})
