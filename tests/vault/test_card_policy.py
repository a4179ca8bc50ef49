"""Which numbers an installation takes (STO-7)."""

from datetime import date

import pytest

from vault.card import Pan
from vault.card_policy import LIST_DATE, PUBLISHED_TEST_NUMBERS, CardPolicy, refuses

UNPUBLISHED = "4000000000000002"


@pytest.mark.parametrize("digits", sorted(PUBLISHED_TEST_NUMBERS))
def test_a_published_test_number_is_a_card_number_of_a_known_brand(digits: str) -> None:
    assert Pan.parse(digits).brand != "UNKNOWN"


@pytest.mark.parametrize("digits", sorted(PUBLISHED_TEST_NUMBERS))
def test_a_published_test_number_is_refused_only_where_live_cards_are_wanted(digits: str) -> None:
    refusing = {policy for policy in CardPolicy if refuses(policy, Pan.parse(digits))}
    assert refusing == {CardPolicy.LIVE_ONLY}


def test_any_other_number_is_refused_only_where_test_numbers_are_wanted() -> None:
    refusing = {policy for policy in CardPolicy if refuses(policy, Pan.parse(UNPUBLISHED))}
    assert refusing == {CardPolicy.TEST_ONLY}


def test_the_spelling_of_a_number_is_no_way_around_the_policy() -> None:
    assert refuses(CardPolicy.LIVE_ONLY, Pan.parse("4111-1111 1111-1111"))


def test_the_settings_values_are_the_documented_ones() -> None:
    assert [policy.value for policy in CardPolicy] == ["any", "test-only", "live-only"]


def test_the_number_with_a_wrong_check_digit_is_not_listed() -> None:
    assert "4242424242424241" not in PUBLISHED_TEST_NUMBERS


def test_the_list_is_dated_and_complete() -> None:
    assert date(2026, 11, 1) <= LIST_DATE
    assert len(PUBLISHED_TEST_NUMBERS) == 53
