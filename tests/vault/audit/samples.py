"""One event of each type, with all of its details, and what the exports make of it.

`python -m tests.vault.audit.samples` writes the golden files anew: look at the difference before it is committed.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from vault.audit import entry, ocsf, spreadsheet
from vault.audit.catalogue import CATALOGUE, Requirement
from vault.audit.details import FIELDS, Kind
from vault.audit.entry import Queued
from vault.audit.events import ActorKind, Detail, Event, EventType, Origin, Outcome
from vault.audit.logged import Logged, read
from vault.audit.merkle import leaf_hash

GOLDEN: Final = Path(__file__).parent / "golden"
NAME: Final = "vault.example/audit"
AT: Final = datetime(2026, 11, 22, 10, 15, 30, 123456, tzinfo=UTC)
_CLIENT: Final = Origin(
    ActorKind.CLIENT, "cli_a", address="192.0.2.7", request_id="req_a", trace_id="4bf92f3577b34da6a3ce929d0e0e4736"
)
_ORIGINS: Final = {
    Requirement.CARDHOLDER_DATA: _CLIENT,
    Requirement.INVALID_ACCESS: Origin(ActorKind.ANONYMOUS, address="2001:db8::7", request_id="req_b"),
    Requirement.LOGGING: Origin(ActorKind.WORKER, "audit"),
}
_OPERATOR: Final = Origin(ActorKind.OPERATOR, "opr_a", "opr_a")
_VALUES: Final[Mapping[Kind, Detail]] = {Kind.TEXT: "text", Kind.NUMBER: 7, Kind.EITHER: 7, Kind.FLAG: True}


def sample(kind: EventType) -> Event:
    """Give an event of a type."""
    row = CATALOGUE[kind]
    denied = row.requirement is Requirement.INVALID_ACCESS
    return Event(
        kind,
        _ORIGINS.get(row.requirement, _OPERATOR),
        "mer_a" if row.requirement is Requirement.CARDHOLDER_DATA else "",
        () if row.requirement is Requirement.LOGGING else ("obj_a", "obj_b"),
        Outcome.DENIED if denied else Outcome.SUCCESS,
        "a_reason" if denied else None,
        {name: _VALUES[FIELDS[name].kind] for name in sorted(row.details)},
    )


def logged(event: Event, place: int = 7) -> Logged:
    """Give an event as it comes back from the log."""
    event_id = f"aev_{event.type}"
    return in_the_log(Queued(event_id, event.merchant_id, AT, event.encode(event_id)), place)


def in_the_log(queued: Queued, place: int = 7) -> Logged:
    """Give what waits in the queue as it comes back from the log."""
    octets = entry.encode(queued)
    return read(place, leaf_hash(octets), octets)


FORMATS: Final[Mapping[str, Callable[[Logged], bytes]]] = {
    "events.jsonl": lambda each: each.octets + b"\n",
    "events.csv": spreadsheet.line,
    "events.ocsf.jsonl": lambda each: ocsf.line(each, NAME),
}


def golden(name: str) -> bytes:
    """Give what a golden file has to hold."""
    lines = [FORMATS[name](logged(sample(kind))) for kind in sorted(CATALOGUE)]
    return b"".join([spreadsheet.header() if name.endswith(".csv") else b"", *lines])


if __name__ == "__main__":
    for each in FORMATS:
        (GOLDEN / each).write_bytes(golden(each))
