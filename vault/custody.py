"""The installation's keys: made once by an operator, opened at the start of every process.

It refuses to know what is sealed. Invariants: the root key leaves the seal only into memory, after the primitives
passed their known answers and its check value matched; what opens it is never in the database (controls.md KEY-3).
"""

import asyncio
from typing import Final

from keys import selftest
from keys.errors import CannotOpen, KeyUnavailable, RootKeyMismatch
from keys.keyring import Keyring, Purpose, new_data_key
from keys.rootkey import RootKey
from keys.seals.keystore import Passphrase
from keys.seals.local import LocalSeal
from vault.audit.events import ActorKind, Detail, Event, EventType, Origin
from vault.db import Database, Transaction
from vault.errors import Conflict
from vault.ids import key_name
from vault.opening import report_damaged_key
from vault.settings import Settings
from vault.store import keys
from vault.store.keys import KeyStore, WrappedRoot

INSTALLATION: Final = ""
_STARTING: Final = Origin(ActorKind.WORKER, "start")
_INSTALLATION_PURPOSES: Final = (Purpose.FINGERPRINT, Purpose.AUDIT)
_MERCHANT_PURPOSES: Final = (Purpose.CARD, Purpose.CREDENTIAL, Purpose.FINGERPRINT)


def _passphrase(settings: Settings) -> Passphrase:
    return Passphrase(settings.seal_passphrase_file.read_text().rstrip("\r\n"))


async def open_seal(settings: Settings) -> LocalSeal:
    """Open the keystore; the stretching of the passphrase takes its time in a thread. Raises `SealError`."""
    return await asyncio.to_thread(LocalSeal.load, settings.keystore_path, _passphrase(settings))


async def open_roots(settings: Settings, database: Database) -> dict[bytes, RootKey]:
    """Open every root key that is in use; raises `SealError`, or `KeyUnavailable` before `cardvault keys init`.

    A wrap that does not open, or opens to another key than the one on record, leaves an alarm behind.
    """
    await asyncio.to_thread(selftest.run)
    async with database.session() as session:
        wrapped = await keys.roots(session)
    if not wrapped:
        raise KeyUnavailable
    seal = await open_seal(settings)
    try:
        return {root.key_id: _unwrapped(seal, root, settings) for root in wrapped if root.seal == seal.name}
    except (CannotOpen, RootKeyMismatch):
        await report_damaged_key(database, _STARTING)
        raise


def _unwrapped(seal: LocalSeal, root: WrappedRoot, settings: Settings) -> RootKey:
    return seal.unwrap_root(
        root.wrapped,
        key_id=root.key_id,
        version=root.version,
        environment=settings.environment,
        check_value=root.check_value,
    )


async def open_keyring(settings: Settings, database: Database) -> Keyring:
    """Give the keyring that services seal and open with."""
    return Keyring(await open_roots(settings, database), KeyStore(database), settings.environment)


async def initialise(settings: Settings, database: Database, origin: Origin) -> bytes:
    """Make the keystore if there is none, the root key and the installation's own data keys; gives the root key's id.

    Raises `Conflict` when the installation has its keys already: they are never replaced by this.
    """
    await asyncio.to_thread(selftest.run)
    async with database.session() as session:
        present = await keys.roots(session)
    if present:
        if await complete(settings, database, origin):
            return present[0].key_id
        raise Conflict("This installation has its keys already.")
    path = settings.keystore_path
    make = LocalSeal.load if path.exists() else LocalSeal.create
    seal = await asyncio.to_thread(make, path, _passphrase(settings))
    root = RootKey.generate(version=1)
    wrap = seal.wrap_root(root, settings.environment)
    seal_again = await open_seal(settings)
    seal_again.unwrap_root(
        wrap, key_id=root.key_id, version=1, environment=settings.environment, check_value=root.check_value()
    )
    details: dict[str, Detail] = {"version": 1, "seal": seal.name, "key_id": key_name(root.key_id)}
    event = Event(EventType.ROOT_KEY_CREATED, origin, INSTALLATION, details=details)
    async with database.transaction() as transaction:
        await keys.insert_root(transaction, WrappedRoot(root.key_id, 1, root.check_value(), seal.name, wrap), event)
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
