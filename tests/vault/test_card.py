"""Card data: what is taken, what is refused without a word about it, and what may be shown."""

import json
import traceback
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stdnum import luhn as oracle

from vault.brands import brand_of
from vault.card import (
    CardDataInvalid,
    CardNumberInvalid,
    CardToken,
    CardTokenInvalid,
    Cvv,
    CvvInvalid,
    Expiry,
    ExpiryInvalid,
    Pan,
    PinDigits,
    PinDigitsInvalid,
)

VISA = "4111111111111111"
ARABIC = "\u0664" + "\u0661" * 15
FULL_WIDTH = "\uff14" + "\uff11" * 15
AT = datetime(2026, 11, 21, tzinfo=UTC)


@st.composite
def numbers(draw: st.DrawFn) -> str:
    body = draw(st.text("0123456789", min_size=11, max_size=18))
    return body + oracle.calc_check_digit(body)


@pytest.mark.parametrize(
    "raw",
    [
        "",
        "4",
        VISA[:-1] + "2",
        "4242424242424241",
        VISA + "1",
        "41111111111114",  # a check digit, but no Visa card has fourteen digits
        "3782822463100054",
        "0" * 11,
        "0" * 20,
        "4" * 1_000_000,
        f" {VISA}",
        f"{VISA} ",
        f"-{VISA}",
        f"{VISA}\n",
        f"{VISA}\x00",
        "4111  1111 1111 1111",
        "4111--1111-1111-1111",
        "4111 -1111 1111 1111",
        "4111\u00a01111\u00a01111\u00a01111",
        "4111\t1111\t1111\t1111",
        "4111.1111.1111.1111",
        "4111\u20111111\u20111111\u20111111",
        "4111_1111_1111_1111",
        "+4111111111111111",
        "0x4111111111111111",
        "4111111111111111.0",
        "4.111111111111111e15",
        ARABIC,
        FULL_WIDTH,
        VISA[:-1] + "\u0661",
        VISA[:-1] + "\u00b9",
        "\u200b" + VISA,
        "\ud800" + VISA,
    ],
)
def test_what_is_no_card_number_is_refused_without_a_word_about_it(raw: str) -> None:
    with pytest.raises(CardNumberInvalid) as refusal:
        Pan.parse(raw)
    assert refusal.value.code == "card_number_invalid"
    assert refusal.value.args == ("card_number_invalid",)
    assert refusal.value.__cause__ is None


def test_the_refusal_of_a_number_shows_no_digit_of_it() -> None:
    with pytest.raises(CardNumberInvalid) as refusal:
        Pan.parse("4242424242424241")
    assert "4242" not in "".join(traceback.format_exception_only(refusal.value))


@pytest.mark.parametrize(
    "raw", [VISA, "4111 1111 1111 1111", "4111-1111-1111-1111", "4111 1111-1111 1111", "-".join(VISA)]
)
def test_single_spaces_and_dashes_between_digits_are_dropped(raw: str) -> None:
    pan = Pan.parse(raw)
    assert pan.reveal() == VISA
    assert (pan.brand, pan.bin, pan.last_four, pan.masked) == ("VISA", "411111", "1111", "************1111")


@pytest.mark.parametrize(
    ("raw", "brand", "bin_", "masked"),
    [
        ("4222222222222", "VISA", None, "*********2222"),
        ("36227206271667", "DINERS", "362272", "**********1667"),
        ("378282246310005", "AMEX", "378282", "***********0005"),
        ("6771830999991239343", "MAESTRO", "677183", "***************9343"),
        ("700000000005", "UNKNOWN", None, "********0005"),
        ("7000000000000005", "UNKNOWN", "700000", "************0005"),
    ],
)
def test_the_shown_parts_suit_the_length(raw: str, brand: str, bin_: str | None, masked: str) -> None:
    pan = Pan.parse(raw)
    assert (pan.brand, pan.bin, pan.masked) == (brand, bin_, masked)


@given(numbers())
def test_all_shown_parts_together_are_an_allowed_truncation(digits: str) -> None:
    """MSK-4: the union of what is shown hides at least the middle, and thirteen digits or fewer show four."""
    try:
        pan = Pan.parse(digits)
    except CardNumberInvalid:
        brand = brand_of(digits)
        assert brand is not None
        assert len(digits) not in brand.lengths
        return
    shown = set(range(len(digits) - 4, len(digits)))
    assert pan.masked == "*" * (len(digits) - 4) + digits[-4:]
    assert pan.last_four == digits[-4:]
    if pan.bin is not None:
        assert pan.bin == digits[:6]
        shown |= set(range(6))
    assert len(shown) == (4 if len(digits) <= 13 else 10)


@given(st.text())
def test_any_text_either_is_a_number_or_is_refused(raw: str) -> None:
    try:
        digits = Pan.parse(raw).reveal()
    except CardNumberInvalid:
        return
    assert digits == raw.replace(" ", "").replace("-", "")


def test_the_constructor_is_no_way_around_the_checks() -> None:
    with pytest.raises(CardNumberInvalid):
        Pan("4242424242424241")
    with pytest.raises(CvvInvalid):
        Cvv("12")
    with pytest.raises(CardTokenInvalid):
        CardToken("")
    with pytest.raises(PinDigitsInvalid):
        PinDigits("123")


@pytest.mark.parametrize(
    "secret", [Pan.parse(VISA), Cvv.parse("737", "VISA"), CardToken.parse("ALIPAYq3+demo/tok=="), PinDigits.parse("12")]
)
def test_a_secret_is_not_printed_and_not_changed(secret: Pan | Cvv | CardToken | PinDigits) -> None:
    name = f"<{type(secret).__name__}>"
    assert repr(secret) == str(secret) == f"{secret}" == name
    assert not hasattr(secret, "__dict__")
    with pytest.raises(TypeError):
        json.dumps(secret)
    with pytest.raises(AttributeError):
        secret.masked = VISA


def test_a_number_equals_itself_whatever_its_spelling() -> None:
    assert Pan.parse(VISA) == Pan.parse("4111 1111 1111 1111")
    assert Pan.parse(VISA) != Pan.parse("4242424242424242")


@pytest.mark.parametrize(
    ("raw", "brand"),
    [
        ("", "VISA"),
        ("12", "VISA"),
        ("1234", "VISA"),
        ("123", "AMEX"),
        ("12345", "AMEX"),
        ("12345", "UNKNOWN"),
        ("12", "UNKNOWN"),
        ("123\n", "VISA"),
        ("12\x00", "VISA"),
        (" 12", "VISA"),
        ("-12", "VISA"),
        ("1" * 1_000_000, "VISA"),
        ("\u0661\u0662\u0663", "VISA"),
        ("\uff11\uff12\uff13", "VISA"),
    ],
)
def test_a_cvv_of_wrong_form_is_refused(raw: str, brand: str) -> None:
    with pytest.raises(CvvInvalid) as refusal:
        Cvv.parse(raw, brand)
    assert refusal.value.args == ("cvv_invalid",)


@pytest.mark.parametrize(("raw", "brand"), [("000", "VISA"), ("1234", "AMEX"), ("123", "UNKNOWN"), ("1234", "UNKNOWN")])
def test_a_cvv_is_as_long_as_the_brand_has_it(raw: str, brand: str) -> None:
    assert Cvv.parse(raw, brand).reveal() == raw


def test_a_cvv_read_before_its_number_is_measured_afterwards() -> None:
    cvv = Cvv.parse("1234")
    assert cvv.fits("AMEX")
    assert not cvv.fits("VISA")


@pytest.mark.parametrize("raw", ["", "a" * 2049, "tok\n", "tok\x00", "tok\x7f", "t\u00f6k", "\uff11", "\ud800"])
def test_a_token_must_be_printable_ascii_of_bounded_length(raw: str) -> None:
    with pytest.raises(CardTokenInvalid) as refusal:
        CardToken.parse(raw)
    assert refusal.value.args == ("card_token_invalid",)


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=2048))
def test_a_token_is_kept_exactly(raw: str) -> None:
    assert CardToken.parse(raw).reveal() == raw


@pytest.mark.parametrize("raw", ["", "1", "123", "1 ", "12\n", "ab", "\u0661\u0662", "+1"])
def test_pin_digits_are_two_ascii_digits(raw: str) -> None:
    with pytest.raises(PinDigitsInvalid) as refusal:
        PinDigits.parse(raw)
    assert refusal.value.args == ("pin_digits_invalid",)
    assert PinDigits.parse("12").reveal() == "12"


@pytest.mark.parametrize(
    ("month", "year"),
    [
        ("00", "30"),
        ("13", "30"),
        ("3", "30"),
        ("003", "30"),
        ("03", "2030"),
        ("03", "3"),
        ("", ""),
        ("03\n", "30"),
        ("03", "30\n"),
        ("03", "-1"),
        ("+3", "30"),
        ("\u0660\u0663", "30"),
        ("03", "\uff13\uff10"),
        ("03", "3\x00"),
        ("03", "47"),  # twenty-one years ahead
        ("03", "05"),  # twenty-one years ago
        ("03", "76"),  # fifty years either way
        ("03", "99"),
    ],
)
def test_an_implausible_expiry_is_refused(month: str, year: str) -> None:
    with pytest.raises(ExpiryInvalid) as refusal:
        Expiry.parse(month, year, at=AT)
    assert refusal.value.args == ("expiry_invalid",)


@pytest.mark.parametrize(
    ("year", "now", "expected"),
    [
        ("30", 2026, 2030),
        ("26", 2026, 2026),
        ("46", 2026, 2046),
        ("06", 2026, 2006),
        ("00", 2090, 2100),
        ("05", 2085, 2105),
        ("99", 2101, 2099),
        ("38", 2038, 2038),
    ],
)
def test_the_century_is_the_nearest(year: str, now: int, expected: int) -> None:
    """T-34: the turn of a century is an ordinary year."""
    assert Expiry.parse("03", year, at=datetime(now, 6, 1, tzinfo=UTC)) == Expiry(3, expected)


@given(st.integers(1, 12), st.integers(-20, 20), st.integers(2000, 2200))
def test_every_plausible_expiry_is_read_back(month: int, distance: int, now: int) -> None:
    expiry = Expiry(month, now + distance)
    assert Expiry.parse(expiry.month_text, expiry.year_text, at=datetime(now, 1, 1, tzinfo=UTC)) == expiry


def test_without_a_time_the_clock_decides() -> None:
    year = datetime.now(UTC).year
    assert Expiry.parse("01", f"{year % 100:02}").year in {year, year + 1}


@pytest.mark.parametrize(
    ("expiry", "end"),
    [
        (Expiry(11, 2026), datetime(2026, 12, 1, 12, tzinfo=UTC)),
        (Expiry(12, 2026), datetime(2027, 1, 1, 12, tzinfo=UTC)),
        (Expiry(2, 2028), datetime(2028, 3, 1, 12, tzinfo=UTC)),
        (Expiry(12, 2099), datetime(2100, 1, 1, 12, tzinfo=UTC)),
    ],
)
def test_a_card_is_good_until_its_month_has_ended_everywhere_on_earth(expiry: Expiry, end: datetime) -> None:
    """T-34: the last time zone decides."""
    last_island = timezone(timedelta(hours=-12))
    assert not expiry.passed(end - timedelta(microseconds=1))
    assert expiry.passed(end)
    assert end.astimezone(last_island).day == 1
    assert expiry.passed(end.astimezone(last_island))


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(TypeError):
        Expiry(3, 2030).passed(datetime(2030, 1, 1))  # noqa: DTZ001 - the missing zone is the point


def test_every_refusal_is_a_value_error_with_its_own_code() -> None:
    codes = {kind.code for kind in CardDataInvalid.__subclasses__()}
    assert codes == {
        "card_number_invalid",
        "cvv_invalid",
        "expiry_invalid",
        "card_token_invalid",
        "pin_digits_invalid",
    }
    assert issubclass(CardDataInvalid, ValueError)
