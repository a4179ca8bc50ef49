"""What becomes a leaf of the audit log: the event's own octets, and the moment at which the database took it.

It refuses to know the tree. Invariants: an entry is one line of canonical JSON, at most 65,535 octets, and holds the
event as it was written, octet for octet; what is no event of its row is kept as evidence rather than left out, so that
nobody who may write events can stop the log.
"""

import base64
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import orjson

TIME: Final = "%Y-%m-%dT%H:%M:%S.%fZ"
_LONGEST: Final = 32 * 1024
_EVIDENCE: Final = 16 * 1024


@dataclass(frozen=True, slots=True)
class Queued:
    """An event as it waits in the queue, with the database's own time."""

    event_id: str
    merchant_id: str
    occurred_at: datetime
    body: bytes


def encode(queued: Queued) -> bytes:
    """Give the octets of the leaf; `{"at":…,"event":…}`, or `{"at":…,"unreadable":…}` for what is no event."""
    at = f'{{"at":"{queued.occurred_at.astimezone(UTC).strftime(TIME)}",'.encode()
    if _is_event(queued):
        return at + b'"event":' + queued.body + b"}"
    return at + b'"unreadable":"' + base64.b64encode(queued.body[:_EVIDENCE]) + b'"}'


def _is_event(queued: Queued) -> bool:
    """Tell whether the queued octets are one line of JSON about the event and merchant that its row names."""
    if len(queued.body) > _LONGEST or b"\n" in queued.body:
        return False
    try:
        event = orjson.loads(queued.body)
    except orjson.JSONDecodeError:
        return False
    return isinstance(event, dict) and (event.get("id"), event.get("merchant")) == (queued.event_id, queued.merchant_id)
