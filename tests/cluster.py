"""Troubles of the database that tests make and take away again."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from vault.migrations.guards import GRANTS
from vault.roles import APP


@asynccontextmanager
async def no_audit(connection: "asyncpg.Connection[asyncpg.Record]") -> AsyncIterator[None]:
    """Take from the application the right to queue events."""
    privilege = GRANTS[APP]["audit_pending"]
    await connection.execute(f"revoke {privilege} on vault.audit_pending from {APP}")
    yield
    await connection.execute(f"grant {privilege} on vault.audit_pending to {APP}")


@asynccontextmanager
async def out_of_reach(maintenance_url: str, name: str) -> AsyncIterator[None]:
    """Cut every connection to a database and let nobody in."""
    connection = await asyncpg.connect(maintenance_url, ssl=False)
    try:
        await connection.execute(f"alter database {name} with allow_connections false")
        await connection.execute("select pg_terminate_backend(pid) from pg_stat_activity where datname = $1", name)
        yield
        await connection.execute(f"alter database {name} with allow_connections true")
    finally:
        await connection.close()
