"""The installation's keys: made once by an operator, opened at the start of every process.

It refuses to know what is sealed. Invariants: the root key leaves the seal only into memory, after the primitives
passed their known answers and its check value matched; what opens it is never in the database (controls.md KEY-3).
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Final

from keys import selftest
from keys.errors import KeysError, KeyUnavailable
from keys.keyring import Keyring, Purpose, new_data_key
from keys.rootkey import RootKey
from vault import unsealing
from vault.audit.events import Detail, Event, EventType, Origin
from vault.db import Database, Transaction
from vault.errors import Conflict
from vault.ids import key_name
from vault.settings import Settings
from vault.store import keys
from vault.store.keys import KeyStore

INSTALLATION: Final = ""
_INSTALLATION_PURPOSES: Final = (Purpose.FINGERPRINT, Purpose.AUDIT)
_REOPEN_SECONDS: Final = 10.0
_MERCHANT_PURPOSES: Final = (Purpose.CARD, Purpose.CREDENTIAL, Purpose.FINGERPRINT)


async def open_roots(settings: Settings, database: Database) -> dict[bytes, RootKey]:
    """Open every root key that is in use; raises `SealError`, or `KeyUnavailable` before `cardvault keys init`.

    A wrap that does not open, or opens to another key than the one on record, leaves an alarm behind; so does a seal
    that fails beside one that opens.
    """
    await asyncio.to_thread(selftest.run)
    async with database.session() as session:
        wraps = await keys.roots(session)
    return await unsealing.root_keys(settings, database, wraps)


class _Reopening:
    """Opens the root keys again when a data key names one that the process has not: somebody rotated it.

    At most every ten seconds, so that a seal that is gone is not asked with every request (T-17).
    """

    def __init__(self, settings: Settings, database: Database, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._database = database
        self._clock = clock
        self._lock = asyncio.Lock()
        self._opened: dict[bytes, RootKey] = {}
        self._next = clock()

    async def __call__(self) -> Mapping[bytes, RootKey]:
        """Give the root keys as they are now, or as they were a moment ago; `KeyUnavailable` when they do not open."""
        async with self._lock:
            if self._clock() >= self._next:
                self._next = self._clock() + _REOPEN_SECONDS
                try:
                    self._opened = await open_roots(self._settings, self._database)
                except KeysError:
                    raise KeyUnavailable from None
            return self._opened


async def open_keyring(settings: Settings, database: Database) -> Keyring:
    """Give the keyring that services seal and open with."""
    roots = await open_roots(settings, database)
    keyring = Keyring(roots, KeyStore(database), settings.environment)
    keyring.learn_roots_from(_Reopening(settings, database))
    return keyring


async def initialise(settings: Settings, database: Database, origin: Origin) -> bytes:
    """Make the root key and the installation's own data keys; gives the root key's id.

    Every configured seal guards it; a keystore file, or a key in a token, that is not there yet is made.

    Raises `Conflict` when the installation has its keys already: they are never replaced by this.
    """
    await asyncio.to_thread(selftest.run)
    async with database.session() as session:
        present = await keys.roots(session)
    if present:
        if await complete(settings, database, origin):
            return present[0].key_id
        raise Conflict("This installation has its keys already.")
    root = RootKey.generate(version=1)
    wraps = [await unsealing.guard(root, each, settings.environment, create=True) for each in settings.seals]
    seals = " ".join(wrap.seal for wrap in wraps)
    details: dict[str, Detail] = {"version": 1, "seal": seals, "key_id": key_name(root.key_id)}
    event = Event(EventType.ROOT_KEY_CREATED, origin, INSTALLATION, details=details)
    async with database.transaction() as transaction:
        await keys.insert_root(transaction, wraps, event)
        for purpose in _INSTALLATION_PURPOSES:
            await _create(transaction, root, INSTALLATION, purpose, settings, origin)
    return root.key_id


async def complete(settings: Settings, database: Database, origin: Origin) -> bool:
    """Make those of the installation's own keys that an earlier version did not have; False when none is missing."""
    async with database.session() as session:
        missing = [each for each in _INSTALLATION_PURPOSES if not await keys.has_active(session, INSTALLATION, each)]
    if missing:
        root = max((await open_roots(settings, database)).values(), key=lambda each: each.version)
        async with database.transaction() as transaction:
            for purpose in missing:
                await _create(transaction, root, INSTALLATION, purpose, settings, origin)
    return bool(missing)


async def create_merchant_keys(
    transaction: Transaction, root: RootKey, merchant_id: str, settings: Settings, origin: Origin
) -> None:
    """Make a merchant's data keys, one for each purpose."""
    for purpose in _MERCHANT_PURPOSES:
        await _create(transaction, root, merchant_id, purpose, settings, origin)


async def _create(
    transaction: Transaction, root: RootKey, merchant_id: str, purpose: Purpose, settings: Settings, origin: Origin
) -> None:
    key = new_data_key(root, merchant_id, purpose, settings.environment)
    details = {"purpose": purpose.value, "key_id": key_name(key.key_id)}
    await keys.insert_data_key(
        transaction, key, Event(EventType.DATA_KEY_CREATED, origin, merchant_id, details=details)
    )
