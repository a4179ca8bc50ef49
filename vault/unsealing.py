"""The seals of an installation at work: each tried by itself, and the root keys that they give.

It refuses to know data keys. Invariants: any one seal suffices, and one that fails stops no other; whatever fails
beside one that works leaves an alarm behind, so that it is mended before it is the last (design section 5, T-17).
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from keys.errors import (
    CannotOpen,
    KeysError,
    KeyUnavailable,
    RootKeyMismatch,
    SealFileMissing,
    SealKeyMissing,
    SealUnknown,
)
from keys.rootkey import RootKey
from keys.seals import opening
from keys.seals.address import SealAddress
from keys.seals.seal import SHARES_PREFIX, Seal
from vault.audit.events import ActorKind, Origin
from vault.db import Database
from vault.logs import alarm, get_logger
from vault.opening import report_damaged_key
from vault.settings import Settings
from vault.store import alarms
from vault.store.keys import WrappedRoot

SHARES: Final = SHARES_PREFIX
_STARTING: Final = Origin(ActorKind.WORKER, "start")
_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Attempt:
    """What became of one seal: its name where it got that far, the root keys that it opened, or why it did not."""

    address: SealAddress
    name: str | None = None
    roots: Mapping[bytes, RootKey] = field(default_factory=dict)
    failure: KeysError | None = None


async def open_seal(address: SealAddress) -> Seal:
    """Open a seal from scratch; it takes its time in a thread. Raises `SealError`."""
    return await asyncio.to_thread(opening.load, address)


async def guard(root: RootKey, address: SealAddress, environment: str, *, create: bool = False) -> WrappedRoot:
    """Wrap a root key by a seal, and really open it through the seal again, from scratch, before anybody counts on it.

    With `create`, a keystore file or a key in a token that is missing is made. Raises `SealError`.
    """
    seal = await ensured(address, create=create)
    wrapped = await asyncio.to_thread(wrap, seal, root, environment)
    opened = await unwrap(await open_seal(address), [wrapped], environment)
    if opened.get(root.key_id) != root:
        raise RootKeyMismatch("the seal does not give back what it was given")
    return wrapped


def wrap(seal: Seal, root: RootKey, environment: str) -> WrappedRoot:
    """Wrap a root key by an open seal, for its row."""
    return WrappedRoot(root.key_id, root.version, root.check_value(), seal.name, seal.wrap_root(root, environment))


async def ensured(address: SealAddress, *, create: bool) -> Seal:
    """Open a seal or, with `create`, make a keystore file or a key in a token that is missing. Raises `SealError`."""
    try:
        return await open_seal(address)
    except (SealFileMissing, SealKeyMissing):
        if not create:
            raise
        return await asyncio.to_thread(opening.create, address)


async def unwrap(seal: Seal, wraps: Iterable[WrappedRoot], environment: str) -> dict[bytes, RootKey]:
    """Open the wraps that are this seal's, by the root keys' ids; `CannotOpen`, `RootKeyMismatch` or `SealError`."""
    return {
        each.key_id: await asyncio.to_thread(
            seal.unwrap_root,
            each.wrapped,
            key_id=each.key_id,
            version=each.version,
            environment=environment,
            check_value=each.check_value,
        )
        for each in wraps
        if each.seal == seal.name
    }


async def attempt(settings: Settings, wraps: Sequence[WrappedRoot]) -> list[Attempt]:
    """Try every configured seal on the wraps, all at once."""
    return await asyncio.gather(*(_attempt(address, wraps, settings.environment) for address in settings.seals))


async def _attempt(address: SealAddress, wraps: Sequence[WrappedRoot], environment: str) -> Attempt:
    name = None
    try:
        seal = await open_seal(address)
        name = seal.name
        roots = await unwrap(seal, wraps, environment)
    except KeysError as failure:
        return Attempt(address, name, failure=failure)
    if not roots:
        return Attempt(address, name, failure=SealUnknown(f"this seal guards no root key of the database: {address}"))
    return Attempt(address, name, roots)


async def root_keys(settings: Settings, database: Database, wraps: Sequence[WrappedRoot]) -> dict[bytes, RootKey]:
    """Give every root key of the wraps; raises why the first seal failed when one of them stays closed.

    `KeyUnavailable` when there are no wraps at all. A damaged wrap leaves an alarm behind in any case; a seal that was
    configured and not added yet leaves none.
    """
    if not wraps:
        raise KeyUnavailable
    attempts = await attempt(settings, wraps)
    failures = [(each.address, each.failure) for each in attempts if each.failure is not None]
    roots = {key_id: root for each in attempts for key_id, root in each.roots.items()}
    complete = roots.keys() == {each.key_id for each in wraps}
    for address, failure in failures:
        if isinstance(failure, CannotOpen | RootKeyMismatch):
            await report_damaged_key(database, _STARTING)
        elif complete and not isinstance(failure, SealUnknown):
            await _report(database, address, failure)
    if not complete:
        raise failures[0][1] if failures else KeyUnavailable
    return roots


async def _report(database: Database, address: SealAddress, failure: KeysError) -> None:
    alarm(_log, "seal_failed", object_id=str(address), reason=type(failure).__name__)
    async with database.session() as session:
        reason = {"reason": type(failure).__name__}
        await alarms.raise_alarm(session, _STARTING, "", "seal_failed", str(address), reason)
