"""Amounts: what is refused, and that a refusal never repeats its input."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vault.money import CURRENCIES, Amount, AmountFault, AmountInvalid


@pytest.mark.parametrize(
    "value",
    [
        "",
        "0",
        "00",
        "01",
        "-1",
        "+1",
        "1.0",
        "1,000",
        "1e3",
        " 1",
        "1 ",
        "1\n",
        "1\x00",
        "1_0",
        "\u0664\u0662",
        "\uff11",
        "9" * 17,
        "1" * 1_000_000,
    ],
)
def test_a_value_that_is_not_a_plain_positive_number_is_refused(value: str) -> None:
    with pytest.raises(AmountInvalid) as refusal:
        Amount("EUR", value)
    assert refusal.value.code is AmountFault.VALUE
    assert str(refusal.value) == "amount_invalid"


@pytest.mark.parametrize(
    "currency",
    [
        "",
        "eur",
        "EURO",
        "EU",
        "EUR ",
        "EUR\n",
        "978",
        "XXX",
        "XTS",
        "XAU",
        "ZZZ",
        "\uff25\uff35\uff32",
        "4111111111111111",
    ],
)
def test_a_code_that_names_no_money_is_refused(currency: str) -> None:
    with pytest.raises(AmountInvalid) as refusal:
        Amount(currency, "1")
    assert refusal.value.code is AmountFault.CURRENCY
    assert str(refusal.value) == "currency_invalid"


def test_the_currency_is_judged_before_the_value() -> None:
    with pytest.raises(AmountInvalid) as refusal:
        Amount("ZZZ", "0")
    assert refusal.value.code is AmountFault.CURRENCY


@given(st.sampled_from(sorted(CURRENCIES)), st.integers(1, 10**16 - 1))
def test_every_positive_number_of_sixteen_digits_survives_a_round_trip(currency: str, minor: int) -> None:
    amount = Amount.of_minor(currency, minor)
    assert amount.minor == minor
    assert amount == Amount(currency, str(minor))


@pytest.mark.parametrize("minor", [0, -1, 10**16, 10**4000])
def test_a_number_outside_the_range_makes_no_amount(minor: int) -> None:
    with pytest.raises(AmountInvalid):
        Amount.of_minor("EUR", minor)


@pytest.mark.parametrize("currency", ["EUR", "USD", "JPY", "KWD", "BRL", "KRW", "IDR"])
def test_common_currencies_are_known(currency: str) -> None:
    assert currency in CURRENCIES
