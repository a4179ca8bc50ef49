"""Letters of the issuer: every known one is read, an unknown one is never a match."""

import string
from typing import Any

import pytest

from vault.rules.result_info import NAMES
from vault.rules.verification import AddressCheck, CvvCheck, checks_of

AMERICAN = {"issuingCountry": "US", "paymentMethodRegion": "GLOBAL"}


def read(**info: Any) -> dict[str, str]:
    return checks_of(AMERICAN | info)


@pytest.mark.parametrize(
    ("letter", "check"),
    [
        ("Y", "MATCH"),
        ("X", "MATCH"),
        ("A", "ADDRESS_MATCH"),
        ("Z", "POSTAL_CODE_MATCH"),
        ("W", "POSTAL_CODE_MATCH"),
        ("N", "NO_MATCH"),
        ("C", "NOT_VERIFIED"),
        ("S", "NOT_SUPPORTED"),
        ("U", "UNAVAILABLE"),
        ("R", "UNAVAILABLE"),
        ("J", "UNKNOWN"),
        ("y", "UNKNOWN"),
        ("", "UNKNOWN"),
        ("YY", "UNKNOWN"),
    ],
)
def test_a_letter_about_the_address_is_read(letter: str, check: str) -> None:
    assert read(avsResultRaw=letter) == {"avsResult": check}


def test_a_letter_can_mean_something_else_at_one_scheme() -> None:
    assert read(avsResultRaw="F", cardBrand="VISA") == {"avsResult": "MATCH"}
    assert read(avsResultRaw="F", cardBrand="AMEX") == {"avsResult": "POSTAL_CODE_MATCH"}


@pytest.mark.parametrize(
    ("letter", "check"),
    [
        ("M", "MATCH"),
        ("N", "NO_MATCH"),
        ("P", "NOT_PROCESSED"),
        ("S", "NOT_PRESENT"),
        ("U", "UNAVAILABLE"),
        ("Y", "UNKNOWN"),
        ("", "UNKNOWN"),
    ],
)
def test_a_letter_about_the_cvv_is_read(letter: str, check: str) -> None:
    assert read(cvvResultRaw=letter) == {"cvvResult": check}


@pytest.mark.parametrize("info", [{"issuingCountry": "PT"}, {"paymentMethodRegion": "BR"}])
def test_for_cards_of_other_countries_it_is_said_that_addresses_are_not_checked(info: dict[str, str]) -> None:
    assert checks_of(info) == checks_of(info | {"avsResultRaw": "U"}) == {"avsResult": "NOT_APPLICABLE"}
    assert checks_of(info | {"avsResultRaw": "N"}) == {"avsResult": "NO_MATCH"}


@pytest.mark.parametrize("info", [{}, AMERICAN, {"paymentMethodRegion": "GLOBAL"}, {"paymentMethodRegion": "US"}])
def test_what_was_not_checked_has_no_reading(info: dict[str, str]) -> None:
    assert checks_of(info) == {}
    assert checks_of(info | {"avsResultRaw": "U"}) == {"avsResult": "UNAVAILABLE"}


def test_every_reading_can_come_out() -> None:
    addresses = {read(avsResultRaw=letter)["avsResult"] for letter in string.ascii_uppercase}
    assert addresses | {"NOT_APPLICABLE"} == set(AddressCheck)
    assert {read(cvvResultRaw=letter)["cvvResult"] for letter in string.ascii_uppercase} == set(CvvCheck)


def test_the_readings_have_names_of_their_own() -> None:
    assert NAMES.isdisjoint(read(avsResultRaw="Y", cvvResultRaw="M"))
