"""A new root key in the place of the old one, while the vault runs.

It refuses to know what data keys are for. Invariants: every seal that opens the old root key has really opened the new
one, from scratch, before a data key is wrapped by it; the old one is retired only after every data key was read back
and opened under the new one, which the database checks once more. Each step may be repeated: a rotation that was
interrupted is finished by the next one (design section 5, T-5, T-9).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from keys.datakeys import load_data_key, rewrap_data_key
from keys.errors import SealUnknown
from keys.rootkey import RootKey
from keys.seals.address import SealAddress
from keys.seals.seal import Seal
from vault import custody, unsealing
from vault.audit.events import Detail, Event, EventType
from vault.custody import INSTALLATION
from vault.db import Database, StatementFailed
from vault.errors import Conflict
from vault.ids import key_name
from vault.seals import Ceremony
from vault.settings import Settings
from vault.store import keys, root_keys, shredding
from vault.store.keys import WrappedRoot
from vault.unsealing import Attempt

_UNIQUE = "23505"


@dataclass(frozen=True, slots=True)
class Shares:
    """What becomes of custodians' shares: carried over by opening their seal, or (None) dropped on purpose."""

    opened: Seal | None = None
    drop: bool = False


AS_BEFORE: Final[Sequence[SealAddress]] = ()


@dataclass(frozen=True, slots=True)
class Rotated:
    """The root key in use from now on, the one that was retired, and how many data keys moved in this run."""

    active: RootKey
    retired: RootKey
    moved: int


async def rotate(ceremony: Ceremony, shares: Shares, seals: Sequence[SealAddress] = AS_BEFORE) -> Rotated:
    """Make a root key, move every data key under it, retire the old one; finishes what was interrupted.

    The seals that open the new one are those of the old one, or `seals`, none of which may have opened any before.

    Raises `Conflict` when a seal of the old root key is not configured or does not open, when shares would be left
    behind, or when somebody else rotates at the same time; `SealError`.
    """
    opened = await custody.open_roots(ceremony.settings, ceremony.database)
    roots = sorted(opened.values(), key=lambda root: root.version)
    newest = roots[-1] if len(roots) > 1 else await _successor(ceremony, shares, seals)
    moved = await _move(ceremony, roots[0], newest)
    await _prove(ceremony, newest)
    await _retire(ceremony, roots[0])
    return Rotated(newest, roots[0], moved)


async def _successor(ceremony: Ceremony, shares: Shares, seals: Sequence[SealAddress]) -> RootKey:
    async with ceremony.database.session() as session:
        present = await keys.roots(session)
        version = await root_keys.newest_version(session) + 1
    root = RootKey.generate(version)
    addresses = seals or [each.address for each in await _openers(ceremony.settings, present)]
    wraps = [await unsealing.guard(root, each, ceremony.settings.environment, create=bool(seals)) for each in addresses]
    if seals:
        await require_new(ceremony.database, [wrap.seal for wrap in wraps])
    if shares.opened is not None:
        wraps.append(await _carried(shares.opened, root, present, ceremony.settings.environment))
    left = {wrap.seal for wrap in present} - {wrap.seal for wrap in wraps}
    if left and not shares.drop:
        raise Conflict("Custodians' shares open the present root key: give enough of them, or drop them on purpose.")
    details: dict[str, Detail] = {
        "version": root.version,
        "seal": " ".join(wrap.seal for wrap in wraps),
        "key_id": key_name(root.key_id),
    }
    event = Event(EventType.ROOT_KEY_CREATED, ceremony.origin, INSTALLATION, details=details)
    try:
        async with ceremony.database.transaction() as transaction:
            await keys.insert_root(transaction, wraps, event)
    except StatementFailed as error:
        if error.sqlstate != _UNIQUE:
            raise
        raise Conflict("Somebody else is rotating the root key: wait for them, and look at the status.") from None
    return root


async def require_new(database: Database, seals: Sequence[str]) -> None:
    """Raise `Conflict` where one of these seals (by name) opens a root key, or ever did."""
    async with database.session() as session:
        for name in seals:
            if await shredding.has_opened(session, name):
                raise Conflict(
                    "One of these seals has opened a root key before: name new ones, with keys of their own."
                )


async def _carried(seal: Seal, root: RootKey, present: Sequence[WrappedRoot], environment: str) -> WrappedRoot:
    """Wrap the new root key by the shares' key, which has to open the old one first."""
    if not await unsealing.unwrap(seal, present, environment):
        raise Conflict("These shares do not open the present root key: leave them out.")
    wrapped = unsealing.wrap(seal, root, environment)
    await unsealing.unwrap(seal, [wrapped], environment)
    return wrapped


async def _openers(settings: Settings, wraps: Sequence[WrappedRoot]) -> list[Attempt]:
    """Open the wraps of every seal from scratch; raises why one does not, or `Conflict` when it is not configured."""
    attempts = await unsealing.attempt(settings, wraps)
    openers = [attempt for attempt in attempts if attempt.failure is None]
    guarding = {wrap.seal for wrap in wraps if not wrap.seal.startswith(unsealing.SHARES)}
    if guarding - {attempt.name for attempt in openers}:
        for attempt in attempts:
            if attempt.failure is not None and not isinstance(attempt.failure, SealUnknown):
                raise attempt.failure
        raise Conflict("A seal opens the root key that CARDVAULT_SEAL does not name: name it there, or remove it.")
    return openers


async def _move(ceremony: Ceremony, old: RootKey, newest: RootKey) -> int:
    moved = 0
    while True:
        async with ceremony.database.session() as session:
            rows = await root_keys.data_keys(session, old.key_id)
        if not rows:
            return moved
        wraps = [(row.key_id, rewrap_data_key(row, old, newest, ceremony.settings.environment)) for row in rows]
        details: dict[str, Detail] = {
            "keys": len(wraps),
            "from": key_name(old.key_id),
            "to": key_name(newest.key_id),
        }
        event = Event(EventType.DATA_KEYS_REWRAPPED, ceremony.origin, INSTALLATION, details=details)
        async with ceremony.database.transaction() as transaction:
            await root_keys.rewrap(transaction, old.key_id, newest.key_id, wraps, event)
        moved += len(wraps)


async def _prove(ceremony: Ceremony, newest: RootKey) -> None:
    """Open the new root key from scratch through every seal that has it, and with it every data key, as stored."""
    async with ceremony.database.session() as session:
        wraps = [wrap for wrap in await keys.roots(session) if wrap.key_id == newest.key_id]
    for opener in await _openers(ceremony.settings, wraps):
        await _open_all(ceremony.database, opener.roots[newest.key_id], ceremony.settings.environment)


async def _open_all(database: Database, root: RootKey, environment: str) -> None:
    after = b""
    while True:
        async with database.session() as session:
            rows = await root_keys.data_keys(session, root.key_id, after)
        if not rows:
            return
        for row in rows:
            load_data_key(root, row, environment)
        after = rows[-1].key_id


async def _retire(ceremony: Ceremony, old: RootKey) -> None:
    details: dict[str, Detail] = {"version": old.version, "key_id": key_name(old.key_id)}
    event = Event(EventType.ROOT_KEY_RETIRED, ceremony.origin, INSTALLATION, details=details)
    async with ceremony.database.transaction() as transaction:
        retired = await root_keys.retire(transaction, old.key_id, event)
    if not retired:
        raise Conflict("A data key was made under the old root key meanwhile: run the rotation again.")
