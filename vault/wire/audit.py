"""What may be asked of the audit log.

It refuses to know rows. Invariant: only names of events and ids can be asked for, no free text.
"""

from typing import Annotated

from pydantic import Field

from vault.audit.events import EventType, Outcome
from vault.wire.fields import CursorText, Moment, Reference, Wire


class AuditQuery(Wire):
    """`GET /v1/audit/events`: which events, and which page of them; `objectId` is any id of the vault that it names."""

    type: EventType | None = None
    outcome: Outcome | None = None
    object_id: Reference | None = None
    created_from: Moment | None = None
    created_to: Moment | None = None
    limit: Annotated[int, Field(ge=1, le=100)] = 20
    cursor: CursorText | None = None
