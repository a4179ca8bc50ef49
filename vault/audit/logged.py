"""An entry of the log, read back: its place, its octets, and the event in it.

It refuses to know the tree and the database. Invariant: what is no event exactly as the vault writes them is not taken
for one, whoever has put it into the queue; its octets are given all the same.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import orjson

from vault.audit import entry
from vault.audit.entry import Queued
from vault.audit.events import SCHEMA, ActorKind, Event, EventType, Origin, Outcome

_NO_TRACE: Final = b',"trace":""'  # which events of earlier versions do not have
_UNREADABLE: Final = (KeyError, TypeError, ValueError)


@dataclass(frozen=True, slots=True)
class Logged:
    """An entry in its place; `event` is None for what no vault has written."""

    place: int
    hash: bytes
    octets: bytes
    at: datetime
    event_id: str
    event: Event | None


def read(place: int, digest: bytes, octets: bytes) -> Logged:
    """Read the octets of a leaf that the sequencer has made; raises ValueError or KeyError for anything else."""
    said = orjson.loads(octets)
    at = datetime.strptime(said["at"], entry.TIME).replace(tzinfo=UTC)
    body = said.get("event", {})
    try:
        event, event_id = _event(body), body["id"]
        written = event.encode(event_id)
        if "trace" not in body:
            written = written.replace(_NO_TRACE, b"", 1)
        if octets == entry.encode(Queued(event_id, event.merchant_id, at, written)):
            return Logged(place, digest, octets, at, event_id, event)
    except _UNREADABLE:
        pass
    return Logged(place, digest, octets, at, "", None)


def _event(body: dict[str, Any]) -> Event:
    if body["schema"] != SCHEMA:
        raise ValueError("another schema")
    actor = body["actor"]
    request = (body["request"], body.get("trace", ""))
    origin = Origin(ActorKind(actor["kind"]), actor["id"], actor["key"], actor["address"], *request)
    return Event(
        EventType(body["type"]),
        origin,
        body["merchant"],
        tuple(body["objects"]),
        Outcome(body["outcome"]),
        body["reason"],
        body["details"],
    )
