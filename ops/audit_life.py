"""What operators change about the audit log as a whole: a new epoch, another key, old entries that are pruned.

It refuses to know the command line. Invariants: an epoch and a pruning need what the policy asks for; nothing is pruned
that a verified export does not hold; a key hands over with its own signature (audit-log.md 3.10 G, H and J).
"""

import hashlib
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from keys.keyring import Purpose
from ops.auditing import auditors_database, verified
from ops.operating import operator_origin, under_control, with_database
from ops.refusal import Refused
from vault import custody
from vault.approval import Operation
from vault.audit.events import Detail, Event, EventType
from vault.audit.log_keys import name_of, rotation
from vault.audit.merkle import Range
from vault.audit.note import NoteKey
from vault.custody import INSTALLATION
from vault.db import Database
from vault.ids import key_name
from vault.settings import Settings
from vault.store import audit, audit_epochs, audit_pruning, keys

_BATCH: Final = 10_000


class Reason(StrEnum):
    """Why the log has to begin anew."""

    RESTORED = "restored"
    DAMAGED = "damaged"
    REWRITTEN = "rewritten"


def new_epoch(reason: Reason) -> dict[str, Any]:
    """Allow workers to begin the log anew; raises `Refused` where there is none, or that was done."""
    epoch = with_database(_current)[0] + 1

    async def run(_: Settings, database: Database) -> dict[str, Any]:
        async with database.transaction() as transaction:
            if not await audit_epochs.grant(transaction, epoch, reason):
                raise Refused(f"epoch {epoch} may begin already: a worker has to run")
            details: dict[str, Detail] = {"from": epoch - 1, "to": epoch}
            event = Event(
                EventType.AUDIT_EPOCH_GRANTED, operator_origin(), INSTALLATION, reason=reason, details=details
            )
            await audit.append(transaction, event)
        return {"epoch": epoch, "reason": reason.value}

    return under_control(Operation.AUDIT_EPOCH, {"epoch": epoch, "reason": reason.value}, run)


def rotate_key() -> dict[str, Any]:
    """Replace the log's key; gives the new one as verifiers take it. Raises `Refused` and `KeysError`."""

    async def run(settings: Settings, database: Database) -> dict[str, Any]:
        epoch, origin = await _current(settings, database)
        name = name_of(origin, epoch)
        keyring = await custody.open_keyring(settings, database)
        old = await keyring.signer(INSTALLATION, Purpose.AUDIT)
        successor = keyring.successor(INSTALLATION, Purpose.AUDIT)
        new = keyring.prospective(successor)
        retired, active = (str(NoteKey(name, each.public)) for each in (old, new))
        event = Event(
            EventType.AUDIT_KEY_ROTATED, operator_origin(), INSTALLATION, details={"from": retired, "to": active}
        )
        async with database.transaction() as transaction:
            if not await keys.rotate(transaction, old.key_id, successor, operator_origin()):
                raise Refused("somebody else has replaced the key at this moment: look at it again")
            await audit_epochs.keep_rotation(transaction, successor.key_id, rotation(name, old, new))
            await audit.append(transaction, event)
        return {"retired": retired, "key": active, "keyId": key_name(successor.key_id)}

    return with_database(run)


def prune(folder: Path, keys: Sequence[str]) -> dict[str, Any]:
    """Delete the octets of old entries that an export in a folder holds; raises `Refused` unless it is valid."""
    manifest, digest = _verified(folder, keys)

    async def run(settings: Settings, database: Database) -> dict[str, Any]:
        start, end = await _prunable(settings, manifest)
        for place in range(start, end, _BATCH):
            batch = Range(place, min(place + _BATCH, end))
            details: dict[str, Detail] = {"from": batch.start, "to": batch.end, "manifest": digest}
            event = Event(EventType.AUDIT_PRUNED, operator_origin(), INSTALLATION, details=details)
            async with database.transaction() as transaction:
                await audit.append(transaction, event)
                await audit_pruning.prune(transaction, manifest["epoch"], batch)
        return {"epoch": manifest["epoch"], "from": start, "to": end, "manifest": digest}

    parameters = {"epoch": manifest["epoch"], "from": manifest["from"], "to": manifest["to"], "manifest": digest}
    return under_control(Operation.AUDIT_PRUNE, parameters, run)


async def _prunable(settings: Settings, manifest: dict[str, Any]) -> Range:
    """Give the places of an export that are old enough and still there, as an auditor sees them."""
    days = settings.audit_online_days
    async with auditors_database(settings) as database, database.session() as session:
        start = await audit_pruning.pruned(session, manifest["epoch"])
        held = Range(start, manifest["to"])
        before = datetime.now(UTC) - timedelta(days=days)
        end = await audit_pruning.old_until(session, manifest["epoch"], held, before)
    if start >= end:
        raise Refused(f"nothing of this export is older than {days} days and still there")
    if start < manifest["from"]:
        raise Refused(f"entries from {start} on are still there, and the export begins at {manifest['from']}")
    return Range(start, end)


def _verified(folder: Path, keys: Sequence[str]) -> tuple[dict[str, Any], str]:
    """Give an export's manifest and its digest, once the offline verifier has found it valid and everybody's."""
    code, said = verified([str(folder)], keys)
    if code != 0:
        raise Refused(f"{folder} is no export that could stand for entries; {said.strip()}")
    text = (folder / "manifest.json").read_bytes()
    manifest: dict[str, Any] = json.loads(text)
    if manifest["merchant"] is not None:
        raise Refused(f"{folder} holds one merchant's entries alone: export without --merchant")
    return manifest, hashlib.sha256(text).hexdigest()


async def _current(_: Settings, database: Database) -> tuple[int, str]:
    async with database.session() as session:
        current = await audit_epochs.current(session)
    if current is None:
        raise Refused("the log has not begun: a worker has to run")
    return current
