"""Copies checkpoints to the anchor's file, in their order, as soon as they are signed and as often as it takes.

It refuses to know how they came about. Invariant: what the file holds is what tells how far it is, so that a crash
loses nothing; the row about it in the database is for people who want to see its lag (audit-log.md 3.10 F, controls.md
AUD-6).
"""

import socket
from datetime import UTC, datetime
from typing import Final

from keys.keyring import Keyring, Purpose
from vault.audit.events import ActorKind, Origin
from vault.audit.log_keys import LogKeys, name_of
from vault.audit.note import NoteInvalid
from vault.auditing.anchor import AnchorFile, AnchorUnavailable
from vault.auditing.patient import Trouble
from vault.db import Database
from vault.logs import alarm, get_logger
from vault.store import alarms, audit_log, audit_sinks
from vault.store.audit_log import Head
from vault.store.audit_sinks import Position, Sink, Told

_log = get_logger(__name__)
_BATCH: Final = 100
_ORIGIN: Final = Origin(ActorKind.WORKER, "audit")
_INSTALLATION: Final = ""


class Publisher:
    """Brings one anchor's file up to date."""

    def __init__(self, database: Database, keyring: Keyring, anchor: AnchorFile) -> None:
        self.sink = Sink(f"file:{anchor.path} ({socket.gethostname()})", Told.CHECKPOINTS)
        self._database = database
        self._keyring = keyring
        self._anchor = anchor

    async def once(self) -> bool:
        """Copy what the anchor lacks; True when there may be more. Trouble with the anchor is an alarm a day."""
        async with self._database.session() as session:
            head = await audit_log.head(session)
            if head is None:
                return False
            at = await audit_sinks.due(session, self.sink)
        if at is None:
            return False
        signers = await self._keyring.signers(_INSTALLATION, Purpose.AUDIT)
        keys = LogKeys(name_of(head.origin, head.epoch), tuple(each.public for each in signers))
        try:
            return await self._publish(keys, head, at)
        except AnchorUnavailable as error:
            await self._complain("audit_anchor_unavailable", error.trouble)
        except NoteInvalid:
            await self._complain("audit_anchor_foreign", Trouble.FOREIGN)
        return False

    async def _publish(self, keys: LogKeys, head: Head, at: Position) -> bool:
        newest = await self._anchor.newest(keys, head.epoch)
        async with self._database.session() as session:
            if newest is None:
                note = await audit_log.newest_checkpoint(session, head.epoch)
                notes = [note] if note else []
            else:
                notes = await audit_log.checkpoints_after(session, head.epoch, newest.tree.size, _BATCH)
        if notes:
            newest = await self._anchor.add(keys, head.epoch, notes)
        reached = Position(head.epoch, newest.tree.size + 1 if newest else 0)
        if reached != at:
            async with self._database.session() as session:
                await audit_sinks.delivered(session, self.sink, reached)
        return len(notes) == _BATCH

    async def _complain(self, code: str, trouble: Trouble) -> None:
        today = datetime.now(UTC).date().isoformat()
        async with self._database.session() as session:
            await audit_sinks.failed(session, self.sink, trouble)
            raised = await alarms.raise_alarm(session, _ORIGIN, _INSTALLATION, code, f"anchor_{today}", {})
        if raised:
            alarm(_log, code)
