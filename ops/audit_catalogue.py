"""The catalogue of audit events as a page for people: `docs/audit-events.md`.

It refuses to know the log. Invariant: the page is made of the catalogue alone (a test compares it).
"""

from collections.abc import Iterator
from typing import Final

from vault.audit.catalogue import CATALOGUE, Activity, Entry, Requirement
from vault.audit.details import FIELDS
from vault.audit.events import SCHEMA, ActorKind, EventType, Outcome

_TITLES: Final = {
    Requirement.CARDHOLDER_DATA: "Access to cardholder data",
    Requirement.ADMINISTRATION: "Actions of administrators and operators",
    Requirement.AUDIT_LOG: "Access to the audit log",
    Requirement.INVALID_ACCESS: "Invalid attempts",
    Requirement.CREDENTIALS: "Credentials and who holds them",
    Requirement.LOGGING: "Start and stop",
    Requirement.SYSTEM_OBJECTS: "Keys and other objects of the system",
}
_INTRODUCTION: Final = f"""# Audit events

Written by `cardvault audit catalogue`: do not edit. The schema is `{SCHEMA}`; what an entry of the log looks like,
and how it is proved, is in [audit-log.md](audit-log.md).

Every event says what PCI DSS 10.2.2 asks for:

| Asked for | In the entry |
|---|---|
| who | `actor`: `kind` ({", ".join(f"`{each}`" for each in ActorKind)}), `id`, and `key`, the operator's key |
| type of event | `type`, one of those below |
| date and time | `at`, the database's clock, UTC |
| success or failure | `outcome` ({", ".join(f"`{each}`" for each in Outcome)}) and `reason`, a code or `null` |
| where it came from | `actor.address`, empty for what happened inside; `request` and `trace`, the ids of both |
| what it is about | `merchant` (empty: the installation), `objects` (ids), `details` |

`details` holds what the type lists and nothing else, a value or `null`. Nothing in an event is a text of a caller, a
card number or made of one, a secret, or something that pays.
"""


def page() -> str:
    """Give the page in Markdown."""
    return "\n".join([_INTRODUCTION, *_sections(), *_details()])


def _sections() -> Iterator[str]:
    for requirement, title in _TITLES.items():
        yield f"## {title}\n\nPCI DSS {requirement}\n\n| Type | Means | Details | OCSF |\n|---|---|---|---|"
        yield from (_row(kind, entry) for kind, entry in CATALOGUE.items() if entry.requirement is requirement)
        yield ""


def _row(kind: EventType, entry: Entry) -> str:
    details = ", ".join(f"`{name}`" for name in sorted(entry.details))
    return f"| `{kind}` | {entry.says} | {details} | {_ocsf(entry.activity)} |"


def _ocsf(activity: Activity) -> str:
    class_uid, activity_id, name = activity.value
    return f"{class_uid}/{activity_id} {name}"


def _details() -> Iterator[str]:
    yield "## Details\n\n| Name | Kind | Says |\n|---|---|---|"
    yield from (f"| `{name}` | {field.kind.said} | {field.says} |" for name, field in sorted(FIELDS.items()))
    yield ""
