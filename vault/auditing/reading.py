"""A merchant's own view of the audit log: its signed events, the newest checkpoint, and the proof of one event.

It refuses to know HTTP and keys: who asks verifies signatures with a key that came from elsewhere. Invariants: only
what a checkpoint covers is shown, so that everything shown can be proved; what is read is read in the role
`cardvault_auditor`, and is an event itself before it is released (controls.md AUD-1, AUD-4).
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from vault.audit.events import Event, EventType
from vault.audit.logged import Logged, read
from vault.audit.merkle import inclusion
from vault.audit.note import Checkpoint, NoteInvalid
from vault.auditing.stored_tree import StoredTree, StoredTreeBroken
from vault.auth import Caller
from vault.db import Database, Session
from vault.errors import IntegrityFailure, NotFound
from vault.store import audit, audit_log, audit_view
from vault.store.audit_log import Leaf
from vault.store.audit_view import LogFilter

_PROOF: Final = "c2sp.org/tlog-proof@v1"
_UNSIGNED: Final = "Nothing of the audit log is signed yet: a worker does that within seconds."
_UNKNOWN: Final = "No signed event of yours has this id; new ones are signed within seconds."


@dataclass(frozen=True, slots=True)
class Signed:
    """The newest checkpoint: its note, and what the note says."""

    epoch: int
    note: str
    checkpoint: Checkpoint


class Behind(NamedTuple):
    """Where a page goes on: an epoch, and the last place of it that was shown."""

    epoch: int = 1
    place: int = -1


@dataclass(frozen=True, slots=True)
class Listed:
    """A page of events, all of one epoch."""

    epoch: int
    entries: Sequence[Logged]


class AuditReading:
    """The service behind `/v1/audit`, on a pool in the auditors' role."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def close(self) -> None:
        """Close the pool."""
        await self._database.close()

    async def listed(self, caller: Caller, wanted: LogFilter, after: Behind, limit: int) -> Listed:
        """Give the merchant's signed events behind a place, oldest first; a page is of one epoch."""
        found: list[Leaf] = []
        epoch, place = after
        async with self._database.session() as session:
            newest = await _signed(session)
            if newest is None:
                return Listed(epoch, [])
            while True:
                signed = newest if epoch == newest.epoch else await _signed_in(session, epoch)
                bounds = (signed.checkpoint.tree.size if signed else 0, limit)
                found = await audit_view.listed(session, (epoch, caller.merchant_id), wanted, place, bounds)
                if found or epoch == newest.epoch:
                    break
                epoch, place = epoch + 1, -1
            await _record(session, caller, "list_audit_events")
        return Listed(epoch, [read(leaf.place, leaf.hash, leaf.octets) for leaf in found])

    async def checkpoint(self) -> Signed:
        """Give the newest checkpoint; raises `NotFound` before the first one."""
        async with self._database.session() as session:
            signed = await _signed(session)
        if signed is None:
            raise NotFound(_UNSIGNED)
        return signed

    async def proof(self, caller: Caller, event_id: str) -> str:
        """Give the proof that a merchant's event is in the log, with the entry itself as its extra data.

        The form is c2sp.org/tlog-proof; the checkpoint is the newest of the event's epoch. Raises `NotFound`, also for
        an event that no checkpoint covers yet.
        """
        async with self._database.session() as session:
            found = await audit_view.leaf_of(session, caller.merchant_id, event_id)
            signed = await _signed_in(session, found[0]) if found else None
            if found is None or signed is None or found[1].place >= signed.checkpoint.tree.size:
                raise NotFound(_UNKNOWN)
            leaf = found[1]
            tree = StoredTree(session, signed.epoch)
            try:
                hashes = [await tree.hash_of(each) for each in inclusion(leaf.place, signed.checkpoint.tree.size)]
            except StoredTreeBroken:
                raise IntegrityFailure from None
            await _record(session, caller, "get_audit_proof", event_id)
        lines = [_PROOF, f"extra {_text(leaf.octets)}", f"index {leaf.place}", *map(_text, hashes)]
        return "\n".join([*lines, "", signed.note])


async def _signed(session: Session) -> Signed | None:
    head = await audit_log.head(session)
    return await _signed_in(session, head.epoch) if head else None


async def _signed_in(session: Session, epoch: int) -> Signed | None:
    note = await audit_log.newest_checkpoint(session, epoch)
    if note is None:
        return None
    try:
        return Signed(epoch, note, Checkpoint.parse(note.rpartition("\n\n")[0] + "\n"))
    except NoteInvalid:
        raise IntegrityFailure from None


async def _record(session: Session, caller: Caller, operation: str, *objects: str) -> None:
    details = {"operation": operation}
    await audit.append(
        session, Event(EventType.AUDIT_READ, caller.origin, caller.merchant_id, objects, details=details)
    )


def _text(octets: bytes) -> str:
    return base64.b64encode(octets).decode()
