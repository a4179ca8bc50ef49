"""The brand table against its boundary vectors, and the check digit against an independent implementation."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stdnum import luhn as oracle

from vault.brands import _ROWS, TABLE_DATE, Brand, BrandName, brand_of, cvv_lengths, luhn_ok, well_formed

DIGITS = st.text("0123456789", min_size=12, max_size=19)


def name_of(digits: str) -> str | None:
    brand = brand_of(digits)
    return None if brand is None else brand.name.value


@pytest.mark.parametrize(
    ("digits", "name"),
    [
        ("2220990000000002", None),
        ("2721000000000004", None),
        ("2221000000000009", "MASTERCARD"),
        ("2720999999999996", "MASTERCARD"),
        ("3528000000000007", "JCB"),
        ("3589999999999994", "JCB"),
        ("3527999999999999", None),
        ("3590000000000000", None),
        ("2200000000000004", "MIR"),
        ("2204999999999991", "MIR"),
        ("2205000000000009", "BORICA"),
        ("5066990000000002", "ELO"),
        ("5066989999999992", "MAESTRO"),
        ("6440000000000005", "DISCOVER"),
        ("6439999999999999", "MAESTRO"),
    ],
)
def test_the_boundary_vectors_hold(digits: str, name: str | None) -> None:
    assert luhn_ok(digits)
    assert name_of(digits) == name


@pytest.mark.parametrize(
    ("prefix", "name"),
    [
        ("401178", "ELO"),
        ("401180", "VISA"),
        ("65003300", "ELO"),
        ("65003400", "DISCOVER"),
        ("65002700", "VERVE"),
        ("65005200", "TROY"),
        ("65210000", "RUPAY"),
        ("65230000", "DISCOVER"),
        ("60628200", "HIPERCARD"),
        ("60628300", "RUPAY"),
        ("60110000", "DISCOVER"),
        ("60400099", "RUPAY"),
        ("60400100", "UKRCARD"),
        ("60420099", "UKRCARD"),
        ("60420100", "RUPAY"),
        ("63737423", "HIPERCARD"),
        ("63737424", "MAESTRO"),
        ("50619800", "VERVE"),
        ("50619900", "MAESTRO"),
        ("50800000", "RUPAY"),
        ("50190000", "DANKORT"),
        ("45710000", "DANKORT"),
        ("45720000", "VISA"),
        ("49369800", "MAESTRO"),
        ("52757200", "NARANJA"),
        ("52757300", "MASTERCARD"),
        ("56140000", "UZCARD"),
        ("86000000", "UZCARD"),
        ("98600000", "HUMO"),
        ("97040000", "NAPAS"),
        ("97920000", "TROY"),
        ("94902200", "KOREAN_LOCAL"),
        ("35711100", "LANKAPAY"),
        ("35711200", "JCB"),
        ("21310000", "JCB"),
        ("18000000", "JCB"),
        ("13541234", "UATP"),
        ("31000000", "T_UNION"),
        ("30000000", "DINERS"),
        ("30600000", None),
        ("30950000", "DINERS"),
        ("30960000", None),
        ("80990000", None),
        ("81000000", "CUP"),
        ("81720000", None),
        ("82000000", "RUPAY"),
        ("62700000", "CUP"),
        ("62778000", "ELO"),
        ("34000000", "AMEX"),
        ("37999999", "AMEX"),
        ("00000000", None),
        ("70000000", None),
    ],
)
def test_the_longest_matching_prefix_wins(prefix: str, name: str | None) -> None:
    assert name_of(prefix.ljust(16, "0")) == name


@given(st.integers(0, 10**8 - 1))
def test_the_compiled_table_agrees_with_a_search_through_the_rows(prefix: int) -> None:
    digits = f"{prefix:08}"
    best: tuple[int, Brand | None] = (0, None)
    for brand, prefixes in _ROWS:
        for entry in prefixes.split():
            low, _, high = entry.partition("-")
            if len(low) > best[0] and low <= digits[: len(low)] <= (high or low):
                best = (len(low), brand)
    assert brand_of(digits) is best[1]


def test_every_prefix_range_of_the_table_is_well_written() -> None:
    for _, prefixes in _ROWS:
        for entry in prefixes.split():
            low, _, high = entry.partition("-")
            assert low.isdigit()
            assert len(low) == len(high or low) <= 8
            assert not high or low < high


@pytest.mark.parametrize(
    "digits",
    [
        "",
        "4",
        "4111111",
        "\u096a\u0967\u0967\u0967\u0967\u0967\u0967\u0967\u0967\u0967\u0967\u0967\u0967\u0967\u0967\u0967",
        "\uff14\uff11\uff11\uff11\uff11\uff11\uff11\uff11",
        "4111 1111",
        "-4111111",
        "4111111\n",
        "4_111_11",
    ],
)
def test_what_is_not_eight_ascii_digits_has_no_brand(digits: str) -> None:
    assert brand_of(digits) is None


@pytest.mark.parametrize("length", [13, 16, 18, 19])
def test_the_check_digit_alone_does_not_fix_the_length(length: int) -> None:
    """BIN-2: the number of the vector passes at four lengths, so the brand's lengths must decide."""
    assert luhn_ok("6771830999991239343"[:length])


@given(DIGITS)
def test_the_check_digit_agrees_with_an_independent_implementation(digits: str) -> None:
    assert luhn_ok(digits) == oracle.is_valid(digits)


@given(st.text("0123456789", min_size=11, max_size=18), st.data())
def test_one_wrong_digit_is_always_noticed(body: str, data: st.DataObject) -> None:
    digits = body + oracle.calc_check_digit(body)
    place = data.draw(st.integers(0, len(digits) - 1))
    wrong = data.draw(st.sampled_from("0123456789").filter(lambda digit: digit != digits[place]))
    assert luhn_ok(digits)
    assert not luhn_ok(digits[:place] + wrong + digits[place + 1 :])


def test_a_number_must_have_a_length_of_its_brand() -> None:
    visa = brand_of("4111111111111111")
    assert well_formed("4111111111111111", visa)
    assert luhn_ok("41111111111114")
    assert not well_formed("41111111111114", visa)


def test_a_brand_without_a_check_digit_takes_any_last_digit() -> None:
    """BIN-5: an acquirer's table may say so; ours does not."""
    private_label = Brand(BrandName.BORICA, luhn=False)
    assert well_formed("2205000000000008", private_label)
    assert not well_formed("220500000000000", private_label)


def test_an_unknown_brand_still_needs_the_check_digit() -> None:
    assert well_formed("700000000005", None)
    assert not well_formed("700000000004", None)


@pytest.mark.parametrize(
    ("name", "lengths"),
    [
        ("VISA", {3}),
        ("AMEX", {4}),
        ("MAESTRO", {3}),
        ("UATP", {3, 4}),
        ("UNKNOWN", {3, 4}),
        ("CARTES_BANCAIRES", {3, 4}),
    ],
)
def test_the_cvv_is_as_long_as_the_brand_says(name: str, lengths: set[int]) -> None:
    assert cvv_lengths(name) == lengths


def test_some_brands_do_without_a_cvv() -> None:
    assert {brand.name.value for brand, _ in _ROWS if brand.cvv_optional} == {"MAESTRO", "KOREAN_LOCAL", "UATP"}


def test_the_table_is_dated() -> None:
    assert date(2026, 11, 1) <= TABLE_DATE
