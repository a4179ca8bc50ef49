"""Whether this process can do its work: database, keys and the insertion of an audit event, each really tried.

It refuses to know HTTP. Invariant: a check leaves nothing behind (design section 4, `/readyz`).
"""

import asyncio
from dataclasses import dataclass
from typing import Final, NoReturn

from keys.errors import KeysError
from keys.keyring import Keyring, Label
from vault.audit.events import ActorKind, Event, EventType, Origin
from vault.custody import INSTALLATION
from vault.db import Database, StatementFailed
from vault.errors import VaultError
from vault.store import audit

_PATIENCE: Final = 2.0


class _Rehearsed(Exception):
    """Rolls the rehearsal of an insertion back."""


def _roll_back() -> NoReturn:
    raise _Rehearsed


@dataclass(frozen=True, slots=True)
class Health:
    """What works and what does not."""

    database: bool
    keys: bool
    audit: bool

    @property
    def ready(self) -> bool:
        """Tell whether everything works."""
        return self.database and self.keys and self.audit


async def examine(database: Database, keyring: Keyring) -> Health:
    """Try everything; what takes longer than two seconds does not work."""
    try:
        async with asyncio.timeout(_PATIENCE):
            return Health(await _database(database), await _keys(keyring), await _audit(database))
    except TimeoutError:
        return Health(database=False, keys=False, audit=False)


async def _database(database: Database) -> bool:
    try:
        async with database.session() as session:
            return bool(await session.value("select true"))
    except VaultError:
        return False


async def _keys(keyring: Keyring) -> bool:
    try:
        await keyring.digest(INSTALLATION, Label.API_SECRET, b"readiness")
    except (KeysError, VaultError):
        return False
    return True


async def _audit(database: Database) -> bool:
    event = Event(EventType.ACCESS_DENIED, Origin(ActorKind.ANONYMOUS), INSTALLATION, reason="rehearsal")
    try:
        async with database.transaction() as transaction:
            await audit.append(transaction, event)
            _roll_back()
    except _Rehearsed:
        return True
    except (StatementFailed, VaultError):
        return False
