"""The detector: what is a card number in text and in JSON, and that hostile input costs no more than its length."""

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from vault import pan_detector
from vault.brands import Brand, brand_of, well_formed
from vault.card_policy import PUBLISHED_TEST_NUMBERS
from vault.pan_detector import Path, contains_pan, find_pan_spans, maybe_pan, walk

VISA = "4111111111111111"
DETECTABLE = sorted(PUBLISHED_TEST_NUMBERS)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.sampled_from(DETECTABLE),
    lambda children: st.lists(children) | st.dictionaries(st.text(), children),
    max_leaves=12,
)


def nothing(_path: Path) -> bool:
    return False


@pytest.mark.parametrize("digits", DETECTABLE)
def test_every_published_test_number_is_found_in_every_spelling(digits: str) -> None:
    grouped = [digits[place : place + 4] for place in range(0, len(digits), 4)]
    for text in (
        digits,
        " ".join(grouped),
        "-".join(grouped),
        " ".join(digits),
        f"card {digits}, please",
        f"x{digits}y",
    ):
        assert contains_pan(text)
        assert maybe_pan(text.encode())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no digits at all",
        "4242424242424241",  # wrong check digit
        "700000000005",  # twelve digits
        "41111111111114",  # no Visa card has fourteen digits
        "7000000000000005",  # no brand
        "0" * 16,
        "1" + VISA,  # a run is judged whole
        VISA + "1",
        VISA + VISA,
        "4111  1111  1111  1111",
        "4111--1111--1111--1111",
        "4111.1111.1111.1111",
        "4111_1111_1111_1111",
        "4111\n1111\n1111\n1111",
        "4111\u00a01111\u00a01111\u00a01111",
        "\uff14" + "\uff11" * 15,
        "\u0664" + "\u0661" * 15,
        VISA[:15] + "\u0661",
        "2026-11-21 12:00:00",
        "card_agq773lnhv5tbb5yjua6iarcca",
        "9" * 1_000_000,
    ],
)
def test_what_is_no_card_number_is_left_alone(text: str) -> None:
    assert not contains_pan(text)
    assert find_pan_spans(text) == []


@pytest.mark.parametrize(
    "text",
    [
        f"on 2026-01-05 {VISA}",
        f"2026-01-05-{VISA}-12",
        f"12 {VISA} 03 30",
        "order 7 4111 1111 1111 1111 03 30",
        f"{VISA}\x00",
        f"\ud800{VISA}",
        f"{VISA} {VISA}",
        f"{'1' * 30} {VISA}",
        f"{'1 ' * 40}{VISA}",
    ],
)
def test_digits_around_a_number_do_not_hide_it(text: str) -> None:
    assert contains_pan(text)


def test_the_span_covers_the_number_and_nothing_else() -> None:
    text = f"pay {VISA} or 5555 5555 5555 4444."
    assert [text[start:end] for start, end in find_pan_spans(text)] == [VISA, "5555 5555 5555 4444"]


def test_overlapping_numbers_make_one_span() -> None:
    """Sixteen and nineteen digits from one start pass alike; one redaction has to cover both."""
    text = "6771830999991239 343"
    assert find_pan_spans(text) == [(0, 20)]
    assert find_pan_spans("6771830999991239") == [(0, 16)]


@given(st.text("0123456789 -x", max_size=60))
def test_the_detector_agrees_with_trying_every_sequence_of_groups(text: str) -> None:
    covered = {place for start, end in find_pan_spans(text) for place in range(start, end)}
    assert covered == slow_search(text)
    assert contains_pan(text) == bool(covered)
    assert maybe_pan(text.encode()) == bool(covered)


def slow_search(text: str) -> set[int]:
    """Judge every stretch of the text on its own, by the words of the design."""
    covered: set[int] = set()
    for start in range(len(text)):
        for end in range(start + 13, min(len(text), start + 37) + 1):
            stretch = text[start:end]
            whole = not (text[:start][-1:].isdigit() or text[end:][:1].isdigit())
            single = (
                stretch[0].isdigit()
                and stretch[-1].isdigit()
                and not any(p in stretch for p in ("  ", "--", " -", "- ", "x"))
            )
            digits = stretch.replace(" ", "").replace("-", "")
            if whole and single and 13 <= len(digits) <= 19:
                brand = brand_of(digits)
                if brand and well_formed(digits, brand):
                    covered |= set(range(start, end))
    return covered


@pytest.mark.parametrize("unit", ["4", "4 ", "6-", "66 6-", "4111 ", "1234567890123 ", "6 6x"])
def test_hostile_input_costs_a_bounded_number_of_checks_for_each_group(
    unit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """T-46: counted in steps, since a clock proves nothing."""
    text = (unit * 20_000)[:20_000]
    groups = len([group for group in text.replace("-", " ").replace("x", " ").split(" ") if group])
    steps = {"brand": 0, "luhn": 0, "digits": 0}

    def count_brand(digits: str) -> Brand | None:
        steps["brand"] += 1
        steps["digits"] += len(digits)
        return brand_of(digits)

    def count_luhn(digits: str) -> bool:
        steps["luhn"] += 1
        steps["digits"] += len(digits)
        return False

    monkeypatch.setattr(pan_detector, "brand_of", count_brand)
    monkeypatch.setattr(pan_detector, "luhn_ok", count_luhn)
    assert find_pan_spans(text) == []
    assert steps["brand"] <= groups
    assert steps["luhn"] <= 7 * groups
    assert steps["digits"] <= 19 * 8 * groups


def test_a_long_run_is_searched_to_its_end() -> None:
    assert not contains_pan("7 " * 2**15)
    assert contains_pan("7 " * 2**15 + VISA)


@pytest.mark.parametrize(
    ("value", "pointers"),
    [
        (VISA, [""]),
        (int(VISA), [""]),
        (-int(VISA), [""]),
        (float(VISA), [""]),
        ([VISA, "x", int(VISA)], ["/0", "/2"]),
        ({"a": {"b": [{"c": VISA}]}}, ["/a/b/0/c"]),
        ({"a/b": VISA, "~": VISA, "": VISA}, ["/a~1b", "/~0", "/"]),
        ({"b": VISA, "a": VISA}, ["/b", "/a"]),
        ({"a": {VISA: "x", "b": VISA}, "c": VISA}, ["/a", "/c"]),
        ({VISA: "x"}, [""]),
        ({"a": "4111 1111 1111 1111"}, ["/a"]),
        ({"a": None, "b": True, "c": 1.5, "d": float("inf"), "e": float("nan"), "f": 10**5000, "g": 0}, []),
        ({"a": int(VISA) * 10, "b": 10**19, "c": 10**12}, []),
        (4222222222222, [""]),
        (6205500000000000004, [""]),
        ([], []),
        ({}, []),
    ],
)
def test_numbers_in_a_tree_are_reported_by_their_pointers(value: Any, pointers: list[str]) -> None:
    """T-39: strings, integers, floats and keys alike."""
    assert list(walk(value, nothing)) == pointers


@pytest.mark.no_cover
@given(JSON)
def test_no_pointer_repeats_a_number(value: Any) -> None:
    assert not any(contains_pan(pointer) for pointer in walk(value, nothing))


def test_a_pointer_is_made_of_steps_that_cannot_join_to_a_number() -> None:
    assert list(walk({"41111111": {"11111111": VISA}}, nothing)) == ["/41111111/11111111"]


def test_what_is_exempt_is_left_out_with_everything_below_it() -> None:
    value: Any = {"id": VISA, "next": {"url": VISA, VISA: 1}, "list": [VISA, VISA], "text": VISA}
    exempt = {("id",), ("next",), ("list", 1)}
    assert list(walk(value, exempt.__contains__)) == ["/list/0", "/text"]


def test_the_root_may_be_exempt() -> None:
    assert list(walk({VISA: VISA}, lambda path: path == ())) == []


def test_a_deep_tree_needs_no_deep_stack() -> None:
    """T-46: depth is not recursion."""
    value: Any = VISA
    for _ in range(5_000):
        value = [value]
    assert list(walk(value, nothing)) == ["/0" * 5_000]


@pytest.mark.no_cover
@given(JSON)
@example(3.8483100371705256e16)
def test_the_cheap_check_never_misses_what_the_search_finds(value: Any) -> None:
    body = json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")
    assert maybe_pan(body) or list(walk(value, nothing)) == []


@pytest.mark.parametrize(
    "body", [b"", b"{}", b'{"a":"123456789012"}', b'{"a":"1234","b":"5678","c":"9012","d":"3456"}']
)
def test_the_cheap_check_passes_bodies_with_few_digits(body: bytes) -> None:
    assert not maybe_pan(body)
