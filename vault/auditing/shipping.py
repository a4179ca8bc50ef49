"""Tells the log to receivers of syslog: events to a SIEM, checkpoints as an anchor, at least once and in order.

It refuses to know how the log comes about. Invariants: how far a receiver is stands in the database and moves only
when it has confirmed, so that a crash repeats and loses nothing; one that is slow gets less at a time, one that fails
is left alone for longer and longer, and nobody waits for either (audit-log.md 3.10 F, controls.md AUD-6).
"""

import re
import socket
import ssl
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

import orjson

from vault.audit.events import ActorKind, Origin
from vault.auditing.patient import Patient, trouble_of
from vault.auditing.syslog import Message, Severity, deliver, encoded
from vault.db import Database, Session
from vault.logs import alarm, get_logger
from vault.setting_kinds import SyslogAddress
from vault.store import alarms, audit_sinks
from vault.store.audit_sinks import Position, SentCheckpoint, SentLeaf, Sink, Told

_log = get_logger(__name__)
_ORIGIN: Final = Origin(ActorKind.WORKER, "audit")
_INSTALLATION: Final = ""
_MOST: Final = 1000
_STEPS: Final = 4  # connecting, the handshake, sending, the end
_TYPE: Final = re.compile(rb'"type":"([a-z._]{1,64})"')
_OUTCOME: Final = re.compile(rb'"outcome":"(failure|denied)"')


class Shipper:
    """Brings one receiver up to date; `patience` is in seconds, for each step of a delivery."""

    def __init__(
        self, database: Database, address: SyslogAddress, told: Told, tls: ssl.SSLContext, *, patience: float = 10.0
    ) -> None:
        self.sink = Sink(str(address), told)
        self._database = database
        self._address = address
        self._tls = tls
        self._patience = patience
        self._patient = Patient(patience * _STEPS)
        self._batch = _MOST
        self._host = socket.gethostname()

    async def once(self) -> bool:
        """Send a batch of what the receiver lacks; True when there may be more."""
        async with self._database.session() as session:
            at = await audit_sinks.due(session, self.sink)
            lacking = await self._lacking(session, at) if at else []
            lease = self._patience * (_STEPS + 1)
            if at is None or not lacking or not await audit_sinks.claim(session, self.sink, at, seconds=lease):
                return False
        messages = [encoded(_message(each), self._host) for each in lacking]
        try:
            await self._patient.run(lambda: deliver(self._address, self._tls, messages, patience=self._patience))
        except OSError as error:
            await self._complain(error)
            return False
        self._batch = min(self._batch * 2, _MOST)
        async with self._database.session() as session:
            await audit_sinks.delivered(session, self.sink, _behind(lacking[-1]))
        return True

    async def _lacking(self, session: Session, at: Position) -> Sequence[SentLeaf | SentCheckpoint]:
        if self.sink.told is Told.EVENTS:
            return await audit_sinks.leaves(session, at, self._batch)
        return await audit_sinks.checkpoints(session, at, self._batch)

    async def _complain(self, error: OSError) -> None:
        """Note the trouble, raise an alarm a day, and try it with less the next time."""
        self._batch = max(self._batch // 2, 1)
        trouble = trouble_of(error)
        today = datetime.now(UTC).date().isoformat()
        object_id = f"{self.sink.told}_{self._address.host}_{today}"
        async with self._database.session() as session:
            await audit_sinks.failed(session, self.sink, trouble)
            raised = await alarms.raise_alarm(
                session, _ORIGIN, _INSTALLATION, "audit_sink_unavailable", object_id, {"trouble": trouble}
            )
        if raised:
            alarm(_log, "audit_sink_unavailable", object_id=object_id, reason=trouble.value)


def _behind(last: SentLeaf | SentCheckpoint) -> Position:
    return Position(last.epoch, (last.place if isinstance(last, SentLeaf) else last.size) + 1)


def _message(told: SentLeaf | SentCheckpoint) -> Message:
    """Put what is told into words: JSON with the entry's octets as they were hashed, or with the checkpoint's note."""
    if isinstance(told, SentCheckpoint):
        text = orjson.dumps({"epoch": told.epoch, "size": told.size, "note": told.note})
        return Message(Severity.NOTICE, told.signed_at, "audit.checkpoint", told.size, text)
    kind = _TYPE.search(told.entry)
    name = kind[1].decode() if kind else "unreadable"
    text = b'{"epoch":%d,"place":%d,"entry":%b}' % (told.epoch, told.place, told.entry)
    return Message(_severity(name, told.entry), told.occurred_at, name, told.place, text)


def _severity(name: str, entry: bytes) -> Severity:
    if name == "alarm.raised":
        return Severity.ALERT
    return Severity.WARNING if name == "unreadable" or _OUTCOME.search(entry) else Severity.NOTICE
