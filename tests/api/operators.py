"""An operator's process beside the running vault: its own connection, its own keyring, so nothing that is cached is shared."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from keys.keyring import Keyring
from tests.installation import OPERATOR_ORIGIN, Installation
from vault import custody
from vault.db import Database
from vault.key_life import KeyLife
from vault.onboarding import Onboarding
from vault.roles import OPERATOR


@dataclass(frozen=True, slots=True)
class Operators:
    """What operators work with."""

    database: Database
    keyring: Keyring
    life: KeyLife
    onboarding: Onboarding


@asynccontextmanager
async def operators_of(vault: Installation) -> AsyncIterator[Operators]:
    """Open an operator's connection and keys."""
    database = Database(vault.settings.operator_database_url.get_secret_value(), role=OPERATOR, pool_size=2)
    try:
        keyring = await custody.open_keyring(vault.settings, database)
        roots = await custody.open_roots(vault.settings, database)
        onboarding = Onboarding(vault.settings, database, roots, keyring, OPERATOR_ORIGIN)
        yield Operators(database, keyring, KeyLife(database, keyring, OPERATOR_ORIGIN), onboarding)
    finally:
        await database.close()
