"""Plans are chosen by number and range of amounts together."""

import pytest

from vault.installments import Plan, numbers_for
from vault.money import Amount


def plan(number: int, least: int, most: int, *, enabled: bool = True, currency: str = "BRL") -> Plan:
    return Plan(
        number, "MONTH", Amount.of_minor(currency, least), Amount.of_minor(currency, most), None, enabled=enabled
    )


@pytest.mark.parametrize(
    ("value", "numbers"), [("499", []), ("500", [2]), ("3999", [2]), ("4000", [2, 3]), ("6001", [2, 3]), ("9001", [])]
)
def test_the_same_number_is_offered_for_more_than_one_range(value: str, numbers: list[int]) -> None:
    plans = [plan(2, 500, 6000), plan(3, 4000, 9000), plan(2, 4000, 9000)]
    assert numbers_for(plans, Amount("BRL", value)) == numbers


def test_a_plan_that_is_switched_off_or_in_another_currency_is_not_offered() -> None:
    plans = [plan(2, 1, 9000, enabled=False), plan(3, 1, 9000, currency="USD"), plan(4, 1, 9000)]
    mixed = Plan(5, "MONTH", Amount("BRL", "1"), Amount("USD", "9000"), None, enabled=True)
    assert numbers_for([*plans, mixed], Amount("BRL", "500")) == [4]
