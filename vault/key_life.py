"""The life of data keys: rotation by hand, by age and by use; compromise; destruction.

It refuses to know what is sealed and the command line. Invariants: a rotation takes effect at once and in every
process, because what is sealed under a retired key is not inserted; it changes no sealed row (that is
`vault.reencryption`'s); a key that is needed is not destroyed, and one that is not has time to be found needed.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from keys.keyring import DEFAULT_LIMIT, Keyring, KeyState, Purpose
from vault.audit.events import Event, EventType, Origin
from vault.db import Database, StatementFailed, Transaction
from vault.errors import Conflict, NotFound
from vault.ids import key_name
from vault.logs import alarm, get_logger
from vault.reencryption import begin, writers_ended
from vault.store import alarms, audit, key_inventory, key_life, keys
from vault.store.key_life import ActiveKey, Standing
from vault.store.reencryption import Job

_log = get_logger(__name__)

DATA: Final = frozenset({Purpose.CARD, Purpose.CREDENTIAL})
FINGERPRINT: Final = frozenset({Purpose.FINGERPRINT})
_WORN: Final = DEFAULT_LIMIT * 3 // 4
_FOREIGN_KEY_VIOLATION: Final = "23503"


@dataclass(frozen=True, slots=True)
class Rotation:
    """A key that was retired, and the one that took its place."""

    retired: ActiveKey
    successor: bytes


@dataclass(frozen=True, slots=True)
class Compromise:
    """A key that is not trusted any more: what replaces what it sealed, by when, and whether late writers are gone."""

    deadline: datetime
    job: Job
    settled: bool


class KeyLife:
    """Operators' and workers' changes to data keys."""

    def __init__(self, database: Database, keyring: Keyring, origin: Origin) -> None:
        self._database = database
        self._keyring = keyring
        self._origin = origin
        self._needed: set[bytes] = set()

    async def rotate(
        self, purposes: Collection[Purpose], merchant_id: str | None, *, before: datetime | None = None
    ) -> list[Rotation]:
        """Rotate the active keys of these purposes, of one merchant or (None) of all (controls.md KEY-7).

        With a moment, only those that were made before it.
        """
        async with self._database.session() as session:
            active = await key_life.active(session, purposes, merchant_id)
        return await self._replace([key for key in active if before is None or key.created_at < before])

    async def rotate_worn(self, *, days: int) -> list[Rotation]:
        """Rotate the keys that are too old, or near their limit of uses (controls.md CRY-2, CRY-9)."""
        async with self._database.session() as session:
            worn = await key_life.worn(session, DATA | FINGERPRINT, days=days, uses=_WORN)
        return await self._replace(worn)

    async def _replace(self, active: Sequence[ActiveKey]) -> list[Rotation]:
        """Replace keys one by one, each in a transaction of its own; one that somebody else replaced is left out."""
        done = []
        for key in active:
            successor = self._keyring.successor(key.merchant_id, key.purpose)
            async with self._database.transaction() as transaction:
                rotated = await keys.rotate(transaction, key.key_id, successor, self._origin)
            if rotated:
                self._keyring.forget(key.merchant_id, key.purpose, key.key_id)
                done.append(Rotation(key, successor.key_id))
        return done

    async def compromise(self, key_id: bytes, *, days: int) -> Compromise:
        """Take a key out of use for good, and have what it sealed sealed again within so many days (KEY-8, KEY-9).

        Once this returns `settled`, no process can insert anything under it. Raises `NotFound` and `Conflict`.
        """
        async with self._database.transaction() as transaction:
            key = await self._locked(transaction, key_id)
            if key.state is KeyState.COMPROMISED:
                raise Conflict("This key is marked as compromised already.")
            if key.state is KeyState.ACTIVE:
                successor = self._keyring.successor(key.merchant_id, key.purpose)
                await keys.rotate(transaction, key_id, successor, self._origin)
            deadline = await key_life.compromise(transaction, key_id, days=days)
            job = await begin(transaction, self._origin, deadline=deadline)
            await audit.append(transaction, self._event(EventType.DATA_KEY_COMPROMISED, key))
            details = {"purpose": key.purpose.value, "was": key.state.value, "job": job.id}
            await alarms.raise_alarm(
                transaction, self._origin, key.merchant_id, "key_compromised", key_name(key_id), details
            )
        alarm(_log, "key_compromised", object_id=key_name(key_id), merchant_id=key.merchant_id)
        self._keyring.forget(key.merchant_id, key.purpose)
        return Compromise(deadline, job, await writers_ended(self._database))

    async def schedule_destruction(self, key_id: bytes, *, days: int) -> datetime:
        """Have a key that no row needs destroyed in so many days; workers do it then.

        Raises `NotFound`, and `Conflict` for a key that is active, needed, destroyed or scheduled already.
        """
        async with self._database.transaction() as transaction:
            key = await self._locked(transaction, key_id)
            if key.state is KeyState.ACTIVE:
                raise Conflict("This key is in use: rotate it first.")
            if key.destroy_after is not None:
                raise Conflict("The destruction of this key is scheduled already.")
            rows = (await key_inventory.row_counts(transaction)).get(key_id)
            if rows:
                needed = ", ".join(f"{place}: {count}" for place, count in rows.items())
                raise Conflict(
                    f"Rows still need this key ({needed}): run cardvault keys reencrypt, or wait for their end."
                )
            moment = await key_life.schedule(transaction, key_id, days=days)
            await audit.append(transaction, self._event(EventType.DESTRUCTION_SCHEDULED, key))
        return moment

    async def undo_destruction(self, key_id: bytes) -> None:
        """Take a scheduled destruction back; raises `NotFound`, and `Conflict` where none is scheduled."""
        async with self._database.transaction() as transaction:
            key = await self._locked(transaction, key_id)
            if key.destroy_after is None:
                raise Conflict("No destruction of this key is scheduled.")
            await key_life.unschedule(transaction, key_id)
            await audit.append(transaction, self._event(EventType.DESTRUCTION_UNDONE, key))

    async def destroy_retired(self, before: datetime) -> int:
        """Destroy what sealed until it was retired and was made before a moment, without a waiting period.

        Gives how many. Raises `Conflict` while a row needs one, or while one is still in use. For `vault.shredding`,
        where others have approved exactly this.
        """
        async with self._database.session() as session:
            older = await key_life.standing(session, DATA, before)
        for key in older:
            if key.state is KeyState.ACTIVE:
                raise Conflict("A key that was to be retired is still in use: run this again.")
            try:
                async with self._database.transaction() as transaction:
                    await self._locked(transaction, key.key_id)
                    await key_life.schedule(transaction, key.key_id, days=0)
                    if not await key_life.destroy(transaction, key.key_id):
                        raise Conflict("The database keeps a retired key: check its clock, and run this again.")
                    await audit.append(transaction, self._event(EventType.DATA_KEY_DESTROYED, key))
            except StatementFailed as refused:
                if refused.sqlstate != _FOREIGN_KEY_VIOLATION:
                    raise
                raise Conflict("Rows still need a retired key: run this again.") from None
        return len(older)

    async def destroy_doomed(self) -> None:
        """Destroy the keys whose waiting period is over; one that a row needs after all is alarmed and stays."""
        async with self._database.session() as session:
            doomed = await key_life.doomed(session)
        for key in doomed:
            if key.key_id not in self._needed:
                await self._destroy(key)

    async def _destroy(self, key: Standing) -> None:
        try:
            async with self._database.transaction() as transaction:
                if await key_life.destroy(transaction, key.key_id):
                    await audit.append(transaction, self._event(EventType.DATA_KEY_DESTROYED, key))
        except StatementFailed as refused:
            if refused.sqlstate != _FOREIGN_KEY_VIOLATION:
                raise
        else:
            return
        self._needed.add(key.key_id)
        name = key_name(key.key_id)
        async with self._database.session() as session:
            details = {"purpose": key.purpose.value}
            if await alarms.raise_alarm(session, self._origin, key.merchant_id, "key_still_needed", name, details):
                alarm(_log, "key_still_needed", object_id=name, merchant_id=key.merchant_id)

    async def _locked(self, transaction: Transaction, key_id: bytes) -> Standing:
        key = await key_life.lock(transaction, key_id)
        if key is None:
            raise NotFound("No data key has this id: see cardvault keys status.")
        if key.purpose not in DATA | FINGERPRINT:
            raise Conflict("This key neither seals nor recognises anything: it is not changed by this.")
        if key.state is KeyState.DESTROYED:
            raise Conflict("This key is destroyed.")
        return key

    def _event(self, kind: EventType, key: Standing) -> Event:
        details = {"purpose": key.purpose.value, "key_id": key_name(key.key_id)}
        return Event(kind, self._origin, key.merchant_id, details=details)
