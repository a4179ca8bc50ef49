"""Limits as data: what a client may have of its own, how it is written, what is advertised."""

import pytest

from vault.rules.declines import DeclineCategory
from vault.rules.limits import (
    OPERATIONS,
    RULES,
    TELLING_DECLINES,
    Limit,
    OverrideInvalid,
    Window,
    WithoutCounters,
    policy_for,
    read_override,
)


def test_every_limit_has_its_rule_and_every_operation_a_limit() -> None:
    assert set(RULES) == set(Limit)
    assert set(OPERATIONS.values()) <= set(Limit)


def test_what_a_card_tester_or_a_thief_would_do_is_refused_without_counters() -> None:
    refused = {limit for limit, rule in RULES.items() if rule.without_counters is WithoutCounters.REFUSED}
    guards = {limit for limit in Limit if limit.startswith("guard.")}
    assert refused == guards | {Limit.STORE, Limit.PAY, Limit.CHARGE, Limit.DISTINCT_CARDS}


def test_what_only_a_merchant_can_mend_is_no_sign_of_card_testing() -> None:
    assert not TELLING_DECLINES & {DeclineCategory.CONFIGURATION, DeclineCategory.NOT_SENT}


def test_a_guards_limit_has_one_window() -> None:
    assert all(len(rule.quotas) == 1 for limit, rule in RULES.items() if limit.startswith("guard."))


def test_a_client_may_have_quotas_of_its_own_and_no_other_windows() -> None:
    policy = policy_for(Limit.STORE, {"cards.store": {"burst": 7, "hour": 1}, "objects.read": {"day": 1}})
    assert (policy.windows, policy.quotas[0]) == ((Window.BURST, Window.MINUTE, Window.DAY), 7)
    assert policy.quotas[1:] == policy_for(Limit.STORE).quotas[1:]
    assert policy.advertised.startswith('"burst";q=7;w=10, "minute"')


def test_an_override_is_read() -> None:
    assert read_override("cards.distinct:day=999999999") == (Limit.DISTINCT_CARDS, Window.DAY, 999_999_999)


@pytest.mark.parametrize(
    "text",
    [
        *("", "cards.store", "cards.store:burst", "cards.store:burst=", "cards.store:burst=0", "cards.store:burst=-1"),
        *("cards.store:burst=1e3", "cards.store:burst=\uff11", "cards.store:burst=1000000000", "cards.store:hour=5"),
        *("cards.stores:burst=5", "access.refused:burst=5", "cards.store:burst=5=5", "CARDS.STORE:burst=5"),
    ],
)
def test_what_is_no_override_is_refused_with_what_one_looks_like(text: str) -> None:
    with pytest.raises(OverrideInvalid) as refused:
        read_override(text)
    assert "500" in str(refused.value) or "whole number" in str(refused.value)
