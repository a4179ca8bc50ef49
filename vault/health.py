"""Whether this process can do its work: database, keys, the insertion of an audit event and the clock, really tried.

It refuses to know HTTP. Invariants: a check leaves nothing behind, and takes less than two seconds whatever hangs
(design section 4, `/readyz`).
"""

import asyncio
import time
from collections.abc import Awaitable
from dataclasses import asdict, dataclass
from typing import Final, NoReturn, TypeVar

from keys.errors import KeysError
from keys.keyring import Keyring, Label
from vault.audit.events import ActorKind, Event, EventType, Origin
from vault.custody import INSTALLATION
from vault.db import Database, StatementFailed
from vault.errors import VaultError
from vault.store import audit, workers
from vault.store.workers import Beat

_PATIENCE: Final = 1.5
# Beyond this, deadlines and expiries that one process writes and another reads are no longer the same.
_CLOCK_TOLERANCE: Final = 5.0
_NOW: Final = "select extract(epoch from clock_timestamp())::float8"


_Found = TypeVar("_Found")


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
    clock: bool

    @property
    def parts(self) -> dict[str, bool]:
        """Give every part by its name."""
        return asdict(self)

    @property
    def ready(self) -> bool:
        """Tell whether everything works."""
        return all(self.parts.values())


async def examine(database: Database, keyring: Keyring) -> Health:
    """Try everything side by side; what takes longer than a second and a half does not work."""
    offset, keys, rehearsed = await asyncio.gather(
        _in_time(_clock_offset(database)), _in_time(_keys(keyring)), _in_time(_audit(database))
    )
    return Health(
        database=offset is not None,
        keys=bool(keys),
        audit=bool(rehearsed),
        clock=offset is not None and abs(offset) <= _CLOCK_TOLERANCE,
    )


async def _in_time(asking: Awaitable[_Found]) -> _Found | None:
    """Give what is found, or None where it fails or takes too long."""
    try:
        async with asyncio.timeout(_PATIENCE):
            return await asking
    except (TimeoutError, KeysError, StatementFailed, VaultError):
        return None


async def survey(database: Database, keyring: Keyring) -> tuple[Health, dict[str, str]]:
    """Try everything and ask how the loops do, all side by side."""
    return await asyncio.gather(examine(database, keyring), loops(database))


async def loops(database: Database) -> dict[str, str]:
    """Say of each of the workers' loops how it does; none: there is no worker, or nobody can tell."""
    found = await _in_time(_live(database))
    return {beat.loop: _said(beat) for beat in found or ()}


def _said(beat: Beat) -> str:
    if beat.failures:
        return "failing"
    return "starting" if beat.ago is None else "working"


async def _live(database: Database) -> list[Beat]:
    async with database.session() as session:
        return await workers.live(session)


async def _clock_offset(database: Database) -> float:
    """Give the seconds that this process's clock is ahead of the database's."""
    async with database.session() as session:
        before = time.time()
        theirs = float(await session.value(_NOW))
        return (before + time.time()) / 2 - theirs


async def _keys(keyring: Keyring) -> bool:
    await keyring.digest(INSTALLATION, Label.API_SECRET, b"readiness")
    return True


async def _audit(database: Database) -> bool:
    event = Event(EventType.ACCESS_DENIED, Origin(ActorKind.ANONYMOUS), INSTALLATION, reason="rehearsal")
    try:
        async with database.transaction() as transaction:
            await audit.append(transaction, event)
            _roll_back()
    except _Rehearsed:
        return True
