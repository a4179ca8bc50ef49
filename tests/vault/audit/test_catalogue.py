"""The catalogue is closed: every type has an entry, and an entry's details are all that its events may carry."""

from pathlib import Path

import pytest

from ops.audit_catalogue import page
from vault.audit.catalogue import CATALOGUE, NotInCatalogue, check
from vault.audit.details import FIELDS, Kind
from vault.audit.events import ActorKind, Detail, Event, EventType, Origin
from vault.store.audit import encoded
from vault.stored_card import Storage

PAGE = Path(__file__).resolve().parents[3] / "docs" / "audit-events.md"


def event(kind: EventType, **details: Detail) -> Event:
    return Event(kind, Origin(ActorKind.WORKER), "", details=details)


def test_every_type_has_an_entry_and_every_entry_known_details() -> None:
    assert set(CATALOGUE) == set(EventType)
    used = {name for entry in CATALOGUE.values() for name in entry.details}
    assert used == set(FIELDS)


@pytest.mark.parametrize(
    ("kind", "details"),
    [
        (EventType.CARD_STORED, {"note": "VAULT"}),
        (EventType.CARD_STORED, {"value": 1}),
        (EventType.CARD_STORED, {"storage": 1}),
        (EventType.CARD_STORED, {"storage": True}),
        (EventType.REENCRYPTION_ENDED, {"rows": True}),
        (EventType.REENCRYPTION_ENDED, {"rows": "1"}),
        (EventType.PAYMENT_CHANGED, {"not_sent": 0}),
        (EventType.PAYMENT_CHANGED, {"not_sent": "no"}),
    ],
)
def test_what_is_not_listed_is_never_written(kind: EventType, details: dict[str, Detail]) -> None:
    with pytest.raises(NotInCatalogue):
        encoded(event(kind, **details))


@pytest.mark.parametrize("value", [None, "text", Storage.VAULT])
def test_what_is_listed_is(value: Detail) -> None:
    check(event(EventType.CARD_STORED, storage=value))


def test_a_kind_admits_its_values_only() -> None:
    admitted = {kind: [each for each in (None, "a", 1, True) if kind.admits(each)] for kind in Kind}
    assert admitted == {
        Kind.TEXT: [None, "a"],
        Kind.NUMBER: [None, 1],
        Kind.EITHER: [None, "a", 1],
        Kind.FLAG: [None, True],
    }


def test_the_page_is_the_catalogue() -> None:
    assert PAGE.read_text() == page(), "write it with: cardvault audit catalogue > docs/audit-events.md"
