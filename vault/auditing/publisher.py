"""Copies checkpoints to the anchor, in their order, as soon as they are signed and as often as it takes.

It refuses to know how they came about. Invariant: what the anchor holds is what tells how far it is, so that a crash
loses nothing and nothing has to be remembered (audit-log.md 3.10 F, controls.md AUD-6).
"""

from datetime import UTC, datetime
from typing import Final

from keys.keyring import Keyring, Purpose
from vault.audit.events import ActorKind, Origin
from vault.audit.note import NoteInvalid, NoteKey
from vault.auditing.anchor import AnchorFile, AnchorUnavailable
from vault.db import Database
from vault.logs import alarm, get_logger
from vault.store import alarms, audit_log

_log = get_logger(__name__)
_BATCH: Final = 100
_ORIGIN: Final = Origin(ActorKind.WORKER, "audit")
_INSTALLATION: Final = ""


class Publisher:
    """Brings one anchor up to date."""

    def __init__(self, database: Database, keyring: Keyring, anchor: AnchorFile) -> None:
        self._database = database
        self._keyring = keyring
        self._anchor = anchor

    async def once(self) -> bool:
        """Copy what the anchor lacks; True when there may be more. Trouble with the anchor is an alarm a day."""
        async with self._database.session() as session:
            head = await audit_log.head(session)
        if head is None:
            return False
        signer = await self._keyring.signer(_INSTALLATION, Purpose.AUDIT)
        key = NoteKey(head.origin, signer.public)
        try:
            return await self._publish(key, head.epoch)
        except AnchorUnavailable:
            await self._complain("audit_anchor_unavailable")
        except NoteInvalid:
            await self._complain("audit_anchor_foreign")
        return False

    async def _publish(self, key: NoteKey, epoch: int) -> bool:
        newest = await self._anchor.newest(key)
        async with self._database.session() as session:
            if newest is None:
                note = await audit_log.newest_checkpoint(session, epoch)
                notes = [note] if note else []
            else:
                notes = await audit_log.checkpoints_after(session, epoch, newest.tree.size, _BATCH)
        if notes:
            await self._anchor.add(key, notes)
        return len(notes) == _BATCH

    async def _complain(self, code: str) -> None:
        today = datetime.now(UTC).date().isoformat()
        async with self._database.session() as session:
            if await alarms.raise_alarm(session, _ORIGIN, _INSTALLATION, code, f"anchor_{today}", {}):
                alarm(_log, code)
