"""Asks why a database cannot be used, for commands that have to tell an operator what to do.

It refuses to know the vault's tables. Invariant: what it says names a cause, never an address, a password or a
driver's text.
"""

import asyncio
from collections.abc import Mapping
from typing import Final, TypeAlias

import asyncpg

from vault.db import normalise_url
from vault.hosts import Hosts

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
_RIGHT_TO_SET: Final = 16
_REASONS: Final[Mapping[type[Exception], str]] = {
    asyncpg.InvalidAuthorizationSpecificationError: "it refuses the login; check user and password",
    asyncpg.InvalidCatalogNameError: "there is no database of that name; create it",
    asyncpg.TooManyConnectionsError: "it has no connection left; raise max_connections or lower CARDVAULT_POOL_SIZE",
    asyncpg.CannotConnectNowError: "it is starting up or shutting down; try again",
    asyncpg.InternalClientError: "none of its hosts takes writes; see which of them should lead",
}
_NO_ANSWER: Final = "nothing answers there; check host and port, and whether PostgreSQL runs"


async def connect(url: str) -> Connection:
    """Open a plain connection with the login of a URL, in its own role."""
    return await Hosts(normalise_url(url)).connect()


async def lock_refused(connection: Connection, statement: str) -> bool:
    """Run a statement; tells whether it gave up waiting for a lock."""
    try:
        await connection.execute(statement)
    except asyncpg.LockNotAvailableError:
        return True
    return False


def reason_unusable(url: str, role: str) -> str | None:
    """Say why nobody can work in a role under this login, or None when nothing is wrong."""
    return asyncio.run(_why_unusable(url, role))


async def _why_unusable(url: str, role: str) -> str | None:
    reason = await why_no_connection(url)
    if reason is not None:
        return reason
    connection = await connect(url)
    try:
        known = await connection.fetchval("select count(*) from pg_roles where rolname = $1", role)
        if not known:
            return "the vault's roles do not exist there; run cardvault db upgrade first"
        member = await connection.fetchval("select pg_has_role(current_user, $1, $2)", role, needed_right(connection))
        return None if member else f"its login may not act as {role}; grant {role} to it"
    finally:
        await connection.close()


def needed_right(connection: Connection) -> str:
    """Name what a login needs on a role to act in it: since PostgreSQL 16 a member may lack the right to."""
    return "set" if connection.get_server_version().major >= _RIGHT_TO_SET else "member"


async def why_no_connection(url: str) -> str | None:
    """Say why no connection can be had under this login, or None."""
    try:
        connection = await connect(url)
    except (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, ValueError) as error:
        return next((reason for kind, reason in _REASONS.items() if isinstance(error, kind)), _NO_ANSWER)
    await connection.close()
    return None
