"""The life of data keys: rotation by hand, by age and by use.

It refuses to know what is sealed and the command line. Invariants: a rotation takes effect at once and in every
process, because what is sealed under a retired key is not inserted; it changes no sealed row (that is
`vault.reencryption`'s).
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

from keys.keyring import DEFAULT_LIMIT, Keyring, Purpose
from vault.audit.events import Origin
from vault.db import Database
from vault.store import key_life, keys
from vault.store.key_life import ActiveKey

DATA: Final = frozenset({Purpose.CARD, Purpose.CREDENTIAL})
FINGERPRINT: Final = frozenset({Purpose.FINGERPRINT})
_WORN: Final = DEFAULT_LIMIT * 3 // 4


@dataclass(frozen=True, slots=True)
class Rotation:
    """A key that was retired, and the one that took its place."""

    retired: ActiveKey
    successor: bytes


class KeyLife:
    """Operators' and workers' changes to data keys."""

    def __init__(self, database: Database, keyring: Keyring, origin: Origin) -> None:
        self._database = database
        self._keyring = keyring
        self._origin = origin

    async def rotate(self, purposes: Collection[Purpose], merchant_id: str | None) -> list[Rotation]:
        """Rotate the active keys of these purposes, of one merchant or (None) of all (controls.md KEY-7)."""
        async with self._database.session() as session:
            active = await key_life.active(session, purposes, merchant_id)
        return await self._replace(active)

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
