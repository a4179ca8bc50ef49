"""Alarms: what a person has to look at, kept once for each code and object.

It refuses to know how alarms are announced. Invariant: the details hold ids, codes and states only.
"""

from collections.abc import Mapping

import orjson

from vault.audit.events import Event, EventType, Origin, Outcome
from vault.db import Session
from vault.ids import Prefix, new_id
from vault.store.audit import encoded

_RAISE = """
with ins as (
    insert into vault.alarm (merchant_id, id, code, object_id, details) values ($1, $2, $3, $4, $5)
    on conflict (merchant_id, code, object_id) do nothing returning id
), aud as (
    insert into vault.audit_pending (event_id, merchant_id, body) select $6, $1, $7 from ins
)
select id from ins
"""


async def raise_alarm(
    session: Session, origin: Origin, merchant_id: str, code: str, object_id: str, details: Mapping[str, str | None]
) -> bool:
    """Keep an alarm and its event; False when this object already has one with this code."""
    event = Event(EventType.ALARM_RAISED, origin, merchant_id, (object_id,), Outcome.FAILURE, code)
    event_id, body = encoded(event)
    kept = await session.row(
        _RAISE,
        merchant_id,
        new_id(Prefix.ALARM),
        code,
        object_id,
        orjson.dumps(dict(details)).decode(),
        event_id,
        body,
    )
    return kept is not None
