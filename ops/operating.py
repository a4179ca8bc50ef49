"""An operator at work: the settings, a connection in the operators' role, and the services that change merchants.

It refuses to know commands. Invariant: what is done here is done in the role `cardvault_operator` and recorded under
the name of the account that ran the command.
"""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import TypeVar

from keys.keyring import Keyring
from ops.operator_keys import open_operator_key
from vault import custody
from vault.approval import Operation, Parameter
from vault.approval_policy import read_policy
from vault.approvals import DualControl
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
    """Give the account that runs the command, by its number: names stay in the host's own records (ADR 0038)."""
    return Origin(ActorKind.OPERATOR, f"uid {os.geteuid()}")


@asynccontextmanager
async def operators_database(settings: Settings) -> AsyncIterator[Database]:
    """Give a connection in the operators' role."""
    database = Database(settings.operator_database_url.get_secret_value(), role=OPERATOR, pool_size=_CONNECTIONS)
    try:
        yield database
    finally:
        await database.close()


def control_of(settings: Settings, database: Database) -> DualControl:
    """Give the dual control of the settings' policy, with the operator's own key opened when it is needed."""
    policy = read_policy(settings.approval_policy_file)
    signer = partial(open_operator_key, settings)
    return DualControl(database, policy, settings.environment, signer, operator_origin())


@asynccontextmanager
async def onboarding_of(settings: Settings) -> AsyncIterator[Onboarding]:
    """Open database and keys, and give the service that changes merchants and clients."""
    async with operators_database(settings) as database:
        yield await onboarding_on(settings, database)


async def onboarding_on(settings: Settings, database: Database) -> Onboarding:
    """Open the keys, and give the service that changes merchants and clients of a database."""
    roots = await custody.open_roots(settings, database)
    keyring = Keyring(roots, KeyStore(database), settings.environment)
    return Onboarding(settings, database, roots, keyring, operator_origin())


def command_settings() -> Settings:
    """Read the settings, and lead what is logged away from the data on standard output."""
    settings = load_settings(os.environ)
    configure(settings.log_format, stream=sys.stderr.buffer)
    return settings


def with_database(work: Callable[[Settings, Database], Awaitable[_Result]]) -> _Result:
    """Run an operator's work on the database of the settings."""

    async def run(settings: Settings) -> _Result:
        async with operators_database(settings) as database:
            return await work(settings, database)

    return asyncio.run(run(command_settings()))


def with_control(work: Callable[[Settings, Database, DualControl], Awaitable[_Result]]) -> _Result:
    """Run an operator's work that may need others' approval."""
    return with_database(lambda settings, database: work(settings, database, control_of(settings, database)))


def under_control(
    operation: Operation, parameters: Mapping[str, Parameter], work: Callable[[Settings, Database], Awaitable[_Result]]
) -> _Result:
    """Run an operator's work that others may have to approve; the first transaction that it commits consumes that."""

    async def run(settings: Settings, _database: Database, control: DualControl) -> _Result:
        return await control.guarded(operation, parameters, lambda database: work(settings, database))

    return with_control(run)


def with_onboarding(work: Callable[[Onboarding], Awaitable[_Result]]) -> _Result:
    """Run an operator's work on merchants and clients."""

    async def run(settings: Settings) -> _Result:
        async with onboarding_of(settings) as onboarding:
            return await work(onboarding)

    return asyncio.run(run(command_settings()))


def with_gateway(work: Callable[[Onboarding, GatewayClient], Awaitable[_Result]]) -> _Result:
    """Run an operator's work on merchants that asks the gateway."""

    async def run(settings: Settings) -> _Result:
        async with onboarding_of(settings) as onboarding, gateway_client(settings) as client:
            return await work(onboarding, client)

    return asyncio.run(run(command_settings()))
