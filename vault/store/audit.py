"""Events into the audit queue, inside the transaction of the change they describe.

It refuses to know what events mean. Invariant: the application can insert here and do nothing else; time, transaction
and order are the database's own (audit-log.md 3.10).
"""

from collections.abc import Sequence
from typing import Final

from vault.audit.catalogue import check
from vault.audit.events import Event
from vault.db import Session
from vault.ids import Prefix, new_id

_APPEND = "insert into vault.audit_pending (event_id, merchant_id, body) values ($1, $2, $3)"
_APPEND_ALL = """
insert into vault.audit_pending (event_id, merchant_id, body)
select * from unnest($1::text[], $2::text[], $3::bytea[])
"""

# For statements that change and record at once: `aud` takes its rows from the CTE that says what changed.
APPEND_FROM = (
    "insert into vault.audit_pending (event_id, merchant_id, body) select {event_id}, {merchant_id}, {body} from {cte}"
)
# The columns of a row that carries its event (`event_row`), and what appends it; the relation that has them follows.
EVENT: Final = {"event_id": "text", "body": "text"}
APPEND: Final = APPEND_FROM.format(
    event_id="event_id", merchant_id="merchant_id", body="convert_to(body, 'UTF8')", cte=""
)


def encoded(event: Event) -> tuple[str, bytes]:
    """Give an event a fresh id, and its stored bytes; raises `NotInCatalogue`."""
    check(event)
    event_id = new_id(Prefix.AUDIT_EVENT)
    return event_id, event.encode(event_id)


def event_row(event: Event) -> dict[str, str]:
    """Give an event's values by the names in `EVENT`."""
    event_id, body = encoded(event)
    return {"event_id": event_id, "body": body.decode()}


async def append(session: Session, event: Event) -> str:
    """Queue one event and give its id; in a transaction it stands or falls with it."""
    event_id, body = encoded(event)
    await session.rows(_APPEND, event_id, event.merchant_id, body)
    return event_id


async def append_all(session: Session, events: Sequence[Event]) -> None:
    """Queue events in one statement."""
    bodies = [encoded(event) for event in events]
    merchants = [event.merchant_id for event in events]
    await session.rows(_APPEND_ALL, [each for each, _ in bodies], merchants, [body for _, body in bodies])
