"""Seals that come and go while the vault runs: added, verified, removed, replaced.

It refuses to know data keys and the command line. Invariants: a seal counts only after the root key was really opened
through it from scratch; the last one that opens cannot be removed, because the database asks for another that has just
proven itself (design section 5, controls.md KEY-3).
"""

from collections.abc import Iterable
from dataclasses import dataclass

from keys.errors import KeysError
from keys.rootkey import RootKey
from keys.seals.address import SealAddress
from vault import custody, unsealing
from vault.audit.events import Detail, Event, EventType, Origin, Outcome
from vault.custody import INSTALLATION
from vault.db import Database
from vault.errors import Conflict, NotFound
from vault.ids import key_name
from vault.settings import Settings
from vault.store import audit, keys, root_keys
from vault.store.keys import WrappedRoot


@dataclass(frozen=True, slots=True)
class Ceremony:
    """What a change of root keys, seals or shares is made with."""

    settings: Settings
    database: Database
    origin: Origin


@dataclass(frozen=True, slots=True)
class SealCheck:
    """What a seal is found to be: `name` where it opened, its address, or why it does not open (None: it opens)."""

    name: str
    failure: KeysError | None


async def add(ceremony: Ceremony, address: SealAddress, *, create: bool) -> str:
    """Let one more seal guard every active root key, and give its name.

    With `create`, a keystore file or a key in a token that is missing is made. Raises `SealError`, or `Conflict` when
    it guards them already.
    """
    roots = await custody.open_roots(ceremony.settings, ceremony.database)
    name, added = await keep(ceremony, address, roots.values(), create=create)
    if not added:
        raise Conflict("This seal guards the root key already.")
    return name


async def keep(ceremony: Ceremony, address: SealAddress, roots: Iterable[RootKey], *, create: bool) -> tuple[str, bool]:
    """Wrap root keys by a seal, open them again, keep the wraps; gives the seal's name, and whether any was missing."""
    environment = ceremony.settings.environment
    wraps = [await unsealing.guard(root, address, environment, create=create) for root in roots]
    added = False
    async with ceremony.database.transaction() as transaction:
        for wrap in wraps:
            if await keys.insert_wrap(transaction, wrap):
                added = True
                await audit.append(transaction, _added(ceremony.origin, wrap))
    return wraps[0].seal, added


async def verify(ceremony: Ceremony) -> list[SealCheck]:
    """Open every active root key through every configured seal, from scratch and from what the database holds."""
    async with ceremony.database.session() as session:
        wraps = await keys.roots(session)
    checks = []
    for attempt in await unsealing.attempt(ceremony.settings, wraps):
        check = SealCheck(attempt.name or str(attempt.address), attempt.failure)
        checks.append(check)
        outcome = Outcome.SUCCESS if check.failure is None else Outcome.FAILURE
        reason = None if check.failure is None else type(check.failure).__name__
        details: dict[str, Detail] = {"seal": check.name}
        event = Event(EventType.SEAL_VERIFIED, ceremony.origin, INSTALLATION, (), outcome, reason, details)
        async with ceremony.database.session() as session:
            await audit.append(session, event)
    return checks


async def remove(ceremony: Ceremony, name: str) -> None:
    """Take a seal's wraps away, by its name as the status shows it; the seal itself need not work any more.

    Raises `NotFound`, or `Conflict` when no other configured seal opens every root key at this moment.
    """
    async with ceremony.database.session() as session:
        wraps = await keys.roots(session)
    if name not in {wrap.seal for wrap in wraps}:
        raise NotFound("No seal of this name guards the root key: cardvault keys status lists them.")
    attempts = await unsealing.attempt(ceremony.settings, wraps)
    proven = [each.name for each in attempts if each.failure is None and each.name]
    event = Event(EventType.SEAL_REMOVED, ceremony.origin, INSTALLATION, details={"seal": name})
    async with ceremony.database.transaction() as transaction:
        if not await root_keys.remove_seal(transaction, name, proven, event):
            raise Conflict("No other seal of CARDVAULT_SEAL opens the root key now: the last one that does stays.")


async def rotate(ceremony: Ceremony, old: str, address: SealAddress, *, create: bool) -> str:
    """Put one seal in the place of another (by name): the old one goes once the new one has proven itself.

    May be repeated when it was interrupted. Raises `Conflict` when the new one is not configured, because nothing would
    start again, and whatever `add` and `remove` raise.
    """
    if address not in ceremony.settings.seals:
        raise Conflict("The new seal has to be in CARDVAULT_SEAL first, here and where servers and workers run.")
    await unsealing.ensured(address, create=create)
    roots = await custody.open_roots(ceremony.settings, ceremony.database)
    name, _ = await keep(ceremony, address, roots.values(), create=create)
    async with ceremony.database.session() as session:
        guarding = {wrap.seal for wrap in await keys.roots(session)}
    if old in guarding - {name}:
        await remove(ceremony, old)
    return name


def _added(origin: Origin, wrap: WrappedRoot) -> Event:
    details: dict[str, Detail] = {"seal": wrap.seal, "version": wrap.version, "key_id": key_name(wrap.key_id)}
    return Event(EventType.SEAL_ADDED, origin, INSTALLATION, details=details)
