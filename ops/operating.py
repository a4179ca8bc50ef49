"""An operator at work: the settings, a connection in the operators' role, and the services that change merchants.

It refuses to know commands. Invariant: what is done here is done in the role `cardvault_operator` and recorded under
the name of the account that ran the command.
"""

import asyncio
import getpass
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

from keys.keyring import Keyring
from vault import custody
from vault.audit.events import ActorKind, Origin
from vault.db import Database
from vault.gateway.client import GatewayClient
from vault.logs import configure
from vault.onboarding import Onboarding
from vault.roles import OPERATOR
from vault.services import gateway_client
from vault.settings import Settings, load_settings
from vault.store.keys import KeyStore

_Result = TypeVar("_Result")
_CONNECTIONS = 2


def operator_origin() -> Origin:
    """Name the account that runs the command."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):
        name = f"uid {os.geteuid()}"
    return Origin(ActorKind.OPERATOR, name)


@asynccontextmanager
async def operators_database(settings: Settings) -> AsyncIterator[Database]:
    """Give a connection in the operators' role."""
    database = Database(settings.operator_database_url.get_secret_value(), role=OPERATOR, pool_size=_CONNECTIONS)
    try:
        yield database
    finally:
        await database.close()


@asynccontextmanager
async def onboarding_of(settings: Settings) -> AsyncIterator[Onboarding]:
    """Open database and keys, and give the service that changes merchants and clients."""
    async with operators_database(settings) as database:
        roots = await custody.open_roots(settings, database)
        keyring = Keyring(roots, KeyStore(database), settings.environment)
        yield Onboarding(settings, database, roots, keyring, operator_origin())


def _settings() -> Settings:
    """Read the settings, and lead what is logged away from the data on standard output."""
    settings = load_settings(os.environ)
    configure(settings.log_format, stream=sys.stderr.buffer)
    return settings


def with_database(work: Callable[[Settings, Database], Awaitable[_Result]]) -> _Result:
    """Run an operator's work on the database of the settings."""

    async def run(settings: Settings) -> _Result:
        async with operators_database(settings) as database:
            return await work(settings, database)

    return asyncio.run(run(_settings()))


def with_onboarding(work: Callable[[Onboarding], Awaitable[_Result]]) -> _Result:
    """Run an operator's work on merchants and clients."""

    async def run(settings: Settings) -> _Result:
        async with onboarding_of(settings) as onboarding:
            return await work(onboarding)

    return asyncio.run(run(_settings()))


def with_gateway(work: Callable[[Onboarding, GatewayClient], Awaitable[_Result]]) -> _Result:
    """Run an operator's work on merchants that asks the gateway."""

    async def run(settings: Settings) -> _Result:
        async with onboarding_of(settings) as onboarding, gateway_client(settings) as client:
            return await work(onboarding, client)

    return asyncio.run(run(_settings()))
