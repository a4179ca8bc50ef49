"""What the API shows of the audit log.

It refuses to know rows. Invariant: beside what is read out of an entry there are the entry, octet for octet, and its
hash, so that nobody has to believe the reading.
"""

import base64
from datetime import datetime
from typing import Any

from vault.audit.events import ActorKind, EventType, Outcome
from vault.audit.logged import Logged
from vault.auditing.reading import Signed
from vault.routes.shapes import View


class AuditActorView(View):
    """Who did it: the kind of caller, its id, an operator's key, and the address that it came from."""

    kind: ActorKind
    id: str
    key: str
    address: str


class AuditEventView(View):
    """An event of the log; but for epoch, place, time, `entry` and `leafHash` all is null if no vault wrote it.

    `leafHash` is the SHA-256, in base64, of an octet 0 and the octets of `entry`.
    """

    epoch: int
    place: int
    at: datetime
    event_id: str | None
    type: EventType | None
    outcome: Outcome | None
    reason: str | None
    actor: AuditActorView | None
    request: str | None
    trace: str | None
    objects: list[str] | None
    details: dict[str, Any] | None
    entry: str
    leaf_hash: str

    @classmethod
    def of(cls, epoch: int, logged: Logged) -> "AuditEventView":
        """Show an entry."""
        event = logged.event
        origin = event.origin if event else None
        return cls(
            epoch=epoch,
            place=logged.place,
            at=logged.at,
            event_id=logged.event_id or None,
            type=event and event.type,
            outcome=event and event.outcome,
            reason=event and event.reason,
            actor=origin
            and AuditActorView(kind=origin.kind, id=origin.actor_id, key=origin.key_id, address=origin.address),
            request=origin and origin.request_id,
            trace=origin and origin.trace_id,
            objects=list(event.objects) if event else None,
            details=dict(event.details) if event else None,
            entry=logged.octets.decode(),
            leaf_hash=base64.b64encode(logged.hash).decode(),
        )


class AuditPage(View):
    """A page of signed events, oldest first; there is a cursor as long as there are events, to go on with later."""

    events: list[AuditEventView]
    next_cursor: str | None


class CheckpointView(View):
    """The newest checkpoint: the signed note as a whole, and the three things that it says."""

    origin: str
    size: int
    root: str
    note: str

    @classmethod
    def of(cls, signed: Signed) -> "CheckpointView":
        """Show a checkpoint."""
        tree = signed.checkpoint.tree
        root = base64.b64encode(tree.root).decode()
        return cls(origin=signed.checkpoint.origin, size=tree.size, root=root, note=signed.note)
