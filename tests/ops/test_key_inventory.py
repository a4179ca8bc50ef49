from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ops.key_inventory import KeyEntry, warnings
from vault.store.key_inventory import KeyRow

NOW = datetime(2026, 1, 2, tzinfo=UTC)
DAY = timedelta(days=1)
ACTIVE = KeyRow(
    key_id=bytes(16),
    merchant_id="mer_1",
    purpose="card",
    state="active",
    root_version=1,
    created_at=NOW,
    deactivated_at=None,
    compromised_at=None,
    replace_by=None,
    destroy_after=None,
    destroyed_at=None,
    reserved=0,
    now=NOW,
)


@pytest.mark.parametrize(
    ("age", "warning"),
    [
        (0, None),
        (334, None),
        (335, "rotate: within 30 days"),
        (358, "rotate: within 7 days"),
        (364, "rotate: within 1 days"),
        (365, "rotate: overdue"),
        (400, "rotate: overdue"),
    ],
)
def test_an_active_key_is_due_after_a_year_with_warnings_before(age: int, warning: str | None) -> None:
    """KEY-7."""
    entry = KeyEntry(replace(ACTIVE, created_at=NOW - age * DAY), None, 365)
    record = entry.as_record()
    assert (record["due"], record["ageDays"], record["warning"]) == ("rotate", age, warning)
    assert [each for each, _ in warnings([entry])] == ([entry] if warning else [])


def test_a_key_that_hashes_lasts_two_years() -> None:
    entry = KeyEntry(replace(ACTIVE, purpose="fingerprint"), None, 365)
    assert entry.as_record()["dueAt"] == "2028-01-02T00:00:00+00:00"


def test_a_compromised_key_is_due_at_its_deadline() -> None:
    row = replace(ACTIVE, state="compromised", compromised_at=NOW, replace_by=NOW + 3 * DAY)
    record = KeyEntry(row, {"card_secret.key_id": 2, "card.token_print_key_id": 1}, 365).as_record()
    assert (record["due"], record["warning"], record["rows"]) == ("replace", "replace: within 7 days", 3)


def test_a_key_that_waits_for_its_end_is_due_then() -> None:
    row = replace(ACTIVE, state="decrypt_only", deactivated_at=NOW, destroy_after=NOW + DAY / 2)
    assert KeyEntry(row, {}, 365).as_record()["warning"] == "destroy: within 1 days"


@pytest.mark.parametrize(
    "change", [{"state": "decrypt_only"}, {"state": "destroyed"}, {"state": "compromised"}, {"purpose": "audit"}]
)
def test_nothing_is_due_about_a_key_that_only_opens_is_gone_or_signs(change: dict[str, Any]) -> None:
    entry = KeyEntry(replace(ACTIVE, **change), None, 365)
    assert (entry.due, entry.as_record()["dueAt"], warnings([entry])) == (None, None, [])
