"""When a card may be tried again: the vault's own rules, an operator's file, and any sequence beside a plain model."""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vault.attempt import Attempt, Kept, Tried
from vault.money import Amount
from vault.rules.declines import Retry
from vault.rules.retries import RuleSet, counts, load_rules
from vault.rules.scheme_declines import Words
from vault.settings import SettingsInvalid

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
TODAY = NOW.date()
OWN = load_rules(None, TODAY).at(NOW)
AMOUNT = Amount("EUR", "2590")
VISA, MASTERCARD = Attempt(AMOUNT, "VISA"), Attempt(AMOUNT, "MASTERCARD")
LEAST: dict[str, Any] = {"version": "1", "effective": "2020-01-01", "source": "a test"}


def declined(like: Attempt, ago: timedelta = timedelta(0), *, refusal: str = "05", advice: str | None = None) -> Tried:
    return Tried(like.amount, like.network, like.mandate_id, like.expiry, refusal, advice, NOW - ago)


def judged(attempt: Attempt, *tried: Tried) -> tuple[str, Retry, timedelta | None] | None:
    """Give the rule that forbids, what it asks for, and how long it holds."""
    refusal = OWN.judge(attempt, tried, NOW)
    if refusal is None:
        return None
    return refusal.rule, refusal.retry, refusal.not_before - NOW if refusal.not_before else None


@pytest.mark.parametrize(
    ("attempt", "count", "days", "rule"),
    [(VISA, 15, 30, "visa_30_days"), (MASTERCARD, 10, 1, "mastercard_24_hours")],
)
def test_a_limit_forbids_what_is_one_too_many_in_its_window(attempt: Attempt, count: int, days: int, rule: str) -> None:
    """RTY-3, RTY-5."""
    tried = [declined(attempt, timedelta(minutes=minute)) for minute in range(count)]
    assert judged(attempt, *tried[1:]) is None
    assert judged(attempt, *tried) == (rule, Retry.LATER, timedelta(days=days, minutes=1 - count))
    past = [replace(tried[0], declined_at=NOW - timedelta(days=days))] * count
    assert judged(attempt, *past) is None


def test_the_longer_window_of_mastercard_counts_an_amount_alone() -> None:
    """RTY-5."""
    tried = [declined(MASTERCARD, timedelta(days=1 + number % 9)) for number in range(35)]
    assert judged(MASTERCARD, *tried) == ("mastercard_30_days", Retry.LATER, timedelta(days=21))
    assert judged(replace(MASTERCARD, amount=Amount("EUR", "2591")), *tried) is None


def test_open_attempts_hold_their_places_for_an_unknown_time() -> None:
    """RTY-7."""
    opened = Tried(AMOUNT, "MASTERCARD")
    assert judged(MASTERCARD, *[opened] * 9) is None
    assert judged(MASTERCARD, *[opened] * 10) == ("mastercard_24_hours", Retry.LATER, None)
    assert judged(MASTERCARD, *[opened] * 9, declined(MASTERCARD)) == (
        "mastercard_24_hours",
        Retry.LATER,
        timedelta(days=1),
    )


@pytest.mark.parametrize("refusal", ["04", "07", "12", "14", "15", "41", "43", "46", "57"])
def test_visas_first_category_is_never_over(refusal: str) -> None:
    """RTY-2."""
    decline = declined(VISA, timedelta(days=999), refusal=refusal)
    assert judged(VISA, decline) == ("visa_category_1", Retry.NEVER, None)
    assert judged(replace(VISA, mandate_id="man_a"), decline) == ("visa_category_1", Retry.NEVER, None)
    assert judged(MASTERCARD, replace(decline, network="MASTERCARD")) is None
    assert OWN.kept(decline) is Kept.CARD


@pytest.mark.parametrize(
    ("refusal", "same", "other_agreement", "buyer"),
    [("R0", True, False, False), ("R1", True, False, False), ("R3", True, True, False)],
)
def test_what_the_cardholder_stopped_is_not_charged_again(
    refusal: str, *, same: bool, other_agreement: bool, buyer: bool
) -> None:
    """RTY-2."""
    decline = declined(replace(VISA, mandate_id="man_a"), timedelta(days=400), refusal=refusal)
    attempts = (replace(VISA, mandate_id=each) for each in ("man_a", "man_b", None))
    assert [judged(each, decline) is not None for each in attempts] == [same, other_agreement, buyer]


@pytest.mark.parametrize(
    ("advice", "hours", "retry"),
    [
        ("03", 720, Retry.NEVER),
        ("21", 720, Retry.NEVER),
        ("99", 720, Retry.NEVER),
        ("24", 1, Retry.LATER),
        ("25", 24, Retry.LATER),
        ("26", 48, Retry.LATER),
        ("27", 96, Retry.LATER),
        ("28", 144, Retry.LATER),
        ("29", 192, Retry.LATER),
        ("30", 240, Retry.LATER),
    ],
)
def test_advice_blocks_for_its_time(advice: str, hours: int, retry: Retry) -> None:
    """RTY-6."""
    ago = timedelta(hours=hours, seconds=-1)
    refusal = judged(MASTERCARD, declined(MASTERCARD, ago, advice=advice))
    assert refusal is not None
    assert refusal[1:] == (retry, timedelta(seconds=1))
    assert judged(MASTERCARD, declined(MASTERCARD, timedelta(hours=hours), advice=advice)) is None


@pytest.mark.parametrize(
    ("network", "refusal", "advice", "rule"),
    [("VISA", "54", None, "visa_expired_card"), ("MASTERCARD", "05", "01", "advice_new_data")],
)
def test_an_expiry_that_was_wrong_is_not_tried_again(network: str, refusal: str, advice: str | None, rule: str) -> None:
    """RTY-4."""
    wrong = Attempt(AMOUNT, network, expiry="2030-03")
    decline = declined(wrong, refusal=refusal, advice=advice)
    assert judged(replace(wrong, mandate_id="man_a"), decline) == (rule, Retry.FIX_DATA, timedelta(days=30))
    assert judged(replace(wrong, expiry="2033-03"), decline) is None
    assert OWN.kept(decline) is Kept.WINDOW


@pytest.mark.parametrize("advice", ["02", "04", "40", "41", "43", None])
def test_other_advice_blocks_nothing(advice: str | None) -> None:
    assert judged(MASTERCARD, declined(MASTERCARD, advice=advice)) is None


@pytest.mark.parametrize(("network", "refusal"), [("VISA", "1A"), ("MASTERCARD", "65")])
def test_only_the_buyer_may_answer_a_wish_for_authentication(network: str, refusal: str) -> None:
    """RTY-8."""
    absent = Attempt(AMOUNT, network, "man_a")
    decline = declined(absent, refusal=refusal)
    assert judged(absent, decline) == (f"{network.lower()}_authentication", Retry.AUTHENTICATE, timedelta(days=30))
    assert judged(replace(absent, mandate_id=None), decline) is None
    assert OWN.kept(decline) is Kept.BUYER


def test_the_strictest_rule_is_named() -> None:
    tried = [declined(MASTERCARD, advice="03" if number == 0 else None) for number in range(10)]
    assert judged(MASTERCARD, *tried) == ("advice_never", Retry.NEVER, timedelta(days=30))


def test_a_network_without_rules_keeps_nothing_but_what_advice_says() -> None:
    amex = Attempt(AMOUNT, None)
    assert judged(amex, *[declined(amex)] * 99) is None
    assert OWN.kept(declined(amex)) is None
    assert OWN.kept(declined(amex, advice="03")) is Kept.WINDOW
    assert OWN.kept(declined(VISA)) is Kept.WINDOW


@pytest.mark.parametrize(
    ("words", "counted"),
    [
        (Words("DO_NOT_HONOR"), True),
        (Words("NEVER_HEARD_OF"), True),
        (Words("PARAM_ILLEGAL"), False),
        (Words("not_sent"), False),
        (Words("ORDER_IS_CLOSED"), False),
        (Words("USER_PAYMENT_VERIFICATION_FAILED"), False),
        (Words("USER_PAYMENT_VERIFICATION_FAILED", refusal_code="05"), True),
        (Words("ORDER_IS_CLOSED", advice_code="03"), True),
    ],
)
def test_what_the_network_has_seen_counts(words: Words, *, counted: bool) -> None:
    assert counts(words) is counted


NETWORKS = st.sampled_from(["VISA", "MASTERCARD"])
AMOUNTS = st.sampled_from([AMOUNT, Amount("EUR", "1"), Amount("USD", "2590")])
WANTED = st.builds(Attempt, AMOUNTS, NETWORKS, st.sampled_from([None, "man_a", "man_b"]))
STEP = st.tuples(WANTED, st.integers(0, 40), st.booleans())


@given(st.lists(STEP, max_size=120))
def test_no_sequence_breaks_a_limit_or_is_refused_below_it(steps: Sequence[tuple[Attempt, int, bool]]) -> None:
    """Each step wants an attempt some hours after the last one, which is declined or stays open."""
    now, tried = NOW, list[Tried]()
    for wanted, hours, open_ in steps:
        now += timedelta(hours=hours)

        same = [each for each in tried if each.amount == wanted.amount]
        month, day = _since(same, now - timedelta(days=30)), _since(tried, now - timedelta(days=1))
        forbidden = month >= 15 if wanted.network == "VISA" else day >= 10 or month >= 35
        refusal = OWN.judge(wanted, tried, now)
        assert (refusal is not None) == forbidden
        if refusal is None:
            at = None if open_ else now
            tried.append(Tried(wanted.amount, wanted.network, wanted.mandate_id, None, "05", None, at))
        elif refusal.not_before is not None:
            assert now < refusal.not_before <= now + timedelta(days=30)


def _since(tried: Sequence[Tried], moment: datetime) -> int:
    return sum(each.declined_at is None or each.declined_at > moment for each in tried)


def rules(tmp_path: Path, *sets: dict[str, Any], text: str | None = None) -> Path:
    path = tmp_path / "rules.json"
    path.write_text(json.dumps(sets) if text is None else text)
    return path


def test_a_file_replaces_the_rules_and_the_newest_set_in_force_counts(tmp_path: Path) -> None:
    limit = {"name": "few", "networks": ["VISA"], "count": 2, "hours": 48, "same": ["initiator"]}
    later = {**LEAST, "version": "2", "effective": "2026-11-23", "limits": [limit]}
    found = load_rules(rules(tmp_path, later, LEAST), TODAY)
    assert (found.at(NOW).version, found.at(NOW + timedelta(days=1)).version) == ("1", "2")
    assert found.longest == timedelta(hours=48)
    assert found.kept(declined(VISA)) is Kept.WINDOW
    tried = [declined(VISA)] * 2
    assert found.at(NOW).judge(VISA, tried, NOW) is None
    in_force: RuleSet = found.at(NOW + timedelta(days=1))
    assert in_force.judge(VISA, tried, NOW) is not None
    assert in_force.judge(replace(VISA, mandate_id="man_a"), tried, NOW) is None


def test_rules_that_say_nothing_look_back_no_time(tmp_path: Path) -> None:
    found = load_rules(rules(tmp_path, LEAST), TODAY)
    assert (found.longest, found.kept(declined(VISA))) == (timedelta(0), None)


SECRET = "4539731908466057"


@pytest.mark.parametrize(
    ("sets", "complaint"),
    [
        ([], "/ (too_short)"),
        ([{**LEAST, "limts": SECRET}], "at /0 (unexpected_keyword_argument)"),
        ([{**LEAST, "version": SECRET * 9}], "at /0/version (string_pattern_mismatch)"),
        ([{**LEAST, "limits": [{"name": "a", "networks": ["VISA"], "count": 0, "hours": 1}]}], "at /0/limits/0/count"),
        ([{**LEAST, "limits": [{"name": "a", "networks": [], "count": 1, "hours": 1}]}], "at /0/limits/0/networks"),
        ([{**LEAST, "blocks": [{"name": "a", "refusals": ["05"], "retry": SECRET}]}], "at /0/blocks/0/retry (enum)"),
        ([{**LEAST, "blocks": [{"name": "a", "retry": "NEVER"}] * 2}], "the same name"),
        ([LEAST, {**LEAST, "version": "2"}], "the same date"),
        ([{**LEAST, "effective": "2026-11-23"}], "no set is in force yet"),
    ],
)
def test_an_unusable_file_is_refused_at_its_place_without_repeating_it(
    tmp_path: Path, sets: list[dict[str, Any]], complaint: str
) -> None:
    with pytest.raises(SettingsInvalid) as refused:
        load_rules(rules(tmp_path, *sets), TODAY)
    assert str(refused.value).startswith("CARDVAULT_RETRY_RULES_FILE: ")
    assert complaint in str(refused.value)
    assert SECRET not in str(refused.value)


@pytest.mark.parametrize("text", ["", "{", "null", '"\\ud800"'])
def test_a_file_that_is_not_json_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(SettingsInvalid, match="CARDVAULT_RETRY_RULES_FILE"):
        load_rules(rules(tmp_path, text=text), TODAY)


def test_a_file_that_is_not_there_is_named_by_its_setting(tmp_path: Path) -> None:
    with pytest.raises(SettingsInvalid, match="cannot be read"):
        load_rules(tmp_path / "missing.json", date(2026, 1, 1))
