"""Declines in the words of issuers and schemes: stricter than the result code, or nothing (RTY-1 to RTY-8)."""

from datetime import timedelta
from itertools import product

import pytest

from vault.rules.declines import _DECLINES, Decline, DeclineCategory, Ends, Retry, decline_for
from vault.rules.scheme_declines import _ADVICE, _BY_REFUSAL, _REFUSALS, STRICTNESS, Words, read_decline

VAGUE = "DO_NOT_HONOR"


def read(
    code: str = VAGUE, brand: str | None = "VISA", refusal: str | None = None, advice: str | None = None
) -> Decline:
    return read_decline(Words(code, brand, refusal, advice))


def test_without_further_words_the_result_code_stands_alone() -> None:
    for code in [*_DECLINES, "SOMETHING_NEW"]:
        assert read(code) == read(code, refusal="ZZ") == decline_for(code)


@pytest.mark.no_cover
def test_no_word_makes_a_known_result_code_milder() -> None:
    refusals, advices = {code for _, code in _BY_REFUSAL} | {None}, {*_ADVICE, None}
    for code in _DECLINES:
        alone = decline_for(code)
        for words in product(("VISA", "MASTERCARD", None), refusals, advices):
            stricter = read(code, *words)
            assert STRICTNESS.index(stricter.retry) >= STRICTNESS.index(alone.retry), (code, words)
            assert stricter.hard >= alone.hard, (code, words)


def test_no_code_of_an_issuer_has_two_rows() -> None:
    assert len(_BY_REFUSAL) == sum(len(codes.split()) for _, _, codes in _REFUSALS)


@pytest.mark.parametrize("refusal", ["04", "07", "12", "14", "15", "41", "43", "46", "57", "R0", "R1", "R3"])
def test_visas_first_category_is_never_tried_again(refusal: str) -> None:
    """RTY-2."""
    assert read(refusal=refusal).retry is Retry.NEVER


@pytest.mark.parametrize(("refusal", "hard"), [("41", True), ("14", True), ("57", False), ("R1", False), ("05", False)])
def test_only_a_card_that_is_gone_is_disabled(refusal: str, *, hard: bool) -> None:
    assert read(refusal=refusal).hard is hard


def test_a_code_means_what_its_own_network_says() -> None:
    """RTY-8: the same number is a limit at one scheme and asks for authentication at the other."""
    assert read("SOMETHING_NEW", "VISA", "65").category is DeclineCategory.LIMIT
    for brand in ("MASTERCARD", "MAESTRO"):
        assert read("SOMETHING_NEW", brand, "65").retry is Retry.AUTHENTICATE
    assert read("SOMETHING_NEW", "JCB", "65") == read("SOMETHING_NEW", None, "65") == decline_for("SOMETHING_NEW")
    assert read(refusal="1A").retry is Retry.AUTHENTICATE


@pytest.mark.parametrize(
    ("code", "refusal", "category"),
    [
        (VAGUE, "51", DeclineCategory.INSUFFICIENT_FUNDS),
        (VAGUE, "43", DeclineCategory.CARD_UNUSABLE),
        ("FRAUD_REJECT", "43", DeclineCategory.FRAUD),
        ("SOMETHING_NEW", "54", DeclineCategory.CARD_EXPIRED),
    ],
)
def test_the_issuer_says_why_where_the_result_code_does_not(code: str, refusal: str, category: DeclineCategory) -> None:
    assert read(code, refusal=refusal).category is category


@pytest.mark.parametrize(
    ("advice", "retry", "hours"),
    [
        ("01", Retry.FIX_DATA, None),
        ("02", Retry.LATER, 72),
        ("03", Retry.NEVER, None),
        ("04", Retry.FIX_DATA, None),
        ("21", Retry.NEVER, None),
        ("22", Retry.NEVER, None),
        ("24", Retry.LATER, 1),
        ("25", Retry.LATER, 24),
        ("26", Retry.LATER, 48),
        ("27", Retry.LATER, 96),
        ("28", Retry.LATER, 144),
        ("29", Retry.LATER, 192),
        ("30", Retry.LATER, 240),
        ("40", Retry.LATER, None),
        ("99", Retry.NEVER, None),
        ("77", Retry.NEVER, None),
    ],
)
def test_every_advice_of_mastercard_is_followed(advice: str, retry: Retry, hours: int | None) -> None:
    """RTY-6; an advice that nobody has read about means no retry."""
    reading = read(brand="MASTERCARD", advice=advice)
    assert reading.retry is retry
    assert reading.wait == (None if hours is None else timedelta(hours=hours))


def test_a_new_advice_of_another_scheme_says_nothing() -> None:
    assert read(advice="77") == decline_for(VAGUE)
    assert read(advice="03").retry is Retry.NEVER


def test_waiting_is_said_only_where_it_helps() -> None:
    assert read("INVALID_CVV", "MASTERCARD", advice="25").wait is None
    assert read("LOST_CARD", "MASTERCARD", advice="25") == decline_for("LOST_CARD")


def test_advice_is_enough_for_a_result_code_that_is_not_known() -> None:
    assert read("SOMETHING_NEW", "MASTERCARD", advice="25").retry is Retry.LATER
    assert read("SOMETHING_NEW", "MASTERCARD", advice="40") == decline_for("SOMETHING_NEW")


@pytest.mark.parametrize(
    ("brand", "refusal", "advice", "ends"),
    [
        ("VISA", "R0", None, None),
        ("VISA", "R1", None, Ends.MANDATE),
        ("VISA", "R3", None, Ends.ALL_MANDATES),
        ("MASTERCARD", None, "21", Ends.MANDATE),
        ("MASTERCARD", None, "03", None),
    ],
)
def test_a_revoked_agreement_is_over(brand: str, refusal: str | None, advice: str | None, ends: Ends | None) -> None:
    """RTY-2, RTY-6."""
    assert read(VAGUE, brand, refusal, advice).ends is ends
